/* Calls over HTTP/2: against our own server, then against a peer that writes frames by hand. */
#include "http/h2_peer.h"
#include "http/h2_record.h"
#include "http/http_role.h"
#include "serve.h"

static void set_up(struct fixture *f)
{
	struct fault fault = {0};

	*f = (struct fixture){0};
	assert_ok(loops_start(&f->loops, 1, &fault));
	f->server = http_server_new(NULL, http_role_dispatch, NULL);
	set_up_client(f, serve_as(f->server, &f->loops, (struct http_listen){.http2 = true}));
}

static void fini_loop(struct loop *l, void *arg)
{
	(void)arg;
	http_server_loop_fini(l);
}

static void tear_down(struct fixture *f)
{
	tear_down_client(f);
	http_server_free(&f->server);
	loop_call(f->loops.v[0], fini_loop, NULL);
	loops_join(&f->loops);
	loops_free(&f->loops);
}

/* ---- with our own server ---- */

static void test_simple(void **state)
{
	struct fixture f;
	struct record r = {0}, head = {0};

	(void)state;
	set_up(&f);
	start(&f, &r, STR("/"));
	f.spec.method = STR("HEAD");
	start(&f, &head, STR("/"));
	loop_run(f.loop);
	expect(&r, "200 hello end");
	expect(&head, "200 end");
	assert_int_equal(connects(&f), 1);
	tear_down(&f);
}

static void test_many_share(void **state)
{
	enum { N = 300 };
	static struct record r[N];
	struct fixture f;

	(void)state;
	memset(r, 0, sizeof(r));
	set_up(&f);
	for (size_t i = 0; i < N; i++) {
		start(&f, &r[i], STR("/"));
	}
	loop_run(f.loop);
	for (size_t i = 0; i < N; i++) {
		expect(&r[i], "200 hello end");
	}
	/* 100 before the server has said how many it takes, then 128. */
	assert_in_range(connects(&f), 1, 3);
	tear_down(&f);
}

static void test_bodies(void **state)
{
	struct fixture f;
	struct record echoed = {0}, counted = {0}, early = {0}, bulk = {.quiet = true};
	static char body[300000];

	(void)state;
	set_up(&f);
	start(&f, &bulk, STR("/big?3000000"));
	f.spec.method = STR("POST");
	f.spec.body_kind = HTTP_CALL_MEM;
	f.spec.body = STR("some words");
	start(&f, &echoed, STR("/echo"));
	f.spec.body_kind = HTTP_CALL_CHUNKED;
	counted.to_write = 3000000;
	start(&f, &counted, STR("/count"));
	write_more(&counted);
	f.spec.body_kind = HTTP_CALL_MEM;
	f.spec.body = str_of(body, sizeof(body));
	start(&f, &early, STR("/early"));
	loop_run(f.loop);
	expect(&echoed, "200 some words end");
	expect(&counted, "200 3000000 end");
	expect(&early, "403 end");
	expect(&bulk, "200 end");
	assert_int_equal(bulk.bytes, 3000000);
	tear_down(&f);
}

static void test_trailers(void **state)
{
	struct fixture f;
	struct record down = {0}, only = {0}, up = {0};
	struct http_header te = {STR("TE"), STR("trailers")}, sum = {STR("Sum"), STR("7")};

	(void)state;
	set_up(&f);
	f.spec.headers = &te;
	f.spec.n_headers = 1;
	start(&f, &down, STR("/trailers"));
	start(&f, &only, STR("/only"));
	f.spec.method = STR("POST");
	f.spec.body_kind = HTTP_CALL_CHUNKED;
	start(&f, &up, STR("/stream"));
	http_call_write(up.call, STR("x"));
	http_call_finish_trailers(up.call, &sum, 1);
	loop_run(f.loop);
	expect(&down, "200 body grpc-status=0 end");
	expect(&only, "200 end");
	expect(&up, "200 x sum=7 end");
	tear_down(&f);
}

static struct timer pause_timer;
static struct record *paused;

static void on_hold_over(struct timer *t)
{
	(void)t;
	/* What came meanwhile is held, not handed over; the peer was stopped by its window. */
	assert_int_equal(paused->bytes, 0);
	http_call_resume(paused->call);
}

static void pause_for_a_while(struct record *r)
{
	paused = r;
	http_call_pause(r->call);
	timer_start(r->f->loop, &pause_timer, 30, on_hold_over);
}

