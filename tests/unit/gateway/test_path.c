#include "unit.h"

#include "gateway/path.h"

static void canonical_paths(void **state)
{
	static const struct {
		struct str raw, want;
	} cases[] = {
		{STR_INIT(""), STR_INIT("/")},
		{STR_INIT("/"), STR_INIT("/")},
		{STR_INIT("/a/b"), STR_INIT("/a/b")},
		{STR_INIT("/r/%7Ea//b/../c"), STR_INIT("/r/~a/c")},
		{STR_INIT("/%7e%41%2D"), STR_INIT("/~A-")},
		{STR_INIT("/a%2fb%3f%23%25%5b"), STR_INIT("/a%2Fb%3F%23%25%5B")},
		{STR_INIT("/%21%2a%27%28%29%3b%3a%40%26%3d%2b%24%2c%5d"),
		 STR_INIT("/%21%2A%27%28%29%3B%3A%40%26%3D%2B%24%2C%5D")},
		{STR_INIT("/!*'();:@&=+$,[]"), STR_INIT("/!*'();:@&=+$,[]")},
		{STR_INIT("/a%20b%C3%A9%22"), STR_INIT("/a b\xC3\xA9\"")},
		{STR_INIT("/a%5Cb\\c"), STR_INIT("/a\\b\\c")},
		/* Latin-1 is not UTF-8, but nothing hides in it. */
		{STR_INIT("/%E4%F6"), STR_INIT("/\xE4\xF6")},
		{STR_INIT("//"), STR_INIT("/")},
		{STR_INIT("///a////b//"), STR_INIT("/a/b/")},
		{STR_INIT("//internal/"), STR_INIT("/internal/")},
		{STR_INIT("/."), STR_INIT("/")},
		{STR_INIT("/.."), STR_INIT("/")},
		{STR_INIT("/a/."), STR_INIT("/a/")},
		{STR_INIT("/a/.."), STR_INIT("/")},
		{STR_INIT("/a/b/.."), STR_INIT("/a/")},
		{STR_INIT("/a/./b/../../c"), STR_INIT("/c")},
		{STR_INIT("/../../../etc/passwd"), STR_INIT("/etc/passwd")},
		{STR_INIT("/a//../b"), STR_INIT("/b")},
		{STR_INIT("/a/%2e%2e/b"), STR_INIT("/b")},
		{STR_INIT("/a/%2E./b/.%2e/c"), STR_INIT("/c")},
		{STR_INIT("/a/%2e/b"), STR_INIT("/a/b")},
		{STR_INIT("/.well-known/x"), STR_INIT("/.well-known/x")},
		{STR_INIT("/..a/...//.a."), STR_INIT("/..a/.../.a.")},
		{STR_INIT("/a/.../b"), STR_INIT("/a/.../b")},
		{STR_INIT("/a..;x/b;..%2Fc"), STR_INIT("/a..;x/b;..%2Fc")},
		{STR_INIT("/a;v=1.2/b"), STR_INIT("/a;v=1.2/b")},
		{STR_INIT("/;jsessionid=1"), STR_INIT("/;jsessionid=1")},
		{STR_INIT("/a/;x"), STR_INIT("/a/;x")},
		{STR_INIT("/%252F%2525"), STR_INIT("/%252F%2525")},
		{STR_INIT("/0123456789abcde/./x"), STR_INIT("/0123456789abcde/x")},
		{STR_INIT("/0123456789abcd//x"), STR_INIT("/0123456789abcd/x")},
	};
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str got, again;

		assert_true(path_normalize(&a, cases[i].raw, &got));
		assert_str(got, cases[i].want);
		assert_true(path_normalize(&a, path_escape(&a, got), &again));
		assert_str(again, got);
	}
	arena_fini(&a);
}

