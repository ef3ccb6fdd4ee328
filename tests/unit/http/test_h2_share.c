/* What one call may do to others on its connection to a service over HTTP/2. */
#include "http/h2_peer.h"
#include "http/h2_record.h"

/* ---- a window that is used up ---- */

enum { WINDOW = 65535 };

static struct record hog, posted, asked, streamed;
static struct fixture *crowded;
static size_t full_at;

static char page[WINDOW + 1];

static void start_hog(struct fixture *f, size_t bytes)
{
	f->spec.method = STR("POST");
	f->spec.body_kind = HTTP_CALL_MEM;
	f->spec.body = str_of(page, bytes);
	start(f, &hog, STR("/"));
}

static void on_window_full(struct peer *v)
{
	struct fixture *f = crowded;

	if (v->body_bytes != full_at) {
		return;
	}
	f->spec.body = STR("hi");
	start(f, &posted, STR("/"));
	f->spec.method = STR("GET");
	f->spec.body_kind = HTTP_CALL_NO_BODY;
	start(f, &asked, STR("/"));
}

static void beside_hog(size_t bytes)
{
	static const struct step steps[] = {{STEP(SETTINGS)},
					    {STEP(FRAME("\1", "\1", "\5", "\3") "\x88")},
					    {STEP(SETTINGS OK_ALONE)},
					    {0}};
	struct fixture f = {0};
	struct peer v;

	hog = posted = asked = (struct record){0};
	crowded = &f;
	full_at = MIN(bytes, WINDOW);
	expected = "the others are answered";
	set_up_client(&f, 0);
	f.spec.uri.port = peer_open(&v, f.loop, steps);
	v.on_body = on_window_full;
	start_hog(&f, bytes);
	f.running = 0; /* it is not waited for */
	loop_run(f.loop);
	expect(&posted, "200 end");
	expect(&asked, "200 end");
	assert_int_equal(v.connections, 2);
	http_call_cancel(hog.call);
	peer_close(&v);
	tear_down_client(&f);
}

/*
 * One client's upload that a service does not read takes the window of the connection: bodies of
 * others go over another one, and what has none is not held up while that is opened. With less than
 * half of it left a service may give nothing back.
 */
static void test_full_window(void **state)
{
	(void)state;
	beside_hog(WINDOW + 1);
	beside_hog(WINDOW / 2 + 1);
}

static void on_window_full_write(struct peer *v)
{
	if (v->body_bytes == WINDOW) {
		http_call_write(streamed.call, STR("more"));
	}
}

/* A body that had begun waits, and that it cannot be sent is not the fault of the service. */
static void test_crowded_out(void **state)
{
	static const struct step steps[] = {{STEP(SETTINGS)}, {STEP("")}, {0}};
	struct fixture f = {0};
	struct peer v;

	(void)state;
	hog = streamed = (struct record){0};
	expected = "both give up";
	set_up_client(&f, 0);
	f.spec.uri.port = peer_open(&v, f.loop, steps);
	f.spec.method = STR("POST");
	f.spec.body_kind = HTTP_CALL_CHUNKED;
	f.spec.write_timeout_ms = 100;
	v.on_body = on_window_full_write;
	start(&f, &streamed, STR("/"));
	start_hog(&f, WINDOW + 1);
	loop_run(f.loop);
	expect(&hog, "fail timeout");
	expect(&streamed, "fail timeout crowded out");
	assert_int_equal(v.connections, 1);
	peer_close(&v);
	tear_down_client(&f);
}

static void write_a_part(struct record *r)
{
	http_call_write(r->call, str_of(page, 20000));
}

