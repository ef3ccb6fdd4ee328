/* What one call may do to others on its connection to a service over HTTP/2. */
#include "http/h2_peer.h"
#include "http/h2_record.h"

/* ---- a window that is used up ---- */

enum { WINDOW = 65535 };

static struct record hog, posted, asked, streamed;
static struct fixture *crowded;
static size_t full_at;

static void start_hog(struct fixture *f, size_t bytes)
{
	static char body[WINDOW + 1];

	f->spec.method = STR("POST");
	f->spec.body_kind = HTTP_CALL_MEM;
	f->spec.body = str_of(body, bytes);
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
	expect(&streamed, "fail out of descriptors, ports or memory");
	assert_int_equal(v.connections, 1);
	peer_close(&v);
	tear_down_client(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_window),
		cmocka_unit_test(test_crowded_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
