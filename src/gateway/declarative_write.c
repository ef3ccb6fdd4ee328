/*
 * From entities to the tree of a file.
 *
 * Each entity becomes a sheet: its object, and the sheets of what is nested in it, a list a
 * kind. What belongs to exactly one other (a route to its service, a credential to its
 * consumer) is nested; everything else stands at the top and refers by name.
 */
#include "base/map.h"
#include "gateway/declarative_int.h"
#include "gateway/tree.h"

#include <stdlib.h>

struct sheet {
	const struct declarative_item *item;
	const struct entity_def *def;
	const struct schema_field *owner_field; /* NULL = at the top */
	struct str sort, id_text;
	struct sheet *of_kind[ENTITY_KINDS];
	struct sheet *next;
};

struct writing {
	struct arena *arena;
	unsigned flags;
	struct map sheets; /* id -> sheet */
	struct sheet top;
};

/* In the order in which people look for things. */
static const enum entity_kind order[] = {
	ENTITY_SERVICE,	    ENTITY_ROUTE,    ENTITY_CONSUMER,
	ENTITY_PLUGIN,	    ENTITY_UPSTREAM, ENTITY_TARGET,
	ENTITY_CERTIFICATE, ENTITY_SNI,	     ENTITY_CA_CERTIFICATE,
	ENTITY_VAULT,	    ENTITY_KEY_AUTH, ENTITY_BASIC_AUTH,
	ENTITY_ACL,
};

/* ---- fields ---- */

static const struct json *parsed(struct arena *a, const char *text)
{
	struct json *v = NULL;

	ASSERT(json_parse(a, str_c(text), &v, NULL) == ERR_OK);
	return v;
}

static bool is_plain_record(const struct schema_field *f)
{
	return f->type == SCHEMA_RECORD && (!f->dflt || strcmp(f->dflt, "{}") == 0);
}

/* Whether the field is null when it is left out. */
static bool is_null_by_default(const struct schema_field *f)
{
	return !f->dflt && !(f->type == SCHEMA_RECORD && (f->flags & SCHEMA_REQUIRED));
}

static struct json *pruned_record(struct arena *a, const struct schema *s, const struct json *v);

/* What must be written so that it reads back as `v`; NULL = nothing. */
static const struct json *pruned(struct arena *a, const struct schema_field *f,
				 const struct schema *record, const struct json *v)
{
	struct json *out;

	if (v->type == JSON_NULL) {
		return is_null_by_default(f) ? NULL : v;
	}
	if (f->type == SCHEMA_RECORD && v->type == JSON_OBJECT && record && is_plain_record(f)) {
		out = pruned_record(a, record, v);
		return out->n == 0 && !is_null_by_default(f) ? NULL : out;
	}
	return f->dflt && tree_eq(v, parsed(a, f->dflt)) ? NULL : v;
}

static const struct schema *record_of(const struct schema_field *f, const struct json *around)
{
	if (f->subschema_by && f->subschema) {
		return f->subschema(json_str(json_get(around, str_c(f->subschema_by))));
	}
	return f->record;
}

static bool is_time(const struct schema_field *f)
{
	return (f->flags & SCHEMA_AUTO) && (f->flags & SCHEMA_TIMESTAMP);
}

static struct json *pruned_record(struct arena *a, const struct schema *s, const struct json *v)
{
	struct json *out = tree_object(a);
	struct tree_tail tail = tree_tail_of(out);

	for (size_t i = 0; i < s->n; i++) {
		const struct schema_field *f = &s->fields[i];
		const struct json *m = json_get(v, str_c(f->name));
		const struct json *p = m && !f->alias_of ? pruned(a, f, record_of(f, v), m) : NULL;

		if (p) {
			tree_push(a, &tail, str_c(f->name), p);
		}
	}
	return out;
}

/* ---- one entity ---- */

static bool wants(const struct writing *w, enum declarative_write_flags flag)
{
	return (w->flags & flag) != 0;
}

static bool needs_id(const struct writing *w, const struct sheet *s)
{
	struct str key;

	return wants(w, DECLARATIVE_WITH_IDS) ||
	       !declarative_key(w->arena, s->def->kind, s->item->json, &key);
}

/* A reference: by name where there is one. */
static const struct json *reference(struct writing *w, const struct json *v)
{
	struct str id = json_str(json_get(v, STR("id")));
	const struct sheet *to = map_get(&w->sheets, id);
	const struct json *name = to && to->def->endpoint_key && !wants(w, DECLARATIVE_FLAT)
					  ? json_get(to->item->json, str_c(to->def->endpoint_key))
					  : NULL;

	return name && name->type == JSON_STRING ? name : tree_str(w->arena, id);
}

static const struct json *field_value(struct writing *w, const struct sheet *s,
				      const struct schema_field *f, const struct json *v)
{
	if (f == s->owner_field || f->alias_of || !v) {
		return NULL;
	}
	if (strcmp(f->name, "id") == 0) {
		return needs_id(w, s) ? v : NULL;
	}
	if (is_time(f)) {
		return wants(w, DECLARATIVE_WITH_TIMES) ? v : NULL;
	}
	if (f->type == SCHEMA_FOREIGN && v->type == JSON_OBJECT) {
		return reference(w, v);
	}
	if (wants(w, DECLARATIVE_WITH_DEFAULTS)) {
		return v;
	}
	return pruned(w->arena, f, record_of(f, s->item->json), v);
}

