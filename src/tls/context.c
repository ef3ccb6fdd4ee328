#include "tls/context.h"

#include "base/mem.h"
#include "tls/crypto.h"
#include "tls/tickets.h"
#include "tls/tls_int.h"

#include <openssl/err.h>
#include <stdatomic.h>

#define DEPTH_DEFAULT 9

/* Mozilla's "intermediate" without finite-field DH, which costs a server dear. */
#define CIPHERS_INTERMEDIATE                                                                       \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                               \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                               \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERS_LEN_MAX 2000

struct tls_server {
	atomic_uint refs;
	SSL_CTX *ctx;
	struct tls_sni_map *certs;
	tls_pick_fn *pick;
	void *arg;
	unsigned alpn;
};

struct tls_client {
	atomic_uint refs;
	SSL_CTX *ctx;
	bool verifies;
};

/* ---- both ---- */

static int protocol(enum tls_version v, int dflt)
{
	switch (v) {
	case TLS_V1_2:
		return TLS1_2_VERSION;
	case TLS_V1_3:
		return TLS1_3_VERSION;
	case TLS_DEFAULT:
		break;
	}
	return dflt;
}

static bool set_ciphers(SSL_CTX *ctx, struct str list)
{
	char text[CIPHERS_LEN_MAX];

	if (list.n == 0 || str_eq_nocase(list, STR("intermediate"))) {
		return SSL_CTX_set_cipher_list(ctx, CIPHERS_INTERMEDIATE) == 1;
	}
	if (list.n >= sizeof(text)) {
		return false;
	}
	memcpy(text, list.p, list.n);
	text[list.n] = 0;
	return SSL_CTX_set_cipher_list(ctx, text) == 1;
}

enum err tls_context_basics(SSL_CTX *ctx, const struct tls_limits *limits, struct fault *f)
{
	int min = protocol(limits->min, TLS1_2_VERSION);
	int max = protocol(limits->max, TLS1_3_VERSION);

	if (min > max) {
		return fault_set(f, ERR_INVALID,
				 "the least protocol version is above the greatest");
	}
	if (!set_ciphers(ctx, limits->ciphers)) {
		(void)tls_reason();
		return fault_set(f, ERR_INVALID, "no such ciphers: \"%.*s\"",
				 STR_ARG(str_slice(limits->ciphers, 0, 80)));
	}
	(void)SSL_CTX_set_min_proto_version(ctx, min);
	(void)SSL_CTX_set_max_proto_version(ctx, max);
	/*
	 * RELEASE_BUFFERS: an idle connection keeps no record buffers. Read-ahead: a record
	 * with its header comes by one recv.
	 */
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					       SSL_OP_CIPHER_SERVER_PREFERENCE |
					       SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_read_ahead(ctx, 1);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	return ERR_OK;
}

static SSL_CTX *context_new(const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	ASSERT(ctx); /* out of memory, or a broken OpenSSL */
	return ctx;
}

/* ---- server ---- */

static int on_cert_needed(SSL *ssl, void *arg)
{
	const struct tls_server *s = arg;
	struct str sni = str_c(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
	const struct tls_cert *c = s->pick ? s->pick(s->arg, sni, !s->certs) : NULL;

	if (!c && s->certs) {
		c = tls_sni_map_get(s->certs, sni);
	}
	return c && tls_cert_apply(c, ssl) ? 1 : 0;
}

/* Names are for on_cert_needed; OK puts them into the session as well. */
static int on_servername(SSL *ssl, int *alert, void *arg)
{
	(void)alert;
	(void)arg;
	return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) ? SSL_TLSEXT_ERR_OK
								  : SSL_TLSEXT_ERR_NOACK;
}

static bool find_protocol(struct str offered, struct str want, struct str *out)
{
	while (offered.n > 0) {
		struct str one = str_slice(offered, 1, (uint8_t)offered.p[0]);

		if (str_eq(one, want)) {
			*out = one;
			return true;
		}
		offered = str_skip(offered, 1 + (size_t)(uint8_t)offered.p[0]);
	}
	return false;
}

/* RFC 7301 3.2: a client that speaks only what we do not is told so, lest it takes us for another.
 */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
		   const unsigned char *in, unsigned in_n, void *arg)
{
	const struct tls_server *s = arg;
	struct str offered = str_of(in, in_n), found;

	(void)ssl;
	if (!((s->alpn & TLS_ALPN_H2 && find_protocol(offered, STR("h2"), &found)) ||
	      (s->alpn & TLS_ALPN_HTTP1 && find_protocol(offered, STR("http/1.1"), &found)))) {
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	*out = (const unsigned char *)found.p;
	*out_n = (unsigned char)found.n;
	return SSL_TLSEXT_ERR_OK;
}

/* The chain is looked at, but the owner of the connection judges. */
static int on_verify_any(int ok, X509_STORE_CTX *ctx)
{
	(void)ok;
	(void)ctx;
	return 1;
}

static enum err set_client_certs(SSL_CTX *ctx, const struct tls_server_options *o, struct fault *f)
{
	if (o->client_ca.n > 0) {
		TRY(tls_trust_pem(ctx, o->client_ca, f));
	} else if (o->ask == TLS_ASK_OPTIONAL || o->ask == TLS_ASK_REQUIRED) {
		return fault_set(f, ERR_INVALID, "client certificates need a CA to trust");
	}
	switch (o->ask) {
	case TLS_ASK_NONE:
		SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
		break;
	case TLS_ASK_ANY:
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_verify_any);
		break;
	case TLS_ASK_OPTIONAL:
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
		break;
	case TLS_ASK_REQUIRED:
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		break;
	}
	SSL_CTX_set_verify_depth(ctx, o->depth > 0 ? (int)o->depth : DEPTH_DEFAULT);
	return ERR_OK;
}

