/*
 * acls: the groups of a consumer.
 */
#include "gateway/entity_int.h"

static const struct schema_field fields[] = {
	ENTITY_ID,
	ENTITY_CREATED_AT,
	ENTITY_FOREIGN("consumer", SCHEMA_REQUIRED, "consumers", .on_delete = "cascade"),
	{.name = "group", .type = SCHEMA_STRING, .flags = SCHEMA_REQUIRED},
	ENTITY_TAGS,
};

const struct schema entity_acl_schema = {.name = "acls", .fields = fields, .n = ARRAY_LEN(fields)};
