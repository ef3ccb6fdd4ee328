/*
 * rate-limiting - how many requests a second, minute … year, by whom
 *
 * Policy `local`: the counters of this process (rate_table), exact over all its loops. Requests
 * that are refused are not counted. All of the headers but the two numbers that change is
 * formatted when the instance is compiled.
 */
#include "gateway/plugins/fields.h"
#include "gateway/plugins/rate_table.h"

#include "base/clock.h"
#include "base/map.h"

#include <math.h>
#include <stdlib.h>

enum { SLOTS_MAX = 1 << 18, NUMBER_MAX = 24 };

struct limit {
	enum rate_period period;
	uint64_t max;
	struct str max_text;
	struct str limit_name, left_name; /* "X-RateLimit-Limit-Minute", … */
};

enum limit_by { BY_CONSUMER, BY_CREDENTIAL, BY_IP, BY_SERVICE, BY_HEADER, BY_PATH };

struct config {
	struct opt_num limits[RATE_PERIODS];
	struct str limit_by, header_name, path;
	struct str policy;
	bool fault_tolerant;
	bool hide_client_headers;
	int64_t error_code;
	struct str error_message;
	/* compiled */
	struct limit v[RATE_PERIODS];
	size_t n;
	enum limit_by by;
	uint64_t scope; /* keyed hash of route and service */
};

#define PERIOD(name_, index_)                                                                      \
	{                                                                                          \
		.name = (name_), FIELD(NUMBER, OPT_NUM, limits[index_]), .has_gt = true, .gt = 0,  \
		.doc = "Requests per " name_ " that are let through."                              \
	}

#define ALIAS(name_, type_, of_)                                                                   \
	{                                                                                          \
		.name = (name_), .type = SCHEMA_##type_, .alias_of = (of_),                        \
		.doc = "Older name of `" of_ "`."                                                  \
	}

static const struct schema_field redis_fields[] = {
	{.name = "host", .type = SCHEMA_STRING, .doc = "Host of the Redis server."},
	{.name = "port",
	 .type = SCHEMA_INTEGER,
	 .dflt = "6379",
	 .has_range = true,
	 .max = 65535,
	 .doc = "Its port."},
	{.name = "timeout",
	 .type = SCHEMA_INTEGER,
	 .dflt = "2000",
	 .has_range = true,
	 .max = 2147483646,
	 .doc = "Milliseconds to wait for it."},
	{.name = "username",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_REFERENCEABLE,
	 .doc = "User of Redis ACLs."},
	{.name = "password",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_REFERENCEABLE | SCHEMA_SECRET | SCHEMA_EMPTY_OK,
	 .doc = "Password."},
	{.name = "database", .type = SCHEMA_INTEGER, .dflt = "0", .doc = "Number of the database."},
	{.name = "ssl", .type = SCHEMA_BOOLEAN, .dflt = "false", .doc = "TLS to Redis."},
	{.name = "ssl_verify",
	 .type = SCHEMA_BOOLEAN,
	 .dflt = "false",
	 .doc = "Checks its certificate."},
	{.name = "server_name", .type = SCHEMA_STRING, .doc = "SNI of that connection."},
};
static const struct schema redis_schema = {SCHEMA_OF("redis", redis_fields)};

static const char *const limit_bys[] = {"consumer", "credential", "ip", "service",
					"header",   "path",	  NULL};
static const char *const policies[] = {"local", "cluster", "redis", NULL};

