#include "gateway/plugins/edits.h"

#include "http/message.h"

static bool split(struct str s, struct str *out_name, struct str *out_value)
{
	ptrdiff_t colon = str_index(s, ':');

	if (colon <= 0) {
		return false;
	}
	*out_name = str_slice(s, 0, (size_t)colon);
	*out_value = str_skip(s, (size_t)colon + 1);
	if (!out_value->p) {
		*out_value = STR("");
	}
	return true;
}

static enum err check_pair(struct arena *a, const struct schema_field *field, const struct json *v,
			   struct fault *f)
{
	struct str name = STR_NULL, value = STR_NULL;

	(void)a;
	(void)field;
	if (split(json_str(v), &name, &value)) {
		return ERR_OK;
	}
	return fault_set(f, ERR_INVALID, "invalid value: %.*s", STR_ARG(json_str(v)));
}

static enum err check_header_pair(struct arena *a, const struct schema_field *field,
				  const struct json *v, struct fault *f)
{
	struct str name = STR_NULL, value = STR_NULL;

	TRY(check_pair(a, field, v, f));
	(void)split(json_str(v), &name, &value);
	if (!http_is_token(name)) {
		return fault_set(f, ERR_INVALID, "'%.*s' is not a valid header", STR_ARG(name));
	}
	if (!http_is_field_value(value)) {
		return fault_set(f, ERR_INVALID, "must not contain control characters");
	}
	return ERR_OK;
}

static enum err check_header_rename(struct arena *a, const struct schema_field *field,
				    const struct json *v, struct fault *f)
{
	struct str name = STR_NULL, value = STR_NULL;

	TRY(check_header_pair(a, field, v, f));
	(void)split(json_str(v), &name, &value);
	if (!http_is_token(value)) {
		return fault_set(f, ERR_INVALID, "'%.*s' is not a valid header", STR_ARG(value));
	}
	return ERR_OK;
}

static enum err check_value(struct arena *a, const struct json *v, struct fault *f)
{
	const struct template *compiled;
	struct str name = STR_NULL, value = STR_NULL;

	(void)split(json_str(v), &name, &value);
	return template_compile(a, value, &compiled, f);
}

static enum err check_template_pair(struct arena *a, const struct schema_field *field,
				    const struct json *v, struct fault *f)
{
	TRY(check_pair(a, field, v, f));
	return check_value(a, v, f);
}

static enum err check_header_template(struct arena *a, const struct schema_field *field,
				      const struct json *v, struct fault *f)
{
	TRY(check_header_pair(a, field, v, f));
	return check_value(a, v, f);
}

enum err edits_check_template(struct arena *a, const struct schema_field *field,
			      const struct json *v, struct fault *f)
{
	const struct template *compiled;

	(void)field;
	return template_compile(a, json_str(v), &compiled, f);
}

const struct schema_field edits_pair = {.type = SCHEMA_STRING, .check = check_pair};
const struct schema_field edits_header_pair = {.type = SCHEMA_STRING, .check = check_header_pair};
const struct schema_field edits_template_pair = {.type = SCHEMA_STRING,
						 .check = check_template_pair};
const struct schema_field edits_header_template = {.type = SCHEMA_STRING,
						   .check = check_header_template};
const struct schema_field edits_header_rename = {.type = SCHEMA_STRING,
						 .check = check_header_rename};

enum err edits_compile(struct arena *a, struct schema_strs in, enum edits_kind kind,
		       const char *what, struct edits *out, struct fault *f)
{
	struct edits list = {.v = ARENA_NEW_ARRAY(a, struct edit, in.n + 1), .n = in.n};

	for (size_t i = 0; i < in.n; i++) {
		struct edit *e = &list.v[i];

		if (!split(in.v[i], &e->name, &e->text)) {
			if (kind != EDITS_NAMES) {
				return fault_set(f, ERR_INVALID, "config.%s: invalid value: %.*s",
						 what, STR_ARG(in.v[i]));
			}
			e->name = in.v[i];
			e->text = STR_NULL;
		}
		if (kind == EDITS_TEMPLATES) {
			struct fault why = {0};

			if (template_compile(a, e->text, &e->value, &why) != ERR_OK) {
				return fault_set(f, ERR_INVALID, "config.%s: %s", what, why.text);
			}
		}
	}
	*out = list;
	return ERR_OK;
}

bool edits_name(const struct edits *e, struct str name)
{
	for (size_t i = 0; i < e->n; i++) {
		if (str_eq_nocase(e->v[i].name, name)) {
			return true;
		}
	}
	return false;
}

bool edits_rename(const struct edits *e, struct str name)
{
	for (size_t i = 0; i < e->n; i++) {
		if (str_eq_nocase(e->v[i].name, name) || str_eq_nocase(e->v[i].text, name)) {
			return true;
		}
	}
	return false;
}
