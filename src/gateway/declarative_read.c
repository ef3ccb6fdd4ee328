/*
 * From the tree of a file to entities, in three steps:
 *
 *   1. declarative_outline: every entity of the file becomes an entry, in the list it is
 *      written in and in the list of its kind; what belongs nowhere becomes a message.
 *   2. complete: kind by kind, what is referenced first: references become ids, the schema
 *      validates and fills in, the id is found or made, names are entered into the index.
 *   3. The entries' values are the result, or their errors are.
 *
 * A reference to an entry with errors still counts, so that one mistake is one error.
 */
#include "base/map.h"
#include "gateway/declarative_int.h"
#include "gateway/tree.h"

struct reading {
	struct arena *arena;
	const struct declarative_options *options;
	struct declarative_file file;
	struct map ids;	     /* "services:<id>" -> entry */
	struct map keys;     /* "services:name:s" -> entry */
	struct map contents; /* ids made of contents: how often -> entry of the first */
	bool failed;
};

static void note(struct reading *r, struct entry *e, struct str text)
{
	declarative_note(r->arena, e, text);
	r->failed = true;
}

/* ---- the index ---- */

static struct str index_id(struct arena *a, const struct entity_def *def, struct str id)
{
	return STR_CAT(a, str_fmt(a, "%d:", (int)def->kind), str_lower(a, id));
}

static struct str index_key(struct arena *a, const struct entity_def *def, const char *field,
			    struct str value)
{
	return STR_CAT(a, str_fmt(a, "%d:%s:", (int)def->kind, field), value);
}

static void already_declared(struct reading *r, struct entry *e, const char *what, struct str value)
{
	note(r, e,
	     str_fmt(r->arena,
		     "uniqueness violation: '%s' entity with %s set to '%.*s' already declared",
		     declarative_name(e->def), what, STR_ARG(value)));
}

/* False (and a note) when the value was there. */
static bool enter(struct reading *r, struct entry *e, const char *field, struct str value)
{
	struct str key = index_key(r->arena, e->def, field, value);

	if (map_get(&r->keys, key)) {
		already_declared(r, e, field, value);
		return false;
	}
	map_set(&r->keys, key, e);
	return true;
}

static bool enter_id(struct reading *r, struct entry *e)
{
	struct str text = guid_d_str(r->arena, &e->id);
	struct str key = index_id(r->arena, e->def, text);

	if (map_get(&r->ids, key)) {
		already_declared(r, e, "primary key", text);
		return false;
	}
	map_set(&r->ids, key, e);
	return true;
}

/* `v` has at least the fields that could be had. */
static void enter_keys(struct reading *r, struct entry *e, const struct json *v)
{
	const struct schema *s = e->def->schema;
	bool is_new = true;

	for (size_t i = 0; i < s->n; i++) {
		const struct json *value = json_get(v, str_c(s->fields[i].name));
		bool is_name = e->def->endpoint_key &&
			       strcmp(e->def->endpoint_key, s->fields[i].name) == 0;

		if (((s->fields[i].flags & SCHEMA_UNIQUE) || is_name) && value &&
		    value->type == JSON_STRING) {
			if (s->fields[i].flags & SCHEMA_UNIQUE) {
				is_new &= enter(r, e, s->fields[i].name, value->text);
			} else {
				struct str key =
					index_key(r->arena, e->def, s->fields[i].name, value->text);

				if (!map_get(&r->keys, key)) {
					map_set(&r->keys, key, e);
				}
			}
		}
	}
	/* The same name mostly means the same id: once is enough. */
	is_new = is_new && enter_id(r, e);
	struct str together;

	if (is_new && e->def->unique_together[0] && e->complete &&
	    declarative_key(r->arena, e->def->kind, v, &together)) {
		(void)enter(r, e, "unique fields", together);
	}
}

/* ---- references ---- */

static const struct entry *find_by_text(const struct reading *r, const struct entity_def *to,
					struct str text)
{
	const struct entry *e = NULL;
	struct guid id;

	if (guid_parse(text, &id) == ERR_OK) {
		e = map_get(&r->ids, index_id(r->arena, to, text));
	}
	if (!e && to->endpoint_key) {
		e = map_get(&r->keys, index_key(r->arena, to, to->endpoint_key, text));
	}
	return e;
}

/* By id, by name, {id: } or {name: }. */
static const struct entry *find_reference(const struct reading *r, const struct entity_def *to,
					  const struct json *v)
{
	const struct json *id;

	if (v->type == JSON_STRING) {
		return find_by_text(r, to, v->text);
	}
	id = json_get(v, STR("id"));
	if (json_is_null(id) && to->endpoint_key) {
		id = json_get(v, str_c(to->endpoint_key));
	}
	return id && id->type == JSON_STRING ? find_by_text(r, to, id->text) : NULL;
}

/* A reference outside of the file: an entity that exists and stays. */
static bool find_outside(const struct reading *r, const struct entity_def *to, const struct json *v,
			 struct guid *out)
{
	struct str text = v->type == JSON_STRING ? v->text : json_str(json_get(v, STR("id")));

	if (text.n == 0 && to->endpoint_key) {
		text = json_str(json_get(v, str_c(to->endpoint_key)));
	}
	return text.n > 0 && r->options->find_outside &&
	       r->options->find_outside(r->options->find_arg, to->kind, text, out);
}

