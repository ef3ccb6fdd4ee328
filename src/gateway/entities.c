/*
 * The life of the repository: who may write, what a transaction changed, and who is told.
 *
 * A write
 *   takes the turn of this process,
 *   runs its transaction, which ends with the numbers of what it changed,
 *   reads behind the last number it told (its own changes and those of other processes),
 *   tells on_changes, and gives the turn on.
 *
 * So our own changes reach the data plane the same way as those of others, in one order. If
 * reading back fails, the write stands nevertheless; the next poll tells it.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/entities_int.h"

#include <time.h>

enum {
	TURN_WAIT_MS = 20000,
	CHANGES_MAX = 100000, /* at once; beyond, everything is read anew */
	CHANGES_KEPT_MS = 600000,
	EXPIRED_MAX = 1000,
};

/* ---- turn ---- */

static struct timespec mono_after(int64_t ms)
{
	uint64_t ns = clock_mono_ns() + (uint64_t)ms * 1000000;

	return (struct timespec){.tv_sec = (time_t)(ns / 1000000000),
				 .tv_nsec = (long)(ns % 1000000000)};
}

static enum err turn_begin(struct entities *es, struct fault *f)
{
	struct timespec until = mono_after(TURN_WAIT_MS);
	int late = 0;

	(void)pthread_mutex_lock(&es->mtx);
	while (es->has_turn && !late) {
		late = pthread_cond_timedwait(&es->turn_over, &es->mtx, &until);
	}
	bool mine = !es->has_turn;
	es->has_turn = true;
	(void)pthread_mutex_unlock(&es->mtx);
	return mine ? ERR_OK
		    : fault_set(f, ERR_UNAVAILABLE, "another change of the gateway takes too long");
}

static void turn_end(struct entities *es)
{
	(void)pthread_mutex_lock(&es->mtx);
	es->has_turn = false;
	(void)pthread_cond_signal(&es->turn_over);
	(void)pthread_mutex_unlock(&es->mtx);
}

/* ---- telling ---- */

struct news {
	struct arena *arena;
	struct entity_change *v;
	size_t n, cap;
};

static void news_put(struct news *w, const struct entity_change *c)
{
	if (w->n == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 16;
		struct entity_change *v = ARENA_NEW_ARRAY(w->arena, struct entity_change, cap);

		if (w->n > 0) {
			memcpy(v, w->v, w->n * sizeof(*v));
		}
		w->v = v;
		w->cap = cap;
	}
	w->v[w->n++] = *c;
}

static void news_free(struct news *w)
{
	for (size_t i = 0; i < w->n; i++) {
		if (w->v[i].item) {
			entity_item_unref(&w->v[i].item);
		}
	}
	w->n = 0;
}

static void tell(struct entities *es, struct news *w, bool all)
{
	if (es->on_changes && (w->n > 0 || all)) {
		es->on_changes(es->arg, w->v, w->n, all);
	}
	news_free(w);
}

static struct entity_item *item_of(struct arena *scratch, enum entity_kind kind,
				   const struct entity_row *row, struct fault *f)
{
	const struct json *doc;

	if (entity_parse(scratch, row, &doc, f) != ERR_OK) {
		return NULL;
	}
	return entity_item_new(kind, &row->id, doc);
}

struct loading {
	struct news *news;
	enum entity_kind kind;
	struct fault *fault;
};

static enum err on_loaded(void *row, void *ctx)
{
	const struct entity_row *r = row;
	struct loading *l = ctx;
	struct entity_change c = {.kind = l->kind, .id = r->id};
	struct arena scratch;

	arena_init(&scratch, 0);
	c.item = item_of(&scratch, l->kind, r, l->fault);
	arena_fini(&scratch);
	if (!c.item) {
		return ERR_INTERNAL;
	}
	news_put(l->news, &c);
	return ERR_OK;
}

static enum err read_everything(struct db *db, struct news *w, int64_t *out_seq)
{
	int64_t first, now = clock_wall_ms();

	TRY(entity_store_span(db, &first, out_seq));
	for (int kind = 0; kind < ENTITY_KINDS; kind++) {
		struct loading l = {w, (enum entity_kind)kind, db_fault(db)};

		TRY(entity_store_each(db, l.kind, now, on_loaded, &l));
	}
	return ERR_OK;
}

/* One change for each entity, whatever happened to it in between. */
static enum err read_one(struct db *db, struct news *w, struct map *seen,
			 const struct entity_changed *row, int64_t now_ms)
{
	const struct entity_def *def = entity_def_by_collection(row->kind);
	struct entity_change c = {.id = row->id};
	struct entity_row stored;
	char *key;

	if (!def) { /* of a newer version of this program */
		return ERR_OK;
	}
	c.kind = def->kind;
	key = arena_alloc(w->arena, sizeof(row->id.b) + 1);
	memcpy(key, row->id.b, sizeof(row->id.b));
	key[sizeof(row->id.b)] = (char)def->kind;
	if (map_set(seen, str_of(key, sizeof(row->id.b) + 1), key)) {
		return ERR_OK;
	}
	enum err e = entity_store_get(db, c.kind, &c.id, now_ms, &stored);
	if (e == ERR_OK) {
		c.item = item_of(w->arena, c.kind, &stored, db_fault(db));
		e = c.item ? ERR_OK : ERR_INTERNAL;
	} else if (e == ERR_NOT_FOUND) {
		entity_forget_fault(db);
		e = ERR_OK;
	}
	if (e == ERR_OK) {
		news_put(w, &c);
	}
	return e;
}