/* Where nobody has most of the window, it is the service that reads nothing. */
static void test_a_service_that_hangs(void **state)
{
	static const struct step steps[] = {
		{STEP(SETTINGS)}, {STEP("")}, {STEP("")}, {STEP("")}, {0}};
	struct record some[4] = {0};
	struct fixture f = {0};
	struct peer v;

	(void)state;
	expected = "the last one gives up";
	set_up_client(&f, 0);
	f.spec.uri.port = peer_open(&v, f.loop, steps);
	f.spec.method = STR("POST");
	f.spec.body_kind = HTTP_CALL_CHUNKED;
	f.spec.write_timeout_ms = 100;
	for (size_t i = 0; i < ARRAY_LEN(some); i++) {
		some[i].on_sent = write_a_part;
		start(&f, &some[i], STR("/"));
	}
	f.running = 1; /* the others have sent what they had */
	loop_run(f.loop);
	expect(&some[3], "fail timeout");
	for (size_t i = 0; i < 3; i++) {
		http_call_cancel(some[i].call);
	}
	assert_int_equal(v.connections, 1);
	peer_close(&v);
	tear_down_client(&f);
}

static struct record late[3];

static void on_window_full_alone(struct peer *v)
{
	struct fixture *f = crowded;

	if (v->body_bytes != WINDOW) {
		return;
	}
	(void)close(v->io.fd);
	io_remove(v->loop, &v->io);
	f->spec.body = STR("hi");
	for (size_t i = 0; i < ARRAY_LEN(late); i++) {
		start(f, &late[i], STR("/"));
	}
}

/* Who waits for a connection fails with it, and does not try to open it after the other. */
static void test_no_other_connection(void **state)
{
	static const struct step steps[] = {{STEP(SETTINGS)}, {0}};
	struct fixture f = {0};
	struct peer v;

	(void)state;
	hog = (struct record){0};
	crowded = &f;
	expected = "the others fail";
	set_up_client(&f, 0);
	f.spec.uri.port = peer_open(&v, f.loop, steps);
	v.on_body = on_window_full_alone;
	start_hog(&f, WINDOW + 1);
	f.running = 0; /* it is not waited for */
	loop_run(f.loop);
	for (size_t i = 0; i < ARRAY_LEN(late); i++) {
		expect(&late[i], "fail unavailable unsent");
	}
	assert_int_equal(connects(&f), 2);
	http_call_cancel(hog.call);
	peer_close(&v);
	tear_down_client(&f);
}

/* ---- a head that is too large ---- */

#define GOAWAY(last, code) FRAME("\x8", "\7", "\0", "\0") CODE(last) CODE(code)

enum { LARGE = 10000 };

static struct record large, small;

static void start_large(struct fixture *f, struct record *r)
{
	static char value[LARGE];
	struct http_header big = {STR("x-big"), str_of(value, sizeof(value))};

	memset(value, 'x', sizeof(value));
	f->spec.headers = &big;
	f->spec.n_headers = 1;
	start(f, r, STR("/"));
	f->spec.headers = NULL;
	f->spec.n_headers = 0;
}

static void then_small(struct record *r)
{
	start(r->f, &small, STR("/"));
}

static void then_large(struct record *r)
{
	large.on_over = then_small;
	start_large(r->f, &large);
}

static void set_up_with_peer(struct fixture *f, struct peer *v, const struct step *steps)
{
	asked = large = small = (struct record){0};
	*f = (struct fixture){0};
	set_up_client(f, 0);
	f->spec.uri.port = peer_open(v, f->loop, steps);
}

/* The peer has said how much it takes: it never sees what is more. */
static void test_head_beyond_what_was_said(void **state)
{
	static const struct step steps[] = {
		{STEP(FRAME("\6", "\4", "\0", "\0") "\0\6\0\0\x20\0" OK_ALONE)},
		{STEP(FRAME("\1", "\1", "\5", "\3") "\x88")},
		{0}};
	struct fixture f;
	struct peer v;

	(void)state;
	set_up_with_peer(&f, &v, steps);
	asked.on_over = then_large;
	start(&f, &asked, STR("/"));
	loop_run(f.loop);
	expect(&asked, "200 end");
	expect(&large, "fail invalid unsent too large");
	expect(&small, "200 end");
	assert_int_equal(v.connections, 1);
	peer_close(&v);
	tear_down_client(&f);
}

