#include "gateway/declarative_plan.h"

#include "base/map.h"
#include "gateway/declarative_int.h"
#include "gateway/tree.h"

#define SHOWN_MAX 200

struct planning {
	struct arena *arena;
	const struct json *select_tags;
	struct map wanted, now; /* "kind:id" -> declarative_item */
	struct map needed;	/* ids that an entity that stays refers to now */
	struct declarative_step *v;
	size_t n;
};

static struct str item_key(struct arena *a, enum entity_kind kind, struct str id)
{
	return str_fmt(a, "%d:%.*s", (int)kind, STR_ARG(id));
}

static void enter_all(struct arena *a, struct map *m, const struct declarative *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct str id = guid_d_str(a, &d->v[i].id);

		map_set(m, item_key(a, d->v[i].kind, id), (void *)&d->v[i]);
	}
}

static const struct declarative_item *lookup(const struct planning *p, const struct map *m,
					     const struct declarative_item *item)
{
	return map_get(m, item_key(p->arena, item->kind, guid_d_str(p->arena, &item->id)));
}

/* ---- what is equal ---- */

/* Times that the store keeps, and a `ttl` that runs. */
static bool is_moving(const struct schema_field *f, const struct json *a, const struct json *b)
{
	if ((f->flags & SCHEMA_AUTO) && (f->flags & SCHEMA_TIMESTAMP)) {
		return true;
	}
	return strcmp(f->name, "ttl") == 0 && !json_is_null(a) && !json_is_null(b);
}

static bool field_differs(const struct schema_field *f, const struct json *before,
			  const struct json *after)
{
	const struct json *a = json_get(before, str_c(f->name));
	const struct json *b = json_get(after, str_c(f->name));

	if (f->alias_of || is_moving(f, a, b)) {
		return false;
	}
	if (json_is_null(a) || json_is_null(b)) {
		return json_is_null(a) != json_is_null(b);
	}
	return !tree_eq(a, b);
}

static bool differs(enum entity_kind kind, const struct json *before, const struct json *after)
{
	const struct schema *s = entity_defs[kind].schema;

	for (size_t i = 0; i < s->n; i++) {
		if (field_differs(&s->fields[i], before, after)) {
			return true;
		}
	}
	return false;
}

/* ---- tags ---- */

static bool lists(const struct json *tags, struct str tag)
{
	for (const struct json *t = tags ? tags->child : NULL; t; t = t->next) {
		if (str_eq(json_str(t), tag)) {
			return true;
		}
	}
	return false;
}

static bool has_all_tags(const struct json *v, const struct json *tags)
{
	for (const struct json *t = tags ? tags->child : NULL; t; t = t->next) {
		if (!lists(json_get(v, STR("tags")), json_str(t))) {
			return false;
		}
	}
	return true;
}

/* It has tags, which do not select it: somebody else minds it. */
static bool is_of_others(const struct json *v, const struct json *select_tags)
{
	const struct json *own = json_get(v, STR("tags"));

	return !json_is_null(own) && own->n > 0 && !has_all_tags(v, select_tags);
}

static const struct json *with_tags(struct arena *a, const struct json *v, const struct json *add)
{
	const struct json *own = json_get(v, STR("tags"));
	struct json *out = tree_shallow(a, v);
	struct json *tags = own && own->type == JSON_ARRAY ? tree_shallow(a, own) : tree_array(a);

	for (const struct json *t = add->child; t; t = t->next) {
		if (!lists(tags, json_str(t))) {
			tree_append(a, tags, t);
		}
	}
	tree_set(a, out, STR("tags"), tags);
	return out;
}

void declarative_add_tags(struct arena *a, struct declarative *d, const struct json *tags)
{
	struct declarative_item *v;

	if (!tags) {
		return;
	}
	v = ARENA_NEW_ARRAY(a, struct declarative_item, d->n + 1);
	for (size_t i = 0; i < d->n; i++) {
		v[i] = d->v[i];
		if (!has_all_tags(v[i].json, tags)) {
			v[i].json = with_tags(a, v[i].json, tags);
		}
	}
	d->v = v;
}

/* ---- steps ---- */

static void add_step(struct planning *p, enum declarative_op op,
		     const struct declarative_item *before, const struct declarative_item *after)
{
	const struct declarative_item *any = before ? before : after;

	p->v[p->n++] = (struct declarative_step){
		.op = op,
		.kind = any->kind,
		.id = any->id,
		.before = before ? before->json : NULL,
		.after = after ? after->json : NULL,
	};
}

