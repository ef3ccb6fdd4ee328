#include "loop/periodic.h"

#include "base/mem.h"

#include <pthread.h>

struct periodic {
	/* constant */
	struct loop *loop;
	struct pool *pool;
	struct periodic_chore chore;
	/* the loop's, and the worker's while it runs */
	struct timer timer;
	struct job job;
	bool under_way;
	bool hurry; /* again after this run, without asking the gate */
	/* guarded by mtx */
	pthread_mutex_t mtx;
	pthread_cond_t cond;
	bool running, stopping;
};

static void on_due(struct timer *t);

static void end_run(struct periodic *p)
{
	(void)pthread_mutex_lock(&p->mtx);
	p->running = false;
	(void)pthread_cond_broadcast(&p->cond);
	(void)pthread_mutex_unlock(&p->mtx);
}

/* False when it is being stopped: periodic_stop waits only for runs that it has seen. */
static bool begin_run(struct periodic *p)
{
	bool may;

	(void)pthread_mutex_lock(&p->mtx);
	may = !p->stopping;
	p->running = may;
	(void)pthread_mutex_unlock(&p->mtx);
	return may;
}

static bool is_stopping(struct periodic *p)
{
	bool stopping;

	(void)pthread_mutex_lock(&p->mtx);
	stopping = p->stopping;
	(void)pthread_mutex_unlock(&p->mtx);
	return stopping;
}

static void run(struct job *j, void *worker)
{
	struct periodic *p = container_of(j, struct periodic, job);

	p->chore.fn(p->chore.arg, worker);
}

static void done(struct job *j)
{
	struct periodic *p = container_of(j, struct periodic, job);

	p->under_way = false;
	if (!is_stopping(p)) {
		timer_start(p->loop, &p->timer, p->hurry ? 0 : p->chore.interval_ms, on_due);
	}
	end_run(p); /* last: periodic_stop may free now */
}

static void on_due(struct timer *t)
{
	struct periodic *p = container_of(t, struct periodic, timer);

	if (!p->hurry && p->chore.gate && !p->chore.gate(p->chore.arg)) {
		timer_start(p->loop, &p->timer, p->chore.interval_ms, on_due);
		return;
	}
	if (!begin_run(p)) {
		return;
	}
	p->hurry = false;
	p->job = (struct job){.run = run, .done = done, .home = p->loop};
	p->under_way = true;
	if (pool_submit(p->pool, &p->job) != ERR_OK) {
		done(&p->job);
	}
}

static void start_on_loop(struct loop *l, void *arg)
{
	struct periodic *p = arg;

	timer_start(l, &p->timer, 0, on_due);
}

static void stop_on_loop(struct loop *l, void *arg)
{
	struct periodic *p = arg;

	timer_stop(l, &p->timer);
}

void periodic_hurry(struct periodic *p)
{
	p->hurry = true;
	if (!p->under_way && !is_stopping(p)) {
		timer_start(p->loop, &p->timer, 0, on_due);
	}
}

struct periodic *periodic_start_chore(struct loop *l, struct pool *pool,
				      const struct periodic_chore *chore)
{
	struct periodic *p = MEM_NEW(struct periodic);

	p->loop = l;
	p->pool = pool;
	p->chore = *chore;
	(void)pthread_mutex_init(&p->mtx, NULL);
	(void)pthread_cond_init(&p->cond, NULL);
	loop_call(l, start_on_loop, p);
	return p;
}

struct periodic *periodic_start(struct loop *l, struct pool *pool, uint64_t interval_ms,
				periodic_fn *fn, void *arg)
{
	return periodic_start_chore(
		l, pool,
		&(struct periodic_chore){.interval_ms = interval_ms, .fn = fn, .arg = arg});
}

void periodic_stop(struct periodic **pp)
{
	struct periodic *p = *pp;

	if (!p) {
		return;
	}
	*pp = NULL;
	(void)pthread_mutex_lock(&p->mtx);
	p->stopping = true;
	while (p->running) {
		(void)pthread_cond_wait(&p->cond, &p->mtx);
	}
	(void)pthread_mutex_unlock(&p->mtx);
	loop_call(p->loop, stop_on_loop, p);
	(void)pthread_mutex_destroy(&p->mtx);
	(void)pthread_cond_destroy(&p->cond);
	mem_free(p);
}
