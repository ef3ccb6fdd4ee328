/*
 * entity_int - what the tables of the entities share
 */
#pragma once
#include "gateway/entity.h"
#include "gateway/tree.h"

extern const struct schema entity_certificate_schema;
extern const struct schema entity_ca_certificate_schema;
extern const struct schema entity_vault_schema;
extern const struct schema entity_upstream_schema;
extern const struct schema entity_target_schema;
extern const struct schema entity_sni_schema;
extern const struct schema entity_service_schema;
extern const struct schema entity_route_schema;
extern const struct schema entity_consumer_schema;
extern const struct schema entity_plugin_schema;
extern const struct schema entity_key_auth_schema;
extern const struct schema entity_basic_auth_schema;
extern const struct schema entity_acl_schema;

/* Fields that nearly all have. */
/* clang-format off */
#define ENTITY_ID \
	{.name = "id", .type = SCHEMA_STRING, .flags = SCHEMA_UUID | SCHEMA_AUTO}
#define ENTITY_CREATED_AT \
	{.name = "created_at", .type = SCHEMA_INTEGER, .flags = SCHEMA_TIMESTAMP | SCHEMA_AUTO}
#define ENTITY_UPDATED_AT \
	{.name = "updated_at", .type = SCHEMA_INTEGER, .flags = SCHEMA_TIMESTAMP | SCHEMA_AUTO}
#define ENTITY_TAGS \
	{.name = "tags", .type = SCHEMA_SET, .elements = &entity_tag, .doc = "Strings to group and filter by."}
#define ENTITY_NAME(field, unique) \
	{.name = field, .type = SCHEMA_STRING, .flags = unique, .check = entity_check_name}
#define ENTITY_FOREIGN(field, bits, collection, ...) \
	{.name = field, .type = SCHEMA_FOREIGN, .flags = bits, .foreign = collection, __VA_ARGS__}
#define ENTITY_BOOL(field, bits, value) \
	{.name = field, .type = SCHEMA_BOOLEAN, .flags = bits, .dflt = value}
#define ENTITY_INT(field, bits, value, lo, hi) \
	{.name = field, .type = SCHEMA_INTEGER, .flags = bits, .dflt = value, .has_range = true, \
	 .min = lo, .max = hi}
/* clang-format on */

extern const struct schema_field entity_tag;
extern const struct schema_field entity_uuid; /* element of a list */
extern const struct schema_field entity_sni;  /* "a.com", "*.a.com", "a.*" */

schema_check_fn entity_check_name;
schema_check_fn entity_check_host;	/* a name or address without port */
schema_check_fn entity_check_host_port; /* … which may have a port */
schema_check_fn entity_check_path;	/* fixed path: starts with /, RFC 3986 characters */
schema_check_fn entity_check_wildcard;	/* host of a route: wildcard, port */
schema_check_fn entity_check_sni;	/* a name, perhaps with a wildcard */
schema_check_fn entity_check_header;	/* name of a header */
schema_check_fn entity_check_header_value;
schema_check_fn entity_check_ip;       /* address or network */
schema_check_fn entity_check_pem_cert; /* one certificate */
schema_check_fn entity_check_pem_key;  /* a private key */

enum entity_host_kind { ENTITY_HOST_NAME, ENTITY_HOST_IPV4, ENTITY_HOST_IPV6 };

struct entity_host {
	enum entity_host_kind kind;
	struct str name; /* without brackets */
	bool has_port;
	uint16_t port;
};

/* "a.com", "a.com:80", "10.0.0.1", "[::1]:80", "::1" */
enum err entity_host_parse(struct str s, struct entity_host *out) MUST_USE;

/* Whether the list or string at `path` is set. */
bool entity_is_given(const struct json *v, const char *path);
/* "{vault://…}": the value is known only when it is used. */
bool entity_is_reference(struct str s);
/* Whether the list of strings holds `s`. */
bool entity_has(const struct json *list, const char *s);