static const struct schema_field fields[] = {
	PERIOD("second", RATE_SECOND),
	PERIOD("minute", RATE_MINUTE),
	PERIOD("hour", RATE_HOUR),
	PERIOD("day", RATE_DAY),
	PERIOD("month", RATE_MONTH),
	PERIOD("year", RATE_YEAR),
	{.name = "limit_by",
	 FIELD(STRING, STR, limit_by),
	 .dflt = "\"consumer\"",
	 .one_of = limit_bys,
	 .doc = "Whose requests are counted together; the client's address where there is none "
		"of these."},
	{.name = "header_name",
	 FIELD(STRING, STR, header_name),
	 .check = field_check_header_name,
	 .doc = "With limit_by `header`: whose value counts."},
	{.name = "path",
	 FIELD(STRING, STR, path),
	 .starts_with = "/",
	 .doc = "With limit_by `path`: the one that all requests to are counted together."},
	{.name = "policy",
	 FIELD(STRING, STR, policy),
	 .dflt = "\"local\"",
	 .one_of = policies,
	 .doc = "Where counters are; `local` is this process. `cluster` and `redis` are refused: "
		"not built yet."},
	{.name = "fault_tolerant",
	 FIELD(BOOLEAN, BOOL, fault_tolerant),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "true",
	 .doc = "Lets requests pass while the store of the counters is down; the local one never "
		"is."},
	{.name = "redis",
	 .type = SCHEMA_RECORD,
	 .flags = SCHEMA_REQUIRED,
	 .record = &redis_schema,
	 .doc = "Where Redis is; accepted, not used."},
	{.name = "hide_client_headers",
	 FIELD(BOOLEAN, BOOL, hide_client_headers),
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "false",
	 .doc = "Does not tell clients their limits."},
	{.name = "error_code",
	 FIELD(NUMBER, INT, error_code),
	 .dflt = "429",
	 .has_range = true,
	 .min = 200,
	 .max = 599,
	 .doc = "Status of a refusal."},
	{.name = "error_message",
	 FIELD(STRING, STR, error_message),
	 .dflt = "\"API rate limit exceeded\"",
	 .doc = "Text of a refusal."},
	{.name = "sync_rate",
	 .type = SCHEMA_NUMBER,
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "-1",
	 .doc = "How often Redis is told, in seconds; accepted, not used."},
	ALIAS("redis_host", STRING, "redis.host"),
	ALIAS("redis_port", INTEGER, "redis.port"),
	ALIAS("redis_timeout", INTEGER, "redis.timeout"),
	ALIAS("redis_username", STRING, "redis.username"),
	ALIAS("redis_password", STRING, "redis.password"),
	ALIAS("redis_database", INTEGER, "redis.database"),
	ALIAS("redis_ssl", BOOLEAN, "redis.ssl"),
	ALIAS("redis_ssl_verify", BOOLEAN, "redis.ssl_verify"),
	ALIAS("redis_server_name", STRING, "redis.server_name"),
};

/* ---- rules ---- */

static bool number_at(const struct json *config, const char *name, double *out)
{
	const struct json *v = json_get(config, str_c(name));
	char text[64];

	if (json_is_null(v) || v->type != JSON_NUMBER || v->text.n >= sizeof(text)) {
		return false;
	}
	memcpy(text, v->text.p, v->text.n);
	text[v->text.n] = 0;
	*out = strtod(text, NULL);
	return true;
}

static void check_order(struct arena *a, const struct schema_rule *rule, const struct json *v,
			struct schema_errors *errors)
{
	const char *shorter = NULL;
	double least = 0, limit;

	(void)a;
	(void)rule;
	for (size_t i = 0; i < RATE_PERIODS; i++) {
		const char *name = rate_period_names[i];

		if (!number_at(v, name, &limit)) {
			continue;
		}
		if (shorter && limit < least) {
			schema_error_entity(errors,
					    "The limit for %s(%.1f) cannot be lower than the limit "
					    "for %s(%.1f)",
					    name, limit, shorter, least);
			return;
		}
		shorter = name;
		least = limit;
	}
}

static void check_policy(struct arena *a, const struct schema_rule *rule, const struct json *v,
			 struct schema_errors *errors)
{
	struct str policy = json_str(json_get(v, STR("policy")));

	(void)a;
	(void)rule;
	if (str_eq(policy, STR("cluster")) || str_eq(policy, STR("redis"))) {
		schema_error_at(errors, "policy", "policy '%.*s' is not built yet; use 'local'",
				STR_ARG(policy));
	}
}

static const struct schema_rule rules[] = {
	{.kind = SCHEMA_AT_LEAST_ONE_OF,
	 .fields = {"second", "minute", "hour", "day", "month", "year"}},
	{.kind = SCHEMA_CUSTOM, .check = check_order},
	{.kind = SCHEMA_CONDITIONAL,
	 .fields = {"limit_by", "header_name"},
	 .if_one_of = (const char *const[]){"header", NULL},
	 .then = SCHEMA_THEN_REQUIRED},
	{.kind = SCHEMA_CONDITIONAL,
	 .fields = {"limit_by", "path"},
	 .if_one_of = (const char *const[]){"path", NULL},
	 .then = SCHEMA_THEN_REQUIRED},
	{.kind = SCHEMA_CUSTOM, .check = check_policy},
};

