#include "base/clock.h"
#include "base/guid.h"
#include "base/json.h"

/* One bit per field. */
#define FIELDS_MAX 64

struct decoder {
	const struct json_shape *shape;
	struct fault *fault;
};

static enum err fail(const struct decoder *d, const struct json_field *field, const char *what)
{
	return fault_set(d->fault, ERR_INVALID, "%s.%s: %s", d->shape->what, field->name, what);
}

static size_t field_size(enum json_field_type type)
{
	switch (type) {
	case JSON_F_STR:
		return sizeof(struct str);
	case JSON_F_BOOL:
		return sizeof(bool);
	case JSON_F_I64:
		return sizeof(int64_t);
	case JSON_F_OPT_I64:
	case JSON_F_SPAN:
	case JSON_F_TIME:
		return sizeof(struct opt_i64);
	case JSON_F_OPT_BOOL:
		return sizeof(struct opt_bool);
	case JSON_F_GUID:
	case JSON_F_OPT_GUID:
		return sizeof(struct guid);
	case JSON_F_TREE:
		return sizeof(const struct json *);
	}
	assert_failed("known field type", __FILE__, __LINE__);
}

static void *field_of(const struct json_field *field, void *out)
{
	return (char *)out + field->offset;
}

/* -- decode ----------------------------------------------------------------- */

static enum err check_range(const struct decoder *d, const struct json_field *field, int64_t v)
{
	if (field->max > field->min && (v < field->min || v > field->max)) {
		return fault_set(d->fault, ERR_INVALID, "%s.%s: must lie between %lld and %lld",
				 d->shape->what, field->name, (long long)field->min,
				 (long long)field->max);
	}
	return ERR_OK;
}

static enum err decode_str(const struct decoder *d, const struct json_field *field,
			   const struct json *v, struct str *out)
{
	if (v->type != JSON_STRING) {
		return fail(d, field, "must be a string");
	}
	if ((field->flags & JSON_REQUIRED) && v->text.n == 0) {
		return fail(d, field, "is required");
	}
	if (field->max > 0 && v->text.n > (size_t)field->max) {
		return fault_set(d->fault, ERR_INVALID, "%s.%s: must not exceed %lld bytes",
				 d->shape->what, field->name, (long long)field->max);
	}
	if (field->min > 0 && v->text.n < (size_t)field->min) {
		return fault_set(d->fault, ERR_INVALID, "%s.%s: must have at least %lld bytes",
				 d->shape->what, field->name, (long long)field->min);
	}
	*out = v->text;
	return ERR_OK;
}

static enum err decode_bool(const struct decoder *d, const struct json_field *field,
			    const struct json *v, bool *out)
{
	if (v->type != JSON_BOOL) {
		return fail(d, field, "must be true or false");
	}
	*out = v->boolean;
	return ERR_OK;
}

static enum err decode_int(const struct decoder *d, const struct json_field *field,
			   const struct json *v, int64_t *out)
{
	int64_t i;

	if ((v->type != JSON_NUMBER && v->type != JSON_STRING) || !str_to_i64(v->text, &i)) {
		return fail(d, field, "must be a whole number");
	}
	TRY(check_range(d, field, i));
	*out = i;
	return ERR_OK;
}

static enum err decode_span(const struct decoder *d, const struct json_field *field,
			    const struct json *v, int64_t *out)
{
	int64_t ms;

	if (timespan_parse(json_str(v), &ms) != ERR_OK) {
		return fail(d, field, "must be a time span like \"00:02:00\"");
	}
	TRY(check_range(d, field, ms));
	*out = ms;
	return ERR_OK;
}

static enum err decode_time(const struct decoder *d, const struct json_field *field,
			    const struct json *v, int64_t *out)
{
	int64_t ms;

	if (clock_iso_parse(json_str(v), &ms) != ERR_OK) {
		return fail(d, field, "must be a time like \"2026-11-20T22:31:03Z\"");
	}
	TRY(check_range(d, field, ms));
	*out = ms;
	return ERR_OK;
}

static enum err decode_guid(const struct decoder *d, const struct json_field *field,
			    const struct json *v, struct guid *out)
{
	struct guid g;

	if (guid_parse(json_str(v), &g) != ERR_OK) {
		return fail(d, field, "must be a GUID");
	}
	*out = g;
	return ERR_OK;
}

/* `v` is not null. */
static enum err decode_field(const struct decoder *d, const struct json_field *field,
			     const struct json *v, void *out)
{
	struct opt_i64 *opt = (struct opt_i64 *)out;
	struct opt_bool *opt_bool = (struct opt_bool *)out;

	switch (field->type) {
	case JSON_F_STR:
		return decode_str(d, field, v, (struct str *)out);
	case JSON_F_BOOL:
		return decode_bool(d, field, v, (bool *)out);
	case JSON_F_I64:
		return decode_int(d, field, v, (int64_t *)out);
	case JSON_F_OPT_I64:
		opt->has = true;
		return decode_int(d, field, v, &opt->v);
	case JSON_F_OPT_BOOL:
		opt_bool->has = true;
		return decode_bool(d, field, v, &opt_bool->v);
	case JSON_F_SPAN:
		opt->has = true;
		return decode_span(d, field, v, &opt->v);
	case JSON_F_TIME:
		opt->has = true;
		return decode_time(d, field, v, &opt->v);
	case JSON_F_GUID:
	case JSON_F_OPT_GUID:
		return decode_guid(d, field, v, (struct guid *)out);
	case JSON_F_TREE:
		*(const struct json **)out = v;
		return ERR_OK;
	}
	return fail(d, field, "has an unknown type");
}