static void need(struct planning *p, enum entity_kind kind, struct str id)
{
	map_set(&p->needed, item_key(p->arena, kind, id), p);
}

/* What an entity that stays refers to, as it is now. */
static void need_references(struct planning *p, const struct declarative_item *item)
{
	const struct schema *s = entity_defs[item->kind].schema;
	const struct json *cas = json_get(item->json, STR("ca_certificates"));

	for (size_t i = 0; i < s->n; i++) {
		const struct entity_def *to =
			s->fields[i].type == SCHEMA_FOREIGN
				? entity_def_by_collection(str_c(s->fields[i].foreign))
				: NULL;
		struct str id = json_str(
			json_get(json_get(item->json, str_c(s->fields[i].name)), STR("id")));

		if (to && id.n > 0) {
			need(p, to->kind, id);
		}
	}
	for (const struct json *c = cas ? cas->child : NULL; c; c = c->next) {
		need(p, ENTITY_CA_CERTIFICATE, json_str(c));
	}
}

static bool goes(const struct planning *p, const struct declarative_item *item)
{
	return !lookup(p, &p->wanted, item) && has_all_tags(item->json, p->select_tags);
}

/* Backwards: what refers goes before what is referred to. */
static void plan_deletes(struct planning *p, const struct declarative *now, bool needed)
{
	for (size_t i = now->n; i-- > 0;) {
		if (goes(p, &now->v[i]) && (lookup(p, &p->needed, &now->v[i]) != NULL) == needed) {
			add_step(p, DECLARATIVE_DELETE, &now->v[i], NULL);
		}
	}
}

static void plan_writes(struct planning *p, const struct declarative *wanted,
			struct declarative_plan *out)
{
	for (size_t i = 0; i < wanted->n; i++) {
		const struct declarative_item *w = &wanted->v[i];
		const struct declarative_item *n = lookup(p, &p->now, w);

		if (n && !out->of_others && is_of_others(n->json, p->select_tags)) {
			out->of_others = n;
		}
		if (!n) {
			add_step(p, DECLARATIVE_CREATE, NULL, w);
			out->created++;
		} else if (differs(w->kind, n->json, w->json)) {
			add_step(p, DECLARATIVE_UPDATE, n, w);
			out->updated++;
		} else {
			out->same++;
		}
	}
}

void declarative_plan(struct arena *a, const struct declarative *now,
		      const struct declarative *wanted, const struct json *select_tags,
		      struct declarative_plan *out)
{
	struct planning p = {.arena = a, .select_tags = select_tags};

	*out = (struct declarative_plan){0};
	p.v = ARENA_NEW_ARRAY(a, struct declarative_step, now->n + wanted->n + 1);
	enter_all(a, &p.wanted, wanted);
	enter_all(a, &p.now, now);
	for (size_t i = 0; i < now->n; i++) {
		if (!goes(&p, &now->v[i])) {
			need_references(&p, &now->v[i]);
		}
	}
	plan_deletes(&p, now, false);
	plan_writes(&p, wanted, out);
	plan_deletes(&p, now, true);
	map_free(&p.wanted);
	map_free(&p.now);
	map_free(&p.needed);
	out->v = p.v;
	out->n = p.n;
	out->deleted = p.n - out->created - out->updated;
}

/* ---- the index ---- */

struct declarative_index {
	struct arena *arena;
	struct map keys;  /* "kind:key" -> declarative_item */
	struct map names; /* "kind:id" and "kind:endpoint key" */
};

static void free_maps(void *arg)
{
	struct declarative_index *x = arg;

	map_free(&x->keys);
	map_free(&x->names);
}

struct declarative_index *declarative_index_new(struct arena *a, const struct declarative *now)
{
	struct declarative_index *x = ARENA_NEW(a, struct declarative_index);

	x->arena = a;
	arena_defer(a, free_maps, x);
	enter_all(a, &x->names, now);
	for (size_t i = 0; i < now->n; i++) {
		const struct declarative_item *item = &now->v[i];
		const char *name = entity_defs[item->kind].endpoint_key;
		struct str key = name ? json_str(json_get(item->json, str_c(name))) : STR_NULL;

		if (key.n > 0) {
			map_set(&x->names, item_key(a, item->kind, key), (void *)item);
		}
		if (declarative_key(a, item->kind, item->json, &key)) {
			map_set(&x->keys, item_key(a, item->kind, key), (void *)item);
		}
	}
	return x;
}

