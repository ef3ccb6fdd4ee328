/*
 * entities_int - what the files of the repository share
 *
 *   entities.c          life, turn, transaction, what was changed
 *   entity_source.c     reading from either back end, as stored
 *   entity_read.c       reading for callers: identifiers, pages, tags
 *   entity_write.c      insert, update, upsert, delete
 *   entity_protocols.c  plugins against their routes
 *   entity_memory.c     the back end without a database
 */
#pragma once
#include "base/map.h"
#include "gateway/entities.h"
#include "gateway/entity_error.h"
#include "gateway/entity_store.h"

#include <pthread.h>

/* The set of memory mode: immutable, counted. */
struct entity_set {
	atomic_uint refs;
	struct entity_item **v[ENTITY_KINDS]; /* in the order of ids */
	size_t n[ENTITY_KINDS];
	struct arena arena;
	struct map by_key[ENTITY_KINDS]; /* field, NUL, value */
};

struct entities {
	bool memory;
	entity_changes_fn *on_changes;
	void *arg;
	atomic_bool is_reachable; /* as of the last poll */
	/* guarded by mtx */
	pthread_mutex_t mtx;
	pthread_cond_t turn_over;
	bool has_turn;
	struct entity_set *set; /* memory mode */
	/* whoever has the turn */
	int64_t seq; /* up to here on_changes was told */
	bool loaded;
};

/* What a transaction has written, to be put into the change sequence at its end. */
struct entity_tx {
	struct guid *ids;
	enum entity_kind *kinds;
	size_t n, cap;
	int64_t now_ms;
};

void entity_tx_changed(struct entity_call *c, enum entity_kind kind, const struct guid *id);

/* ---- as stored: with the end of the `ttl`; expired ones are absent ---- */

enum err entity_source_get(struct entities *es, struct entity_call *c, enum entity_kind kind,
			   const struct guid *id, const struct json **out) MUST_USE;
enum err entity_source_by_key(struct entities *es, struct entity_call *c, enum entity_kind kind,
			      const struct entity_key *key, const struct json **out) MUST_USE;
/* At most r->max, in the order of ids. */
enum err entity_source_page(struct entities *es, struct entity_call *c,
			    const struct entity_range *r, const struct json ***out,
			    size_t *out_n) MUST_USE;
enum err entity_parse(struct arena *a, const struct entity_row *row, const struct json **out,
		      struct fault *f) MUST_USE;

/* An absence that was expected is no fault. */
void entity_forget_fault(struct db *db);

/* For the client: `ttl` counts what is left. */
const struct json *entity_present(struct arena *a, enum entity_kind kind, const struct json *doc,
				  int64_t now_ms);

/* By id or key or, with an owner, by what is unique together with it. As stored. */
enum err entity_locate(struct entities *es, struct entity_call *c, enum entity_kind kind,
		       const struct entity_owner *owner, struct str text,
		       const struct json **out) MUST_USE;
bool entity_text_is_id(struct str text, struct guid *out);
/* Of a plugin that is to be written, complete. */
enum err entity_check_protocols(struct entities *es, struct entity_call *c,
				const struct json *plugin) MUST_USE;

/* ---- the set of memory mode ---- */

struct entity_set *entity_set_new(struct entity_item *const *items, size_t n);
struct entity_set *entity_set_ref(struct entity_set *s);
void entity_set_unref(struct entity_set **s);
/* Held until the arena of the call goes. */
struct entity_set *entities_set(struct entities *es, struct entity_call *c);
struct entity_item *entity_set_item(const struct entity_set *s, enum entity_kind kind,
				    const struct guid *id);
const struct json *entity_set_get(const struct entity_set *s, enum entity_kind kind,
				  const struct guid *id);
const struct json *entity_set_by_key(const struct entity_set *s, enum entity_kind kind,
				     const struct entity_key *key);
size_t entity_set_page(const struct entity_set *s, const struct entity_range *r,
		       const struct json **out);
/* From `from` on, in the order of tag, kind, id; at most `max`. */
size_t entity_set_tags(const struct entity_set *s, const struct entity_tag *from, bool one_tag,
		       struct arena *a, size_t max, struct entity_tag *out);
