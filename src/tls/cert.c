#include "tls/tls_int.h"

#include "base/mem.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>

struct pair {
	X509 *leaf;
	STACK_OF(X509) * chain; /* above the leaf */
	EVP_PKEY *key;
};

struct tls_cert {
	atomic_uint refs;
	size_t n;
	struct pair pairs[2];
};

const char *tls_reason(void)
{
	unsigned long e = ERR_peek_last_error();
	const char *text = e ? ERR_reason_error_string(e) : NULL;

	ERR_clear_error();
	return text ? text : "unknown reason";
}

/* ---- reading PEM ---- */

static BIO *reader(struct str text)
{
	BIO *b = BIO_new_mem_buf(text.p ? text.p : "", (int)MIN(text.n, (size_t)INT_MAX));

	ASSERT(b);
	return b;
}

/* Without one OpenSSL would ask at the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *u)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)u;
	return -1;
}

static bool is_end_of_text(void)
{
	unsigned long e = ERR_peek_last_error();

	return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

static enum err read_chain(struct str text, STACK_OF(X509) * *out, struct fault *f)
{
	STACK_OF(X509) *all = sk_X509_new_null();
	BIO *b = reader(text);
	X509 *x;
	bool ok;

	ERR_clear_error();
	while ((x = PEM_read_bio_X509(b, NULL, no_passphrase, NULL))) {
		(void)sk_X509_push(all, x);
	}
	ok = is_end_of_text() && sk_X509_num(all) > 0;
	BIO_free(b);
	if (!ok) {
		sk_X509_pop_free(all, X509_free);
		return fault_set(f, ERR_INVALID, "invalid certificate: %s", tls_reason());
	}
	ERR_clear_error();
	*out = all;
	return ERR_OK;
}

static enum err read_key(struct str text, EVP_PKEY **out, struct fault *f)
{
	BIO *b = reader(text);
	EVP_PKEY *key;

	ERR_clear_error();
	key = PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL);
	BIO_free(b);
	if (!key) {
		return fault_set(f, ERR_INVALID, "invalid key: %s", tls_reason());
	}
	ERR_clear_error();
	*out = key;
	return ERR_OK;
}

static enum tls_key_kind kind_of(EVP_PKEY *key)
{
	int id = key ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE;

	if (id == EVP_PKEY_RSA || id == EVP_PKEY_RSA_PSS) {
		return TLS_KEY_RSA;
	}
	return id == EVP_PKEY_EC ? TLS_KEY_EC : TLS_KEY_OTHER;
}

/* ---- certificates with keys ---- */

static enum err read_pair(const struct tls_pem *pem, struct pair *out, struct fault *f)
{
	TRY(read_chain(pem->cert, &out->chain, f));
	out->leaf = sk_X509_shift(out->chain);
	TRY(read_key(pem->key, &out->key, f));
	if (X509_check_private_key(out->leaf, out->key) != 1) {
		ERR_clear_error();
		return fault_set(f, ERR_INVALID, "certificate does not match key");
	}
	return ERR_OK;
}

static enum err read_pairs(struct tls_cert *c, const struct tls_pem *pems, size_t n,
			   struct fault *f)
{
	for (size_t i = 0; i < n; i++) {
		c->n = i + 1;
		TRY(read_pair(&pems[i], &c->pairs[i], f));
	}
	if (n == 2 && kind_of(c->pairs[0].key) == kind_of(c->pairs[1].key)) {
		return fault_set(f, ERR_INVALID,
				 "certificate and alternative certificate have keys of one type");
	}
	return ERR_OK;
}

enum err tls_cert_new(const struct tls_pem *pairs, size_t n, struct tls_cert **out, struct fault *f)
{
	struct tls_cert *c = MEM_NEW(struct tls_cert);
	enum err e;

	ASSERT(n >= 1 && n <= ARRAY_LEN(c->pairs));
	atomic_init(&c->refs, 1);
	e = read_pairs(c, pairs, n, f);
	if (e != ERR_OK) {
		tls_cert_unref(&c);
		return e;
	}
	*out = c;
	return ERR_OK;
}

struct tls_cert *tls_cert_ref(struct tls_cert *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void tls_cert_unref(struct tls_cert **cp)
{
	struct tls_cert *c = *cp;

	*cp = NULL;
	if (!c || atomic_fetch_sub(&c->refs, 1) != 1) {
		return;
	}
	for (size_t i = 0; i < c->n; i++) {
		X509_free(c->pairs[i].leaf);
		sk_X509_pop_free(c->pairs[i].chain, X509_free);
		EVP_PKEY_free(c->pairs[i].key);
	}
	mem_free(c);
}

bool tls_cert_apply(const struct tls_cert *c, SSL *ssl)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct pair *p = &c->pairs[i];

		if (SSL_use_cert_and_key(ssl, p->leaf, p->key, p->chain, 1) != 1) {
			return false;
		}
	}
	return true;
}

bool tls_cert_apply_context(const struct tls_cert *c, SSL_CTX *ctx)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct pair *p = &c->pairs[i];

		if (SSL_CTX_use_cert_and_key(ctx, p->leaf, p->key, p->chain, 1) != 1) {
			return false;
		}
	}
	return true;
}

enum err tls_trust_pem(SSL_CTX *ctx, struct str pem, struct fault *f)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	STACK_OF(X509) * all;

	TRY(read_chain(pem, &all, f));
	for (int i = 0; i < sk_X509_num(all); i++) {
		(void)X509_STORE_add_cert(store, sk_X509_value(all, i)); /* twice is once */
	}
	sk_X509_pop_free(all, X509_free);
	ERR_clear_error();
	return ERR_OK;
}

/* ---- what a text says ---- */

static int64_t wall_ms(const ASN1_TIME *t)
{
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days = 0, seconds = 0;

	ASSERT(epoch);
	(void)ASN1_TIME_diff(&days, &seconds, epoch, t);
	ASN1_TIME_free(epoch);
	return ((int64_t)days * 86400 + seconds) * 1000;
}

static void digest_hex(const X509 *x, char out[TLS_DIGEST_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	ASSERT(X509_digest(x, EVP_sha256(), md, &n) == 1 && n * 2 == TLS_DIGEST_LEN);
	for (size_t i = 0; i < n; i++) {
		out[i * 2] = digits[md[i] >> 4];
		out[i * 2 + 1] = digits[md[i] & 15];
	}
	out[TLS_DIGEST_LEN] = 0;
}

enum err tls_pem_inspect(struct str cert, struct tls_cert_info *out, struct fault *f)
{
	STACK_OF(X509) * all;
	X509 *x;

	TRY(read_chain(cert, &all, f));
	x = sk_X509_value(all, 0);
	*out = (struct tls_cert_info){
		.count = (size_t)sk_X509_num(all),
		.key = kind_of(X509_get0_pubkey(x)),
		.is_ca = X509_check_ca(x) == 1,
		.not_before_ms = wall_ms(X509_get0_notBefore(x)),
		.not_after_ms = wall_ms(X509_get0_notAfter(x)),
	};
	digest_hex(x, out->sha256);
	sk_X509_pop_free(all, X509_free);
	ERR_clear_error();
	return ERR_OK;
}

enum err tls_pem_check_key(struct str key, enum tls_key_kind *out, struct fault *f)
{
	EVP_PKEY *k = NULL;

	TRY(read_key(key, &k, f));
	*out = kind_of(k);
	EVP_PKEY_free(k);
	return ERR_OK;
}
