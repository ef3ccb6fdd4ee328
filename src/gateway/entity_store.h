/*
 * entity_store - entities as rows: documents, keys, references, tags, changes
 *
 * Knows nothing of schemas: what is unique and what refers to what comes from the caller
 * (entity_keys.h). Writes belong into a transaction.
 *
 * Failure  besides those of store.h: ERR_CONFLICT from entity_store_insert when the id exists,
 *          from entity_store_put_key when somebody has that key.
 */
#pragma once
#include "gateway/entity_keys.h"
#include "store/store.h"

#define ENTITY_TAGS_MAX 5

struct entity_row {
	struct str kind; /* collection */
	struct guid id;
	struct str doc;
};

/* One page in the order of ids. Expired rows count as absent everywhere. */
struct entity_range {
	enum entity_kind kind;
	struct guid from;  /* first that may come */
	const char *field; /* only those that refer to `ref` by it; NULL = all */
	enum entity_kind ref_kind;
	struct guid ref;
	struct str tags[ENTITY_TAGS_MAX];
	size_t n_tags;
	bool any_tag;
	size_t max;
	int64_t now_ms;
};

enum err entity_store_get(struct db *db, enum entity_kind kind, const struct guid *id,
			  int64_t now_ms, struct entity_row *out) MUST_USE;
enum err entity_store_by_key(struct db *db, enum entity_kind kind, const struct entity_key *key,
			     int64_t now_ms, struct entity_row *out) MUST_USE;
/* `out` holds struct entity_row. */
enum err entity_store_page(struct db *db, const struct entity_range *r,
			   struct db_rows *out) MUST_USE;
/* `row` of the callback is a struct entity_row. */
enum err entity_store_each(struct db *db, enum entity_kind kind, int64_t now_ms, db_row_fn *fn,
			   void *ctx) MUST_USE;

/* ---- writing ---- */

enum err entity_store_insert(struct db *db, enum entity_kind kind, const struct guid *id,
			     struct str doc, struct opt_i64 expires_ms) MUST_USE;
/* Also removes keys, references and tags, to be put anew. */
enum err entity_store_update(struct db *db, enum entity_kind kind, const struct guid *id,
			     struct str doc, struct opt_i64 expires_ms) MUST_USE;
/* Nobody finds it by them until it is updated, and others may have them. */
enum err entity_store_clear_keys(struct db *db, enum entity_kind kind,
				 const struct guid *id) MUST_USE;
enum err entity_store_remove(struct db *db, enum entity_kind kind, const struct guid *id) MUST_USE;
enum err entity_store_put_key(struct db *db, enum entity_kind kind, const struct guid *id,
			      const struct entity_key *key) MUST_USE;
enum err entity_store_put_ref(struct db *db, enum entity_kind kind, const struct guid *id,
			      const struct entity_ref *ref) MUST_USE;
enum err entity_store_put_tag(struct db *db, enum entity_kind kind, const struct guid *id,
			      struct str tag) MUST_USE;

struct entity_referrer {
	struct str kind;
	struct guid id;
	struct str field;
};
/* Who refers to this one: struct entity_referrer, in the order of kinds. */
enum err entity_store_referrers(struct db *db, enum entity_kind kind, const struct guid *id,
				struct db_rows *out) MUST_USE;

struct entity_expired {
	struct str kind;
	struct guid id;
};
/* At most `max` of those whose time is over: struct entity_expired. */
enum err entity_store_expired(struct db *db, int64_t now_ms, size_t max,
			      struct db_rows *out) MUST_USE;

/* ---- tags ---- */

struct entity_tag {
	struct str tag, kind;
	struct guid id;
};
/* All from `from` on, or only those of from->tag: struct entity_tag. */
enum err entity_store_tags(struct db *db, const struct entity_tag *from, size_t max,
			   struct db_rows *out) MUST_USE;
enum err entity_store_tagged(struct db *db, const struct entity_tag *from, size_t max,
			     struct db_rows *out) MUST_USE;

/* ---- changes ---- */

struct entity_changed {
	int64_t seq;
	struct str kind;
	struct guid id;
};

/* On PostgreSQL those who listen are told at the commit. */
#define ENTITY_CHANNEL "posthouse_gateway"
/* Last in a transaction: others wait from here to its end, so that numbers become visible in
 * their order. */
enum err entity_store_put_change(struct db *db, enum entity_kind kind, const struct guid *id,
				 int64_t now_ms) MUST_USE;
/* Behind `seq`: struct entity_changed. */
enum err entity_store_changes(struct db *db, int64_t seq, size_t max, struct db_rows *out) MUST_USE;
/* Of the numbers that are still there; both 0 when there is none. */
enum err entity_store_span(struct db *db, int64_t *out_first, int64_t *out_last) MUST_USE;
/* Forgets those from before `before_ms`, but never the last. */
enum err entity_store_trim(struct db *db, int64_t before_ms) MUST_USE;

extern const struct stmt_table entity_statements;