static const struct schema schema = {SCHEMA_OF("rate-limiting", fields), RULES_OF(rules)};

/* ---- compiling ---- */

static uint64_t scope_of(const struct plugin_instance *p)
{
	char bytes[2 * sizeof(struct guid)];

	memcpy(bytes, &p->route, sizeof(p->route));
	memcpy(bytes + sizeof(p->route), &p->service, sizeof(p->service));
	return map_hash(str_of(bytes, sizeof(bytes)));
}

static struct limit limit_of(struct arena *a, enum rate_period period, double max)
{
	const char *name = rate_period_names[period];

	return (struct limit){
		.period = period,
		.max = max < 1e15 ? (uint64_t)ceil(max) : (uint64_t)1e15,
		.max_text = str_fmt(a, "%.14g", max),
		.limit_name = str_fmt(a, "X-RateLimit-Limit-%c%s", ascii_upper(name[0]), name + 1),
		.left_name =
			str_fmt(a, "X-RateLimit-Remaining-%c%s", ascii_upper(name[0]), name + 1),
	};
}

static enum err compile(struct plugin_host *h, struct plugin_instance *p, struct fault *f)
{
	struct config *k = p->config;

	(void)h;
	if (!str_eq(k->policy, STR("local"))) {
		return fault_set(f, ERR_INVALID,
				 "config.policy: policy '%.*s' is not built yet; use 'local'",
				 STR_ARG(k->policy));
	}
	for (enum rate_period i = RATE_SECOND; i < RATE_PERIODS; i++) {
		if (k->limits[i].has) {
			k->v[k->n++] = limit_of(p->arena, i, k->limits[i].v);
		}
	}
	k->by = BY_CONSUMER;
	for (size_t i = 0; limit_bys[i]; i++) {
		if (str_eq(k->limit_by, str_c(limit_bys[i]))) {
			k->by = (enum limit_by)i;
		}
	}
	k->scope = scope_of(p);
	return ERR_OK;
}

/* ---- requests ---- */

static struct str identifier_of(struct gw_call *c, const struct config *k)
{
	const struct gw_consumer *consumer = call_consumer(c);
	const struct gw_credential *credential = call_credential(c);
	const struct gw_service *service = call_service(c);
	struct str value;

	switch (k->by) {
	case BY_CONSUMER:
		return consumer ? guid_bytes(&consumer->id) : call_client_ip(c);
	case BY_CREDENTIAL:
		return credential ? str_of(credential->id_text, GUID_D_LEN) : call_client_ip(c);
	case BY_SERVICE:
		return service ? guid_bytes(&service->id) : call_client_ip(c);
	case BY_HEADER:
		value = http_header_get(call_headers(c), k->header_name);
		return value.p ? value : call_client_ip(c);
	case BY_PATH:
		return str_eq(call_path(c), k->path) ? k->path : call_client_ip(c);
	case BY_IP:
		break;
	}
	return call_client_ip(c);
}

