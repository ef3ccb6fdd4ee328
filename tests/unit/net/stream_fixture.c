#include "stream_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

bool fixture_wait(struct fixture *f, uint64_t end_ms)
{
	struct timespec t = {.tv_sec = (time_t)(end_ms / 1000),
			     .tv_nsec = (long)(end_ms % 1000) * 1000000};

	return pthread_cond_timedwait(&f->cond, &f->mtx, &t) != ETIMEDOUT;
}

static struct fixture *fixture_of(const struct stream *s)
{
	return container_of(s->ops, struct fixture, ops);
}

void perform(struct fixture *f, struct stream *s, enum act a)
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

void note(struct fixture *f, struct stream *s, enum event e)
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

void react(struct fixture *f, enum event e, enum act a)
{
	(void)pthread_mutex_lock(&f->mtx);
	f->react[e] = a;
	(void)pthread_mutex_unlock(&f->mtx);
}

void set_eat(struct fixture *f, size_t n)
{
	(void)pthread_mutex_lock(&f->mtx);
	f->eat = n;
	(void)pthread_mutex_unlock(&f->mtx);
}

size_t on_data(struct stream *s, char *p, size_t n)
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

void on_eof(struct stream *s)
{
	note(s->user, s, EV_EOF);
}

void on_drained(struct stream *s)
{
	note(s->user, s, EV_DRAINED);
}

void on_close(struct stream *s, enum err why)
{
	struct fixture *f = s->user;

	f->why = why; /* published by the mutex in note */
	note(f, s, EV_CLOSE);
}

const struct stream_handler handler = {on_data, on_eof, on_drained, on_close};
const struct stream_handler handler_without_eof = {.on_data = on_data, .on_close = on_close};

/* The last that happens to any stream, also to one that its owner closed. */
static void on_free(struct stream *s)
{
	struct fixture *f = fixture_of(s);

	(void)pthread_mutex_lock(&f->mtx);
	f->freed++;
	(void)pthread_cond_broadcast(&f->cond);
	(void)pthread_mutex_unlock(&f->mtx);
}

void on_release(void *arg)
{
	struct fixture *f = arg;

	(void)pthread_mutex_lock(&f->mtx);
	f->released++;
	(void)pthread_cond_broadcast(&f->cond);
	(void)pthread_mutex_unlock(&f->mtx);
}

void hook_ops(struct fixture *f, struct stream *s)
{
	f->ops = *s->ops;
	f->ops.free = on_free;
	s->ops = &f->ops;
}

struct call {
	struct fixture *f;
	enum act act;
};

static void run_act(struct loop *l, void *arg)
{
	struct call *c = arg;

	(void)l;
	perform(c->f, c->f->s, c->act);
}

void act(struct fixture *f, enum act a)
{
	struct call c = {f, a};

	loop_call(f->loops.v[0], run_act, &c);
}

void on_turn(struct loop *l, void *arg)
{
	(void)l;
	(void)arg;
}

void settle(struct fixture *f)
{
	/* The first pair in the turn that saw the events; what they deferred runs behind it. */
	for (int i = 0; i < 3; i++) {
		loop_call(f->loops.v[0], on_turn, NULL);
	}
}

struct pending {
	struct fixture *f;
	size_t n;
};

static void run_pending(struct loop *l, void *arg)
{
	struct pending *p = arg;

	(void)l;
	p->n = stream_pending(p->f->s);
}

size_t pending(struct fixture *f)
{
	struct pending p = {.f = f};

	loop_call(f->loops.v[0], run_pending, &p);
	return p.n;
}

void expect_bytes(struct fixture *f, const struct buf *which, struct str want)
{
	(void)pthread_mutex_lock(&f->mtx);
	assert_str(buf_str(which), want);
	(void)pthread_mutex_unlock(&f->mtx);
}

void tcp_pair(int pair[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(l, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&a, &n), 0);
	pair[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(pair[1], (struct sockaddr *)&a, n), 0);
	pair[0] = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(pair[0] >= 0);
	(void)setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(pair[1], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	(void)close(l);
}

void fixture_init(struct fixture *f, unsigned loops)
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

void run_open(struct loop *l, void *arg)
{
	struct opening *o = arg;

	o->f->s = stream_new(l, o->fd, o->handler, o->f);
	hook_ops(o->f, o->f->s);
}

void set_up_with(struct fixture *f, const struct stream_handler *h)
{
	struct opening o = {.f = f, .handler = h};
	int pair[2];

	fixture_init(f, 1);
	tcp_pair(pair);
	f->peer = pair[1];
	o.fd = pair[0];
	loop_call(f->loops.v[0], run_open, &o);
}

void set_up(struct fixture *f)
{
	set_up_with(f, &handler);
}

void fixture_fini(struct fixture *f)
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

void tear_down(struct fixture *f)
{
	act(f, ACT_ABORT);
	assert_int_equal(f->freed, 1);
	fixture_fini(f);
}

void peer_send(struct fixture *f, struct str s)
{
	assert_int_equal(send(f->peer, s.p, s.n, MSG_NOSIGNAL), s.n);
}

void peer_read(struct fixture *f, char *p, size_t n)
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

void peer_expect(struct fixture *f, struct str want)
{
	char *p = mem_alloc(want.n + 1);

	peer_read(f, p, want.n);
	assert_str(str_of(p, want.n), want);
	mem_free(p);
}

void peer_expect_end(struct fixture *f)
{
	char c;

	assert_int_equal(recv(f->peer, &c, 1, 0), 0);
}

void peer_reset(struct fixture *f)
{
	struct linger now = {.l_onoff = 1};

	(void)setsockopt(f->peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close(f->peer);
	f->peer = -1;
}

char *pattern(size_t n)
{
	char *p = mem_alloc(n + 1);
	uint32_t x = 1;

	for (size_t i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (char)(x >> 24);
	}
	return p;
}
