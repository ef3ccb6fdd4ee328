#include "gateway/entity_store.h"

#define ROWS_MAX 1000000

enum {
	GET,
	BY_KEY,
	PAGE,
	PAGE_TAGS,
	PAGE_REF,
	PAGE_REF_TAGS,
	EACH,
	INSERT,
	UPDATE,
	CLEAR_KEYS,
	CLEAR_REFS,
	CLEAR_TAGS,
	REMOVE,
	PUT_KEY,
	PUT_REF,
	PUT_TAG,
	REFERRERS,
	EXPIRED,
	TAGS,
	TAGGED,
	PUT_CHANGE,
	CHANGES,
	FIRST,
	LAST,
	TRIM,
};

#define ROW "SELECT e.kind, e.id, e.doc FROM gateway_entities AS e"
#define ALIVE(now) " AND (e.expires_at IS NULL OR e.expires_at > " now ")"
#define WITH_TAGS                                                                                  \
	" AND e.id IN (SELECT t.id FROM gateway_tags AS t WHERE t.kind = $1"                       \
	" AND t.tag IN ($5, $6, $7, $8, $9) GROUP BY t.id HAVING count(*) >= $10)"
#define REFERRING                                                                                  \
	" JOIN gateway_refs AS r ON r.kind = e.kind AND r.id = e.id"                               \
	" WHERE e.kind = $1 AND e.id >= $2" ALIVE("$3")
#define OF_OWNER(field, kind, id)                                                                  \
	" AND r.field = " field " AND r.ref_kind = " kind " AND r.ref_id = " id
#define IN_ORDER " ORDER BY e.id LIMIT $4"

