/*
 * vaults: where {vault://PREFIX/…} looks. Environment variables are the one kind.
 */
#include "gateway/entity_int.h"

static const char *const kinds[] = {"env", NULL};

static const struct schema_field config_fields[] = {
	{.name = "prefix", .type = SCHEMA_STRING, .match = "^[a-zA-Z_][a-zA-Z0-9_]*$"},
	ENTITY_BOOL("base64_decode", SCHEMA_REQUIRED, "false"),
};

static const struct schema config = {
	.name = "config", .fields = config_fields, .n = ARRAY_LEN(config_fields)};

#define CONFIG                                                                                     \
	{                                                                                          \
		.name = "config", .type = SCHEMA_RECORD, .flags = SCHEMA_REQUIRED,                 \
		.record = &config                                                                  \
	}

static const struct schema_field env_fields[] = {CONFIG};
const struct schema entity_vault_env_schema = {
	.name = "env", .fields = env_fields, .n = ARRAY_LEN(env_fields)};

static const struct schema_field fields[] = {
	ENTITY_ID,
	ENTITY_CREATED_AT,
	ENTITY_UPDATED_AT,
	{.name = "prefix",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_REQUIRED | SCHEMA_UNIQUE,
	 .match = "^[a-z][a-z0-9-]*[a-z0-9]+$",
	 .not_one_of = kinds},
	{.name = "name", .type = SCHEMA_STRING, .flags = SCHEMA_REQUIRED, .one_of = kinds},
	{.name = "description", .type = SCHEMA_STRING},
	CONFIG,
	ENTITY_TAGS,
};

const struct schema entity_vault_schema = {
	.name = "vaults", .fields = fields, .n = ARRAY_LEN(fields)};