static void test_pause(void **state)
{
	struct fixture f;
	struct record bulk = {.quiet = true, .on_head = pause_for_a_while}, other = {.quiet = true};

	(void)state;
	set_up(&f);
	start(&f, &bulk, STR("/big?2000000"));
	start(&f, &other, STR("/big?2000000"));
	loop_run(f.loop);
	timer_stop(f.loop, &pause_timer);
	assert_int_equal(bulk.bytes, 2000000);
	assert_int_equal(other.bytes, 2000000);
	expect(&bulk, "200 end");
	expect(&other, "200 end");
	tear_down(&f);
}

static void pause_for_good(struct record *r)
{
	http_call_pause(r->call);
}

/* Together they hold more than a window of the connection would be. */
static void test_paused_calls_hold_up_no_other(void **state)
{
	enum { PAUSED = 6 };
	struct fixture f;
	struct record held[PAUSED], other = {.quiet = true};

	(void)state;
	set_up(&f);
	for (size_t i = 0; i < PAUSED; i++) {
		held[i] = (struct record){.quiet = true, .on_head = pause_for_good};
		start(&f, &held[i], STR("/big?2000000"));
	}
	f.running = 0; /* the others are not waited for */
	start(&f, &other, STR("/big?4000000"));
	loop_run(f.loop);
	assert_int_equal(other.bytes, 4000000);
	expect(&other, "200 end");
	assert_int_equal(connects(&f), 1);
	for (size_t i = 0; i < PAUSED; i++) {
		http_call_cancel(held[i].call);
		expect(&held[i], "200 ");
	}
	tear_down(&f);
}