static enum err read_changes(struct entities *es, struct db *db, struct news *w, int64_t *seq,
			     bool *all)
{
	int64_t first, last, now = clock_wall_ms();
	struct db_rows rows;
	struct map seen = {0};
	enum err e = ERR_OK;

	TRY(entity_store_span(db, &first, &last));
	*all = !es->loaded || last < es->seq || (last > es->seq && first > es->seq + 1) ||
	       last - es->seq > CHANGES_MAX;
	if (*all) {
		return read_everything(db, w, seq);
	}
	*seq = es->seq;
	if (last == es->seq) {
		return ERR_OK;
	}
	TRY(entity_store_changes(db, es->seq, CHANGES_MAX, &rows));
	for (size_t i = 0; e == ERR_OK && i < rows.n; i++) {
		const struct entity_changed *row = (const struct entity_changed *)rows.v + i;

		e = read_one(db, w, &seen, row, now);
		*seq = row->seq;
	}
	map_free(&seen);
	return e;
}

/* With the turn. */
static enum err catch_up(struct entities *es, struct db *db)
{
	struct news w = {.arena = db_arena(db)};
	int64_t seq = 0;
	bool all = false;

	TRY(tx_begin_read(db));
	enum err e = read_changes(es, db, &w, &seq, &all);
	if (e == ERR_OK) {
		e = tx_commit(db);
	} else {
		tx_abort(db);
	}
	if (e != ERR_OK) {
		news_free(&w);
		return e;
	}
	es->seq = seq;
	es->loaded = true;
	tell(es, &w, all);
	return ERR_OK;
}

enum err entities_poll(struct entities *es, struct db *db)
{
	ASSERT(!es->memory);
	TRY(turn_begin(es, db_fault(db)));
	enum err e = catch_up(es, db);
	turn_end(es);
	atomic_store(&es->is_reachable, e != ERR_UNAVAILABLE && e != ERR_TIMEOUT);
	return e;
}

bool entities_is_reachable(const struct entities *es)
{
	return atomic_load(&es->is_reachable);
}

enum err entities_load(struct entities *es, struct db *db)
{
	return entities_poll(es, db);
}

/* ---- writing ---- */

void entity_tx_changed(struct entity_call *c, enum entity_kind kind, const struct guid *id)
{
	struct entity_tx *tx = c->write;

	ASSERT(tx);
	if (tx->n == tx->cap) {
		size_t cap = tx->cap ? tx->cap * 2 : 8;
		struct guid *ids = ARENA_NEW_ARRAY(c->arena, struct guid, cap);
		enum entity_kind *kinds = ARENA_NEW_ARRAY(c->arena, enum entity_kind, cap);

		if (tx->n > 0) {
			memcpy(ids, tx->ids, tx->n * sizeof(*ids));
			memcpy(kinds, tx->kinds, tx->n * sizeof(*kinds));
		}
		tx->ids = ids;
		tx->kinds = kinds;
		tx->cap = cap;
	}
	tx->ids[tx->n] = *id;
	tx->kinds[tx->n++] = kind;
}

struct write {
	struct entities *es;
	struct entity_call *call;
	entities_write_fn *fn;
	void *arg;
};

static enum err run_write(struct db *db, void *arg)
{
	struct write *w = arg;
	struct entity_tx tx = {.now_ms = clock_wall_ms()};
	enum err e;

	entity_error_clear(w->call);
	w->call->write = &tx;
	e = w->fn(w->es, w->call, w->arg);
	for (size_t i = 0; e == ERR_OK && i < tx.n; i++) {
		e = entity_store_put_change(db, tx.kinds[i], &tx.ids[i], tx.now_ms);
	}
	w->call->write = NULL;
	return e;
}

enum err entities_write(struct entities *es, struct entity_call *c, entities_write_fn *fn,
			void *arg)
{
	struct write w = {es, c, fn, arg};

	if (es->memory || c->write) {
		return fn(es, c, arg);
	}
	TRY(turn_begin(es, db_fault(c->db)));
	enum err e = db_retry(c->db, run_write, &w);
	if (e == ERR_OK && catch_up(es, c->db) != ERR_OK) {
		struct fault *f = db_fault(c->db);

		log_warn("gateway", "a change will be used late",
			 LOG_STR("error", f ? str_c(f->text) : STR("")));
	}
	turn_end(es);
	return e;
}

/* ---- upkeep ---- */

