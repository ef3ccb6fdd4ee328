/* Query strings, forms, multipart and JSON bodies as plugins edit them. */
#include "gateway/plugins/media.h"
#include "unit.h"

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

static void test_untouched_query_stays_as_it_came(void **state)
{
	struct str query = STR("a=1&b&&c=%zz&d=%20+x&=&a=2");
	struct params p;
	struct str value;

	(void)state;
	params_parse(&arena, query, &p);
	assert_str(params_write(&arena, &p), STR("a=1&b&c=%zz&d=%20+x&=&a=2"));
	assert_int_equal(params_get(&p, STR("a"), &value), 2);
	assert_str(value, STR("1"));
	assert_int_equal(params_get(&p, STR("d"), &value), 1);
	assert_str(value, STR("  x"));
	assert_int_equal(params_get(&p, STR("b"), &value), 1);
	assert_null(value.p);
	assert_int_equal(params_get(&p, STR("e"), &value), 0);
}

static void test_edit_query(void **state)
{
	struct params p;

	(void)state;
	params_parse(&arena, STR("a=1&b=2&a=3&c=4"), &p);
	assert_true(params_replace(&p, STR("a"), STR("x y&")));
	assert_false(params_replace(&p, STR("z"), STR("1")));
	assert_true(params_rename(&p, STR("b"), STR("c")));
	assert_false(params_rename(&p, STR("b"), STR("c")));
	params_add(&arena, &p, STR("new"), STR(""));
	assert_str(params_write(&arena, &p), STR("a=x%20y%26&c=2&new="));
	assert_int_equal(params_remove(&p, STR("a")), 1);
	assert_int_equal(params_remove(&p, STR("c")), 1);
	assert_int_equal(params_remove(&p, STR("new")), 1);
	assert_null(params_write(&arena, &p).p);
}

static void test_encoded_name_is_the_same_name(void **state)
{
	struct params p;

	(void)state;
	params_parse(&arena, STR("%61pikey=secret&x=1"), &p);
	assert_int_equal(params_remove(&p, STR("apikey")), 1);
	assert_str(params_write(&arena, &p), STR("x=1"));
}

