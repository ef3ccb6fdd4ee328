#include "app/listen.h"

#include "base/mem.h"
#include "net/addr.h"

/* ---- keys ---- */

struct tls_settings {
	struct str cert, key, cert_alt, key_alt;
	const struct conf_node *certificates;
	int min_version, max_version;
	struct str ciphers;
	bool session_tickets;
	struct str client_ca;
	int client_certificates;
	int64_t client_depth;
};

struct named_pair {
	struct conf_strs names;
	struct str cert, key, cert_alt, key_alt;
};

static const char *const versions[] = {"TLSv1.2", "TLSv1.3", NULL};
static const enum tls_version version_values[] = {TLS_V1_2, TLS_V1_3};
static const char *const asks[] = {"none", "optional", "required", NULL};
static const enum tls_ask ask_values[] = {TLS_ASK_NONE, TLS_ASK_OPTIONAL, TLS_ASK_REQUIRED};

#define AT(member) offsetof(struct listen_entry, member)
static const struct conf_key entry_keys[] = {
	{"address", CONF_STR, AT(address), NULL, 0, 0, NULL, CONF_REQUIRED, ""},
	{"http2", CONF_BOOL, AT(http2), "false", 0, 0, NULL, 0, ""},
	{"proxy_protocol", CONF_BOOL, AT(proxy_protocol), "false", 0, 0, NULL, 0, ""},
	{"tls", CONF_NODE, AT(tls), NULL, 0, 0, NULL, 0, ""},
};
#undef AT

#define AT(member) offsetof(struct tls_settings, member)
static const struct conf_key tls_keys[] = {
	{"cert", CONF_STR, AT(cert), NULL, 0, 0, NULL, 0, ""},
	{"key", CONF_SECRET, AT(key), NULL, 0, 0, NULL, 0, ""},
	{"cert_alt", CONF_STR, AT(cert_alt), NULL, 0, 0, NULL, 0, ""},
	{"key_alt", CONF_SECRET, AT(key_alt), NULL, 0, 0, NULL, 0, ""},
	{"certificates", CONF_NODE, AT(certificates), NULL, 0, 0, NULL, 0, ""},
	{"min_version", CONF_ENUM, AT(min_version), "TLSv1.2", 0, 0, versions, 0, ""},
	{"max_version", CONF_ENUM, AT(max_version), "TLSv1.3", 0, 0, versions, 0, ""},
	{"ciphers", CONF_STR, AT(ciphers), "intermediate", 0, 0, NULL, 0, ""},
	{"session_tickets", CONF_BOOL, AT(session_tickets), "true", 0, 0, NULL, 0, ""},
	{"client_ca", CONF_STR, AT(client_ca), NULL, 0, 0, NULL, 0, ""},
	{"client_certificates", CONF_ENUM, AT(client_certificates), NULL, 0, 0, asks, 0, ""},
	{"client_depth", CONF_INT, AT(client_depth), "0", 0, 100, NULL, 0, ""},
};
#undef AT

#define AT(member) offsetof(struct named_pair, member)
static const struct conf_key pair_keys[] = {
	{"names", CONF_STRS, AT(names), NULL, 0, 0, NULL, CONF_REQUIRED, ""},
	{"cert", CONF_STR, AT(cert), NULL, 0, 0, NULL, CONF_REQUIRED, ""},
	{"key", CONF_SECRET, AT(key), NULL, 0, 0, NULL, CONF_REQUIRED, ""},
	{"cert_alt", CONF_STR, AT(cert_alt), NULL, 0, 0, NULL, 0, ""},
	{"key_alt", CONF_SECRET, AT(key_alt), NULL, 0, 0, NULL, 0, ""},
};
#undef AT

static const struct conf_section entry_conf = {"listen", "", entry_keys, ARRAY_LEN(entry_keys)};
static const struct conf_section tls_conf = {"listen.tls", "", tls_keys, ARRAY_LEN(tls_keys)};
static const struct conf_section pair_conf = {"listen.tls.certificates", "", pair_keys,
					      ARRAY_LEN(pair_keys)};

/* A fault of `why` at the node, with the section before it. */
static enum err fail_tls(const struct conf_node *node, const char *section, const struct fault *why,
			 struct fault *f)
{
	return conf_fault(f, node, "%s.listen.tls: %s", section, why->text);
}

/* ---- reading the tree ---- */

static enum err check_tls(struct arena *a, const struct conf_node *node, const char *section,
			  struct fault *f)
{
	struct tls_settings t;
	struct named_pair pair;

	TRY(conf_apply(a, &tls_conf, node, &t, f));
	if (t.certificates && t.certificates->kind != CONF_NODE_LIST) {
		return conf_fault(
			f, t.certificates,
			"%s.listen.tls.certificates: must be a list of {names, cert, key}",
			section);
	}
	for (const struct conf_node *c = t.certificates ? t.certificates->child : NULL; c;
	     c = c->next) {
		TRY(conf_apply(a, &pair_conf, c, &pair, f));
	}
	return ERR_OK;
}

