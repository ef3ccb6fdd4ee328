/*
 * loop_gate - a loop on its own thread that runs only while the test waits for something
 *
 * Else it stands at the gate, and the test may touch what belongs to the loop.
 */
#pragma once
#include "unit.h"

#include "loop/loop.h"

#include <pthread.h>

struct loop_gate {
	struct loop *loop;
	struct loops loops;
	struct msg msg;
	struct later later;
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool held; /* the loop stands at the gate */
	bool (*done)(void *arg);
	void *arg;
};

static void look(struct later *l);

static void stand_at_gate(struct loop_gate *x)
{
	(void)pthread_mutex_lock(&x->mutex);
	x->held = true;
	(void)pthread_cond_broadcast(&x->cond);
	while (x->held) {
		(void)pthread_cond_wait(&x->cond, &x->mutex);
	}
	(void)pthread_mutex_unlock(&x->mutex);
	if (x->done) {
		loop_next_turn(x->loop, &x->later, look);
	}
}

static void look(struct later *l)
{
	struct loop_gate *x = container_of(l, struct loop_gate, later);

	if (x->done(x->arg)) {
		stand_at_gate(x);
	} else {
		loop_next_turn(x->loop, l, look);
	}
}

static void on_first(struct msg *m, struct loop *l)
{
	(void)l;
	stand_at_gate(container_of(m, struct loop_gate, msg));
}

static inline void gate_wait(struct loop_gate *x)
{
	(void)pthread_mutex_lock(&x->mutex);
	while (!x->held) {
		(void)pthread_cond_wait(&x->cond, &x->mutex);
	}
	(void)pthread_mutex_unlock(&x->mutex);
}

/* Lets the loop run freely; for the end. */
static inline void gate_open(struct loop_gate *x, bool (*done)(void *arg), void *arg)
{
	(void)pthread_mutex_lock(&x->mutex);
	x->done = done;
	x->arg = arg;
	x->held = false;
	(void)pthread_cond_broadcast(&x->cond);
	(void)pthread_mutex_unlock(&x->mutex);
}

/* Turns until `done` says so. */
static inline void gate_until(struct loop_gate *x, bool (*done)(void *arg), void *arg)
{
	gate_open(x, done, arg);
	gate_wait(x);
}

static inline void gate_start(struct loop_gate *x)
{
	struct fault f = {0};

	(void)pthread_mutex_init(&x->mutex, NULL);
	(void)pthread_cond_init(&x->cond, NULL);
	assert_ok(loops_start(&x->loops, 1, &f));
	x->loop = x->loops.v[0];
	x->msg.run = on_first;
	loop_post(x->loop, &x->msg);
	gate_wait(x);
}
