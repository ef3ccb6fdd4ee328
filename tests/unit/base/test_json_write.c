#include "unit.h"

#include "base/json.h"

static void commas_follow_the_structure(void **state)
{
	struct buf out = {0};
	struct json_writer w = json_writer_to(&out);

	(void)state;
	json_begin_object(&w);
	json_key(&w, STR("a"));
	json_begin_array(&w);
	json_end_array(&w);
	json_key(&w, STR("b"));
	json_begin_array(&w);
	json_put_int(&w, 1);
	json_begin_object(&w);
	json_end_object(&w);
	json_put_null(&w);
	json_end_array(&w);
	json_key(&w, STR("c"));
	json_put_raw(&w, STR("{\"x\":1}"));
	json_key(&w, STR("d"));
	json_put_str_or_null(&w, STR_NULL);
	json_key(&w, STR("e"));
	json_put_str_or_null(&w, STR(""));
	json_key(&w, STR("f"));
	json_put_bool(&w, true);
	json_end_object(&w);
	assert_str(buf_str(&out), STR("{\"a\":[],\"b\":[1,{},null],\"c\":{\"x\":1},\"d\":null,"
				      "\"e\":\"\",\"f\":true}"));
	buf_free(&out);
}

static void strings_are_escaped(void **state)
{
	static const struct {
		struct str in, out;
	} cases[] = {
		{STR_INIT(""), STR_INIT("\"\"")},
		{STR_INIT("plain / text <>&'+"), STR_INIT("\"plain / text <>&'+\"")},
		{STR_INIT("\"\\\b\f\n\r\t"), STR_INIT("\"\\\"\\\\\\b\\f\\n\\r\\t\"")},
		{STR_INIT("\0\x01\x1f\x7f"), STR_INIT("\"\\u0000\\u0001\\u001f\x7f\"")},
		{STR_INIT("gr\xc3\xbc\xc3\x9f"), STR_INIT("\"gr\xc3\xbc\xc3\x9f\"")},
		{STR_INIT("a\xff"
			  "b\xc3"),
		 STR_INIT("\"a\xef\xbf\xbd"
			  "b\xef\xbf\xbd\"")},
		{STR_INIT("\xc3\"\xbc"), STR_INIT("\"\xef\xbf\xbd\\\"\xef\xbf\xbd\"")},
		{STR_INIT("\xf0\x9f\x98\x80\xed\xa0\x80"),
		 STR_INIT("\"\xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"")},
		{STR_INIT("0123456789abcde\"0123456789abcdef\n"),
		 STR_INIT("\"0123456789abcde\\\"0123456789abcdef\\n\"")},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf out = {0};
		struct json_writer w = json_writer_to(&out);

		json_put_str(&w, cases[i].in);
		assert_str(buf_str(&out), cases[i].out);
		buf_free(&out);
	}
}

static void integers(void **state)
{
	static const struct {
		int64_t v;
		const char *text;
	} cases[] = {{0, "0"},
		     {-1, "-1"},
		     {9, "9"},
		     {10, "10"},
		     {-9, "-9"},
		     {1795963970187, "1795963970187"},
		     {INT64_MAX, "9223372036854775807"},
		     {INT64_MIN, "-9223372036854775808"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf out = {0};
		struct json_writer w = json_writer_to(&out);

		json_put_int(&w, cases[i].v);
		assert_str(buf_str(&out), str_c(cases[i].text));
		buf_clear(&out);
		json_number(&out, cases[i].v);
		assert_str(buf_str(&out), str_c(cases[i].text));
		buf_free(&out);
	}
}

static void plain_strings_are_told(void **state)
{
	char to[16];

	(void)state;
	assert_ptr_equal(json_put_plain(to, STR("plain")), to + 7);
	assert_memory_equal(to, "\"plain\"", 7);
	assert_ptr_equal(json_put_plain(to, STR_NULL), to + 2);
	assert_null(json_put_plain(to, STR("a\"b")));
	assert_null(json_put_plain(to, STR("\xc3\xa4")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commas_follow_the_structure),
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(integers),
		cmocka_unit_test(plain_strings_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
