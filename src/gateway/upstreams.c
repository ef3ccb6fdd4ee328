#include "gateway/upstreams.h"

#include "base/list.h"
#include "base/mem.h"
#include "gateway/compile.h"

/* ---- values ---- */

static const struct json *values_of(struct arena *a, const struct entity_item *item)
{
	return schema_in_use(a, entity_defs[item->kind].schema, item->json);
}

static int64_t int_of(const struct json *v, const char *name)
{
	int64_t n;

	return json_int(json_get(v, str_c(name)), &n) ? n : 0;
}

/* Intervals and timeouts are seconds, possibly with a fraction. */
static uint32_t ms_of(const struct json *v, const char *name)
{
	const struct json *m = json_get(v, str_c(name));
	int64_t whole, thousandth = 0;
	struct str text, fraction;
	ptrdiff_t dot;

	if (!m || m->type != JSON_NUMBER) {
		return 0;
	}
	text = m->text;
	dot = str_index(text, '.');
	if (!str_to_i64(dot < 0 ? text : str_slice(text, 0, (size_t)dot), &whole)) {
		return 0;
	}
	fraction = dot < 0 ? STR_NULL : str_skip(text, (size_t)dot + 1);
	for (size_t i = 0; i < 3; i++) {
		char c = i < fraction.n ? fraction.p[i] : '0';

		thousandth = thousandth * 10 + (c >= '0' && c <= '9' ? c - '0' : 0);
	}
	return (uint32_t)(whole * 1000 + thousandth);
}

static void add_statuses(struct status_set *set, const struct json *list)
{
	int64_t status;

	for (const struct json *e = json_is_null(list) ? NULL : list->child; e; e = e->next) {
		if (json_int(e, &status)) {
			status_set_add(set, (int)status);
		}
	}
}

/* ---- health checks ---- */

static void read_rules(const struct json *v, struct health_rules *out)
{
	const struct json *up = json_get(v, STR("healthy"));
	const struct json *down = json_get(v, STR("unhealthy"));

	add_statuses(&out->healthy_statuses, json_get(up, STR("http_statuses")));
	add_statuses(&out->unhealthy_statuses, json_get(down, STR("http_statuses")));
	out->successes = (uint8_t)int_of(up, "successes");
	out->tcp_failures = (uint8_t)int_of(down, "tcp_failures");
	out->timeouts = (uint8_t)int_of(down, "timeouts");
	out->http_failures = (uint8_t)int_of(down, "http_failures");
}

static enum probe_type probe_type_of(struct str name)
{
	static const struct {
		const char *name;
		enum probe_type type;
	} types[] = {{"https", PROBE_HTTPS},
		     {"tcp", PROBE_TCP},
		     {"grpc", PROBE_GRPC},
		     {"grpcs", PROBE_GRPCS}};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (str_eq(name, str_c(types[i].name))) {
			return types[i].type;
		}
	}
	return PROBE_HTTP;
}

static void read_headers(struct arena *a, const struct json *map, struct health_config *out)
{
	struct health_header *v;
	size_t n = 0;

	for (const struct json *m = json_is_null(map) ? NULL : map->child; m; m = m->next) {
		n += m->n;
	}
	v = ARENA_NEW_ARRAY(a, struct health_header, n + 1);
	out->active.headers = v;
	for (const struct json *m = json_is_null(map) ? NULL : map->child; m; m = m->next) {
		for (const struct json *e = m->child; e; e = e->next) {
			v[out->active.n_headers++] = (struct health_header){m->key, json_str(e)};
		}
	}
}

static void read_health(struct arena *a, const struct json *v, struct health_config *out)
{
	const struct json *active = json_get(v, STR("active"));
	const struct json *verify = json_get(active, STR("https_verify_certificate"));

	out->threshold = (unsigned)int_of(v, "threshold");
	read_rules(json_get(v, STR("passive")), &out->passive);
	read_rules(active, &out->active.rules);
	out->active.type = probe_type_of(json_get_str(active, "type"));
	out->active.healthy_interval_ms = ms_of(json_get(active, STR("healthy")), "interval");
	out->active.unhealthy_interval_ms = ms_of(json_get(active, STR("unhealthy")), "interval");
	out->active.timeout_ms = ms_of(active, "timeout");
	out->active.concurrency = (unsigned)int_of(active, "concurrency");
	out->active.http_path = json_get_str(active, "http_path");
	out->active.https_sni = json_get_str(active, "https_sni");
	out->active.https_verify = json_is_null(verify) || json_bool(verify);
	read_headers(a, json_get(active, STR("headers")), out);
}

