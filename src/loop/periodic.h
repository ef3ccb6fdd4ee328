/*
 * periodic - a blocking chore that a worker does again and again
 *
 * The first run is due at once. The interval counts from the end of one run to the
 * start of the next, so runs never overlap. A full pool skips one run.
 *
 * Threads  start, stop: the main thread, while loop and pool run. `fn`: a worker.
 */
#pragma once
#include "loop/job.h"

struct periodic;
typedef void periodic_fn(void *arg, void *worker);

struct periodic *periodic_start(struct loop *l, struct pool *p, uint64_t interval_ms,
				periodic_fn *fn, void *arg);
/* Waits for a run that is under way. NULL-safe, sets *p to NULL. */
void periodic_stop(struct periodic **p);
