#include "unit.h"

#include "app/config.h"
#include "base/mem.h"

/* The tree in a canonical form: {key=value ...}, [value ...], quoted text, ~ for null. */
static void put_tree(struct buf *out, const struct conf_node *n)
{
	if (n->kind == CONF_NODE_SCALAR) {
		buf_printf(out, n->text.p ? "'%.*s'" : "~", STR_ARG(n->text));
		return;
	}
	buf_putc(out, n->kind == CONF_NODE_MAP ? '{' : '[');
	for (const struct conf_node *c = n->child; c; c = c->next) {
		if (n->kind == CONF_NODE_MAP) {
			buf_printf(out, "%.*s@%u=", STR_ARG(c->key), c->line);
		}
		put_tree(out, c);
		if (c->next) {
			buf_putc(out, ' ');
		}
	}
	buf_putc(out, n->kind == CONF_NODE_MAP ? '}' : ']');
}

/* From an exact heap copy, so that ASan sees a byte read too far. */
static enum err parse(struct arena *a, struct str text, struct conf_node **out, struct fault *f)
{
	char *copy = mem_alloc(text.n ? text.n : 1);
	enum err e;

	memcpy(copy, text.p, text.n);
	e = config_parse(a, str_of(copy, text.n), STR("posthouse.yaml"), out, f);
	mem_free(copy);
	return e;
}

static void reads_yaml_and_json(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"", "{}"},
		{"# only a comment\n", "{}"},
		{"---\n", "{}"},
		{"{}", "{}"},
		{"relay:\n", "{relay@1=~}"},
		{"relay:\n  a: 1\n  b: x y\n", "{relay@1={a@2='1' b@3='x y'}}"},
		{"a: [1, \"2\", ~, null, 'null', \"\"]", "{a@1=['1' '2' ~ ~ 'null' '']}"},
		{"a:\n- x\n- k: v\n", "{a@1=['x' {k@3='v'}]}"},
		{"a: |\n  two\n  lines\n", "{a@1='two\nlines\n'}"},
		{"a: yes # comment\n", "{a@1='yes'}"},
		{"a: gr\xc3\xbc\xc3\x9f"
		 "e",
		 "{a@1='gr\xc3\xbc\xc3\x9f"
		 "e'}"},
		{"{\"RelayConnector\":{\n\t\"TenantName\":\"x\\/\\u00fc\",\n\"n\":1.5,\"t\":true}}",
		 "{RelayConnector@1={TenantName@2='x/\xc3\xbc' n@3='1.5' t@3='true'}}"},
		{"{\"a\":[],\"b\":{},\"c\":null}", "{a@1=[] b@1={} c@1=~}"},
		{"listen: [\"127.0.0.1:5000\", {address: \"0.0.0.0:8443\", tls: {cert: c}}]",
		 "{listen@1=['127.0.0.1:5000' {address@1='0.0.0.0:8443' tls@1={cert@1='c'}}]}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a;
		struct fault f = {0};
		struct conf_node *root;
		struct buf out = {0};

		arena_init(&a, 0);
		if (parse(&a, str_c(cases[i].in), &root, &f) != ERR_OK) {
			fail_msg("%s: %s", cases[i].in, f.text);
		}
		put_tree(&out, root);
		assert_str(buf_str(&out), str_c(cases[i].out));
		assert_str(root->source, STR("posthouse.yaml"));
		buf_free(&out);
		arena_fini(&a);
	}
}

