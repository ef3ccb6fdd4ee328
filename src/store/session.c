#include "store/store_int.h"

#include "base/clock.h"
#include "base/rand.h"
#include "loop/loop.h"

#include <time.h>

enum { RETRY_TRIES = 5, RETRY_PAUSE_MS = 4, FINISH_MAX_MS = 10000 };

/* ---- task ---- */

void db_begin_task(struct db *db, const struct db_task *task)
{
	ASSERT(!db->in_task);
	db->task = *task;
	db->in_task = true;
	db->transient = false;
	db->changed = 0;
}

void db_end_task(struct db *db)
{
	if (!db->in_task) {
		return;
	}
	tx_abort(db);
	db->task = (struct db_task){0};
	db->in_task = false;
}

struct arena *db_arena(const struct db *db)
{
	return db->task.arena;
}

struct fault *db_fault(const struct db *db)
{
	return db->task.fault;
}

bool db_is_transient(const struct db *db)
{
	return db->transient;
}

int64_t db_changed(const struct db *db)
{
	return db->changed;
}

enum err db_fail(struct db *db, enum err e, const struct stmt *st, const char *text)
{
	return fault_set(db->task.fault, e, "database: %s%s%s", st ? st->name : "", st ? ": " : "",
			 text);
}

/* ---- one call ---- */

enum err db_should_stop(const struct db *db)
{
	if (!db->must_finish && db->task.canceled && atomic_load(db->task.canceled)) {
		return ERR_CANCELED;
	}
	return clock_mono_ms() >= db->deadline_ms ? ERR_TIMEOUT : ERR_OK;
}

int64_t db_left_ms(const struct db *db)
{
	uint64_t now = clock_mono_ms();

	return now >= db->deadline_ms ? 0 : (int64_t)MIN(db->deadline_ms - now, INT64_MAX);
}

static void set_deadline(struct db *db)
{
	uint64_t now = clock_mono_ms();

	if (db->must_finish) {
		db->deadline_ms = now + FINISH_MAX_MS;
		return;
	}
	db->deadline_ms = db->patient ? UINT64_MAX : now + (uint64_t)db->pool->statement_max_ms;
	if (db->task.deadline_mono_ms) {
		db->deadline_ms = MIN(db->deadline_ms, db->task.deadline_mono_ms);
	}
}

static bool is_injected(struct db_pool *pool)
{
	unsigned n = atomic_load(&pool->fail_after);

	while (n) {
		if (atomic_compare_exchange_weak(&pool->fail_after, &n, n - 1)) {
			return n == 1;
		}
	}
	return false;
}

static enum err connect_anew(struct db *db)
{
	struct db_pool *pool = db->pool;
	struct fault *task_fault = db->task.fault;
	uint64_t begun_ms = clock_mono_ms();
	struct fault f = {0};

	TRY(db_outage_gate(pool, task_fault));
	db->task.fault = &f;
	enum err e = pool->engine->connect(db);
	db->task.fault = task_fault;
	if (e == ERR_OK || e == ERR_UNAVAILABLE) {
		db_outage_note(pool, begun_ms, e, &f);
	}
	return e == ERR_OK ? ERR_OK : fault_set(task_fault, e, "%s", f.text);
}

static enum err ensure_connected(struct db *db)
{
	const struct db_engine *engine = db->pool->engine;

	if (db->conn && db->tx == TX_NONE && !engine->is_alive(db)) {
		engine->disconnect(db);
	}
	return db->conn ? ERR_OK : connect_anew(db);
}

enum err db_call_begin(struct db *db)
{
	ASSERT(!loop_current());
	ASSERT(db->in_task);
	ASSERT(!db->in_rows);
	db->transient = false;
	set_deadline(db);
	if (db->tx != TX_NONE && db->tx_err != ERR_OK) {
		return db_fail(db, db->tx_err, NULL, "the transaction has failed before");
	}
	enum err e = db_should_stop(db);
	if (e != ERR_OK) {
		return db_fail(db, e, NULL, e == ERR_TIMEOUT ? "out of time" : "canceled");
	}
	if (is_injected(db->pool)) {
		return db_fail(db, ERR_UNAVAILABLE, NULL, "injected failure");
	}
	return ensure_connected(db);
}

enum err db_call_end(struct db *db, enum err e)
{
	if (e != ERR_OK && db->tx != TX_NONE && db->tx_err == ERR_OK) {
		db->tx_err = e;
	}
	return e;
}

