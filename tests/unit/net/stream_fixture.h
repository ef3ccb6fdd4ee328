/*
 * stream_fixture - a stream on a loop's own thread; the test is its peer
 *
 * The peer's end is a blocking socket, so a test reads top to bottom: it lets the
 * loop act with `act` or loop_call, talks over `peer`, and waits with WAIT for what the
 * stream's owner saw. `react` sets what the owner does inside each callback.
 *
 * Threads  fields under "guarded by mtx" are written by the loop's thread.
 */
#pragma once
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "net/stream.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 20000

enum act { ACT_NOTHING, ACT_CLOSE, ACT_ABORT, ACT_PAUSE, ACT_RESUME, ACT_WRITE };
static const enum act ends[] = {ACT_CLOSE, ACT_ABORT};
enum event { EV_DATA, EV_EOF, EV_DRAINED, EV_CLOSE, EV_CONNECT, EVENTS };

struct fixture {
	struct loops loops;
	struct stream *s; /* touched on its loop only */
	struct stream_ops ops;
	int peer;
	struct str say; /* ACT_WRITE; set before react or act */
	pthread_mutex_t mtx;
	pthread_cond_t cond;
	/* guarded by mtx */
	enum act react[EVENTS];
	size_t eat;	  /* what on_data may consume at a call */
	struct buf shown; /* by the last on_data */
	struct buf eaten;
	_Atomic unsigned count[EVENTS]; /* may be read without the mutex */
	_Atomic unsigned freed, released;
	enum err why; /* of on_close or on_connect */
};

/* Waits for `cond`, which may read what the mutex guards. */
#define WAIT(f, cond_)                                                                             \
	do {                                                                                       \
		uint64_t end_ = clock_mono_ms() + PATIENCE_MS;                                     \
		bool in_time_ = true;                                                              \
		(void)pthread_mutex_lock(&(f)->mtx);                                               \
		while (in_time_ && !(cond_)) {                                                     \
			in_time_ = fixture_wait(f, end_);                                          \
		}                                                                                  \
		(void)pthread_mutex_unlock(&(f)->mtx);                                             \
		if (!in_time_) {                                                                   \
			fail_msg("waited in vain for %s", #cond_);                                 \
		}                                                                                  \
	} while (0)

static inline bool fixture_wait(struct fixture *f, uint64_t end_ms)
{
	struct timespec t = {.tv_sec = (time_t)(end_ms / 1000),
			     .tv_nsec = (long)(end_ms % 1000) * 1000000};

	return pthread_cond_timedwait(&f->cond, &f->mtx, &t) != ETIMEDOUT;
}

static inline struct fixture *fixture_of(const struct stream *s)
{
	return container_of(s->ops, struct fixture, ops);
}

static inline void perform(struct fixture *f, struct stream *s, enum act a)
{
	switch (a) {
	case ACT_NOTHING:
		break;
	case ACT_CLOSE:
		stream_close(s);
		break;
	case ACT_ABORT:
		stream_abort(s);
		break;
	case ACT_PAUSE:
		stream_pause_read(s);
		break;
	case ACT_RESUME:
		stream_resume_read(s);
		break;
	case ACT_WRITE:
		stream_write(s, f->say);
		break;
	}
}

/* Counts the event, then does what the test wants done inside it. */
static inline void note(struct fixture *f, struct stream *s, enum event e)
{
	(void)pthread_mutex_lock(&f->mtx);
	enum act a = f->react[e];
	(void)pthread_mutex_unlock(&f->mtx);
	perform(f, s, a);
	(void)pthread_mutex_lock(&f->mtx);
	f->count[e]++;
	(void)pthread_cond_broadcast(&f->cond);
	(void)pthread_mutex_unlock(&f->mtx);
}

static inline void react(struct fixture *f, enum event e, enum act a)
{
	(void)pthread_mutex_lock(&f->mtx);
	f->react[e] = a;
	(void)pthread_mutex_unlock(&f->mtx);
}

static inline void set_eat(struct fixture *f, size_t n)
{
	(void)pthread_mutex_lock(&f->mtx);
	f->eat = n;
	(void)pthread_mutex_unlock(&f->mtx);
}

static inline size_t on_data(struct stream *s, char *p, size_t n)
{
	struct fixture *f = s->user;
	size_t used;

	(void)pthread_mutex_lock(&f->mtx);
	used = MIN(n, f->eat);
	buf_clear(&f->shown);
	buf_append(&f->shown, p, n);
	buf_append(&f->eaten, p, used);
	(void)pthread_mutex_unlock(&f->mtx);
	note(f, s, EV_DATA);
	return used;
}

static inline void on_eof(struct stream *s)
{
	note(s->user, s, EV_EOF);
}

static inline void on_drained(struct stream *s)
{
	note(s->user, s, EV_DRAINED);
}

static inline void on_close(struct stream *s, enum err why)
{
	struct fixture *f = s->user;

	f->why = why; /* published by the mutex in note */
	note(f, s, EV_CLOSE);
}

static const struct stream_handler handler = {on_data, on_eof, on_drained, on_close};
static const struct stream_handler handler_without_eof = {.on_data = on_data, .on_close = on_close};

/* The last that happens to any stream, also to one that its owner closed. */
static inline void on_free(struct stream *s)
{
	struct fixture *f = fixture_of(s);

	(void)pthread_mutex_lock(&f->mtx);
	f->freed++;
	(void)pthread_cond_broadcast(&f->cond);
	(void)pthread_mutex_unlock(&f->mtx);
}

static inline void on_release(void *arg)
{
	struct fixture *f = arg;

	(void)pthread_mutex_lock(&f->mtx);
	f->released++;
	(void)pthread_cond_broadcast(&f->cond);
	(void)pthread_mutex_unlock(&f->mtx);
}

/* Its own copy of the stream's operations tells the fixture when the stream goes. */
static inline void hook_ops(struct fixture *f, struct stream *s)
{
	f->ops = *s->ops;
	f->ops.free = on_free;
	s->ops = &f->ops;
}

struct call {
	struct fixture *f;
	enum act act;
};

static inline void run_act(struct loop *l, void *arg)
{
	struct call *c = arg;

	(void)l;
	perform(c->f, c->f->s, c->act);
}

static inline void act(struct fixture *f, enum act a)
{
	struct call c = {f, a};

	loop_call(f->loops.v[0], run_act, &c);
}

static inline void on_turn(struct loop *l, void *arg)
{
	(void)l;
	(void)arg;
}

/* All that the loop had to do when this was called is done. */
static inline void settle(struct fixture *f)
{
	/* The first ends in the turn that saw the events; what they deferred runs behind it. */
	for (int i = 0; i < 3; i++) {
		loop_call(f->loops.v[0], on_turn, NULL);
	}
}

struct pending {
	struct fixture *f;
	size_t n;
};

static inline void run_pending(struct loop *l, void *arg)
{
	struct pending *p = arg;

	(void)l;
	p->n = stream_pending(p->f->s);
}

static inline size_t pending(struct fixture *f)
{
	struct pending p = {.f = f};

	loop_call(f->loops.v[0], run_pending, &p);
	return p.n;
}

/* What the owner was shown last, or consumed so far. */
static inline void expect_bytes(struct fixture *f, const struct buf *which, struct str want)
{
	(void)pthread_mutex_lock(&f->mtx);
	assert_str(buf_str(which), want);
	(void)pthread_mutex_unlock(&f->mtx);
}

/* A connected pair over loopback TCP; ends[0] does not block. */
static inline void tcp_pair(int ends[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(l, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&a, &n), 0);
	ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(ends[1], (struct sockaddr *)&a, n), 0);
	ends[0] = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(ends[0] >= 0);
	(void)setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(ends[1], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	(void)close(l);
}

static inline void fixture_init(struct fixture *f, unsigned loops)
{
	pthread_condattr_t attr;

	*f = (struct fixture){.peer = -1, .eat = SIZE_MAX};
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&f->mtx, NULL);
	(void)pthread_cond_init(&f->cond, &attr);
	(void)pthread_condattr_destroy(&attr);
	assert_ok(loops_start(&f->loops, loops, NULL));
}