/* All of an answer came, and its stream ended, before it was wanted. */
static void test_pause_to_the_end(void **state)
{
	struct http_header te = {STR("TE"), STR("trailers")};
	static const struct {
		struct str path;
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{STR_INIT("/big?1"), 1, "200 end"},
		{STR_INIT("/big?100000"), 100000, "200 end"},
		{STR_INIT("/big?262144"), 262144, "200 end"},
		{STR_INIT("/trailers"), 4, "200 grpc-status=0 end"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fixture f;
		struct record r = {.quiet = true, .on_head = pause_for_a_while};

		expected = cases[i].text;
		set_up(&f);
		f.spec.headers = &te;
		f.spec.n_headers = 1;
		start(&f, &r, cases[i].path);
		loop_run(f.loop);
		timer_stop(f.loop, &pause_timer);
		assert_int_equal(r.bytes, cases[i].bytes);
		expect(&r, cases[i].text);
		tear_down(&f);
	}
}

static void cancel(struct record *r)
{
	http_call_cancel(r->call);
	over(r);
}

static void test_cancel(void **state)
{
	struct fixture f;
	struct record gone = {.quiet = true, .on_head = cancel}, stays = {.quiet = true},
		      at_once = {0};

	(void)state;
	set_up(&f);
	start(&f, &stays, STR("/big?1000000"));
	start(&f, &gone, STR("/big?100000000"));
	start(&f, &at_once, STR("/"));
	http_call_cancel(at_once.call);
	over(&at_once);
	loop_run(f.loop);
	expect(&stays, "200 end");
	expect(&gone, "200 ");
	assert_int_equal(connects(&f), 1);
	tear_down(&f);
}

static void free_client(struct record *r)
{
	http_client_free(&r->f->client);
	r->f->running = 1;
	over(r);
}

static void test_free_in_callback(void **state)
{
	struct fixture f;
	struct record a = {.on_head = free_client}, b = {.quiet = true};

	(void)state;
	set_up(&f);
	start(&f, &a, STR("/"));
	start(&f, &b, STR("/big?1000000"));
	loop_run(f.loop);
	buf_free(&a.text);
	buf_free(&b.text);
	tear_down(&f);
}

static void free_client_at_the_end(struct record *r)
{
	http_client_free(&r->f->client);
	r->f->running = 1;
}

/* The end of a stream ends its connection, and with it the stream. */
static void test_free_at_the_end(void **state)
{
	static const struct step steps[] = {
		{STEP(SETTINGS)}, {STEP(FRAME("\4", "\3", "\0", "\1") CODE("\2"))}, {0}};
	struct fixture f = {0};
	struct record a = {.on_over = free_client_at_the_end}, b = {0};
	struct peer v;

	(void)state;
	set_up_client(&f, 0);
	f.spec.uri.port = peer_open(&v, f.loop, steps);
	start(&f, &a, STR("/"));
	start(&f, &b, STR("/"));
	loop_run(f.loop);
	expect(&a, "fail input/output error");
	expect(&b, "");
	peer_close(&v);
	tear_down_client(&f);
}

static void test_timeout(void **state)
{
	struct fixture f;
	struct record hung = {0}, r = {0};

	(void)state;
	set_up(&f);
	start(&f, &r, STR("/"));
	f.spec.timeout_ms = 50;
	f.spec.method = STR("POST");
	f.spec.body_kind = HTTP_CALL_CHUNKED;
	start(&f, &hung, STR("/hang"));
	loop_run(f.loop);
	expect(&r, "200 hello end");
	expect(&hung, "fail timeout");
	tear_down(&f);
}

static void test_cannot_connect(void **state)
{
	struct fixture f;
	struct record a = {0}, b = {0};

	(void)state;
	set_up(&f);
	f.spec.uri.port = 1;
	start(&f, &a, STR("/"));
	start(&f, &b, STR("/"));
	loop_run(f.loop);
	expect(&a, "fail unavailable unsent");
	expect(&b, "fail unavailable unsent");
	tear_down(&f);
}

/* ---- with a peer that says what a test wants ---- */

static void play(const struct step *steps, struct str method, size_t piece)
{
	struct fixture f = {0};
	struct peer v;
	struct record r = {0};

	set_up_client(&f, 0);
	f.spec.uri.port = peer_open(&v, f.loop, steps);
	f.spec.method = method;
	v.piece = piece;
	expected = steps[0].record;
	start(&f, &r, STR("/"));
	loop_run(f.loop);
	expect(&r, steps[0].record);
	assert_int_equal(v.connections, steps[0].connections);
	peer_close(&v);
	tear_down_client(&f);
}

/* One answer each; the peer keeps the connection open. */
static const struct step answers[] = {
	{STEP(SETTINGS OK_ALONE), .record = "200 end", .connections = 1},
	{STEP(SETTINGS OK_HEAD FRAME("\2", "\0", "\1", "\1") "hi"), .record = "200 hi end",
	 .connections = 1},
	{STEP(SETTINGS FRAME("\5", "\1", "\4", "\1") "\x08\x03"
						     "103" OK_ALONE),
	 .record = "200 end", .connections = 1},
	{STEP(SETTINGS OK_HEAD FRAME("\1", "\0", "\0", "\1") "x" FRAME("\6", "\1", "\5",
								       "\1") "\0\1a\2bc"),
	 .record = "200 x a=bc end", .connections = 1},
	/* reset by the peer */
	{STEP(SETTINGS OK_HEAD FRAME("\4", "\3", "\0", "\1") CODE("\x8")),
	 .record = "200 fail input/output error", .connections = 1},
	{STEP(SETTINGS FRAME("\4", "\3", "\0", "\1") CODE("\2")),
	 .record = "fail input/output error", .connections = 1},
	{STEP(SETTINGS OK_HEAD FRAME("\4", "\3", "\0", "\1") CODE("\0")),
	 .record = "200 fail protocol error", .connections = 1},
	/* malformed: a length that is not kept, framing fields, trailers that frame, no status */
	{STEP(SETTINGS FRAME("\5", "\1", "\4", "\1") "\x88\x0f\x0d\1"
						     "3" FRAME("\1", "\0", "\1", "\1") "x"),
	 .record = "200 x fail protocol error", .connections = 1},
	{STEP(SETTINGS FRAME("\x11", "\1", "\5", "\1") "\x88\0\x0a"
						       "connection\3abc"),
	 .record = "fail protocol error", .connections = 1},
	{STEP(SETTINGS OK_HEAD FRAME("\4", "\1", "\5", "\1") "\x0f\x0d\1"
							     "3"),
	 .record = "200 fail protocol error", .connections = 1},
	{STEP(SETTINGS OK_HEAD FRAME("\1", "\0", "\0", "\1") "x" FRAME("\4", "\1", "\5",
								       "\1") "\x0f\x0d\1"
									     "3"),
	 .record = "200 x fail protocol error", .connections = 1},
	{STEP(SETTINGS FRAME("\6", "\1", "\5", "\1") "\0\1a\2bc"), .record = "fail protocol error",
	 .connections = 1},
	{STEP(SETTINGS FRAME("\5", "\1", "\5", "\1") "\x08\x03"
						     "101"),
	 .record = "fail protocol error", .connections = 1},
	/* a value with a line end, which it is we who reset */
	{STEP(SETTINGS FRAME("\7", "\1", "\5", "\1") "\x88\0\1a\2b\n"),
	 .record = "fail protocol error", .connections = 1},
	/* no HTTP/2 at all, a push, an empty line */
	{STEP("HTTP/1.1 400 Bad Request\r\n\r\n"), .record = "fail protocol error",
	 .connections = 1},
	{STEP(SETTINGS FRAME("\0", "\4", "\1", "\0") FRAME("\5", "\5", "\4", "\1") "\0\0\0\2\x82"),
	 .record = "fail protocol error", .connections = 1},
};

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		const struct step steps[] = {answers[i], {0}};

		for (size_t piece = 0; piece <= 4; piece++) {
			play(steps, STR("GET"), piece);
		}
	}
}

