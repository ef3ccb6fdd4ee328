#include "store/store_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

enum { DEFAULT_SIZE = 4, RETRY_FIRST_MS = 100, RETRY_MAX_MS = 5000 };
#define DEFAULT_TIMEOUT_MS 5000
#define DEFAULT_STATEMENT_MS 60000

static int64_t or_default(int64_t v, int64_t dflt)
{
	return v > 0 ? v : dflt;
}

static const struct db_engine *engine_of(struct str url)
{
	if (str_starts(url, STR("sqlite:"))) {
		return &sqlite_engine;
	}
	if (str_starts(url, STR("postgres://")) || str_starts(url, STR("postgresql://"))) {
		return &pgsql_engine;
	}
	return NULL;
}

enum err db_url_check(struct str url, struct fault *f)
{
	return engine_of(url) ? ERR_OK
			      : fault_set(f, ERR_INVALID,
					  "database: expected sqlite:PATH or postgres://HOST/NAME");
}

static void sync_init(struct db_pool *pool)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&pool->mtx, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->freed, &attr);
	pthread_condattr_destroy(&attr);
}

static void pool_free(struct db_pool *pool)
{
	pthread_cond_destroy(&pool->freed);
	pthread_mutex_destroy(&pool->mtx);
	mem_free(pool->idle);
	mem_free(pool);
}

enum err db_pool_open(const struct db_config *config, struct db_pool **out, struct fault *f)
{
	const struct db_engine *engine = engine_of(config->url);

	TRY(db_url_check(config->url, f));
	struct db_pool *pool = MEM_NEW(struct db_pool);
	pool->engine = engine;
	pool->size = config->size ? config->size : DEFAULT_SIZE;
	pool->connect_timeout_ms = or_default(config->connect_timeout_ms, DEFAULT_TIMEOUT_MS);
	pool->busy_timeout_ms = or_default(config->busy_timeout_ms, DEFAULT_TIMEOUT_MS);
	pool->statement_max_ms = or_default(config->statement_max_ms, DEFAULT_STATEMENT_MS);
	pool->sync = config->sync;
	pool->idle = MEM_NEW_ARRAY(struct db *, pool->size);
	sync_init(pool);
	enum err e = engine->open(pool, config, f);
	if (e != ERR_OK) {
		pool_free(pool);
		return e;
	}
	*out = pool;
	return ERR_OK;
}

void db_pool_close(struct db_pool **ref)
{
	struct db_pool *pool = *ref;

	if (!pool) {
		return;
	}
	*ref = NULL;
	ASSERT(pool->n_idle == pool->n_sessions);
	for (unsigned i = 0; i < pool->n_idle; i++) {
		struct db *db = pool->idle[i];

		if (db->conn) {
			pool->engine->disconnect(db);
		}
		mem_free(db);
	}
	pool->engine->close(pool);
	pool_free(pool);
}

const char *db_pool_engine(const struct db_pool *pool)
{
	return pool->engine->name;
}

struct timespec db_mono_after(int64_t ms)
{
	uint64_t ns = clock_mono_ns() + (uint64_t)ms * 1000000;

	return (struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
}

/* NULL when all stayed in use until `until`. Called with the mutex held. */
static struct db *take_session(struct db_pool *pool, const struct timespec *until)
{
	for (;;) {
		if (pool->n_idle) {
			return pool->idle[--pool->n_idle];
		}
		if (pool->n_sessions < pool->size) {
			struct db *db = MEM_NEW(struct db);
			db->pool = pool;
			pool->n_sessions++;
			return db;
		}
		if (pthread_cond_timedwait(&pool->freed, &pool->mtx, until)) {
			return NULL;
		}
	}
}

enum err db_get(struct db_pool *pool, int64_t wait_ms, struct db **out, struct fault *f)
{
	struct timespec until = db_mono_after(wait_ms);

	pthread_mutex_lock(&pool->mtx);
	struct db *db = take_session(pool, &until);
	pthread_mutex_unlock(&pool->mtx);
	if (!db) {
		return fault_set(f, ERR_UNAVAILABLE, "database: all %u sessions are in use",
				 pool->size);
	}
	*out = db;
	return ERR_OK;
}

void db_put(struct db **ref)
{
	struct db *db = *ref;

	if (!db) {
		return;
	}
	*ref = NULL;
	db_end_task(db);
	struct db_pool *pool = db->pool;
	pthread_mutex_lock(&pool->mtx);
	pool->idle[pool->n_idle++] = db;
	pthread_cond_signal(&pool->freed);
	pthread_mutex_unlock(&pool->mtx);
}

void db_fail_after(struct db_pool *pool, unsigned n)
{
	atomic_store(&pool->fail_after, n);
}

/*
 * An outage: after a failed attempt nobody tries again before a pause that doubles, so that a
 * server that comes back is not met by every worker at once and callers fail fast meanwhile.
 * Attempts at a server that hangs fail long after they began: what another one told since
 * they began counts, not they.
 */
enum err db_outage_gate(struct db_pool *pool, struct fault *f)
{
	enum err e = ERR_OK;

	pthread_mutex_lock(&pool->mtx);
	if (pool->retry_at_ms && clock_mono_ms() < pool->retry_at_ms) {
		e = fault_set(f, ERR_UNAVAILABLE, "%s", pool->outage.text);
	}
	pthread_mutex_unlock(&pool->mtx);
	return e;
}

void db_outage_note(struct db_pool *pool, uint64_t begun_ms, enum err e, const struct fault *f)
{
	pthread_mutex_lock(&pool->mtx);
	bool was_out = pool->retry_at_ms != 0;
	bool is_stale = begun_ms < pool->told_at_ms;
	if (e == ERR_OK) {
		pool->retry_at_ms = 0;
		pool->retry_wait_ms = 0;
		pool->told_at_ms = clock_mono_ms();
	} else if (!is_stale) {
		int64_t wait = MIN(MAX(pool->retry_wait_ms * 2, RETRY_FIRST_MS), RETRY_MAX_MS);

		pool->retry_wait_ms = wait;
		pool->told_at_ms = clock_mono_ms();
		pool->retry_at_ms =
			pool->told_at_ms + (uint64_t)wait / 2 + rand_below((uint32_t)wait / 2 + 1);
		pool->outage = *f;
	}
	pthread_mutex_unlock(&pool->mtx);
	if (was_out && e == ERR_OK) {
		log_info("store", "database is back");
	} else if (!was_out && e != ERR_OK && !is_stale) {
		log_warn("store", "database is unavailable", LOG_FAULT(f));
	}
}
