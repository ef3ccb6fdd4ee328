/*
 * upstreams: several addresses for one service, how one is chosen, and how their health
 * is known.
 */
#include "gateway/entity_int.h"

static const char *const algorithms[] = {"consistent-hashing", "least-connections", "round-robin",
					 "latency", NULL};
static const char *const hash_ons[] = {"none", "consumer",  "ip",	   "header", "cookie",
				       "path", "query_arg", "uri_capture", NULL};
static const char *const check_types[] = {"tcp", "http", "https", "grpc", "grpcs", NULL};

/* -- healthchecks ----------------------------------------------------------- */

#define COUNTER(field) ENTITY_INT(field, 0, "0", 0, 255)
#define SECONDS(field, value)                                                                      \
	{                                                                                          \
		.name = field, .type = SCHEMA_NUMBER, .dflt = value, .has_range = true, .min = 0,  \
		.max = 65535                                                                       \
	}
#define INTERVAL SECONDS("interval", "0")
#define STATUSES(value)                                                                            \
	{                                                                                          \
		.name = "http_statuses", .type = SCHEMA_ARRAY, .dflt = value, .elements = &status  \
	}
#define TYPE                                                                                       \
	{                                                                                          \
		.name = "type", .type = SCHEMA_STRING, .dflt = "\"http\"", .one_of = check_types   \
	}
#define RECORD(field, schema)                                                                      \
	{                                                                                          \
		.name = field, .type = SCHEMA_RECORD, .flags = SCHEMA_REQUIRED,                    \
		.record = &(schema)                                                                \
	}
