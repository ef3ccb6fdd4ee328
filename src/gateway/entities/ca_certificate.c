/*
 * ca_certificates: whom services' certificates are checked against.
 */
#include "gateway/entity_int.h"
#include "tls/cert.h"

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

/* The digest is always that of the certificate, whatever was sent. */
static void finish(struct arena *a, const struct schema_input *in, struct json *v,
		   struct schema_errors *errors)
{
	struct tls_cert_info info;

	if (tls_pem_inspect(json_str(json_get(v, STR("cert"))), &info, NULL) != ERR_OK) {
		return; /* was checked with the field */
	}
	if (info.count > 1) {
		schema_error_entity(errors, "please submit only one certificate at a time");
	} else if (info.not_after_ms < in->now_ms) {
		schema_error_entity(errors,
				    "certificate expired, \"Not After\" time is in the past");
	} else if (!info.is_ca) {
		schema_error_entity(errors, "certificate does not appear to be a CA because it is "
					    "missing the \"CA\" basic constraint");
	}
	tree_set(a, v, STR("cert_digest"),
		 tree_str(a, str_dup(a, str_of(info.sha256, TLS_DIGEST_LEN))));
}

const struct schema entity_ca_certificate_schema = {
	.name = "ca_certificates", .fields = fields, .n = ARRAY_LEN(fields), .finish = finish};
