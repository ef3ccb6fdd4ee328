#include "gateway/certificates.h"

#include "base/log.h"
#include "base/mem.h"
#include "tls/crypto.h"

static void complain(const char *what, const struct guid *id, const struct fault *f)
{
	char text[GUID_D_LEN];

	guid_d(id, text);
	log_error("gateway", what, LOG_STR("id", str_of(text, sizeof(text))), LOG_FAULT(f));
}

/* ---- towards clients ---- */

/* A field, or what it refers to. */
static enum err pem_of(struct arena *a, const struct vaults *vaults, const struct entity_item *item,
		       const char *name, struct str *out, struct fault *f)
{
	*out = json_get_str(item->json, name);
	return vault_is_reference(*out) ? vault_resolve(a, vaults, *out, out, f) : ERR_OK;
}

static enum err read_pairs(struct arena *a, const struct vaults *vaults,
			   const struct entity_item *item, struct tls_pem pairs[2], struct fault *f)
{
	TRY(pem_of(a, vaults, item, "cert", &pairs[0].cert, f));
	TRY(pem_of(a, vaults, item, "key", &pairs[0].key, f));
	TRY(pem_of(a, vaults, item, "cert_alt", &pairs[1].cert, f));
	return pem_of(a, vaults, item, "key_alt", &pairs[1].key, f);
}

static enum err read_cert(struct arena *a, const struct vaults *vaults,
			  const struct entity_item *item, struct tls_cert **out, struct fault *f)
{
	struct tls_pem pairs[2];

	TRY(read_pairs(a, vaults, item, pairs, f));
	return tls_cert_new(pairs, pairs[1].cert.n > 0 ? 2 : 1, out, f);
}

/* item->compiled of a certificate: made when the first name asks for it, however many there are. */
struct certificate {
	struct tls_cert *cert; /* NULL = it could not be made */
	bool from_vault;
	uint64_t generation; /* of vaults */
};

static void release_certificate(void *compiled)
{
	struct certificate *c = compiled;

	tls_cert_unref(&c->cert);
}

static bool refers_to_vault(const struct entity_item *item)
{
	return vault_is_reference(json_get_str(item->json, "cert")) ||
	       vault_is_reference(json_get_str(item->json, "key")) ||
	       vault_is_reference(json_get_str(item->json, "cert_alt")) ||
	       vault_is_reference(json_get_str(item->json, "key_alt"));
}

/* Borrowed from the item; NULL with a fault. */
static struct tls_cert *cert_of(const struct vaults *vaults, struct entity_item *item,
				struct fault *f)
{
	struct certificate *c = item->compiled;
	struct tls_cert *cert = NULL;
	struct arena a;

	if (!c) {
		item->compiled = c = ARENA_NEW(&item->arena, struct certificate);
		item->compiled_free = release_certificate;
		c->from_vault = refers_to_vault(item);
	}
	if (c->cert && (!c->from_vault || c->generation == vaults->generation)) {
		return c->cert;
	}
	tls_cert_unref(&c->cert);
	c->generation = vaults->generation;
	arena_init(&a, 0);
	if (read_cert(&a, vaults, item, &cert, f) == ERR_OK) {
		c->cert = cert;
	}
	arena_fini(&a);
	return c->cert;
}

static void add_name(struct tls_sni_map *m, const struct vaults *vaults,
		     const struct map *certificates, const struct entity_item *sni)
{
	struct guid owner = compile_foreign(sni->json, "certificate");
	struct entity_item *item = map_get(certificates, guid_bytes(&owner));
	struct fault f = {0};
	struct tls_cert *cert = item ? cert_of(vaults, item, &f) : NULL;

	if (!cert) {
		complain("a certificate cannot be used", &owner, &f);
		return;
	}
	if (tls_sni_map_add(m, json_get_str(sni->json, "name"), cert) != ERR_OK) {
		complain("an sni is no name", &sni->id, &f);
	}
}

