/*
 * The table of the Admin API: endpoints written by hand, then those generated from the
 * foreign keys and collections of entity_defs. The first that fits a request is taken.
 */
#include "gateway/admin_int.h"

struct table {
	struct admin *admin;
	struct rest_route *v;
	size_t n, cap;
};

struct verb {
	const char *method;
	admin_fn *fn;
};

static const struct verb collection_verbs[] = {{"GET", admin_list}, {"POST", admin_create}};
static const struct verb item_verbs[] = {
	{"GET", admin_show},
	{"PUT", admin_replace},
	{"PATCH", admin_patch},
	{"DELETE", admin_remove},
};
static const struct verb far_verbs[] = {
	{"GET", admin_far_show},
	{"PUT", admin_far_replace},
	{"PATCH", admin_far_patch},
	{"DELETE", admin_far_remove},
};

static bool is_read(const char *method)
{
	return strcmp(method, "GET") == 0;
}

static void add(struct table *b, const char *method, const char *path, uint32_t body_max,
		const char *doc, const struct admin_route *route)
{
	struct arena *a = &b->admin->arena;
	struct admin_route *arg = ARENA_NEW(a, struct admin_route);
	enum rest_access access = is_read(method) ? REST_READ : REST_WRITE;
	bool open = !atomic_load(&b->admin->rest.keys);

	if (b->n == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 64;
		struct rest_route *v = ARENA_NEW_ARRAY(a, struct rest_route, cap);

		if (b->n > 0) {
			memcpy(v, b->v, b->n * sizeof(*v));
		}
		b->v = v;
		b->cap = cap;
	}
	*arg = *route;
	b->v[b->n++] = (struct rest_route){
		.method = method,
		.path = path,
		.handler = admin_run,
		.pool = REST_DB,
		.access = open ? REST_OPEN : access,
		.body_max = is_read(method) ? 0 : body_max,
		.doc = doc,
		.arg = arg,
	};
}

static void add_verbs(struct table *b, const struct verb *verbs, size_t n, struct str path,
		      const struct admin_route *about)
{
	const char *text = str_cstr(&b->admin->arena, path);

	for (size_t i = 0; i < n; i++) {
		struct admin_route r = *about;

		r.fn = verbs[i].fn;
		add(b, verbs[i].method, text, ADMIN_BODY_MAX, "", &r);
	}
}

#define ADD_VERBS(b, verbs, path, about) add_verbs((b), (verbs), ARRAY_LEN(verbs), (path), (about))

/* Targets exist below their upstream only, and the certificate of an sni is asked for by the
 * name of the sni. */
static bool has_far(const struct entity_def *def)
{
	return def->kind != ENTITY_TARGET && def->kind != ENTITY_SNI;
}

static void add_foreign(struct table *b, const struct entity_def *def, const struct schema_field *f)
{
	const struct entity_def *to = entity_def_by_collection(str_c(f->foreign));
	struct arena *a = &b->admin->arena;

	if (!to) {
		return;
	}
	struct admin_route nested = {.kind = def->kind, .parent = to->kind, .field = f->name};
	struct admin_route far = {.kind = to->kind, .parent = def->kind, .field = f->name};
	const char *name = admin_nested_name(def->kind, to->kind);

	if (has_far(def)) {
		ADD_VERBS(b, far_verbs,
			  str_fmt(a, "/%s/{%s}/%s", def->collection, def->collection, f->name),
			  &far);
	}
	ADD_VERBS(b, collection_verbs,
		  str_fmt(a, "/%s/{%s}/%s", to->collection, to->collection, name), &nested);
	ADD_VERBS(b, item_verbs,
		  str_fmt(a, "/%s/{%s}/%s/{%s}", to->collection, to->collection, name,
			  def->collection),
		  &nested);
}

static void add_entity(struct table *b, const struct entity_def *def)
{
	struct arena *a = &b->admin->arena;
	struct admin_route about = {.kind = def->kind};

	if (def->kind != ENTITY_TARGET) {
		ADD_VERBS(b, collection_verbs, str_fmt(a, "/%s", def->collection), &about);
		ADD_VERBS(b, item_verbs, str_fmt(a, "/%s/{%s}", def->collection, def->collection),
			  &about);
	}
	for (size_t i = 0; i < def->schema->n; i++) {
		if (def->schema->fields[i].type == SCHEMA_FOREIGN) {
			add_foreign(b, def, &def->schema->fields[i]);
		}
	}
}

static void add_specials(struct table *b, const struct admin_specials *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct admin_special *x = &s->v[i];
		struct admin_route r = {x->fn, x->kind, x->parent, x->field, x->raw_body};

		add(b, x->method, x->path, x->body_max, x->doc, &r);
	}
}

void admin_table_build(struct admin *admin)
{
	struct table b = {.admin = admin};

	add_specials(&b, &admin_info_specials);
	add_specials(&b, &admin_schema_specials);
	add_specials(&b, &admin_certificate_specials);
	add_specials(&b, &admin_upstream_specials);
	for (int kind = 0; kind < ENTITY_KINDS; kind++) {
		add_entity(&b, &entity_defs[kind]);
	}
	admin->table = (struct rest_table){"admin", b.v, b.n};
}

void admin_table_build_status(struct admin *admin)
{
	struct table b = {.admin = admin};

	add_specials(&b, &admin_status_specials);
	admin->table = (struct rest_table){"status", b.v, b.n};
}
