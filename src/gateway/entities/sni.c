/*
 * snis: names for which a certificate is shown.
 */
#include "gateway/entity_int.h"

static const struct schema_field fields[] = {
	ENTITY_ID,
	{.name = "name",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_REQUIRED | SCHEMA_UNIQUE,
	 .check = entity_check_sni},
	ENTITY_CREATED_AT,
	ENTITY_UPDATED_AT,
	ENTITY_TAGS,
	ENTITY_FOREIGN("certificate", SCHEMA_REQUIRED, "certificates"),
};

const struct schema entity_sni_schema = {.name = "snis", .fields = fields, .n = ARRAY_LEN(fields)};