static enum err remove_expired(struct entities *es, struct entity_call *c, void *arg)
{
	struct db_rows rows;
	size_t *removed = arg;

	*removed = 0;
	TRY(entity_store_expired(c->db, clock_wall_ms(), EXPIRED_MAX, &rows));
	(void)es;
	for (size_t i = 0; i < rows.n; i++) {
		const struct entity_expired *row = (const struct entity_expired *)rows.v + i;
		const struct entity_def *def = entity_def_by_collection(row->kind);

		if (def) {
			TRY(entity_store_remove(c->db, def->kind, &row->id));
			entity_tx_changed(c, def->kind, &row->id);
			++*removed;
		}
	}
	return ERR_OK;
}

enum err entities_upkeep(struct entities *es, struct db *db)
{
	struct entity_call c = {.arena = db_arena(db), .db = db};
	struct db_rows rows;
	size_t removed = 0;

	TRY(entity_store_trim(db, clock_wall_ms() - CHANGES_KEPT_MS));
	TRY(entity_store_expired(db, clock_wall_ms(), 1, &rows));
	return rows.n > 0 ? entities_write(es, &c, remove_expired, &removed) : ERR_OK;
}

/* ---- memory mode ---- */

/* Both are in the order of ids. */
static void put_difference(struct news *w, enum entity_kind kind, const struct entity_set *old,
			   const struct entity_set *set)
{
	size_t i = 0, k = 0;

	while (i < old->n[kind] || k < set->n[kind]) {
		const struct entity_item *was = i < old->n[kind] ? old->v[kind][i] : NULL;
		struct entity_item *now = k < set->n[kind] ? set->v[kind][k] : NULL;
		int order = !was ? 1 : !now ? -1 : memcmp(&was->id, &now->id, sizeof(now->id));

		if (order < 0) {
			news_put(w, &(struct entity_change){kind, was->id, NULL});
		} else if (was != now) {
			news_put(w, &(struct entity_change){kind, now->id, entity_item_ref(now)});
		}
		i += order <= 0;
		k += order >= 0;
	}
}

/* With the turn. */
static void tell_difference(struct entities *es, const struct entity_set *old,
			    const struct entity_set *set)
{
	struct arena a;
	struct news w = {.arena = &a};

	arena_init(&a, 0);
	for (int kind = 0; kind < ENTITY_KINDS; kind++) {
		put_difference(&w, (enum entity_kind)kind, old, set);
	}
	tell(es, &w, !es->loaded);
	es->loaded = true;
	arena_fini(&a);
}

void entities_replace(struct entities *es, struct entity_item *const *items, size_t n)
{
	struct entity_set *set = entity_set_new(items, n), *old;

	ASSERT(es->memory);
	while (turn_begin(es, NULL) != ERR_OK) {
		log_warn("gateway", "still waiting to replace the configuration");
	}
	(void)pthread_mutex_lock(&es->mtx);
	old = es->set;
	es->set = entity_set_ref(set);
	(void)pthread_mutex_unlock(&es->mtx);
	tell_difference(es, old, set);
	turn_end(es);
	entity_set_unref(&old);
	entity_set_unref(&set);
}

struct entity_item *entities_item(struct entities *es, enum entity_kind kind, const struct guid *id)
{
	struct entity_item *item;

	ASSERT(es->memory);
	(void)pthread_mutex_lock(&es->mtx);
	item = entity_set_item(es->set, kind, id);
	item = item ? entity_item_ref(item) : NULL;
	(void)pthread_mutex_unlock(&es->mtx);
	return item;
}

static void drop_set(void *obj)
{
	struct entity_set *s = obj;

	entity_set_unref(&s);
}

struct entity_set *entities_set(struct entities *es, struct entity_call *c)
{
	struct entity_set *s;

	(void)pthread_mutex_lock(&es->mtx);
	s = entity_set_ref(es->set);
	(void)pthread_mutex_unlock(&es->mtx);
	arena_defer(c->arena, drop_set, s);
	return s;
}

/* ---- life ---- */

struct entities *entities_new(const struct entities_config *config)
{
	struct entities *es = MEM_NEW(struct entities);
	pthread_condattr_t attr;

	es->memory = config->memory;
	es->on_changes = config->on_changes;
	es->arg = config->arg;
	atomic_init(&es->is_reachable, config->memory);
	(void)pthread_mutex_init(&es->mtx, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&es->turn_over, &attr);
	(void)pthread_condattr_destroy(&attr);
	if (es->memory) {
		es->set = entity_set_new(NULL, 0);
	}
	return es;
}

void entities_free(struct entities **esp)
{
	struct entities *es = *esp;

	*esp = NULL;
	if (!es) {
		return;
	}
	entity_set_unref(&es->set);
	(void)pthread_cond_destroy(&es->turn_over);
	(void)pthread_mutex_destroy(&es->mtx);
	mem_free(es);
}

bool entities_is_memory(const struct entities *es)
{
	return es->memory;
}
