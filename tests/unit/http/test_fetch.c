#include "http/client.h"
#include "script_server.h"

struct result {
	struct loop *loop;
	struct buf text;
	unsigned calls;
};

static void on_result(void *arg, const struct http_fetch_result *r)
{
	struct result *out = arg;

	out->calls++;
	buf_printf(&out->text, "%s %d %.*s", err_name(r->err), r->status, STR_ARG(r->body));
	loop_stop(out->loop);
}

static void expect(const char *reply, enum step_then then, size_t max, const char *want)
{
	const struct step steps[] = {{reply, then}, {0}};
	struct loop *l = loop_new(0);
	struct http_client_options o = http_client_options_default;
	struct result got = {.loop = l};
	struct script_server server;
	struct http_client *c;

	o.proxy_from_env = false;
	c = http_client_new(l, &o);
	script_open(&server, l, steps);
	struct http_call_spec spec = {
		.uri = {.host = STR("127.0.0.1"), .port = server.port, .path = STR("/")},
		.method = STR("GET"),
	};
	assert_non_null(http_fetch_start(c, &spec, max, on_result, &got));
	loop_run(l);
	assert_int_equal(got.calls, 1);
	assert_str(buf_str(&got.text), str_c(want));
	http_client_free(&c);
	script_close(&server);
	loop_free(&l);
	buf_free(&got.text);
}

#define HEAD "HTTP/1.1 200 OK\r\n"

static void test_results(void **state)
{
	(void)state;
	expect(HEAD "Content-Length: 5\r\n\r\nhello", KEEP, 5, "ok 200 hello");
	expect(HEAD "\r\nhello", CLOSE, 5, "ok 200 hello");
	expect(HEAD "Content-Length: 6\r\n\r\nhello!", KEEP, 5, "limit exceeded 200 ");
	expect(HEAD "Transfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n0\r\n\r\n", KEEP, 5,
	       "limit exceeded 200 ");
	expect(HEAD "Content-Length: 9\r\n\r\nhello", CLOSE, 99, "protocol error 200 hello");
	expect("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", KEEP, 5, "ok 404 ");
}

static void test_cancel(void **state)
{
	struct loop *l = loop_new(0);
	struct http_client *c = http_client_new(l, &http_client_options_default);
	struct result got = {.loop = l};
	struct http_call_spec spec = {
		.uri = {.host = STR("127.0.0.1"), .port = 1, .path = STR("/")},
		.method = STR("GET"),
	};
	struct http_fetch *f = http_fetch_start(c, &spec, 5, on_result, &got);

	(void)state;
	http_fetch_cancel(f);
	http_fetch_cancel(NULL);
	http_client_free(&c);
	loop_free(&l);
	assert_int_equal(got.calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
