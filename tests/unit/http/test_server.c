/* The server on a real socket: a test thread talks raw bytes to a loop. */
#include "base/mem.h"
#include "http/server_int.h"
#include "serve.h"
#include "talk.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
	struct loops loops;
	struct http_server *server;
	uint16_t port;
	pthread_mutex_t mtx;
	pthread_cond_t cond;
	int aborts; /* guarded by mtx */
	int last_abort_status;
};

static struct fixture fx;

static void note_abort(struct exchange *x, int status)
{
	(void)x;
	(void)pthread_mutex_lock(&fx.mtx);
	fx.aborts++;
	fx.last_abort_status = status;
	(void)pthread_cond_broadcast(&fx.cond);
	(void)pthread_mutex_unlock(&fx.mtx);
}

static void wait_for_aborts(int n)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	(void)pthread_mutex_lock(&fx.mtx);
	while (fx.aborts < n) {
		assert_int_equal(pthread_cond_timedwait(&fx.cond, &fx.mtx, &until), 0);
	}
	(void)pthread_mutex_unlock(&fx.mtx);
}

static void echo_end(struct exchange *x)
{
	exchange_reply(x, &(struct exchange_answer){.status = 200, .body = exchange_body(x)});
}

static const struct exchange_handler echo = {.on_end = echo_end, .on_abort = note_abort};

static void stream_data(struct exchange *x, struct str data)
{
	exchange_write(x, data);
}

static void stream_end(struct exchange *x)
{
	exchange_finish(x);
}

static const struct exchange_handler stream_echo = {
	.on_data = stream_data, .on_end = stream_end, .on_abort = note_abort};

static void enough_data(struct exchange *x, struct str data)
{
	(void)data;
	exchange_reply_status(x, 202);
}

/* Answers at the first piece of the body. */
static const struct exchange_handler enough = {.on_data = enough_data, .on_abort = note_abort};

static const struct exchange_handler hang = {.on_abort = note_abort};

static void hijack(struct exchange *x)
{
	struct str early;
	struct stream *s = exchange_hijack(x, &early);

	stream_write(s, STR("raw:"));
	stream_write(s, early);
	stream_close(s);
	exchange_release(x);
}

static size_t tunnel_data(struct stream *s, char *p, size_t n)
{
	(void)s;
	(void)p;
	return n;
}

static void tunnel_close(struct stream *s, enum err why)
{
	(void)why;
	exchange_release(s->user);
}

static const struct stream_handler tunnel = {.on_data = tunnel_data, .on_close = tunnel_close};

static void open_tunnel(struct exchange *x)
{
	struct str early;
	struct stream *s = exchange_hijack(x, &early);

	stream_set_handler(s, &tunnel, x);
	stream_write(s, STR("raw"));
	stream_resume_read(s);
}

/* The requests for /turn, of one connection: how many were begun ... */
static struct {
	_Atomic unsigned n;
	_Atomic unsigned in_turn, most; /* ... in one turn */
	_Atomic unsigned before_msg;	/* ... when a message came that was sent with the first */
	_Atomic uint64_t turn;
	atomic_bool drains; /* the server, behind the last of a turn ... */
	atomic_bool waits;  /* ... which has been answered */
	struct msg msg;
	struct later drain;
} turns;

static void on_msg(struct msg *m, struct loop *l)
{
	(void)m;
	(void)l;
	turns.before_msg = turns.n;
}

static void await_drain(struct later *w)
{
	(void)w;
	turns.waits = true;
	while (!atomic_load(&fx.server->draining)) {
		(void)sched_yield();
	}
}

static void note_turn(struct exchange *x)
{
	struct loop *l = exchange_loop(x);
	unsigned n = ++turns.n;

	if (n == 1) {
		turns.msg.run = on_msg;
		loop_post(l, &turns.msg);
	}
	turns.in_turn = loop_turn(l) == turns.turn ? turns.in_turn + 1 : 1;
	turns.turn = loop_turn(l);
	turns.most = MAX(turns.most, turns.in_turn);
	if (turns.drains && n == HTTP_HEADS_PER_TURN) {
		loop_later(l, &turns.drain, await_drain);
	}
	exchange_reply_text(x, 200, STR("text/plain"), STR("turn"));
}

/* An answer that the system takes at once, though its time was over before. */
static void answer_late(struct exchange *x)
{
	static char body[20000];

	exchange_take_by(x, 1);
	exchange_start(x, 200, NULL, 0, sizeof(body));
	exchange_write(x, str_of(body, sizeof(body)));
	exchange_finish(x);
}