static void check_args(const struct stmt *st, struct db_args args)
{
	const char *params = stmt_params(st);

	ASSERT(args.n == strlen(params));
	for (size_t i = 0; i < args.n; i++) {
		char want = ascii_lower(params[i]);

		ASSERT(args.v[i].type == want || (args.v[i].type == 0 && want != params[i]));
	}
}

enum err db_run(struct db *db, const struct stmt *st, struct db_args args, struct db_sink *sink)
{
	check_args(st, args);
	db->changed = 0;
	enum err e = db_call_begin(db);
	if (e == ERR_OK) {
		e = db->pool->engine->run(db, st, args, sink);
	}
	if (e == ERR_OK && sink->err != ERR_OK) {
		return sink->err; /* the caller's, the transaction is well */
	}
	return db_call_end(db, e);
}

enum err db_script(struct db *db, const char *sql)
{
	enum err e = db_call_begin(db);

	if (e == ERR_OK) {
		e = db->pool->engine->script(db, sql);
	}
	return db_call_end(db, e);
}

/* PostgreSQL does not mind an argument that the text never mentions; we do. */
static bool mentions(const char *sql, size_t number)
{
	for (const char *p = strchr(sql, '$'); p; p = strchr(p + 1, '$')) {
		size_t n = strspn(p + 1, "0123456789");
		uint64_t v = 0;

		if (str_to_u64(str_of(p + 1, n), &v) && v == number) {
			return true;
		}
	}
	return false;
}

static enum err check_one(struct db *db, const struct stmt *st)
{
	const struct db_engine *engine = db->pool->engine;

	for (size_t i = 1; i <= strlen(stmt_params(st)); i++) {
		if (!mentions(stmt_sql(st, engine), i)) {
			return db_fail(db, ERR_INTERNAL, st, "an argument has no placeholder");
		}
	}
	return engine->check(db, st);
}

enum err db_check(struct db *db, const struct stmt_table *table)
{
	for (size_t i = 0; i < table->n; i++) {
		enum err e = db_call_begin(db);

		if (e == ERR_OK) {
			e = check_one(db, &table->stmts[i]);
		}
		TRY(db_call_end(db, e));
	}
	return ERR_OK;
}

enum err db_ping(struct db *db)
{
	return db_script(db, "SELECT 1");
}

/* ---- transactions ---- */

enum err db_tx_begin_kind(struct db *db, enum tx_kind kind)
{
	ASSERT(db->tx == TX_NONE);
	TRY(db_call_begin(db));
	TRY(db->pool->engine->begin(db, kind));
	db->tx = kind;
	db->tx_err = ERR_OK;
	return ERR_OK;
}

enum err tx_begin(struct db *db)
{
	return db_tx_begin_kind(db, TX_WRITE);
}

enum err tx_begin_read(struct db *db)
{
	return db_tx_begin_kind(db, TX_READ);
}

static void roll_back(struct db *db)
{
	bool transient = db->transient;

	db->must_finish = true;
	set_deadline(db);
	db->pool->engine->rollback(db);
	db->must_finish = false;
	db->tx = TX_NONE;
	db->transient = transient;
}

void tx_abort(struct db *db)
{
	if (db->tx != TX_NONE) {
		roll_back(db);
	}
}

enum err tx_commit(struct db *db)
{
	ASSERT(db->tx != TX_NONE);
	enum err e = db_call_begin(db);
	if (e == ERR_OK) {
		db->must_finish = true;
		set_deadline(db);
		e = db->pool->engine->commit(db);
		db->must_finish = false;
	}
	if (e != ERR_OK) {
		roll_back(db);
	}
	db->tx = TX_NONE;
	return e;
}

static enum err try_once(struct db *db, db_tx_fn *fn, void *ctx)
{
	TRY(tx_begin(db));
	enum err e = fn(db, ctx);
	if (e != ERR_OK) {
		bool transient = db->transient;

		tx_abort(db);
		db->transient = transient;
		return e;
	}
	return tx_commit(db);
}

static void pause_before(unsigned attempt)
{
	unsigned ms = (unsigned)RETRY_PAUSE_MS << attempt;
	struct timespec ts = {.tv_nsec = (ms / 2 + rand_below(ms)) * 1000000L};

	nanosleep(&ts, NULL);
}

enum err db_retry(struct db *db, db_tx_fn *fn, void *ctx)
{
	struct fault none = {0};
	struct fault *f = db->task.fault;
	struct fault before = f ? *f : none;

	for (unsigned i = 0;; i++) {
		enum err e = try_once(db, fn, ctx);

		if (e == ERR_OK || !db->transient || i + 1 == RETRY_TRIES) {
			return e;
		}
		if (f) {
			*f = before;
		}
		pause_before(i);
	}
}