/* Members mostly come in table order, so the search begins behind the last hit. */
static size_t find_field(const struct json_shape *shape, struct str name, size_t hint)
{
	for (size_t i = 0; i < shape->n; i++) {
		size_t at = hint + i < shape->n ? hint + i : hint + i - shape->n;

		if (str_eq_nocase(str_c(shape->fields[at].name), name)) {
			return at;
		}
	}
	return shape->n;
}

static enum err check_required(const struct decoder *d, uint64_t given)
{
	for (size_t i = 0; i < d->shape->n; i++) {
		const struct json_field *field = &d->shape->fields[i];

		if ((field->flags & JSON_REQUIRED) && !(field->flags & JSON_READONLY) &&
		    !(given >> i & 1)) {
			return fail(d, field, "is required");
		}
	}
	return ERR_OK;
}

static enum err decode_members(const struct decoder *d, const struct json *obj, void *out)
{
	uint64_t seen = 0;
	uint64_t given = 0;
	size_t at = 0;

	for (const struct json *m = obj->child; m; m = m->next) {
		size_t found = find_field(d->shape, m->key, at);
		const struct json_field *field = &d->shape->fields[found];

		if (found == d->shape->n || (field->flags & JSON_READONLY)) {
			continue;
		}
		if (seen >> found & 1) {
			return fail(d, field, "is given twice");
		}
		seen |= (uint64_t)1 << found;
		if (m->type != JSON_NULL) {
			TRY(decode_field(d, field, m, field_of(field, out)));
			given |= (uint64_t)1 << found;
		}
		at = found + 1;
	}
	return check_required(d, given);
}

enum err json_decode(const struct json_shape *shape, const struct json *obj, void *out,
		     struct fault *f)
{
	const struct decoder d = {shape, f};

	ASSERT(shape->n <= FIELDS_MAX);
	for (size_t i = 0; i < shape->n; i++) {
		const struct json_field *field = &shape->fields[i];

		memset(field_of(field, out), 0, field_size(field->type));
	}
	if (!obj || obj->type != JSON_OBJECT) {
		return fault_set(f, ERR_INVALID, "%s: must be an object", shape->what);
	}
	return decode_members(&d, obj, out);
}

/* -- encode ----------------------------------------------------------------- */

static void encode_span(struct json_writer *w, int64_t ms)
{
	char text[TIMESPAN_LEN_MAX];

	json_put_str(w, str_of(text, timespan_format(ms, text)));
}

static void encode_time(struct json_writer *w, int64_t wall_ms)
{
	char text[CLOCK_ISO_LEN + 1];

	clock_iso(wall_ms, text);
	json_put_str(w, str_of(text, CLOCK_ISO_LEN));
}

static void encode_guid(struct json_writer *w, const struct guid *g)
{
	char text[GUID_D_LEN];

	guid_d(g, text);
	json_put_str(w, str_of(text, sizeof(text)));
}

static void encode_opt(struct json_writer *w, const struct opt_i64 *opt,
		       void (*put)(struct json_writer *w, int64_t v))
{
	if (opt->has) {
		put(w, opt->v);
	} else {
		json_put_null(w);
	}
}

static void encode_opt_bool(struct json_writer *w, const struct opt_bool *opt)
{
	if (opt->has) {
		json_put_bool(w, opt->v);
	} else {
		json_put_null(w);
	}
}

static void encode_opt_guid(struct json_writer *w, const struct guid *g)
{
	static const struct guid none;

	if (guid_eq(g, &none)) {
		json_put_null(w);
	} else {
		encode_guid(w, g);
	}
}

static void encode_field(struct json_writer *w, enum json_field_type type, const void *v)
{
	switch (type) {
	case JSON_F_STR:
		json_put_str_or_null(w, *(const struct str *)v);
		return;
	case JSON_F_BOOL:
		json_put_bool(w, *(const bool *)v);
		return;
	case JSON_F_I64:
		json_put_int(w, *(const int64_t *)v);
		return;
	case JSON_F_OPT_I64:
		encode_opt(w, (const struct opt_i64 *)v, json_put_int);
		return;
	case JSON_F_OPT_BOOL:
		encode_opt_bool(w, (const struct opt_bool *)v);
		return;
	case JSON_F_SPAN:
		encode_opt(w, (const struct opt_i64 *)v, encode_span);
		return;
	case JSON_F_TIME:
		encode_opt(w, (const struct opt_i64 *)v, encode_time);
		return;
	case JSON_F_GUID:
		encode_guid(w, (const struct guid *)v);
		return;
	case JSON_F_OPT_GUID:
		encode_opt_guid(w, (const struct guid *)v);
		return;
	case JSON_F_TREE:
		json_put_tree(w, *(const struct json *const *)v);
		return;
	}
}

void json_encode(const struct json_shape *shape, const void *obj, struct json_writer *w)
{
	json_begin_object(w);
	for (size_t i = 0; i < shape->n; i++) {
		const struct json_field *field = &shape->fields[i];

		json_key(w, str_c(field->name));
		encode_field(w, field->type, (const char *)obj + field->offset);
	}
	json_end_object(w);
}
