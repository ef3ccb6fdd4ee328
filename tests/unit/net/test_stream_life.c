/* How a stream comes to be, and how it moves from one loop to another. */
#include "net/stream.h"

#include "stream_fixture.h"

#include <netinet/tcp.h>
#include <sys/resource.h>

/* ---- connecting ---- */

struct listening {
	int fd;
	struct addr addr;
};

static struct listening listen_on_loopback(int backlog)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct listening l = {.addr.len = sizeof(l.addr.sa)};

	l.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(l.fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(l.fd, backlog), 0);
	assert_int_equal(getsockname(l.fd, (struct sockaddr *)&l.addr.sa, &l.addr.len), 0);
	return l;
}

static void on_connected(struct stream *s, void *user, enum err result)
{
	struct fixture *f = user;

	f->why = result;
	note(f, s, EV_CONNECT);
}

struct connecting {
	struct fixture *f;
	const struct addr *to;
	uint32_t timeout_ms;
	enum act then; /* before the result is known */
	unsigned calls_within;
};

static void run_connect(struct loop *l, void *arg)
{
	struct connecting *c = arg;

	c->f->s = stream_connect(l, c->to, c->timeout_ms, on_connected, &handler, c->f);
	hook_ops(c->f, c->f->s);
	c->calls_within = c->f->count[EV_CONNECT];
	perform(c->f, c->f->s, c->then);
}

static void test_connect(void **state)
{
	struct listening l = listen_on_loopback(1);
	struct fixture f;
	struct connecting c = {.f = &f, .to = &l.addr, .timeout_ms = 5000};
	char want[ADDR_TEXT_MAX], got[ADDR_TEXT_MAX];
	struct addr peer, local;
	socklen_t n = sizeof(int);
	int on = 0;

	(void)state;
	fixture_init(&f, 1);
	f.say = STR("hello");
	react(&f, EV_CONNECT, ACT_WRITE);
	loop_call(f.loops.v[0], run_connect, &c);
	f.peer = accept(l.fd, NULL, NULL);
	peer_expect(&f, STR("hello"));
	WAIT(&f, f.count[EV_CONNECT] == 1);
	assert_ok(f.why);
	assert_int_equal(c.calls_within, 0);

	assert_ok(stream_peer(f.s, &peer));
	assert_str(str_of(got, addr_format(&peer, got)), str_of(want, addr_format(&l.addr, want)));
	assert_ok(stream_local(f.s, &local));
	assert_int_not_equal(addr_port(&local), 0);
	assert_int_equal(getsockopt(f.s->io.fd, IPPROTO_TCP, TCP_NODELAY, &on, &n), 0);
	assert_int_equal(on, 1);
	peer_send(&f, STR("back"));
	WAIT(&f, f.eaten.n == 4);
	tear_down(&f);
	(void)close(l.fd);
}

static void expect_connect_failure(const struct addr *to, uint32_t timeout_ms, enum err why)
{
	struct fixture f;
	struct connecting c = {.f = &f, .to = to, .timeout_ms = timeout_ms};

	fixture_init(&f, 1);
	loop_call(f.loops.v[0], run_connect, &c);
	WAIT(&f, f.count[EV_CONNECT] == 1);
	assert_err(f.why, why);
	assert_int_equal(c.calls_within, 0);
	settle(&f);
	assert_int_equal(f.count[EV_CONNECT], 1);
	assert_int_equal(f.count[EV_CLOSE], 0);
	assert_int_equal(f.freed, 1);
	fixture_fini(&f);
}

static void test_connect_refused(void **state)
{
	struct listening l = listen_on_loopback(1);

	(void)state;
	(void)close(l.fd);
	expect_connect_failure(&l.addr, 5000, ERR_UNAVAILABLE);
}

/* What connect(2) refuses at once is still told later, not from within the call. */
static void test_connect_refused_at_once(void **state)
{
	struct addr to;

	(void)state;
	assert_ok(addr_parse(STR("255.255.255.255:9"), &to));
	expect_connect_failure(&to, 5000, ERR_UNAVAILABLE);
}

