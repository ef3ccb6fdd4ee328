/*
 * Insert, update, upsert, delete.
 *
 * Each is one function of the transaction: find what is there, complete and check the
 * document (schema), check what it refers to and what must be unique (here, for the error that
 * names it; the tables guard the same against a race), write. Public functions wrap it in
 * entities_write.
 */
#include "base/clock.h"
#include "gateway/entities_int.h"
#include "gateway/entity_tree.h"

enum { TTL_MAX = 100000000, EXPIRED_AT_ONCE = 1000 };

/* One write, from the public function to the transaction. */
struct edit {
	enum entity_kind kind;
	const struct entity_target *which; /* NULL when inserting */
	const struct json *input;
	const struct json *out;
};

/* ---- input ---- */

struct ttl {
	bool given;
	int64_t seconds; /* 0 = for ever */
};

static enum err take_ttl(struct entity_call *c, enum entity_kind kind, struct json *input,
			 struct ttl *out)
{
	const struct json *v = json_get(input, STR("ttl"));

	*out = (struct ttl){0};
	if (!entity_defs[kind].has_ttl || !v) {
		return ERR_OK;
	}
	out->given = true;
	if (v->type != JSON_NULL) {
		bool is_number = json_int(v, &out->seconds) ||
				 (c->coerce && str_to_i64(json_str(v), &out->seconds));

		if (!is_number || out->seconds < 0 || out->seconds > TTL_MAX) {
			return entity_fail_option(c, "ttl",
						  "must be an integer between 0 and 100000000");
		}
	}
	tree_remove(input, STR("ttl"));
	return ERR_OK;
}

static const struct json *with_ttl(struct entity_call *c, enum entity_kind kind,
				   const struct json *doc, const struct ttl *ttl, int64_t now_ms)
{
	struct json *v;

	if (!entity_defs[kind].has_ttl || ttl->seconds == 0) {
		return doc;
	}
	v = tree_shallow(c->arena, doc);
	tree_set(c->arena, v, STR("ttl"), tree_int(c->arena, ttl->seconds));
	return entity_expiring_by_ttl(c->arena, v, now_ms);
}

/* A change that says nothing of it leaves it. */
static const struct json *with_ttl_of(struct entity_call *c, const struct json *current,
				      const struct json *doc)
{
	struct opt_i64 expires = entity_expires(current);
	struct json *v;

	if (!expires.has) {
		return doc;
	}
	v = tree_shallow(c->arena, doc);
	tree_set(c->arena, v, STR("ttl"), json_get(current, STR("ttl")));
	return entity_expiring(c->arena, v, expires.v);
}

static enum err unresolved(struct entity_call *c, const struct schema_field *f,
			   const struct json *member)
{
	struct entity_key key = entity_key_of(c->arena, str_cstr(c->arena, member->key), member);
	struct str text = str_fmt(c->arena,
				  "the foreign key cannot be resolved with '%.*s' for an existing"
				  " '%s' entity",
				  STR_ARG(key.text), f->foreign);
	struct json *inner = tree_object(c->arena), *fields = tree_object(c->arena);

	tree_set(c->arena, inner, member->key, tree_str(c->arena, text));
	tree_set(c->arena, fields, str_c(f->name), inner);
	return entity_fail(c, ENTITY_FOREIGN_KEYS_UNRESOLVED,
			   str_fmt(c->arena, "foreign key unresolved (%s.%.*s: %.*s)", f->name,
				   STR_ARG(member->key), STR_ARG(text)),
			   fields);
}

/* {"name": "x"} becomes {"id": …}. What is neither is left for the schema to refuse. */
static enum err resolve_one(struct entities *es, struct entity_call *c,
			    const struct schema_field *f, struct json *input)
{
	const struct json *v = json_get(input, str_c(f->name)), *found = NULL;
	const struct entity_def *to = entity_def_by_collection(str_c(f->foreign));

	if (!to || !v || v->type != JSON_OBJECT || json_get(v, STR("id")) || v->n != 1 ||
	    v->child->type != JSON_STRING) {
		return ERR_OK;
	}
	const struct schema_field *by = entity_field(to, v->child->key);
	if (!by || !(by->flags & SCHEMA_UNIQUE)) {
		return ERR_OK;
	}
	struct entity_key key = entity_key_of(c->arena, by->name, v->child);
	struct guid id;
	enum err e = entity_source_by_key(es, c, to->kind, &key, &found);
	if (e == ERR_NOT_FOUND) {
		return unresolved(c, f, v->child);
	}
	TRY(e);
	if (tree_id(found, &id)) {
		tree_set(c->arena, input, str_c(f->name), tree_ref(c->arena, &id));
	}
	return ERR_OK;
}