static char much[16 << 20];

static void dispatch(struct exchange *x, void *role)
{
	struct str path = exchange_request(x)->path;

	assert_ptr_equal(role, &fx);
	if (str_eq(path, STR("/echo"))) {
		exchange_collect(x, 1000, &echo);
	} else if (str_eq(path, STR("/stream"))) {
		exchange_start(x, 200, NULL, 0, -1);
		exchange_stream(x, UINT64_MAX, &stream_echo);
	} else if (str_eq(path, STR("/enough"))) {
		exchange_stream(x, UINT64_MAX, &enough);
	} else if (str_eq(path, STR("/measured"))) { /* announces 3 bytes */
		exchange_start(x, 200, NULL, 0, 3);
		exchange_write(x, STR("a"));
		exchange_write(x, exchange_request(x)->query);
		exchange_finish(x);
	} else if (str_eq(path, STR("/trailers"))) {
		struct http_header sum = {STR("Sum"), STR("1")};

		exchange_start(x, 200, NULL, 0, -1);
		exchange_write(x, STR("a"));
		exchange_finish_trailers(x, &sum, 1);
	} else if (str_eq(path, STR("/early"))) {
		exchange_reply_status(x, 403);
	} else if (str_eq(path, STR("/hang"))) {
		exchange_collect(x, 1000, &hang);
	} else if (str_eq(path, STR("/late"))) {
		answer_late(x);
	} else if (str_eq(path, STR("/much"))) {
		exchange_reply(x, &(struct exchange_answer){.status = 200,
							    .kind = EXCHANGE_BODY_MEM,
							    .body = str_of(much, sizeof(much))});
	} else if (str_eq(path, STR("/turn"))) {
		note_turn(x);
	} else if (str_eq(path, STR("/hijack"))) {
		hijack(x);
	} else if (str_eq(path, STR("/tunnel"))) {
		open_tunnel(x);
	} else if (str_eq(path, STR("/head"))) {
		exchange_reply(x, &(struct exchange_answer){
					  .status = 200, .has_length = true, .length = 12345});
	} else {
		exchange_reply_text(x, 200, STR("text/plain"), STR("hello"));
	}
}

static int setup(void **state)
{
	struct http_limits lim = http_limits_default;
	struct fault f = {0};

	(void)state;
	lim.head_timeout_ms = 200;
	lim.body_timeout_ms = 200;
	(void)pthread_mutex_init(&fx.mtx, NULL);
	(void)pthread_cond_init(&fx.cond, NULL);
	assert_ok(loops_start(&fx.loops, 2, &f));
	fx.server = http_server_new(&lim, dispatch, &fx);
	fx.port = serve_anywhere(fx.server, &fx.loops);
	return 0;
}

static void fini_loop(struct loop *l, void *arg)
{
	(void)arg;
	http_server_loop_fini(l);
}

static int teardown(void **state)
{
	(void)state;
	http_server_free(&fx.server);
	for (unsigned i = 0; i < fx.loops.n; i++) {
		loop_call(fx.loops.v[i], fini_loop, NULL);
	}
	loops_join(&fx.loops);
	loops_free(&fx.loops);
	return 0;
}

static int dial(void)
{
	return talk_dial(fx.port);
}

/* Until the server closes; until the next call. */
static struct str hear_all(int fd)
{
	static struct buf text;

	buf_free(&text);
	talk_hear(fd, &text);
	return buf_str(&text);
}

static struct str talk(struct str request)
{
	int fd = dial();

	talk_say(fd, request);
	return hear_all(fd);
}

static void assert_has(struct str text, const char *part)
{
	if (str_find(text, str_c(part)) < 0) {
		fail_msg("\"%s\" is not in:\n%.*s", part, STR_ARG(text));
	}
}

static int count(struct str text, const char *part)
{
	int n = 0;
	ptrdiff_t at;

	while ((at = str_find(text, str_c(part))) >= 0) {
		n++;
		text = str_skip(text, (size_t)at + 1);
	}
	return n;
}

#define CLOSE "Host: a\r\nConnection: close\r\n"

