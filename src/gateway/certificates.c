#include "gateway/certificates.h"

#include "base/log.h"
#include "base/mem.h"

static struct str text_of(const struct json *v, const char *name)
{
	const struct json *m = json_get(v, str_c(name));

	return json_is_null(m) ? STR_NULL : json_str(m);
}

static struct str key_of(const struct guid *id)
{
	return str_of(id->b, sizeof(id->b));
}

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
	*out = text_of(item->json, name);
	return vault_is_reference(*out) ? vault_resolve(a, vaults, *out, out, f) : ERR_OK;
}

static enum err read_cert(struct arena *a, const struct vaults *vaults,
			  const struct entity_item *item, struct tls_cert **out, struct fault *f)
{
	struct tls_pem pairs[2];

	TRY(pem_of(a, vaults, item, "cert", &pairs[0].cert, f));
	TRY(pem_of(a, vaults, item, "key", &pairs[0].key, f));
	TRY(pem_of(a, vaults, item, "cert_alt", &pairs[1].cert, f));
	TRY(pem_of(a, vaults, item, "key_alt", &pairs[1].key, f));
	return tls_cert_new(pairs, pairs[1].cert.n > 0 ? 2 : 1, out, f);
}

/* NULL with a fault. */
static struct tls_cert *cert_of(const struct vaults *vaults, const struct entity_item *item,
				struct fault *f)
{
	struct tls_cert *cert = NULL;
	struct arena a;
	enum err e;

	arena_init(&a, 0);
	e = read_cert(&a, vaults, item, &cert, f);
	arena_fini(&a);
	return e == ERR_OK ? cert : NULL;
}

static void add_name(struct tls_sni_map *m, const struct vaults *vaults,
		     const struct map *certificates, const struct entity_item *sni)
{
	struct guid owner = compile_foreign(sni->json, "certificate");
	const struct entity_item *item = map_get(certificates, key_of(&owner));
	struct fault f = {0};
	struct tls_cert *cert = item ? cert_of(vaults, item, &f) : NULL;

	if (!cert) {
		complain("a certificate cannot be used", &owner, &f);
		return;
	}
	if (tls_sni_map_add(m, text_of(sni->json, "name"), cert) != ERR_OK) {
		complain("an sni is no name", &sni->id, &f);
	}
	tls_cert_unref(&cert);
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
	/* What it was made of: the same items make the same context. */
	struct entity_item *item, *certificate;
	struct tls_client *tls;
};

struct service_tls {
	struct map by_service;
};

struct service_tls *service_tls_new(void)
{
	return MEM_NEW(struct service_tls);
}

static void cached_free(struct cached *c)
{
	entity_item_unref(&c->item);
	entity_item_unref(&c->certificate);
	tls_client_unref(&c->tls);
	mem_free(c);
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

/* PEM of all that the service names, one after the other. */
static struct str trusted(struct arena *a, const struct json *v, const struct map *ca_certificates)
{
	const struct json *ids = json_get(v, STR("ca_certificates"));
	struct buf b = {0};
	struct str out;

	for (const struct json *e = json_is_null(ids) ? NULL : ids->child; e; e = e->next) {
		const struct entity_item *item;
		struct guid id;

		if (guid_parse(json_str(e), &id) == ERR_OK &&
		    (item = map_get(ca_certificates, key_of(&id)))) {
			buf_put(&b, text_of(item->json, "cert"));
			buf_putc(&b, '\n');
		}
	}
	out = str_dup(a, buf_str(&b));
	buf_free(&b);
	return out;
}

/* `cert` is shown to a service that asks; NULL = none. */
static enum err make(const struct service *s, const struct entity_item *item,
		     const struct tls_cert *cert, const struct map *ca_certificates,
		     struct tls_client **out, struct fault *f)
{
	struct tls_client_options o = {
		.alpn = s->http2 ? TLS_ALPN_H2 : TLS_ALPN_HTTP1,
		.insecure = !(s->tls_verify.has && s->tls_verify.v),
		.cert = cert,
	};
	int64_t depth;
	struct arena a;
	enum err e;

	arena_init(&a, 0);
	o.ca = trusted(&a, item->json, ca_certificates);
	if (json_int(json_get(item->json, STR("tls_verify_depth")), &depth)) {
		o.depth = (unsigned)depth;
	}
	e = tls_client_new(&o, out, f);
	arena_fini(&a);
	return e;
}

struct tls_client *service_tls_get(struct service_tls *t, const struct vaults *vaults,
				   const struct service *s, const struct entity_item *item,
				   const struct map *certificates,
				   const struct map *ca_certificates)
{
	struct entity_item *certificate = map_get(certificates, key_of(&s->client_certificate));
	struct cached *c = map_get(&t->by_service, key_of(&s->pub.id));
	struct tls_cert *cert = NULL;
	struct fault f = {0};
	bool ok;

	if (c && c->item == item && c->certificate == certificate) {
		return tls_client_ref(c->tls);
	}
	if (c) {
		(void)map_remove(&t->by_service, key_of(&s->pub.id));
		cached_free(c);
	}
	c = MEM_NEW(struct cached);
	cert = certificate ? cert_of(vaults, certificate, &f) : NULL;
	ok = (cert || !certificate) && make(s, item, cert, ca_certificates, &c->tls, &f) == ERR_OK;
	tls_cert_unref(&cert);
	if (!ok) {
		complain("TLS to a service is not possible", &s->pub.id, &f);
		mem_free(c);
		return NULL;
	}
	c->service = s->pub.id;
	c->item = entity_item_ref((struct entity_item *)(uintptr_t)item);
	c->certificate = certificate ? entity_item_ref(certificate) : NULL;
	(void)map_set(&t->by_service, key_of(&c->service), c);
	return tls_client_ref(c->tls);
}
