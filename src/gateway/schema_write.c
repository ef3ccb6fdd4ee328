#include "gateway/schema_int.h"

static void put_name(struct json_writer *w, const char *name)
{
	json_key(w, str_c(name));
}

static void put_flag(struct json_writer *w, const char *name, bool on)
{
	if (on) {
		put_name(w, name);
		json_put_bool(w, true);
	}
}

static void put_text(struct json_writer *w, const char *name, const char *text)
{
	if (text) {
		put_name(w, name);
		json_put_str(w, str_c(text));
	}
}

static void put_number(struct json_writer *w, double v)
{
	struct buf text = {0};

	buf_printf(&text, "%.14g", v);
	json_put_raw(w, buf_str(&text));
	buf_free(&text);
}

/* `raw`: the texts are numbers. */
static void put_list(struct json_writer *w, const char *name, const char *const *list, bool raw)
{
	if (!list) {
		return;
	}
	put_name(w, name);
	json_begin_array(w);
	for (size_t i = 0; list[i]; i++) {
		if (raw) {
			json_put_raw(w, str_c(list[i]));
		} else {
			json_put_str(w, str_c(list[i]));
		}
	}
	json_end_array(w);
}

static const char *type_name(enum schema_type type)
{
	switch (type) {
	case SCHEMA_STRING:
		return "string";
	case SCHEMA_INTEGER:
		return "integer";
	case SCHEMA_NUMBER:
		return "number";
	case SCHEMA_BOOLEAN:
		return "boolean";
	case SCHEMA_ARRAY:
		return "array";
	case SCHEMA_SET:
		return "set";
	case SCHEMA_MAP:
		return "map";
	case SCHEMA_RECORD:
		return "record";
	case SCHEMA_FOREIGN:
		return "foreign";
	}
	assert_failed("known field type", __FILE__, __LINE__);
}

static void put_limits(struct json_writer *w, const struct schema_field *f)
{
	bool is_number = f->type == SCHEMA_INTEGER || f->type == SCHEMA_NUMBER;

	put_list(w, "one_of", f->one_of, is_number);
	put_list(w, "not_one_of", f->not_one_of, is_number);
	if (f->has_range) {
		put_name(w, "between");
		json_begin_array(w);
		put_number(w, f->min);
		put_number(w, f->max);
		json_end_array(w);
	}
	if (f->has_gt) {
		put_name(w, "gt");
		put_number(w, f->gt);
	}
	if (f->flags & SCHEMA_EMPTY_OK || f->len_min > 0) {
		put_name(w, "len_min");
		json_put_int(w, f->len_min);
	}
	if (f->len_max > 0) {
		put_name(w, "len_max");
		json_put_int(w, f->len_max);
	}
	put_text(w, "starts_with", f->starts_with);
	put_text(w, "match", f->match);
}

static void put_flags(struct json_writer *w, const struct schema_field *f)
{
	put_flag(w, "required", f->flags & SCHEMA_REQUIRED);
	put_flag(w, "unique", f->flags & SCHEMA_UNIQUE);
	put_flag(w, "uuid", f->flags & SCHEMA_UUID);
	put_flag(w, "auto", f->flags & SCHEMA_AUTO);
	put_flag(w, "timestamp", f->flags & SCHEMA_TIMESTAMP);
	put_flag(w, "is_regex", f->flags & SCHEMA_REGEX);
	put_flag(w, "immutable", f->flags & SCHEMA_IMMUTABLE);
	put_flag(w, "referenceable", f->flags & SCHEMA_REFERENCEABLE);
	put_flag(w, "encrypted", f->flags & SCHEMA_SECRET);
}

static void put_fields(struct json_writer *w, const struct schema *s);

static void put_inner(struct json_writer *w, const struct schema_field *f)
{
	if (f->keys) {
		put_name(w, "keys");
		schema_write_field(f->keys, w);
	}
	if (f->elements) {
		put_name(w, f->type == SCHEMA_MAP ? "values" : "elements");
		schema_write_field(f->elements, w);
	}
	if (f->record) {
		put_fields(w, f->record);
		if (f->record->n_rules > 0) {
			put_name(w, "entity_checks");
			schema_write_rules(f->record, "", w);
		}
	} else if (f->subschema) {
		put_flag(w, "abstract", true);
	}
	put_text(w, "reference", f->foreign);
	put_text(w, "on_delete", f->on_delete);
}

static void put_body(struct json_writer *w, const struct schema_field *f)
{
	put_text(w, "type", type_name(f->type));
	put_flags(w, f);
	if (f->dflt) {
		put_name(w, "default");
		json_put_raw(w, str_c(f->dflt));
	}
	put_limits(w, f);
	put_inner(w, f);
	put_text(w, "description", f->doc);
}

void schema_write_field(const struct schema_field *f, struct json_writer *w)
{
	json_begin_object(w);
	put_body(w, f);
	json_end_object(w);
}

/* ["redis","host"] */
static void put_path(struct json_writer *w, const char *name, const char *path)
{
	struct str rest = str_c(path);
	struct str part;

	put_name(w, name);
	json_begin_array(w);
	while (str_split(&rest, '.', &part)) {
		json_put_str(w, part);
	}
	json_end_array(w);
}

