/*
 * A client and a server of one process, without an address between them. The test makes calls
 * on the loop's own thread and waits for their ends.
 */
#include "base/mem.h"
#include "http/client.h"
#include "http/server_int.h"
#include "http_role.h"
#include "unit.h"

#include <errno.h>
#include <semaphore.h>
#include <time.h>

struct fixture {
	struct loops loops;
	struct http_server *server;
	struct http_client *client;
};

struct call {
	struct fixture *f;
	struct http_call_spec spec;
	struct http_call *call;
	uint64_t upload, left; /* of a streamed request body */
	bool slow;	       /* reads in small gulps, with pauses ... */
	uint32_t pause_ms;     /* ... this long; 0 = short ones */
	sem_t ended;
	/* read after the end */
	int status;
	uint64_t got;
	struct buf text; /* the first bytes */
	bool failed;
	enum err why;
	struct timer pause;
};

static void on_head(struct http_call *hc, const struct http_response *r)
{
	struct call *c = http_call_user(hc);

	c->status = r->status;
}

static void on_gulped(struct timer *t)
{
	http_call_resume(container_of(t, struct call, pause)->call);
}

static void on_data(struct http_call *hc, struct str data)
{
	struct call *c = http_call_user(hc);

	c->got += data.n;
	if (c->text.n < 1000) {
		buf_put(&c->text, str_slice(data, 0, MIN(data.n, 1000)));
	}
	if (c->slow) {
		http_call_pause(hc);
		timer_start(http_client_loop(c->f->client), &c->pause, MAX(c->pause_ms, 1u),
			    on_gulped);
	}
}

static void end(struct call *c)
{
	timer_stop(http_client_loop(c->f->client), &c->pause);
	c->call = NULL;
	(void)sem_post(&c->ended);
}

static void on_end(struct http_call *hc)
{
	end(http_call_user(hc));
}

static void on_fail(struct http_call *hc, enum err why)
{
	struct call *c = http_call_user(hc);

	c->failed = true;
	c->why = why;
	end(c);
}

static void write_more(struct http_call *hc)
{
	struct call *c = http_call_user(hc);

	while (c->left > 0 && http_call_pending(hc) < STREAM_HIGH_WATER) {
		size_t n = (size_t)MIN(c->left, (uint64_t)PIECE);

		http_call_write(hc, str_of(page, n));
		c->left -= n;
	}
	if (c->left == 0 && c->upload > 0) {
		c->upload = 0;
		http_call_finish(hc);
	}
}

static const struct http_call_handler events = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_fail = on_fail,
	.on_sent = write_more,
	.on_writable = write_more,
};

static void run_call(struct loop *l, void *arg)
{
	struct call *c = arg;

	(void)l;
	c->call = http_call_start(c->f->client, &c->spec, &events, c);
}

static void prepare(struct fixture *f, struct call *c, struct str method, struct str path)
{
	c->f = f;
	c->spec = (struct http_call_spec){
		.uri = {.host = STR("role"), .port = 80, .path = STR("/")},
		.method = method,
		.path_query = path,
		.body_kind = c->upload > 0 ? HTTP_CALL_CHUNKED : HTTP_CALL_NO_BODY,
		.server = f->server,
		.speaks_for = c->spec.speaks_for,
		.fd = -1,
	};
	c->left = c->upload;
	assert_int_equal(sem_init(&c->ended, 0, 0), 0);
}

static void begin(struct fixture *f, struct call *c, struct str method, struct str path)
{
	prepare(f, c, method, path);
	loop_call(f->loops.v[0], run_call, c);
}

static void await_end(struct call *c)
{
	struct timespec by;

	(void)clock_gettime(CLOCK_REALTIME, &by);
	by.tv_sec += 20;
	while (sem_timedwait(&c->ended, &by) != 0) {
		assert_int_equal(errno, EINTR);
	}
}

static void finish(struct call *c)
{
	(void)sem_destroy(&c->ended);
	buf_free(&c->text);
}

static void expect(struct fixture *f, struct str method, struct str path, int status,
		   struct str text)
{
	struct call c = {.slow = false};