static const struct stmt stmts[] = {
	[GET] = {.name = "entity_get",
		 .sql = ROW " WHERE e.kind = $1 AND e.id = $2" ALIVE("$3"),
		 .params = "tum",
		 .cols = "tut"},
	/* Not a join: PostgreSQL may begin one with all of the kind while it has no statistics. */
	[BY_KEY] = {.name = "entity_by_key",
		    .sql = ROW " WHERE e.kind = $1 AND e.id = (SELECT k.id FROM gateway_keys AS k"
			       " WHERE k.kind = $1 AND k.field = $2 AND k.value = $3)" ALIVE("$4"),
		    .params = "tttm",
		    .cols = "tut"},
	[PAGE] = {.name = "entity_page",
		  .sql = ROW " WHERE e.kind = $1 AND e.id >= $2" ALIVE("$3") IN_ORDER,
		  .params = "tumi",
		  .cols = "tut"},
	[PAGE_TAGS] = {.name = "entity_page_tags",
		       .sql = ROW " WHERE e.kind = $1 AND e.id >= $2" ALIVE("$3")
			       WITH_TAGS IN_ORDER,
		       .params = "tumiTTTTTi",
		       .cols = "tut"},
	[PAGE_REF] = {.name = "entity_page_ref",
		      .sql = ROW REFERRING OF_OWNER("$5", "$6", "$7") IN_ORDER,
		      .params = "tumittu",
		      .cols = "tut"},
	[PAGE_REF_TAGS] = {.name = "entity_page_ref_tags",
			   .sql = ROW REFERRING WITH_TAGS OF_OWNER("$11", "$12", "$13") IN_ORDER,
			   .params = "tumiTTTTTittu",
			   .cols = "tut"},
	[EACH] = {.name = "entity_each",
		  .sql = ROW " WHERE e.kind = $1" ALIVE("$2") " ORDER BY e.id",
		  .params = "tm",
		  .cols = "tut"},
	[INSERT] = {.name = "entity_insert",
		    .sql = "INSERT INTO gateway_entities (kind, id, doc, expires_at)"
			   " VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
		    .params = "tutM"},
	[UPDATE] = {.name = "entity_update",
		    .sql = "UPDATE gateway_entities SET doc = $3, expires_at = $4"
			   " WHERE kind = $1 AND id = $2",
		    .params = "tutM"},
	[CLEAR_KEYS] = {.name = "entity_clear_keys",
			.sql = "DELETE FROM gateway_keys WHERE kind = $1 AND id = $2",
			.params = "tu"},
	[CLEAR_REFS] = {.name = "entity_clear_refs",
			.sql = "DELETE FROM gateway_refs WHERE kind = $1 AND id = $2",
			.params = "tu"},
	[CLEAR_TAGS] = {.name = "entity_clear_tags",
			.sql = "DELETE FROM gateway_tags WHERE kind = $1 AND id = $2",
			.params = "tu"},
	[REMOVE] = {.name = "entity_remove",
		    .sql = "DELETE FROM gateway_entities WHERE kind = $1 AND id = $2",
		    .params = "tu"},
	[PUT_KEY] = {.name = "entity_put_key",
		     .sql = "INSERT INTO gateway_keys (kind, field, value, id)"
			    " VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
		     .params = "tttu"},
	[PUT_REF] = {.name = "entity_put_ref",
		     .sql = "INSERT INTO gateway_refs (kind, id, field, ref_kind, ref_id)"
			    " VALUES ($1, $2, $3, $4, $5)",
		     .params = "tuttu"},
	[PUT_TAG] = {.name = "entity_put_tag",
		     .sql = "INSERT INTO gateway_tags (tag, kind, id) VALUES ($1, $2, $3)"
			    " ON CONFLICT DO NOTHING",
		     .params = "ttu"},
	[REFERRERS] = {.name = "entity_referrers",
		       .sql = "SELECT kind, id, field FROM gateway_refs"
			      " WHERE ref_kind = $1 AND ref_id = $2 ORDER BY kind, field, id",
		       .params = "tu",
		       .cols = "tut"},
	[EXPIRED] = {.name = "entity_expired",
		     .sql = "SELECT kind, id FROM gateway_entities WHERE expires_at <= $1"
			    " ORDER BY expires_at LIMIT $2",
		     .params = "mi",
		     .cols = "tu"},
	[TAGS] = {.name = "entity_tags",
		  .sql = "SELECT tag, kind, id FROM gateway_tags"
			 " WHERE (tag, kind, id) >= ($1, $2, $3)"
			 " ORDER BY tag, kind, id LIMIT $4",
		  .params = "ttui",
		  .cols = "ttu"},
	[TAGGED] = {.name = "entity_tagged",
		    .sql = "SELECT tag, kind, id FROM gateway_tags"
			   " WHERE tag = $1 AND (kind, id) >= ($2, $3)"
			   " ORDER BY kind, id LIMIT $4",
		    .params = "ttui",
		    .cols = "ttu"},
	/* The number is drawn after the lock was taken, which others get after our commit. */
	[PUT_CHANGE] = {.name = "entity_put_change",
			.sqlite = "INSERT INTO gateway_changes (kind, id, changed_at)"
				  " VALUES ($1, $2, $3)",
			.pgsql = "WITH turn AS MATERIALIZED"
				 " (SELECT pg_advisory_xact_lock(7678710000000003)),"
				 " told AS MATERIALIZED"
				 " (SELECT pg_notify('" ENTITY_CHANNEL "', ''))"
				 " INSERT INTO gateway_changes (kind, id, changed_at)"
				 " SELECT $1, $2, $3 FROM turn, told",
			.params = "tum"},
	[CHANGES] = {.name = "entity_changes",
		     .sql = "SELECT seq, kind, id FROM gateway_changes WHERE seq > $1"
			    " ORDER BY seq LIMIT $2",
		     .params = "ii",
		     .cols = "itu"},
	[FIRST] = {.name = "entity_first_change",
		   .sql = "SELECT coalesce(min(seq), 0) FROM gateway_changes",
		   .cols = "i"},
	[LAST] = {.name = "entity_last_change",
		  .sql = "SELECT coalesce(max(seq), 0) FROM gateway_changes",
		  .cols = "i"},
	[TRIM] = {.name = "entity_trim_changes",
		  .sql = "DELETE FROM gateway_changes WHERE changed_at < $1"
			 " AND seq < (SELECT max(seq) FROM gateway_changes)",
		  .params = "m"},
};

const struct stmt_table entity_statements = {"gateway", stmts, ARRAY_LEN(stmts)};

static const struct db_col row_cols[] = {
	{"kind", 't', offsetof(struct entity_row, kind)},
	{"id", 'u', offsetof(struct entity_row, id)},
	{"doc", 't', offsetof(struct entity_row, doc)},
};
static const struct db_shape row_shape = {"entity", row_cols, ARRAY_LEN(row_cols),
					  sizeof(struct entity_row)};

static const struct db_col referrer_cols[] = {
	{"kind", 't', offsetof(struct entity_referrer, kind)},
	{"id", 'u', offsetof(struct entity_referrer, id)},
	{"field", 't', offsetof(struct entity_referrer, field)},
};
static const struct db_shape referrer_shape = {"reference", referrer_cols, ARRAY_LEN(referrer_cols),
					       sizeof(struct entity_referrer)};

static const struct db_col expired_cols[] = {
	{"kind", 't', offsetof(struct entity_expired, kind)},
	{"id", 'u', offsetof(struct entity_expired, id)},
};
static const struct db_shape expired_shape = {"entity", expired_cols, ARRAY_LEN(expired_cols),
					      sizeof(struct entity_expired)};