static void test_simple(void **state)
{
	struct str got = talk(STR("GET / HTTP/1.1\r\n" CLOSE "\r\n"));

	(void)state;
	assert_true(str_starts(got, STR("HTTP/1.1 200 OK\r\n")));
	assert_has(got, "Content-Length: 5\r\n");
	assert_has(got, "Connection: close\r\n");
	assert_has(got, "Date: ");
	assert_true(str_ends(got, STR("\r\n\r\nhello")));
}

static void test_pipelining(void **state)
{
	struct str got = talk(STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"
				  "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
				  "GET / HTTP/1.1\r\n" CLOSE "\r\n"));

	(void)state;
	assert_int_equal(count(got, "HTTP/1.1 200"), 3);
	assert_has(got, "\r\n\r\nabcHTTP/1.1 200");
}

#define TURN "GET /turn HTTP/1.1\r\nHost: a\r\n\r\n"

/* A connection with so many requests and what is behind them, all in one piece. */
static int pipeline(unsigned n, const char *last)
{
	struct buf all = {0};
	int fd = dial();

	turns.n = turns.most = turns.before_msg = 0;
	turns.turn = 0;
	for (unsigned i = 0; i < n; i++) {
		buf_puts(&all, TURN);
	}
	buf_put(&all, str_c(last));
	talk_say(fd, buf_str(&all));
	buf_free(&all);
	return fd;
}

static void test_others_have_their_turn(void **state)
{
	struct str got = hear_all(pipeline(1000, "GET / HTTP/1.1\r\n" CLOSE "\r\n"));

	(void)state;
	assert_int_equal(count(got, "HTTP/1.1 200"), 1001);
	assert_true(str_ends(got, STR("hello")));
	assert_int_equal(turns.n, 1000);
	assert_int_equal(turns.most, HTTP_HEADS_PER_TURN);
	assert_in_range(turns.before_msg, 1, HTTP_HEADS_PER_TURN);
}

static void test_many_then_the_end(void **state)
{
	int fd = pipeline(1000, "");

	(void)state;
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_int_equal(count(hear_all(fd), "HTTP/1.1 200"), 1000);
}

static void test_many_then_another_protocol(void **state)
{
	struct str got;

	(void)state;
	for (unsigned n = HTTP_HEADS_PER_TURN - 1; n <= HTTP_HEADS_PER_TURN + 1; n++) {
		got = hear_all(pipeline(n, "GET /hijack HTTP/1.1\r\nHost: a\r\n\r\nbehind"));
		assert_int_equal(count(got, "HTTP/1.1 200"), n);
		assert_true(str_ends(got, STR("raw:behind")));
	}
}

static void test_many_then_a_reset(void **state)
{
	static const struct linger reset = {.l_onoff = 1};

	(void)state;
	for (int i = 0; i < 20; i++) {
		int fd = pipeline(1000, "");

		while (turns.before_msg == 0) {
			(void)sched_yield();
		}
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
		(void)close(fd);
		while (http_server_active(fx.server) > 0) {
			(void)sched_yield();
		}
	}
}

static void test_trailers(void **state)
{
	struct str got =
		talk(STR("GET /trailers HTTP/1.1\r\nTE: deflate, trailers\r\n" CLOSE "\r\n"));

	(void)state;
	assert_true(str_ends(got, STR("\r\n\r\n1\r\na\r\n0\r\nSum: 1\r\n\r\n")));
	got = talk(STR("GET /trailers HTTP/1.1\r\n" CLOSE "\r\n"));
	assert_true(str_ends(got, STR("\r\n\r\n1\r\na\r\n0\r\n\r\n")));
	got = talk(STR("GET /trailers HTTP/1.0\r\nTE: trailers\r\n" CLOSE "\r\n"));
	assert_true(str_ends(got, STR("\r\n\r\na")));
}

/* The role answers with the last piece of the body in hand; what follows is the next request. */
static void test_answer_in_the_last_piece(void **state)
{
	static const char *const bodies[] = {
		"Content-Length: 3\r\n\r\nabc",
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		char text[256];
		int n = snprintf(text, sizeof(text),
				 "POST /enough HTTP/1.1\r\nHost: a\r\n%s"
				 "GET / HTTP/1.1\r\n" CLOSE "\r\n",
				 bodies[i]);
		struct str got = talk(str_of(text, (size_t)n));

		assert_has(got, "HTTP/1.1 202");
		assert_true(str_ends(got, STR("hello")));
	}
}

