/*
 * key-auths: keys of consumers.
 */
#include "gateway/entity_int.h"

#define TTL_MAX 100000000

static const struct schema_field fields[] = {
	ENTITY_ID,
	ENTITY_CREATED_AT,
	ENTITY_FOREIGN("consumer", SCHEMA_REQUIRED, "consumers", .on_delete = "cascade"),
	{.name = "key",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_UNIQUE | SCHEMA_AUTO | SCHEMA_SECRET},
	ENTITY_TAGS,
	ENTITY_INT("ttl", 0, NULL, 0, TTL_MAX),
};

const struct schema entity_key_auth_schema = {
	.name = "keyauth_credentials", .fields = fields, .n = ARRAY_LEN(fields)};