static const struct db_col tag_cols[] = {
	{"tag", 't', offsetof(struct entity_tag, tag)},
	{"kind", 't', offsetof(struct entity_tag, kind)},
	{"id", 'u', offsetof(struct entity_tag, id)},
};
static const struct db_shape tag_shape = {"tag", tag_cols, ARRAY_LEN(tag_cols),
					  sizeof(struct entity_tag)};

static const struct db_col change_cols[] = {
	{"seq", 'i', offsetof(struct entity_changed, seq)},
	{"kind", 't', offsetof(struct entity_changed, kind)},
	{"id", 'u', offsetof(struct entity_changed, id)},
};
static const struct db_shape change_shape = {"change", change_cols, ARRAY_LEN(change_cols),
					     sizeof(struct entity_changed)};

static struct db_arg name_of(enum entity_kind kind)
{
	return DB_TEXT(str_c(entity_defs[kind].collection));
}

/* ---- reading ---- */

enum err entity_store_get(struct db *db, enum entity_kind kind, const struct guid *id,
			  int64_t now_ms, struct entity_row *out)
{
	return db_one(db, &stmts[GET], DB_ARGS(name_of(kind), DB_GUID(id), DB_TIME(now_ms)),
		      &row_shape, out);
}

enum err entity_store_by_key(struct db *db, enum entity_kind kind, const struct entity_key *key,
			     int64_t now_ms, struct entity_row *out)
{
	return db_one(
		db, &stmts[BY_KEY],
		DB_ARGS(name_of(kind), DB_TEXT(key->field), DB_TEXT(key->value), DB_TIME(now_ms)),
		&row_shape, out);
}

static enum err page_plain(struct db *db, const struct entity_range *r, struct db_rows *out)
{
	struct db_arg kind = name_of(r->kind), from = DB_GUID(&r->from), now = DB_TIME(r->now_ms);
	struct db_arg max = DB_INT(r->max);

	if (!r->field) {
		return db_all(db, &stmts[PAGE], DB_ARGS(kind, from, now, max), &row_shape, r->max,
			      out);
	}
	return db_all(db, &stmts[PAGE_REF],
		      DB_ARGS(kind, from, now, max, DB_TEXT(str_c(r->field)), name_of(r->ref_kind),
			      DB_GUID(&r->ref)),
		      &row_shape, r->max, out);
}

static enum err page_tags(struct db *db, const struct entity_range *r, struct db_rows *out)
{
	struct db_arg kind = name_of(r->kind), from = DB_GUID(&r->from), now = DB_TIME(r->now_ms);
	struct db_arg max = DB_INT(r->max), t[ENTITY_TAGS_MAX];
	struct db_arg n = DB_INT(r->any_tag ? 1 : (int64_t)r->n_tags);

	for (size_t i = 0; i < ENTITY_TAGS_MAX; i++) {
		t[i] = i < r->n_tags ? DB_TEXT(r->tags[i]) : DB_NULL;
	}
	if (!r->field) {
		return db_all(db, &stmts[PAGE_TAGS],
			      DB_ARGS(kind, from, now, max, t[0], t[1], t[2], t[3], t[4], n),
			      &row_shape, r->max, out);
	}
	return db_all(db, &stmts[PAGE_REF_TAGS],
		      DB_ARGS(kind, from, now, max, t[0], t[1], t[2], t[3], t[4], n,
			      DB_TEXT(str_c(r->field)), name_of(r->ref_kind), DB_GUID(&r->ref)),
		      &row_shape, r->max, out);
}

enum err entity_store_page(struct db *db, const struct entity_range *r, struct db_rows *out)
{
	return r->n_tags > 0 ? page_tags(db, r, out) : page_plain(db, r, out);
}

enum err entity_store_each(struct db *db, enum entity_kind kind, int64_t now_ms, db_row_fn *fn,
			   void *ctx)
{
	return db_each(db, &stmts[EACH], DB_ARGS(name_of(kind), DB_TIME(now_ms)), &row_shape, fn,
		       ctx);
}

/* ---- writing ---- */

enum err entity_store_insert(struct db *db, enum entity_kind kind, const struct guid *id,
			     struct str doc, struct opt_i64 expires_ms)
{
	TRY(db_exec(db, &stmts[INSERT],
		    DB_ARGS(name_of(kind), DB_GUID(id), DB_TEXT(doc), DB_OPT_TIME(expires_ms))));
	return db_changed(db) > 0 ? ERR_OK : ERR_CONFLICT;
}

