#include "gateway/markup.h"

#include "unit.h"

static void expect(const char *in, const char *out)
{
	struct arena a;

	arena_init(&a, 0);
	struct str got = markup_escape(&a, str_c(in));

	assert_int_equal(got.n, strlen(out));
	assert_memory_equal(got.p, out, got.n);
	arena_fini(&a);
}

static void test_escape(void **state)
{
	(void)state;
	expect("plain text", "plain text");
	expect("", "");
	expect("<a href=\"x\">'&'</a>", "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
	expect("a<", "a&lt;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