/* ---- upstreams ---- */

static enum balancer_algorithm algorithm_of(struct str name)
{
	if (str_eq(name, STR("consistent-hashing"))) {
		return BALANCER_CONSISTENT_HASHING;
	}
	if (str_eq(name, STR("least-connections"))) {
		return BALANCER_LEAST_CONNECTIONS;
	}
	return str_eq(name, STR("latency")) ? BALANCER_LATENCY : BALANCER_ROUND_ROBIN;
}

/* `field` is "hash_on" or "hash_fallback"; the cookie has one name for both. */
static struct balancer_hash hash_of(struct arena *a, const struct json *v, const char *field)
{
	static const char *const names[] = {"none",   "consumer", "ip",	       "header",
					    "cookie", "path",	  "query_arg", "uri_capture"};
	struct str on = json_get_str(v, field);
	struct balancer_hash h = {0};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (str_eq(on, str_c(names[i]))) {
			h.on = (enum balancer_hash_on)i;
		}
	}
	if (h.on == BALANCER_HASH_COOKIE) {
		h.name = json_get_str(v, "hash_on_cookie");
	} else if (h.on == BALANCER_HASH_HEADER || h.on == BALANCER_HASH_QUERY_ARG ||
		   h.on == BALANCER_HASH_URI_CAPTURE) {
		h.name = json_get_str(v, str_cstr(a, str_fmt(a, "%s_%.*s", field, STR_ARG(on))));
	}
	return h;
}

static bool split_target(struct str target, struct balancer_target *out)
{
	ptrdiff_t colon = str_rindex(target, ':');
	uint64_t port = 8000;

	if (colon >= 0 && str_index(target, ']') < colon) {
		if (!str_to_u64(str_skip(target, (size_t)colon + 1), &port) || port > 65535) {
			return false;
		}
		target = str_slice(target, 0, (size_t)colon);
	}
	if (target.n > 2 && target.p[0] == '[') {
		target = str_slice(target, 1, target.n - 2);
	}
	out->host = target;
	out->port = (uint16_t)port;
	return target.n > 0;
}

/* ---- targets by upstream ---- */

/* item->compiled of a target, in the item's arena. */
struct member {
	struct list_node node;
	struct guid upstream;
	struct balancer_target target;
};

struct group {
	struct guid upstream;
	struct list members;
	size_t n;
};

/* NULL: it has no usable address. */
static struct member *member_of(struct entity_item *item)
{
	struct member *m = item->compiled;

	if (m) {
		return m;
	}
	const struct json *v = values_of(&item->arena, item);
	struct balancer_target target = {.id = item->id,
					 .target = json_get_str(v, "target"),
					 .weight = (unsigned)int_of(v, "weight")};

	if (split_target(target.target, &target)) {
		item->compiled = m = ARENA_NEW(&item->arena, struct member);
		m->upstream = compile_foreign(v, "upstream");
		m->target = target;
	}
	return m;
}

static void join(struct upstreams *u, struct member *m)
{
	struct group *g = map_get(&u->groups, guid_bytes(&m->upstream));

	if (!g) {
		g = MEM_NEW(struct group);
		g->upstream = m->upstream;
		list_init(&g->members);
		(void)map_set(&u->groups, guid_bytes(&g->upstream), g);
	}
	list_push(&g->members, &m->node);
	g->n++;
}

static void leave(struct upstreams *u, struct member *m)
{
	struct group *g = map_get(&u->groups, guid_bytes(&m->upstream));

	list_remove(&m->node);
	if (--g->n == 0) {
		(void)map_remove(&u->groups, guid_bytes(&m->upstream));
		mem_free(g);
	}
}

static void own_targets(struct arena *a, const struct upstreams *u, const struct guid *upstream,
			struct balancer_config *out)
{
	const struct group *g = map_get(&u->groups, guid_bytes(upstream));
	struct balancer_target *v = ARENA_NEW_ARRAY(a, struct balancer_target, (g ? g->n : 0) + 1);