/* And within it there is nothing to fear. */
static void test_large_head_that_is_welcome(void **state)
{
	static const struct step steps[] = {
		{STEP(FRAME("\6", "\4", "\0", "\0") "\0\6\0\1\0\0" OK_HEAD)},
		{STEP(FRAME("\1", "\1", "\5", "\3") "\x88")},
		{STEP(FRAME("\1", "\1", "\5", "\5") "\x88" FRAME("\0", "\0", "\1", "\1"))},
		{0}};
	struct fixture f;
	struct peer v;

	(void)state;
	set_up_with_peer(&f, &v, steps);
	asked.on_head = then_large;
	start(&f, &asked, STR("/"));
	loop_run(f.loop);
	expect(&asked, "200 end");
	expect(&large, "200 end");
	expect(&small, "200 end");
	assert_int_equal(v.connections, 1);
	peer_close(&v);
	tear_down_client(&f);
}

/* It has not: a head that may end a connection has it alone, before others come and beside them. */
static void test_large_head_ends_its_own_connection(void **state)
{
	static const struct step ends[][6] = {
		{{STEP(SETTINGS OK_HEAD)},
		 {STEP(SETTINGS GOAWAY("\1", "\1")), .close = true},
		 {STEP(FRAME("\1", "\1", "\5", "\3") "\x88" FRAME("\0", "\0", "\1", "\1"))},
		 {0}},
		{{STEP(SETTINGS OK_HEAD)},
		 {STEP(SETTINGS GOAWAY("\0", "\xb")), .close = true},
		 {STEP(FRAME("\1", "\1", "\5", "\3") "\x88" FRAME("\0", "\0", "\1", "\1"))},
		 {0}},
		{{STEP(SETTINGS OK_HEAD)},
		 {STEP(SETTINGS FRAME("\4", "\3", "\0", "\1") CODE("\xb"))},
		 {STEP(FRAME("\1", "\1", "\5", "\3") "\x88" FRAME("\0", "\0", "\1", "\1"))},
		 {0}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct fixture f;
		struct peer v;

		set_up_with_peer(&f, &v, ends[i]);
		asked.on_head = then_large;
		start(&f, &asked, STR("/"));
		loop_run(f.loop);
		expect(&asked, "200 end");
		expect(&large, "fail invalid too large");
		expect(&small, "200 end");
		assert_int_equal(v.connections, 2);
		peer_close(&v);
		tear_down_client(&f);
	}
}

/* Nobody waits for its connection while that is opened; when it is over anybody may go there. */
static void test_large_head_alone(void **state)
{
	static const struct step steps[] = {{STEP(SETTINGS OK_ALONE)},
					    {STEP(SETTINGS OK_ALONE)},
					    {STEP(SETTINGS OK_ALONE)},
					    {STEP(FRAME("\1", "\1", "\5", "\3") "\x88")},
					    {0}};
	struct fixture f;
	struct peer v;

	(void)state;
	set_up_with_peer(&f, &v, steps);
	start_large(&f, &large);
	start_large(&f, &asked);
	start(&f, &small, STR("/"));
	loop_run(f.loop);
	expect(&large, "200 end");
	expect(&asked, "200 end");
	expect(&small, "200 end");
	assert_int_equal(v.connections, 3);
	small = (struct record){0};
	start(&f, &small, STR("/"));
	loop_run(f.loop);
	expect(&small, "200 end");
	assert_int_equal(v.connections, 3);
	peer_close(&v);
	tear_down_client(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_window),
		cmocka_unit_test(test_crowded_out),
		cmocka_unit_test(test_a_service_that_hangs),
		cmocka_unit_test(test_no_other_connection),
		cmocka_unit_test(test_head_beyond_what_was_said),
		cmocka_unit_test(test_large_head_that_is_welcome),
		cmocka_unit_test(test_large_head_ends_its_own_connection),
		cmocka_unit_test(test_large_head_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
