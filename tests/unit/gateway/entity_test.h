/*
 * entity_test - processing entities from JSON texts, for the tests of schemas and kinds
 *
 * One arena for all of a test; `insert` and `update` keep the last result in it.
 */
#pragma once
#include "unit.h"

#include "gateway/entity.h"
#include "gateway/tree.h"

#define NOW 1700000000123

struct entity_test {
	struct arena arena;
	const struct schema *schema;
	bool coerce;
	bool keep_derived;
	const struct json *out;
	const struct json *errors;
};

static inline void entity_test_init(struct entity_test *t, const struct schema *s)
{
	*t = (struct entity_test){.schema = s};
	arena_init(&t->arena, 0);
}

static inline void entity_test_fini(struct entity_test *t)
{
	arena_fini(&t->arena);
}

static inline const struct json *parsed(struct entity_test *t, const char *text)
{
	struct json *v;
	struct fault f = {0};

	if (json_parse(&t->arena, str_c(text), &v, &f) != ERR_OK) {
		fail_msg("%s: %s", f.text, text);
	}
	return v;
}

static inline struct str written(struct entity_test *t, const struct json *v)
{
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);

	json_put_tree(&w, v);
	struct str s = str_dup(&t->arena, buf_str(&b));

	buf_free(&b);
	return s;
}

static inline enum err run(struct entity_test *t, const struct schema_input *in)
{
	t->out = NULL;
	return schema_process(&t->arena, t->schema, in, &t->out, &t->errors);
}

static inline enum err insert(struct entity_test *t, const char *text)
{
	struct schema_input in = {.op = SCHEMA_INSERT,
				  .value = parsed(t, text),
				  .coerce = t->coerce,
				  .keep_derived = t->keep_derived,
				  .now_ms = NOW};

	return run(t, &in);
}

/* PATCH of the last result. */
static inline enum err update(struct entity_test *t, const char *text)
{
	struct schema_input in = {.op = SCHEMA_UPDATE,
				  .value = parsed(t, text),
				  .current = t->out,
				  .coerce = t->coerce,
				  .keep_derived = t->keep_derived,
				  .now_ms = NOW + 5000};

	return run(t, &in);
}

static inline void assert_same(struct str got, const char *want)
{
	if (!str_eq(got, str_c(want))) {
		fail_msg("got  %.*s\nwant %s", STR_ARG(got), want);
	}
}

/* What stands at `path` of the result, as JSON text. */
static inline void assert_at(struct entity_test *t, const char *path, const char *want)
{
	const struct json *v = tree_at(t->out, path);

	if (!v) {
		fail_msg("nothing at %s in %.*s", path, STR_ARG(written(t, t->out)));
	}
	assert_same(written(t, v), want);
}

static inline void assert_takes(struct entity_test *t, const char *text)
{
	if (insert(t, text) != ERR_OK) {
		fail_msg("%s refused: %.*s", text, STR_ARG(written(t, t->errors)));
	}
}

/* The tree of errors, as JSON text. */
static inline void assert_refuses(struct entity_test *t, const char *text, const char *errors)
{
	if (insert(t, text) == ERR_OK) {
		fail_msg("%s accepted", text);
	}
	assert_same(written(t, t->errors), errors);
}

static inline void assert_update_refused(struct entity_test *t, const char *text,
					 const char *errors)
{
	const struct json *before = t->out;

	if (update(t, text) == ERR_OK) {
		fail_msg("%s accepted", text);
	}
	assert_same(written(t, t->errors), errors);
	t->out = before;
}
