#include "gateway/schema_int.h"

/* Whether a value counts as given: null, "" and what has no elements do not. */
static bool is_empty(const struct json *v)
{
	if (json_is_null(v)) {
		return true;
	}
	switch (v->type) {
	case JSON_NULL:
		return true;
	case JSON_STRING:
		return v->text.n == 0;
	case JSON_ARRAY:
	case JSON_OBJECT:
		return v->n == 0;
	case JSON_BOOL:
	case JSON_NUMBER:
		break;
	}
	return false;
}

static size_t n_fields(const struct schema_rule *rule)
{
	size_t n = 0;

	while (n < SCHEMA_RULE_FIELDS && rule->fields[n]) {
		n++;
	}
	return n;
}

/* "'a', 'b'" */
static struct str quoted(struct arena *a, const struct schema_rule *rule, const char *prefix)
{
	struct str s = STR("");

	for (size_t i = 0; i < n_fields(rule); i++) {
		s = str_fmt(a, "%.*s%s'%s%s'", STR_ARG(s), i ? ", " : "", prefix, rule->fields[i]);
	}
	return s;
}

static void say(const struct schema_rule *rule, const char *text, struct schema_errors *errors)
{
	const char *when =
		errors->update && rule->kind == SCHEMA_AT_LEAST_ONE_OF ? "when updating, " : "";

	schema_error_entity(errors, "%s%s: %.*s", when, text,
			    STR_ARG(quoted(errors->arena, rule, errors->prefix)));
}

static size_t n_given(const struct schema_rule *rule, const struct json *v)
{
	size_t n = 0;

	for (size_t i = 0; i < n_fields(rule); i++) {
		n += !is_empty(tree_at(v, rule->fields[i]));
	}
	return n;
}

static bool are_distinct(const struct schema_rule *rule, const struct json *v)
{
	for (size_t i = 0; i < n_fields(rule); i++) {
		const struct json *x = tree_at(v, rule->fields[i]);

		for (size_t k = 0; k < i && !json_is_null(x); k++) {
			const struct json *y = tree_at(v, rule->fields[k]);

			if (!json_is_null(y) && tree_eq(x, y)) {
				return false;
			}
		}
	}
	return true;
}

/* -- if this, then that ----------------------------------------------------- */

static bool is_in(struct str s, const char *const *list)
{
	for (size_t i = 0; list[i]; i++) {
		if (str_eq(s, str_c(list[i]))) {
			return true;
		}
	}
	return false;
}

static bool applies_to(const struct schema_rule *rule, const struct json *v)
{
	struct str text = v->text;

	if (v->type == JSON_BOOL) {
		text = v->boolean ? STR("true") : STR("false");
	}
	if (rule->if_one_of && !is_in(text, rule->if_one_of)) {
		return false;
	}
	return !rule->if_not_one_of || !is_in(text, rule->if_not_one_of);
}

static bool applies(const struct schema_rule *rule, const struct json *v)
{
	const struct json *given = tree_at(v, rule->fields[0]);

	if (json_is_null(given)) {
		return false;
	}
	if (given->type != JSON_ARRAY) {
		return applies_to(rule, given);
	}
	for (const struct json *c = given->child; c; c = c->next) {
		if (applies_to(rule, c)) {
			return true;
		}
	}
	return false;
}

static struct json *then_error(struct arena *a, const struct schema_rule *rule,
			       const struct json *v)
{
	static const struct schema_field choice = {.type = SCHEMA_STRING, .flags = SCHEMA_EMPTY_OK};
	struct schema_field f = choice;

	switch (rule->then) {
	case SCHEMA_THEN_REQUIRED:
		return json_is_null(v) ? schema_error(a, "required field missing") : NULL;
	case SCHEMA_THEN_NULL:
		return json_is_null(v) ? NULL : schema_error(a, "value must be null");
	case SCHEMA_THEN_ONE_OF:
		f.one_of = rule->then_one_of;
		return json_is_null(v) ? NULL : schema_validate(a, &f, v);
	}
	return NULL;
}

static void run_conditional(const struct schema_rule *rule, const struct json *v,
			    struct schema_errors *errors)
{
	if (!applies(rule, v)) {
		return;
	}
	struct json *err = then_error(errors->arena, rule, tree_at(v, rule->fields[1]));

	if (!err) {
		return;
	}
	schema_error_at(errors, rule->fields[1], "%.*s", STR_ARG(err->text));
	if (rule->then_err) {
		schema_error_entity(errors, "%s", rule->then_err);
	} else {
		schema_error_entity(errors,
				    "failed conditional validation given value of field '%s%s'",
				    errors->prefix, rule->fields[0]);
	}
}

/* -- all -------------------------------------------------------------------- */

static void run_rule(struct arena *a, const struct schema_rule *rule, const struct json *v,
		     struct schema_errors *errors)
{
	size_t n = n_given(rule, v);

	switch (rule->kind) {
	case SCHEMA_AT_LEAST_ONE_OF:
		if (n == 0) {
			say(rule, "at least one of these fields must be non-empty", errors);
		}
		break;
	case SCHEMA_EXACTLY_ONE_OF:
		if (n != 1) {
			say(rule, "exactly one of these fields must be non-empty", errors);
		}
		break;
	case SCHEMA_ONLY_ONE_OF:
		if (n > 1) {
			say(rule, "only one or none of these fields must be set", errors);
		}
		break;
	case SCHEMA_ALL_OR_NONE:
		if (n != 0 && n != n_fields(rule)) {
			say(rule, "all or none of these fields must be set", errors);
		}
		break;
	case SCHEMA_DISTINCT:
		if (!are_distinct(rule, v)) {
			say(rule, "values of these fields must be distinct", errors);
		}
		break;
	case SCHEMA_CONDITIONAL:
		run_conditional(rule, v, errors);
		break;
	case SCHEMA_CUSTOM:
		rule->check(a, rule, v, errors);
		break;
	}
}

void schema_run_rules(struct arena *a, const struct schema *s, const struct json *v,
		      struct schema_errors *errors)
{
	/* Rules do not see each other's findings: each tells about what was sent. */
	struct schema_errors before = *errors;

	before.tree = errors->tree ? tree_copy(a, errors->tree) : NULL;
	for (size_t i = 0; i < s->n_rules; i++) {
		const struct schema_rule *rule = &s->rules[i];
		bool sound = true;

		for (size_t k = 0; k < n_fields(rule); k++) {
			sound = sound && !schema_has_error(&before, rule->fields[k]);
		}
		if (sound) {
			run_rule(a, rule, v, errors);
		}
	}
}
