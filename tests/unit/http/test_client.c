#include "http/client_int.h"
#include "script_server.h"

/*
 * One test = a script for the peer, some calls one after the other, and the record
 * of all callbacks: "200 [hello] end|" or "fail 6|".
 */
struct fixture {
	struct loop *loop;
	struct http_client *client;
	struct script_server server;
	struct http_call_spec spec;
	struct http_call *call;
	unsigned calls; /* still to be made */
	struct buf record;
	struct timer guard;
	struct timer pause;
	void (*on_piece)(struct fixture *f); /* a hook of the test */
	bool pieces;			     /* record every piece of body apart */
	bool in_body;
	bool linger; /* does not stop at the last end: the test does */
};

static void start(struct fixture *f);

static void on_guard(struct timer *t)
{
	(void)t;
	fail_msg("nothing happened for 10 s");
}

static void next(struct fixture *f)
{
	buf_putc(&f->record, '|');
	f->in_body = false;
	f->call = NULL;
	if (--f->calls > 0) {
		start(f);
	} else if (!f->linger) {
		loop_stop(f->loop);
	}
}

static void on_head(struct http_call *c, const struct http_response *r)
{
	struct fixture *f = http_call_user(c);

	buf_printf(&f->record, "%d ", r->status);
}

static void on_data(struct http_call *c, struct str data)
{
	struct fixture *f = http_call_user(c);

	if (f->pieces || !f->in_body) {
		buf_putc(&f->record, '[');
	}
	f->in_body = true;
	buf_put(&f->record, data);
	if (f->pieces) {
		buf_putc(&f->record, ']');
	}
	if (f->on_piece) {
		f->on_piece(f);
	}
}

static void close_body(struct fixture *f)
{
	if (f->in_body && !f->pieces) {
		buf_puts(&f->record, "] ");
	}
}

static void on_end(struct http_call *c)
{
	struct fixture *f = http_call_user(c);

	close_body(f);
	buf_puts(&f->record, "end");
	next(f);
}

static void on_fail(struct http_call *c, enum err why)
{
	struct fixture *f = http_call_user(c);

	assert_true(why != ERR_UNAVAILABLE || !http_call_was_sent(c));
	assert_true(why != ERR_PROTO || http_call_was_sent(c));
	close_body(f);
	buf_printf(&f->record, "fail %s", err_name(why));
	next(f);
}

static void on_upgrade(struct http_call *c, const struct http_response *r, struct stream *s,
		       struct str early)
{
	struct fixture *f = http_call_user(c);

	buf_printf(&f->record, "%d upgrade <%.*s>", r->status, STR_ARG(early));
	stream_abort(s);
	next(f);
}

static const struct http_call_handler events = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_fail = on_fail,
	.on_upgrade = on_upgrade,
};

static void start(struct fixture *f)
{
	f->call = http_call_start(f->client, &f->spec, &events, f);
}

static void set_up(struct fixture *f, const struct http_client_options *o, const struct step *steps)
{
	*f = (struct fixture){.calls = 1};
	f->loop = loop_new(0);
	f->client = http_client_new(f->loop, o);
	script_open(&f->server, f->loop, steps);
	f->spec = (struct http_call_spec){
		.uri = {.host = STR("127.0.0.1"), .port = f->server.port, .path = STR("/")},
		.method = STR("GET"),
		.fd = -1,
	};
	timer_start(f->loop, &f->guard, 10000, on_guard);
}

static void run(struct fixture *f)
{
	start(f);
	loop_run(f->loop);
}

static void tear_down(struct fixture *f)
{
	http_client_free(&f->client);
	script_close(&f->server);
	timer_stop(f->loop, &f->guard);
	timer_stop(f->loop, &f->pause);
	loop_free(&f->loop);
	buf_free(&f->record);
}

static struct http_client_options options(void)
{
	struct http_client_options o = http_client_options_default;

	o.proxy_from_env = false;
	return o;
}