static enum err add(struct arena *a, const char *section, const struct listen_entry *e,
		    struct listen_set *out, const struct conf_node *node, struct fault *f)
{
	struct listen_entry *entry = &out->v[out->n];
	struct addr addr;

	if (out->n == LISTEN_MAX) {
		return conf_fault(f, node, "%s.listen: at most %d addresses", section, LISTEN_MAX);
	}
	if (addr_parse(e->address, &addr) != ERR_OK) {
		return conf_fault(f, node,
				  "%s.listen: \"%.*s\" is no address to listen on (try "
				  "127.0.0.1:5000 or [::]:5000)",
				  section, STR_ARG(str_slice(e->address, 0, 60)));
	}
	*entry = *e;
	entry->section = section;
	entry->node = node;
	if (conf_is_null(entry->tls)) {
		entry->tls = NULL;
	} else {
		TRY(check_tls(a, entry->tls, section, f));
	}
	out->n++;
	return ERR_OK;
}

static enum err add_text(struct arena *a, const char *section, const struct conf_node *node,
			 struct listen_set *out, struct fault *f)
{
	struct str rest = conf_text(node), part;

	while (str_split(&rest, ',', &part)) {
		part = str_trim(part);
		if (part.n > 0) {
			TRY(add(a, section, &(struct listen_entry){.address = part}, out, node, f));
		}
	}
	return ERR_OK;
}

static enum err add_node(struct arena *a, const char *section, const struct conf_node *node,
			 struct listen_set *out, struct fault *f)
{
	struct listen_entry e = {0};

	if (node->kind == CONF_NODE_SCALAR) {
		return add_text(a, section, node, out, f);
	}
	TRY(conf_apply(a, &entry_conf, node, &e, f));
	return add(a, section, &e, out, node, f);
}

enum err listen_read(struct arena *a, const char *section, const struct conf_node *node,
		     struct listen_set *out, struct fault *f)
{
	*out = (struct listen_set){ARENA_NEW_ARRAY(a, struct listen_entry, LISTEN_MAX), 0};
	if (conf_is_null(node)) {
		return ERR_OK;
	}
	if (node->kind != CONF_NODE_LIST) {
		return add_node(a, section, node, out, f);
	}
	for (const struct conf_node *c = node->child; c; c = c->next) {
		TRY(add_node(a, section, c, out, f));
	}
	return ERR_OK;
}

/* ---- files ---- */

struct reader {
	struct arena arena; /* of the texts; goes with the keys in it */
	const struct listen_entry *entry;
	struct tls_settings t;
	struct fault *fault;
};

static enum err load(struct reader *r, const struct conf_node *map, const char *key,
		     struct str value, struct str *out)
{
	const struct conf_section *in = map == r->entry->tls ? &tls_conf : &pair_conf;
	const struct conf_node *node = conf_get(map, str_c(key));
	struct fault why = {0};

	if (tls_pem_load(&r->arena, conf_dir(node), value, out, &why) != ERR_OK) {
		return conf_fault(r->fault, node, "%s.%s.%s: %s", r->entry->section, in->name, key,
				  why.text);
	}
	return ERR_OK;
}

static enum err load_cert(struct reader *r, const struct conf_node *map, const struct named_pair *p,
			  struct tls_cert **out)
{
	struct tls_pem pems[2];
	size_t n = p->cert_alt.n > 0 || p->key_alt.n > 0 ? 2 : 1;
	struct fault why = {0};

	TRY(load(r, map, "cert", p->cert, &pems[0].cert));
	TRY(load(r, map, "key", p->key, &pems[0].key));
	if (n == 2) {
		TRY(load(r, map, "cert_alt", p->cert_alt, &pems[1].cert));
		TRY(load(r, map, "key_alt", p->key_alt, &pems[1].key));
	}
	if (tls_cert_new(pems, n, out, &why) != ERR_OK) {
		return fail_tls(map, r->entry->section, &why, r->fault);
	}
	return ERR_OK;
}

static enum err add_names(struct reader *r, const struct conf_node *node, struct tls_sni_map *m)
{
	struct named_pair p;
	struct tls_cert *c = NULL;
	enum err e = ERR_OK;

	TRY(conf_apply(&r->arena, &pair_conf, node, &p, r->fault));
	TRY(load_cert(r, node, &p, &c));
	for (size_t i = 0; i < p.names.n && e == ERR_OK; i++) {
		if (tls_sni_map_add(m, p.names.v[i], c) != ERR_OK) {
			e = conf_fault(r->fault, node, "%s.listen.tls: \"%.*s\" is no name",
				       r->entry->section, STR_ARG(str_slice(p.names.v[i], 0, 60)));
		}
	}
	tls_cert_unref(&c);
	return e;
}

static bool has_files(const struct tls_settings *t)
{
	return t->cert.n > 0 || t->key.n > 0 || (t->certificates && t->certificates->child);
}

