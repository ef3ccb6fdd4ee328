#include "unit.h"

#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* Parses an exact heap copy, so that ASan sees a byte read too far. */
static enum err parse_exact(struct arena *a, struct str text, struct json **out, struct fault *f)
{
	char *copy = mem_alloc(text.n ? text.n : 1);
	enum err e;

	memcpy(copy, text.p, text.n);
	e = json_parse(a, str_of(copy, text.n), out, f);
	mem_free(copy);
	return e;
}

static struct json *parse_ok(struct arena *a, const char *text)
{
	struct fault f = {0};
	struct json *v = NULL;

	if (json_parse(a, str_c(text), &v, &f) != ERR_OK) {
		fail_msg("%s: %s", text, f.text);
	}
	return v;
}

static void parses_and_writes_back(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"null", "null"},
		{" true\n", "true"},
		{"false", "false"},
		{"0", "0"},
		{"-0", "-0"},
		{"-12.50e+3", "-12.50e+3"},
		{"1E-9", "1E-9"},
		{"123456789012345678901234567890", "123456789012345678901234567890"},
		{"\"\"", "\"\""},
		{"\"a/b\"", "\"a/b\""},
		{"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
		{"\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"",
		 "\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
		{"\"\\u0000\\u001f\"", "\"\\u0000\\u001f\""},
		{"\"\\ud83d\"", "\"\xef\xbf\xbd\""},
		{"\"\\ude00x\"", "\"\xef\xbf\xbdx\""},
		{"\"\\ud83d\\u0041\"", "\"\xef\xbf\xbd"
				       "A\""},
		{"\"\\ud83d\\n\"", "\"\xef\xbf\xbd\\n\""},
		{"\"sixteen bytes +1.\\n then 20 more bytes\"",
		 "\"sixteen bytes +1.\\n then 20 more bytes\""},
		{"\"gr\xc3\xbc\xc3\x9f"
		 "e aus einer langen Zeichenkette\"",
		 "\"gr\xc3\xbc\xc3\x9f"
		 "e aus einer langen Zeichenkette\""},
		{"\"\x7f\"", "\"\x7f\""},
		{"[]", "[]"},
		{"[ ]", "[]"},
		{"[1, [2,[]] ,{}]", "[1,[2,[]],{}]"},
		{"{}", "{}"},
		{"{ }", "{}"},
		{"{\"a\" : 1,\"A\":[true],\"\":null}", "{\"a\":1,\"A\":[true],\"\":null}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a;
		struct buf out = {0};
		struct json_writer w = json_writer_to(&out);

		arena_init(&a, 0);
		json_put_tree(&w, parse_ok(&a, cases[i].in));
		assert_str(buf_str(&out), str_c(cases[i].out));
		buf_free(&out);
		arena_fini(&a);
	}
}

static void refuses_with_place(void **state)
{
	static const struct {
		const char *in, *why;
	} cases[] = {
		{"", "unexpected end of JSON at byte 0"},
		{"  ", "unexpected end of JSON at byte 2"},
		{"nul", "unexpected character at byte 0"},
		{"True", "unexpected character at byte 0"},
		{"NaN", "unexpected character at byte 0"},
		{"01", "unexpected text after the value at byte 1"},
		{"-", "unexpected end of JSON at byte 1"},
		{"+1", "unexpected character at byte 0"},
		{".5", "unexpected character at byte 0"},
		{"1.", "unexpected end of JSON at byte 2"},
		{"1.e5", "digit expected at byte 2"},
		{"1e", "unexpected end of JSON at byte 2"},
		{"1ex", "digit expected at byte 2"},
		{"'a'", "unexpected character at byte 0"},
		{"\"abc", "unterminated string at byte 0"},
		{"\"abc\\", "unterminated string at byte 0"},
		{"\"abc\\\"", "unterminated string at byte 0"},
		{"\"a\nb\"", "control character in a string at byte 2"},
		{"\"\\x\"", "invalid escape at byte 1"},
		{"\"ab\\u12g4\"", "invalid escape at byte 3"},
		{"\"\\u123\"", "invalid escape at byte 1"},
		{"\"\xff\"", "invalid UTF-8 in the string at byte 0"},
		{"\"\xc3\"", "invalid UTF-8 in the string at byte 0"},
		{"\"\xed\xa0\x80\"", "invalid UTF-8 in the string at byte 0"},
		{"\"\xc3\\u00a9\"", "invalid UTF-8 in the string at byte 0"},
		{"[1,]", "unexpected character at byte 3"},
		{"[1 2]", "',' or ']' expected at byte 3"},
		{"[1", "unexpected end of JSON at byte 2"},
		{"[1}", "',' or ']' expected at byte 2"},
		{"{1:2}", "name expected at byte 1"},
		{"{\"a\"}", "':' expected at byte 4"},
		{"{\"a\":1,}", "name expected at byte 7"},
		{"{\"a\":1 \"b\":2}", "',' or '}' expected at byte 7"},
		{"{\"a\":1", "unexpected end of JSON at byte 6"},
		{"{\"a\":1,\"a\":2}", "duplicate name at byte 7"},
		{"{\"a\":1,\"\\u0061\":2}", "duplicate name at byte 7"},
		{"{} {}", "unexpected text after the value at byte 3"},
		{"1 /* x */", "unexpected text after the value at byte 2"},
		{"\xef\xbb\xbf{}", "unexpected character at byte 0"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a;
		struct fault f = {0};
		struct json *v = NULL;

		arena_init(&a, 0);
		assert_err(parse_exact(&a, str_c(cases[i].in), &v, &f), ERR_INVALID);
		assert_string_equal(f.text, cases[i].why);
		assert_null(v);
		arena_fini(&a);
	}
}

static const char record[] =
	"{\"requestId\":\"0f8fad5b-d9cb-469f-a165-70867728950e\",\"n\":[-1.5e3,true,null],"
	"\"httpHeaders\":{\"Host\":[\"relay.example\"],\"X-\\u00fc\":[\"\xc3\xbc\",\"\\n\"]},"
	"\"bodyContent\":null}";

static void refuses_every_truncation(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(record) - 1; n++) {
		struct arena a;
		struct json *v;

		arena_init(&a, 0);
		assert_err(parse_exact(&a, str_of(record, n), &v, NULL), ERR_INVALID);
		arena_fini(&a);
	}
	struct arena a;
	struct json *v;

	arena_init(&a, 0);
	assert_ok(json_parse(&a, str_of(record, sizeof(record) - 1), &v, NULL));
	arena_fini(&a);
}

/* The vector scan must find the end whatever its place in the block. */
static void finds_specials_at_every_offset(void **state)
{
	static const char specials[] = {'"', '\\', '\n', 0x1f, 0};

	(void)state;
	for (size_t at = 0; at < 70; at++) {
		for (size_t k = 0; k < sizeof(specials); k++) {
			struct arena a;
			char text[80];
			struct json *v = NULL;

			memset(text, 'x', sizeof(text));
			text[0] = '"';
			text[1 + at] = specials[k];
			text[2 + at] = 'n';
			text[3 + at] = '"';
			arena_init(&a, 0);
			struct str s = str_of(text, specials[k] == '"' ? at + 2 : at + 4);
			enum err e = json_parse(&a, s, &v, NULL);

			assert_int_equal(e, k < 2 ? ERR_OK : ERR_INVALID);
			if (k < 2) {
				assert_int_equal(v->text.n, k == 0 ? at : at + 1);
			}
			arena_fini(&a);
		}
	}
}

static void finds_bad_utf8_at_every_offset(void **state)
{
	(void)state;
	for (size_t at = 0; at < 40; at++) {
		struct arena a;
		char text[60];
		struct json *v = NULL;

		memset(text, 'x', sizeof(text));
		text[0] = '"';
		text[1 + at] = (char)0xc3;
		text[45] = '"';
		arena_init(&a, 0);
		assert_err(json_parse(&a, str_of(text, 46), &v, NULL), ERR_INVALID);
		text[2 + at] = (char)0xbc;
		assert_ok(json_parse(&a, str_of(text, 46), &v, NULL));
		arena_fini(&a);
	}
}

static void strings_without_escapes_are_not_copied(void **state)
{
	static const char text[] = "{\"key\":\"value\"}";
	struct arena a;
	struct json *v;

	(void)state;
	arena_init(&a, 0);
	assert_ok(json_parse(&a, STR(text), &v, NULL));
	assert_ptr_equal(v->child->key.p, text + 2);
	assert_ptr_equal(v->child->text.p, text + 8);
	arena_fini(&a);
}

static void depth_is_limited(void **state)
{
	char text[2 * JSON_DEPTH_MAX + 2];
	struct arena a;
	struct fault f = {0};
	struct json *v;

	(void)state;
	arena_init(&a, 0);
	memset(text, '[', JSON_DEPTH_MAX + 1);
	memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	assert_ok(json_parse(&a, str_of(text + 1, sizeof(text) - 2), &v, &f));
	assert_err(json_parse(&a, str_of(text, sizeof(text)), &v, &f), ERR_INVALID);
	assert_string_equal(f.text, "nested too deep at byte 32");
	arena_fini(&a);
}

/* `n` members m0, m1, ... and then m`again`. */
static enum err parse_members(size_t n, size_t again)
{
	struct arena a;
	struct buf text = {0};
	struct json *v = NULL;
	enum err e;

	arena_init(&a, 0);
	buf_putc(&text, '{');
	for (size_t i = 0; i < n; i++) {
		buf_printf(&text, "\"m%zu\":%zu,", i, i);
	}
	buf_printf(&text, "\"m%zu\":0}", again);
	e = json_parse(&a, buf_str(&text), &v, NULL);
	if (e == ERR_OK) {
		assert_int_equal(v->n, n + 1);
	}
	buf_free(&text);
	arena_fini(&a);
	return e;
}

static void duplicates_are_refused_in_objects_of_any_size(void **state)
{
	static const size_t sizes[] = {1, 2, 16, 31, 32, 33, 34, 64, 65, 1000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t n = sizes[i];

		assert_ok(parse_members(n, n));
		assert_err(parse_members(n, 0), ERR_INVALID);
		assert_err(parse_members(n, n / 2), ERR_INVALID);
		assert_err(parse_members(n, n - 1), ERR_INVALID);
	}
	/* Linear, or this takes minutes. */
	assert_ok(parse_members(200000, 200000));
	assert_err(parse_members(200000, 100000), ERR_INVALID);
}

static void access(void **state)
{
	struct arena a;
	int64_t i = 7;

	(void)state;
	arena_init(&a, 0);
	const struct json *v = parse_ok(&a, "{\"a\":\"x\",\"B\":true,\"c\":-9223372036854775808,"
					    "\"d\":1.5,\"e\":null,\"f\":9223372036854775808}");

	assert_str(json_str(json_get(v, STR("a"))), STR("x"));
	assert_null(json_get(v, STR("b")));
	assert_true(json_bool(json_get_nocase(v, STR("b"))));
	assert_null(json_get_nocase(v, STR("bb")));
	assert_false(json_bool(json_get(v, STR("a"))));
	assert_false(json_int(json_get(v, STR("d")), &i));
	assert_false(json_int(json_get(v, STR("f")), &i));
	assert_false(json_int(json_get(v, STR("a")), &i));
	assert_int_equal(i, 7);
	assert_true(json_int(json_get(v, STR("c")), &i));
	assert_true(i == INT64_MIN);
	assert_true(json_is_null(json_get(v, STR("e"))));
	assert_true(json_is_null(NULL));
	assert_false(json_is_null(v));
	assert_null(json_str(json_get(v, STR("c"))).p);
	assert_null(json_get(json_get(v, STR("a")), STR("a")));
	assert_null(json_get(NULL, STR("a")));
	assert_null(json_get_nocase(NULL, STR("a")));
	arena_fini(&a);
}

static struct json *skim_ok(struct arena *a, const char *text)
{
	struct json *v = NULL;

	assert_ok(json_skim(a, str_c(text), 3, &v, NULL));
	return v;
}

static void skims(void **state)
{
	static const char text[] = "{\"l\":[ [1,2], {\"x\":[3],\"x\":4} ,5 ],\"o\":{ },"
				   "\"s\":\"\\u0041\"}";
	struct buf out = {0};
	struct json_writer w = json_writer_to(&out);
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	const struct json *v = skim_ok(&a, text), *list = json_get(v, STR("l"));

	assert_int_equal(list->n, 3);
	assert_str(list->text, STR("[ [1,2], {\"x\":[3],\"x\":4} ,5 ]"));
	assert_int_equal(list->child->type, JSON_ARRAY);
	assert_null(list->child->next);
	assert_int_equal(json_get(v, STR("o"))->n, 0);
	assert_str(json_get_str(v, "s"), STR("A"));
	json_put_tree(&w, v);
	assert_str(buf_str(&out), STR("{\"l\":[ [1,2], {\"x\":[3],\"x\":4} ,5 ],\"o\":{ },"
				      "\"s\":\"A\"}"));
	buf_free(&out);
	arena_fini(&a);
}

/* What is not kept is read all the same. */
static void skims_with_the_same_eyes(void **state)
{
	static const char *const bad[] = {
		"{\"a\":[0,[01]]}",	 "{\"a\":[0,[nul]]}",	 "{\"a\":[0,{\"b\":\"\xff\"}]}",
		"{\"a\":[0,{\"b\" 1}]}", "{\"a\":1,\"a\":2}",	 "{\"a\":[0,[1}]}",
		"{\"a\":[0,[1]}",	 "{\"a\":{\"b\":[0,]}}", "{\"a\":[0,\"\\q\"]}",
		"{\"a\":[0]}x",		 "{\"a\":[0,{1:2}]}",	 "{\"a\":[0,\"b",
	};
	char deep[2 * JSON_DEPTH_MAX + 2];
	struct fault f = {0};
	struct arena a;
	struct json *v;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_err(json_skim(&a, str_c(bad[i]), 3, &v, NULL), ERR_INVALID);
	}
	memset(deep, '[', JSON_DEPTH_MAX + 1);
	memset(deep + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	assert_ok(json_skim(&a, str_of(deep + 1, sizeof(deep) - 2), 3, &v, NULL));
	assert_err(json_skim(&a, str_of(deep, sizeof(deep)), 3, &v, NULL), ERR_INVALID);
	assert_err(json_skim(&a, STR("{\"a\":0,\"b\":0,\"c\":0,\"d\":0}"), 3, &v, &f), ERR_INVALID);
	assert_string_equal(f.text, "too many members at byte 19");
	assert_int_equal(skim_ok(&a, "[{},1,[2],3]")->n, 4);
	assert_str(skim_ok(&a, "[{},1,[2],3]")->text, STR("[{},1,[2],3]"));
	assert_int_equal(skim_ok(&a, "{\"a\":[0,1,2,3,4]}")->n, 1);
	arena_fini(&a);
}

/* A tree of a large array takes some forty times its text. */
static void skims_in_little_memory(void **state)
{
	struct buf text = {0};
	struct arena a;
	struct json *v;

	(void)state;
	arena_init(&a, 0);
	buf_puts(&text, "{\"a\":[0");
	for (int i = 0; i < 100000; i++) {
		buf_puts(&text, ",{\"b\":[0]}");
	}
	buf_puts(&text, "]}");
	assert_ok(json_skim(&a, buf_str(&text), 3, &v, NULL));
	assert_int_equal(v->child->n, 100001);
	/* As the outermost, too. */
	assert_ok(json_skim(&a, str_slice(buf_str(&text), 5, text.n - 6), 3, &v, NULL));
	assert_int_equal(v->n, 100001);
	assert_true(a.used_bytes < 16384);
	arena_fini(&a);
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_and_writes_back),
		cmocka_unit_test(refuses_with_place),
		cmocka_unit_test(refuses_every_truncation),
		cmocka_unit_test(finds_specials_at_every_offset),
		cmocka_unit_test(finds_bad_utf8_at_every_offset),
		cmocka_unit_test(strings_without_escapes_are_not_copied),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(duplicates_are_refused_in_objects_of_any_size),
		cmocka_unit_test(access),
		cmocka_unit_test(skims),
		cmocka_unit_test(skims_with_the_same_eyes),
		cmocka_unit_test(skims_in_little_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