static const struct json *reference_to(struct arena *a, const struct guid *id)
{
	struct json *v = tree_object(a);

	tree_set(a, v, STR("id"), tree_str(a, guid_d_str(a, id)));
	return v;
}

static void no_such_entry(struct reading *r, struct entry *e, const char *field,
			  const struct entity_def *to, const struct json *v)
{
	struct str shown = v->type == JSON_STRING ? v->text : declarative_text(r->arena, v);

	note(r, e,
	     str_fmt(r->arena, "invalid reference '%s: %.*s' (no such entry in '%s')", field,
		     STR_ARG(shown), declarative_name(to)));
}

static void resolve(struct reading *r, struct entry *e, const struct schema_field *f)
{
	const struct json *v = json_get(e->value, str_c(f->name));
	const struct entity_def *to = entity_def_by_collection(str_c(f->foreign));
	const struct entry *found;
	struct guid id;

	if (f == e->parent_field) {
		tree_set(r->arena, e->value, str_c(f->name),
			 reference_to(r->arena, &e->parent->id));
		return;
	}
	if (json_is_null(v) || !to || (v->type != JSON_STRING && v->type != JSON_OBJECT)) {
		return;
	}
	found = find_reference(r, to, v);
	if (found) {
		id = found->id;
	} else if (!find_outside(r, to, v, &id)) {
		no_such_entry(r, e, f->name, to, v);
		id = guid_new(); /* so that only this is said of it */
	}
	tree_set(r->arena, e->value, str_c(f->name), reference_to(r->arena, &id));
}

/* ---- ids ---- */

/*
 * Nothing names it: what it says does. The first of several equal ones gets the same id
 * wherever it stands; the others count on.
 */
static struct guid id_of_content(struct reading *r, const struct entry *e)
{
	struct str text = declarative_text(r->arena, e->value);

	for (unsigned i = 0;; i++) {
		struct str key = STR_CAT(r->arena, str_fmt(r->arena, "#%u:", i), text);
		struct str place = index_key(r->arena, e->def, "", key);

		if (!map_set(&r->contents, place, r)) {
			return declarative_id(e->def->kind, key);
		}
	}
}

/* `v` is the complete value, or what there is of it. */
static struct guid choose_id(struct reading *r, const struct entry *e, const struct json *v)
{
	const struct declarative_options *o = r->options;
	struct str key;
	struct guid id;

	if (guid_parse(json_str(json_get(e->value, STR("id"))), &id) == ERR_OK) {
		return id;
	}
	if (!declarative_key(r->arena, e->def->kind, v, &key)) {
		return id_of_content(r, e);
	}
	if (o->find && o->find(o->find_arg, e->def->kind, key, &id)) {
		return id;
	}
	return declarative_id(e->def->kind, key);
}

/* ---- completion ---- */

static void complete(struct reading *r, struct entry *e)
{
	const struct schema_input in = {.op = SCHEMA_INSERT,
					.value = e->value,
					.now_ms = r->options->now_ms,
					.keep_derived = !r->file.transform,
					.keep_updated = r->options->keep_updated};
	const struct json *out = NULL;

	for (size_t i = 0; i < e->def->schema->n; i++) {
		if (e->def->schema->fields[i].type == SCHEMA_FOREIGN) {
			resolve(r, e, &e->def->schema->fields[i]);
		}
	}
	if (schema_process(r->arena, e->def->schema, &in, &out, &e->errors) != ERR_OK) {
		r->failed = true;
		e->id = choose_id(r, e, e->value);
		enter_keys(r, e, e->value);
		return;
	}
	struct json *value = tree_shallow(r->arena, out);

	e->id = choose_id(r, e, value);
	tree_set(r->arena, value, STR("id"), tree_str(r->arena, guid_d_str(r->arena, &e->id)));
	e->complete = value;
	enter_keys(r, e, value);
}

static void complete_all(struct reading *r)
{
	for (size_t kind = 0; kind < ENTITY_KINDS; kind++) {
		for (struct entry *e = r->file.of_kind[kind]; e; e = e->next_of_kind) {
			complete(r, e);
		}
	}
}

static void collect(const struct reading *r, struct declarative *out)
{
	struct declarative_item *v =
		ARENA_NEW_ARRAY(r->arena, struct declarative_item, r->file.n + 1);
	size_t n = 0;

	for (size_t kind = 0; kind < ENTITY_KINDS; kind++) {
		for (const struct entry *e = r->file.of_kind[kind]; e; e = e->next_of_kind) {
			v[n++] = (struct declarative_item){e->def->kind, e->id, e->complete,
							   e->value};
		}
	}
	*out = (struct declarative){v, n, r->file.select_tags};
}

enum err declarative_read(struct arena *a, const struct json *root,
			  const struct declarative_options *o, struct declarative *out,
			  struct declarative_errors *out_errors)
{
	struct reading r = {.arena = a, .options = o};

	*out_errors = (struct declarative_errors){0};
	r.failed = !declarative_outline(a, root, &r.file);
	complete_all(&r);
	map_free(&r.ids);
	map_free(&r.keys);
	map_free(&r.contents);
	if (r.failed) {
		declarative_collect_errors(a, r.file.top, out_errors);
		return ERR_INVALID;
	}
	collect(&r, out);
	return ERR_OK;
}
