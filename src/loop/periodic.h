/*
 * periodic - a blocking chore that a worker does again and again
 *
 * The first run is due at once. The interval counts from the end of one run to the
 * start of the next, so runs never overlap. It counts as a job that writes. A full pool skips one
 * run. A gate may skip it, too, which costs no thread anything but the loop.
 *
 * Threads  start, stop: the main thread, while loop and pool run. `fn`: a worker. Gate and
 *          hurry: the loop.
 */
#pragma once
#include "loop/job.h"

struct periodic;
typedef void periodic_fn(void *arg, void *worker);

/* On the loop, when a run is due: false skips it until the next interval. */
typedef bool periodic_gate_fn(void *arg);

struct periodic *periodic_start(struct loop *l, struct pool *p, uint64_t interval_ms,
				periodic_fn *fn, void *arg);
/* The same, with a gate. */
struct periodic_chore {
	uint64_t interval_ms;
	periodic_gate_fn *gate; /* NULL = always */
	periodic_fn *fn;
	void *arg;
};
struct periodic *periodic_start_chore(struct loop *l, struct pool *p,
				      const struct periodic_chore *chore);
/* On the loop: the next run is due at once, or when the one that is under way ends. */
void periodic_hurry(struct periodic *p);
/* Waits for a run that is under way. NULL-safe, sets *p to NULL. */
void periodic_stop(struct periodic **p);