static void put_lists(struct writing *w, const struct sheet *s, struct tree_tail *tail);

static const struct json *sheet_tree(struct writing *w, const struct sheet *s)
{
	struct json *out = tree_object(w->arena);
	struct tree_tail tail = tree_tail_of(out);

	for (size_t i = 0; i < s->def->schema->n; i++) {
		const struct schema_field *f = &s->def->schema->fields[i];
		const struct json *v =
			field_value(w, s, f, json_get(s->item->json, str_c(f->name)));

		if (v) {
			tree_push(w->arena, &tail, str_c(f->name), v);
		}
	}
	put_lists(w, s, &tail);
	return out;
}

/* ---- lists ---- */

static int by_name(const void *a, const void *b)
{
	const struct sheet *x = *(const struct sheet *const *)a;
	const struct sheet *y = *(const struct sheet *const *)b;
	int order_ = str_cmp(x->sort, y->sort);

	return order_ ? order_ : str_cmp(x->id_text, y->id_text);
}

static const struct json *list_tree(struct writing *w, const struct sheet *first)
{
	struct json *out = tree_array(w->arena);
	struct tree_tail tail = tree_tail_of(out);
	const struct sheet **v;
	size_t n = 0;

	for (const struct sheet *s = first; s; s = s->next) {
		n++;
	}
	v = ARENA_NEW_ARRAY(w->arena, const struct sheet *, n + 1);
	n = 0;
	for (const struct sheet *s = first; s; s = s->next) {
		v[n++] = s;
	}
	qsort(v, n, sizeof(struct sheet *), by_name);
	for (size_t i = 0; i < n; i++) {
		tree_push(w->arena, &tail, STR_NULL, sheet_tree(w, v[i]));
	}
	return out;
}

static void put_lists(struct writing *w, const struct sheet *s, struct tree_tail *tail)
{
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		if (s->of_kind[order[i]]) {
			tree_push(w->arena, tail, str_c(declarative_name(&entity_defs[order[i]])),
				  list_tree(w, s->of_kind[order[i]]));
		}
	}
}

/* ---- nesting ---- */

static bool may_nest(enum entity_kind kind, const struct schema_field *f)
{
	return (f->flags & SCHEMA_REQUIRED) || kind == ENTITY_ROUTE || kind == ENTITY_PLUGIN;
}

/* The one entity that it belongs to; NULL = it stands at the top. */
static struct sheet *owner_of(struct writing *w, struct sheet *s)
{
	struct sheet *owner = NULL;
	unsigned n = 0;

	for (size_t i = 0; i < s->def->schema->n; i++) {
		const struct schema_field *f = &s->def->schema->fields[i];
		const struct json *v = json_get(s->item->json, str_c(f->name));

		if (f->type != SCHEMA_FOREIGN || !v || v->type != JSON_OBJECT) {
			continue;
		}
		n++;
		if (may_nest(s->def->kind, f)) {
			owner = map_get(&w->sheets, json_str(json_get(v, STR("id"))));
			s->owner_field = f;
		}
	}
	if (n != 1 || !owner || wants(w, DECLARATIVE_FLAT)) {
		s->owner_field = NULL;
		return &w->top;
	}
	return owner;
}

static struct str sort_key(struct arena *a, const struct declarative_item *item)
{
	const struct entity_def *def = &entity_defs[item->kind];
	struct str name = def->endpoint_key
				  ? json_str(json_get(item->json, str_c(def->endpoint_key)))
				  : STR("");

	if (name.n > 0 || declarative_key(a, item->kind, item->json, &name)) {
		return name;
	}
	return STR("");
}

static void arrange(struct writing *w, const struct declarative_item *v, size_t n)
{
	struct sheet *sheets = ARENA_NEW_ARRAY(w->arena, struct sheet, n + 1);

	for (size_t i = 0; i < n; i++) {
		sheets[i].item = &v[i];
		sheets[i].def = &entity_defs[v[i].kind];
		sheets[i].id_text = guid_d_str(w->arena, &v[i].id);
		sheets[i].sort = sort_key(w->arena, &v[i]);
		map_set(&w->sheets, sheets[i].id_text, &sheets[i]);
	}
	for (size_t i = 0; i < n; i++) {
		struct sheet *owner = owner_of(w, &sheets[i]);

		sheets[i].next = owner->of_kind[v[i].kind];
		owner->of_kind[v[i].kind] = &sheets[i];
	}
}

const struct json *declarative_write(struct arena *a, const struct declarative_item *v, size_t n,
				     unsigned flags)
{
	struct writing w = {.arena = a, .flags = flags};
	struct json *out = tree_object(a);
	struct tree_tail tail = tree_tail_of(out);
	bool has_hashes = (flags & DECLARATIVE_FLAT) != 0;

	for (size_t i = 0; i < n; i++) {
		has_hashes |= v[i].kind == ENTITY_BASIC_AUTH;
	}
	tree_push(a, &tail, STR("_format_version"), tree_str(a, STR("3.0")));
	if (has_hashes) {
		tree_push(a, &tail, STR("_transform"), tree_bool(a, false));
	}
	arrange(&w, v, n);
	put_lists(&w, &w.top, &tail);
	map_free(&w.sheets);
	return out;
}