/* So many fields that the rest is not read: it is we who reset the stream. */
static void test_fields_beyond_measure(void **state)
{
	enum { FIELDS = 1000 };
	struct buf b = {0};
	struct step steps[] = {{.record = "fail protocol error", .connections = 1}, {0}};

	(void)state;
	buf_put(&b, str_of(SETTINGS, sizeof(SETTINGS) - 1));
	buf_putc(&b, 0);
	buf_putc(&b, (FIELDS + 1) >> 8);
	buf_putc(&b, (char)((FIELDS + 1) & 0xff));
	buf_put(&b, str_of("\1\4\0\0\0\1\x88", 7));
	for (int i = 0; i < FIELDS; i++) {
		buf_putc(&b, '\x8f'); /* "accept-charset" of the static table */
	}
	steps[0].bytes = b.p;
	steps[0].n = b.n;
	play(steps, STR("GET"), 0);
	buf_free(&b);
}

static void test_sent_again(void **state)
{
	const struct step refused[] = {{STEP(SETTINGS FRAME("\4", "\3", "\0", "\1") CODE("\7")),
					.record = "200 end", .connections = 1},
				       {STEP(FRAME("\1", "\1", "\5", "\3") "\x88")},
				       {0}};
	const struct step goaway[] = {
		{STEP(SETTINGS FRAME("\x8", "\7", "\0", "\0") CODE("\0") CODE("\0")),
		 .record = "200 end", .connections = 2},
		{STEP(SETTINGS OK_ALONE)},
		{0}};
	const struct step twice[] = {{STEP(SETTINGS FRAME("\4", "\3", "\0", "\1") CODE("\7")),
				      .record = "fail unavailable unsent refused",
				      .connections = 1},
				     {STEP(FRAME("\4", "\3", "\0", "\3") CODE("\7"))},
				     {0}};
	const struct step cut[] = {{STEP(SETTINGS), .close = true,
				    .record = "fail input/output error", .connections = 1},
				   {0}};

	(void)state;
	/* Not looked at, says the peer: any method may go again, once. */
	play(refused, STR("POST"), 0);
	play(goaway, STR("POST"), 0);
	play(twice, STR("GET"), 0);
	play(cut, STR("GET"), 0);
}

static void on_hold_over_cancel(struct timer *t)
{
	struct record *r = paused;

	(void)t;
	http_call_cancel(r->call);
	over(r);
}

static void pause_and_cancel(struct record *r)
{
	paused = r;
	http_call_pause(r->call);
	timer_start(r->f->loop, &pause_timer, 30, on_hold_over_cancel);
}

/* The same with the connection gone as well: what has come is complete. */
static void test_pause_beyond_the_connection(void **state)
{
	static const struct step steps[] = {
		{STEP(SETTINGS OK_HEAD FRAME("\1", "\0", "\0", "\1") "x" FRAME(
			 "\6", "\1", "\5", "\1") "\0\1a\2bc" FRAME("\4", "\3", "\0", "\1")
			      CODE("\0")),
		 .close = true},
		{0}};
	const struct {
		void (*on_head)(struct record *r);
		const char *text;
	} cases[] = {{pause_for_a_while, "200 x a=bc end"}, {pause_and_cancel, "200 "}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fixture f = {0};
		struct peer v;
		struct record r = {.on_head = cases[i].on_head};

		expected = cases[i].text;
		set_up_client(&f, 0);
		f.spec.uri.port = peer_open(&v, f.loop, steps);
		start(&f, &r, STR("/"));
		loop_run(f.loop);
		timer_stop(f.loop, &pause_timer);
		expect(&r, cases[i].text);
		peer_close(&v);
		tear_down_client(&f);
	}
}

