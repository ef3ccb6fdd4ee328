/*
 * consumers: who calls.
 */
#include "gateway/entity_int.h"

static const struct schema_field fields[] = {
	ENTITY_ID,
	ENTITY_CREATED_AT,
	ENTITY_UPDATED_AT,
	{.name = "username", .type = SCHEMA_STRING, .flags = SCHEMA_UNIQUE},
	{.name = "custom_id", .type = SCHEMA_STRING, .flags = SCHEMA_UNIQUE},
	ENTITY_TAGS,
};

static const struct schema_rule rules[] = {
	{.kind = SCHEMA_AT_LEAST_ONE_OF, .fields = {"custom_id", "username"}},
};

const struct schema entity_consumer_schema = {.name = "consumers",
					      .fields = fields,
					      .n = ARRAY_LEN(fields),
					      .rules = rules,
					      .n_rules = ARRAY_LEN(rules)};
