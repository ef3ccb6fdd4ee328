/*
 * job - bounded pools of worker threads for what may block
 *
 * A loop submits a job; a worker runs it; the finished job comes back to its
 * loop's inbox. The job owns all it needs: a worker never sees a connection or a
 * loop, and the loop finds its object by id, since it may have gone meanwhile.
 *
 * Jobs that write may have to wait for each other, so half of the threads at most run some: the
 * others are there for those that wait for nobody. Those that write begin in the order of arrival.
 *
 * Threads  pool_submit: the job's home loop, or any thread when home is NULL
 *          (then `done` runs on the worker).
 * Failure  a full queue refuses with ERR_UNAVAILABLE: answer 503.
 */
#pragma once
#include "loop/loop.h"

struct pool;
struct job;

typedef void job_fn(struct job *j, void *worker); /* on a worker; `worker` from pool_ops.init */

struct job {
	struct msg msg;	       /* private: the way home */
	struct list_node node; /* private: the queue */
	job_fn *run;
	void (*done)(struct job *j); /* on the home loop, or after drop; owns and frees the job */
	struct loop *home;
	atomic_bool canceled; /* set by the loop; the worker may look */
	bool writes;	      /* may wait for others that write */
	uint64_t deadline_ms; /* monotonic; 0 = none. Late jobs are not run: done with expired */
	bool expired;	      /* out */
};

struct pool_ops {
	void *(*init)(void *arg); /* on each worker thread at its start, e.g. a database session */
	void (*fini)(void *worker);
	void *arg;
};

/* `ops` may be NULL. */
struct pool *pool_new(const char *name, unsigned threads, unsigned queue_max,
		      const struct pool_ops *ops);
/* Runs what is queued, then joins. */
void pool_free(struct pool **p);
enum err pool_submit(struct pool *p, struct job *j) MUST_USE;

struct pool_stats {
	unsigned threads, busy, queued, queue_max;
	uint64_t done, refused;
};
void pool_stats(struct pool *p, struct pool_stats *out);
