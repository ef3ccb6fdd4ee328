#include "unit.h"

#include "relay/answer.h"

struct fixture {
	struct arena a;
	struct buf scratch;
	struct answer an;
};

static int setup(void **state)
{
	struct fixture *x = test_calloc(1, sizeof(*x));

	arena_init(&x->a, 0);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	arena_fini(&x->a);
	buf_free(&x->scratch);
	test_free(x);
	return 0;
}

static enum err read_response(struct fixture *x, const char *members)
{
	struct target_response t;
	struct json *j;
	struct str text = str_fmt(
		&x->a, "{\"requestId\":\"6f1c0000-0000-0000-0000-000000000001\",%s}", members);

	assert_ok(json_parse(&x->a, text, &j, NULL));
	assert_ok(json_decode(&target_response_shape, j, &t, NULL));
	return answer_from_response(&t, &x->a, &x->scratch, &x->an);
}

static void test_inline(void **state)
{
	struct fixture *x = *state;

	assert_ok(read_response(x, "\"httpStatusCode\":200,\"httpHeaders\":{\"Content-Type\":"
				   "[\"text/plain\"],\"Set-Cookie\":[\"a=1\",\"b=2\"]},"
				   "\"originalBodySize\":4,\"bodySize\":4,"
				   "\"bodyContent\":\"UE9ORw==\",\"requestFailed\":false"));
	assert_int_equal(x->an.status, 200);
	assert_int_equal(x->an.kind, ANSWER_INLINE);
	assert_str(x->an.body, STR("PONG"));
	assert_int_equal(x->an.headers.n, 3);
	assert_str(x->an.headers.v[2].value, STR("b=2"));
}

static void test_kinds(void **state)
{
	struct fixture *x = *state;

	assert_ok(read_response(x, "\"httpStatusCode\":204,\"httpHeaders\":null"));
	assert_int_equal(x->an.kind, ANSWER_EMPTY);
	assert_ok(read_response(x, "\"httpStatusCode\":200,\"bodySize\":17000,"
				   "\"bodyContent\":null"));
	assert_int_equal(x->an.kind, ANSWER_STORED);
	assert_ok(read_response(x, "\"httpStatusCode\":200,\"bodySize\":0,\"bodyContent\":\"\""));
	assert_int_equal(x->an.kind, ANSWER_EMPTY);
}

static void test_framing_is_dropped(void **state)
{
	struct fixture *x = *state;

	assert_ok(read_response(
		x, "\"httpStatusCode\":200,\"httpHeaders\":{\"Transfer-Encoding\":[\"chunked\"],"
		   "\"Connection\":[\"close, X-Hop\"],\"X-Hop\":[\"1\"],\"Keep-Alive\":[\"5\"],"
		   "\"Content-Length\":[\"42\"],\"ETag\":[\"x\"]}"));
	assert_int_equal(x->an.headers.n, 1);
	assert_str(x->an.headers.v[0].name, STR("ETag"));
	assert_true(x->an.has_length);
	assert_int_equal(x->an.length, 42);
}

static void test_hostile(void **state)
{
	static const char *const bad[] = {
		"\"httpStatusCode\":199",
		"\"httpStatusCode\":100",
		"\"httpStatusCode\":600",
		"\"httpStatusCode\":-1",
		"\"httpStatusCode\":200,\"httpHeaders\":[]",
		"\"httpStatusCode\":200,\"httpHeaders\":\"x\"",
		"\"httpStatusCode\":200,\"httpHeaders\":{\"\":[\"x\"]}",
		"\"httpStatusCode\":200,\"httpHeaders\":{\"a b\":[\"x\"]}",
		"\"httpStatusCode\":200,\"httpHeaders\":{\"a:\":[\"x\"]}",
		"\"httpStatusCode\":200,\"httpHeaders\":{\"a\":[\"x\\r\\nb: y\"]}",
		"\"httpStatusCode\":200,\"httpHeaders\":{\"a\":[\"x\\u0000y\"]}",
		"\"httpStatusCode\":200,\"httpHeaders\":{\"a\":[1]}",
		"\"httpStatusCode\":200,\"httpHeaders\":{\"a\":{\"b\":\"c\"}}",
		"\"httpStatusCode\":200,\"bodySize\":3,\"bodyContent\":\"%%%\"",
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (read_response(x, bad[i]) != ERR_PROTO) {
			fail_msg("taken: %s", bad[i]);
		}
	}
}

static void test_too_many_headers(void **state)
{
	struct fixture *x = *state;
	struct buf b = {0};

	buf_puts(&b, "\"httpStatusCode\":200,\"httpHeaders\":{\"a\":[");
	for (int i = 0; i < 201; i++) {
		buf_printf(&b, "%s\"x\"", i ? "," : "");
	}
	buf_puts(&b, "]}");
	buf_putc(&b, 0);
	assert_err(read_response(x, buf_head(&b)), ERR_PROTO);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_inline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_framing_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_headers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
