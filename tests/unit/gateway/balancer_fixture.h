/*
 * balancer_fixture - a balancer set on two running loops, and picks on either of them
 */
#pragma once
#include "gateway/balancer.h"
#include "net/dns.h"
#include "net/dns_cache.h"
#include "unit.h"

#include <stdio.h>
#include <unistd.h>

#define LOOPS 2
#define TARGETS_MAX 64

struct fixture {
	struct loops loops;
	struct balancer_set *set;
	struct balancer_view *view;
	struct balancer *b;
	struct balancer_config c;
	struct balancer_target targets[TARGETS_MAX];
	char texts[TARGETS_MAX][64];
	struct arena arena;
	unsigned patience;
};

static struct guid id_of(unsigned n)
{
	struct guid id = {{0}};

	id.b[14] = (uint8_t)(n >> 8);
	id.b[15] = (uint8_t)n;
	return id;
}

/* "10.0.0.<i>:80" */
UNUSED static void add_target(struct fixture *f, const char *host, uint16_t port, unsigned weight)
{
	size_t i = f->c.n_targets++;
	int n = snprintf(f->texts[i], sizeof(f->texts[i]), "%s:%u", host, port);

	assert_true(i < TARGETS_MAX);
	f->targets[i] = (struct balancer_target){
		.id = id_of((unsigned)i + 100),
		.target = str_of(f->texts[i], (size_t)n),
		.host = str_of(f->texts[i], strlen(host)),
		.port = port,
		.weight = weight,
	};
	f->c.targets = f->targets;
}

UNUSED static void add_weights(struct fixture *f, const unsigned *weights, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char host[32];

		(void)snprintf(host, sizeof(host), "10.0.0.%zu", i + 1);
		add_target(f, host, 80, weights[i]);
	}
}

static void set_up(struct fixture *f)
{
	*f = (struct fixture){.c = {.id = id_of(1), .name = STR("up.test")}};
	arena_init(&f->arena, 0);
	assert_ok(loops_start(&f->loops, LOOPS, NULL));
	f->set = balancer_set_new(&f->loops);
}

static void apply(struct fixture *f)
{
	struct balancer_view *old = f->view;

	f->view = balancer_set_apply(f->set, &f->c, 1);
	f->b = balancer_find(f->view, f->c.name);
	assert_non_null(f->b);
	balancer_view_unref(&old);
}

static void tear_down(struct fixture *f)
{
	if (f->loops.threads) {
		loops_join(&f->loops);
	}
	balancer_view_unref(&f->view);
	balancer_set_free(&f->set);
	for (unsigned i = 0; i < LOOPS; i++) {
		dns_loop_fini(f->loops.v[i]);
	}
	loops_free(&f->loops);
	arena_fini(&f->arena);
}

/* One pick or done, on a loop. */
struct turn {
	struct balancer *b;
	const struct balancer_key *key;
	struct balancer_try *t;
	struct balancer_peer peer;
	enum err result;
	enum balancer_outcome outcome;
	int status;
	uint64_t latency_us;
};

UNUSED static void run_pick(struct loop *l, void *arg)
{
	struct turn *s = arg;

	s->result = balancer_pick(s->b, l, s->key, s->t, &s->peer);
}

UNUSED static void run_done(struct loop *l, void *arg)
{
	struct turn *s = arg;

	balancer_done(s->b, l, s->t, s->outcome, s->status, s->latency_us);
}

UNUSED static enum err pick_of(struct fixture *f, struct balancer *b, unsigned loop,
			       const struct balancer_key *key, struct balancer_try *t,
			       struct balancer_peer *out)
{
	struct turn s = {.b = b, .key = key, .t = t};

	loop_call(f->loops.v[loop], run_pick, &s);
	if (s.result == ERR_OK) {
		*out = s.peer;
	}
	return s.result;
}

UNUSED static void done_with(struct fixture *f, unsigned loop, struct balancer_try *t,
			     enum balancer_outcome outcome, int status)
{
	struct turn s = {.b = f->b, .t = t, .outcome = outcome, .status = status};

	loop_call(f->loops.v[loop], run_done, &s);
}

/* Last number of an IPv4 address. */
UNUSED static unsigned last_of(const struct balancer_peer *p)
{
	char text[ADDR_TEXT_MAX];
	struct str s = str_of(text, addr_format_ip(&p->addr, text));
	uint64_t n;

	assert_true(str_to_u64(str_skip(s, (size_t)str_rindex(s, '.') + 1), &n));
	return (unsigned)n;
}

/* Picks once, is answered with `status`; the number of the target, 0 = none was to be had. */
UNUSED static unsigned serve(struct fixture *f, unsigned loop, const struct balancer_key *key,
			     int status)
{
	struct balancer_try t = {0};
	struct balancer_peer p;
	enum err e = pick_of(f, f->b, loop, key, &t, &p);

	if (e != ERR_OK) {
		assert_err(e, ERR_UNAVAILABLE);
		return 0;
	}
	done_with(f, loop, &t, BALANCER_STATUS, status);
	return last_of(&p);
}

UNUSED static void count(struct fixture *f, unsigned loop, unsigned n, unsigned *counts)
{
	for (unsigned i = 0; i < n; i++) {
		counts[serve(f, loop, NULL, 200)]++;
	}
}

UNUSED static void mark(struct fixture *f, size_t i, enum balancer_health to)
{
	assert_ok(balancer_set_mark(f->set, &f->c.id, f->targets[i].target, STR_NULL, to));
}

UNUSED static struct balancer_status status_of(struct fixture *f)
{
	struct balancer_status s;

	assert_ok(balancer_set_status(f->set, &f->c.id, &f->arena, &s));
	return s;
}

/* For what other threads bring about: looks again and again, for 20 s at most. */
UNUSED static void wait_a_bit(struct fixture *f)
{
	assert_true(f->patience++ < 20000);
	(void)usleep(1000);
}
#define WAIT_FOR(f, cond)                                                                          \
	for ((f)->patience = 0; !(cond);) {                                                        \
		wait_a_bit(f);                                                                     \
	}