static void expect(const struct step *steps, const char *method, unsigned calls, size_t piece,
		   const char *record, unsigned connections)
{
	struct http_client_options o = options();
	struct fixture f;

	set_up(&f, &o, steps);
	f.server.piece = piece;
	f.spec.method = str_c(method);
	f.calls = calls;
	run(&f);
	buf_putc(&f.record, 0);
	assert_string_equal(f.record.p, record);
	if (connections) {
		assert_int_equal(f.server.connections, connections);
	}
	tear_down(&f);
}

#define OK5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

/* ---- answers ---- */

struct answer {
	const char *reply;
	enum step_then then;
	const char *record;
	const char *method;
};

static const struct answer answers[] = {
	{OK5, KEEP, "200 [hello] end|", "GET"},
	{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", KEEP, "200 end|", "GET"},
	{CHUNKED "5\r\nhello\r\n0\r\n\r\n", KEEP, "200 [hello] end|", "GET"},
	{CHUNKED "2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n", KEEP, "200 [hello] end|", "GET"},
	{"HTTP/1.1 200 OK\r\n\r\nhello", CLOSE, "200 [hello] end|", "GET"},
	{"HTTP/1.0 200 OK\r\n\r\n", CLOSE, "200 end|", "GET"},
	{"HTTP/1.1 204 No Content\r\n\r\n", KEEP, "204 end|", "GET"},
	{"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", KEEP, "304 end|", "GET"},
	{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", KEEP, "200 end|", "HEAD"},
	{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" OK5, KEEP,
	 "200 [hello] end|", "GET"},
	/* cut */
	{"", CLOSE, "fail input/output error|", "GET"},
	{"HTTP/1.1 200 OK\r\nContent-Le", CLOSE, "fail input/output error|", "GET"},
	{"HTTP/1.1 100 Continue\r\n\r\n", CLOSE, "fail input/output error|", "GET"},
	{"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", CLOSE,
	 "200 [hello] fail protocol error|", "GET"},
	{CHUNKED "5\r\nhello\r\n", CLOSE, "200 [hello] fail protocol error|", "GET"},
	{CHUNKED "5\r\nhello\r\n0\r\n", CLOSE, "200 [hello] fail protocol error|", "GET"},
	/* ambiguous or broken */
	{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", KEEP,
	 "fail protocol error|", "GET"},
	{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", KEEP,
	 "fail protocol error|", "GET"},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", KEEP,
	 "fail protocol error|", "GET"},
	{"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", KEEP, "fail protocol error|", "GET"},
	{CHUNKED "x\r\n", KEEP, "200 fail protocol error|", "GET"},
	{CHUNKED "5\r\nhelloX\r\n", KEEP, "200 [hello] fail protocol error|", "GET"},
	{CHUNKED "ffffffffffffffff\r\n", KEEP, "200 fail protocol error|", "GET"},
	{"SSH-2.0-OpenSSH_9.2\r\n\r\n", KEEP, "fail protocol error|", "GET"},
	{"HTTP/1.1 101 Switching Protocols\r\n\r\n", KEEP, "fail protocol error|", "GET"},
};

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		const struct answer *a = &answers[i];
		const struct step steps[] = {{a->reply, a->then}, {0}};

		for (size_t piece = 0; piece <= 3; piece++) {
			expect(steps, a->method, 1, piece, a->record, 1);
		}
	}
}

/* In two pieces, split everywhere. */
static void test_every_split(void **state)
{
	static const char reply[] = CHUNKED "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
	const struct step steps[] = {{reply, KEEP}, {0}};

	(void)state;
	for (size_t at = 1; at < sizeof(reply); at++) {
		expect(steps, "GET", 1, at, "200 [hello] end|", 1);
	}
}

