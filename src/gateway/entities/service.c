/*
 * services: what a route leads to.
 *
 * Besides Kong's protocols there are our own `relay` (host: tenant, path: /TARGET and what
 * goes before the path of the request) and `role` (host: name of a role in this process).
 */
#include "gateway/entity_int.h"

#define PROTOCOL_TIMEOUT_MAX 2147483646

static const char *const protocols[] = {"grpc", "grpcs",	   "http", "https", "tcp",
					"tls",	"tls_passthrough", "udp",  "relay", "role",
					NULL};
static const char *const without_path[] = {"tcp", "tls", "udp", "grpc", "grpcs", NULL};
static const char *const with_tls[] = {"https", "tls", NULL};

#define TIMEOUT(field) ENTITY_INT(field, 0, "60000", 1, PROTOCOL_TIMEOUT_MAX)

static const struct schema_field fields[] = {
	ENTITY_ID,
	ENTITY_CREATED_AT,
	ENTITY_UPDATED_AT,
	ENTITY_NAME("name", SCHEMA_UNIQUE),
	ENTITY_INT("retries", 0, "5", 0, 32767),
	{.name = "protocol",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "\"http\"",
	 .one_of = protocols},
	{.name = "host",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_REQUIRED,
	 .check = entity_check_host},
	ENTITY_INT("port", SCHEMA_REQUIRED, "80", 0, 65535),
	{.name = "path", .type = SCHEMA_STRING, .starts_with = "/", .check = entity_check_path},
	TIMEOUT("connect_timeout"),
	TIMEOUT("write_timeout"),
	TIMEOUT("read_timeout"),
	ENTITY_TAGS,
	ENTITY_FOREIGN("client_certificate", 0, "certificates"),
	ENTITY_BOOL("tls_verify", 0, NULL),
	ENTITY_INT("tls_verify_depth", 0, NULL, 0, 64),
	{.name = "ca_certificates", .type = SCHEMA_ARRAY, .elements = &entity_uuid},
	ENTITY_BOOL("enabled", SCHEMA_REQUIRED, "true"),
	{.name = "url",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_WRITE_ONLY,
	 .doc = "Sets protocol, host, port and path at once."},
};

/* -- url -------------------------------------------------------------------- */

struct service_url {
	struct str protocol;
	struct str host;
	struct str port; /* empty = not said */
	struct str path; /* empty = not said */
};

static bool split_url(struct str s, struct service_url *out)
{
	ptrdiff_t at = str_find(s, STR("://"));

	*out = (struct service_url){0};
	if (at <= 0) {
		return false;
	}
	out->protocol = str_slice(s, 0, (size_t)at);
	s = str_skip(s, (size_t)at + 3);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '?' || s.p[i] == '#') {
			s.n = i;
		}
	}
	at = str_index(s, '/');
	out->path = at < 0 ? STR("") : str_skip(s, (size_t)at);
	out->host = at < 0 ? s : str_slice(s, 0, (size_t)at);
	at = str_rindex(out->host, '@');
	out->host = str_skip(out->host, (size_t)(at + 1));
	at = str_rindex(out->host, ':');
	if (at >= 0 && str_rindex(out->host, ']') < at) {
		out->port = str_skip(out->host, (size_t)at + 1);
		out->host = str_slice(out->host, 0, (size_t)at);
	}
	return out->host.n > 0;
}

static const struct json *port_of(struct arena *a, const struct service_url *url)
{
	uint64_t port;

	if (url->port.n == 0) {
		return tree_int(a, str_eq(url->protocol, STR("https")) ? 443 : 80);
	}
	if (!str_to_u64(url->port, &port) || port > INT64_MAX) {
		return tree_str(a, url->port); /* refused as a value of `port` */
	}
	return tree_int(a, (int64_t)port);
}

static void expand(struct arena *a, const struct schema_input *in, struct json *v,
		   struct schema_errors *errors)
{
	const struct json *text = json_get(v, STR("url"));
	struct service_url url;

	(void)in;
	if (json_is_null(text) || text->type != JSON_STRING || text->text.n == 0) {
		return; /* a wrong type is told with the field */
	}
	if (!split_url(text->text, &url)) {
		schema_error_at(errors, "url", "missing host in url");
		return;
	}
	tree_set(a, v, STR("protocol"), tree_str(a, url.protocol));
	tree_set(a, v, STR("host"), tree_str(a, url.host));
	tree_set(a, v, STR("port"), port_of(a, &url));
	tree_set(a, v, STR("path"), url.path.n > 0 ? tree_str(a, url.path) : tree_null(a));
}

/* -- rules ------------------------------------------------------------------ */

static void check_relay(struct arena *a, const struct schema_rule *rule, const struct json *v,
			struct schema_errors *errors)
{
	struct str path = json_str(json_get(v, STR("path")));

	(void)a;
	(void)rule;
	if (str_eq(json_str(json_get(v, STR("protocol"))), STR("relay")) && path.n < 2) {
		schema_error_at(errors, "path", "must name the target of the relay: /TARGET");
	}
}

#define ONLY_TLS(field)                                                                            \
	{                                                                                          \
		.kind = SCHEMA_CONDITIONAL, .fields = {"protocol", field},                         \
		.if_not_one_of = with_tls, .then = SCHEMA_THEN_NULL                                \
	}

static const struct schema_rule rules[] = {
	{.kind = SCHEMA_CONDITIONAL,
	 .fields = {"protocol", "path"},
	 .if_one_of = without_path,
	 .then = SCHEMA_THEN_NULL},
	ONLY_TLS("client_certificate"),
	ONLY_TLS("tls_verify"),
	ONLY_TLS("tls_verify_depth"),
	ONLY_TLS("ca_certificates"),
	{.kind = SCHEMA_CUSTOM, .fields = {"protocol", "path"}, .check = check_relay},
};

const struct schema entity_service_schema = {.name = "services",
					     .fields = fields,
					     .n = ARRAY_LEN(fields),
					     .rules = rules,
					     .n_rules = ARRAY_LEN(rules),
					     .expand = expand};
