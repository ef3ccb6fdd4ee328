#include "unit.h"

#include "http/uri.h"

static void urls_are_cut(void **state)
{
	static const struct {
		struct str text, host, path, query;
		uint16_t port;
		bool tls, ipv6;
	} cases[] = {
		{STR_INIT("http://a"), STR_INIT("a"), STR_INIT("/"), {0}, 80, false, false},
		{STR_INIT("HTTPS://a.b/"), STR_INIT("a.b"), STR_INIT("/"), {0}, 443, true, false},
		{STR_INIT("ws://a:8080/b/c?d?e#f"), STR_INIT("a"), STR_INIT("/b/c"),
		 STR_INIT("d?e"), 8080, false, false},
		{STR_INIT("wss://u:p@[::1]:9?"), STR_INIT("::1"), STR_INIT("/"), STR_INIT(""), 9,
		 true, true},
		{STR_INIT("http://[fe80::1]/a"),
		 STR_INIT("fe80::1"),
		 STR_INIT("/a"),
		 {0},
		 80,
		 false,
		 true},
		{STR_INIT("http://a#?b"), STR_INIT("a"), STR_INIT("/"), {0}, 80, false, false},
		{STR_INIT("http://1.2.3.4:65535/%41"),
		 STR_INIT("1.2.3.4"),
		 STR_INIT("/%41"),
		 {0},
		 65535,
		 false,
		 false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct uri u;

		assert_ok(uri_parse(cases[i].text, &u, NULL));
		assert_str(u.host, cases[i].host);
		assert_str(u.path, cases[i].path);
		assert_str(u.query, cases[i].query);
		assert_int_equal(!u.query.p, !cases[i].query.p);
		assert_int_equal(u.port, cases[i].port);
		assert_int_equal(u.tls, cases[i].tls);
		assert_int_equal(u.host_is_ipv6, cases[i].ipv6);
	}
}

static void bad_urls_are_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"a",
		"http:/a",
		"http:a",
		"//a",
		"ftp://a",
		"http://",
		"http:///a",
		"http://:80",
		"http://a:",
		"http://a:0",
		"http://a:65536",
		"http://a:8x",
		"http://a:080000",
		"http://[::1",
		"http://[]",
		"http://[::g]",
		"http://[1.2.3.4]",
		"http://[::1]x",
		"http://a b",
		"http://a/ ",
		"http://a\\b",
		"http://a/\\b",
		"http://a/\xc3\xa4",
		"http://\xc3\xa4/",
		"http://a/%",
		"http://a/%4",
		"http://a/%4g",
		"http://a..b",
		"http://.a",
		"http://a%2eb",
		"http://a\r\n",
		"http://a/\x01",
		"http://a@b@c",
		"http://a,b",
		"http://u@",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fault f = {0};
		struct uri u;

		if (uri_parse(str_c(cases[i]), &u, &f) != ERR_INVALID || !f.text[0]) {
			fail_msg("taken: %s", cases[i]);
		}
	}
}

static void authority_and_origin(void **state)
{
	static const struct {
		struct str text, authority, origin;
	} cases[] = {
		{STR_INIT("http://a:80/x"), STR_INIT("a"), STR_INIT("http://a")},
		{STR_INIT("https://a:80/x"), STR_INIT("a:80"), STR_INIT("https://a:80")},
		{STR_INIT("wss://u@[::1]/x"), STR_INIT("[::1]"), STR_INIT("https://[::1]")},
		{STR_INIT("http://[::1]:8"), STR_INIT("[::1]:8"), STR_INIT("http://[::1]:8")},
	};
	struct arena a;
	struct uri u;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_ok(uri_parse(cases[i].text, &u, NULL));
		assert_str(uri_authority(&a, &u), cases[i].authority);
		assert_str(uri_origin(&a, &u), cases[i].origin);
	}
	arena_fini(&a);
}

static void rests_that_stay_below(void **state)
{
	static const char *const cases[] = {
		"",	      "?",	   "?a=/../b", "a",	   "a/",       "a/b?c",
		"a%2fb",      "a%2Fb%5cc", "%2f",      "a..b",	   "..a",      "a..",
		"...",	      "a/.../b",   "a.b/c.d",  "%2e%2ea",  ".a/b",     "a;b=c/d",
		"a;..",	      "users:get", "a:b/c",    "a/b:80/c", "%20",      "a?%zz",
		"a?http://b", "a%25b",	   "%E4",      "%c0%41",   "a?//b\\c", "100%25/b",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (!uri_rest_is_safe(str_c(cases[i]))) {
			fail_msg("refused: %s", cases[i]);
		}
	}
}

