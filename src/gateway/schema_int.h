/*
 * schema_int - what the files of the schema engine share
 */
#pragma once
#include "gateway/schema.h"
#include "gateway/tree.h"

struct schema_errors {
	struct arena *arena;
	struct json *tree;  /* object; NULL = no error yet */
	const char *prefix; /* of field names in the texts of rules: "" or "config." */
	bool update;
};

/* One value on its way: completed, and what is wrong with it in the same form, or NULL. */
struct schema_outcome {
	const struct json *v;
	struct json *err;
};

struct schema_run {
	struct arena *a;
	const struct schema_input *in;
	bool update; /* merge with what is there */
	bool coerce;
};

struct schema_outcome schema_run_record(const struct schema_run *r, const struct schema *s,
					const struct json *v, const struct json *current,
					const char *prefix);
/* `v` is not null. */
struct schema_outcome schema_run_value(const struct schema_run *r, const struct schema_field *f,
				       const struct json *v, const struct json *current);

void schema_run_rules(struct arena *a, const struct schema *s, const struct json *v,
		      struct schema_errors *errors);

/* NULL, or what is wrong with a value of the right type. */
struct json *schema_validate(struct arena *a, const struct schema_field *f, const struct json *v);
/* Whether the static PCRE pattern is found in `s`. */
bool schema_matches(const char *pattern, struct str s);
/* ERR_INVALID: the fault is what PCRE says. */
enum err schema_regex_check(struct str pattern, struct fault *f) MUST_USE;
double schema_number(const struct json *v);

/* The text of an error as a node. */
struct json *schema_error(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
/* Puts an error in its place below an object or array of errors. */
void schema_error_set(struct schema_errors *errors, struct str key, const struct json *err);
/* More names that the sender chose need not be told: looking for each takes a walk over all. */
bool schema_errors_are_many(const struct schema_errors *errors);

/* Of a field that has one. */
const struct json *schema_default(struct arena *a, const struct schema_field *f);
