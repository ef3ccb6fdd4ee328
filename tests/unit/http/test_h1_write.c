#include "unit.h"

#include "base/death.h"
#include "http/h1.h"

static void a_request_is_written(void **state)
{
	struct buf b = {0};

	(void)state;
	assert_ok(h1_write_request_line(&b, STR("GET"), STR("/a?b")));
	h1_write_header(&b, STR("Host"), STR("a"));
	h1_write_header(&b, STR("Empty"), STR_NULL);
	h1_write_end(&b);
	assert_str(buf_str(&b), STR("GET /a?b HTTP/1.1\r\nHost: a\r\nEmpty: \r\n\r\n"));
	buf_free(&b);
}

static void a_response_is_written(void **state)
{
	struct buf b = {0};

	(void)state;
	h1_write_status_line(&b, 404);
	h1_write_status_line(&b, 799);
	h1_write_header_u64(&b, STR("Content-Length"), 0);
	h1_write_header_u64(&b, STR("Age"), UINT64_MAX);
	assert_str(buf_str(&b),
		   STR("HTTP/1.1 404 Not Found\r\nHTTP/1.1 799 Unknown\r\nContent-Length: 0\r\n"
		       "Age: 18446744073709551615\r\n"));
	buf_free(&b);
}

static void chunk_heads_read_back(void **state)
{
	static const size_t sizes[] = {1, 9, 10, 15, 16, 255, 65536, 0xabcdef, 0xfffffffffffffff};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct h1_chunked d = {0};
		struct buf b = {0};
		struct str data;
		size_t used;

		h1_write_chunk_head(&b, sizes[i]);
		assert_ok(h1_chunked_next(&d, buf_str(&b), &used, &data));
		assert_int_equal(used, b.n);
		assert_true(d.left == sizes[i]);
		buf_free(&b);
	}
}

static void write_split_value(void)
{
	struct buf b = {0};

	h1_write_header(&b, STR("X"), STR("a\r\nSet-Cookie: b"));
}

static void write_bad_name(void)
{
	struct buf b = {0};

	h1_write_header(&b, STR("X: y\r\nZ"), STR("a"));
}

static void splitting_is_a_bug(void **state)
{
	(void)state;
	assert_dies(write_split_value());
	assert_dies(write_bad_name());
}

static void what_is_no_request_line_is_not_written(void **state)
{
	static const struct {
		struct str method, target;
	} cases[] = {
		{STR_INIT("GET"), STR_INIT("/ HTTP/1.1\r\nX: y")},
		{STR_INIT("GET"), STR_INIT("/a b")},
		{STR_INIT("GET"), STR_INIT("")},
		{STR_INIT("P T"), STR_INIT("/")},
		{STR_INIT(""), STR_INIT("/")},
	};
	struct buf b = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_err(h1_write_request_line(&b, cases[i].method, cases[i].target),
			   ERR_INVALID);
	}
	assert_int_equal(b.n, 0);
}

static void test_many(void **state)
{
	const struct http_header clean[] = {
		{STR("A"), STR("1")},
		{STR("Long-Name-Of-A-Header"),
		 STR("a value that is longer than sixteen bytes\tand on")},
		{STR("Empty"), STR_NULL},
	};
	const struct http_header dirty[] = {
		{STR("A"), STR("1")},	       {STR("B"), STR("x\r\nInjected: yes")},
		{STR("C"), str_of("a\0b", 3)}, {STR("D\n"), STR("v")},
		{STR("E"), STR("2\x7f")},      {STR("F"), STR("3")},
	};
	struct buf b = {0};

	(void)state;
	h1_write_headers(&b, clean, 0);
	assert_int_equal(b.n, 0);
	h1_write_headers(&b, clean, ARRAY_LEN(clean));
	assert_str(buf_str(&b), STR("A: 1\r\nLong-Name-Of-A-Header: a value that is longer than "
				    "sixteen bytes\tand on\r\nEmpty: \r\n"));
	buf_clear(&b);
	h1_write_headers(&b, dirty, ARRAY_LEN(dirty));
	assert_str(buf_str(&b), STR("A: 1\r\nF: 3\r\n"));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
		cmocka_unit_test(a_request_is_written),
		cmocka_unit_test(a_response_is_written),
		cmocka_unit_test(chunk_heads_read_back),
		cmocka_unit_test(splitting_is_a_bug),
		cmocka_unit_test(what_is_no_request_line_is_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
