#include "connector/target.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdatomic.h>

struct target_set {
	atomic_uint refs;
	struct arena arena;
	struct map by_id; /* lower-case id -> struct target */
	const struct target *catch_all;
	struct tls_client *tls; /* trusts the system's CAs; made with the first web target */
	size_t n;		/* configured */
};

/* ---- one target ---- */

static const char *const types[] = {"web", "ping", "echo", NULL};

struct target_settings {
	int type;
	struct str url;
	int64_t timeout_ms;
	bool follow_redirects;
	bool catch_all;
	struct str ca;
	bool verify;
	struct str comment;
};

#define OFF(member) offsetof(struct target_settings, member)
static const struct conf_key target_keys[] = {
	{"type", CONF_ENUM, OFF(type), "web", 0, 0, types, CONF_RELOAD, "web, ping or echo."},
	{"url", CONF_STR, OFF(url), NULL, 0, 0, NULL, CONF_RELOAD, "Base address of a web target."},
	{"timeout", CONF_DURATION, OFF(timeout_ms), "100s", 1, INT64_C(24) * 3600 * 1000, NULL,
	 CONF_RELOAD, "Time until the target answers, and longest pause in its answer."},
	{"follow_redirects", CONF_BOOL, OFF(follow_redirects), "false", 0, 0, NULL, CONF_RELOAD,
	 "Follow up to 50 redirections instead of passing them on."},
	{"catch_all", CONF_BOOL, OFF(catch_all), "false", 0, 0, NULL, CONF_RELOAD,
	 "Take requests to names that are not configured, too."},
	{"ca", CONF_STR, OFF(ca), NULL, 0, 0, NULL, CONF_RELOAD,
	 "PEM file of the CAs that may have signed the target's certificate; else the system's."},
	{"verify", CONF_BOOL, OFF(verify), "true", 0, 0, NULL, CONF_RELOAD,
	 "false = take any certificate of the target."},
	{"comment", CONF_STR, OFF(comment), NULL, 0, 0, NULL, CONF_RELOAD, "For people."},
};
#undef OFF

static const struct conf_section target_conf = {"connect.targets", "", target_keys,
						ARRAY_LEN(target_keys)};

static enum err read_url(struct target_set *s, struct target *t, const struct conf_node *node,
			 struct str url, struct fault *f)
{
	struct fault why = {0};

	if (url.n == 0) {
		return conf_fault(f, node, "connect.targets.%.*s: a web target needs a url",
				  STR_ARG(t->id));
	}
	if (uri_parse(str_dup(&s->arena, url), &t->uri, &why) != ERR_OK) {
		return conf_fault(f, node, "connect.targets.%.*s.url: %s", STR_ARG(t->id),
				  why.text);
	}
	t->authority = uri_authority(&s->arena, &t->uri);
	return ERR_OK;
}

static void unref_tls(void *obj)
{
	struct tls_client *c = obj;

	tls_client_unref(&c);
}

static enum err make_tls(struct target_set *s, const struct conf_node *node,
			 const struct target_settings *in, struct tls_client **out, struct fault *f)
{
	const struct conf_node *at = conf_get(node, STR("ca"));
	struct tls_client_options o = {.alpn = TLS_ALPN_HTTP1, .insecure = !in->verify};
	struct fault why = {0};

	if (in->ca.n > 0 && tls_pem_load(&s->arena, conf_dir(at), in->ca, &o.ca, &why) != ERR_OK) {
		return conf_fault(f, at, "connect.targets.%.*s.ca: %s", STR_ARG(node->key),
				  why.text);
	}
	if (tls_client_new(&o, out, &why) != ERR_OK) {
		return conf_fault(f, at, "connect.targets.%.*s.ca: %s", STR_ARG(node->key),
				  why.text);
	}
	arena_defer(&s->arena, unref_tls, *out);
	return ERR_OK;
}

static enum err read_tls(struct target_set *s, struct target *t, const struct conf_node *node,
			 const struct target_settings *in, struct fault *f)
{
	if (!s->tls) {
		const struct target_settings usual = {.verify = true};

		TRY(make_tls(s, node, &usual, &s->tls, f));
	}
	t->tls = t->tls_other = s->tls;
	return in->ca.n > 0 || !in->verify ? make_tls(s, node, in, &t->tls, f) : ERR_OK;
}

