#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/guid.h"
#include "base/utf8.h"
#include "gateway/schema_int.h"

#include <pcre2.h>
#include <stdlib.h>

#define NUMBER_MAX 64
/* Seconds, or the milliseconds of old clients, that can still be counted with. */
#define TIMESTAMP_MAX 1e15

double schema_number(const struct json *v)
{
	char text[NUMBER_MAX];
	size_t n = MIN(v->text.n, sizeof(text) - 1);

	if (n > 0) {
		memcpy(text, v->text.p, n);
	}
	text[n] = '\0';
	return strtod(text, NULL);
}

bool schema_matches(const char *pattern, struct str s)
{
	int code;
	PCRE2_SIZE at;
	pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
				       PCRE2_DOLLAR_ENDONLY, &code, &at, NULL);
	ASSERT(re != NULL);
	pcre2_match_data *m = pcre2_match_data_create_from_pattern(re, NULL);

	ASSERT(m != NULL);
	code = pcre2_match(re, (PCRE2_SPTR)(s.p ? s.p : ""), s.n, 0, 0, m, NULL);
	pcre2_match_data_free(m);
	pcre2_code_free(re);
	return code >= 0;
}

enum err schema_regex_check(struct str pattern, struct fault *f)
{
	PCRE2_UCHAR text[128];
	PCRE2_SIZE at;
	int code;
	pcre2_code *re = pcre2_compile((PCRE2_SPTR)(pattern.p ? pattern.p : ""), pattern.n, 0,
				       &code, &at, NULL);

	if (re) {
		pcre2_code_free(re);
		return ERR_OK;
	}
	if (pcre2_get_error_message(code, text, sizeof(text)) < 0) {
		return fault_set(f, ERR_INVALID, "error %d at %zu", code, at);
	}
	return fault_set(f, ERR_INVALID, "%s at %zu", (const char *)text, at);
}

static struct str joined(struct arena *a, const char *const *list)
{
	struct str s = STR("");

	for (size_t i = 0; list[i]; i++) {
		s = i ? str_fmt(a, "%.*s, %s", STR_ARG(s), list[i]) : str_c(list[i]);
	}
	return s;
}

static bool is_one_of(const struct json *v, const char *const *list)
{
	for (size_t i = 0; list[i]; i++) {
		if (str_eq(v->text, str_c(list[i]))) {
			return true;
		}
	}
	return false;
}

static struct json *validate_choice(struct arena *a, const struct schema_field *f,
				    const struct json *v)
{
	if (f->one_of && !is_one_of(v, f->one_of)) {
		return schema_error(a, "expected one of: %.*s", STR_ARG(joined(a, f->one_of)));
	}
	if (f->not_one_of && is_one_of(v, f->not_one_of)) {
		return schema_error(a, "must not be one of: %.*s",
				    STR_ARG(joined(a, f->not_one_of)));
	}
	return NULL;
}

static struct json *validate_length(struct arena *a, const struct schema_field *f, size_t n)
{
	size_t min = f->len_min;

	if (f->type == SCHEMA_STRING && min == 0 && !(f->flags & SCHEMA_EMPTY_OK)) {
		min = 1;
	}
	if (f->len_min > 0 && f->len_min == f->len_max && n != min) {
		return schema_error(a, "length must be %zu", min);
	}
	if (n < min) {
		return schema_error(a, "length must be at least %zu", min);
	}
	if (f->len_max > 0 && n > f->len_max) {
		return schema_error(a, "length must be at most %u", f->len_max);
	}
	return NULL;
}

static struct json *validate_number(struct arena *a, const struct schema_field *f,
				    const struct json *v)
{
	double x = schema_number(v);

	if (f->has_gt && !(x > f->gt)) {
		return schema_error(a, "value must be greater than %.14g", f->gt);
	}
	if (f->flags & SCHEMA_TIMESTAMP && !(x > 0 && x <= TIMESTAMP_MAX)) {
		return schema_error(a, "expected a valid timestamp");
	}
	if (f->has_range && !(x >= f->min && x <= f->max)) {
		return schema_error(a, "value should be between %.14g and %.14g", f->min, f->max);
	}
	return NULL;
}

static bool is_uuid(struct str s)
{
	struct guid id;

	return s.n == GUID_D_LEN && guid_parse(s, &id) == ERR_OK && !guid_is_nil(&id);
}

static size_t utf8_bad_at(struct str s)
{
	size_t i = 0;

	while (i < s.n) {
		size_t n = utf8_next(str_skip(s, i));

		if (n == 0) {
			return i + 1;
		}
		i += n;
	}
	return 0;
}

/* What no field may hold: C and PostgreSQL end texts at a NUL, so a part would not count. */
static struct json *validate_text(struct arena *a, struct str s)
{
	size_t bad = utf8_bad_at(s);
	ptrdiff_t nul = str_index(s, '\0');

	if (bad > 0) {
		return schema_error(a, "invalid utf-8 character sequence detected at position %zu",
				    bad);
	}
	if (nul >= 0) {
		return schema_error(a, "invalid NUL character detected at position %zu",
				    (size_t)nul + 1);
	}
	return NULL;
}

static struct json *validate_string(struct arena *a, const struct schema_field *f, struct str s)
{
	if (f->flags & SCHEMA_UUID && !is_uuid(s)) {
		return schema_error(a, "expected a valid UUID");
	}
	struct json *e = validate_length(a, f, s.n);

	if (e) {
		return e;
	}
	if (f->flags & SCHEMA_REGEX && schema_regex_check(s, NULL) != ERR_OK) {
		return schema_error(a, "not a valid regex: %.*s", STR_ARG(s));
	}
	if (f->match && !schema_matches(f->match, s)) {
		return f->match_err ? schema_error(a, "%s", f->match_err)
				    : schema_error(a, "invalid value: %.*s", STR_ARG(s));
	}
	if (f->starts_with && !str_starts(s, str_c(f->starts_with))) {
		return schema_error(a, "should start with: %s", f->starts_with);
	}
	return NULL;
}

static struct json *validate_own(struct arena *a, const struct schema_field *f,
				 const struct json *v)
{
	struct fault fault = {0};

	if (!f->check || f->check(a, f, v, &fault) == ERR_OK) {
		return NULL;
	}
	return schema_error(a, "%s", fault.text);
}

static bool is_reference(struct str s)
{
	return str_starts(s, STR("{vault://")) && str_ends(s, STR("}"));
}

struct json *schema_validate(struct arena *a, const struct schema_field *f, const struct json *v)
{
	struct json *e = v->type == JSON_STRING ? validate_text(a, v->text) : NULL;

	if (!e && f->flags & SCHEMA_REFERENCEABLE && v->type == JSON_STRING &&
	    is_reference(v->text)) {
		return NULL;
	}
	if (!e && (v->type == JSON_STRING || v->type == JSON_NUMBER)) {
		e = validate_choice(a, f, v);
	}
	if (!e && v->type == JSON_NUMBER) {
		e = validate_number(a, f, v);
	} else if (!e && v->type == JSON_STRING) {
		e = validate_string(a, f, v->text);
	} else if (!e && (v->type == JSON_ARRAY || v->type == JSON_OBJECT)) {
		e = validate_length(a, f, v->n);
	}
	return e ? e : validate_own(a, f, v);
}
