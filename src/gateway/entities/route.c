/*
 * routes: which requests go to which service.
 */
#include "gateway/entity_int.h"
#include "gateway/path.h"
#include "gateway/router.h"

#define entity_has(list, s) entity_has(list, s)

static const char *const protocols[] = {"http", "https", "tcp", "tls", "udp", "tls_passthrough",
					"grpc", "grpcs", NULL};
static const char *const redirects[] = {"426", "301", "302", "307", "308", NULL};
static const char *const handlings[] = {"v0", "v1", NULL};

/* -- checks of fields ------------------------------------------------------- */

/* Which sets of protocols may stand together; 0 to 3. */
static unsigned family_of(struct str protocol)
{
	if (str_starts(protocol, STR("http"))) {
		return 0;
	}
	if (str_starts(protocol, STR("grpc"))) {
		return 3;
	}
	return str_eq(protocol, STR("tls_passthrough")) ? 2 : 1;
}

static enum err check_protocols(struct arena *a, const struct schema_field *field,
				const struct json *v, struct fault *f)
{
	unsigned families = 0;

	(void)a;
	(void)field;
	for (const struct json *c = v->child; c; c = c->next) {
		families |= 1u << family_of(c->text);
	}
	if ((families & (families - 1)) == 0) {
		return ERR_OK;
	}
	return fault_set(f, ERR_INVALID,
			 "these sets are mutually exclusive: ('http', 'https'), "
			 "('tcp', 'tls', 'udp'), ('tls_passthrough'), ('grpc', 'grpcs')");
}

static enum err check_fixed_path(struct arena *a, const struct schema_field *field,
				 const struct json *v, struct fault *f)
{
	struct str normal;

	TRY(entity_check_path(a, field, v, f));
	if (!path_normalize(a, v->text, &normal)) {
		return fault_set(f, ERR_INVALID, "invalid path: '%.*s'", STR_ARG(v->text));
	}
	if (!str_eq(normal, v->text)) {
		return fault_set(f, ERR_INVALID, "non-normalized path, consider use '%.*s' instead",
				 STR_ARG(normal));
	}
	return ERR_OK;
}

static enum err check_path(struct arena *a, const struct schema_field *field, const struct json *v,
			   struct fault *f)
{
	if (str_starts(v->text, STR("~/"))) {
		return router_check_regex(str_skip(v->text, 1), f);
	}
	if (!str_starts(v->text, STR("/"))) {
		return fault_set(f, ERR_INVALID,
				 "should start with: / (fixed path) or ~/ (regex path)");
	}
	return check_fixed_path(a, field, v, f);
}

static enum err check_header_name(struct arena *a, const struct schema_field *field,
				  const struct json *v, struct fault *f)
{
	if (str_eq_nocase(v->text, STR("host"))) {
		return fault_set(f, ERR_INVALID,
				 "cannot contain 'host' header, which must be specified in the "
				 "'hosts' attribute");
	}
	return entity_check_header(a, field, v, f);
}

/* One value "~*…" is an expression; with more of them all are texts. */
static enum err check_header_values(struct arena *a, const struct schema_field *field,
				    const struct json *v, struct fault *f)
{
	(void)a;
	(void)field;
	if (v->n == 1 && str_starts(v->child->text, STR("~*"))) {
		return router_check_regex(str_skip(v->child->text, 2), f);
	}
	return ERR_OK;
}

/* -- the table -------------------------------------------------------------- */

static const struct schema_field protocol = {.type = SCHEMA_STRING, .one_of = protocols};
static const struct schema_field method = {.type = SCHEMA_STRING, .match = "^[A-Z]+$"};
static const struct schema_field host = {.type = SCHEMA_STRING, .check = entity_check_wildcard};
static const struct schema_field path = {.type = SCHEMA_STRING, .check = check_path};
static const struct schema_field header_name = {.type = SCHEMA_STRING, .check = check_header_name};
static const struct schema_field header_value = {.type = SCHEMA_STRING};
static const struct schema_field header_values = {
	.type = SCHEMA_ARRAY, .elements = &header_value, .check = check_header_values};