static enum err resolve(struct entities *es, struct entity_call *c, enum entity_kind kind,
			struct json *input)
{
	const struct schema *s = entity_defs[kind].schema;

	for (size_t i = 0; i < s->n; i++) {
		if (s->fields[i].type == SCHEMA_FOREIGN) {
			TRY(resolve_one(es, c, &s->fields[i], input));
		}
	}
	return ERR_OK;
}

/* A copy that may be edited, with the owner of the path in it. */
static enum err take_input(struct entities *es, struct entity_call *c, const struct edit *j,
			   struct json **out)
{
	struct json *input = NULL;

	if (j->input->type != JSON_OBJECT) {
		return entity_fail_schema(c, tree_str(c->arena, STR("expected a record")));
	}
	input = tree_shallow(c->arena, j->input);
	if (j->which && j->which->owner.field) {
		tree_set(c->arena, input, str_c(j->which->owner.field),
			 tree_ref(c->arena, &j->which->owner.id));
	}
	TRY(resolve(es, c, j->kind, input));
	*out = input;
	return ERR_OK;
}

static enum err complete(struct entity_call *c, enum entity_kind kind,
			 const struct schema_input *in, const struct json **out)
{
	const struct json *errors = NULL;
	enum err e = schema_process(c->arena, entity_defs[kind].schema, in, out, &errors);

	return e == ERR_INVALID ? entity_fail_schema(c, errors) : e;
}

/* ---- what it refers to, what must be unique ---- */

static enum err no_such_reference(struct entity_call *c, const struct entity_ref *r)
{
	ptrdiff_t dot = str_index(r->field, '.');
	struct str field = dot < 0 ? r->field : str_slice(r->field, 0, (size_t)dot);
	struct str pk = entity_pk_text(c->arena, guid_d_str(c->arena, &r->id));
	struct json *fields = tree_object(c->arena);

	tree_set(c->arena, fields, field, tree_ref(c->arena, &r->id));
	return entity_fail(
		c, ENTITY_FOREIGN_KEY_VIOLATION,
		str_fmt(c->arena,
			"the foreign key '%.*s' does not reference an existing '%s' entity.",
			STR_ARG(pk), entity_defs[r->kind].collection),
		fields);
}

static enum err check_refs(struct entities *es, struct entity_call *c,
			   const struct entity_refs *refs)
{
	for (size_t i = 0; i < refs->n; i++) {
		const struct json *doc;
		enum err e = entity_source_get(es, c, refs->v[i].kind, &refs->v[i].id, &doc);

		if (e == ERR_NOT_FOUND) {
			return no_such_reference(c, &refs->v[i]);
		}
		TRY(e);
	}
	return ERR_OK;
}

static enum err not_unique(struct entity_call *c, const struct entity_key *k)
{
	return entity_fail(
		c, ENTITY_UNIQUE_VIOLATION,
		str_fmt(c->arena, "UNIQUE violation detected on '%.*s'", STR_ARG(k->text)),
		k->fields);
}

static enum err check_keys(struct entities *es, struct entity_call *c, enum entity_kind kind,
			   const struct guid *id, const struct entity_keys *keys)
{
	for (size_t i = 0; i < keys->n; i++) {
		const struct json *doc;
		struct guid other;
		enum err e = entity_source_by_key(es, c, kind, &keys->v[i], &doc);

		if (e == ERR_OK && tree_id(doc, &other) && !guid_eq(&other, id)) {
			return not_unique(c, &keys->v[i]);
		}
		if (e != ERR_NOT_FOUND) {
			TRY(e);
		}
	}
	return ERR_OK;
}

/* ---- rows ---- */

static enum err put_tags(struct entity_call *c, enum entity_kind kind, const struct guid *id,
			 const struct json *doc)
{
	const struct json *tags = json_get(doc, STR("tags"));

	for (const struct json *t = tags ? tags->child : NULL; t; t = t->next) {
		TRY(entity_store_put_tag(c->db, kind, id, json_str(t)));
	}
	return ERR_OK;
}

