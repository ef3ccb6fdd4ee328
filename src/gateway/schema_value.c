#include "base/guid.h"
#include "base/map.h"
#include "gateway/entity_tree.h"
#include "gateway/schema_int.h"

#include <math.h>
#include <stdlib.h>

/* Whole numbers beyond this have lost their last digits as double. */
#define WHOLE_MAX 9007199254740992.0
#define PLAIN_MAX 40

static struct schema_outcome wrong(const struct json *v, struct json *err)
{
	return (struct schema_outcome){v, err};
}

static struct schema_outcome wrong_type(const struct schema_run *r, const struct json *v,
					const char *what)
{
	return wrong(v, schema_error(r->a, "expected %s", what));
}

/* -- what a form says ------------------------------------------------------- */

static const struct json *coerce_number(const struct schema_run *r, const struct json *v)
{
	struct json *n;

	if (json_parse(r->a, str_trim(v->text), &n, NULL) == ERR_OK && n->type == JSON_NUMBER) {
		return n;
	}
	return v;
}

static const struct json *coerce_bool(const struct schema_run *r, const struct json *v)
{
	if (str_eq(v->text, STR("true"))) {
		return tree_bool(r->a, true);
	}
	return str_eq(v->text, STR("false")) ? tree_bool(r->a, false) : v;
}

static const struct json *coerce(const struct schema_run *r, const struct schema_field *f,
				 const struct json *v)
{
	switch (f->type) {
	case SCHEMA_INTEGER:
	case SCHEMA_NUMBER:
		return v->type == JSON_STRING ? coerce_number(r, v) : v;
	case SCHEMA_BOOLEAN:
		return v->type == JSON_STRING ? coerce_bool(r, v) : v;
	case SCHEMA_ARRAY:
	case SCHEMA_SET:
		if (v->type == JSON_STRING) {
			struct json *list = tree_array(r->a);

			tree_append(r->a, list, v);
			return list;
		}
		return v;
	case SCHEMA_STRING:
	case SCHEMA_MAP:
	case SCHEMA_RECORD:
	case SCHEMA_FOREIGN:
		break;
	}
	return v;
}

/* -- one type each ---------------------------------------------------------- */

static struct schema_outcome run_string(const struct schema_run *r, const struct schema_field *f,
					const struct json *v)
{
	if (v->type != JSON_STRING) {
		return wrong_type(r, v, "a string");
	}
	struct json *err = schema_validate(r->a, f, v);

	if (!err && f->flags & SCHEMA_UUID) {
		return wrong(tree_str(r->a, str_lower(r->a, v->text)), NULL);
	}
	return wrong(v, err);
}

static struct schema_outcome run_integer(const struct schema_run *r, const struct schema_field *f,
					 const struct json *v)
{
	int64_t i;

	if (v->type != JSON_NUMBER) {
		return wrong_type(r, v, "an integer");
	}
	if (!json_int(v, &i)) {
		double x = schema_number(v);

		if (!(fabs(x) <= WHOLE_MAX) || floor(x) != x) {
			return wrong_type(r, v, "an integer");
		}
		v = tree_int(r->a, (int64_t)x);
	}
	return wrong(v, schema_validate(r->a, f, v));
}

/* The shortest text of the same double. */
static struct str number_text(struct arena *a, double x)
{
	struct str s = str_fmt(a, "%.15g", x);

	return strtod(str_cstr(a, s), NULL) == x ? s : str_fmt(a, "%.17g", x);
}

/*
 * Numbers keep their text, so 1.50 is returned as it was sent. One with an exponent, or with more
 * digits than a double has any use for, is written anew: readers differ on those.
 */
static struct schema_outcome run_number(const struct schema_run *r, const struct schema_field *f,
					const struct json *v)
{
	if (v->type != JSON_NUMBER) {
		return wrong_type(r, v, "a number");
	}
	if (v->text.n > PLAIN_MAX || str_index(v->text, 'e') >= 0 || str_index(v->text, 'E') >= 0) {
		double x = strtod(str_cstr(r->a, v->text), NULL);
		struct json *plain = tree_int(r->a, 0);

		if (!isfinite(x)) {
			return wrong_type(r, v, "a number");
		}
		plain->text = number_text(r->a, x);
		v = plain;
	}
	return wrong(v, schema_validate(r->a, f, v));
}

static struct schema_outcome run_boolean(const struct schema_run *r, const struct schema_field *f,
					 const struct json *v)
{
	if (v->type != JSON_BOOL) {
		return wrong_type(r, v, "a boolean");
	}
	return wrong(v, schema_validate(r->a, f, v));
}

static struct schema_outcome run_element(const struct schema_run *r, const struct schema_field *f,
					 const struct json *v, unsigned list_flags)
{
	if (v->type != JSON_NULL) {
		return schema_run_value(r, f, v, NULL);
	}
	if (list_flags & SCHEMA_NULLABLE_ELEMENTS) {
		return wrong(v, NULL);
	}
	return wrong(v, schema_error(r->a, "required field missing"));
}

/* Equal elements have the same text: the members of records stand in the order of the table. */
static bool is_new(struct arena *a, struct map *seen, const struct json *v)
{
	bool is_text = v->type == JSON_STRING || v->type == JSON_NUMBER;
	struct str text = is_text ? v->text : tree_text(a, v);

	/* The pointer only says that it is there. */
	return map_set(seen, text.p ? text : STR(""), seen) == NULL;
}

