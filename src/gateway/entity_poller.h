/*
 * entity_poller - lets the repository learn what other processes wrote, and do its chores
 *
 * Threads  start, stop: the main thread, while loop and pool run. `tick`: a worker.
 */
#pragma once
#include "gateway/entities.h"
#include "loop/job.h"

struct entity_poller;

struct entity_poller_deps {
	struct loop *loop; /* of the timer */
	struct pool *pool; /* its workers' value is a struct db * */
	struct entities *entities;
	/* After each poll; may be NULL. For admin_tick. */
	void (*tick)(void *arg);
	void *arg;
	uint32_t interval_ms; /* 0 = 1 s */
};

/* The first poll is due at once: it tells everything when entities_load has not. */
struct entity_poller *entity_poller_start(const struct entity_poller_deps *deps);
/* Waits for a poll that is under way. NULL-safe, sets *p to NULL. */
void entity_poller_stop(struct entity_poller **p);
