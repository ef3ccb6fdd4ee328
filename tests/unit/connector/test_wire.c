#include "unit.h"

#include "connector/wire.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

/* The record of the specification, members in any order. */
static const char request[] =
	"{\"arguments\":[{\"requestId\":\"6f1c0000-0000-4000-8000-000000000001\","
	"\"requestOriginId\":\"0b520000-0000-4000-8000-000000000002\",\"acknowledgeMode\":2,"
	"\"acknowledgeOriginId\":null,\"target\":\"erp\",\"tenantName\":\"Branch1\","
	"\"httpMethod\":\"POST\",\"url\":\"api/x?y=1\","
	"\"httpHeaders\":{\"Host\":[\"relay.example\"],\"Accept\":[\"*/*\"],\"X\":[\"1\",\"2\"]},"
	"\"originalBodySize\":5,\"bodySize\":5,\"bodyContent\":\"SGVsbG8=\","
	"\"enableTracing\":true,\"discardConnectorResponse\":false}],"
	"\"target\":\"requesttarget\",\"type\":1,\"headers\":{}}";

static void a_request_is_read(void **state)
{
	(void)state;
	struct wire_record r;
	struct http_headers h = {0};

	assert_ok(wire_parse(&arena, STR(request), &r));
	assert_int_equal(r.kind, WIRE_REQUEST);
	assert_str(guid_d_str(&arena, &r.request.id), STR("6f1c0000-0000-4000-8000-000000000001"));
	assert_int_equal(r.request.ack_mode, WIRE_ACK_FINISHED);
	assert_str(r.request.target, STR("erp"));
	assert_str(r.request.method, STR("POST"));
	assert_str(r.request.url, STR("api/x?y=1"));
	assert_str(r.request.body, STR("SGVsbG8="));
	assert_int_equal(r.request.body_size, 5);
	assert_true(r.request.trace);
	assert_false(r.request.discard);
	assert_ok(wire_read_headers(&arena, r.request.headers, &h));
	assert_int_equal(h.n, 3);
	assert_str(h.v[0].name, STR("Accept"));
	assert_str(h.v[2].value, STR("2"));
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	struct wire_record r;

	for (size_t n = 0; n < sizeof(request) - 1; n++) {
		assert_err(wire_parse(&arena, str_of(request, n), &r), ERR_PROTO);
	}
}

static void records_by_kind(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum wire_kind kind;
	} cases[] = {
		{"{\"type\":6}", WIRE_PING},
		{"{\"type\":7}", WIRE_CLOSE},
		{"{\"type\":9}", WIRE_OTHER},
		{"{\"type\":3,\"invocationId\":\"7\",\"result\":null}", WIRE_COMPLETION},
		{"{\"type\":1,\"target\":\"Other\",\"arguments\":[]}", WIRE_OTHER},
		{"{\"type\":1,\"arguments\":[]}", WIRE_OTHER},
		{"{\"type\":1,\"target\":\"RequestTarget\",\"arguments\":[]}", WIRE_INVALID},
		{"{\"type\":1,\"target\":\"RequestTarget\",\"arguments\":[{}]}", WIRE_INVALID},
		{"{\"type\":1,\"target\":\"RequestTarget\",\"arguments\":[7]}", WIRE_INVALID},
		{"{\"type\":1,\"target\":\"RequestTarget\"}", WIRE_INVALID},
		{"{\"type\":1,\"target\":\"RequestTarget\",\"arguments\":[{\"requestId\":"
		 "\"6f1c0000000040008000000000000001\",\"bodySize\":-1}]}",
		 WIRE_INVALID},
		{"{\"type\":1,\"target\":\"RequestTarget\",\"arguments\":[{\"REQUESTID\":"
		 "\"{6f1c0000-0000-4000-8000-000000000001}\"}]}",
		 WIRE_REQUEST},
		{"{\"type\":1,\"target\":\"Configure\",\"arguments\":[{}]}", WIRE_CONFIGURE},
		{"{\"type\":1,\"target\":\"Configure\",\"arguments\":[{\"keepAliveInterval\":9}]}",
		 WIRE_INVALID},
	};
	static const char *const broken[] = {"",
					     "{}",
					     "[]",
					     "7",
					     "null",
					     "{",
					     "{\"type\":\"x\"}",
					     "{\"type\":1.5}",
					     "{\"type\":6}x"};
	struct wire_record r;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_ok(wire_parse(&arena, str_c(cases[i].text), &r));
		if (r.kind != cases[i].kind) {
			fail_msg("%s: %d", cases[i].text, r.kind);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		assert_err(wire_parse(&arena, str_c(broken[i]), &r), ERR_PROTO);
	}
}