/* Without a descriptor nothing is known of the peer. */
static void test_connect_without_descriptors(void **state)
{
	struct listening l = listen_on_loopback(1);
	struct fixture f;
	struct connecting c = {.f = &f, .to = &l.addr, .timeout_ms = 5000};
	struct rlimit before, none;

	(void)state;
	fixture_init(&f, 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	loop_call(f.loops.v[0], run_connect, &c);
	WAIT(&f, f.count[EV_CONNECT] == 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_err(f.why, ERR_EXHAUSTED);
	assert_int_equal(c.calls_within, 0);
	settle(&f);
	fixture_fini(&f);
	(void)close(l.fd);
}

/* A listener with a full backlog answers no SYN. */
static void test_connect_timeout(void **state)
{
	struct listening l = listen_on_loopback(0);
	int fill[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fill); i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(fill[i], (struct sockaddr *)&l.addr.sa, l.addr.len);
	}
	expect_connect_failure(&l.addr, 50, ERR_TIMEOUT);
	for (size_t i = 0; i < ARRAY_LEN(fill); i++) {
		(void)close(fill[i]);
	}
	(void)close(l.fd);
}

static void test_end_while_connecting(void **state)
{
	struct listening l = listen_on_loopback(1);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct fixture f;
		struct connecting c = {.f = &f, .to = &l.addr, .then = ends[i]};

		fixture_init(&f, 1);
		loop_call(f.loops.v[0], run_connect, &c);
		settle(&f);
		assert_int_equal(f.freed, 1);
		assert_int_equal(f.count[EV_CONNECT], 0);
		fixture_fini(&f);
	}
	(void)close(l.fd);
}

static void test_end_inside_on_connect(void **state)
{
	struct listening l = listen_on_loopback(2);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct fixture f;
		struct connecting c = {.f = &f, .to = &l.addr};

		fixture_init(&f, 1);
		react(&f, EV_CONNECT, ends[i]);
		loop_call(f.loops.v[0], run_connect, &c);
		f.peer = accept(l.fd, NULL, NULL);
		peer_expect_end(&f);
		(void)shutdown(f.peer, SHUT_WR);
		WAIT(&f, f.freed == 1);
		assert_int_equal(f.count[EV_CLOSE], 0);
		fixture_fini(&f);
	}
	(void)close(l.fd);
}

/* ---- from one loop to another ---- */

struct move {
	struct msg msg;
	struct fixture *f;
	unsigned moved;
};

static void on_arrival(struct msg *m, struct loop *l)
{
	struct move *v = container_of(m, struct move, msg);

	stream_attach(v->f->s, l);
	(void)pthread_mutex_lock(&v->f->mtx);
	v->moved++;
	(void)pthread_cond_broadcast(&v->f->cond);
	(void)pthread_mutex_unlock(&v->f->mtx);
}

static void send_away(struct move *v, struct loop *from)
{
	struct fixture *f = v->f;

	v->msg.run = on_arrival;
	stream_detach(f->s);
	loop_post(f->loops.v[1 - loop_index(from)], &v->msg);
}

static void run_move(struct loop *l, void *arg)
{
	send_away(arg, l);
}

static void set_up_two(struct fixture *f, const struct stream_handler *h)
{
	struct opening o = {.f = f, .handler = h};
	int pair[2];

	fixture_init(f, 2);
	tcp_pair(pair);
	f->peer = pair[1];
	o.fd = pair[0];
	loop_call(f->loops.v[0], run_open, &o);
}

static void run_end(struct loop *l, void *arg)
{
	(void)l;
	stream_abort(arg);
}

/* The stream is on loop 1 at the end of each of these tests. */
static void tear_down_two(struct fixture *f)
{
	loop_call(f->loops.v[1], run_end, f->s);
	assert_int_equal(f->freed, 1);
	fixture_fini(f);
}

