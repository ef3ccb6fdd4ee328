/*
 * run_guard - ends an owner only between its runs
 *
 * For who sends a job to a worker again and again, one at a time. A run lasts from run_guard_begin
 * to run_guard_end, on the loop and on the worker between; run_guard_close waits for it, and none
 * begins after. Whoever closed may free the owner, so run_guard_end is the last that a run does.
 *
 * Threads  begin, end, is_closing: the loop. Close: any other.
 */
#pragma once
#include "base/attr.h"

#include <pthread.h>
#include <stdbool.h>

struct run_guard {
	pthread_mutex_t mtx;
	pthread_cond_t cond;
	/* guarded by mtx */
	bool running, closing;
};

void run_guard_init(struct run_guard *g);
void run_guard_fini(struct run_guard *g);
/* False when it is being closed: close waits only for runs that it has seen. */
bool run_guard_begin(struct run_guard *g) MUST_USE;
void run_guard_end(struct run_guard *g);
bool run_guard_is_closing(struct run_guard *g);
void run_guard_close(struct run_guard *g);