static void completions_and_closes(void **state)
{
	(void)state;
	struct wire_record r;

	assert_ok(wire_parse(&arena, STR("{\"type\":3,\"invocationId\":\"12\",\"error\":\"no\"}"),
			     &r));
	assert_int_equal(r.invocation_id, 12);
	assert_str(r.error, STR("no"));
	assert_ok(wire_parse(&arena, STR("{\"type\":3,\"invocationId\":\"abc\"}"), &r));
	assert_int_equal(r.invocation_id, 0);
	assert_null(r.error.p);
	assert_ok(wire_parse(&arena, STR("{\"type\":7,\"allowReconnect\":true}"), &r));
	assert_true(r.allow_reconnect && !r.error.p);
	assert_ok(wire_parse(&arena, STR("{\"type\":7,\"error\":\"\"}"), &r));
	assert_true(!r.allow_reconnect && r.error.p);
}

static void configure_is_read(void **state)
{
	(void)state;
	struct wire_record r;

	assert_ok(wire_parse(&arena,
			     STR("{\"type\":1,\"target\":\"Configure\",\"arguments\":[{"
				 "\"tenantName\":\"B\",\"keepAliveInterval\":\"00:00:20\","
				 "\"enableTracing\":true,\"reconnectMinimumDelay\":null}]}"),
			     &r));
	assert_int_equal(r.kind, WIRE_CONFIGURE);
	assert_true(r.configure.keep_alive_ms.has && r.configure.keep_alive_ms.v == 20000);
	assert_true(r.configure.trace.has && r.configure.trace.v);
	assert_false(r.configure.reconnect_min_ms.has);
}

static void handshakes(void **state)
{
	(void)state;
	struct str error;

	assert_ok(wire_parse_handshake(&arena, STR("{}"), &error));
	assert_null(error.p);
	assert_ok(wire_parse_handshake(&arena, STR("{\"error\":\"no\"}"), &error));
	assert_str(error, STR("no"));
	assert_ok(wire_parse_handshake(&arena, STR("{\"type\":7,\"error\":\"late\"}"), &error));
	assert_str(error, STR("late"));
	assert_err(wire_parse_handshake(&arena, STR("{\"type\":6}"), &error), ERR_PROTO);
	assert_err(wire_parse_handshake(&arena, STR("[]"), &error), ERR_PROTO);
	assert_err(wire_parse_handshake(&arena, STR(""), &error), ERR_PROTO);
}

static enum err headers_of(const char *text, struct http_headers *out)
{
	struct json *j;

	assert_ok(json_parse(&arena, str_c(text), &j, NULL));
	return wire_read_headers(&arena, j, out);
}

static void headers_for_the_target(void **state)
{
	(void)state;
	struct http_headers h;

	assert_ok(headers_of(
		"{\"HOST\":[\"a\"],\"content-length\":[\"5\"],\"Expect\":[\"100-continue\"],"
		"\"Transfer-Encoding\":[\"chunked\"],\"Connection\":[\"X-Hop\"],"
		"\"X-Hop\":[\"1\"],\"Upgrade\":[\"h2c\"],\"A\":\"plain\",\"B\":null,"
		"\"C\":[],\"D\":[\" trimmed \"]}",
		&h));
	assert_int_equal(h.n, 2);
	assert_str(h.v[0].name, STR("A"));
	assert_str(h.v[1].value, STR("trimmed"));
	assert_err(headers_of("{\"A b\":[\"1\"]}", &h), ERR_INVALID);
	assert_err(headers_of("{\"\":[\"1\"]}", &h), ERR_INVALID);
	assert_err(headers_of("{\"A\":[\"1\\r\\nB: 2\"]}", &h), ERR_INVALID);
	assert_err(headers_of("{\"A\":[\"\\u0000\"]}", &h), ERR_INVALID);
	assert_err(headers_of("{\"A\":[7]}", &h), ERR_INVALID);
	assert_err(headers_of("[]", &h), ERR_INVALID);
	assert_ok(wire_read_headers(&arena, NULL, &h));
	assert_int_equal(h.n, 0);
}

