/*
 * entity_poller - lets the repository learn what other processes wrote, and do its chores
 *
 * A poll is a job for a worker. Where the database can be watched (store/watch.h) it is left out
 * while nothing was committed, and on PostgreSQL a change of another process starts one at once.
 *
 * Threads  start, stop: the main thread, while loop and pool run. `tick`: the loop.
 */
#pragma once
#include "gateway/entities.h"
#include "loop/job.h"

struct entity_poller;

struct entity_poller_deps {
	struct loop *loop; /* of the timer */
	struct pool *pool; /* its workers' value is a struct db * */
	struct entities *entities;
	struct db_pool *database; /* to be watched; NULL: polls go on whatever happens */
	/* Once a second or more often; may be NULL. For admin_tick. */
	void (*tick)(void *arg);
	void *arg;
	uint64_t interval_ms; /* 0 = 1 s */
};

/* The first poll is due at once: it tells everything when entities_load has not. */
struct entity_poller *entity_poller_start(const struct entity_poller_deps *deps);
/* Waits for a poll that is under way. NULL-safe, sets *p to NULL. */
void entity_poller_stop(struct entity_poller **p);
