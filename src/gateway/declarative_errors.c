/*
 * What is wrong, in the forms that Kong's clients, and people, read.
 */
#include "gateway/declarative_int.h"
#include "gateway/tree.h"
#include "gateway/yaml_text.h"

struct collecting {
	struct arena *arena;
	struct declarative_error *v;
	size_t n, cap;
	struct tree_tail flattened;
};

void declarative_note(struct arena *a, struct entry *e, struct str text)
{
	struct entry_note *n = ARENA_NEW(a, struct entry_note);

	n->text = text;
	*e->notes_tail = n;
	e->notes_tail = &n->next;
}

/* ---- the flat list ---- */

static void add(struct collecting *c, const struct declarative_error *e)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 16;
		struct declarative_error *v =
			ARENA_NEW_ARRAY(c->arena, struct declarative_error, cap);

		if (c->n) {
			memcpy(v, c->v, c->n * sizeof(*v));
		}
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n++] = *e;
}

static struct str path_join(struct arena *a, struct str path, struct str name)
{
	return path.n ? str_fmt(a, "%.*s.%.*s", STR_ARG(path), STR_ARG(name)) : name;
}

static const struct json *child_at(const struct json *v, size_t i)
{
	const struct json *c = v && v->type == JSON_ARRAY ? v->child : NULL;

	while (c && i-- > 0) {
		c = c->next;
	}
	return c;
}

struct place {
	struct str where, field;
	const struct json *source;
};

static void flatten_errors(struct collecting *c, const struct json *err, struct place at);

/* A text for each element, from 1 on; or texts about the whole. */
static void flatten_array(struct collecting *c, const struct json *err, struct place at,
			  bool is_whole)
{
	size_t i = 0;

	for (const struct json *e = err->child; e; e = e->next, i++) {
		const struct json *source = is_whole ? NULL : child_at(at.source, i);
		struct str number = str_fmt(c->arena, "%zu", i + 1);
		struct place below = {
			at.where,
			is_whole ? at.field : path_join(c->arena, at.field, number),
			source ? source : at.source,
		};

		if (e->type != JSON_NULL) {
			flatten_errors(c, e, below);
		}
	}
}

static void flatten_errors(struct collecting *c, const struct json *err, struct place at)
{
	if (err->type == JSON_STRING) {
		const struct declarative_error e = {at.where, at.field, err->text, at.source};

		add(c, &e);
	} else if (err->type == JSON_ARRAY) {
		flatten_array(c, err, at, at.field.n == 0);
	} else if (err->type == JSON_OBJECT) {
		for (const struct json *m = err->child; m; m = m->next) {
			const struct json *source = json_get(at.source, m->key);
			struct place below = {at.where, path_join(c->arena, at.field, m->key),
					      source ? source : at.source};

			if (str_eq(m->key, STR("@entity"))) {
				flatten_array(c, m, at, true);
			} else {
				flatten_errors(c, m, below);
			}
		}
	}
}

/* ---- of one entity ---- */

static bool has_errors(const struct entry *e)
{
	return e->errors || e->notes;
}

/*
 * Notes alone stand as Kong shows them: invalid references as a list, any other as a text. Beside
 * errors of fields they go under @entity.
 */
static const struct json *own_errors(struct arena *a, const struct entry *e)
{
	struct json *list = tree_array(a), *out;

	if (!e->notes) {
		return e->errors;
	}
	if (!e->errors && !e->notes->next &&
	    !str_starts(e->notes->text, STR("invalid reference"))) {
		return tree_str(a, e->notes->text);
	}
	if (e->errors && e->errors->type == JSON_ARRAY) {
		list = tree_shallow(a, e->errors);
	}
	for (const struct entry_note *n = e->notes; n; n = n->next) {
		tree_append(a, list, tree_str(a, n->text));
	}
	if (!e->errors || e->errors->type != JSON_OBJECT) {
		return list;
	}
	out = tree_shallow(a, e->errors);
	for (const struct json *c =
		     json_get(out, STR("@entity")) ? json_get(out, STR("@entity"))->child : NULL;
	     c; c = c->next) {
		tree_append(a, list, c);
	}
	tree_set(a, out, STR("@entity"), list);
	return out;
}

/* Empty when it has none, or one that is a secret (the key of a consumer). */
static struct str name_of(const struct entry *e)
{
	const char *key = e->def->endpoint_key;

	for (size_t i = 0; key && i < e->def->schema->n; i++) {
		const struct schema_field *f = &e->def->schema->fields[i];

		if (strcmp(f->name, key) == 0 && (f->flags & SCHEMA_SECRET)) {
			return STR("");
		}
	}
	const struct json *v = key ? json_get(e->source, str_c(key)) : NULL;

	v = json_is_null(v) ? json_get(e->source, STR("name")) : v;
	return json_str(v);
}

static const char *singular(struct arena *a, const struct entity_def *def)
{
	struct str s = str_c(declarative_name(def));

	/* keyauth_credentials, acls: the word for one is not that of foreign keys. */
	return str_cstr(a, str_ends(s, STR("s")) ? str_slice(s, 0, s.n - 1) : s);
}

