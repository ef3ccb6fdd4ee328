/*
 * certificates: what is shown to clients, and to services that ask for one.
 */
#include "gateway/entity_int.h"

static const struct schema_field fields[] = {
	ENTITY_ID,
	ENTITY_CREATED_AT,
	ENTITY_UPDATED_AT,
	{.name = "cert",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_REQUIRED | SCHEMA_REFERENCEABLE,
	 .check = entity_check_pem_cert},
	{.name = "key",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_REQUIRED | SCHEMA_REFERENCEABLE | SCHEMA_SECRET,
	 .check = entity_check_pem_key},
	{.name = "cert_alt",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_REFERENCEABLE,
	 .check = entity_check_pem_cert},
	{.name = "key_alt",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_REFERENCEABLE | SCHEMA_SECRET,
	 .check = entity_check_pem_key},
	ENTITY_TAGS,
};

static const struct schema_rule rules[] = {
	{.kind = SCHEMA_ALL_OR_NONE, .fields = {"cert_alt", "key_alt"}},
};

const struct schema entity_certificate_schema = {.name = "certificates",
						 .fields = fields,
						 .n = ARRAY_LEN(fields),
						 .rules = rules,
						 .n_rules = ARRAY_LEN(rules)};
