#include "gateway/yaml_text.h"
#include "unit.h"

#include <stdio.h>

static struct str parsed(struct arena *a, struct str yaml)
{
	struct yaml_doc doc;
	struct fault f = {0};
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);

	if (yaml_parse(a, yaml, &doc, &f) != ERR_OK) {
		assert_int_equal(f.code, ERR_INVALID);
		return str_fmt(a, "%s", f.text);
	}
	json_put_tree(&w, doc.root);
	struct str out = str_dup(a, buf_str(&b));

	buf_free(&b);
	return out;
}

struct reading {
	const char *yaml, *want;
};

static void check_all(const struct reading *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct arena a;

		arena_init(&a, 0);
		struct str got = parsed(&a, str_c(v[i].yaml));

		if (!str_eq(got, str_c(v[i].want))) {
			fail_msg("%s\n-> %.*s\nnot %s", v[i].yaml, STR_ARG(got), v[i].want);
		}
		arena_fini(&a);
	}
}

static void types_plain_scalars(void **state)
{
	static const struct reading cases[] = {
		{"", "null"},
		{"# nothing\n", "null"},
		{"[~, null, Null, NULL, nUll, ]", "[null,null,null,null,\"nUll\"]"},
		{"[true, True, TRUE, yes, on, tRue]", "[true,true,true,true,true,\"tRue\"]"},
		{"[false, no, Off, n, y]", "[false,false,false,\"n\",\"y\"]"},
		{"- 0\n- -0\n- 10\n- +7\n- -7", "[0,-0,10,7,-7]"},
		{"- 0x1F\n- 0o17\n- 017\n- -0x10\n- 1_000", "[31,15,15,-16,1000]"},
		{"- 089\n- 08.50", "[89,8.50]"},
		{"- 1.5\n- .5\n- 5.\n- -.5e3\n- 1e-3\n- 1E+10", "[1.5,0.5,5.0,-0.5e3,1e-3,1e+10]"},
		{"- 1.2.3\n- 1e\n- 0x\n- .\n- -\n- 12:30\n- 2026-01-02",
		 "[\"1.2.3\",\"1e\",\"0x\",\".\",[null],\"12:30\",\"2026-01-02\"]"},
		{"- 0xffffffffffffffffff\n- 123456789012345678901234567890",
		 "[\"0xffffffffffffffffff\",123456789012345678901234567890]"},
		{"- '1'\n- \"true\"\n- ''\n- |\n  5\n- >-\n  a\n  b",
		 "[\"1\",\"true\",\"\",\"5\\n\",\"a b\"]"},
		{"- !!str 1\n- ! 2\n- !!int '3'\n- !!float 1.5\n- !!bool 'no'\n- !!null ''",
		 "[\"1\",\"2\",3,1.5,false,null]"},
		{"!!map {1: !!seq [a]}", "{\"1\":[\"a\"]}"},
		{"a: ~/regex\nb: /x#y\nc: http://h:81/p",
		 "{\"a\":\"~/regex\",\"b\":\"/x#y\",\"c\":\"http://h:81/p\"}"},
	};

	(void)state;
	check_all(cases, ARRAY_LEN(cases));
}

static void follows_anchors_and_merges(void **state)
{
	static const struct reading cases[] = {
		{"a: &x [1, 2]\nb: *x\nc: [*x, *x]",
		 "{\"a\":[1,2],\"b\":[1,2],\"c\":[[1,2],[1,2]]}"},
		{"a: &x 5\nb: &x 6\nc: *x", "{\"a\":5,\"b\":6,\"c\":6}"},
		{"a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\n  r: 4",
		 "{\"a\":{\"p\":1,\"q\":2},\"b\":{\"q\":3,\"r\":4,\"p\":1}}"},
		{"a: &x {p: 1}\nb: &y {p: 2, q: 2}\nc:\n  <<: [*x, *y]",
		 "{\"a\":{\"p\":1},\"b\":{\"p\":2,\"q\":2},\"c\":{\"p\":1,\"q\":2}}"},
		{"a: {\"<<\": 1}", "{\"a\":{\"<<\":1}}"},
		{"a: *x", "line 1: an alias without an anchor before it"},
		{"a: &x\n  b: *x", "line 2: an alias without an anchor before it"},
		{"a:\n  <<: 5", "line 2: << wants a map, or a list of maps"},
		{"a:\n  <<: {}\n  <<: {}", "line 3: << is given twice"},
	};

	(void)state;
	check_all(cases, ARRAY_LEN(cases));
}

static void refuses_with_the_line(void **state)
{
	static const struct reading cases[] = {
		{"a: 1\nb: 2\na: 3", "line 3: key 'a' is given twice (first in line 1)"},
		{"a: 1\n--- \nb: 2", "line 2: only one document is allowed"},
		{"? [a]\n: 1", "line 1: a key must be plain text"},
		{"a: !ruby/object {}", "line 1: the tag is unknown or does not fit the value"},
		{"a: !!int x", "line 1: the tag is unknown or does not fit the value"},
		{"{\"a\": 1, \"a\": 2}", "line 1: key 'a' is given twice (first in line 1)"},
	};

	(void)state;
	check_all(cases, ARRAY_LEN(cases));
}