	out->targets = v;
	if (!g) {
		return;
	}
	LIST_EACH (&g->members, it) {
		v[out->n_targets++] = container_of(it, struct member, node)->target;
	}
}

static void read_upstream(struct arena *a, const struct entity_item *item,
			  const struct upstreams *u, struct balancer_config *out)
{
	const struct json *v = values_of(a, item);

	out->id = item->id;
	out->name = json_get_str(v, "name");
	out->algorithm = algorithm_of(json_get_str(v, "algorithm"));
	out->hash = hash_of(a, v, "hash_on");
	out->fallback = hash_of(a, v, "hash_fallback");
	out->cookie_path = json_get_str(v, "hash_on_cookie_path");
	out->host_header = json_get_str(v, "host_header");
	out->slots = (unsigned)int_of(v, "slots");
	out->use_srv_name = json_bool(json_get(v, STR("use_srv_name")));
	read_health(a, json_get(v, STR("healthchecks")), &out->health);
	own_targets(a, u, &item->id, out);
}

/* ---- changes ---- */

static void mark_stale(struct upstreams *u, const struct guid *upstream)
{
	if (u->n_stale == u->stale_cap) {
		u->stale_cap = u->stale_cap * 2 + 16;
		u->stale = mem_resize(u->stale, sizeof(*u->stale) * u->stale_cap);
	}
	u->stale[u->n_stale++] = *upstream;
}

void upstreams_note(struct upstreams *u, struct entity_item *old, struct entity_item *now)
{
	const struct entity_item *any = now ? now : old;
	struct member *m;

	if (any && any->kind == ENTITY_UPSTREAM) {
		mark_stale(u, &any->id);
	}
	if (!any || any->kind != ENTITY_TARGET) {
		return;
	}
	m = old ? member_of(old) : NULL;
	if (m) {
		mark_stale(u, &m->upstream);
		leave(u, m);
	}
	m = now ? member_of(now) : NULL;
	if (m) {
		mark_stale(u, &m->upstream);
		join(u, m);
	}
}

void upstreams_forget(struct upstreams *u)
{
	struct map_entry e;
	size_t pos = 0;

	while (map_next(&u->groups, &pos, &e)) {
		mem_free(e.value);
	}
	map_free(&u->groups);
	mem_free(u->stale);
	*u = (struct upstreams){.all = true};
}

/* False when names have come or gone with them: that concerns the whole list. */
static bool apply_stale(const struct upstreams *u, struct balancer_view *view,
			const struct map *upstreams)
{
	for (size_t i = 0; i < u->n_stale; i++) {
		const struct entity_item *item = map_get(upstreams, guid_bytes(&u->stale[i]));
		struct balancer_config c = {0};
		bool is_known;
		struct arena a;

		if (!item) {
			return false;
		}
		arena_init(&a, 0);
		read_upstream(&a, item, u, &c);
		is_known = balancer_view_update(view, &c);
		arena_fini(&a);
		if (!is_known) {
			return false;
		}
	}
	return true;
}

static struct balancer_view *apply_all(const struct upstreams *u, struct balancer_set *set,
				       const struct map *upstreams)
{
	struct balancer_view *view;
	struct balancer_config *v;
	struct map_entry e;
	struct arena a;
	size_t pos = 0, n = 0;

	arena_init(&a, 0);
	v = ARENA_NEW_ARRAY(&a, struct balancer_config, upstreams->n + 1);
	while (map_next(upstreams, &pos, &e)) {
		read_upstream(&a, e.value, u, &v[n++]);
	}
	view = balancer_set_apply(set, v, n);
	arena_fini(&a);
	return view;
}

struct balancer_view *upstreams_apply(struct upstreams *u, struct balancer_set *set,
				      struct balancer_view *former, const struct map *upstreams)
{
	/* All targets of an upstream are gone through each time that it is marked. */
	bool few = !u->all && u->n_stale <= upstreams->n;
	struct balancer_view *view;

	if (former && few && apply_stale(u, former, upstreams)) {
		view = balancer_view_ref(former);
	} else {
		view = apply_all(u, set, upstreams);
	}
	u->n_stale = 0;
	u->all = false;
	return view;
}
