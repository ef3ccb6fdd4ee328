/*
 * A record is completed in this order: what was sent is expanded (shorthands, older names),
 * names that the schema does not know are refused, each field of the table gets its value
 * (sent, kept, made or default), the rules look at the whole, and what is derived is added.
 * Nested records go the same way.
 */
#include "base/guid.h"
#include "base/rand.h"
#include "gateway/schema_int.h"

#define AUTO_LEN 32
#define ENTITY STR("@entity")

/* -- values that are made --------------------------------------------------- */

static struct str random_text(struct arena *a)
{
	static const char alnum[] =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	char *p = arena_alloc(a, AUTO_LEN);

	for (size_t i = 0; i < AUTO_LEN; i++) {
		p[i] = alnum[rand_below(sizeof(alnum) - 1)];
	}
	return str_of(p, AUTO_LEN);
}

static const struct json *now_value(const struct schema_run *r, const struct schema_field *f)
{
	int64_t ms = r->in->now_ms;

	if (f->type == SCHEMA_INTEGER) {
		return tree_int(r->a, ms / 1000);
	}
	struct json *v = tree_int(r->a, 0);

	v->text = str_fmt(r->a, "%lld.%03lld", (long long)(ms / 1000), (long long)(ms % 1000));
	return v;
}

static const struct json *auto_value(const struct schema_run *r, const struct schema_field *f)
{
	if (f->flags & SCHEMA_TIMESTAMP) {
		return now_value(r, f);
	}
	if (f->flags & SCHEMA_UUID) {
		struct guid id = guid_new();

		return tree_str(r->a, guid_d_str(r->a, &id));
	}
	return tree_str(r->a, random_text(r->a));
}

const struct json *schema_default(struct arena *a, const struct schema_field *f)
{
	struct json *v;

	ASSERT(json_parse(a, str_c(f->dflt), &v, NULL) == ERR_OK);
	return v;
}

/* -- one field -------------------------------------------------------------- */

static bool is_updated_at(const struct schema_field *f)
{
	return f->flags & SCHEMA_AUTO && f->flags & SCHEMA_TIMESTAMP &&
	       strcmp(f->name, "updated_at") == 0;
}

/* What was stored, or the table says: checked like anything else, but not coerced. */
static struct schema_outcome run_own_value(const struct schema_run *r, const struct schema_field *f,
					   const struct json *v)
{
	struct schema_run own = *r;

	own.coerce = false;
	own.update = false;
	return schema_run_value(&own, f, v, NULL);
}

static struct schema_outcome run_absent(const struct schema_run *r, const struct schema_field *f,
					const struct json *current)
{
	const struct json *v = r->update ? current : NULL;

	if (v && v->type != JSON_NULL) {
		return run_own_value(r, f, v);
	}
	if (f->flags & SCHEMA_AUTO) {
		return (struct schema_outcome){auto_value(r, f), NULL};
	}
	if (!v && f->dflt) {
		return run_own_value(r, f, schema_default(r->a, f));
	}
	if (!v && f->type == SCHEMA_RECORD && f->flags & SCHEMA_REQUIRED) {
		return run_own_value(r, f, tree_object(r->a));
	}
	struct json *err = NULL;

	if (f->flags & SCHEMA_REQUIRED) {
		err = schema_error(r->a, "required field missing");
	}
	return (struct schema_outcome){tree_null(r->a), err};
}

/* An empty value of a form is null. */
static bool is_null(const struct schema_run *r, const struct json *v)
{
	return v->type == JSON_NULL || (r->coerce && v->type == JSON_STRING && v->text.n == 0);
}

static struct schema_outcome run_sent(const struct schema_run *r, const struct schema_field *f,
				      const struct json *v, const struct json *current)
{
	if (is_null(r, v)) {
		struct json *err = NULL;

		if (f->flags & SCHEMA_REQUIRED) {
			err = schema_error(r->a, "required field missing");
		}
		return (struct schema_outcome){tree_null(r->a), err};
	}
	struct schema_outcome o = schema_run_value(r, f, v, r->update ? current : NULL);

	if (!o.err && r->update && f->flags & SCHEMA_IMMUTABLE && current &&
	    !tree_eq(o.v, current)) {
		o.err = schema_error(r->a, "immutable field cannot be updated");
	}
	return o;
}

