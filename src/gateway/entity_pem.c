/*
 * Certificates and keys as fields of entities.
 */
#include "gateway/entity_int.h"
#include "tls/cert.h"

enum err entity_check_pem_cert(struct arena *a, const struct schema_field *field,
			       const struct json *v, struct fault *f)
{
	struct tls_cert_info info;

	(void)a;
	(void)field;
	return tls_pem_inspect(v->text, &info, f);
}

enum err entity_check_pem_key(struct arena *a, const struct schema_field *field,
			      const struct json *v, struct fault *f)
{
	enum tls_key_kind kind;

	(void)a;
	(void)field;
	return tls_pem_check_key(v->text, &kind, f);
}