/* Bytes behind an answer: not the answer to the next call, whenever they come. */
static void test_garbage_behind(void **state)
{
	static const char *const bad[] = {
		OK5 "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		"HTTP/1.1 204 No Content\r\n\r\nx",
		("HTTP/1.1 304 Not Modified\r\n\r\n" OK5),
	};
	const struct step chunked[] = {{CHUNKED "5\r\nhello\r\n0\r\n\r\nx", KEEP}, {0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct step steps[] = {{bad[i], KEEP}, {OK5, KEEP}, {0}};

		expect(steps, "GET", 2, 0, "fail protocol error|200 [hello] end|", 2);
	}
	expect(chunked, "GET", 1, 0, "200 [hello] fail protocol error|", 1);
}

/* The same, late: the connection is idle when the bytes come, and goes. */
static void on_server_closed(struct script_server *v)
{
	loop_stop(v->loop);
}

static void test_garbage_on_idle(void **state)
{
	const struct step steps[] = {{OK5 "HTTP/1.1 200 OK\r\n", KEEP}, {0}};
	struct http_client_options o = options();
	struct http_client_stats stats;
	struct fixture f;

	(void)state;
	set_up(&f, &o, steps);
	f.server.piece = sizeof(OK5) - 1; /* the rest comes a turn later */
	f.server.on_closed = on_server_closed;
	f.linger = true;
	run(&f);
	assert_str(buf_str(&f.record), STR("200 [hello] end|"));
	http_client_stats(f.client, &stats);
	assert_int_equal(stats.connections, 0);
	assert_int_equal(stats.idle, 0);
	tear_down(&f);
}

/* An answer of one line of `line` bytes and `more` others; `record` is what becomes of it. */
static void expect_of_head(size_t line, unsigned more, const char *record)
{
	struct buf b = {0};
	struct step steps[] = {{0}, {0}};

	buf_puts(&b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nLocation: ");
	for (size_t n = strlen("Location: "); n < line; n++) {
		buf_putc(&b, 'x');
	}
	buf_puts(&b, "\r\n");
	for (unsigned i = 0; i < more; i++) {
		buf_printf(&b, "X-%u: y\r\n", i);
	}
	buf_puts(&b, "\r\n");
	buf_putc(&b, 0);
	steps[0].reply = b.p;
	expect(steps, "GET", 1, 0, record, 1);
	buf_free(&b);
}

/* What a request may hold fits into an answer that repeats it, with more around it. */
static void test_limits(void **state)
{
	struct buf b = {0};
	struct step steps[] = {{0}, {0}};

	(void)state;
	expect_of_head(65000, 0, "200 end|");
	expect_of_head(65536, 0, "fail limit exceeded|");
	expect_of_head(100, 198, "200 end|");
	expect_of_head(100, 199, "fail limit exceeded|");
	for (int i = 0; i < 20; i++) {
		buf_puts(&b, "HTTP/1.1 100 Continue\r\n\r\n");
	}
	buf_puts(&b, OK5);
	buf_putc(&b, 0);
	steps[0].reply = b.p;
	expect(steps, "GET", 1, 0, "fail protocol error|", 1);
	buf_free(&b);
}

/* ---- connections ---- */

static void test_keep_alive(void **state)
{
	const struct step kept[] = {{OK5, KEEP}, {CHUNKED "0\r\n\r\n", KEEP}, {OK5, KEEP}, {0}};
	const struct step closed[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", KEEP},
		{"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", KEEP},
		{OK5, KEEP},
		{0},
	};

	(void)state;
	expect(kept, "GET", 3, 0, "200 [hello] end|200 end|200 [hello] end|", 1);
	expect(closed, "GET", 3, 0, "200 end|200 end|200 [hello] end|", 3);
}

/* A kept connection that dies on the next request: sent again once, on a new one. */
static void test_sent_again(void **state)
{
	const struct step once[] = {{OK5, KEEP}, {NULL, CLOSE}, {OK5, KEEP}, {0}};
	const struct step reset[] = {{OK5, KEEP}, {NULL, RESET}, {OK5, KEEP}, {0}};
	const struct step twice[] = {{OK5, KEEP}, {NULL, CLOSE}, {NULL, CLOSE}, {OK5, KEEP}, {0}};
	const struct step partly[] = {{OK5, KEEP}, {"HTTP/1.1", CLOSE}, {OK5, KEEP}, {0}};

	(void)state;
	expect(once, "GET", 2, 0, "200 [hello] end|200 [hello] end|", 2);
	expect(reset, "GET", 2, 0, "200 [hello] end|200 [hello] end|", 2);
	expect(twice, "GET", 2, 0, "200 [hello] end|fail input/output error|", 2);
	expect(partly, "GET", 2, 0, "200 [hello] end|fail input/output error|", 1);
	/* Not idempotent: the peer may have acted on it. */
	expect(once, "POST", 2, 0, "200 [hello] end|fail input/output error|", 1);
}

/* A POST does not trust a connection that has been idle for long; a GET may be sent again. */
static void on_later_call(struct timer *t)
{
	struct fixture *f = container_of(t, struct fixture, pause);

	f->calls = 1;
	f->linger = false;
	start(f);
}

static void test_stale_connection(void **state)
{
	const struct step steps[] = {{OK5, KEEP}, {OK5, KEEP}, {0}};
	static const char *const methods[] = {"GET", "POST"};
	struct http_client_options o = options();

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(methods); i++) {
		struct fixture f;

		set_up(&f, &o, steps);
		f.spec.method = str_c(methods[i]);
		f.linger = true;
		timer_start(f.loop, &f.pause, 1100, on_later_call);
		run(&f);
		assert_int_equal(f.server.connections, 1 + i);
		tear_down(&f);
	}
}

static void test_memory_body_is_sent_again(void **state)
{
	const struct step steps[] = {{OK5, KEEP, 3}, {NULL, CLOSE, 3}, {OK5, KEEP, 3}, {0}};
	struct http_client_options o = options();
	struct fixture f;

	(void)state;
	set_up(&f, &o, steps);
	f.spec.method = STR("PUT");
	f.spec.body_kind = HTTP_CALL_MEM;
	f.spec.body = STR("abc");
	f.calls = 2;
	run(&f);
	assert_str(buf_str(&f.record), STR("200 [hello] end|200 [hello] end|"));
	assert_true(str_ends(buf_str(&f.server.got), STR("Content-Length: 3\r\n\r\nabc")));
	tear_down(&f);
}

static void test_idle_timeout(void **state)
{
	const struct step steps[] = {{OK5, KEEP}, {0}};
	struct http_client_options o = options();
	struct http_client_stats stats;
	struct fixture f;

	(void)state;
	o.idle_timeout_ms = 20;
	set_up(&f, &o, steps);
	f.server.on_closed = on_server_closed;
	f.linger = true;
	run(&f);
	http_client_stats(f.client, &stats);
	assert_int_equal(stats.connections, 0);
	assert_int_equal(stats.connects_total, 1);
	tear_down(&f);
}

static void test_connections_max(void **state)
{
	const struct step steps[] = {{OK5, KEEP}, {OK5, KEEP}, {OK5, CLOSE}, {OK5, KEEP}, {0}};
	struct http_client_options o = options();
	struct http_client_stats stats;
	struct fixture f;

	(void)state;
	o.connections_max = 1;
	set_up(&f, &o, steps);
	f.calls = 2; /* each of the three starts none more but the last */
	start(&f);
	start(&f);
	start(&f);
	http_client_stats(f.client, &stats);
	assert_int_equal(stats.waiting, 2);
	loop_run(f.loop);
	assert_true(f.server.connections >= 1);
	tear_down(&f);
}

/* However a host is spelt it is one origin, and once freed nobody finds it again. */
static void test_origins_are_forgotten(void **state)
{
	const struct step steps[] = {{0}};
	struct http_client_options o = options();
	struct fixture f;
	char lower[] = "a.example", upper[] = "A.EXAMPLE";

	(void)state;
	set_up(&f, &o, steps);
	for (char c = 'a'; c <= 'z'; c++) {
		struct client_route r = {.port = 80, .host = str_c(lower)};
		struct client_origin *origin;

		lower[0] = c;
		upper[0] = (char)(c - 'a' + 'A');
		origin = client_origin_get(f.client, &r);
		r.host = str_c(upper);
		assert_ptr_equal(client_origin_get(f.client, &r), origin);
		assert_ptr_equal(client_origin_get(f.client, &r), origin);
		r.port = 81;
		assert_ptr_not_equal(client_origin_get(f.client, &r), origin);
		client_origin_free(client_origin_get(f.client, &r));
		client_origin_free(origin);
		for (size_t i = 0; i < CLIENT_RECENT_ORIGINS; i++) {
			assert_null(f.client->recent[i]);
		}
	}
	tear_down(&f);
}

static void test_cannot_connect(void **state)
{
	const struct step steps[] = {{0}};
	struct http_client_options o = options();
	struct fixture f;

	(void)state;
	set_up(&f, &o, steps);
	f.spec.uri.port = 1;
	run(&f);
	assert_str(buf_str(&f.record), STR("fail unavailable|"));
	tear_down(&f);
}

static void test_peer(void **state)
{
	const struct step steps[] = {{OK5, KEEP}, {OK5, KEEP}, {0}};
	struct http_client_options o = options();
	struct fixture f;
	struct addr peer;

	(void)state;
	set_up(&f, &o, steps);
	assert_ok(addr_from_ip(STR("127.0.0.1"), f.server.port, &peer));
	f.spec.uri.host = STR("nowhere.invalid");
	f.spec.uri.port = 80;
	f.spec.peer = &peer;
	f.calls = 2;
	run(&f);
	assert_str(buf_str(&f.record), STR("200 [hello] end|200 [hello] end|"));
	assert_int_equal(f.server.connections, 1);
	assert_true(str_find(buf_str(&f.server.got), STR("Host: nowhere.invalid\r\n")) > 0);
	tear_down(&f);
}

/* The time to connect is also that of the TLS handshake. */
static void test_tls_to_silence(void **state)
{
	const struct step steps[] = {{0}};
	struct http_client_options o = options();
	struct fixture f;

	(void)state;
	o.connect_timeout_ms = 300;
	set_up(&f, &o, steps);
	f.spec.uri.tls = true;
	start(&f);
	assert_int_equal(f.record.n, 0); /* never before start has returned */
	loop_run(f.loop);
	assert_str(buf_str(&f.record), STR("fail timeout|"));
	tear_down(&f);
}

/* ---- time ---- */

static void test_timeouts(void **state)
{
	const struct step silent[] = {{0}};
	const struct step stuck[] = {{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel", KEEP},
				     {0}};
	struct http_client_options o = options();
	struct fixture f;

	(void)state;
	set_up(&f, &o, silent);
	f.spec.timeout_ms = 20;
	run(&f);
	assert_str(buf_str(&f.record), STR("fail timeout|"));
	tear_down(&f);
	set_up(&f, &o, stuck);
	f.spec.timeout_ms = 10000;
	f.spec.idle_timeout_ms = 20;
	run(&f);
	assert_str(buf_str(&f.record), STR("200 [hel] fail timeout|"));
	tear_down(&f);
}

/* ---- requests ---- */

static void test_request_text(void **state)
{
	static const struct http_header headers[] = {
		{STR_INIT("Host"), STR_INIT("example.org")},
		{STR_INIT("X-A"), STR_INIT("b")},
	};
	const struct step steps[] = {{OK5, KEEP}, {0}};
	struct http_client_options o = options();
	struct fixture f;

	(void)state;
	set_up(&f, &o, steps);
	f.spec.uri.path = STR("/a");
	f.spec.uri.query = STR("b=c");
	f.spec.headers = headers;
	f.spec.n_headers = 2;
	f.spec.close = true;
	run(&f);
	assert_str(buf_str(&f.server.got), STR("GET /a?b=c HTTP/1.1\r\nHost: example.org\r\n"
					       "X-A: b\r\nConnection: close\r\n\r\n"));
	tear_down(&f);
}

static void test_streamed_bodies(void **state)
{
	const struct step length[] = {{OK5, KEEP, 6}, {0}};
	const struct step chunked[] = {{OK5, KEEP, 22}, {0}};
	struct http_client_options o = options();
	struct fixture f;

	(void)state;
	set_up(&f, &o, length);
	f.spec.method = STR("POST");
	f.spec.body_kind = HTTP_CALL_LENGTH;
	f.spec.length = 6;
	start(&f);
	http_call_write(f.call, STR("abc"));
	assert_int_equal(http_call_pending(f.call), 3);
	http_call_write(f.call, STR("def"));
	http_call_finish(f.call);
	loop_run(f.loop);
	assert_true(str_ends(buf_str(&f.server.got), STR("Length: 6\r\n\r\nabcdef")));
	tear_down(&f);

	set_up(&f, &o, chunked);
	f.spec.method = STR("POST");
	f.spec.body_kind = HTTP_CALL_CHUNKED;
	start(&f);
	http_call_write(f.call, STR("abc"));
	http_call_write(f.call, STR("defg"));
	http_call_finish(f.call);
	loop_run(f.loop);
	assert_true(str_ends(buf_str(&f.server.got),
			     STR("chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")));
	tear_down(&f);
}

enum { MUCH = 2 * STREAM_HIGH_WATER };

static void write_the_last(struct http_call *c)
{
	struct fixture *f = http_call_user(c);

	if (f->spec.length > 0) {
		f->spec.length = 0;
		http_call_write(c, STR("z"));
		http_call_finish(c);
	}
}

/* Who wrote much before there was a connection is told when it is gone, as at any other time. */
static void test_streamed_body_before_the_connection(void **state)
{
	static const struct http_call_handler waits = {.on_head = on_head,
						       .on_data = on_data,
						       .on_end = on_end,
						       .on_fail = on_fail,
						       .on_writable = write_the_last};
	const struct step steps[] = {{OK5, KEEP, MUCH + 1}, {0}};
	struct http_client_options o = options();
	struct fixture f;
	char *p = mem_alloc(MUCH);

	(void)state;
	memset(p, 'y', MUCH);
	set_up(&f, &o, steps);
	f.spec.method = STR("POST");
	f.spec.body_kind = HTTP_CALL_LENGTH;
	f.spec.length = MUCH + 1;
	f.call = http_call_start(f.client, &f.spec, &waits, &f);
	http_call_write(f.call, str_of(p, MUCH));
	assert_true(http_call_pending(f.call) >= STREAM_HIGH_WATER);
	loop_run(f.loop);
	assert_str(buf_str(&f.record), STR("200 [hello] end|"));
	assert_true(str_ends(buf_str(&f.server.got), STR("yyyz")));
	tear_down(&f);
	mem_free(p);
}

static void test_file_body(void **state)
{
	const struct step steps[] = {{OK5, KEEP, 4}, {0}};
	struct http_client_options o = options();
	struct fixture f;
	char name[] = "/tmp/posthouse-test-XXXXXX";
	int fd = mkstemp(name);

	(void)state;
	assert_true(fd >= 0);
	(void)unlink(name);
	assert_int_equal(write(fd, "file", 4), 4);
	set_up(&f, &o, steps);
	f.spec.method = STR("PUT");
	f.spec.body_kind = HTTP_CALL_FILE;
	f.spec.fd = fd;
	f.spec.length = 4;
	run(&f);
	assert_true(str_ends(buf_str(&f.server.got), STR("Length: 4\r\n\r\nfile")));
	tear_down(&f);
}

/* Answered before the request was complete: the connection cannot be used again. */
static void test_early_answer(void **state)
{
	const struct step steps[] = {{OK5, KEEP}, {0}};
	struct http_client_options o = options();
	struct http_client_stats stats;
	struct fixture f;

	(void)state;
	set_up(&f, &o, steps);
	f.spec.method = STR("POST");
	f.spec.body_kind = HTTP_CALL_LENGTH;
	f.spec.length = 6;
	start(&f);
	http_call_write(f.call, STR("abc"));
	loop_run(f.loop);
	assert_str(buf_str(&f.record), STR("200 [hello] end|"));
	http_client_stats(f.client, &stats);
	assert_int_equal(stats.connections, 0);
	tear_down(&f);
}

/* ---- flow and endings ---- */

#define FIRST CHUNKED "2\r\nhe\r\n"
#define IN_TWO FIRST "3\r\nllo\r\n0\r\n\r\n"

static void pause_each(struct fixture *f)
{
	http_call_pause(f->call);
	http_call_resume(f->call);
}

static void test_pause(void **state)
{
	const struct step steps[] = {{IN_TWO, KEEP}, {0}};
	struct http_client_options o = options();
	struct fixture f;

	(void)state;
	set_up(&f, &o, steps);
	f.on_piece = pause_each;
	f.spec.idle_timeout_ms = 5000;
	f.pieces = true;
	f.server.piece = sizeof(FIRST) - 1;
	run(&f);
	assert_str(buf_str(&f.record), STR("200 [he][llo]end|"));
	tear_down(&f);
}

struct resumer {
	struct timer timer;
	struct fixture *f;
};
static struct resumer resumer;

static void on_resume(struct timer *t)
{
	(void)t;
	assert_str(buf_str(&resumer.f->record), STR("200 [he]"));
	resumer.f->on_piece = NULL;
	http_call_resume(resumer.f->call);
}

static void pause_for_long(struct fixture *f)
{
	http_call_pause(f->call);
	resumer.f = f;
	timer_start(f->loop, &resumer.timer, 30, on_resume);
}

/* The silence of a paused call is not the peer's. */
static void test_pause_for_long(void **state)
{
	const struct step steps[] = {{IN_TWO, KEEP}, {0}};
	struct http_client_options o = options();
	struct fixture f;

	(void)state;
	set_up(&f, &o, steps);
	f.on_piece = pause_for_long;
	f.spec.idle_timeout_ms = 10;
	f.pieces = true;
	f.server.piece = sizeof(FIRST) - 1;
	run(&f);
	assert_str(buf_str(&f.record), STR("200 [he][llo]end|"));
	tear_down(&f);
}

static void cancel_call(struct fixture *f)
{
	http_call_cancel(f->call);
	http_call_cancel(f->call);
	next(f);
}

static void free_client(struct fixture *f)
{
	http_client_free(&f->client);
	next(f);
}

static void test_cancel_in_callback(void **state)
{
	const struct step steps[] = {{IN_TWO, KEEP}, {0}};
	struct http_client_options o = options();
	struct fixture f;

	(void)state;
	set_up(&f, &o, steps);
	f.on_piece = cancel_call;
	f.pieces = true;
	f.server.piece = sizeof(FIRST) - 1;
	run(&f);
	assert_str(buf_str(&f.record), STR("200 [he]|"));
	tear_down(&f);
	set_up(&f, &o, steps);
	f.on_piece = free_client;
	f.pieces = true;
	f.server.piece = sizeof(FIRST) - 1;
	run(&f);
	assert_str(buf_str(&f.record), STR("200 [he]|"));
	tear_down(&f);
}

static void test_cancel_at_once(void **state)
{
	const struct step steps[] = {{OK5, KEEP}, {0}};
	struct http_client_options o = options();
	struct fixture f;

	(void)state;
	set_up(&f, &o, steps);
	start(&f);
	http_call_cancel(f.call);
	run(&f);
	assert_str(buf_str(&f.record), STR("200 [hello] end|"));
	tear_down(&f);
	set_up(&f, &o, steps);
	start(&f); /* the client goes with a call under way */
	tear_down(&f);
}

static void test_upgrade(void **state)
{
	const struct step yes[] = {
		{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nearly", KEEP}, {0}};
	const struct step no[] = {{"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", KEEP},
				  {0}};
	struct http_client_options o = options();
	struct fixture f;

	(void)state;
	set_up(&f, &o, yes);
	f.spec.upgrade = true;
	run(&f);
	assert_str(buf_str(&f.record), STR("101 upgrade <early>|"));
	assert_true(str_find(buf_str(&f.server.got), STR("\r\nConnection: Upgrade\r\n")) > 0);
	tear_down(&f);
	set_up(&f, &o, no);
	f.spec.upgrade = true;
	run(&f);
	assert_str(buf_str(&f.record), STR("403 end|"));
	tear_down(&f);
}

/* ---- proxies ---- */

static void use_proxy(struct fixture *f)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "http://us%%65r:pw@127.0.0.1:%u", f->server.port);
	assert_int_equal(setenv("http_proxy", text, 1), 0);
	http_client_free(&f->client);
	f->client = http_client_new(f->loop, &http_client_options_default);
	assert_int_equal(unsetenv("http_proxy"), 0);
	f->spec.uri = (struct uri){.host = STR("target.test"), .port = 80, .path = STR("/p")};
}

static void test_proxy(void **state)
{
	const struct step steps[] = {{OK5, KEEP}, {0}};
	struct fixture f;

	(void)state;
	set_up(&f, &http_client_options_default, steps);
	use_proxy(&f);
	run(&f);
	assert_str(buf_str(&f.server.got),
		   STR("GET http://target.test/p HTTP/1.1\r\nHost: target.test\r\n"
		       "Proxy-Authorization: Basic dXNlcjpwdw==\r\n\r\n"));
	tear_down(&f);
}

static void test_tunnel(void **state)
{
	const struct step yes[] = {{"HTTP/1.1 200 Connection established\r\n\r\n", KEEP},
				   {"HTTP/1.1 101 Switching Protocols\r\n\r\n", KEEP},
				   {0}};
	const struct step no[] = {{"HTTP/1.1 407 Nope\r\nContent-Length: 0\r\n\r\n", KEEP}, {0}};
	struct fixture f;

	(void)state;
	set_up(&f, &http_client_options_default, yes);
	use_proxy(&f);
	f.spec.upgrade = true;
	run(&f);
	assert_str(buf_str(&f.record), STR("101 upgrade <>|"));
	assert_true(str_starts(buf_str(&f.server.got),
			       STR("CONNECT target.test:80 HTTP/1.1\r\nHost: target.test:80\r\n"
				   "Proxy-Authorization: Basic dXNlcjpwdw==\r\n\r\nGET /p ")));
	tear_down(&f);
	set_up(&f, &http_client_options_default, no);
	use_proxy(&f);
	f.spec.upgrade = true;
	run(&f);
	assert_str(buf_str(&f.record), STR("fail unavailable|"));
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_garbage_behind),
		cmocka_unit_test(test_garbage_on_idle),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_keep_alive),
		cmocka_unit_test(test_sent_again),
		cmocka_unit_test(test_stale_connection),
		cmocka_unit_test(test_memory_body_is_sent_again),
		cmocka_unit_test(test_idle_timeout),
		cmocka_unit_test(test_connections_max),
		cmocka_unit_test(test_origins_are_forgotten),
		cmocka_unit_test(test_cannot_connect),
		cmocka_unit_test(test_peer),
		cmocka_unit_test(test_tls_to_silence),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_request_text),
		cmocka_unit_test(test_streamed_bodies),
		cmocka_unit_test(test_streamed_body_before_the_connection),
		cmocka_unit_test(test_file_body),
		cmocka_unit_test(test_early_answer),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_pause_for_long),
		cmocka_unit_test(test_cancel_in_callback),
		cmocka_unit_test(test_cancel_at_once),
		cmocka_unit_test(test_upgrade),
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_tunnel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
