#include "gateway/upstreams.h"

#include "base/mem.h"
#include "gateway/compile.h"

#include <stdlib.h>

/* ---- values ---- */

static struct str text_of(const struct json *v, const char *name)
{
	const struct json *m = json_get(v, str_c(name));

	return json_is_null(m) ? STR_NULL : json_str(m);
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
	out->active.type = probe_type_of(text_of(active, "type"));
	out->active.healthy_interval_ms = ms_of(json_get(active, STR("healthy")), "interval");
	out->active.unhealthy_interval_ms = ms_of(json_get(active, STR("unhealthy")), "interval");
	out->active.timeout_ms = ms_of(active, "timeout");
	out->active.concurrency = (unsigned)int_of(active, "concurrency");
	out->active.http_path = text_of(active, "http_path");
	out->active.https_sni = text_of(active, "https_sni");
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
	struct str on = text_of(v, field);
	struct balancer_hash h = {0};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (str_eq(on, str_c(names[i]))) {
			h.on = (enum balancer_hash_on)i;
		}
	}
	if (h.on == BALANCER_HASH_COOKIE) {
		h.name = text_of(v, "hash_on_cookie");
	} else if (h.on == BALANCER_HASH_HEADER || h.on == BALANCER_HASH_QUERY_ARG ||
		   h.on == BALANCER_HASH_URI_CAPTURE) {
		h.name = text_of(v, str_cstr(a, str_fmt(a, "%s_%.*s", field, STR_ARG(on))));
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

/* All targets, those of one upstream side by side. */
struct owned {
	struct guid upstream;
	struct balancer_target target;
};

struct all_targets {
	struct owned *v;
	size_t n;
};

static int by_upstream(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct guid));
}

static struct all_targets read_targets(struct arena *a, const struct map *targets)
{
	struct all_targets all = {.v = ARENA_NEW_ARRAY(a, struct owned, targets->n + 1)};
	struct map_entry e;
	size_t pos = 0;

	while (map_next(targets, &pos, &e)) {
		const struct entity_item *item = e.value;
		struct owned *o = &all.v[all.n];

		if (split_target(text_of(item->json, "target"), &o->target)) {
			o->upstream = compile_foreign(item->json, "upstream");
			o->target.id = item->id;
			o->target.target = text_of(item->json, "target");
			o->target.weight = (unsigned)int_of(item->json, "weight");
			all.n++;
		}
	}
	if (all.n > 1) {
		qsort(all.v, all.n, sizeof(*all.v), by_upstream);
	}
	return all;
}

static void own_targets(struct arena *a, const struct all_targets *all, const struct guid *upstream,
			struct balancer_config *out)
{
	const struct owned *first =
		all->n > 0 ? bsearch(upstream, all->v, all->n, sizeof(*all->v), by_upstream) : NULL;
	const struct owned *end = first;
	struct balancer_target *v;

	while (first && first > all->v && guid_eq(&first[-1].upstream, upstream)) {
		first--;
	}
	while (end && end < all->v + all->n && guid_eq(&end->upstream, upstream)) {
		end++;
	}
	v = ARENA_NEW_ARRAY(a, struct balancer_target, (size_t)(end - first) + 1);
	for (; first < end; first++) {
		v[out->n_targets++] = first->target;
	}
	out->targets = v;
}

static void read_upstream(struct arena *a, const struct entity_item *item,
			  const struct all_targets *targets, struct balancer_config *out)
{
	const struct json *v = item->json;

	out->id = item->id;
	out->name = text_of(v, "name");
	out->algorithm = algorithm_of(text_of(v, "algorithm"));
	out->hash = hash_of(a, v, "hash_on");
	out->fallback = hash_of(a, v, "hash_fallback");
	out->cookie_path = text_of(v, "hash_on_cookie_path");
	out->host_header = text_of(v, "host_header");
	out->slots = (unsigned)int_of(v, "slots");
	out->use_srv_name = json_bool(json_get(v, STR("use_srv_name")));
	read_health(a, json_get(v, STR("healthchecks")), &out->health);
	own_targets(a, targets, &item->id, out);
}

struct balancer_view *upstreams_apply(struct balancer_set *set, const struct map *upstreams,
				      const struct map *targets)
{
	struct balancer_view *view;
	struct all_targets all;
	struct balancer_config *v;
	struct map_entry e;
	struct arena a;
	size_t pos = 0, n = 0;

	arena_init(&a, 0);
	v = ARENA_NEW_ARRAY(&a, struct balancer_config, upstreams->n + 1);
	all = read_targets(&a, targets);
	while (map_next(upstreams, &pos, &e)) {
		read_upstream(&a, e.value, &all, &v[n++]);
	}
	view = balancer_set_apply(set, v, n);
	arena_fini(&a);
	return view;
}