/* Unconsumed input and unsent output travel with it. */
static void test_move_with_both_directions_full(void **state)
{
	const size_t total = 6 << 20;
	char *p = pattern(total);
	struct fixture f;
	struct move v = {.f = &f};

	(void)state;
	set_up_two(&f, &handler);
	set_eat(&f, 0);
	f.say = str_of(p, total);
	act(&f, ACT_WRITE);
	peer_send(&f, STR("abc"));
	WAIT(&f, f.count[EV_DATA] == 1);
	set_eat(&f, SIZE_MAX);
	loop_call(f.loops.v[0], run_move, &v);
	WAIT(&f, v.moved == 1 && f.eaten.n == 3);
	peer_send(&f, STR("def"));
	peer_expect(&f, str_of(p, total));
	WAIT(&f, f.eaten.n == 6);
	expect_bytes(&f, &f.eaten, STR("abcdef"));
	tear_down_two(&f);
	mem_free(p);
}

static void test_paused_stays_paused_when_moved(void **state)
{
	struct fixture f;
	struct move v = {.f = &f};

	(void)state;
	set_up_two(&f, &handler);
	set_eat(&f, 1);
	react(&f, EV_DATA, ACT_PAUSE);
	peer_send(&f, STR("abc"));
	WAIT(&f, f.count[EV_DATA] == 1);
	loop_call(f.loops.v[0], run_move, &v);
	WAIT(&f, v.moved == 1);
	for (int i = 0; i < 3; i++) {
		loop_call(f.loops.v[1], on_turn, NULL);
	}
	assert_int_equal(f.count[EV_DATA], 1);
	tear_down_two(&f);
}

static struct move *mover;

/* Moves itself at each call, as a handler does that hands its connection on. */
static size_t on_data_move(struct stream *s, char *p, size_t n)
{
	struct fixture *f = s->user;
	struct loop *here = s->loop;

	if (p[n - 1] != '.') {
		note(f, s, EV_DATA);
		return 0;
	}
	(void)pthread_mutex_lock(&f->mtx);
	buf_append(&f->eaten, p, n);
	(void)pthread_mutex_unlock(&f->mtx);
	send_away(mover, here);
	return n;
}

static void test_move_inside_on_data(void **state)
{
	static const struct stream_handler h = {.on_data = on_data_move, .on_close = on_close};
	const unsigned rounds = 501; /* odd: ends on loop 1 */
	struct fixture f;
	struct move v = {.f = &f};

	(void)state;
	mover = &v;
	set_up_two(&f, &h);
	for (unsigned i = 1; i <= rounds; i++) {
		peer_send(&f, STR("ab."));
		WAIT(&f, v.moved == i);
	}
	assert_int_equal(f.eaten.n, rounds * 3);
	tear_down_two(&f);
}

/* As above, with bytes that a former call had left. */
static void test_move_inside_on_data_consumes_the_rest(void **state)
{
	static const struct stream_handler h = {.on_data = on_data_move, .on_close = on_close};
	struct fixture f;
	struct move v = {.f = &f};

	(void)state;
	mover = &v;
	set_up_two(&f, &h);
	peer_send(&f, STR("ab"));
	WAIT(&f, f.count[EV_DATA] == 1);
	peer_send(&f, STR("c."));
	WAIT(&f, v.moved == 1);
	for (int i = 0; i < 3; i++) {
		loop_call(f.loops.v[1], on_turn, NULL);
	}
	assert_int_equal(v.moved, 1);
	expect_bytes(&f, &f.eaten, STR("abc."));
	tear_down_two(&f);
}

static void run_detach(struct loop *l, void *arg)
{
	(void)l;
	stream_detach(arg);
}

static void test_end_while_detached(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	loop_call(f.loops.v[0], run_detach, f.s);
	stream_abort(f.s);
	assert_int_equal(f.freed, 1);
	peer_expect_end(&f);
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_connect_refused),
		cmocka_unit_test(test_connect_refused_at_once),
		cmocka_unit_test(test_connect_without_descriptors),
		cmocka_unit_test(test_connect_timeout),
		cmocka_unit_test(test_end_while_connecting),
		cmocka_unit_test(test_end_inside_on_connect),
		cmocka_unit_test(test_move_with_both_directions_full),
		cmocka_unit_test(test_paused_stays_paused_when_moved),
		cmocka_unit_test(test_move_inside_on_data),
		cmocka_unit_test(test_move_inside_on_data_consumes_the_rest),
		cmocka_unit_test(test_end_while_detached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