struct opening {
	struct fixture *f;
	int fd;
	const struct stream_handler *handler;
};

static inline void run_open(struct loop *l, void *arg)
{
	struct opening *o = arg;

	o->f->s = stream_new(l, o->fd, o->handler, o->f);
	hook_ops(o->f, o->f->s);
}

static inline void set_up_with(struct fixture *f, const struct stream_handler *h)
{
	struct opening o = {.f = f, .handler = h};
	int ends[2];

	fixture_init(f, 1);
	tcp_pair(ends);
	f->peer = ends[1];
	o.fd = ends[0];
	loop_call(f->loops.v[0], run_open, &o);
}

static inline void set_up(struct fixture *f)
{
	set_up_with(f, &handler);
}

static inline void fixture_fini(struct fixture *f)
{
	if (f->peer >= 0) {
		(void)close(f->peer);
	}
	loops_join(&f->loops);
	loops_free(&f->loops);
	buf_free(&f->shown);
	buf_free(&f->eaten);
	(void)pthread_cond_destroy(&f->cond);
	(void)pthread_mutex_destroy(&f->mtx);
}

/* For tests whose stream still lives. */
static inline void tear_down(struct fixture *f)
{
	act(f, ACT_ABORT);
	assert_int_equal(f->freed, 1);
	fixture_fini(f);
}

/* ---- the peer ---- */

static inline void peer_send(struct fixture *f, struct str s)
{
	assert_int_equal(send(f->peer, s.p, s.n, MSG_NOSIGNAL), s.n);
}

/* Reads exactly `n` bytes; 0 bytes = expects the end. */
static inline void peer_read(struct fixture *f, char *p, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = recv(f->peer, p + got, n - got, 0);

		if (r <= 0) {
			fail_msg("got %zu of %zu bytes, then %s", got, n,
				 r ? strerrorname_np(errno) : "the end");
		}
		got += (size_t)r;
	}
}

static inline void peer_expect(struct fixture *f, struct str want)
{
	char *p = mem_alloc(want.n + 1);

	peer_read(f, p, want.n);
	assert_str(str_of(p, want.n), want);
	mem_free(p);
}

static inline void peer_expect_end(struct fixture *f)
{
	char c;

	assert_int_equal(recv(f->peer, &c, 1, 0), 0);
}

static inline void peer_reset(struct fixture *f)
{
	struct linger now = {.l_onoff = 1};

	(void)setsockopt(f->peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close(f->peer);
	f->peer = -1;
}

/* `n` bytes in which a lost, doubled or swapped piece shows. */
static inline char *pattern(size_t n)
{
	char *p = mem_alloc(n + 1);
	uint32_t x = 1;

	for (size_t i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (char)(x >> 24);
	}
	return p;
}