static struct schema_outcome run_field(const struct schema_run *r, const struct schema_field *f,
				       const struct json *sent, const struct json *current)
{
	if (is_updated_at(f) && !(sent && r->in->keep_updated)) {
		return (struct schema_outcome){now_value(r, f), NULL};
	}
	/* What is made by itself is never unset: null is as if nothing was sent. */
	if (!sent || (f->flags & SCHEMA_AUTO && is_null(r, sent))) {
		return run_absent(r, f, current);
	}
	return run_sent(r, f, sent, current);
}

/* -- older names ------------------------------------------------------------ */

/* Moves the value to its present name, unless that was sent too. */
static void move_alias(struct arena *a, struct json *v, const struct schema_field *f,
		       struct schema_errors *errors)
{
	const struct json *old = json_get(v, str_c(f->name));
	const struct json *new = tree_at(v, f->alias_of);
	struct str rest = str_c(f->alias_of);
	struct json *at = v;
	struct str part;

	if (!old || (old->type == JSON_NULL && new)) {
		return;
	}
	if (!json_is_null(new) && !tree_eq(old, new)) {
		schema_error_at(errors, f->name,
				"both deprecated and new field are used but their values "
				"mismatch: %s and %s",
				f->name, f->alias_of);
		return;
	}
	while (str_split(&rest, '.', &part) && rest.n > 0) {
		const struct json *inner = json_get(at, part);

		if (!json_is_null(inner) && inner->type != JSON_OBJECT) {
			return; /* refused where it stands */
		}
		at = tree_set(a, at, part,
			      json_is_null(inner) ? tree_object(a) : tree_shallow(a, inner));
	}
	tree_set(a, at, part, old);
}

/* -- a record --------------------------------------------------------------- */

static const struct schema_field *field_named(const struct schema *s, struct str name)
{
	for (size_t i = 0; i < s->n; i++) {
		if (str_eq(str_c(s->fields[i].name), name)) {
			return &s->fields[i];
		}
	}
	return NULL;
}

static struct schema_input input_of(const struct schema_run *r, const struct json *v,
				    const struct json *current)
{
	struct schema_input in = *r->in;

	in.op = r->update ? SCHEMA_UPDATE : SCHEMA_INSERT;
	in.value = v;
	in.current = current;
	in.coerce = r->coerce;
	return in;
}

/* A copy of what was sent, in present names. */
static struct json *expanded(const struct schema_run *r, const struct schema *s,
			     const struct json *v, const struct json *current,
			     struct schema_errors *errors)
{
	struct schema_input in = input_of(r, v, current);
	struct json *mine = tree_shallow(r->a, v);

	mine->type = JSON_OBJECT;
	for (size_t i = 0; i < s->n; i++) {
		if (s->fields[i].alias_of) {
			move_alias(r->a, mine, &s->fields[i], errors);
		}
	}
	if (s->expand) {
		s->expand(r->a, &in, mine, errors);
	}
	return mine;
}

static void refuse_unknown(const struct schema *s, const struct json *v,
			   struct schema_errors *errors)
{
	for (const struct json *c = v->child; c && !schema_errors_are_many(errors); c = c->next) {
		if (!field_named(s, c->key)) {
			schema_error_set(errors, c->key,
					 schema_error(errors->arena, "unknown field"));
		}
	}
}

/* The field with the record that goes with the value beside it. */
static struct schema_field resolved(const struct schema_field *f, const struct json *v,
				    const struct json *current)
{
	struct schema_field own = *f;

	if (f->subschema) {
		const struct json *by = json_get(v, str_c(f->subschema_by));

		own.record =
			f->subschema(json_str(by ? by : json_get(current, str_c(f->subschema_by))));
	}
	return own;
}

/* What a record found as a whole is told by the one that holds it. */
static struct json *hoist(struct arena *a, struct json *err, struct schema_errors *errors)
{
	const struct json *whole = err->type == JSON_OBJECT ? json_get(err, ENTITY) : NULL;

