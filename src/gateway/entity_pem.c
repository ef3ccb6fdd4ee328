/*
 * Certificates and keys: what can be told of the text without reading ASN.1.
 */
#include "gateway/entity_int.h"

static enum err check_pem(struct str s, struct str begin, const char *what, struct fault *f)
{
	if (str_find(s, STR("-----BEGIN ")) < 0 || str_find(s, begin) < 0) {
		return fault_set(f, ERR_INVALID, "invalid %s: no PEM block found", what);
	}
	return ERR_OK;
}

enum err entity_check_pem_cert(struct arena *a, const struct schema_field *field,
			       const struct json *v, struct fault *f)
{
	(void)a;
	(void)field;
	return check_pem(v->text, STR("CERTIFICATE-----"), "certificate", f);
}

enum err entity_check_pem_key(struct arena *a, const struct schema_field *field,
			      const struct json *v, struct fault *f)
{
	(void)a;
	(void)field;
	return check_pem(v->text, STR("PRIVATE KEY-----"), "key", f);
}