/* A session is resumed only where the same client certificates are demanded. */
static void set_session_id(SSL_CTX *ctx, const struct tls_server_options *o)
{
	uint8_t id[SHA256_LEN], policy[2] = {(uint8_t)o->ask, (uint8_t)MIN(o->depth, 255u)};

	crypto_hmac_sha256(str_of(policy, sizeof(policy)), o->client_ca, id);
	(void)SSL_CTX_set_session_id_context(ctx, id, SHA256_LEN);
}

static enum err server_setup(struct tls_server *s, const struct tls_server_options *o,
			     struct fault *f)
{
	SSL_CTX *ctx = s->ctx;

	TRY(tls_context_basics(ctx, &o->limits, f));
	TRY(set_client_certs(ctx, o, f));
	set_session_id(ctx, o);
	SSL_CTX_set_cert_cb(ctx, on_cert_needed, s);
	(void)SSL_CTX_set_tlsext_servername_callback(ctx, on_servername);
	if (o->alpn) {
		SSL_CTX_set_alpn_select_cb(ctx, on_alpn, s);
	}
	if (o->no_tickets) {
		(void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		(void)SSL_CTX_set_num_tickets(ctx, 0);
	} else {
		tls_tickets_use(ctx);
	}
	return ERR_OK;
}

enum err tls_server_new(const struct tls_server_options *o, struct tls_server **out,
			struct fault *f)
{
	struct tls_server *s = MEM_NEW(struct tls_server);
	enum err e;

	ASSERT(o->certs || o->pick);
	atomic_init(&s->refs, 1);
	s->ctx = context_new(TLS_server_method());
	s->certs = o->certs ? tls_sni_map_ref(o->certs) : NULL;
	s->pick = o->pick;
	s->arg = o->arg;
	s->alpn = o->alpn;
	e = server_setup(s, o, f);
	ERR_clear_error();
	if (e != ERR_OK) {
		tls_server_unref(&s);
		return e;
	}
	*out = s;
	return ERR_OK;
}

struct tls_server *tls_server_ref(struct tls_server *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

unsigned tls_server_alpn(const struct tls_server *s)
{
	return s->alpn;
}

void tls_server_unref(struct tls_server **sp)
{
	struct tls_server *s = *sp;

	*sp = NULL;
	if (s && atomic_fetch_sub(&s->refs, 1) == 1) {
		SSL_CTX_free(s->ctx);
		tls_sni_map_unref(&s->certs);
		mem_free(s);
	}
}

SSL_CTX *tls_server_context(const struct tls_server *s)
{
	return s->ctx;
}

/* ---- client ---- */

static void offer_protocols(SSL_CTX *ctx, unsigned alpn)
{
	/* Each with its length before it (RFC 7301 3.1). */
	static const uint8_t h2[] = {2, 'h', '2'};
	static const uint8_t http1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
	uint8_t list[16];
	unsigned n = 0;

	if (alpn & TLS_ALPN_H2) {
		memcpy(list + n, h2, sizeof(h2));
		n += (unsigned)sizeof(h2);
	}
	if (alpn & TLS_ALPN_HTTP1) {
		memcpy(list + n, http1, sizeof(http1));
		n += (unsigned)sizeof(http1);
	}
	if (n > 0) {
		(void)SSL_CTX_set_alpn_protos(ctx, list, n);
	}
}

static enum err client_setup(SSL_CTX *ctx, const struct tls_client_options *o, struct fault *f)
{
	TRY(tls_context_basics(ctx, &o->limits, f));
	if (o->ca.n > 0) {
		TRY(tls_trust_pem(ctx, o->ca, f));
	}
	if (!o->insecure && (o->ca.n == 0 || o->system)) {
		(void)SSL_CTX_set_default_verify_paths(ctx);
	}
	SSL_CTX_set_verify(ctx, o->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_verify_depth(ctx, o->depth > 0 ? (int)o->depth : DEPTH_DEFAULT);
	if (o->cert && !tls_cert_apply_context(o->cert, ctx)) {
		return fault_set(f, ERR_INVALID, "invalid certificate: %s", tls_reason());
	}
	offer_protocols(ctx, o->alpn);
	return ERR_OK;
}

enum err tls_client_new(const struct tls_client_options *o, struct tls_client **out,
			struct fault *f)
{
	struct tls_client *c = MEM_NEW(struct tls_client);
	enum err e;

	atomic_init(&c->refs, 1);
	c->ctx = context_new(TLS_client_method());
	c->verifies = !o->insecure;
	e = client_setup(c->ctx, o, f);
	ERR_clear_error();
	if (e != ERR_OK) {
		tls_client_unref(&c);
		return e;
	}
	*out = c;
	return ERR_OK;
}

struct tls_client *tls_client_ref(struct tls_client *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void tls_client_unref(struct tls_client **cp)
{
	struct tls_client *c = *cp;

	*cp = NULL;
	if (c && atomic_fetch_sub(&c->refs, 1) == 1) {
		SSL_CTX_free(c->ctx);
		mem_free(c);
	}
}

SSL_CTX *tls_client_context(const struct tls_client *c)
{
	return c->ctx;
}

bool tls_client_verifies(const struct tls_client *c)
{
	return c->verifies;
}