/* The error of element `i` (from 1), with nulls before. */
static void list_error(struct arena *a, struct tree_tail *errors, size_t i, const struct json *err)
{
	if (!errors->parent) {
		*errors = tree_tail_of(tree_array(a));
	}
	while (errors->parent->n + 1 < i) {
		tree_push(a, errors, STR_NULL, tree_null(a));
	}
	tree_push(a, errors, STR_NULL, err);
}

static struct schema_outcome run_list(const struct schema_run *r, const struct schema_field *f,
				      const struct json *v)
{
	/* An empty table of Lua clients may come as {}. */
	if (v->type != JSON_ARRAY && !(v->type == JSON_OBJECT && v->n == 0)) {
		return wrong_type(r, v, f->type == SCHEMA_SET ? "a set" : "an array");
	}
	struct json *out = tree_array(r->a);
	struct tree_tail tail = tree_tail_of(out);
	struct tree_tail errors = {NULL, NULL};
	struct map seen = {0};
	size_t i = 0;

	for (const struct json *c = v->child; c; c = c->next) {
		struct schema_outcome o = run_element(r, f->elements, c, f->flags);

		i++;
		if (o.err) {
			list_error(r->a, &errors, i, o.err);
		}
		if (f->type == SCHEMA_ARRAY || is_new(r->a, &seen, o.v)) {
			tree_push(r->a, &tail, STR_NULL, o.v);
		}
	}
	map_free(&seen);
	return wrong(out, errors.parent ? errors.parent : schema_validate(r->a, f, out));
}

static const struct schema_field any_key = {.type = SCHEMA_STRING, .flags = SCHEMA_EMPTY_OK};

static struct schema_outcome run_map(const struct schema_run *r, const struct schema_field *f,
				     const struct json *v)
{
	if (v->type != JSON_OBJECT && !(v->type == JSON_ARRAY && v->n == 0)) {
		return wrong_type(r, v, "a map");
	}
	struct json *out = tree_object(r->a);
	struct tree_tail tail = tree_tail_of(out);
	struct schema_errors errors = {.arena = r->a};

	for (const struct json *c = v->child; c; c = c->next) {
		const struct schema_field *key = f->keys ? f->keys : &any_key;
		struct json *err = schema_run_value(r, key, tree_str(r->a, c->key), NULL).err;
		struct schema_outcome o = run_element(r, f->elements, c, f->flags);

		if ((err || o.err) && !schema_errors_are_many(&errors)) {
			schema_error_set(&errors, c->key, err ? err : o.err);
		}
		tree_push(r->a, &tail, c->key, o.v);
	}
	return wrong(out, errors.tree ? errors.tree : schema_validate(r->a, f, out));
}

static struct schema_outcome run_foreign(const struct schema_run *r, const struct json *v)
{
	static const struct schema_field id = {.type = SCHEMA_STRING, .flags = SCHEMA_UUID};
	struct schema_errors errors = {.arena = r->a};
	struct json *out = tree_object(r->a);

	if (v->type != JSON_OBJECT) {
		return wrong_type(r, v, "a record");
	}
	const struct json *given = json_get(v, STR("id"));

	if (json_is_null(given)) {
		schema_error_at(&errors, "id", "missing primary key");
		return wrong(v, errors.tree);
	}
	struct schema_outcome o = run_string(r, &id, given);

	if (o.err) {
		schema_error_set(&errors, STR("id"), o.err);
	}
	tree_set(r->a, out, STR("id"), o.v);
	return wrong(out, errors.tree);
}

static struct schema_outcome run_record(const struct schema_run *r, const struct schema_field *f,
					const struct json *v, const struct json *current)
{
	if (v->type != JSON_OBJECT && !(v->type == JSON_ARRAY && v->n == 0)) {
		return wrong_type(r, v, "a record");
	}
	if (!f->record) {
		return wrong(v, NULL); /* its schema is not known: the name is refused instead */
	}
	struct schema_outcome o = schema_run_record(
		r, f->record, v, current,
		f->subschema ? str_cstr(r->a, str_fmt(r->a, "%s.", f->name)) : "");

	return o.err ? o : wrong(o.v, schema_validate(r->a, f, o.v));
}

struct schema_outcome schema_run_value(const struct schema_run *r, const struct schema_field *f,
				       const struct json *v, const struct json *current)
{
	if (r->coerce) {
		v = coerce(r, f, v);
	}
	switch (f->type) {
	case SCHEMA_STRING:
		return run_string(r, f, v);
	case SCHEMA_INTEGER:
		return run_integer(r, f, v);
	case SCHEMA_NUMBER:
		return run_number(r, f, v);
	case SCHEMA_BOOLEAN:
		return run_boolean(r, f, v);
	case SCHEMA_ARRAY:
	case SCHEMA_SET:
		return run_list(r, f, v);
	case SCHEMA_MAP:
		return run_map(r, f, v);
	case SCHEMA_RECORD:
		return run_record(r, f, v, current);
	case SCHEMA_FOREIGN:
		return run_foreign(r, v);
	}
	assert_failed("known field type", __FILE__, __LINE__);
}