static bool find(const struct map *m, struct arena *a, enum entity_kind kind, struct str key,
		 struct guid *out)
{
	const struct declarative_item *item = map_get(m, item_key(a, kind, key));

	if (item) {
		*out = item->id;
	}
	return item != NULL;
}

bool declarative_index_find(void *arg, enum entity_kind kind, struct str key, struct guid *out_id)
{
	struct declarative_index *x = arg;

	return find(&x->keys, x->arena, kind, key, out_id);
}

bool declarative_index_find_outside(void *arg, enum entity_kind kind, struct str key,
				    struct guid *out_id)
{
	struct declarative_index *x = arg;

	return find(&x->names, x->arena, kind, key, out_id);
}

/* ---- for people ---- */

static struct str name_of(struct arena *a, const struct declarative_item *item)
{
	const struct entity_def *def = &entity_defs[item->kind];
	const struct json *v = item->json;
	const struct json *name = def->endpoint_key ? json_get(v, str_c(def->endpoint_key)) : NULL;

	for (size_t i = 0; i < def->schema->n; i++) {
		if (def->endpoint_key &&
		    strcmp(def->schema->fields[i].name, def->endpoint_key) == 0 &&
		    (def->schema->fields[i].flags & SCHEMA_SECRET)) {
			name = NULL;
		}
	}
	if (json_is_null(name)) {
		name = json_get(v, STR("name"));
	}
	if (json_is_null(name)) {
		return guid_d_str(a, &item->id);
	}
	return str_fmt(a, "'%.*s'", STR_ARG(json_str(name)));
}

static struct str shown(struct arena *a, const struct schema_field *f, const struct json *v)
{
	struct str s;

	if (json_is_null(v)) {
		return STR("null");
	}
	if (f->flags & SCHEMA_SECRET) {
		return STR("(secret)");
	}
	s = declarative_text(a, v);
	return s.n > SHOWN_MAX ? str_fmt(a, "%.*s…", STR_ARG(str_slice(s, 0, SHOWN_MAX))) : s;
}

static const struct schema *record_of(const struct schema_field *f, const struct json *around)
{
	if (f->subschema_by && f->subschema) {
		return f->subschema(json_str(json_get(around, str_c(f->subschema_by))));
	}
	return f->record;
}

static void describe_record(struct arena *a, const struct schema *s, struct str path,
			    const struct declarative_step *step, struct buf *out);

static void describe_field(struct arena *a, const struct schema_field *f, struct str path,
			   const struct declarative_step *step, struct buf *out)
{
	struct str name = path.n ? str_fmt(a, "%.*s.%s", STR_ARG(path), f->name) : str_c(f->name);
	const struct json *before = json_get(step->before, str_c(f->name));
	const struct json *after = json_get(step->after, str_c(f->name));
	const struct schema *record = record_of(f, step->after);

	if (!field_differs(f, step->before, step->after)) {
		return;
	}
	if (record && !json_is_null(before) && !json_is_null(after)) {
		const struct declarative_step below = {.before = before, .after = after};

		describe_record(a, record, name, &below, out);
		return;
	}
	buf_printf(out, "  %.*s: %.*s -> %.*s\n", STR_ARG(name), STR_ARG(shown(a, f, before)),
		   STR_ARG(shown(a, f, after)));
}

static void describe_record(struct arena *a, const struct schema *s, struct str path,
			    const struct declarative_step *step, struct buf *out)
{
	for (size_t i = 0; i < s->n; i++) {
		describe_field(a, &s->fields[i], path, step, out);
	}
}

struct str declarative_item_text(struct arena *a, const struct declarative_item *item)
{
	struct str kind = str_c(declarative_name(&entity_defs[item->kind]));

	kind = str_ends(kind, STR("s")) ? str_slice(kind, 0, kind.n - 1) : kind;
	return STR_CAT(a, kind, STR(" "), name_of(a, item));
}

void declarative_describe(struct arena *a, const struct declarative_step *s, struct buf *out)
{
	static const char *const verbs[] = {"create", "update", "delete"};
	struct declarative_item item = {
		.kind = s->kind, .id = s->id, .json = s->after ? s->after : s->before};

	buf_printf(out, "%s %.*s\n", verbs[s->op], STR_ARG(declarative_item_text(a, &item)));
	if (s->op == DECLARATIVE_UPDATE) {
		describe_record(a, entity_defs[s->kind].schema, STR(""), s, out);
	}
}