	begin(f, &c, method, path);
	await_end(&c);
	assert_false(c.failed);
	assert_int_equal(c.status, status);
	assert_str(buf_str(&c.text), text);
	finish(&c);
}

static void make_client(struct loop *l, void *arg)
{
	struct fixture *f = arg;

	f->client = http_client_new(l, &http_client_options_default);
}

static void drop_client(struct loop *l, void *arg)
{
	struct fixture *f = arg;

	(void)l;
	http_client_free(&f->client);
}

static void set_up(struct fixture *f, const struct http_limits *limits, dispatch_fn *dispatch)
{
	struct fault fault;

	*f = (struct fixture){.server = NULL};
	assert_ok(loops_start(&f->loops, 1, &fault));
	f->server = http_server_new(limits, dispatch, f);
	http_server_serve(f->server, &f->loops);
	loop_call(f->loops.v[0], make_client, f);
}

static void tear_down(struct fixture *f)
{
	loop_call(f->loops.v[0], drop_client, f);
	http_server_free(&f->server);
	loops_join(&f->loops);
	http_server_loop_fini(f->loops.v[0]);
	loops_free(&f->loops);
}

/* ---- tests ---- */

static void test_calls_share_a_connection(void **state)
{
	struct http_server_stats st;
	struct fixture f;

	(void)state;
	set_up(&f, NULL, http_role_dispatch);
	for (int i = 0; i < 10; i++) {
		expect(&f, STR("GET"), STR("/"), 200, STR("hello"));
	}
	expect(&f, STR("POST"), STR("/early"), 403, STR_NULL);
	http_server_stats(f.server, &st);
	assert_int_equal(st.connections_total, 1);
	assert_int_equal(st.connections, 1);
	assert_int_equal(st.requests_total, 11);
	assert_null(http_server_addr(f.server, 0));
	tear_down(&f);
}

static void download(struct fixture *f, struct str path, bool slow, uint64_t n)
{
	struct call c = {.slow = slow};

	begin(f, &c, STR("GET"), path);
	await_end(&c);
	assert_false(c.failed);
	assert_int_equal(c.got, n);
	finish(&c);
}

static void test_large_answers(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, NULL, http_role_dispatch);
	download(&f, STR("/big?50000000"), false, 50000000);
	download(&f, STR("/big?5000000"), true, 5000000);
	download(&f, STR("/mem?1000000"), true, 1000000);
	download(&f, STR("/file?3000000"), true, 3000000);
	tear_down(&f);
}

/* How long a client in the process reads nothing is no affair of the server. */
static void test_patience(void **state)
{
	struct http_limits limits = http_limits_default;
	struct call open = {.slow = true, .pause_ms = 100}, closing = open;
	struct fixture f;

	(void)state;
	limits.write_timeout_ms = 20;
	set_up(&f, &limits, http_role_dispatch);
	begin(&f, &open, STR("GET"), STR("/big?300000"));
	http_server_drain(f.server, 0);
	begin(&f, &closing, STR("GET"), STR("/mem?300000"));
	await_end(&open);
	await_end(&closing);
	assert_false(open.failed);
	assert_int_equal(open.got, 300000);
	assert_false(closing.failed);
	assert_int_equal(closing.got, 300000);
	finish(&open);
	finish(&closing);
	tear_down(&f);
}

static void test_large_requests(void **state)
{
	struct call up = {.upload = 20000000}, back = {.upload = 3000000, .slow = true};
	struct fixture f;

	(void)state;
	set_up(&f, NULL, http_role_dispatch);
	begin(&f, &up, STR("POST"), STR("/count"));
	begin(&f, &back, STR("POST"), STR("/stream"));
	await_end(&up);
	await_end(&back);
	assert_str(buf_str(&up.text), STR("20000000"));
	assert_false(back.failed);
	assert_int_equal(back.got, 3000000);
	finish(&up);
	finish(&back);
	tear_down(&f);
}

static void close_and_run(struct loop *l, void *arg)
{
	struct call *c = arg;
	struct list_node *idle = list_first(&c->f->server->per_loop[0].conns);

	conn_close(container_of(idle, struct conn, node));
	run_call(l, c);
}