static void too_many_headers(void **state)
{
	(void)state;
	struct buf b = {0};
	struct http_headers h;

	buf_puts(&b, "{\"A\":[");
	for (int i = 0; i <= WIRE_HEADERS_MAX; i++) {
		buf_printf(&b, "%s\"%d\"", i ? "," : "", i);
	}
	buf_puts(&b, "]}");
	buf_putc(&b, 0);
	assert_err(headers_of(buf_head(&b), &h), ERR_LIMIT);
	buf_free(&b);
}

static void a_response_is_written(void **state)
{
	(void)state;
	struct http_header lines[] = {{STR("Set-Cookie"), STR("a=\"1\"")},
				      {STR("Via"), STR("x")},
				      {STR("set-cookie"), STR("b")}};
	const struct http_headers headers = {lines, 3, 3};
	struct wire_response r = {
		.status = 200, .headers = &headers, .body_size = 4, .body = STR("PONG")};
	struct buf b = {0};

	assert_ok(guid_parse(STR("6f1c0000-0000-4000-8000-000000000001"), &r.id));
	wire_write_deliver(&b, &r);
	wire_write_end(&b, 12);
	assert_str(buf_str(&b),
		   STR("{\"type\":1,\"target\":\"Deliver\",\"arguments\":[{"
		       "\"requestId\":\"6f1c0000-0000-4000-8000-000000000001\","
		       "\"requestOriginId\":\"00000000-0000-0000-0000-000000000000\","
		       "\"requestStart\":null,\"requestDuration\":null,\"connectionId\":null,"
		       "\"httpStatusCode\":200,\"httpHeaders\":{\"Set-Cookie\":[\"a=\\\"1\\\"\","
		       "\"b\"],"
		       "\"Via\":[\"x\"]},\"originalBodySize\":4,\"bodySize\":4,"
		       "\"bodyContent\":\"UE9ORw==\",\"requestFailed\":false}],"
		       "\"invocationId\":\"12\"}\x1e"));
	buf_free(&b);
}

static void times_failures_and_ends_are_written(void **state)
{
	(void)state;
	struct wire_response r = {.status = 502,
				  .failed = true,
				  .timed = true,
				  .start_wall_ms = 1795214000123,
				  .duration_ms = 1500};
	struct buf b = {0};

	wire_write_deliver(&b, &r);
	wire_write_end(&b, 0);
	assert_true(str_find(buf_str(&b), STR("\"requestDuration\":\"00:00:01.5000000\"")) > 0);
	assert_true(str_find(buf_str(&b), STR("\"requestStart\":\"2026-")) > 0);
	assert_true(str_find(buf_str(&b),
			     STR("\"bodyContent\":null,\"requestFailed\":true}]}\x1e")) > 0);
	assert_true(str_find(buf_str(&b), STR("invocationId")) < 0);
	buf_free(&b);
}

static void an_acknowledgement_is_written(void **state)
{
	(void)state;
	struct guid none = {0};
	struct buf b = {0};

	wire_write_acknowledge(&b, &none, &none, true);
	wire_write_end(&b, 0);
	assert_str(buf_str(&b), STR("{\"type\":1,\"target\":\"Acknowledge\",\"arguments\":[{"
				    "\"originId\":\"00000000-0000-0000-0000-000000000000\","
				    "\"requestId\":\"00000000-0000-0000-0000-000000000000\","
				    "\"removeRequestBodyContent\":true}]}\x1e"));
	buf_free(&b);
}

static void leaving_is_said(void **state)
{
	(void)state;
	struct buf b = {0};

	wire_write_leave(&b);
	wire_write_end(&b, 3);
	assert_str(buf_str(&b), STR("{\"type\":1,\"target\":\"Leave\",\"arguments\":[],"
				    "\"invocationId\":\"3\"}\x1e"));
	buf_free(&b);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_read),
		TEST(every_truncation_is_refused),
		TEST(records_by_kind),
		TEST(completions_and_closes),
		TEST(configure_is_read),
		TEST(handshakes),
		TEST(headers_for_the_target),
		TEST(too_many_headers),
		TEST(a_response_is_written),
		TEST(times_failures_and_ends_are_written),
		TEST(an_acknowledgement_is_written),
		TEST(leaving_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