/* "service 's', route 2" */
static struct str where_of(struct arena *a, const struct entry *e)
{
	struct str name = name_of(e), own;

	own = name.n ? str_fmt(a, "%s '%.*s'", singular(a, e->def), STR_ARG(name))
		     : str_fmt(a, "%s %zu", singular(a, e->def), e->index + 1);
	if (!e->parent) {
		return own;
	}
	return str_fmt(a, "%.*s, %.*s", STR_ARG(where_of(a, e->parent)), STR_ARG(own));
}

/* ---- flattened_errors ---- */

static void set_text(struct arena *a, struct json *obj, const char *key, struct str s)
{
	tree_set(a, obj, str_c(key), tree_str(a, s));
}

static void push_error(struct arena *a, struct tree_tail *out, struct str field,
		       const struct json *message)
{
	struct json *e = tree_object(a);

	set_text(a, e, "type", field.n ? STR("field") : STR("entity"));
	if (field.n) {
		set_text(a, e, "field", field);
	}
	tree_set(a, e, message->type == JSON_ARRAY ? STR("messages") : STR("message"), message);
	tree_push(a, out, STR_NULL, e);
}

static bool is_texts(const struct json *list)
{
	for (const struct json *c = list->child; c; c = c->next) {
		if (c->type != JSON_STRING && c->type != JSON_NULL) {
			return false;
		}
	}
	return list->child != NULL;
}

static const struct json *without_nulls(struct arena *a, const struct json *list)
{
	struct json *out = tree_array(a);

	for (const struct json *c = list->child; c; c = c->next) {
		if (c->type != JSON_NULL) {
			tree_append(a, out, c);
		}
	}
	return out;
}

static void push_errors(struct arena *a, struct tree_tail *out, struct str field,
			const struct json *err)
{
	size_t i = 0;

	if (err->type == JSON_STRING) {
		push_error(a, out, field, err);
	} else if (err->type == JSON_ARRAY && field.n && is_texts(err)) {
		push_error(a, out, field, without_nulls(a, err));
	} else if (err->type == JSON_ARRAY) {
		for (const struct json *c = err->child; c; c = c->next) {
			struct str number = str_fmt(a, "%zu", ++i);

			push_errors(a, out, field.n ? path_join(a, field, number) : field, c);
		}
	} else if (err->type == JSON_OBJECT) {
		for (const struct json *c = err->child; c; c = c->next) {
			bool is_whole = str_eq(c->key, STR("@entity"));

			push_errors(a, out, is_whole ? STR_NULL : path_join(a, field, c->key), c);
		}
	}
}

static const struct json *flattened_of(struct arena *a, const struct entry *e,
				       const struct json *err)
{
	struct json *out = tree_object(a), *errors = tree_array(a);
	struct tree_tail tail = tree_tail_of(errors);
	const struct json *id = json_get(e->source, STR("id"));
	const struct json *tags = json_get(e->source, STR("tags"));

	set_text(a, out, "entity_type", str_c(singular(a, e->def)));
	if (id && id->type == JSON_STRING) {
		tree_set(a, out, STR("entity_id"), id);
	}
	if (name_of(e).n) {
		set_text(a, out, "entity_name", name_of(e));
	}
	if (!json_is_null(tags)) {
		tree_set(a, out, STR("entity_tags"), tags);
	}
	tree_set(a, out, STR("entity"), e->value);
	push_errors(a, &tail, STR_NULL, err);
	tree_set(a, out, STR("errors"), errors);
	return out;
}

/* ---- the tree ---- */

static const struct json *entry_tree(struct collecting *c, const struct entry *e);

/* Elements at their places, null before those without errors; NULL = all is well. */
static const struct json *list_tree(struct collecting *c, const struct entry_list *l)
{
	struct json *out = tree_array(c->arena);
	struct tree_tail tail = tree_tail_of(out);

	if (l->message.p) {
		return tree_str(c->arena, l->message);
	}
	for (const struct entry *e = l->first; e; e = e->next) {
		const struct json *below = entry_tree(c, e);

		while (below && out->n < e->index) {
			tree_push(c->arena, &tail, STR_NULL, tree_null(c->arena));
		}
		if (below) {
			tree_push(c->arena, &tail, STR_NULL, below);
		}
	}
	return out->n ? out : NULL;
}

static void list_message(struct collecting *c, const struct entry *e, const struct entry_list *l)
{
	const struct declarative_error err = {e->def ? where_of(c->arena, e) : STR(""), l->name,
					      l->message, l->source};

	if (l->message.p) {
		add(c, &err);
	}
}

/* An error of an entity and lists below it: both in one object. */
static struct json *as_object(struct arena *a, const struct json *own)
{
	struct json *out;

	if (own && own->type == JSON_OBJECT) {
		return tree_shallow(a, own);
	}
	out = tree_object(a);
	if (own && own->type == JSON_ARRAY) {
		tree_set(a, out, STR("@entity"), own);
	} else if (own) {
		tree_append(a, tree_set(a, out, STR("@entity"), tree_array(a)), own);
	}
	return out;
}