static const struct schema_field address_fields[] = {
	{.name = "ip", .type = SCHEMA_STRING, .check = entity_check_ip},
	ENTITY_INT("port", 0, NULL, 0, 65535),
};
static const struct schema_rule address_rules[] = {
	{.kind = SCHEMA_AT_LEAST_ONE_OF, .fields = {"ip", "port"}},
};
static const struct schema address_schema = {.name = "address",
					     .fields = address_fields,
					     .n = ARRAY_LEN(address_fields),
					     .rules = address_rules,
					     .n_rules = ARRAY_LEN(address_rules)};
static const struct schema_field address = {.type = SCHEMA_RECORD, .record = &address_schema};

static const struct schema_field fields[] = {
	ENTITY_ID,
	ENTITY_CREATED_AT,
	ENTITY_UPDATED_AT,
	ENTITY_NAME("name", SCHEMA_UNIQUE),
	{.name = "protocols",
	 .type = SCHEMA_SET,
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "[\"http\",\"https\"]",
	 .len_min = 1,
	 .elements = &protocol,
	 .check = check_protocols},
	{.name = "https_redirect_status_code",
	 .type = SCHEMA_INTEGER,
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "426",
	 .one_of = redirects},
	ENTITY_BOOL("strip_path", SCHEMA_REQUIRED, "true"),
	ENTITY_BOOL("preserve_host", SCHEMA_REQUIRED, "false"),
	ENTITY_BOOL("request_buffering", SCHEMA_REQUIRED, "true"),
	ENTITY_BOOL("response_buffering", SCHEMA_REQUIRED, "true"),
	ENTITY_TAGS,
	ENTITY_FOREIGN("service", 0, "services"),
	{.name = "snis", .type = SCHEMA_SET, .elements = &entity_sni},
	{.name = "sources", .type = SCHEMA_SET, .elements = &address},
	{.name = "destinations", .type = SCHEMA_SET, .elements = &address},
	{.name = "methods", .type = SCHEMA_SET, .elements = &method},
	{.name = "hosts", .type = SCHEMA_ARRAY, .elements = &host},
	{.name = "paths", .type = SCHEMA_ARRAY, .elements = &path},
	{.name = "headers", .type = SCHEMA_MAP, .keys = &header_name, .elements = &header_values},
	{.name = "regex_priority", .type = SCHEMA_INTEGER, .dflt = "0"},
	{.name = "path_handling",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "\"v0\"",
	 .one_of = handlings},
};

/* strip_path has another default where it cannot be on. */
static void expand(struct arena *a, const struct schema_input *in, struct json *v,
		   struct schema_errors *errors)
{
	const struct json *list = json_get(v, STR("protocols"));

	(void)errors;
	if (in->op == SCHEMA_UPDATE || json_get(v, STR("strip_path"))) {
		return;
	}
	if (list && list->type == JSON_ARRAY &&
	    (entity_has(list, "grpc") || entity_has(list, "grpcs"))) {
		tree_set(a, v, STR("strip_path"), tree_bool(a, false));
	}
}

/* -- rules ------------------------------------------------------------------ */

/* What a route of some protocols may not have and must have. */
struct demand {
	const char *protocol;	  /* the first that the route has counts */
	const char *others;	  /* "'a' or 'b'", in the texts about what cannot be set */
	const char *forbidden[6]; /* NULL ends */
	const char *one_of[6];	  /* one must be set; NULL ends */
	const char *one_of_for;	  /* "'a'", in the text about it */
};

#define HTTP_NAMES "'http' or 'https'"
#define GRPC_NAMES "'grpc' or 'grpcs'"
#define STREAM_NAMES "'tcp', 'tls', 'tls_passthrough' or 'udp'"
#define STREAM_RULES                                                                               \
	STREAM_NAMES, {"methods", "hosts", "paths", "headers"},                                    \
		{"sources", "destinations", "snis"}, "'tcp', 'tls' or 'udp'"