struct tls_sni_map *certificates_names(const struct vaults *vaults, const struct map *certificates,
				       const struct map *snis, struct tls_cert *dflt)
{
	struct tls_sni_map *m = tls_sni_map_new(dflt);
	struct map_entry e;
	size_t pos = 0;

	while (map_next(snis, &pos, &e)) {
		add_name(m, vaults, certificates, e.value);
	}
	return m;
}

enum err certificates_default(struct tls_cert **out, struct fault *f)
{
	struct tls_pem pairs[2];
	struct arena a;
	enum err e;

	arena_init(&a, 0);
	e = tls_self_signed(&a, TLS_KEY_RSA, STR("localhost"), 7300, &pairs[0], f);
	if (e == ERR_OK) {
		e = tls_self_signed(&a, TLS_KEY_EC, STR("localhost"), 7300, &pairs[1], f);
	}
	if (e == ERR_OK) {
		e = tls_cert_new(pairs, 2, out, f);
	}
	arena_fini(&a);
	return e;
}

/* ---- towards services ---- */

struct cached {
	struct guid service;
	struct entity_item *item;
	uint64_t generation;
	uint8_t made_of[SHA256_LEN]; /* the same makes the same context */
	struct tls_client *tls;	     /* NULL = it cannot be made */
};

struct service_tls {
	struct map by_service;
	uint64_t generation; /* of certificates, CAs and vaults */
};

struct service_tls *service_tls_new(void)
{
	return MEM_NEW(struct service_tls);
}

void service_tls_renew(struct service_tls *t)
{
	t->generation++;
}

static void cached_free(struct cached *c)
{
	entity_item_unref(&c->item);
	tls_client_unref(&c->tls);
	mem_free(c);
}

void service_tls_forget(struct service_tls *t, const struct guid *service)
{
	struct cached *c = map_remove(&t->by_service, guid_bytes(service));

	if (c) {
		cached_free(c);
	}
}

void service_tls_keep(struct service_tls *t, const struct map *services)
{
	struct map_entry e;
	size_t pos = 0;

	while (map_next(&t->by_service, &pos, &e)) {
		struct cached *c = e.value;
		const struct entity_item *item = map_get(services, guid_bytes(&c->service));
		const struct service *s = item ? item->compiled : NULL;

		if (!s || !s->tls) {
			service_tls_forget(t, &c->service);
		}
	}
}

size_t service_tls_n(const struct service_tls *t)
{
	return t->by_service.n;
}

void service_tls_free(struct service_tls **tp)
{
	struct service_tls *t = *tp;
	struct map_entry e;
	size_t pos = 0;

	*tp = NULL;
	if (!t) {
		return;
	}
	while (map_next(&t->by_service, &pos, &e)) {
		cached_free(e.value);
	}
	map_free(&t->by_service);
	mem_free(t);
}

/* What a context is made of, in PEM. */
struct material {
	struct arena arena;
	struct tls_pem pairs[2];
	struct str ca;
};

/* All that the service names, one after the other. */
static enum err read_ca(struct material *m, const struct json *v, const struct map *ca_certificates,
			struct fault *f)
{
	const struct json *ids = json_get(v, STR("ca_certificates"));
	struct buf b = {0};
	enum err err = ERR_OK;

	for (const struct json *e = json_is_null(ids) ? NULL : ids->child; e; e = e->next) {
		const struct entity_item *item = NULL;
		struct guid id;

		if (guid_parse(json_str(e), &id) == ERR_OK) {
			item = map_get(ca_certificates, guid_bytes(&id));
		}
		if (!item) {
			err = fault_set(f, ERR_INVALID, "there is no CA certificate %.*s",
					STR_ARG(json_str(e)));
			break;
		}
		buf_put(&b, json_get_str(item->json, "cert"));
		buf_putc(&b, '\n');
	}
	m->ca = str_dup(&m->arena, buf_str(&b));
	buf_free(&b);
	return err;
}

static enum err read_client_pairs(struct material *m, const struct vaults *vaults,
				  const struct service *s, const struct map *certificates,
				  struct fault *f)
{
	static const struct guid none;
	const struct entity_item *certificate;