/* A list that is none has no entities to tell it: for its owner it is a field. */
static const struct json *with_broken_lists(struct arena *a, const struct json *own,
					    const struct entry *e)
{
	struct tree_tail out = {0};

	for (const struct entry_list *l = e->lists; l; l = l->next) {
		if (l->message.p) {
			out = out.parent ? out : tree_tail_behind(as_object(a, own));
			tree_push(a, &out, l->name, tree_str(a, l->message));
		}
	}
	return out.parent ? out.parent : own;
}

static void flatten_entry(struct collecting *c, const struct entry *e, const struct json *own)
{
	const struct json *all = with_broken_lists(c->arena, own, e);

	if (all) {
		tree_push(c->arena, &c->flattened, STR_NULL, flattened_of(c->arena, e, all));
	}
}

static const struct json *entry_tree(struct collecting *c, const struct entry *e)
{
	const struct json *own = has_errors(e) ? own_errors(c->arena, e) : NULL;
	struct tree_tail out = {0};

	if (own) {
		struct place at = {e->def ? where_of(c->arena, e) : STR(""), STR(""), e->source};

		flatten_errors(c, own, at);
	}
	if (e->def) {
		flatten_entry(c, e, own);
	}
	for (const struct entry_list *l = e->lists; l; l = l->next) {
		const struct json *below = list_tree(c, l);

		list_message(c, e, l);
		if (below) {
			out = out.parent ? out : tree_tail_behind(as_object(c->arena, own));
			tree_push(c->arena, &out, l->name, below);
		}
	}
	return out.parent ? out.parent : own;
}

/* Members of the file that are no lists of entities, or no lists. */
static const struct json *leftovers_of(struct arena *a, const struct entry *file)
{
	struct json *out = tree_object(a);
	struct tree_tail tail = tree_tail_of(out);

	for (const struct entry_list *l = file->lists; l; l = l->next) {
		if (l->message.p) {
			tree_push(a, &tail, l->name, tree_str(a, l->message));
		}
	}
	return out;
}

void declarative_collect_errors(struct arena *a, struct entry *file, struct declarative_errors *out)
{
	struct json *flattened = tree_array(a);
	struct collecting c = {.arena = a, .flattened = tree_tail_of(flattened)};
	const struct json *tree = entry_tree(&c, file);

	if (tree && tree->type != JSON_OBJECT) {
		tree = as_object(a, tree);
		out->leftovers = tree;
	} else {
		out->leftovers = leftovers_of(a, file);
	}
	out->fields = tree;
	out->flattened = flattened;
	out->v = c.v;
	out->n = c.n;
}

/* ---- texts ---- */

static bool is_lua_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = ascii_lower(s.p[i]);

		if (!((c >= 'a' && c <= 'z') || c == '_' || (i > 0 && c >= '0' && c <= '9'))) {
			return false;
		}
	}
	return s.n > 0;
}

static void put_lua_text(struct buf *out, struct str s)
{
	buf_putc(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\n') {
			buf_puts(out, "\\n");
			continue;
		}
		if (s.p[i] == '"' || s.p[i] == '\\') {
			buf_putc(out, '\\');
		}
		buf_putc(out, s.p[i]);
	}
	buf_putc(out, '"');
}

/* As a table of Lua on one line. */
static void put_lua(struct buf *out, const struct json *v)
{
	bool comma = false, gap = false;
	size_t i = 0;

	if (v->type != JSON_ARRAY && v->type != JSON_OBJECT) {
		put_lua_text(out, v->text);
		return;
	}
	buf_putc(out, '{');
	for (const struct json *c = v->child; c; c = c->next) {
		i++;
		if (c->type == JSON_NULL) {
			gap = true;
			continue;
		}
		if (comma) {
			buf_putc(out, ',');
		}
		comma = true;
		if (v->type == JSON_OBJECT && is_lua_name(c->key)) {
			buf_printf(out, "%.*s=", STR_ARG(c->key));
		} else if (v->type == JSON_OBJECT) {
			buf_puts(out, "[");
			put_lua_text(out, c->key);
			buf_puts(out, "]=");
		} else if (gap) {
			buf_printf(out, "[%zu]=", i);
		}
		put_lua(out, c);
	}
	buf_putc(out, '}');
}

struct str declarative_message(struct arena *a, const struct json *fields)
{
	struct buf b = {0};
	struct str out;

	buf_puts(&b, "declarative config is invalid: ");
	put_lua(&b, fields);
	out = str_dup(a, buf_str(&b));
	buf_free(&b);
	return out;
}

void declarative_report(const struct declarative_errors *errors, const struct yaml_doc *doc,
			struct str file, struct buf *out)
{
	for (size_t i = 0; i < errors->n; i++) {
		const struct declarative_error *e = &errors->v[i];
		unsigned line = yaml_line(doc, e->source);

		buf_put(out, file);
		if (line) {
			buf_printf(out, ":%u", line);
		}
		buf_printf(out, ": %.*s%s%.*s%s%.*s\n", STR_ARG(e->where), e->where.n ? ": " : "",
			   STR_ARG(e->field), e->field.n ? ": " : "", STR_ARG(e->message));
	}
}