enum { GIVEN_UP = 400 };

static struct record given_up[GIVEN_UP], asks_on;
static struct later give_up_later;
static size_t n_given_up;

static void on_give_up(struct later *w);

static void give_up_when_out(struct record *r)
{
	loop_next_turn(r->f->loop, &give_up_later, on_give_up);
}

static void start_next(struct fixture *f)
{
	if (n_given_up < GIVEN_UP) {
		given_up[n_given_up].on_sent = give_up_when_out;
		start(f, &given_up[n_given_up], STR("/"));
	} else {
		start(f, &asks_on, STR("/"));
	}
}

static void on_give_up(struct later *w)
{
	struct record *r = &given_up[n_given_up++];

	(void)w;
	http_call_cancel(r->call);
	r->f->running--;
	start_next(r->f);
}

/*
 * Many clients share a connection: that some of them give up ends it for nobody. Before its peer
 * could take them for a flood, the others go on over another one.
 */
static void test_cancels_cost_nothing(void **state)
{
	static struct step steps[GIVEN_UP + 3];
	struct fixture f = {0};
	struct peer v;
	struct record waits = {0};

	(void)state;
	n_given_up = 0;
	for (size_t i = 0; i <= GIVEN_UP; i++) {
		steps[i] = i == 0 ? (struct step){STEP(SETTINGS)} : (struct step){STEP("")};
	}
	steps[GIVEN_UP + 1] = (struct step){STEP(SETTINGS OK_ALONE)};
	set_up_client(&f, 0);
	f.spec.uri.port = peer_open(&v, f.loop, steps);
	start(&f, &waits, STR("/"));
	f.running = 0; /* it is not waited for */
	start_next(&f);
	loop_run(f.loop);
	expect(&asks_on, "200 end");
	assert_int_equal(waits.text.n, 0);
	http_call_cancel(waits.call);
	assert_int_equal(v.connections, 1 + GIVEN_UP / 100);
	peer_close(&v);
	tear_down_client(&f);
}

static struct record second;

static void start_second(struct record *r)
{
	start(r->f, &second, STR("/"));
}

/* As many as a service says that reads an upload of 20 MB in pieces of 8 KiB. */
static void test_window_updates_cost_nothing(void **state)
{
	enum { UPDATES = 2500 };
	static const char update[] = FRAME("\4", "\x8", "\0", "\0") "\0\0\0\1";
	static const char rest[] = OK_ALONE;
	struct buf b = {0};
	struct step steps[] = {{.record = "200 end", .connections = 1}, {0}};

	(void)state;
	buf_put(&b, str_of(SETTINGS, 9));
	for (size_t i = 0; i < UPDATES; i++) {
		buf_put(&b, str_of(update, sizeof(update) - 1));
	}
	buf_put(&b, str_of(rest, sizeof(rest) - 1));
	steps[0].bytes = b.p;
	steps[0].n = b.n;
	play(steps, STR("GET"), 0);
	buf_free(&b);
}

/* A GOAWAY that counts our stream in: it is answered, and the next call goes elsewhere. */
static void test_goaway_after(void **state)
{
	const struct step steps[] = {
		{STEP(SETTINGS FRAME("\x8", "\7", "\0", "\0") CODE("\1") CODE("\0") OK_ALONE)},
		{STEP(SETTINGS OK_ALONE)},
		{0}};
	struct fixture f = {0};
	struct peer v;
	struct record a = {.on_over = start_second};

	(void)state;
	second = (struct record){0};
	set_up_client(&f, 0);
	f.spec.uri.port = peer_open(&v, f.loop, steps);
	start(&f, &a, STR("/"));
	loop_run(f.loop);
	expect(&a, "200 end");
	expect(&second, "200 end");
	assert_int_equal(v.connections, 2);
	peer_close(&v);
	tear_down_client(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple),
		cmocka_unit_test(test_many_share),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_trailers),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_paused_calls_hold_up_no_other),
		cmocka_unit_test(test_pause_to_the_end),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_free_in_callback),
		cmocka_unit_test(test_free_at_the_end),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_cannot_connect),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_fields_beyond_measure),
		cmocka_unit_test(test_sent_again),
		cmocka_unit_test(test_pause_beyond_the_connection),
		cmocka_unit_test(test_cancels_cost_nothing),
		cmocka_unit_test(test_window_updates_cost_nothing),
		cmocka_unit_test(test_goaway_after),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
