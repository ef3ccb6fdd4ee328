/*
 * entities - the repository: what the gateway is configured with, read and written by rule
 *
 * Two back ends behind one interface. With a database, every process on it may write; each
 * learns of the others' changes by the change sequence. In memory (declarative mode) the whole
 * set is replaced at once and single writes are refused.
 *
 * A call (`struct entity_call`) brings the arena for results and, except in memory mode, a
 * session with an open task. A failure that the client is to be told of in Kong's words stands
 * in call->error (status not 0); any other is a fault of the machine and has call->error
 * empty.
 *
 * After a commit, and before the write returns, `on_changes` was told: in the order of
 * commits, never from two threads at once. A write takes a turn that lasts from its transaction
 * to the end of on_changes; reads wait for nobody.
 *
 * Ownership  documents that are returned live as long as the call's arena.
 * Threads    workers (a session blocks); entities_replace any but a loop.
 * Failure    ERR_INVALID, ERR_CONFLICT, ERR_NOT_FOUND with call->error; else those of store.h.
 * Spec       kong-gateway §2, §3.
 */
#pragma once
#include "gateway/entity.h"
#include "store/store.h"

struct entities;

struct entity_error {
	int code; /* Kong's number */
	int status;
	const char *name;
	struct str message;
	const struct json *fields; /* an object */
};

struct entity_call {
	struct arena *arena;
	struct db *db;		   /* NULL in memory mode */
	struct entity_error error; /* of the last function that failed */
	bool coerce;		   /* input comes from a form */
	bool keep_derived;	   /* passwords are hashes already (schema.h) */
	void *write;		   /* private: the transaction that is open */
};

struct entities_config {
	bool memory;
	entity_changes_fn *on_changes; /* may be NULL */
	void *arg;
};

struct entities *entities_new(const struct entities_config *config);
void entities_free(struct entities **es);
bool entities_is_memory(const struct entities *es);

/* Reads everything and tells it, `all`. At the start; not needed in memory mode. */
enum err entities_load(struct entities *es, struct db *db) MUST_USE;
/* Tells what other processes have written since. About once a second. */
enum err entities_poll(struct entities *es, struct db *db) MUST_USE;
/* Whether the database answered when it was last polled; in memory mode always. Any thread. */
bool entities_is_reachable(const struct entities *es);
/* Removes what has expired and forgets old changes. About once a minute. */
enum err entities_upkeep(struct entities *es, struct db *db) MUST_USE;

/* ---- memory mode ---- */

/*
 * Replaces everything; items are borrowed. They must be valid, with unique keys and ids, and
 * refer to nothing that is not among them. The first time they are told as `all`; then what
 * differs is, and an item that was there before is the same.
 */
void entities_replace(struct entities *es, struct entity_item *const *items, size_t n);
/* The one in force, to be replaced by itself; the caller owns a reference. NULL: none. */
struct entity_item *entities_item(struct entities *es, enum entity_kind kind,
				  const struct guid *id);

/* ---- reading ---- */

/* ERR_NOT_FOUND without call->error when there is none. */
enum err entity_get(struct entities *es, struct entity_call *c, enum entity_kind kind,
		    const struct guid *id, const struct json **out) MUST_USE;
/* By id or endpoint key, whichever `text` is. Code 1 when it can be neither. */
enum err entity_find(struct entities *es, struct entity_call *c, enum entity_kind kind,
		     struct str text, const struct json **out) MUST_USE;
/* By a unique field. */
enum err entity_find_by(struct entities *es, struct entity_call *c, enum entity_kind kind,
			const char *field, struct str value, const struct json **out) MUST_USE;

/* What belongs to another entity: "targets" of an upstream. */
struct entity_owner {
	const char *field; /* "upstream"; NULL = anybody's */
	struct guid id;
};

/* As entity_find; what belongs to somebody else is not found. */
enum err entity_find_owned(struct entities *es, struct entity_call *c, enum entity_kind kind,
			   const struct entity_owner *owner, struct str text,
			   const struct json **out) MUST_USE;

struct entity_query {
	uint32_t size;
	struct str offset; /* as given out; p NULL = from the start */
	struct str tags;   /* "a,b" or "a/b"; p NULL = all */
	struct entity_owner owner;
};

struct entity_page {
	const struct json **v;
	size_t n;
	struct str offset; /* of the next page; p NULL = this is the last */
};

/* Codes 7, 9 and 11. */
enum err entity_list(struct entities *es, struct entity_call *c, enum entity_kind kind,
		     const struct entity_query *q, struct entity_page *out) MUST_USE;

/* In the order of ids; all within one view when the caller has a transaction. `v` is valid
 * during the callback only. */
typedef enum err entity_each_fn(void *ctx, const struct json *v);
enum err entities_each(struct entities *es, struct entity_call *c, enum entity_kind kind,
		       entity_each_fn *fn, void *ctx) MUST_USE;

struct entity_tag_page {
	const struct json *data; /* array of {tag, entity_name, entity_id} */
	struct str offset;
};
/* `tag` p NULL = all tags. */
enum err entity_tags(struct entities *es, struct entity_call *c, struct str tag,
		     const struct entity_query *q, struct entity_tag_page *out) MUST_USE;

/* ---- writing ---- */

/* Which one, in a path: by id, or by its endpoint key. */
struct entity_target {
	struct str text;
	struct entity_owner owner; /* written into a new one; another's is not found */
};

/* `input` as sent; `*out` complete as stored. */
enum err entity_insert(struct entities *es, struct entity_call *c, enum entity_kind kind,
		       const struct json *input, const struct json **out) MUST_USE;
/* PATCH. Code 6 when there is none. */
enum err entity_update(struct entities *es, struct entity_call *c, enum entity_kind kind,
		       const struct entity_target *which, const struct json *input,
		       const struct json **out) MUST_USE;
/* PUT: replaces, or creates with that id or key. */
enum err entity_upsert(struct entities *es, struct entity_call *c, enum entity_kind kind,
		       const struct entity_target *which, const struct json *input,
		       const struct json **out) MUST_USE;
/* With what goes with it. ERR_NOT_FOUND without call->error when there is none. */
enum err entity_delete(struct entities *es, struct entity_call *c, enum entity_kind kind,
		       const struct entity_target *which) MUST_USE;

/*
 * Several writes in one transaction: `fn` calls the functions above with the same call, and may
 * run more than once. Refused in memory mode by the functions, not here.
 */
typedef enum err entities_write_fn(struct entities *es, struct entity_call *c, void *arg);
enum err entities_write(struct entities *es, struct entity_call *c, entities_write_fn *fn,
			void *arg) MUST_USE;
/*
 * In such a transaction, of one that is updated or deleted later in it: what must be unique is
 * others' to have until then, so that they may swap it. With a database only.
 */
enum err entity_release_keys(struct entity_call *c, enum entity_kind kind,
			     const struct guid *id) MUST_USE;

/* Validates as an insert would, without looking at other entities. */
enum err entity_validate(struct entity_call *c, enum entity_kind kind, const struct json *input,
			 const struct json **out) MUST_USE;