static const struct demand demands[] = {
	{"https",
	 HTTP_NAMES,
	 {"sources", "destinations"},
	 {"methods", "hosts", "headers", "paths", "snis"},
	 "'https'"},
	{"http",
	 HTTP_NAMES,
	 {"sources", "destinations"},
	 {"methods", "hosts", "headers", "paths"},
	 "'http'"},
	{"grpcs",
	 GRPC_NAMES,
	 {"methods", "sources", "destinations"},
	 {"hosts", "headers", "paths", "snis"},
	 "'grpcs'"},
	{"grpc",
	 GRPC_NAMES,
	 {"methods", "sources", "destinations"},
	 {"hosts", "headers", "paths"},
	 "'grpc'"},
	{"tcp", STREAM_RULES},
	{"tls", STREAM_RULES},
	{"udp", STREAM_RULES},
	{"tls_passthrough",
	 STREAM_NAMES,
	 {"methods", "hosts", "paths", "headers", "sources", "destinations"},
	 {"snis"},
	 NULL},
};

static const struct demand *demand_of(const struct json *list)
{
	for (size_t i = 0; i < ARRAY_LEN(demands); i++) {
		if (entity_has(list, demands[i].protocol)) {
			return &demands[i];
		}
	}
	return NULL;
}

static void check_forbidden(const struct demand *d, const struct json *v,
			    struct schema_errors *errors)
{
	for (size_t i = 0; i < ARRAY_LEN(d->forbidden) && d->forbidden[i]; i++) {
		if (entity_is_given(v, d->forbidden[i])) {
			schema_error_at(errors, d->forbidden[i],
					"cannot set '%s' when 'protocols' is %s", d->forbidden[i],
					d->others);
		}
	}
}

static void check_one_of(struct arena *a, const struct demand *d, const struct json *v,
			 struct schema_errors *errors)
{
	struct str names = STR("");

	for (size_t i = 0; i < ARRAY_LEN(d->one_of) && d->one_of[i]; i++) {
		if (schema_has_error(errors, d->one_of[i]) || entity_is_given(v, d->one_of[i])) {
			return;
		}
		names = str_fmt(a, "%.*s%s'%s'", STR_ARG(names), i ? ", " : "", d->one_of[i]);
	}
	if (d->one_of_for) {
		schema_error_entity(errors, "must set one of %.*s when 'protocols' is %s",
				    STR_ARG(names), d->one_of_for);
	} else {
		schema_error_entity(errors, "must set snis when 'protocols' is 'tls_passthrough'");
	}
}

static void check_matchers(struct arena *a, const struct schema_rule *rule, const struct json *v,
			   struct schema_errors *errors)
{
	const struct demand *d = demand_of(json_get(v, STR("protocols")));

	(void)rule;
	if (d) {
		check_forbidden(d, v, errors);
		check_one_of(a, d, v, errors);
	}
}

static void check_snis(struct arena *a, const struct schema_rule *rule, const struct json *v,
		       struct schema_errors *errors)
{
	const struct json *list = json_get(v, STR("protocols"));

	(void)a;
	(void)rule;
	if (!entity_is_given(v, "snis") || entity_has(list, "grpcs") || entity_has(list, "https") ||
	    entity_has(list, "tls") || entity_has(list, "tls_passthrough")) {
		return;
	}
	schema_error_at(errors, "snis", "length must be 0");
	schema_error_entity(errors, "'snis' can only be set when 'protocols' is 'grpcs', 'https', "
				    "'tls' or 'tls_passthrough'");
}

static void check_strip_path(struct arena *a, const struct schema_rule *rule, const struct json *v,
			     struct schema_errors *errors)
{
	const struct json *list = json_get(v, STR("protocols"));

	(void)a;
	(void)rule;
	if (json_bool(json_get(v, STR("strip_path"))) &&
	    (entity_has(list, "grpc") || entity_has(list, "grpcs"))) {
		schema_error_at(errors, "strip_path",
				"cannot set 'strip_path' when 'protocols' is " GRPC_NAMES);
	}
}

static const struct schema_rule rules[] = {
	{.kind = SCHEMA_CUSTOM, .fields = {"protocols", "snis"}, .check = check_snis},
	{.kind = SCHEMA_CUSTOM, .fields = {"protocols"}, .check = check_matchers},
	{.kind = SCHEMA_CUSTOM, .fields = {"protocols", "strip_path"}, .check = check_strip_path},
};

const struct schema entity_route_schema = {.name = "routes",
					   .fields = fields,
					   .n = ARRAY_LEN(fields),
					   .rules = rules,
					   .n_rules = ARRAY_LEN(rules),
					   .expand = expand};