static void put_shorthand(struct json_writer *w, const struct schema_field *f)
{
	json_begin_object(w);
	put_name(w, f->name);
	json_begin_object(w);
	put_body(w, f);
	if (f->alias_of) {
		put_path(w, "translate_backwards", f->alias_of);
		put_name(w, "deprecation");
		json_begin_object(w);
		put_name(w, "replaced_with");
		json_begin_array(w);
		json_begin_object(w);
		put_path(w, "path", f->alias_of);
		json_end_object(w);
		json_end_array(w);
		json_end_object(w);
	}
	json_end_object(w);
	json_end_object(w);
}

static bool is_shorthand(const struct schema_field *f)
{
	return f->alias_of || f->flags & SCHEMA_WRITE_ONLY;
}

/* "fields" and, where there are any, "shorthand_fields". */
static void put_fields(struct json_writer *w, const struct schema *s)
{
	bool more = false;

	put_name(w, "fields");
	json_begin_array(w);
	for (size_t i = 0; i < s->n; i++) {
		if (is_shorthand(&s->fields[i])) {
			more = true;
			continue;
		}
		json_begin_object(w);
		put_name(w, s->fields[i].name);
		schema_write_field(&s->fields[i], w);
		json_end_object(w);
	}
	json_end_array(w);
	if (!more) {
		return;
	}
	put_name(w, "shorthand_fields");
	json_begin_array(w);
	for (size_t i = 0; i < s->n; i++) {
		if (is_shorthand(&s->fields[i])) {
			put_shorthand(w, &s->fields[i]);
		}
	}
	json_end_array(w);
}

/* -- rules ------------------------------------------------------------------ */

static void put_rule_field(struct json_writer *w, const char *prefix, const char *field)
{
	struct buf name = {0};

	buf_printf(&name, "%s%s", prefix, field);
	json_put_str(w, buf_str(&name));
	buf_free(&name);
}

static void put_rule_fields(struct json_writer *w, const struct schema_rule *rule,
			    const char *prefix)
{
	json_begin_array(w);
	for (size_t i = 0; i < SCHEMA_RULE_FIELDS && rule->fields[i]; i++) {
		put_rule_field(w, prefix, rule->fields[i]);
	}
	json_end_array(w);
}

static void put_then(struct json_writer *w, const struct schema_rule *rule)
{
	switch (rule->then) {
	case SCHEMA_THEN_REQUIRED:
		put_flag(w, "required", true);
		break;
	case SCHEMA_THEN_NULL:
		put_name(w, "eq");
		json_put_null(w);
		break;
	case SCHEMA_THEN_ONE_OF:
		put_list(w, "one_of", rule->then_one_of, false);
		break;
	}
}

static void put_conditional(struct json_writer *w, const struct schema_rule *rule,
			    const char *prefix)
{
	json_begin_object(w);
	put_name(w, "if_field");
	put_rule_field(w, prefix, rule->fields[0]);
	put_name(w, "if_match");
	json_begin_object(w);
	put_list(w, "one_of", rule->if_one_of, false);
	put_list(w, "not_one_of", rule->if_not_one_of, false);
	json_end_object(w);
	put_name(w, "then_field");
	put_rule_field(w, prefix, rule->fields[1]);
	put_name(w, "then_match");
	json_begin_object(w);
	put_then(w, rule);
	json_end_object(w);
	put_text(w, "then_err", rule->then_err);
	json_end_object(w);
}

static void put_rule(struct json_writer *w, const struct schema_rule *rule, const char *prefix)
{
	switch (rule->kind) {
	case SCHEMA_AT_LEAST_ONE_OF:
		put_name(w, "at_least_one_of");
		break;
	case SCHEMA_EXACTLY_ONE_OF:
		put_name(w, "only_one_of");
		break;
	case SCHEMA_ONLY_ONE_OF:
		put_name(w, "mutually_exclusive");
		break;
	case SCHEMA_ALL_OR_NONE:
		put_name(w, "mutually_required");
		break;
	case SCHEMA_DISTINCT:
		put_name(w, "distinct");
		break;
	case SCHEMA_CONDITIONAL:
		put_name(w, "conditional");
		put_conditional(w, rule, prefix);
		return;
	case SCHEMA_CUSTOM:
		put_name(w, "custom_entity_check");
		json_begin_object(w);
		put_name(w, "field_sources");
		put_rule_fields(w, rule, prefix);
		json_end_object(w);
		return;
	}
	put_rule_fields(w, rule, prefix);
}

void schema_write_rules(const struct schema *s, const char *prefix, struct json_writer *w)
{
	json_begin_array(w);
	for (size_t i = 0; i < s->n_rules; i++) {
		if (s->rules[i].json) {
			json_put_raw(w, str_c(s->rules[i].json));
			continue;
		}
		json_begin_object(w);
		put_rule(w, &s->rules[i], prefix);
		json_end_object(w);
	}
	json_end_array(w);
}

void schema_write(const struct schema *s, struct json_writer *w)
{
	json_begin_object(w);
	put_fields(w, s);
	put_name(w, "entity_checks");
	schema_write_rules(s, "", w);
	json_end_object(w);
}