/* Its end is on the way: what cannot be sent again does not go there. */
static void test_ended_while_idle(void **state)
{
	struct call c = {.upload = 10};
	struct http_server_stats st;
	struct fixture f;

	(void)state;
	set_up(&f, NULL, http_role_dispatch);
	expect(&f, STR("GET"), STR("/"), 200, STR("hello"));
	prepare(&f, &c, STR("POST"), STR("/count"));
	loop_call(f.loops.v[0], close_and_run, &c);
	await_end(&c);
	assert_false(c.failed);
	assert_str(buf_str(&c.text), STR("10"));
	http_server_stats(f.server, &st);
	assert_int_equal(st.connections_total, 2);
	finish(&c);
	tear_down(&f);
}

static void tell_peer(struct exchange *x, void *role)
{
	char ip[ADDR_TEXT_MAX];

	(void)role;
	assert_true(exchange_is_in_process(x));
	assert_false(exchange_is_tls(x));
	assert_int_equal(addr_port(exchange_local(x)), 0);
	exchange_reply_text(x, 200, STR("text/plain"),
			    str_of(ip, addr_format_ip(exchange_peer(x), ip)));
}

/* Each request says for whom it is, also on a kept connection. */
static void test_peer(void **state)
{
	static const char *const names[] = {"192.0.2.1:5", "[2001:db8::5]:6", NULL, "192.0.2.2:7"};
	static const char *const told[] = {"192.0.2.1", "2001:db8::5", "", "192.0.2.2"};
	struct fixture f;

	(void)state;
	set_up(&f, NULL, tell_peer);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct call c = {.slow = false};
		struct addr a;

		if (names[i]) {
			assert_ok(addr_parse(str_c(names[i]), &a));
			c.spec.speaks_for = &a;
		}
		begin(&f, &c, STR("GET"), STR("/"));
		await_end(&c);
		assert_str(buf_str(&c.text), str_c(told[i]));
		finish(&c);
	}
	tear_down(&f);
}

static void test_limit_of_connections(void **state)
{
	struct http_limits limits = http_limits_default;
	struct call waits = {.slow = false};
	struct http_server_stats st;
	struct fixture f;

	(void)state;
	limits.connections_max = 1;
	set_up(&f, &limits, http_role_dispatch);
	waits.upload = 10;
	begin(&f, &waits, STR("POST"), STR("/hang"));
	expect(&f, STR("GET"), STR("/"), 503, STR_NULL);
	http_server_stats(f.server, &st);
	assert_int_equal(st.connections, 1);
	loop_call(f.loops.v[0], drop_client, &f);
	finish(&waits);
	while (http_server_active(f.server) > 0) {
		loops_quiesce(&f.loops);
	}
	tear_down(&f);
}

/* Drained: what is idle closes, what comes is answered and closes behind it. */
static void test_drain(void **state)
{
	struct call waits = {.upload = 10};
	struct fixture f;

	(void)state;
	set_up(&f, NULL, http_role_dispatch);
	expect(&f, STR("GET"), STR("/"), 200, STR("hello"));
	begin(&f, &waits, STR("POST"), STR("/hang"));
	expect(&f, STR("GET"), STR("/"), 200, STR("hello"));
	assert_int_equal(http_server_active(f.server), 2);
	http_server_drain(f.server, 0);
	assert_int_equal(http_server_active(f.server), 1);
	expect(&f, STR("GET"), STR("/"), 200, STR("hello"));
	while (http_server_active(f.server) > 1) {
		loops_quiesce(&f.loops);
	}
	http_server_free(&f.server);
	await_end(&waits);
	assert_true(waits.failed);
	assert_err(waits.why, ERR_IO);
	finish(&waits);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_share_a_connection),
		cmocka_unit_test(test_large_answers),
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_large_requests),
		cmocka_unit_test(test_ended_while_idle),
		cmocka_unit_test(test_peer),
		cmocka_unit_test(test_limit_of_connections),
		cmocka_unit_test(test_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
