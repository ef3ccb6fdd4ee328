#include "gateway/plugins/fields.h"

#include "http/message.h"
#include "http/uri.h"
#include "net/addr.h"

static bool is_header_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = ascii_lower(s.p[i]);

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-')) {
			return false;
		}
	}
	return s.n > 0;
}

enum err field_check_header_name(struct arena *a, const struct schema_field *field,
				 const struct json *v, struct fault *f)
{
	(void)a;
	(void)field;
	if (is_header_name(json_str(v))) {
		return ERR_OK;
	}
	return fault_set(f, ERR_INVALID,
			 "bad header name '%.*s', allowed characters are A-Z, a-z, 0-9, '_', "
			 "and '-'",
			 STR_ARG(json_str(v)));
}

enum err field_check_header_value(struct arena *a, const struct schema_field *field,
				  const struct json *v, struct fault *f)
{
	(void)a;
	(void)field;
	if (http_is_field_value(json_str(v))) {
		return ERR_OK;
	}
	return fault_set(f, ERR_INVALID, "must not contain control characters");
}

enum err field_check_url(struct arena *a, const struct schema_field *field, const struct json *v,
			 struct fault *f)
{
	struct uri uri;

	(void)a;
	(void)field;
	if (uri_parse(json_str(v), &uri, NULL) == ERR_OK && uri.host.n > 0) {
		return ERR_OK;
	}
	return fault_set(f, ERR_INVALID, "missing host in url");
}

static enum err check_cidr(struct arena *a, const struct schema_field *field, const struct json *v,
			   struct fault *f)
{
	struct addr_net net;

	(void)a;
	(void)field;
	if (addr_net_parse(json_str(v), &net) == ERR_OK) {
		return ERR_OK;
	}
	return fault_set(f, ERR_INVALID, "invalid ip or cidr range: '%.*s'", STR_ARG(json_str(v)));
}

const struct schema_field field_any_string = {.type = SCHEMA_STRING};
const struct schema_field field_header_name = {.type = SCHEMA_STRING,
					       .check = field_check_header_name};
const struct schema_field field_cidr = {.type = SCHEMA_STRING, .check = check_cidr};