static enum err make_map(struct reader *r, struct tls_sni_map **out)
{
	const struct conf_node *tls = r->entry->tls;
	struct named_pair own = {.cert = r->t.cert,
				 .key = r->t.key,
				 .cert_alt = r->t.cert_alt,
				 .key_alt = r->t.key_alt};
	const struct conf_node *list = r->t.certificates;
	struct tls_cert *dflt = NULL;
	struct tls_sni_map *m;
	enum err e = ERR_OK;

	if (own.cert.n == 0 && !(list && list->child)) {
		return conf_fault(r->fault, tls, "%s.listen.tls: cert and key are required",
				  r->entry->section);
	}
	if (own.cert.n > 0) {
		TRY(load_cert(r, tls, &own, &dflt));
	}
	m = tls_sni_map_new(dflt);
	tls_cert_unref(&dflt);
	for (const struct conf_node *c = list ? list->child : NULL; c && e == ERR_OK; c = c->next) {
		e = add_names(r, c, m);
	}
	if (e != ERR_OK) {
		tls_sni_map_unref(&m);
		return e;
	}
	*out = m;
	return ERR_OK;
}

static enum err set_clients(struct reader *r, struct tls_server_options *o)
{
	const struct conf_node *tls = r->entry->tls;

	o->ask = ask_values[r->t.client_certificates];
	o->depth = (unsigned)r->t.client_depth;
	if (r->t.client_ca.n > 0) {
		/* Whoever names a CA wants it used. */
		if (!conf_get(tls, STR("client_certificates"))) {
			o->ask = TLS_ASK_REQUIRED;
		}
		TRY(load(r, tls, "client_ca", r->t.client_ca, &o->client_ca));
	}
	return ERR_OK;
}

static enum err make(struct reader *r, tls_pick_fn *pick, void *arg, struct tls_server **out)
{
	struct tls_server_options o = {.pick = pick, .arg = arg};
	struct fault why = {0};
	enum err e;

	TRY(conf_apply(&r->arena, &tls_conf, r->entry->tls, &r->t, r->fault));
	o.limits = (struct tls_limits){version_values[r->t.min_version],
				       version_values[r->t.max_version], r->t.ciphers};
	o.no_tickets = !r->t.session_tickets;
	o.alpn = TLS_ALPN_HTTP1 | (r->entry->http2 ? (unsigned)TLS_ALPN_H2 : 0u);
	TRY(set_clients(r, &o));
	/* Who picks may be all there is; files beside it are for the other names. */
	if (!pick || has_files(&r->t)) {
		TRY(make_map(r, &o.certs));
	}
	e = tls_server_new(&o, out, &why);
	tls_sni_map_unref(&o.certs);
	return e == ERR_OK ? e : fail_tls(r->entry->tls, r->entry->section, &why, r->fault);
}

enum err listen_tls(const struct listen_entry *entry, tls_pick_fn *pick, void *arg,
		    struct tls_server **out, struct fault *f)
{
	struct reader r = {.entry = entry, .fault = f};
	enum err e;

	if (!entry->tls) {
		*out = NULL;
		return ERR_OK;
	}
	arena_init(&r.arena, 0);
	e = make(&r, pick, arg, out);
	arena_fini(&r.arena);
	return e;
}

enum err listen_open(const struct listen_entry *e, const struct listen_pick *pick,
		     struct http_server *server, struct loops *loops, struct fault *f)
{
	struct http_listen l = {
		.address = e->address,
		.proxy_protocol = e->proxy_protocol,
		.http2 = e->http2,
	};
	enum err result;

	TRY(listen_tls(e, pick->fn, pick->arg, &l.tls, f));
	result = http_server_listen(server, loops, &l, f);
	tls_server_unref(&l.tls);
	return result;
}

/* ---- reload ---- */

static const struct listen_entry *find(const struct listen_set *set, struct str address)
{
	for (size_t i = 0; i < set->n; i++) {
		if (str_eq(set->v[i].address, address)) {
			return &set->v[i];
		}
	}
	return NULL;
}

enum err listen_prepare(const struct listen_set *now, const struct listen_set *next,
			const struct listen_pick *pick, struct listen_change *out, struct fault *f)
{
	for (size_t i = 0; i < now->n; i++) {
		bool stays = i < next->n && str_eq(next->v[i].address, now->v[i].address);
		const struct listen_entry *e = stays ? &next->v[i] : find(next, now->v[i].address);

		if (!e) {
			continue;
		}
		out->v[i].named = true;
		out->v[i].http2 = e->http2;
		if (e->tls && now->v[i].tls) {
			TRY(listen_tls(e, pick->fn, pick->arg, &out->v[i].tls, f));
		}
	}
	return ERR_OK;
}

void listen_commit(struct listen_change *c, struct http_server *server)
{
	for (size_t i = 0; i < LISTEN_MAX; i++) {
		if (c->v[i].named && server) {
			http_server_set_http2(server, i, c->v[i].http2);
		}
		if (c->v[i].tls && server) {
			http_server_set_tls(server, i, c->v[i].tls);
		}
		tls_server_unref(&c->v[i].tls);
	}
}