static enum err put_beside(struct entity_call *c, enum entity_kind kind, const struct guid *id,
			   const struct json *doc, const struct entity_keys *keys,
			   const struct entity_refs *refs)
{
	for (size_t i = 0; i < keys->n; i++) {
		enum err e = entity_store_put_key(c->db, kind, id, &keys->v[i]);

		if (e == ERR_CONFLICT && !db_is_transient(c->db)) {
			return not_unique(c, &keys->v[i]);
		}
		TRY(e);
	}
	for (size_t i = 0; i < refs->n; i++) {
		TRY(entity_store_put_ref(c->db, kind, id, &refs->v[i]));
	}
	TRY(put_tags(c, kind, id, doc));
	entity_tx_changed(c, kind, id);
	return ERR_OK;
}

static enum err id_exists(struct entity_call *c, const struct guid *id)
{
	struct str pk = entity_pk_text(c->arena, guid_d_str(c->arena, id));

	return entity_fail(c, ENTITY_PRIMARY_KEY_VIOLATION,
			   str_fmt(c->arena, "primary key violation on key '%.*s'", STR_ARG(pk)),
			   tree_ref(c->arena, id));
}

enum row_op { ROW_INSERT, ROW_UPDATE };

static enum err write_row(struct entities *es, struct entity_call *c, enum entity_kind kind,
			  enum row_op op, const struct json *doc)
{
	struct str text = tree_text(c->arena, doc);
	struct opt_i64 expires =
		entity_defs[kind].has_ttl ? entity_expires(doc) : (struct opt_i64){0};
	struct entity_keys keys;
	struct entity_refs refs;
	struct guid id;

	if (!tree_id(doc, &id)) {
		return fault_set(db_fault(c->db), ERR_INTERNAL, "a valid entity has no id");
	}
	entity_keys_of(c->arena, kind, doc, &keys);
	if (entity_refs_of(c->arena, kind, doc, &refs) != ERR_OK) {
		return entity_fail_field(c, "ca_certificates", STR("length must be at most 64"));
	}
	TRY(check_refs(es, c, &refs));
	TRY(check_keys(es, c, kind, &id, &keys));
	if (op == ROW_UPDATE) {
		TRY(entity_store_update(c->db, kind, &id, text, expires));
		return put_beside(c, kind, &id, doc, &keys, &refs);
	}
	enum err e = entity_store_insert(c->db, kind, &id, text, expires);
	if (e == ERR_CONFLICT && !db_is_transient(c->db)) {
		return id_exists(c, &id);
	}
	TRY(e);
	return put_beside(c, kind, &id, doc, &keys, &refs);
}

/* Those that are over still hold their keys. */
static enum err remove_expired(struct entity_call *c, enum entity_kind kind)
{
	struct db_rows rows = {.n = entity_defs[kind].has_ttl ? EXPIRED_AT_ONCE : 0};

	while (rows.n == EXPIRED_AT_ONCE) {
		TRY(entity_store_expired(c->db, clock_wall_ms(), EXPIRED_AT_ONCE, &rows));
		for (size_t i = 0; i < rows.n; i++) {
			const struct entity_expired *x = (const struct entity_expired *)rows.v + i;
			const struct entity_def *def = entity_def_by_collection(x->kind);

			if (def) {
				TRY(entity_store_remove(c->db, def->kind, &x->id));
				entity_tx_changed(c, def->kind, &x->id);
			}
		}
	}
	return ERR_OK;
}

/* ---- insert ---- */

/* A whole document, in the place of `replaced` unless that is NULL. */
static enum err write_doc(struct entities *es, struct entity_call *c, struct edit *j,
			  struct json *input, const struct json *replaced)
{
	int64_t now = clock_wall_ms();
	struct ttl ttl;

	TRY(take_ttl(c, j->kind, input, &ttl));
	TRY(complete(c, j->kind,
		     &(struct schema_input){.op = SCHEMA_INSERT,
					    .value = input,
					    .current = replaced,
					    .coerce = c->coerce,
					    .keep_derived = c->keep_derived,
					    .now_ms = now},
		     &j->out));
	if (j->kind == ENTITY_PLUGIN && json_get(input, STR("protocols"))) {
		TRY(entity_check_protocols(es, c, j->out));
	}
	j->out = with_ttl(c, j->kind, j->out, &ttl, now);
	TRY(remove_expired(c, j->kind));
	return write_row(es, c, j->kind, replaced ? ROW_UPDATE : ROW_INSERT, j->out);
}

static enum err do_insert(struct entities *es, struct entity_call *c, void *arg)
{
	struct edit *j = arg;
	struct json *input = NULL;

	if (es->memory) {
		return entity_fail_memory(c, "create", j->kind);
	}
	TRY(take_input(es, c, j, &input));
	return write_doc(es, c, j, input, NULL);
}