#define TABLE(id, list)                                                                            \
	static const struct schema id = {.name = #id, .fields = list, .n = ARRAY_LEN(list)}

static const struct schema_field status = {
	.type = SCHEMA_INTEGER, .has_range = true, .min = 100, .max = 999};
static const struct schema_field header_name = {.type = SCHEMA_STRING,
						.check = entity_check_header};
static const struct schema_field header_value = {.type = SCHEMA_STRING,
						 .check = entity_check_header_value};
static const struct schema_field header_values = {.type = SCHEMA_ARRAY, .elements = &header_value};

static const struct schema_field active_healthy_fields[] = {
	INTERVAL,
	STATUSES("[200,302]"),
	COUNTER("successes"),
};
TABLE(active_healthy, active_healthy_fields);

static const struct schema_field active_unhealthy_fields[] = {
	INTERVAL,
	STATUSES("[429,404,500,501,502,503,504,505]"),
	COUNTER("tcp_failures"),
	COUNTER("timeouts"),
	COUNTER("http_failures"),
};
TABLE(active_unhealthy, active_unhealthy_fields);

static const struct schema_field active_fields[] = {
	TYPE,
	SECONDS("timeout", "1"),
	{.name = "concurrency",
	 .type = SCHEMA_INTEGER,
	 .dflt = "10",
	 .has_range = true,
	 .min = 1,
	 .max = 2147483648},
	{.name = "http_path",
	 .type = SCHEMA_STRING,
	 .dflt = "\"/\"",
	 .starts_with = "/",
	 .check = entity_check_path},
	{.name = "https_sni", .type = SCHEMA_STRING, .check = entity_check_sni},
	ENTITY_BOOL("https_verify_certificate", SCHEMA_REQUIRED, "true"),
	{.name = "headers", .type = SCHEMA_MAP, .keys = &header_name, .elements = &header_values},
	RECORD("healthy", active_healthy),
	RECORD("unhealthy", active_unhealthy),
};
TABLE(active, active_fields);

static const struct schema_field passive_healthy_fields[] = {
	STATUSES("[200,201,202,203,204,205,206,207,208,226,300,301,302,303,304,305,306,307,308]"),
	COUNTER("successes"),
};
TABLE(passive_healthy, passive_healthy_fields);

static const struct schema_field passive_unhealthy_fields[] = {
	STATUSES("[429,500,503]"),
	COUNTER("tcp_failures"),
	COUNTER("timeouts"),
	COUNTER("http_failures"),
};
TABLE(passive_unhealthy, passive_unhealthy_fields);

static const struct schema_field passive_fields[] = {
	TYPE,
	RECORD("healthy", passive_healthy),
	RECORD("unhealthy", passive_unhealthy),
};
TABLE(passive, passive_fields);

static const struct schema_field healthchecks_fields[] = {
	RECORD("active", active),
	RECORD("passive", passive),
	{.name = "threshold",
	 .type = SCHEMA_NUMBER,
	 .dflt = "0",
	 .has_range = true,
	 .min = 0,
	 .max = 100},
};
TABLE(healthchecks, healthchecks_fields);

/* -- the table -------------------------------------------------------------- */

static enum err check_name(struct arena *a, const struct schema_field *field, const struct json *v,
			   struct fault *f)
{
	struct entity_host host;

	(void)a;
	(void)field;
	if (entity_host_parse(v->text, &host) != ERR_OK) {
		return fault_set(f, ERR_INVALID, "Invalid name ('%.*s'); must be a valid hostname",
				 STR_ARG(v->text));
	}
	if (host.kind != ENTITY_HOST_NAME) {
		return fault_set(f, ERR_INVALID, "Invalid name ('%.*s'); no ip addresses allowed",
				 STR_ARG(v->text));
	}
	if (host.has_port) {
		return fault_set(f, ERR_INVALID, "Invalid name ('%.*s'); no port allowed",
				 STR_ARG(v->text));
	}
	return ERR_OK;
}

#define HASH_ON(field)                                                                             \
	{                                                                                          \
		.name = field, .type = SCHEMA_STRING, .dflt = "\"none\"", .one_of = hash_ons       \
	}
#define HEADER(field)                                                                              \
	{                                                                                          \
		.name = field, .type = SCHEMA_STRING, .check = entity_check_header                 \
	}
#define ARG(field)                                                                                 \
	{                                                                                          \
		.name = field, .type = SCHEMA_STRING, .len_min = 1                                 \
	}
#define COOKIE_CHARS "^[A-Za-z0-9_-]+$"

static const struct schema_field fields[] = {
	ENTITY_ID,
	ENTITY_CREATED_AT,
	ENTITY_UPDATED_AT,
	{.name = "name",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_REQUIRED | SCHEMA_UNIQUE,
	 .check = check_name},
	{.name = "algorithm",
	 .type = SCHEMA_STRING,
	 .dflt = "\"round-robin\"",
	 .one_of = algorithms},
	HASH_ON("hash_on"),
	HASH_ON("hash_fallback"),
	HEADER("hash_on_header"),
	HEADER("hash_fallback_header"),
	{.name = "hash_on_cookie",
	 .type = SCHEMA_STRING,
	 .match = COOKIE_CHARS,
	 .match_err = "invalid cookie name: only letters, digits, '_' and '-'"},
	{.name = "hash_on_cookie_path",
	 .type = SCHEMA_STRING,
	 .dflt = "\"/\"",
	 .starts_with = "/",
	 .check = entity_check_path},
	ARG("hash_on_query_arg"),
	ARG("hash_fallback_query_arg"),
	ARG("hash_on_uri_capture"),
	ARG("hash_fallback_uri_capture"),
	ENTITY_INT("slots", 0, "10000", 10, 65536),
	RECORD("healthchecks", healthchecks),
	ENTITY_TAGS,
	{.name = "host_header", .type = SCHEMA_STRING, .check = entity_check_host_port},
	ENTITY_FOREIGN("client_certificate", 0, "certificates"),
	ENTITY_BOOL("use_srv_name", 0, "false"),
};

/* Clients from before there was a choice of algorithms hash by saying on what. */
static void expand(struct arena *a, const struct schema_input *in, struct json *v,
		   struct schema_errors *errors)
{
	struct str on = json_str(json_get(v, STR("hash_on")));

	(void)errors;
	if (in->op == SCHEMA_INSERT && !json_get(v, STR("algorithm")) && on.n > 0 &&
	    !str_eq(on, STR("none"))) {
		tree_set(a, v, STR("algorithm"), tree_str(a, STR("consistent-hashing")));
	}
}

/* -- rules ------------------------------------------------------------------ */

#define VALUES(id, ...) static const char *const id[] = {__VA_ARGS__, NULL}
VALUES(is_header, "header");
VALUES(is_cookie, "cookie");
VALUES(is_query_arg, "query_arg");
VALUES(is_uri_capture, "uri_capture");
VALUES(is_none, "none");
VALUES(is_consumer, "consumer");
VALUES(is_ip, "ip");
VALUES(is_path, "path");
VALUES(not_consumer, "none", "ip", "header", "cookie", "path", "query_arg", "uri_capture");
VALUES(not_ip, "none", "consumer", "header", "cookie", "path", "query_arg", "uri_capture");
VALUES(not_path, "none", "consumer", "ip", "header", "cookie", "query_arg", "uri_capture");

#define NEEDS(on, values, field)                                                                   \
	{                                                                                          \
		.kind = SCHEMA_CONDITIONAL, .fields = {on, field}, .if_one_of = values,            \
		.then = SCHEMA_THEN_REQUIRED                                                       \
	}
#define FALLBACK(values, allowed)                                                                  \
	{                                                                                          \
		.kind = SCHEMA_CONDITIONAL, .fields = {"hash_on", "hash_fallback"},                \
		.if_one_of = values, .then = SCHEMA_THEN_ONE_OF, .then_one_of = allowed            \
	}
#define DISTINCT(x, y)                                                                             \
	{                                                                                          \
		.kind = SCHEMA_DISTINCT, .fields = { x, y }                                        \
	}

static const struct schema_rule rules[] = {
	NEEDS("hash_on", is_header, "hash_on_header"),
	NEEDS("hash_fallback", is_header, "hash_fallback_header"),
	NEEDS("hash_on", is_cookie, "hash_on_cookie"),
	NEEDS("hash_fallback", is_cookie, "hash_on_cookie"),
	FALLBACK(is_none, is_none),
	FALLBACK(is_cookie, is_none),
	FALLBACK(is_consumer, not_consumer),
	FALLBACK(is_ip, not_ip),
	FALLBACK(is_path, not_path),
	NEEDS("hash_on", is_query_arg, "hash_on_query_arg"),
	NEEDS("hash_fallback", is_query_arg, "hash_fallback_query_arg"),
	NEEDS("hash_on", is_uri_capture, "hash_on_uri_capture"),
	NEEDS("hash_fallback", is_uri_capture, "hash_fallback_uri_capture"),
	DISTINCT("hash_on_header", "hash_fallback_header"),
	DISTINCT("hash_on_query_arg", "hash_fallback_query_arg"),
	DISTINCT("hash_on_uri_capture", "hash_fallback_uri_capture"),
};

const struct schema entity_upstream_schema = {.name = "upstreams",
					      .fields = fields,
					      .n = ARRAY_LEN(fields),
					      .rules = rules,
					      .n_rules = ARRAY_LEN(rules),
					      .expand = expand};
