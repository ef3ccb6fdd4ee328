#include "relay/upkeep.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/periodic.h"
#include "relay/origin_store.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
	/* A server that missed so many of its own reports is dead, a connection lost. */
	LEASE_REPORTS = 4,
	CHORE_TIMEOUT_MS = 60000,
	FAREWELL_TIMEOUT_MS = 5000,
};

struct upkeep {
	struct upkeep_deps deps;
	struct origin_upkeep origins;
	struct periodic *report, *maintain;
	struct job farewell;
	_Atomic int64_t body_max_age_ms;
	/* guarded by mtx */
	pthread_mutex_t mtx;
	pthread_cond_t cond;
	bool said_farewell;
};

/* ---- chores, on workers ---- */

typedef enum err chore_fn(struct upkeep *u, struct db *db);

static void run_chore(struct upkeep *u, struct db *db, const char *what, chore_fn *fn,
		      uint64_t timeout_ms)
{
	struct fault f = {0};
	struct arena a;

	if (!db) {
		return;
	}
	arena_init(&a, 0);
	db_begin_task(db, &(struct db_task){.arena = &a,
					    .deadline_mono_ms = clock_mono_ms() + timeout_ms,
					    .fault = &f});
	if (fn(u, db) != ERR_OK) {
		log_warn("statistics", "upkeep failed", LOG_CSTR("chore", what), LOG_FAULT(&f));
	}
	db_end_task(db);
	arena_fini(&a);
}

static enum err report(struct upkeep *u, struct db *db)
{
	int64_t now = clock_wall_ms();

	TRY(origin_seen(db, &u->deps.origin, now));
	return origin_bury(db, &u->origins, now);
}

static enum err maintain(struct upkeep *u, struct db *db)
{
	return origin_maintain(db, &u->origins, clock_wall_ms());
}

static enum err say_farewell(struct upkeep *u, struct db *db)
{
	return origin_stop(db, &u->deps.origin, clock_wall_ms());
}

static void on_report(void *arg, void *worker)
{
	run_chore(arg, worker, "report", report, CHORE_TIMEOUT_MS);
}

static void sweep(struct upkeep *u)
{
	int64_t max = atomic_load(&u->body_max_age_ms);
	size_t removed = 0;

	if (!u->deps.bodies) {
		return;
	}
	if (blob_sweep(u->deps.bodies, max, &removed) != ERR_OK) {
		log_warn("relay", "old bodies could not be removed");
	} else if (removed > 0) {
		log_warn("relay", "bodies were left behind and removed",
			 LOG_INT("bodies", removed));
	}
}

static void on_maintain(void *arg, void *worker)
{
	run_chore(arg, worker, "maintain", maintain, CHORE_TIMEOUT_MS);
	sweep(arg);
}

static void on_farewell(struct job *j, void *worker)
{
	struct upkeep *u = container_of(j, struct upkeep, farewell);

	run_chore(u, worker, "farewell", say_farewell, FAREWELL_TIMEOUT_MS);
}

static void farewell_done(struct job *j)
{
	struct upkeep *u = container_of(j, struct upkeep, farewell);

	(void)pthread_mutex_lock(&u->mtx);
	u->said_farewell = true;
	(void)pthread_cond_signal(&u->cond);
	(void)pthread_mutex_unlock(&u->mtx);
}

/* ---- life ---- */

static struct origin_upkeep policy_of(const struct upkeep_deps *d)
{
	return (struct origin_upkeep){
		.self = d->origin,
		.lease_ms = LEASE_REPORTS * d->origin_last_seen_ms,
		.connection_lease_ms = LEASE_REPORTS * d->connection_last_seen_ms,
		.origin_max_age_ms =
			MAX(d->entry_max_age_ms, LEASE_REPORTS * d->origin_last_seen_ms),
		.connection_max_age_ms = d->connection_cleanup ? d->entry_max_age_ms : 0,
		.request_max_age_ms = d->request_log_max_age_ms,
	};
}

void upkeep_set_body_max_age(struct upkeep *u, int64_t ms)
{
	atomic_store(&u->body_max_age_ms, ms);
}

struct upkeep *upkeep_new(const struct upkeep_deps *deps)
{
	struct upkeep *u = MEM_NEW(struct upkeep);

	u->deps = *deps;
	u->origins = policy_of(deps);
	upkeep_set_body_max_age(u, deps->body_max_age_ms);
	(void)pthread_mutex_init(&u->mtx, NULL);
	(void)pthread_cond_init(&u->cond, NULL);
	u->report = periodic_start(deps->loop, deps->pool, (uint64_t)deps->origin_last_seen_ms,
				   on_report, u);
	u->maintain = periodic_start(deps->loop, deps->pool,
				     (uint64_t)deps->maintenance_interval_ms, on_maintain, u);
	return u;
}

void upkeep_stop(struct upkeep **up)
{
	struct upkeep *u = *up;

	if (!u) {
		return;
	}
	*up = NULL;
	periodic_stop(&u->report);
	periodic_stop(&u->maintain);
	u->farewell = (struct job){.run = on_farewell, .done = farewell_done};
	if (pool_submit(u->deps.pool, &u->farewell) == ERR_OK) {
		(void)pthread_mutex_lock(&u->mtx);
		while (!u->said_farewell) {
			(void)pthread_cond_wait(&u->cond, &u->mtx);
		}
		(void)pthread_mutex_unlock(&u->mtx);
	}
	(void)pthread_mutex_destroy(&u->mtx);
	(void)pthread_cond_destroy(&u->cond);
	mem_free(u);
}