static enum err finish(struct entities *es, struct entity_call *c, entities_write_fn *fn,
		       struct edit *j, const struct json **out)
{
	entity_error_clear(c);
	TRY(entities_write(es, c, fn, j));
	*out = entity_present(c->arena, j->kind, j->out, clock_wall_ms());
	return ERR_OK;
}

enum err entity_insert(struct entities *es, struct entity_call *c, enum entity_kind kind,
		       const struct json *input, const struct json **out)
{
	struct edit j = {.kind = kind, .input = input};

	return finish(es, c, do_insert, &j, out);
}

/* ---- update ---- */

static const struct json *without_ttl(struct entity_call *c, enum entity_kind kind,
				      const struct json *doc)
{
	struct json *v;

	if (!entity_defs[kind].has_ttl) {
		return doc;
	}
	v = tree_shallow(c->arena, doc);
	(void)tree_remove(v, STR("ttl"));
	return v;
}

static enum err do_update(struct entities *es, struct entity_call *c, void *arg)
{
	struct edit *j = arg;
	const struct json *current = NULL;
	int64_t now = clock_wall_ms();
	struct json *input = NULL;
	struct ttl ttl;
	enum err e;

	if (es->memory) {
		return entity_fail_memory(c, "update", j->kind);
	}
	e = entity_locate(es, c, j->kind, &j->which->owner, j->which->text, &current);
	if (e == ERR_NOT_FOUND) {
		return entity_fail_missing(c, j->kind, j->which->text);
	}
	TRY(e);
	TRY(take_input(es, c, j, &input));
	(void)tree_remove(input, STR("id"));
	TRY(take_ttl(c, j->kind, input, &ttl));
	TRY(complete(c, j->kind,
		     &(struct schema_input){.op = SCHEMA_UPDATE,
					    .value = input,
					    .current = without_ttl(c, j->kind, current),
					    .coerce = c->coerce,
					    .keep_derived = c->keep_derived,
					    .now_ms = now},
		     &j->out));
	if (j->kind == ENTITY_PLUGIN) {
		TRY(entity_check_protocols(es, c, j->out));
	}
	if (ttl.given) {
		j->out = with_ttl(c, j->kind, j->out, &ttl, now);
	} else if (entity_defs[j->kind].has_ttl) {
		j->out = with_ttl_of(c, current, j->out);
	}
	TRY(remove_expired(c, j->kind));
	return write_row(es, c, j->kind, ROW_UPDATE, j->out);
}

enum err entity_update(struct entities *es, struct entity_call *c, enum entity_kind kind,
		       const struct entity_target *which, const struct json *input,
		       const struct json **out)
{
	struct edit j = {.kind = kind, .which = which, .input = input};

	return finish(es, c, do_update, &j, out);
}

/* ---- upsert ---- */

/* What the path says stands in the document, whatever the body says. */
static void put_identity(struct entity_call *c, const struct edit *j, const struct json *current,
			 struct json *input)
{
	const struct entity_def *def = &entity_defs[j->kind];
	struct guid id;

	if (entity_text_is_id(j->which->text, &id)) {
		tree_set(c->arena, input, STR("id"), tree_guid(c->arena, &id));
	} else {
		tree_set(c->arena, input, str_c(def->endpoint_key),
			 tree_str(c->arena, j->which->text));
		if (current) {
			tree_set(c->arena, input, STR("id"), json_get(current, STR("id")));
		}
	}
	if (current && !json_get(input, STR("created_at"))) {
		const struct json *created = json_get(current, STR("created_at"));

		if (created) {
			tree_set(c->arena, input, STR("created_at"), created);
		}
	}
}

static enum err locate_for_upsert(struct entities *es, struct entity_call *c, const struct edit *j,
				  const struct json **out)
{
	const struct entity_target *which = j->which;
	const struct json *other = NULL;
	enum err e = entity_locate(es, c, j->kind, &which->owner, which->text, out);

	if (e != ERR_NOT_FOUND || !which->owner.field ||
	    (!entity_key_is_unique(&entity_defs[j->kind]) && which->text.n != GUID_D_LEN)) {
		return e;
	}
	e = entity_locate(es, c, j->kind, NULL, which->text, &other);
	return e == ERR_OK ? ERR_DENIED : e; /* somebody else's */
}

static enum err do_upsert(struct entities *es, struct entity_call *c, void *arg)
{
	struct edit *j = arg;
	const struct json *current = NULL;
	struct json *input = NULL;
	enum err e;

