#include "unit.h"

#include "gateway/form.h"

#define URLENCODED "application/x-www-form-urlencoded; charset=utf-8"

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

static void assert_reads(const char *type, struct str body, const char *want)
{
	struct json *v;
	struct fault f = {0};
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);

	if (form_read(&arena, str_c(type), body, &v, &f) != ERR_OK) {
		fail_msg("%.*s: %s", STR_ARG(body), f.text);
	}
	json_put_tree(&w, v);
	if (!str_eq(buf_str(&b), str_c(want))) {
		fail_msg("got %.*s, want %s", STR_ARG(buf_str(&b)), want);
	}
	buf_free(&b);
}

static void assert_refused(const char *type, struct str body, enum err want, const char *text)
{
	struct json *v;
	struct fault f = {0};

	assert_err(form_read(&arena, str_c(type), body, &v, &f), want);
	assert_string_equal(f.text, text);
}

static void test_names(void **state)
{
	static const struct {
		const char *body, *want;
	} cases[] = {
		{"", "{}"},
		{"&&", "{}"},
		{"a", "{\"a\":\"\"}"},
		{"a=1", "{\"a\":\"1\"}"},
		{"a=x+y%2Bz%00&b=%c3%bc", "{\"a\":\"x y+z\\u0000\",\"b\":\"\xc3\xbc\"}"},
		{"a.b.c=1&a.b.d=2&a.e=3", "{\"a\":{\"b\":{\"c\":\"1\",\"d\":\"2\"},\"e\":\"3\"}}"},
		{"a[]=1", "{\"a\":[\"1\"]}"},
		{"a[]=1&a[]=2&a[]=3", "{\"a\":[\"1\",\"2\",\"3\"]}"},
		{"a=1&a=2&a=3", "{\"a\":[\"1\",\"2\",\"3\"]}"},
		{"a=1&a[]=2", "{\"a\":[\"1\",\"2\"]}"},
		{"a%5B%5D=1", "{\"a\":[\"1\"]}"},
		{"a[2]=y&a[1]=x", "{\"a\":[\"x\",\"y\"]}"},
		{"a[5]=y&a[]=z&a[3]=x", "{\"a\":[\"x\",\"y\",\"z\"]}"},
		{"a[k]=1&a[l.m]=2", "{\"a\":{\"k\":\"1\",\"l.m\":\"2\"}}"},
		{"a[k]=1&a[2]=2", "{\"a\":{\"k\":\"1\",\"2\":\"2\"}}"},
		{"a[k][]=1&a[k][]=2", "{\"a\":{\"k\":[\"1\",\"2\"]}}"},
		{"s[1].ip=a&s[1].port=1&s[2].ip=b",
		 "{\"s\":[{\"ip\":\"a\",\"port\":\"1\"},{\"ip\":\"b\"}]}"},
		{"a.b[].c=1&a.b[].c=2", "{\"a\":{\"b\":[{\"c\":\"1\"},{\"c\":\"2\"}]}}"},
		{"a[=1", "{\"a[\":\"1\"}"},
		{"a]=1", "{\"a]\":\"1\"}"},
		{"[]=1", "{\"[]\":\"1\"}"},
		{"a[0]=1", "{\"a\":{\"0\":\"1\"}}"},
		{"a[1001]=1", "{\"a\":{\"1001\":\"1\"}}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_reads(URLENCODED, str_c(cases[i].body), cases[i].want);
	}
}

static void test_refused(void **state)
{
	(void)state;
	assert_refused(URLENCODED, STR("a=%zz"), ERR_INVALID, "bad percent-encoding");
	assert_refused(URLENCODED, STR("%ff=1"), ERR_INVALID, "a name is not valid UTF-8");
	assert_refused(URLENCODED, STR("a=1&a.b=2"), ERR_INVALID,
		       "'a.b' is given as a value and as an object");
	assert_refused(URLENCODED, STR("a.b=1&a=2"), ERR_INVALID,
		       "'a' is given as a value and as an object");
	assert_refused(URLENCODED, STR("a[]=1&a[k]=2"), ERR_INVALID,
		       "'a[k]' is given as a value and as an object");
	assert_reads(
		URLENCODED, STR("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p=1"),
		"{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":{\"h\":{\"i\":{\"j\":{\"k\":{"
		"\"l\":{\"m\":{\"n\":{\"o\":{\"p\":\"1\"}}}}}}}}}}}}}}}}");
	assert_refused(URLENCODED, STR("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q=1"), ERR_INVALID,
		       "a name has too many levels");
}

static void test_too_many(void **state)
{
	struct buf b = {0};
	struct json *v;

	(void)state;
	for (size_t i = 0; i < FORM_ARGS_MAX; i++) {
		buf_puts(&b, "a=1&");
	}
	assert_ok(form_read(&arena, STR(URLENCODED), buf_str(&b), &v, NULL));
	assert_int_equal(json_get(v, STR("a"))->n, FORM_ARGS_MAX);
	buf_puts(&b, "b=1");
	assert_refused(URLENCODED, buf_str(&b), ERR_LIMIT, "Too many arguments");
	buf_free(&b);
}

#define MULTIPART "multipart/form-data; boundary=\"--x\""
#define BODY                                                                                       \
	"preamble\r\n----x\r\n"                                                                    \
	"Content-Disposition: form-data; name=\"name\"\r\n\r\nsvc\r\n----x\r\n"                    \
	"content-disposition: form-data; filename=\"f; name=g\"; name=\"tags[]\"\r\n"              \
	"Content-Type: text/plain\r\n\r\nline 1\r\nline 2\r\n\r\n----x\r\n"                        \
	"Content-Disposition: form-data; name=empty\r\n\r\n\r\n----x--\r\nepilogue"

static void test_multipart(void **state)
{
	(void)state;
	assert_reads(MULTIPART, STR(BODY),
		     "{\"name\":\"svc\",\"tags\":[\"line 1\\r\\nline 2\\r\\n\"],\"empty\":\"\"}");
	assert_reads("Multipart/Form-Data;boundary=b", STR("--b--"), "{}");
	assert_refused("multipart/form-data", STR("--b--"), ERR_INVALID,
		       "multipart body: no boundary");
	assert_refused("multipart/form-data; boundary=b", STR("x"), ERR_INVALID,
		       "multipart body: the boundary does not occur");
	assert_refused("multipart/form-data; boundary=b",
		       STR("--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx"), ERR_INVALID,
		       "multipart body: the last boundary is missing");
	assert_refused("multipart/form-data; boundary=b", STR("--b\r\nX: y\r\n\r\nx\r\n--b--"),
		       ERR_INVALID, "multipart body: a part has no name");
	assert_refused("multipart/form-data; boundary=b", STR("--b\r\nX: y\r\n--b--"), ERR_INVALID,
		       "multipart body: a part has no end of its head");
	assert_refused("multipart/form-data; boundary=b", STR("--bx"), ERR_INVALID,
		       "multipart body: no line end after the boundary");
}

/* Cut anywhere, in an exact heap block by POSTHOUSE_ARENA=malloc: refused, or a part of it. */
static void test_multipart_cut(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(BODY) - 1; n++) {
		struct json *v = NULL;
		struct str body = str_dup(&arena, str_of(BODY, n));
		enum err e = form_read(&arena, STR(MULTIPART), body, &v, NULL);
		bool whole = n >= sizeof(BODY) - 1 - sizeof("\r\nepilogue") + 1;

		assert_err(e, whole ? ERR_OK : ERR_INVALID);
	}
}

static void test_types(void **state)
{
	(void)state;
	assert_true(form_is_type(STR("application/x-www-form-urlencoded")));
	assert_true(form_is_type(STR("Application/X-WWW-Form-Urlencoded ; charset=utf-8")));
	assert_true(form_is_type(STR("multipart/form-data; boundary=x")));
	assert_false(form_is_type(STR("multipart/mixed")));
	assert_false(form_is_type(STR("application/json")));
	assert_false(form_is_type(STR_NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	      cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_many),      cmocka_unit_test(test_multipart),
		cmocka_unit_test(test_multipart_cut), cmocka_unit_test(test_types),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