/* Others find the name of a type wherever it stands. */
static void test_doubtful_types(void **state)
{
	static const struct str clear[] = {
		STR_INIT("application/json"),
		STR_INIT("Application/JSON ; charset=utf-8"),
		STR_INIT("multipart/form-data; boundary=json"),
		STR_INIT("application/x-www-form-urlencoded"),
		STR_INIT("application/vnd.api+json"),
		STR_INIT("application/jso"),
		STR_INIT("text/plain"),
		STR_INIT(""),
	};
	static const struct str doubtful[] = {
		STR_INIT("application/jsonx"),
		STR_INIT("application/json,"),
		STR_INIT("application/json text/plain"),
		STR_INIT("text/plain,APPLICATION/JSON"),
		STR_INIT("xapplication/json"),
		STR_INIT("text/plain; a=multipart/form-data"),
		STR_INIT("application/json; a=\"application/json\""),
		STR_INIT("application/x-www-form-urlencoded;multipart/form-data"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(clear); i++) {
		assert_false(media_is_doubtful(clear[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(doubtful); i++) {
		assert_true(media_is_doubtful(doubtful[i]));
	}
	assert_false(media_is_doubtful(STR_NULL));
}

static void check_types(struct str line, struct str other, size_t json, size_t others)
{
	struct http_header v[] = {{STR("CONTENT-TYPE"), line},
				  {STR("X-Content-Type"), STR("application/json")},
				  {STR("content-type"), other}};
	size_t a, b;

	media_count_types(&(struct http_headers){.v = v, .n = ARRAY_LEN(v)}, &a, &b);
	assert_int_equal(a, json);
	assert_int_equal(b, others);
}

static void test_types_of_answers(void **state)
{
	(void)state;
	check_types(STR("application/json"), STR_NULL, 1, 0);
	check_types(STR_NULL, STR(""), 0, 0);
	check_types(STR("application/json ; a=b"), STR("Application/JSON"), 2, 0);
	check_types(STR("text/plain"), STR("application/json"), 1, 1);
	check_types(STR("application/json,, text/plain; application/json"), STR(","), 1, 1);
	check_types(STR("application/json; a=\"b,c\""), STR_NULL, 1, 0);
	check_types(STR("application/jsonx"), STR("text/event-stream"), 0, 2);
}

static void test_content_type(void **state)
{
	struct str type = STR("multipart/form-data; charset=\"a;b\"; Boundary=\"x y\" ;q"), value;

	(void)state;
	assert_int_equal(media_kind_of(STR("Application/JSON; charset=utf-8")), MEDIA_JSON);
	assert_int_equal(media_kind_of(STR("application/json+x")), MEDIA_OTHER);
	assert_int_equal(media_kind_of(type), MEDIA_MULTIPART);
	assert_int_equal(media_kind_of(STR_NULL), MEDIA_OTHER);
	assert_true(media_param(type, STR("boundary"), &value));
	assert_str(value, STR("x y"));
	assert_true(media_param(type, STR("charset"), &value));
	assert_str(value, STR("a;b"));
	assert_true(media_param(type, STR("none"), &value));
	assert_null(value.p);
	assert_true(media_param(STR("boundary=x"), STR("boundary"), &value));
	assert_null(value.p);
	assert_true(media_param(STR("a; boundary=----=_1:2/3?"), STR("boundary"), &value));
	assert_str(value, STR("----=_1:2/3?"));
}

static void test_parameter_with_two_readings_is_refused(void **state)
{
	static const struct str cases[] = {
		STR_INIT("a; n=x; n=y"),
		STR_INIT("a; n=x; N*=utf-8''y"),
		STR_INIT("a; n*0=x"),
		STR_INIT("a; n=\"x\\y\""),
		STR_INIT("a; n=\"x"),
		STR_INIT("a; n=\"x\" y"),
		STR_INIT("a; n=x y"),
		STR_INIT("a; f=\"y\\\"; n=x"),
		STR_INIT("a; f=\"y\\\"; n=\"x\""),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str value = STR("untouched");

		assert_false(media_param(cases[i], STR("n"), &value));
		assert_str(value, STR("untouched"));
	}
}

static struct str edit(struct str type, struct str body)
{
	struct media m;
	struct str value;

	assert_ok(media_parse(&arena, type, body, &m));
	assert_int_equal(media_get(&m, STR("key"), &value), 1);
	assert_str(value, STR("k"));
	assert_int_equal(media_remove(&m, STR("key")), 1);
	assert_true(media_rename(&arena, &m, STR("old"), STR("new")));
	assert_false(media_rename(&arena, &m, STR("old"), STR("new")));
	assert_true(media_replace(&arena, &m, STR("a"), STR("2")));
	assert_false(media_replace(&arena, &m, STR("none"), STR("2")));
	media_append(&arena, &m, STR("a"), STR("3"));
	media_append(&arena, &m, STR("b"), STR("4"));
	return media_write(&arena, &m);
}

static void test_edit_json(void **state)
{
	(void)state;
	assert_str(edit(STR("application/json"),
			STR("{\"key\":\"k\",\"old\":{\"x\":[1,2]},\"a\":1,\"t\":null}")),
		   STR("{\"new\":{\"x\":[1,2]},\"a\":[\"2\",\"3\"],\"t\":null,\"b\":[\"4\"]}"));
}

static void test_edit_form(void **state)
{
	(void)state;
	assert_str(edit(STR("application/x-www-form-urlencoded"), STR("key=k&old=%41&a=1&t=+")),
		   STR("new=A&a=2&t=+&a=3&b=4"));
}

#define PART(name, content)                                                                        \
	"--X\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" content "\r\n"
#define FILE_PART                                                                                  \
	"--X\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; name=f; "              \
	"filename=\"a;b\"\r\n\r\n\r\n--Y\r\n"

static void test_edit_multipart(void **state)
{
	struct str got = edit(STR("multipart/form-data; boundary=X"),
			      STR("preamble\r\n" PART("key", "k") PART("old", "A") PART("a", "1")
					  FILE_PART "--X--\r\nepilogue"));

	(void)state;
	assert_str(got, STR(PART("new", "A") PART("a", "2") FILE_PART PART("a", "3")
				    PART("b", "4") "--X--"
						   "\r\n"));
}

static void test_quote_in_name_ends_nothing(void **state)
{
	struct media m;

	(void)state;
	assert_ok(media_parse(&arena, STR("multipart/form-data; boundary=X"),
			      STR(PART("a", "1") "--X--"), &m));
	media_append(&arena, &m, STR("x\"\r\n\r\nevil"), STR("1"));
	assert_str(media_write(&arena, &m),
		   STR(PART("a", "1") PART("x%22%0D%0A%0D%0Aevil", "1") "--X--\r\n"));
}

/* Cut anywhere a body is refused, never read beyond: the last byte that counts is the final '-'. */
static void test_multipart_cut_at_every_byte(void **state)
{
	struct str body = STR("--X\r\n\r\nfirst\r\n" PART("a", "1") "--X--");

	(void)state;
	for (size_t n = 0; n <= body.n; n++) {
		char *copy = arena_alloc(&arena, n + 1);
		struct media_parts p;
		enum err e;

		memcpy(copy, body.p, n);
		e = media_parts_parse(&arena, STR("X"), str_of(copy, n), &p);
		assert_int_equal(e, n == body.n ? ERR_OK : ERR_INVALID);
	}
}

static void test_what_cannot_be_edited(void **state)
{
	struct media m;
	struct str json = STR("application/json");

	(void)state;
	assert_err(media_parse(&arena, json, STR("[1]"), &m), ERR_NOT_FOUND);
	assert_err(media_parse(&arena, json, STR("{\"a\":1"), &m), ERR_INVALID);
	assert_err(media_parse(&arena, STR("text/plain"), STR("a"), &m), ERR_NOT_FOUND);
	assert_err(media_parse(&arena, STR("multipart/form-data"), STR("--X--"), &m), ERR_INVALID);
	assert_ok(media_parse(&arena, json, STR(" "), &m));
	media_add(&arena, &m, STR("a"), STR("1"));
	assert_str(media_write(&arena, &m), STR("{\"a\":\"1\"}"));
}

/* Lenient readers would find the name "admin" in each of these. */
static void test_what_has_two_readings_is_broken(void **state)
{
	static const struct str json[] = {
		STR_INIT("{\"admin\":1,\"admin\":2}"),
		STR_INIT("\xef\xbb\xbf{\"admin\":1}"),
		STR_INIT("{\"admin\":1,\"a\":\"\xff\"}"),
		STR_INIT("{\"admin\":01}"),
		STR_INIT("{\"admin\":NaN}"),
		STR_INIT("{\"admin\":1}x"),
	};
	static const struct str multipart[] = {
		STR_INIT("--X\nContent-Disposition: form-data; name=\"admin\"\n\n1\n--X--\n"),
		STR_INIT("--X\r\nContent-Disposition: form-data; name=\"admin\"\r\n\r\n1"),
		STR_INIT(PART("a",
			      "1\n--X\nContent-Disposition: form-data; name=admin\n\n1") "--X--"),
		STR_INIT(PART("a", "1\n--X--") "--X--"),
		STR_INIT("--X\r\nA: b\nContent-Disposition: form-data; "
			 "name=admin\r\n\r\n1\r\n--X--"),
		STR_INIT("--X\r\nContent-Disposition: form-data;\r\n "
			 "name=admin\r\n\r\n1\r\n--X--"),
		STR_INIT("--X\r\nContent-Disposition : form-data; name=admin\r\n\r\n1\r\n--X--"),
		STR_INIT("--X\r\nContent-Disposition: form-data; name=a\r\n"
			 "Content-Disposition: form-data; name=admin\r\n\r\n1\r\n--X--"),
		STR_INIT("--X\r\nContent-Disposition: form-data; "
			 "name=\"ad\\min\"\r\n\r\n1\r\n--X--"),
	};
	struct media m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(json); i++) {
		assert_err(media_parse(&arena, STR("application/json"), json[i], &m), ERR_INVALID);
	}
	for (size_t i = 0; i < ARRAY_LEN(multipart); i++) {
		assert_err(media_parse(&arena, STR("multipart/form-data; boundary=X"), multipart[i],
				       &m),
			   ERR_INVALID);
	}
	assert_err(media_parse(&arena, STR("multipart/form-data; boundary=X; boundary=Y"),
			       STR(PART("a", "1") "--X--"), &m),
		   ERR_INVALID);
}

static void test_json_values(void **state)
{
	struct media m;
	struct str v;

	(void)state;
	assert_ok(media_parse(&arena, STR("application/json"),
			      STR("{\"n\":12,\"b\":true,\"l\":[\"x\",\"y\",1],\"s\":[\"x\"],"
				  "\"e\":[],\"o\":{},\"z\":null}"),
			      &m));
	assert_int_equal(media_get(&m, STR("n"), &v), 1);
	assert_str(v, STR("12"));
	assert_int_equal(media_get(&m, STR("b"), &v), 1);
	assert_str(v, STR("true"));
	assert_int_equal(media_get(&m, STR("l"), &v), 3);
	assert_str(v, STR("x"));
	assert_int_equal(media_get(&m, STR("s"), &v), 2);
	assert_str(v, STR("x"));
	assert_int_equal(media_get(&m, STR("e"), &v), 0);
	assert_int_equal(media_get(&m, STR("o"), &v), 0);
	assert_int_equal(media_get(&m, STR("z"), &v), 0);
}

/* As often as it goes, and then `last`. */
static struct str repeat(struct buf *b, struct str first, struct str each, size_t n,
			 struct str last)
{
	buf_clear(b);
	buf_put(b, first);
	for (size_t i = 0; i < n; i++) {
		buf_put(b, each);
	}
	buf_put(b, last);
	return buf_str(b);
}

/* None is left out: either all of them are read, or the body is not. */
static void test_many_names(void **state)
{
	struct str form = STR("application/x-www-form-urlencoded"), json = STR("application/json");
	struct buf b = {0};
	struct media m;
	struct str text;

	(void)state;
	text = repeat(&b, STR(""), STR("a&"), MEDIA_NAMES_MAX - 1, STR("zz=1"));
	assert_ok(media_parse(&arena, form, text, &m));
	assert_int_equal(media_remove(&m, STR("zz")), 1);
	assert_int_equal(media_write(&arena, &m).n, 2 * (MEDIA_NAMES_MAX - 1) - 1);
	text = repeat(&b, STR(""), STR("a&"), MEDIA_NAMES_MAX, STR("zz=1"));
	assert_err(media_parse(&arena, form, text, &m), ERR_INVALID);

	text = repeat(&b, STR("{\"a\":["), STR("[0],"), MEDIA_NAMES_MAX, STR("0],\"zz\":1}"));
	assert_ok(media_parse(&arena, json, text, &m));
	assert_int_equal(media_remove(&m, STR("zz")), 1);
	assert_int_equal(media_write(&arena, &m).n, text.n - strlen(",\"zz\":1"));

	text = repeat(&b, STR("--X\r\n"), STR("A: b\r\n"), MEDIA_PART_HEAD_MAX / 6,
		      STR("\r\n1\r\n--X--"));
	assert_ok(media_parse(&arena, STR("multipart/form-data; boundary=X"), text, &m));
	text = repeat(&b, STR("--X\r\n"), STR("A: b\r\n"), MEDIA_PART_HEAD_MAX / 6 + 2,
		      STR("\r\n1\r\n--X--"));
	assert_err(media_parse(&arena, STR("multipart/form-data; boundary=X"), text, &m),
		   ERR_INVALID);
	buf_free(&b);
}

/* What is in a member stays as it was written. */
static void test_json_inside_is_left(void **state)
{
	struct media m;
	struct str v;

	(void)state;
	assert_ok(media_parse(&arena, STR("application/json"),
			      STR("{\"l\":[ 1.0, {\"x\" : 2} ],\"e\":[ ],\"o\":{ \"y\":1}}"), &m));
	media_append(&arena, &m, STR("l"), STR("z"));
	media_append(&arena, &m, STR("e"), STR("z"));
	media_append(&arena, &m, STR("e"), STR("y"));
	media_append(&arena, &m, STR("o"), STR("z"));
	assert_int_equal(media_get(&m, STR("e"), &v), 2);
	assert_str(v, STR("z"));
	assert_str(media_write(&arena, &m),
		   STR("{\"l\":[1.0, {\"x\" : 2},\"z\"],\"e\":[\"z\",\"y\"],"
		       "\"o\":[{ \"y\":1},\"z\"]}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_untouched_query_stays_as_it_came),
		cmocka_unit_test(test_edit_query),
		cmocka_unit_test(test_encoded_name_is_the_same_name),
		cmocka_unit_test(test_content_type),
		cmocka_unit_test(test_doubtful_types),
		cmocka_unit_test(test_types_of_answers),
		cmocka_unit_test(test_edit_json),
		cmocka_unit_test(test_edit_form),
		cmocka_unit_test(test_edit_multipart),
		cmocka_unit_test(test_quote_in_name_ends_nothing),
		cmocka_unit_test(test_multipart_cut_at_every_byte),
		cmocka_unit_test(test_what_cannot_be_edited),
		cmocka_unit_test(test_what_has_two_readings_is_broken),
		cmocka_unit_test(test_parameter_with_two_readings_is_refused),
		cmocka_unit_test(test_json_values),
		cmocka_unit_test(test_many_names),
		cmocka_unit_test(test_json_inside_is_left),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