	if (es->memory) {
		return entity_fail_memory(c, "create or update", j->kind);
	}
	e = locate_for_upsert(es, c, j, &current);
	if (e == ERR_DENIED) {
		return ERR_NOT_FOUND;
	}
	if (e != ERR_NOT_FOUND) {
		TRY(e);
	}
	TRY(take_input(es, c, j, &input));
	put_identity(c, j, current, input);
	return write_doc(es, c, j, input, current);
}

enum err entity_upsert(struct entities *es, struct entity_call *c, enum entity_kind kind,
		       const struct entity_target *which, const struct json *input,
		       const struct json **out)
{
	struct edit j = {.kind = kind, .which = which, .input = input};

	return finish(es, c, do_upsert, &j, out);
}

enum err entity_release_keys(struct entity_call *c, enum entity_kind kind, const struct guid *id)
{
	return entity_store_clear_keys(c->db, kind, id);
}

/* ---- delete ---- */

/* The snis of a certificate are part of it, though their schema does not say so in Kong. */
static bool is_cascade(const struct entity_referrer *r, const struct entity_def *def)
{
	const struct schema_field *f = entity_field(def, r->field);

	return def->kind == ENTITY_SNI ||
	       (f && f->on_delete && strcmp(f->on_delete, "cascade") == 0);
}

static enum err still_referenced(struct entity_call *c, enum entity_kind kind,
				 const struct guid *id, const struct entity_referrer *by)
{
	struct json *fields = tree_object(c->arena);
	struct str id_text = guid_d_str(c->arena, id), by_text = guid_d_str(c->arena, &by->id);

	tree_set(c->arena, fields, STR("@referenced_by"), tree_str(c->arena, by->kind));
	if (kind == ENTITY_CA_CERTIFICATE) {
		return entity_fail(c, ENTITY_REFERENCED,
				   str_fmt(c->arena,
					   "ca certificate %.*s is still referenced by %.*s"
					   " (id = %.*s)",
					   STR_ARG(id_text), STR_ARG(by->kind), STR_ARG(by_text)),
				   fields);
	}
	return entity_fail(c, ENTITY_FOREIGN_KEY_VIOLATION,
			   str_fmt(c->arena,
				   "an existing '%.*s' entity references this '%s' entity",
				   STR_ARG(by->kind), entity_defs[kind].collection),
			   fields);
}

/* Depth is bounded by the kinds: none refers to itself, not even in a circle. */
static enum err remove_tree(struct entity_call *c, enum entity_kind kind, const struct guid *id)
{
	const struct entity_referrer *v;
	struct db_rows rows;

	TRY(entity_store_referrers(c->db, kind, id, &rows));
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++) {
		const struct entity_def *def = entity_def_by_collection(v[i].kind);

		if (!def || !is_cascade(&v[i], def)) {
			return still_referenced(c, kind, id, &v[i]);
		}
	}
	for (size_t i = 0; i < rows.n; i++) {
		enum entity_kind by = entity_def_by_collection(v[i].kind)->kind;
		enum err e = remove_tree(c, by, &v[i].id);

		if (e != ERR_NOT_FOUND) { /* went with another already */
			TRY(e);
		}
	}
	TRY(entity_store_remove(c->db, kind, id));
	entity_tx_changed(c, kind, id);
	return ERR_OK;
}

static enum err do_delete(struct entities *es, struct entity_call *c, void *arg)
{
	struct edit *j = arg;
	const struct json *current = NULL;
	struct guid id;

	if (es->memory) {
		return entity_fail_memory(c, "remove", j->kind);
	}
	TRY(entity_locate(es, c, j->kind, &j->which->owner, j->which->text, &current));
	return tree_id(current, &id) ? remove_tree(c, j->kind, &id) : ERR_INTERNAL;
}

enum err entity_delete(struct entities *es, struct entity_call *c, enum entity_kind kind,
		       const struct entity_target *which)
{
	struct edit j = {.kind = kind, .which = which};

	entity_error_clear(c);
	return entities_write(es, c, do_delete, &j);
}

enum err entity_validate(struct entity_call *c, enum entity_kind kind, const struct json *input,
			 const struct json **out)
{
	entity_error_clear(c);
	return complete(c, kind,
			&(struct schema_input){.op = SCHEMA_INSERT,
					       .value = input,
					       .coerce = c->coerce,
					       .now_ms = clock_wall_ms()},
			out);
}