static void test_every_split(void **state)
{
	static const char request[] =
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
		"GET / HTTP/1.1\r\n" CLOSE "\r\n";

	(void)state;
	for (size_t i = 1; i + 1 < sizeof(request); i++) {
		int fd = dial();
		int one = 1;
		struct str got;

		(void)setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof(one));
		talk_say(fd, str_of(request, i));
		sched_yield();
		talk_say(fd, str_of(request + i, sizeof(request) - 1 - i));
		got = hear_all(fd);
		assert_has(got, "\r\n\r\nabcdeHTTP/1.1 200");
		assert_true(str_ends(got, STR("hello")));
	}
}

/* None is worth a call of its own. */
static void test_tiny_chunks(void **state)
{
	struct buf all = {0};
	struct str got;
	int fd = dial();

	(void)state;
	buf_puts(&all, "POST /stream HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" CLOSE "\r\n");
	for (int i = 0; i < 3000; i++) {
		buf_puts(&all, "1\r\nx\r\n");
	}
	buf_puts(&all, "0\r\n\r\n");
	talk_say(fd, buf_str(&all));
	buf_free(&all);
	got = hear_all(fd);
	assert_true(str_ends(got, STR("x\r\n0\r\n\r\n")));
	assert_in_range(count(got, "\r\n"), 8, 200);
}

static void test_head_and_no_content(void **state)
{
	struct str got = talk(STR("HEAD /head HTTP/1.1\r\n" CLOSE "\r\n"));

	(void)state;
	assert_has(got, "Content-Length: 12345\r\n");
	assert_true(str_ends(got, STR("\r\n\r\n")));
	got = talk(STR("HEAD / HTTP/1.1\r\n" CLOSE "\r\n"));
	assert_has(got, "Content-Length: 5\r\n");
	assert_true(str_ends(got, STR("\r\n\r\n")));
}