static void refuses_with_place(void **state)
{
	static const struct {
		const char *in, *why;
	} cases[] = {
		{"just text", "posthouse.yaml:1: a map of keys is expected"},
		{"- a\n", "posthouse.yaml:1: a map of keys is expected"},
		{"a: 1\nb: 2\na: 3\n", "posthouse.yaml:3: a: is given twice (first in line 1)"},
		{"a: &x 1\n", "posthouse.yaml:1: anchors and aliases are not supported"},
		{"a: 1\nb: *x\n", "posthouse.yaml:2: anchors and aliases are not supported"},
		{"a: &x [1]\n", "posthouse.yaml:1: anchors and aliases are not supported"},
		{"a: !secret x\n", "posthouse.yaml:1: tags are not supported"},
		{"a: !!str 1\n", "posthouse.yaml:1: tags are not supported"},
		{"? [a]\n: 1\n", "posthouse.yaml:1: a key must be plain text"},
		{"a: 1\n---\nb: 1\n", "posthouse.yaml:2: only one document is allowed"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a;
		struct fault f = {0};
		struct conf_node *root = NULL;

		arena_init(&a, 0);
		assert_err(parse(&a, str_c(cases[i].in), &root, &f), ERR_INVALID);
		assert_string_equal(f.text, cases[i].why);
		assert_null(root);
		arena_fini(&a);
	}
}

/* libyaml's own words differ between versions: only the line is ours. */
static void syntax_errors_name_the_line(void **state)
{
	static const struct {
		const char *in, *where;
	} cases[] = {
		{"a: 1\nb: [1\n", "posthouse.yaml:3: "}, {"a: 1\n b: 2\n", "posthouse.yaml:2: "},
		{"a: \"x\n", "posthouse.yaml:2: "},	 {"a: 1\n\tb: 2\n", "posthouse.yaml:2: "},
		{"a: \xff\n", "posthouse.yaml:1: "},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a;
		struct fault f = {0};
		struct conf_node *root = NULL;

		arena_init(&a, 0);
		assert_err(parse(&a, str_c(cases[i].in), &root, &f), ERR_INVALID);
		if (!str_starts(str_c(f.text), str_c(cases[i].where))) {
			fail_msg("%s: %s", cases[i].in, f.text);
		}
		arena_fini(&a);
	}
}

static void limits(void **state)
{
	struct arena a;
	struct fault f = {0};
	struct buf text = {0};
	struct conf_node *root = NULL;

	(void)state;
	arena_init(&a, 0);
	buf_puts(&text, "a: ");
	for (int i = 0; i < CONFIG_DEPTH_MAX; i++) {
		buf_putc(&text, '[');
	}
	for (int i = 0; i < CONFIG_DEPTH_MAX; i++) {
		buf_putc(&text, ']');
	}
	assert_err(parse(&a, buf_str(&text), &root, &f), ERR_INVALID);
	assert_string_equal(f.text, "posthouse.yaml:1: nested too deep");

	buf_clear(&text);
	for (int i = 0; i <= CONFIG_MEMBERS_MAX; i++) {
		buf_printf(&text, "k%d: 1\n", i);
	}
	f = (struct fault){0};
	assert_err(parse(&a, buf_str(&text), &root, &f), ERR_INVALID);
	assert_string_equal(f.text, "posthouse.yaml:1001: too many keys in one map");

	buf_clear(&text);
	memset(buf_reserve(&text, CONFIG_TEXT_MAX + 1), '#', CONFIG_TEXT_MAX + 1);
	buf_commit(&text, CONFIG_TEXT_MAX + 1);
	f = (struct fault){0};
	assert_err(parse(&a, buf_str(&text), &root, &f), ERR_INVALID);
	assert_string_equal(f.text, "posthouse.yaml: larger than 1024 KiB");
	buf_free(&text);
	arena_fini(&a);
}

static void survives_every_truncation(void **state)
{
	static const char text[] =
		"relay:\n  listen: [\"127.0.0.1:5000\", {address: 'x', tls: {cert: c}}]\n"
		"  text: |\n    block\n  quoted: \"\\u00fc\\n\"\n{a: b}: c\n";

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		struct arena a;
		struct fault f = {0};
		struct conf_node *root = NULL;

		arena_init(&a, 0);
		if (parse(&a, str_of(text, n), &root, &f) != ERR_OK) {
			assert_true(str_starts(str_c(f.text), STR("posthouse.yaml:")));
		}
		arena_fini(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_yaml_and_json),	       cmocka_unit_test(refuses_with_place),
		cmocka_unit_test(syntax_errors_name_the_line), cmocka_unit_test(limits),
		cmocka_unit_test(survives_every_truncation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