static enum err read_target(struct target_set *s, const struct conf_node *node, struct target *t,
			    bool *out_catch_all, struct fault *f)
{
	struct target_settings in = {.timeout_ms = TARGET_TIMEOUT_MS, .verify = true};

	if (node->kind == CONF_NODE_SCALAR) {
		in.url = conf_text(node);
	} else {
		TRY(conf_apply(&s->arena, &target_conf, node, &in, f));
	}
	t->type = (enum target_type)in.type;
	t->timeout_ms = (uint32_t)in.timeout_ms;
	t->follow_redirects = in.follow_redirects;
	*out_catch_all = in.catch_all || str_eq_nocase(t->id, STR(TARGET_CATCH_ALL));
	if (t->type != TARGET_WEB) {
		return ERR_OK;
	}
	TRY(read_url(s, t, node, in.url, f));
	return read_tls(s, t, node, &in, f);
}

/* ---- the set ---- */

static enum err add(struct target_set *s, const struct conf_node *node, struct fault *f)
{
	struct target *t = ARENA_NEW(&s->arena, struct target);
	bool is_catch_all;

	if (node->key.n == 0 || node->key.n > TARGET_ID_MAX) {
		return conf_fault(f, node, "connect.targets: a name has 1 to %d bytes",
				  TARGET_ID_MAX);
	}
	t->id = str_dup(&s->arena, node->key);
	TRY(read_target(s, node, t, &is_catch_all, f));
	if (map_set(&s->by_id, str_lower(&s->arena, t->id), t)) {
		return conf_fault(f, node, "connect.targets: \"%.*s\" is there twice",
				  STR_ARG(t->id));
	}
	if (is_catch_all) {
		if (s->catch_all) {
			return conf_fault(f, node,
					  "connect.targets: both \"%.*s\" and \"%.*s\" catch all",
					  STR_ARG(s->catch_all->id), STR_ARG(t->id));
		}
		s->catch_all = t;
	}
	s->n++;
	return ERR_OK;
}

static void add_builtin(struct target_set *s, struct str id, enum target_type type)
{
	if (!map_get(&s->by_id, id)) {
		struct target *t = ARENA_NEW(&s->arena, struct target);

		*t = (struct target){.id = id, .type = type, .timeout_ms = TARGET_TIMEOUT_MS};
		(void)map_set(&s->by_id, id, t);
	}
}

static enum err fill(struct target_set *s, const struct conf_node *node, struct fault *f)
{
	if (!conf_is_null(node) && node->kind != CONF_NODE_MAP) {
		return conf_fault(f, node, "connect.targets: must be a map of ID: URL or ID: {…}");
	}
	for (const struct conf_node *c = node ? node->child : NULL; c; c = c->next) {
		TRY(add(s, c, f));
	}
	add_builtin(s, STR("$ping"), TARGET_PING);
	add_builtin(s, STR("$echo"), TARGET_ECHO);
	return ERR_OK;
}

enum err target_set_new(const struct conf_node *node, struct target_set **out, struct fault *f)
{
	struct target_set *s = MEM_NEW(struct target_set);
	enum err e;

	atomic_init(&s->refs, 1);
	arena_init(&s->arena, 0);
	e = fill(s, node, f);
	if (e != ERR_OK) {
		target_set_unref(&s);
		return e;
	}
	*out = s;
	return ERR_OK;
}

struct target_set *target_set_ref(struct target_set *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void target_set_unref(struct target_set **sp)
{
	struct target_set *s = *sp;

	*sp = NULL;
	if (s && atomic_fetch_sub(&s->refs, 1) == 1) {
		map_free(&s->by_id);
		arena_fini(&s->arena);
		mem_free(s);
	}
}

const struct target *target_find(const struct target_set *s, struct str id)
{
	char lower[TARGET_ID_MAX];
	const struct target *t = NULL;

	if (id.n <= sizeof(lower)) {
		for (size_t i = 0; i < id.n; i++) {
			lower[i] = ascii_lower(id.p[i]);
		}
		t = map_get(&s->by_id, str_of(lower, id.n));
	}
	return t ? t : s->catch_all;
}

size_t target_set_count(const struct target_set *s)
{
	return s->n;
}