	if (guid_eq(&s->client_certificate, &none)) {
		return ERR_OK;
	}
	certificate = map_get(certificates, guid_bytes(&s->client_certificate));
	if (!certificate) {
		return fault_set(f, ERR_INVALID, "its client certificate is not there");
	}
	return read_pairs(&m->arena, vaults, certificate, m->pairs, f);
}

static struct tls_client_options options_of(const struct service *s, const struct json *v,
					    const struct material *m)
{
	struct tls_client_options o = {
		.alpn = s->http2 ? TLS_ALPN_H2 : TLS_ALPN_HTTP1,
		.insecure = !(s->tls_verify.has && s->tls_verify.v),
		.ca = m->ca,
	};
	int64_t depth;

	if (json_int(json_get(v, STR("tls_verify_depth")), &depth)) {
		o.depth = (unsigned)depth;
	}
	return o;
}

static void digest_of(const struct material *m, const struct tls_client_options *o,
		      uint8_t out[SHA256_LEN])
{
	const struct str parts[] = {m->ca, m->pairs[0].cert, m->pairs[0].key, m->pairs[1].cert,
				    m->pairs[1].key};
	struct buf b = {0};
	size_t n = 256;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		n += parts[i].n;
	}
	(void)buf_reserve(&b, n); /* at once: keys must not stay in memory that it grew out of */
	buf_printf(&b, "%d:%d:%u:", (int)o->alpn, (int)o->insecure, o->depth);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		buf_printf(&b, "%zu:", parts[i].n);
		buf_put(&b, parts[i]);
	}
	crypto_sha256(buf_str(&b), out);
	mem_wipe(b.p, b.n);
	buf_free(&b);
}

static enum err make(struct tls_client_options o, const struct material *m, struct tls_client **out,
		     struct fault *f)
{
	struct tls_cert *cert = NULL;
	enum err e;

	if (m->pairs[0].cert.n > 0) {
		TRY(tls_cert_new(m->pairs, m->pairs[1].cert.n > 0 ? 2 : 1, &cert, f));
	}
	o.cert = cert;
	e = tls_client_new(&o, out, f);
	tls_cert_unref(&cert);
	return e;
}

/* An entry is kept as long as what it was made of, however often that was written. */
static bool is_as_before(const struct cached *c, const uint8_t digest[SHA256_LEN])
{
	return c && c->tls && memcmp(c->made_of, digest, SHA256_LEN) == 0;
}

static struct cached *replace(struct service_tls *t, const struct guid *service)
{
	struct cached *c = MEM_NEW(struct cached);

	service_tls_forget(t, service);
	c->service = *service;
	(void)map_set(&t->by_service, guid_bytes(&c->service), c);
	return c;
}

struct tls_client *service_tls_get(struct service_tls *t, const struct vaults *vaults,
				   const struct service *s, const struct entity_item *item,
				   const struct map *certificates,
				   const struct map *ca_certificates)
{
	struct cached *c = map_get(&t->by_service, guid_bytes(&s->pub.id));
	struct tls_client_options o;
	uint8_t digest[SHA256_LEN];
	struct material m = {0};
	struct fault f = {0};
	enum err e;

	if (c && c->item == item && c->generation == t->generation) {
		return c->tls ? tls_client_ref(c->tls) : NULL;
	}
	arena_init(&m.arena, 0);
	e = read_ca(&m, item->json, ca_certificates, &f);
	e = e == ERR_OK ? read_client_pairs(&m, vaults, s, certificates, &f) : e;
	o = options_of(s, item->json, &m);
	digest_of(&m, &o, digest);
	if (e != ERR_OK || !is_as_before(c, digest)) {
		c = replace(t, &s->pub.id);
		memcpy(c->made_of, digest, SHA256_LEN);
		if (e == ERR_OK) {
			e = make(o, &m, &c->tls, &f);
		}
	}
	entity_item_unref(&c->item);
	c->item = entity_item_ref((struct entity_item *)(uintptr_t)item);
	c->generation = t->generation;
	if (e != ERR_OK) {
		complain("TLS to a service is not possible: it answers 502", &s->pub.id, &f);
	}
	arena_fini(&m.arena);
	return c->tls ? tls_client_ref(c->tls) : NULL;
}