static void rests_that_escape(void **state)
{
	static const char *const cases[] = {
		"/",	       "/a",	       "//a",	    "//internal", "\\a",
		"\\\\a",       "a//b",	       "a//",	    "http://a",	  "http:/a",
		"HTTPS://a/b", "x+y-z.1:/a",   ".",	    "..",	  "./a",
		"../a",	       "a/..",	       "a/../b",    "a/./b",	  "a/.",
		"..?a",	       "%2e",	       "%2E%2e",    ".%2e/a",	  "a/%2e%2E/",
		"..;/a",       "..;a=b/c",     "a/..;",	    "%2e%2e;x/",  ".;/a",
		"..%2fa",      "..%2Fa",       "a%2f..",    "a%2f..%2fb", "a%5c..%5cb",
		"..%5ca",      "a\\..\\b",     "a\\b",	    "..%3fa",	  "..%23a",
		"..%20/a",     "%252e%252e/a", "%25252e./", "..%252fa",	  "%c0%ae%c0%ae/a",
		"..%c0%afa",   "..%c1%9ca",    "a%00",	    "a%0d%0ab",	  "a%7f",
		"a%1f",	       "a%2500",       "a%",	    "a%2",	  "a%2g",
		"%u002e",      "a b",	       "a\tb",	    "a\rb",	  "a\nb",
		"a#b",	       "\xc3\xa4",     "a?b c",	    "a?\x01",	  "a?b\r\nc",
		"a?b#c",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (uri_rest_is_safe(str_c(cases[i]))) {
			fail_msg("taken: %s", cases[i]);
		}
	}
	assert_false(uri_rest_is_safe(STR("a\0b")));
}

static void rests_are_appended(void **state)
{
	static const struct {
		struct str base, rest, want;
	} cases[] = {
		{STR_INIT("http://a"), STR_INIT(""), STR_INIT("/")},
		{STR_INIT("http://a"), STR_INIT("b"), STR_INIT("/b")},
		{STR_INIT("http://a/b"), STR_INIT("c?d"), STR_INIT("/b/c?d")},
		{STR_INIT("http://a/b/"), STR_INIT("c/"), STR_INIT("/b/c/")},
		{STR_INIT("http://a/b"), STR_INIT(""), STR_INIT("/b")},
		{STR_INIT("http://a/b"), STR_INIT("?c"), STR_INIT("/b?c")},
		{STR_INIT("http://a/b?k=v"), STR_INIT(""), STR_INIT("/b?k=v")},
		{STR_INIT("http://a/b?k=v"), STR_INIT("c"), STR_INIT("/b/c")},
		{STR_INIT("http://a/b"), STR_INIT("ftp:x"), STR_INIT("/b/ftp:x")},
		{STR_INIT("http://a/b"), STR_INIT("./ftp:x?c"), STR_INIT("/b/ftp:x?c")},
		{STR_INIT("http://a/b/"), STR_INIT("./:/c"), STR_INIT("/b/:/c")},
	};
	static const char *const unsafe[] = {"../x",	    "./x",     "./?a:b",
					     "./a/b:c",	    "././a:b", "./../a:b",
					     "./a:b/../..", ".//a:b",  "./http://a"};
	struct arena a;
	struct uri u;
	struct str got;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_ok(uri_parse(cases[i].base, &u, NULL));
		assert_ok(uri_append(&a, &u, cases[i].rest, &got));
		assert_str(got, cases[i].want);
	}
	for (size_t i = 0; i < ARRAY_LEN(unsafe); i++) {
		assert_err(uri_append(&a, &u, str_c(unsafe[i]), &got), ERR_INVALID);
	}
	arena_fini(&a);
}

/* RFC 3986 5.4.1 and 5.4.2. */
static void references_resolve_as_in_the_rfc(void **state)
{
	static const char *const cases[][2] = {
		{"g", "http://a/b/c/g"},
		{"./g", "http://a/b/c/g"},
		{"g/", "http://a/b/c/g/"},
		{"/g", "http://a/g"},
		{"//g", "http://g"},
		{"?y", "http://a/b/c/d;p?y"},
		{"g?y", "http://a/b/c/g?y"},
		{"#s", "http://a/b/c/d;p?q"},
		{"g#s", "http://a/b/c/g"},
		{";x", "http://a/b/c/;x"},
		{"g;x?y#s", "http://a/b/c/g;x?y"},
		{"", "http://a/b/c/d;p?q"},
		{".", "http://a/b/c/"},
		{"./", "http://a/b/c/"},
		{"..", "http://a/b/"},
		{"../", "http://a/b/"},
		{"../g", "http://a/b/g"},
		{"../..", "http://a/"},
		{"../../", "http://a/"},
		{"../../g", "http://a/g"},
		{"../../../g", "http://a/g"},
		{"/./g", "http://a/g"},
		{"/../g", "http://a/g"},
		{"g.", "http://a/b/c/g."},
		{"..g", "http://a/b/c/..g"},
		{"./../g", "http://a/b/g"},
		{"./g/.", "http://a/b/c/g/"},
		{"g/./h", "http://a/b/c/g/h"},
		{"g/../h", "http://a/b/c/h"},
		{"g;x=1/../y", "http://a/b/c/y"},
		{"g?y/../x", "http://a/b/c/g?y/../x"},
		{"https://z/q", "https://z/q"},
	};
	static const char *const bad[] = {"g:h", "http:g", "mailto:x", "http://",
					  "a b", "\\\\a",  "a%"};
	struct arena a;
	struct str got;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_ok(uri_resolve(&a, STR("http://a/b/c/d;p?q"), str_c(cases[i][0]), &got));
		assert_str(got, str_c(cases[i][1]));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_err(uri_resolve(&a, STR("http://a/b"), str_c(bad[i]), &got), ERR_INVALID);
	}
	assert_err(uri_resolve(&a, STR("a"), STR("b"), &got), ERR_INVALID);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_are_cut),
		cmocka_unit_test(bad_urls_are_refused),
		cmocka_unit_test(authority_and_origin),
		cmocka_unit_test(rests_that_stay_below),
		cmocka_unit_test(rests_that_escape),
		cmocka_unit_test(rests_are_appended),
		cmocka_unit_test(references_resolve_as_in_the_rfc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
