/* A set of loops with a thread each, and calls into them that wait. */
#include "base/mem.h"
#include "loop/loop.h"

#include <pthread.h>
#include <stdio.h>

static void *loop_thread(void *arg)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "loop-%u", loop_index(arg));
	(void)pthread_setname_np(pthread_self(), name);
	loop_run(arg);
	return NULL;
}

enum err loops_start(struct loops *s, unsigned n, struct fault *f)
{
	pthread_t *threads = MEM_NEW_ARRAY(pthread_t, n);

	s->v = MEM_NEW_ARRAY(struct loop *, n);
	s->n = 0;
	s->threads = threads;
	for (unsigned i = 0; i < n; i++) {
		s->v[i] = loop_new(i);
		if (pthread_create(&threads[i], NULL, loop_thread, s->v[i]) != 0) {
			loop_free(&s->v[i]);
			loops_join(s);
			loops_free(s);
			return fault_set(f, ERR_UNAVAILABLE, "cannot start loop thread %u", i);
		}
		s->n++;
	}
	return ERR_OK;
}

void loops_join(struct loops *s)
{
	pthread_t *threads = s->threads;

	for (unsigned i = 0; i < s->n; i++) {
		loop_stop(s->v[i]);
	}
	for (unsigned i = 0; threads && i < s->n; i++) {
		(void)pthread_join(threads[i], NULL);
	}
	mem_free(s->threads);
	s->threads = NULL;
}

void loops_free(struct loops *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		loop_free(&s->v[i]);
	}
	mem_free(s->v);
	*s = (struct loops){0};
}

struct call {
	struct msg msg;
	void (*fn)(struct loop *l, void *arg);
	void *arg;
	pthread_mutex_t mtx;
	pthread_cond_t cond;
	bool done;
};

static void call_finish(struct call *c)
{
	(void)pthread_mutex_lock(&c->mtx);
	c->done = true;
	(void)pthread_cond_signal(&c->cond);
	(void)pthread_mutex_unlock(&c->mtx);
}

static void call_run(struct msg *m, struct loop *l)
{
	struct call *c = container_of(m, struct call, msg);

	c->fn(l, c->arg);
	call_finish(c);
}

static void call_drop(struct msg *m)
{
	call_finish(container_of(m, struct call, msg));
}

void loop_call(struct loop *l, void (*fn)(struct loop *l, void *arg), void *arg)
{
	struct call c = {
		.msg = {.run = call_run, .drop = call_drop},
		.fn = fn,
		.arg = arg,
		.mtx = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER,
	};

	ASSERT(loop_current() == NULL);
	loop_post(l, &c.msg);
	(void)pthread_mutex_lock(&c.mtx);
	while (!c.done) {
		(void)pthread_cond_wait(&c.cond, &c.mtx);
	}
	(void)pthread_mutex_unlock(&c.mtx);
}

static void do_nothing(struct loop *l, void *arg)
{
	(void)l;
	(void)arg;
}

void loops_quiesce(struct loops *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		loop_call(s->v[i], do_nothing, NULL);
	}
}
