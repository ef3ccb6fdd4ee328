/*
 * ca_certificates: whom services' certificates are checked against.
 */
#include "gateway/entity_int.h"

static const struct schema_field fields[] = {
	ENTITY_ID,
	ENTITY_CREATED_AT,
	ENTITY_UPDATED_AT,
	{.name = "cert",
	 .type = SCHEMA_STRING,
	 .flags = SCHEMA_REQUIRED,
	 .check = entity_check_pem_cert},
	{.name = "cert_digest", .type = SCHEMA_STRING, .flags = SCHEMA_UNIQUE},
	ENTITY_TAGS,
};

const struct schema entity_ca_certificate_schema = {
	.name = "ca_certificates", .fields = fields, .n = ARRAY_LEN(fields)};
