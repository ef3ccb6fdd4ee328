/*
 * upkeep - the chores of a server: saying that it lives, burying the dead, deleting the old
 *
 * Threads  upkeep_new, upkeep_stop: the main thread, while loop and pool run.
 */
#pragma once
#include "base/guid.h"
#include "blob/blob.h"
#include "loop/job.h"

struct upkeep;

struct upkeep_deps {
	struct loop *loop;	   /* of the timers */
	struct pool *pool;	   /* its workers' value is a struct db * */
	struct blob_store *bodies; /* swept; may be NULL */
	struct guid origin;	   /* of this run of the process */
	int64_t origin_last_seen_ms;
	int64_t connection_last_seen_ms; /* as relay_deps.connection_seen_ms */
	int64_t maintenance_interval_ms;
	int64_t entry_max_age_ms;
	int64_t request_log_max_age_ms; /* 0 = for ever */
	bool connection_cleanup;
	int64_t body_max_age_ms; /* see upkeep_set_body_max_age */
};

/* The first runs are due at once. */
struct upkeep *upkeep_new(const struct upkeep_deps *deps);
/*
 * A stored body older than this was left behind by a server that died. The age must be more than a
 * request of any server with the same store needs it. Any thread.
 */
void upkeep_set_body_max_age(struct upkeep *u, int64_t ms);
/*
 * After the relay was stopped. Waits for what runs, and records the end of this server.
 * NULL-safe, sets *u to NULL.
 */
void upkeep_stop(struct upkeep **u);
