#include "unit.h"

#include "http/message.h"

static void methods_are_case_sensitive(void **state)
{
	static const struct {
		struct str text;
		enum http_method method;
	} cases[] = {
		{STR_INIT("GET"), HTTP_GET},	     {STR_INIT("HEAD"), HTTP_HEAD},
		{STR_INIT("POST"), HTTP_POST},	     {STR_INIT("PUT"), HTTP_PUT},
		{STR_INIT("DELETE"), HTTP_DELETE},   {STR_INIT("PATCH"), HTTP_PATCH},
		{STR_INIT("OPTIONS"), HTTP_OPTIONS}, {STR_INIT("CONNECT"), HTTP_CONNECT},
		{STR_INIT("TRACE"), HTTP_TRACE},     {STR_INIT("get"), HTTP_OTHER},
		{STR_INIT("GETS"), HTTP_OTHER},	     {STR_INIT(""), HTTP_OTHER},
		{STR_INIT("PROPFIND"), HTTP_OTHER},  {STR_INIT("BREAK"), HTTP_OTHER},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(http_method_parse(cases[i].text), cases[i].method);
	}
}

static void some_methods_may_be_sent_again(void **state)
{
	static const char *const yes[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
	static const char *const no[] = {"POST", "PATCH", "CONNECT", "PROPFIND"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		assert_true(http_method_is_idempotent(http_method_parse(str_c(yes[i]))));
	}
	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		assert_false(http_method_is_idempotent(http_method_parse(str_c(no[i]))));
	}
}

static void reasons(void **state)
{
	(void)state;
	assert_str(http_reason(200), STR("OK"));
	assert_str(http_reason(511), STR("Network Authentication Required"));
	assert_str(http_reason(299), STR("Unknown"));
	assert_str(http_reason(999), STR("Unknown"));
	assert_str(http_reason(-1), STR("Unknown"));
}

static void headers_keep_their_order(void **state)
{
	struct http_headers h = {0};
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (int i = 0; i < 50; i++) {
		http_header_add(&a, &h, i % 2 ? STR("X-Odd") : STR("X-Even"), str_fmt(&a, "%d", i));
	}
	assert_str(http_header_get(&h, STR("x-odd")), STR("1"));
	assert_null(http_header_get(&h, STR("x-od")).p);
	assert_int_equal(http_header_remove(&h, STR("x-EVEN")), 25);
	assert_int_equal(http_header_remove(&h, STR("x-EVEN")), 0);
	assert_int_equal(h.n, 25);
	assert_str(h.v[24].value, STR("49"));
	http_header_set(&a, &h, STR("x-odd"), STR_NULL);
	assert_int_equal(h.n, 1);
	assert_non_null(http_header_get(&h, STR("X-Odd")).p);
	arena_fini(&a);
}

static void every_byte_has_its_class(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		char text[33];
		bool token = c > 0x20 && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", c);
		bool value = c == '\t' || (c >= 0x20 && c != 0x7f);

		/* At each place of a run: the fast search has no blind spot. */
		for (size_t at = 0; at < sizeof(text); at++) {
			memset(text, 'a', sizeof(text));
			text[at] = (char)c;
			assert_int_equal(http_is_token(str_of(text, sizeof(text))), token);
			assert_int_equal(http_is_field_value(str_of(text, sizeof(text))), value);
		}
	}
	assert_false(http_is_token(STR("")));
	assert_true(http_is_field_value(STR("")));
}

static void lists(void **state)
{
	(void)state;
	assert_true(http_list_has(STR("a, B\t,c"), STR("b")));
	assert_true(http_list_has(STR("b"), STR("b")));
	assert_false(http_list_has(STR("ab, bb;b"), STR("b")));
	assert_false(http_list_has(STR(""), STR("b")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(methods_are_case_sensitive),
		cmocka_unit_test(some_methods_may_be_sent_again),
		cmocka_unit_test(reasons),
		cmocka_unit_test(headers_keep_their_order),
		cmocka_unit_test(every_byte_has_its_class),
		cmocka_unit_test(lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