enum err entity_store_update(struct db *db, enum entity_kind kind, const struct guid *id,
			     struct str doc, struct opt_i64 expires_ms)
{
	struct db_args key = DB_ARGS(name_of(kind), DB_GUID(id));

	TRY(db_exec_one(
		db, &stmts[UPDATE],
		DB_ARGS(name_of(kind), DB_GUID(id), DB_TEXT(doc), DB_OPT_TIME(expires_ms))));
	TRY(db_exec(db, &stmts[CLEAR_KEYS], key));
	TRY(db_exec(db, &stmts[CLEAR_REFS], key));
	return db_exec(db, &stmts[CLEAR_TAGS], key);
}

enum err entity_store_clear_keys(struct db *db, enum entity_kind kind, const struct guid *id)
{
	return db_exec(db, &stmts[CLEAR_KEYS], DB_ARGS(name_of(kind), DB_GUID(id)));
}

enum err entity_store_remove(struct db *db, enum entity_kind kind, const struct guid *id)
{
	return db_exec_one(db, &stmts[REMOVE], DB_ARGS(name_of(kind), DB_GUID(id)));
}

enum err entity_store_put_key(struct db *db, enum entity_kind kind, const struct guid *id,
			      const struct entity_key *key)
{
	TRY(db_exec(db, &stmts[PUT_KEY],
		    DB_ARGS(name_of(kind), DB_TEXT(key->field), DB_TEXT(key->value), DB_GUID(id))));
	return db_changed(db) > 0 ? ERR_OK : ERR_CONFLICT;
}

enum err entity_store_put_ref(struct db *db, enum entity_kind kind, const struct guid *id,
			      const struct entity_ref *ref)
{
	return db_exec(db, &stmts[PUT_REF],
		       DB_ARGS(name_of(kind), DB_GUID(id), DB_TEXT(ref->field), name_of(ref->kind),
			       DB_GUID(&ref->id)));
}

enum err entity_store_put_tag(struct db *db, enum entity_kind kind, const struct guid *id,
			      struct str tag)
{
	return db_exec(db, &stmts[PUT_TAG], DB_ARGS(DB_TEXT(tag), name_of(kind), DB_GUID(id)));
}

enum err entity_store_referrers(struct db *db, enum entity_kind kind, const struct guid *id,
				struct db_rows *out)
{
	return db_all(db, &stmts[REFERRERS], DB_ARGS(name_of(kind), DB_GUID(id)), &referrer_shape,
		      ROWS_MAX, out);
}

enum err entity_store_expired(struct db *db, int64_t now_ms, size_t max, struct db_rows *out)
{
	return db_all(db, &stmts[EXPIRED], DB_ARGS(DB_TIME(now_ms), DB_INT(max)), &expired_shape,
		      max, out);
}

/* ---- tags ---- */

static enum err tags(struct db *db, const struct stmt *st, const struct entity_tag *from,
		     size_t max, struct db_rows *out)
{
	return db_all(
		db, st,
		DB_ARGS(DB_TEXT(from->tag), DB_TEXT(from->kind), DB_GUID(&from->id), DB_INT(max)),
		&tag_shape, max, out);
}

enum err entity_store_tags(struct db *db, const struct entity_tag *from, size_t max,
			   struct db_rows *out)
{
	return tags(db, &stmts[TAGS], from, max, out);
}

enum err entity_store_tagged(struct db *db, const struct entity_tag *from, size_t max,
			     struct db_rows *out)
{
	return tags(db, &stmts[TAGGED], from, max, out);
}

/* ---- changes ---- */

enum err entity_store_put_change(struct db *db, enum entity_kind kind, const struct guid *id,
				 int64_t now_ms)
{
	return db_exec(db, &stmts[PUT_CHANGE],
		       DB_ARGS(name_of(kind), DB_GUID(id), DB_TIME(now_ms)));
}

enum err entity_store_changes(struct db *db, int64_t seq, size_t max, struct db_rows *out)
{
	return db_all(db, &stmts[CHANGES], DB_ARGS(DB_INT(seq), DB_INT(max)), &change_shape, max,
		      out);
}

enum err entity_store_span(struct db *db, int64_t *out_first, int64_t *out_last)
{
	int64_t first, last;

	TRY(db_int(db, &stmts[FIRST], DB_NO_ARGS, &first));
	TRY(db_int(db, &stmts[LAST], DB_NO_ARGS, &last));
	*out_first = first;
	*out_last = last;
	return ERR_OK;
}

enum err entity_store_trim(struct db *db, int64_t before_ms)
{
	return db_exec(db, &stmts[TRIM], DB_ARGS(DB_TIME(before_ms)));
}
