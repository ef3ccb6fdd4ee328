#include "loop/periodic.h"

#include "base/mem.h"
#include "loop/run_guard.h"

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
	struct run_guard guard;
};

static void on_due(struct timer *t);

static void run(struct job *j, void *worker)
{
	struct periodic *p = container_of(j, struct periodic, job);

	p->chore.fn(p->chore.arg, worker);
}

static void done(struct job *j)
{
	struct periodic *p = container_of(j, struct periodic, job);

	p->under_way = false;
	if (!run_guard_is_closing(&p->guard)) {
		timer_start(p->loop, &p->timer, p->hurry ? 0 : p->chore.interval_ms, on_due);
	}
	run_guard_end(&p->guard); /* last: periodic_stop may free now */
}

static void on_due(struct timer *t)
{
	struct periodic *p = container_of(t, struct periodic, timer);

	if (!p->hurry && p->chore.gate && !p->chore.gate(p->chore.arg)) {
		timer_start(p->loop, &p->timer, p->chore.interval_ms, on_due);
		return;
	}
	if (!run_guard_begin(&p->guard)) {
		return;
	}
	p->hurry = false;
	p->job = (struct job){.run = run, .done = done, .home = p->loop, .writes = true};
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
	if (!p->under_way && !run_guard_is_closing(&p->guard)) {
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
	run_guard_init(&p->guard);
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
	run_guard_close(&p->guard);
	loop_call(p->loop, stop_on_loop, p);
	run_guard_fini(&p->guard);
	mem_free(p);
}