static void reads_json_as_json(void **state)
{
	static const struct reading cases[] = {
		{"\n{\"a\":\"\\ud83d\\ude00\\/\",\t\"b\":[1]}",
		 "{\"a\":\"\xf0\x9f\x98\x80/\",\"b\":[1]}"},
		{"{a: 1}", "{\"a\":1}"},
	};

	(void)state;
	check_all(cases, ARRAY_LEN(cases));
}

static void bounds_what_aliases_make(void **state)
{
	struct arena a;
	struct buf b = {0};
	struct yaml_doc doc;
	struct fault f = {0};

	(void)state;
	arena_init(&a, (size_t)1 << 20);
	buf_puts(&b, "a0: &a0 [lol]\n");
	for (int i = 1; i < 20; i++) {
		buf_printf(&b, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i,
			   i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	}
	assert_err(yaml_parse(&a, buf_str(&b), &doc, &f), ERR_INVALID);
	assert_non_null(strstr(f.text, "too large, with its aliases written out"));
	arena_fini(&a);
	buf_clear(&b);

	/* Depth by aliases, too. */
	f = (struct fault){0};
	arena_init(&a, (size_t)1 << 20);
	buf_puts(&b, "a0: &a0 [lol]\n");
	for (int i = 1; i < 40; i++) {
		buf_printf(&b, "a%d: &a%d [*a%d]\n", i, i, i - 1);
	}
	assert_err(yaml_parse(&a, buf_str(&b), &doc, &f), ERR_INVALID);
	assert_non_null(strstr(f.text, "nested too deep"));
	arena_fini(&a);
	buf_clear(&b);

	f = (struct fault){0};
	arena_init(&a, (size_t)1 << 20);
	for (int i = 0; i < 100000; i++) {
		buf_putc(&b, '[');
	}
	assert_err(yaml_parse(&a, buf_str(&b), &doc, &f), ERR_INVALID);
	assert_non_null(strstr(f.text, "nested too deep"));
	arena_fini(&a);
	buf_free(&b);
}

static void finds_many_keys_twice(void **state)
{
	struct arena a;
	struct buf b = {0};
	struct yaml_doc doc;
	struct fault f = {0};

	(void)state;
	arena_init(&a, 0);
	for (int i = 0; i < 1000; i++) {
		buf_printf(&b, "k%d: %d\n", i, i);
	}
	assert_ok(yaml_parse(&a, buf_str(&b), &doc, &f));
	assert_int_equal(doc.root->n, 1000);
	buf_puts(&b, "k500: 1\n");
	assert_err(yaml_parse(&a, buf_str(&b), &doc, &f), ERR_INVALID);
	assert_string_equal(f.text, "line 1001: key 'k500' is given twice (first in line 501)");
	arena_fini(&a);
	buf_free(&b);
}

static void knows_lines(void **state)
{
	struct arena a;
	struct yaml_doc doc;

	(void)state;
	arena_init(&a, 0);
	assert_ok(yaml_parse(&a, STR("a: 1\nb:\n- c: 2\n  d: 3\n-\n  e: 4\n"), &doc, NULL));
	const struct json *b = json_get(doc.root, STR("b"));

	assert_int_equal(yaml_line(&doc, json_get(doc.root, STR("a"))), 1);
	assert_int_equal(yaml_line(&doc, b), 2);
	assert_int_equal(yaml_line(&doc, b->child), 3);
	assert_int_equal(yaml_line(&doc, json_get(b->child, STR("d"))), 4);
	assert_int_equal(yaml_line(&doc, json_get(b->child->next, STR("e"))), 6);
	assert_int_equal(yaml_line(&doc, NULL), 0);

	assert_ok(yaml_parse(&a, STR("{\n\"a\": 1,\n\"b\": [\n{\"c\": 2}]}"), &doc, NULL));
	assert_int_equal(yaml_line(&doc, json_get(doc.root, STR("a"))), 2);
	assert_int_equal(yaml_line(&doc, json_get(doc.root, STR("b"))->child), 4);
	arena_fini(&a);
}

/* JSON -> YAML -> the same JSON. */
static void check_round_trip(struct str json)
{
	struct arena a;
	struct yaml_doc doc;
	struct buf yaml = {0};
	struct fault f = {0};

	arena_init(&a, 0);
	assert_ok(yaml_parse(&a, json, &doc, NULL));
	yaml_write(&yaml, doc.root);

	struct str back = parsed(&a, buf_str(&yaml));
	struct str want = parsed(&a, json);

	if (!str_eq(back, want)) {
		fail_msg("%.*s\n-> %.*s\n-> %.*s %s", STR_ARG(want), STR_ARG(buf_str(&yaml)),
			 STR_ARG(back), f.text);
	}
	buf_free(&yaml);
	arena_fini(&a);
}

static void writes_what_reads_back(void **state)
{
	static const char *const values[] = {
		"null",
		"true",
		"5",
		"1.5e3",
		"[]",
		"{}",
		"[[]]",
		"[{}]",
		"[[1,[2]],[3]]",
		"{\"a\":{\"b\":{\"c\":[{\"d\":[1,{\"e\":null}]},{}]}}}",
		"[{\"a\":[1],\"b\":\"x\"},[{\"c\":1}]]",
		"[\"\",\" \",\"a b\",\" a\",\"a \",\"a: b\",\"a:\",\"a #b\",\"#a\",\"-\",\"- "
		"a\",\"--- a\",\"...\"]",
		"[\"yes\",\"no\",\"null\",\"~\",\"1\",\"1.0\",\"0x1\",\"1e5\",\"1_0\",\"true\","
		"\"y\",\"12:30\"]",
		"[\"*a\",\"&a\",\"!a\",\"%a\",\"@a\",\"`a\",\"{a\",\"[a\",\"]\",\"}\",\",\",\"?\","
		"\"? a\",\"|\",\">\",\"'\",\"\\\"\",\"\\\\\"]",
		"[\"~/a$\",\"/a\",\"a,b\",\"a[b]\",\"a{b}\",\"a'b\",\"(?i)x\",\"^a\",\"<<\",\"=\"]",
		"[\"a\\nb\",\"a\\n\",\"a\\n\\n\",\"\\na\",\" a\\nb\",\"a\\n  b\\n\",\"a\\n "
		"\\nb\",\"a\\n\\nb\",\"a\\r\\nb\",\"\\t\"]",
		"{\"k\":\"a\\nb\",\"l\":[\"x\\ny\\n\"],\"m\":[{\"n\":\"-----BEGIN "
		"X-----\\nAA==\\n-----END X-----\\n\"}]}",
		"\"a\\nb\"",
		"[\"\\u0000\\u0001\\u007f\\u0085\\u00a0\\u2028\\ufeff\\ufffe\\u00fc\\ud83d\\ude00\""
		"]",
		"{\"\":1,\"a b\":2,\"a: b\":3,\"5\":4,\"true\":5,\"<<\":6,\"x\\ny\":{\"z\":7},\"- "
		"q\":[8]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		check_round_trip(str_c(values[i]));
	}

	struct buf b = {0};

	buf_puts(&b, "{\"");
	for (int i = 0; i < 3000; i++) {
		buf_putc(&b, 'k');
	}
	buf_puts(&b, "\":{\"a\":[1]}}");
	check_round_trip(buf_str(&b));
	buf_free(&b);
}

static void writes_readably(void **state)
{
	struct arena a;
	struct yaml_doc doc;
	struct buf yaml = {0};

	(void)state;
	arena_init(&a, 0);
	assert_ok(yaml_parse(&a,
			     STR("{\"_format_version\":\"3.0\",\"services\":[{\"name\":\"s\","
				 "\"host\":\"h.example\",\"routes\":[{\"paths\":[\"/a\",\"~/b\"],"
				 "\"on\":true}],\"tags\":[]}],\"cert\":\"A\\nB\\n\"}"),
			     &doc, NULL));
	yaml_write(&yaml, doc.root);
	assert_str(buf_str(&yaml), STR("_format_version: \"3.0\"\n"
				       "services:\n"
				       "- name: s\n"
				       "  host: h.example\n"
				       "  routes:\n"
				       "  - paths:\n"
				       "    - /a\n"
				       "    - ~/b\n"
				       "    \"on\": true\n"
				       "  tags: []\n"
				       "cert: |\n"
				       "  A\n"
				       "  B\n"));
	buf_free(&yaml);
	arena_fini(&a);
}

/* Every beginning of a text is read or refused, never more. */
static void survives_every_cut(void **state)
{
	static const char text[] =
		"_format_version: \"3.0\"\nx: &x\n  a: [1, 'two', {b: 0x3}]\n"
		"y:\n  <<: *x\n  c: |\n    l\n    m\n  ? d\n  : !!str 5\nz: \"\\u00fc\\n\"\n";

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		struct arena a;
		struct yaml_doc doc;
		struct fault f = {0};

		arena_init(&a, 0);
		if (yaml_parse(&a, str_of(text, n), &doc, &f) != ERR_OK) {
			assert_int_equal(f.code, ERR_INVALID);
			assert_true(strncmp(f.text, "line ", 5) == 0);
		}
		arena_fini(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_plain_scalars),
		cmocka_unit_test(follows_anchors_and_merges),
		cmocka_unit_test(refuses_with_the_line),
		cmocka_unit_test(reads_json_as_json),
		cmocka_unit_test(bounds_what_aliases_make),
		cmocka_unit_test(finds_many_keys_twice),
		cmocka_unit_test(knows_lines),
		cmocka_unit_test(writes_what_reads_back),
		cmocka_unit_test(writes_readably),
		cmocka_unit_test(survives_every_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