static void what_hides_is_refused(void **state)
{
	static const struct str cases[] = {
		STR_INIT("*"),
		STR_INIT("a/b"),
		STR_INIT("/a%"),
		STR_INIT("/a%4"),
		STR_INIT("/%zz"),
		STR_INIT("/%4g"),
		STR_INIT("/%%41"),
		STR_INIT("/a%00b"),
		STR_INIT("/a\0b"),
		STR_INIT("/%0d%0aX: y"),
		STR_INIT("/%09"),
		STR_INIT("/%1f"),
		STR_INIT("/%7F"),
		STR_INIT("/\x7f"),
		STR_INIT("/\n"),
		STR_INIT("/a b"),
		STR_INIT("/a?b"),
		STR_INIT("/a#b"),
		STR_INIT("/a/..;/b"),
		STR_INIT("/a/..%3F"),
		STR_INIT("/a/..%3Fb"),
		STR_INIT("/a/.%2e%23x"),
		STR_INIT("/a/%252e%252e%3F/b"),
		STR_INIT("/a/..%2500b"),
		STR_INIT("/a/..%20/b"),
		STR_INIT("/a/.%20%20"),
		STR_INIT("/a/..%2520;x"),
		STR_INIT("/a/..;x=1/b"),
		STR_INIT("/a/.;/b"),
		STR_INIT("/;/b"),
		STR_INIT("/a/;x=1/b"),
		STR_INIT("/a/;x/"),
		STR_INIT("/a/%3b/b"),
		STR_INIT("/a/%253Bx/b"),
		STR_INIT("/0123456789abcd/;x/y"),
		STR_INIT("/0123456789abcde/;x/y"),
		STR_INIT("/a/%2e%2e;/b"),
		STR_INIT("/a/..%3b/b"),
		STR_INIT("/a/..%253B/b"),
		STR_INIT("/a/..\\b"),
		STR_INIT("/a\\..\\b"),
		STR_INIT("/a/..%5cb"),
		STR_INIT("/a%5C.."),
		STR_INIT("/a/..%2Fb"),
		STR_INIT("/a%2f%2e%2e%2fb"),
		STR_INIT("/a%2F."),
		STR_INIT("/a/%252e%252e/b"),
		STR_INIT("/a/%252e%252e%252fb"),
		STR_INIT("/a/.%252e/b"),
		STR_INIT("/a/%25252e./b"),
		STR_INIT("/a/..%255cb"),
		STR_INIT("/a/%c0%af"),
		STR_INIT("/a/%C0%AE%C0%AE/b"),
		STR_INIT("/a/\xC1\x81"),
		STR_INIT("/%e0%80%af"),
		STR_INIT("/%f0%80%80%af"),
		STR_INIT("/a/%25c0%25ae"),
	};
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str got = STR("untouched");

		assert_false(path_normalize(&a, cases[i], &got));
		assert_str(got, STR("untouched"));
	}
	arena_fini(&a);
}

/* Each byte at each place of a path longer than two blocks, against the plain rule. */
static void no_place_is_overlooked(void **state)
{
	char text[41];
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t n = 1; n <= sizeof(text); n++) {
		for (size_t i = 1; i < n; i++) {
			for (int c = 0; c < 256; c++) {
				struct str raw = str_of(text, n), got;
				bool good;

				memset(text, 'x', sizeof(text));
				text[0] = '/';
				text[i] = (char)c;
				good = c > 0x20 && c != 0x7f && c != '%' && c != '?' && c != '#' &&
				       !(c == '.' && n == 2);
				if (c == '/' && i == 1) {
					good = false; /* becomes shorter */
				}
				assert_int_equal(path_normalize(&a, raw, &got) && got.p == raw.p &&
							 got.n == n,
						 good);
			}
		}
		arena_reset(&a);
	}
	arena_fini(&a);
}

static void canonical_paths_are_not_copied(void **state)
{
	static const struct str cases[] = {
		STR_INIT("/a"),
		STR_INIT("/.well-known/acme"),
		STR_INIT("/a%2Fb"),
		STR_INIT("/0123456789abcdef0123456789abcdef0123456789"),
	};
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str got;

		assert_true(path_normalize(&a, cases[i], &got));
		assert_ptr_equal(got.p, cases[i].p);
		assert_ptr_equal(path_escape(&a, got).p, cases[i].p);
	}
	arena_fini(&a);
}

/* Each byte at each place, against RFC 3986's lists. */
static void no_escape_is_forgotten(void **state)
{
	static const char allowed[] = "!#$&'()*+,/:;=?@[]%-_.~0123456789"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	char text[41];
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t n = 1; n <= sizeof(text); n++) {
		for (size_t i = 0; i < n; i++) {
			for (int c = 0; c < 256; c++) {
				bool same = c != 0 && strchr(allowed, c);

				memset(text, 'x', sizeof(text));
				text[i] = (char)c;
				assert_int_equal(path_escape(&a, str_of(text, n)).n,
						 same ? n : n + 2);
			}
		}
		arena_reset(&a);
	}
	arena_fini(&a);
}