/* splitmix64's finalizer: one key a period from one hash. */
static uint64_t key_of(uint64_t hash, enum rate_period period)
{
	uint64_t x = hash + ((uint64_t)period + 1) * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t hash_of(struct gw_call *c, const struct config *k)
{
	uint64_t both[2] = {k->scope, map_hash(identifier_of(c, k))};

	return map_hash(str_of(both, sizeof(both)));
}

struct usage {
	uint64_t keys[RATE_PERIODS];
	struct rate_window windows[RATE_PERIODS];
	uint64_t left[RATE_PERIODS];
};

/* Counts in all windows or in none. */
static bool take(struct rate_table *t, const struct config *k, uint64_t hash, int64_t now_s,
		 struct usage *u)
{
	size_t i;

	for (i = 0; i < k->n; i++) {
		u->keys[i] = key_of(hash, k->v[i].period);
		u->windows[i] = rate_window_at(k->v[i].period, now_s);
	}
	for (i = 0; i < k->n; i++) {
		if (!rate_table_take(t, u->keys[i], u->windows[i], now_s, k->v[i].max,
				     &u->left[i])) {
			break;
		}
	}
	if (i == k->n) {
		return true;
	}
	for (size_t j = 0; j < k->n; j++) {
		uint64_t used;

		if (j < i) {
			rate_table_give(t, u->keys[j], u->windows[j]);
		}
		used = rate_table_count(t, u->keys[j], u->windows[j]);
		u->left[j] = j == i || used >= k->v[j].max ? 0 : k->v[j].max - used;
	}
	return false;
}

static struct str number(struct arena *a, uint64_t v)
{
	char *end = (char *)arena_alloc(a, NUMBER_MAX) + NUMBER_MAX;
	const char *p = str_put_digits(end, v);

	return str_of(p, (size_t)(end - p));
}

/* The window that is nearest to its end of requests; of equals the longest. */
static size_t tightest(const struct config *k, const struct usage *u)
{
	size_t found = 0;

	for (size_t i = 1; i < k->n; i++) {
		if (u->left[i] <= u->left[found]) {
			found = i;
		}
	}
	return found;
}

static void tell_client(struct gw_call *c, const struct config *k, const struct usage *u,
			int64_t now_s, bool may_pass)
{
	struct arena *a = call_arena(c);
	struct str left = STR_NULL, reset;
	size_t t = tightest(k, u);

	ASSERT(k->n > 0); /* the schema asks for one */
	reset = number(a, (uint64_t)MAX(1, u->windows[t].end_s - now_s));

	for (size_t i = 0; i < k->n; i++) {
		struct str text = number(a, u->left[i]);

		call_set_answer_header(c, k->v[i].limit_name, k->v[i].max_text);
		call_set_answer_header(c, k->v[i].left_name, text);
		left = i == t ? text : left;
	}
	call_set_answer_header(c, STR("RateLimit-Limit"), k->v[t].max_text);
	call_set_answer_header(c, STR("RateLimit-Remaining"), left);
	call_set_answer_header(c, STR("RateLimit-Reset"), reset);
	if (!may_pass) {
		call_set_answer_header(c, STR("Retry-After"), reset);
	}
}

static enum plugin_verdict on_access(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;
	int64_t now_s = call_start_wall_ms(c) / 1000;
	struct usage u;
	bool may_pass = take(p->state, k, hash_of(c, k), now_s, &u);

	if (!k->hide_client_headers) {
		tell_client(c, k, &u, now_s, may_pass);
	}
	if (may_pass) {
		return PLUGIN_NEXT;
	}
	call_error(c, (int)k->error_code, k->error_message);
	return PLUGIN_ANSWERED;
}

/* ---- state ---- */

static void *state_new(struct plugin_host *h)
{
	(void)h;
	return rate_table_new(SLOTS_MAX, clock_wall_ms() / 1000);
}

static void state_free(void *state)
{
	struct rate_table *t = state;

	rate_table_free(&t);
}

static void write_metrics(void *state, struct buf *out)
{
	buf_puts(out, "# HELP posthouse_rate_limiting_lost_total Windows given up before their end "
		      "because the table of counters was full\n"
		      "# TYPE posthouse_rate_limiting_lost_total counter\n");
	buf_printf(out, "posthouse_rate_limiting_lost_total %llu\n",
		   (unsigned long long)rate_table_lost(state));
}

static const char example[] =
	"    curl -X POST localhost:8001/services/orders/plugins -d name=rate-limiting \\\n"
	"      -d config.minute=60 -d config.hour=1000\n"
	"\n"
	"    curl -i localhost:8000/orders\n"
	"    HTTP/1.1 200 OK\n"
	"    X-RateLimit-Limit-Minute: 60\n"
	"    X-RateLimit-Remaining-Minute: 59\n"
	"    X-RateLimit-Limit-Hour: 1000\n"
	"    X-RateLimit-Remaining-Hour: 999\n"
	"    RateLimit-Limit: 60\n"
	"    RateLimit-Remaining: 59\n"
	"    RateLimit-Reset: 42\n"
	"\n"
	"The next one above the limit is answered 429 with `Retry-After`. Windows are fixed and "
	"in\n"
	"UTC; months and years are those of the calendar. Counters are exact over all threads of\n"
	"the process and are gone when it ends. There is room for 260,000 of them; when it is "
	"full\n"
	"those that end first start over early, and `posthouse_rate_limiting_lost_total` counts "
	"it.\n";

const struct plugin plugin_rate_limiting = {
	.name = "rate-limiting",
	.priority = 910,
	.version = "3.10.0",
	.config = &schema,
	.config_size = sizeof(struct config),
	.doc = "Limits how many requests are let through a second, minute, hour, day, month or "
	       "year.",
	.example = example,
	.compile = compile,
	.access = on_access,
	.state_new = state_new,
	.state_free = state_free,
	.metrics = write_metrics,
};