static void test_continue(void **state)
{
	int fd = dial();
	char line[64];
	struct str got;

	(void)state;
	talk_say(fd, STR("POST /echo HTTP/1.1\r\n" CLOSE
			 "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"));
	assert_int_equal(recv(fd, line, 25, MSG_WAITALL), 25);
	assert_memory_equal(line, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	talk_say(fd, STR("xyz"));
	got = hear_all(fd);
	assert_true(str_ends(got, STR("xyz")));
	/* Refused before the body: no 100, and the connection ends. */
	got = talk(STR("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: "
		       "5000\r\n\r\n"));
	assert_true(str_starts(got, STR("HTTP/1.1 413 ")));
	got = talk(STR("POST /early HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: "
		       "5\r\n\r\n"));
	assert_true(str_starts(got, STR("HTTP/1.1 403 ")));
	assert_has(got, "Connection: close");
}

static void test_too_large(void **state)
{
	static char big[4096];
	int fd = dial();
	struct str got;

	(void)state;
	memset(big, 'x', sizeof(big));
	talk_say(fd, STR("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
			 "chunked\r\n\r\n1000\r\n"));
	talk_say(fd, str_of(big, sizeof(big)));
	got = hear_all(fd);
	assert_true(str_starts(got, STR("HTTP/1.1 413 ")));
}

static void test_bad_requests(void **state)
{
	(void)state;
	assert_true(str_starts(talk(STR("GET / HTTP/1.1\nHost: a\n\n")), STR("HTTP/1.1 400 ")));
	assert_true(str_starts(talk(STR("GET / HTTP/1.1\r\n\r\n")), STR("HTTP/1.1 400 ")));
	assert_true(str_starts(talk(STR("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
					"chunked\r\n\r\nzz\r\n")),
			       STR("HTTP/1.1 400 ")));
	/* Bytes for a tunnel are no requests: one answer, then the end. */
	struct str refused = talk(STR("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"
				      "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));

	assert_true(str_starts(refused, STR("HTTP/1.1 501 ")));
	assert_true(str_find(str_skip(refused, 9), STR("HTTP/1.1")) < 0);
}

static void test_timeouts(void **state)
{
	struct str got = talk(STR("GET / HT"));

	(void)state;
	assert_true(str_starts(got, STR("HTTP/1.1 408 ")));
	got = talk(STR("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"));
	assert_true(str_starts(got, STR("HTTP/1.1 408 ")));
}

/* A stream has its time for each piece, a body in memory for each 16 KiB: not for single bytes. */
static void test_time_for_a_body(void **state)
{
	static const struct {
		uint64_t seen;
		size_t n;
		bool earns;
	} cases[] = {
		{0, 0, false},
		{0, 1, false},
		{0, 16383, false},
		{0, 16384, true},
		{16383, 0, false},
		{16383, 1, true},
		{16384, 1, false},
		{16384, 16383, false},
		{16384, 16384, true},
		{1, 16384, true},
		{0, 1000000, true},
		{(uint64_t)1 << 40, 16383, false},
		{((uint64_t)1 << 40) - 1, 1, true},
	};
	struct exchange x = {0};
	unsigned earned = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		x.body_seen = cases[i].seen;
		x.collecting = true;
		assert_int_equal(exchange_earns_time(&x, cases[i].n), cases[i].earns);
		x.collecting = false;
		assert_true(exchange_earns_time(&x, cases[i].n));
	}
	x.collecting = true;
	for (x.body_seen = 0; x.body_seen < 100000; x.body_seen += 7) {
		earned += exchange_earns_time(&x, 7);
	}
	assert_int_equal(earned, 100000 / 16384);
}

static void test_early_answer_keeps_connection(void **state)
{
	struct str got =
		talk(STR("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"
			 "GET / HTTP/1.1\r\n" CLOSE "\r\n"));

	(void)state;
	assert_true(str_starts(got, STR("HTTP/1.1 403 ")));
	assert_has(got, "HTTP/1.1 200 OK");
}

static void test_streamed(void **state)
{
	struct str got =
		talk(STR("POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd"
			 "GET / HTTP/1.1\r\n" CLOSE "\r\n"));

	(void)state;
	assert_has(got, "Transfer-Encoding: chunked\r\n");
	assert_has(got, "\r\n0\r\n\r\nHTTP/1.1 200");
	/* HTTP/1.0 knows no chunks: until the connection ends. */
	got = talk(STR("POST /stream HTTP/1.0\r\nContent-Length: 4\r\n\r\nabcd"));
	assert_int_equal(count(got, "Transfer-Encoding"), 0);
	assert_true(str_ends(got, STR("\r\n\r\nabcd")));
}

/* A body of another length than announced must not let the client misread what follows. */
static void test_announced_length_is_kept(void **state)
{
	int fd = dial();
	char text[512];
	ssize_t n;

	(void)state;
	assert_true(str_ends(talk(STR("GET /measured?bc HTTP/1.1\r\n" CLOSE "\r\n")), STR("abc")));
	assert_true(
		str_ends(talk(STR("HEAD /measured?b HTTP/1.1\r\n" CLOSE "\r\n")), STR("\r\n\r\n")));
	for (int i = 0; i < 2; i++) {
		struct str wrong = i == 0 ? STR("GET /measured?b HTTP/1.1\r\nHost: a\r\n\r\n")
					  : STR("GET /measured?bcd HTTP/1.1\r\nHost: a\r\n\r\n");

		talk_say(fd, wrong);
		do {
			n = recv(fd, text, sizeof(text), 0);
		} while (n > 0);
		/* More than announced: what went out before may be all that was. */
		assert_int_equal(n < 0 ? errno : 0, i == 0 ? 0 : ECONNRESET);
		(void)close(fd);
		fd = dial();
	}
	(void)close(fd);
}

static void hear(int fd, size_t n)
{
	static char text[64 << 10];

	while (n > 0) {
		ssize_t got = recv(fd, text, MIN(n, sizeof(text)), 0);

		assert_true(got > 0);
		n -= (size_t)got;
	}
}

static void test_a_deadline_ends_with_its_answer(void **state)
{
	uint64_t begun = clock_mono_ns();
	int fd = dial();
	char c = 0;

	(void)state;
	talk_say(fd, STR("GET /late HTTP/1.1\r\nHost: a\r\n\r\n"));
	while (c != '\n' || recv(fd, &c, 1, MSG_PEEK) != 1 || c != '\r') {
		assert_int_equal(recv(fd, &c, 1, 0), 1);
	}
	hear(fd, 2 + 20000);
	talk_say(fd, STR("GET /much HTTP/1.1\r\n" CLOSE "\r\n"));
	hear(fd, 1);
	while (clock_mono_ns() - begun < 100000000) {
		(void)talk(STR("GET / HTTP/1.1\r\n" CLOSE "\r\n"));
	}
	hear(fd, sizeof(much));
	assert_true(str_ends(hear_all(fd), STR("\0")));
}

static void test_hijack(void **state)
{
	struct str got = talk(STR("GET /hijack HTTP/1.1\r\nHost: a\r\n\r\nbehind"));

	(void)state;
	assert_str(got, STR("raw:behind"));
}

/* What was taken over counts until it is released. */
static void test_limit_counts_hijacked(void **state)
{
	struct http_limits lim = http_limits_default;
	struct http_server *server;
	struct fault f = {0};
	struct loops one;
	struct str got;
	uint16_t port;
	char raw[3];
	int fd;

	(void)state;
	lim.connections_max = 1; /* of each loop */
	assert_ok(loops_start(&one, 1, &f));
	server = http_server_new(&lim, dispatch, &fx);
	port = serve_anywhere(server, &one);
	fd = talk_dial(port);
	talk_say(fd, STR("GET /tunnel HTTP/1.1\r\nHost: a\r\n\r\n"));
	assert_int_equal(recv(fd, raw, sizeof(raw), MSG_WAITALL), 3);
	got = hear_all(talk_dial(port));
	assert_has(got, "HTTP/1.1 503");
	(void)close(fd);
	do {
		fd = talk_dial(port);
		talk_say(fd, STR("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
		got = hear_all(fd);
	} while (!str_starts(got, STR("HTTP/1.1 200")));
	http_server_free(&server);
	loop_call(one.v[0], fini_loop, NULL);
	loops_join(&one);
	loops_free(&one);
}

static void test_client_gone(void **state)
{
	int before = fx.aborts;
	int fd = dial();

	(void)state;
	talk_say(fd, STR("POST /hang HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"));
	(void)close(fd);
	wait_for_aborts(before + 1);
	fd = dial();
	talk_say(fd, STR("POST /hang HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx"));
	(void)close(fd);
	wait_for_aborts(before + 2);
}

static void test_drain(void **state)
{
	int idle = dial();
	int busy = dial();
	int answered = dial();
	int begun = dial(); /* the answer, before the drain */
	int many;
	struct str got;

	(void)state;
	talk_say(answered, STR("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na"));
	talk_say(idle, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
	talk_say(busy, STR("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na"));
	talk_say(begun, STR("POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na"));
	while (http_server_active(fx.server) < 4) {
		sched_yield();
	}
	{
		char c;

		assert_int_equal(recv(idle, &c, 1, 0), 1);     /* answered: idle now */
		assert_int_equal(recv(answered, &c, 1, 0), 1); /* but for the end of a body */
		assert_int_equal(recv(begun, &c, 1, 0), 1);
	}
	turns.drains = true;
	many = pipeline(HTTP_HEADS_PER_TURN, TURN TURN);
	while (!turns.waits) {
		(void)sched_yield();
	}
	http_server_drain(fx.server, 0);
	got = hear_all(many);
	assert_int_equal(count(got, "HTTP/1.1 200"), HTTP_HEADS_PER_TURN + 1);
	assert_int_equal(count(got, "Connection: close"), 1);
	got = hear_all(idle);
	assert_true(str_ends(got, STR("hello")));
	talk_say(answered, STR("b"));
	(void)hear_all(answered);
	talk_say(begun, STR("b"));
	got = hear_all(begun);
	assert_int_equal(str_find(got, STR("Connection: close")), -1);
	assert_true(str_ends(got, STR("0\r\n\r\n")));
	talk_say(busy, STR("b"));
	got = hear_all(busy);
	assert_has(got, "Connection: close");
	assert_true(str_ends(got, STR("ab")));
	while (http_server_active(fx.server) > 0) {
		sched_yield();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple),
		cmocka_unit_test(test_pipelining),
		cmocka_unit_test(test_others_have_their_turn),
		cmocka_unit_test(test_many_then_the_end),
		cmocka_unit_test(test_many_then_another_protocol),
		cmocka_unit_test(test_many_then_a_reset),
		cmocka_unit_test(test_trailers),
		cmocka_unit_test(test_answer_in_the_last_piece),
		cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_tiny_chunks),
		cmocka_unit_test(test_head_and_no_content),
		cmocka_unit_test(test_continue),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_time_for_a_body),
		cmocka_unit_test(test_early_answer_keeps_connection),
		cmocka_unit_test(test_streamed),
		cmocka_unit_test(test_announced_length_is_kept),
		cmocka_unit_test(test_a_deadline_ends_with_its_answer),
		cmocka_unit_test(test_hijack),
		cmocka_unit_test(test_limit_counts_hijacked),
		cmocka_unit_test(test_client_gone),
		cmocka_unit_test(test_drain), /* last: nothing is accepted after it */
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