static void paths_are_escaped(void **state)
{
	static const struct {
		struct str path, want;
	} cases[] = {
		{STR_INIT("/a b\"<>\\^`{|}"), STR_INIT("/a%20b%22%3C%3E%5C%5E%60%7B%7C%7D")},
		{STR_INIT("/\xC3\xA9\xFF\x7f"), STR_INIT("/%C3%A9%FF%7F")},
		{STR_INIT("/%2F%25"), STR_INIT("/%2F%25")},
		{STR_INIT("/!#$&'()*+,/:;=?@[]AZaz09-_.~"),
		 STR_INIT("/!#$&'()*+,/:;=?@[]AZaz09-_.~")},
		{STR_INIT(""), STR_INIT("")},
	};
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_str(path_escape(&a, cases[i].path), cases[i].want);
	}
	arena_fini(&a);
}

struct upstream_case {
	struct str base, path;
	size_t matched;
	bool strip;
	struct str want;
};

static void upstream_paths(void **state)
{
	static const struct upstream_case cases[] = {
		/* base ends in '/', strip, nothing left */
		{STR_INIT("/"), STR_INIT("/r"), 2, true, STR_INIT("/")},
		{STR_INIT("/"), STR_INIT("/r/"), 3, true, STR_INIT("/")},
		{STR_INIT("/base/"), STR_INIT("/r/"), 3, true, STR_INIT("/base/")},
		{STR_INIT("/base/"), STR_INIT("/r"), 2, true, STR_INIT("/base")},
		/* base ends in '/', strip, a rest */
		{STR_INIT("/"), STR_INIT("/r/x"), 2, true, STR_INIT("/x")},
		{STR_INIT("/"), STR_INIT("/rx"), 2, true, STR_INIT("/x")},
		{STR_INIT("/base/"), STR_INIT("/r/x"), 2, true, STR_INIT("/base/x")},
		{STR_INIT("/base/"), STR_INIT("/r/x"), 3, true, STR_INIT("/base/x")},
		{STR_INIT("/base/"), STR_INIT("/r/"), 2, true, STR_INIT("/base/")},
		/* base ends in '/', whole path */
		{STR_INIT("/"), STR_INIT("/r/x"), 2, false, STR_INIT("/r/x")},
		{STR_INIT("/"), STR_INIT("/"), 1, false, STR_INIT("/")},
		{STR_INIT("/base/"), STR_INIT("/r/x"), 2, false, STR_INIT("/base/r/x")},
		{STR_INIT("/base/"), STR_INIT("/"), 1, false, STR_INIT("/base/")},
		/* base without '/' at its end, strip, nothing left */
		{STR_INIT("/base"), STR_INIT("/r"), 2, true, STR_INIT("/base")},
		{STR_INIT("/base"), STR_INIT("/r/"), 3, true, STR_INIT("/base/")},
		{STR_INIT("/base"), STR_INIT("/"), 1, true, STR_INIT("/base")},
		/* ... a rest */
		{STR_INIT("/base"), STR_INIT("/r/x"), 2, true, STR_INIT("/base/x")},
		{STR_INIT("/base"), STR_INIT("/r/x"), 3, true, STR_INIT("/base/x")},
		{STR_INIT("/base"), STR_INIT("/rx"), 2, true, STR_INIT("/base/x")},
		/* ... whole path */
		{STR_INIT("/base"), STR_INIT("/"), 1, false, STR_INIT("/base")},
		{STR_INIT("/base"), STR_INIT("/r/x"), 2, false, STR_INIT("/base/r/x")},
		/* a rest that would climb */
		{STR_INIT("/base"), STR_INIT("/r."), 2, true, STR_INIT("/base")},
		{STR_INIT("/base"), STR_INIT("/r.."), 2, true, STR_INIT("/base")},
		{STR_INIT("/base/"), STR_INIT("/r./x"), 2, true, STR_INIT("/base/x")},
		{STR_INIT("/base/"), STR_INIT("/r../x"), 2, true, STR_INIT("/base/x")},
		{STR_INIT("/base/"), STR_INIT("/r..;a=1/x"), 2, true, STR_INIT("/base/x")},
		{STR_INIT("/base/"), STR_INIT("/r..%3Ba/x"), 2, true, STR_INIT("/base/x")},
		{STR_INIT("/base/"), STR_INIT("/r..%2Fx"), 2, true, STR_INIT("/base/x")},
		{STR_INIT("/base/"), STR_INIT("/r..\\x"), 2, true, STR_INIT("/base/x")},
		{STR_INIT("/base/"), STR_INIT("/r..x"), 2, true, STR_INIT("/base/..x")},
		{STR_INIT("/base/"), STR_INIT("/r..."), 2, true, STR_INIT("/base/...")},
		{STR_INIT("/"), STR_INIT("/r/x"), 0, true, STR_INIT("/r/x")},
	};

	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_str(path_upstream(&a, cases[i].base, cases[i].path, cases[i].matched,
					 cases[i].strip),
			   cases[i].want);
	}
	arena_fini(&a);
}

