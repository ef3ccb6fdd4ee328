/*
 * certificates: what is shown to clients, and to services that ask for one.
 */
#include "gateway/entity_int.h"
#include "tls/cert.h"

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

/* The pair, unless part of it is not set or stands in a vault. */
static bool pair_of(const struct json *v, const char *cert, const char *key, struct tls_pem *out)
{
	*out = (struct tls_pem){json_str(tree_at(v, cert)), json_str(tree_at(v, key))};
	return out->cert.n > 0 && out->key.n > 0 && !entity_is_reference(out->cert) &&
	       !entity_is_reference(out->key);
}

static bool match(const struct tls_pem *pairs, size_t n)
{
	struct tls_cert *cert;

	if (tls_cert_new(pairs, n, &cert, NULL) != ERR_OK) {
		return false;
	}
	tls_cert_unref(&cert);
	return true;
}

static void check_pair(struct arena *a, const struct schema_rule *rule, const struct json *v,
		       struct schema_errors *errors)
{
	struct tls_pem pair;

	(void)a;
	if (pair_of(v, rule->fields[0], rule->fields[1], &pair) && !match(&pair, 1)) {
		schema_error_entity(errors, "%scertificate does not match key",
				    strcmp(rule->fields[0], "cert") == 0 ? "" : "alternative ");
	}
}

static void check_kinds(struct arena *a, const struct schema_rule *rule, const struct json *v,
			struct schema_errors *errors)
{
	struct tls_pem pairs[2];

	(void)a;
	(void)rule;
	if (pair_of(v, "cert", "key", &pairs[0]) && pair_of(v, "cert_alt", "key_alt", &pairs[1]) &&
	    match(&pairs[0], 1) && match(&pairs[1], 1) && !match(pairs, 2)) {
		schema_error_entity(errors, "certificate and alternative certificate need to have "
					    "different type (e.g. RSA and ECDSA), the provided "
					    "certificates were both of the same type");
	}
}

static const struct schema_rule rules[] = {
	{.kind = SCHEMA_ALL_OR_NONE, .fields = {"cert_alt", "key_alt"}},
	{.kind = SCHEMA_CUSTOM, .fields = {"cert", "key"}, .check = check_pair},
	{.kind = SCHEMA_CUSTOM, .fields = {"cert_alt", "key_alt"}, .check = check_pair},
	{.kind = SCHEMA_CUSTOM,
	 .fields = {"cert", "key", "cert_alt", "key_alt"},
	 .check = check_kinds},
};

const struct schema entity_certificate_schema = {.name = "certificates",
						 .fields = fields,
						 .n = ARRAY_LEN(fields),
						 .rules = rules,
						 .n_rules = ARRAY_LEN(rules)};