	if (!whole) {
		return err;
	}
	for (const struct json *c = whole->child; c; c = c->next) {
		schema_error_entity(errors, "%.*s", STR_ARG(c->text));
	}
	err = tree_shallow(a, err);
	tree_remove(err, ENTITY);
	return err->n > 0 ? err : NULL;
}

static void run_fields(const struct schema_run *r, const struct schema *s, const struct json *v,
		       const struct json *current, struct json *out, struct schema_errors *errors)
{
	struct tree_tail tail = tree_tail_of(out);

	for (size_t i = 0; i < s->n; i++) {
		struct schema_field f = resolved(&s->fields[i], v, current);
		struct str name = str_c(f.name);

		if (f.alias_of) {
			tree_push(r->a, &tail, name, tree_null(r->a)); /* its value is to come */
			continue;
		}
		const struct json *sent = json_get(v, name);

		if (f.flags & SCHEMA_WRITE_ONLY && !sent) {
			continue;
		}
		struct schema_outcome o = run_field(r, &f, sent, json_get(current, name));

		if (o.err && f.subschema) {
			o.err = hoist(r->a, o.err, errors);
		}
		if (o.err) {
			schema_error_set(errors, name, o.err);
		}
		if (!(f.flags & SCHEMA_WRITE_ONLY)) {
			tree_push(r->a, &tail, name, o.v);
		}
	}
}

static void show_aliases(struct arena *a, const struct schema *s, struct json *out)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct schema_field *f = &s->fields[i];
		const struct json *v = f->alias_of ? tree_at(out, f->alias_of) : NULL;

		if (v) {
			tree_set(a, out, str_c(f->name), v);
		}
	}
}

struct schema_outcome schema_run_record(const struct schema_run *r, const struct schema *s,
					const struct json *v, const struct json *current,
					const char *prefix)
{
	struct schema_errors errors = {.arena = r->a, .prefix = prefix, .update = r->update};
	struct json *out = tree_object(r->a);
	const struct json *sent = expanded(r, s, v, current, &errors);
	struct schema_input in = input_of(r, v, current);

	if (errors.tree) {
		return (struct schema_outcome){out, errors.tree};
	}
	refuse_unknown(s, sent, &errors);
	run_fields(r, s, sent, current, out, &errors);
	schema_run_rules(r->a, s, out, &errors);
	if (!errors.tree && s->finish) {
		s->finish(r->a, &in, out, &errors);
	}
	if (!errors.tree) {
		show_aliases(r->a, s, out);
	}
	return (struct schema_outcome){out, errors.tree};
}

/* A document that takes the place of another; an update sees to it field by field. */
static struct json *changed_immutables(struct arena *a, const struct schema *s,
				       const struct json *replaced, const struct json *v)
{
	struct schema_errors errors = {.arena = a};

	for (size_t i = 0; replaced && i < s->n; i++) {
		struct str name = str_c(s->fields[i].name);
		const struct json *was = json_get(replaced, name);

		if (s->fields[i].flags & SCHEMA_IMMUTABLE && was &&
		    !tree_eq(was, json_get(v, name))) {
			schema_error_set(&errors, name,
					 schema_error(a, "immutable field cannot be updated"));
		}
	}
	return errors.tree;
}

enum err schema_process(struct arena *a, const struct schema *s, const struct schema_input *in,
			const struct json **out, const struct json **out_errors)
{
	struct schema_run r = {a, in, in->op == SCHEMA_UPDATE, in->coerce};
	const struct json *v = in->value;

	*out_errors = NULL;
	if (!v || v->type != JSON_OBJECT) {
		struct schema_errors errors = {.arena = a};

		if (v && v->type == JSON_ARRAY && v->n == 0) {
			v = tree_object(a);
		} else {
			schema_error_entity(&errors, "expected a record");
			*out_errors = errors.tree;
			return ERR_INVALID;
		}
	}
	struct schema_outcome o = schema_run_record(&r, s, v, r.update ? in->current : NULL, "");

	if (!o.err && !r.update) {
		o.err = changed_immutables(a, s, in->current, o.v);
	}
	if (o.err) {
		*out_errors = o.err;
		return ERR_INVALID;
	}
	*out = o.v;
	return ERR_OK;
}