/* From what the client sent to what the upstream is asked. */
static void cutting_a_prefix_off_uncovers_no_dots(void **state)
{
	static const struct {
		const char *path;
		size_t matched;
		bool may;
	} cases[] = {
		{"/a", 2, true},
		{"/a/b", 2, true},
		{"/ab", 2, true},
		{"/a../b", 2, true},
		{"/a..", 2, true},
		{"/a%252e%252e", 2, false},
		{"/a%252e%252e/b", 2, false},
		{"/a%252e/b", 2, false},
		{"/a%2Eb", 2, true},
		{"/a/%252e%252e", 3, false},
		{"/a..b%252e", 2, true},
		{"/a;x", 2, true},
		{"/a;/b", 2, false},
		{"/a;x=1/b", 2, false},
		{"/a%3B/b", 2, false},
		{"/a;x/b", 3, true},
		{"/a/b;x/c", 2, true},
	};
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(path_may_strip(&a, str_c(cases[i].path), cases[i].matched),
				 cases[i].may);
	}
	arena_fini(&a);
}

static void straight_paths(void **state)
{
	static const struct {
		const char *path;
		bool is_straight;
	} cases[] = {
		{"/", true},
		{"/a/b", true},
		{"/a//b", true},
		{"/..a/b../.c/...", true},
		{"/a/;x/b", true},
		{"/a%20b%3Fc%25/%C3%A4", true},
		{"", false},
		{"a", false},
		{"/..", false},
		{"/.", false},
		{"/a/../b", false},
		{"/a/./b", false},
		{"/a/%2e%2E/b", false},
		{"/a/.%2e", false},
		{"/a/%252e%252e/b", false},
		{"/a/..%2Fb", false},
		{"/a/..%5cb", false},
		{"/a/..;x/b", false},
		{"/a/%c0%ae%c0%ae/b", false},
		{"/a%", false},
		{"/a%00", false},
		{"/a?b", false},
		{"/a b", false},
	};
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(path_is_straight(&a, str_c(cases[i].path)), cases[i].is_straight);
	}
	arena_fini(&a);
}

static void the_whole_way(void **state)
{
	struct arena a;
	struct str path;

	(void)state;
	arena_init(&a, 0);
	assert_true(path_normalize(&a, STR("/r/%7Ea//b/../c"), &path));
	path = path_upstream(&a, STR("/base"), path, 2, true);
	assert_str(path_escape(&a, path), STR("/base/~a/c"));

	assert_true(path_normalize(&a, STR("/r/%e2%82%ac%20%2f%5c"), &path));
	path = path_upstream(&a, STR("/"), path, 2, true);
	assert_str(path_escape(&a, path), STR("/%E2%82%AC%20%2F%5C"));
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_paths),
		cmocka_unit_test(what_hides_is_refused),
		cmocka_unit_test(no_place_is_overlooked),
		cmocka_unit_test(canonical_paths_are_not_copied),
		cmocka_unit_test(paths_are_escaped),
		cmocka_unit_test(no_escape_is_forgotten),
		cmocka_unit_test(upstream_paths),
		cmocka_unit_test(cutting_a_prefix_off_uncovers_no_dots),
		cmocka_unit_test(straight_paths),
		cmocka_unit_test(the_whole_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
