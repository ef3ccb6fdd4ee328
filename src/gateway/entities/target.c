/*
 * targets: the addresses behind an upstream.
 */
#include "gateway/entity_int.h"

#define DEFAULT_PORT 8000

/* Seconds with milliseconds: which of two is newer decides. */
#define TIME(field)                                                                                \
	{                                                                                          \
		.name = field, .type = SCHEMA_NUMBER, .flags = SCHEMA_TIMESTAMP | SCHEMA_AUTO      \
	}

static enum err check_target(struct arena *a, const struct schema_field *field,
			     const struct json *v, struct fault *f)
{
	struct entity_host host;

	(void)a;
	(void)field;
	if (entity_host_parse(v->text, &host) != ERR_OK) {
		return fault_set(f, ERR_INVALID,
				 "Invalid target ('%.*s'); not a valid hostname or ip address",
				 STR_ARG(v->text));
	}
	return ERR_OK;
}

static const struct schema_field fields[] = {
	ENTITY_ID,
	TIME("created_at"),
	TIME("updated_at"),
	ENTITY_FOREIGN("upstream", SCHEMA_REQUIRED, "upstreams", .on_delete = "cascade"),
	{.name = "target", .type = SCHEMA_STRING, .flags = SCHEMA_REQUIRED, .check = check_target},
	ENTITY_INT("weight", 0, "100", 0, 65535),
	ENTITY_TAGS,
};

/* One spelling for one address, as (upstream, target) is unique. */
static void finish(struct arena *a, const struct schema_input *in, struct json *v,
		   struct schema_errors *errors)
{
	struct entity_host host;

	(void)in;
	(void)errors;
	if (entity_host_parse(json_str(json_get(v, STR("target"))), &host) != ERR_OK) {
		return;
	}
	unsigned port = host.has_port ? host.port : DEFAULT_PORT;
	const char *form = host.kind == ENTITY_HOST_IPV6 ? "[%.*s]:%u" : "%.*s:%u";

	tree_set(a, v, STR("target"), tree_str(a, str_fmt(a, form, STR_ARG(host.name), port)));
}

const struct schema entity_target_schema = {
	.name = "targets", .fields = fields, .n = ARRAY_LEN(fields), .finish = finish};
