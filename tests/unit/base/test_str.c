/*
 * test_str - see base/str.h
 */
#include "base/arena.h"
#include "base/str.h"
#include "unit.h"

#include <stdio.h>

static void compare(void **state)
{
	(void)state;
	assert_true(str_eq(STR_NULL, STR("")));
	assert_true(str_eq(STR("a"), STR("a")));
	assert_false(str_eq(STR("a"), STR("A")));
	assert_true(str_eq_nocase(STR("Content-Length"), STR("cONTENT-lENGTH")));
	assert_true(str_eq_nocase(STR_NULL, STR("")));
	assert_false(str_eq_nocase(STR("a["), STR("a{")));
	assert_false(str_eq_nocase(STR("\xc3\x84"), STR("\xc3\xa4")));
	assert_true(str_eq_nocase(STR("eight+Four12"), STR("EIGHT+four12")));
	assert_false(str_eq_nocase(STR("eight+fo12"), STR("eight+fo13")));
	for (unsigned c = 0; c < 256; c++) {
		uint64_t word = c * UINT64_C(0x0101010101010101), low = ascii_lower8(word);

		assert_int_equal(low, (uint8_t)ascii_lower((char)c) * UINT64_C(0x0101010101010101));
	}
	/* No carry from one character to the next. */
	assert_int_equal(ascii_lower8(UINT64_C(0xff417f5aff5b40da)), UINT64_C(0xff617f7aff5b40da));
	assert_true(str_cmp(STR("a"), STR("b")) < 0);
	assert_true(str_cmp(STR("a"), STR("aa")) < 0);
	assert_true(str_cmp(STR("b"), STR("aa")) > 0);
	assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
	assert_int_equal(str_cmp(STR_NULL, STR("")), 0);
	assert_true(str_eq_const_time(STR("secret"), STR("secret")));
	assert_false(str_eq_const_time(STR("secret"), STR("secreT")));
	assert_false(str_eq_const_time(STR("secret"), STR("secre")));
	assert_true(str_eq_const_time(STR_NULL, STR("")));
}

static void starts_and_ends(void **state)
{
	(void)state;
	assert_true(str_starts(STR("Bearer x"), STR("Bearer ")));
	assert_false(str_starts(STR("bearer x"), STR("Bearer ")));
	assert_true(str_starts_nocase(STR("bearer x"), STR("Bearer ")));
	assert_false(str_starts(STR("a"), STR("ab")));
	assert_false(str_starts_nocase(STR("a"), STR("ab")));
	assert_true(str_starts(STR_NULL, STR("")));
	assert_true(str_ends(STR("a.txt"), STR(".txt")));
	assert_true(str_ends(STR("a"), STR_NULL));
	assert_false(str_ends(STR("txt"), STR(".txt")));
}

static void cut(void **state)
{
	(void)state;
	assert_str(str_skip(STR("hello"), 2), STR("llo"));
	assert_int_equal(str_skip(STR("hello"), 9).n, 0);
	assert_int_equal(str_skip(STR_NULL, 3).n, 0);
	assert_str(str_slice(STR("hello"), 1, 3), STR("ell"));
	assert_str(str_slice(STR("hello"), 4, SIZE_MAX), STR("o"));
	assert_int_equal(str_slice(STR("hello"), 6, 1).n, 0);
	assert_str(str_trim(STR(" \t\r\na b\n ")), STR("a b"));
	assert_int_equal(str_trim(STR(" \t ")).n, 0);
	assert_int_equal(str_trim(STR_NULL).n, 0);
}

static void search(void **state)
{
	(void)state;
	assert_int_equal(str_index(STR("a.b.c"), '.'), 1);
	assert_int_equal(str_rindex(STR("a.b.c"), '.'), 3);
	assert_int_equal(str_index(STR("abc"), '.'), -1);
	assert_int_equal(str_rindex(STR_NULL, '.'), -1);
	assert_int_equal(str_find(STR("abcabd"), STR("abd")), 3);
	assert_int_equal(str_find(STR("abc"), STR("")), 0);
	assert_int_equal(str_find(STR_NULL, STR("a")), -1);
	assert_int_equal(str_find(STR("ab"), STR("abc")), -1);
}

static void split(void **state)
{
	static const struct {
		struct str text;
		struct str joined; /* with '|' after each part */
	} cases[] = {
		{STR_INIT(""), STR_INIT("")},	     {STR_INIT("a"), STR_INIT("a|")},
		{STR_INIT("a,b"), STR_INIT("a|b|")}, {STR_INIT("a,,b"), STR_INIT("a||b|")},
		{STR_INIT("a,"), STR_INIT("a|")},    {STR_INIT(",a"), STR_INIT("|a|")},
		{STR_INIT(","), STR_INIT("|")},
	};
	struct str part;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str rest = cases[i].text;
		char joined[32];
		size_t n = 0;

		while (str_split(&rest, ',', &part)) {
			memcpy(joined + n, part.p, part.n);
			n += part.n;
			joined[n++] = '|';
		}
		assert_str(str_of(joined, n), cases[i].joined);
	}
	part = STR_NULL;
	assert_false(str_split(&part, ',', &part));
}

static void numbers(void **state)
{
	static const char *const bad[] = {"",
					  "-",
					  " 1",
					  "1 ",
					  "+1",
					  "0x1",
					  "1e3",
					  "1.0",
					  "--1",
					  "18446744073709551616",
					  "99999999999999999999"};
	uint64_t u = 5;
	int64_t i = 5;

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
		assert_false(str_to_u64(str_c(bad[k]), &u));
		assert_false(str_to_i64(str_c(bad[k]), &i));
	}
	assert_false(str_to_u64(STR("-1"), &u));
	assert_false(str_to_i64(STR("9223372036854775808"), &i));
	assert_false(str_to_i64(STR("-9223372036854775809"), &i));
	assert_false(str_to_i64(STR_NULL, &i));
	assert_int_equal(u, 5); /* untouched by failures */
	assert_int_equal(i, 5);
	assert_true(str_to_u64(STR("18446744073709551615"), &u) && u == UINT64_MAX);
	assert_true(str_to_u64(STR("0000000000000000000000007"), &u) && u == 7);
	assert_true(str_to_i64(STR("9223372036854775807"), &i) && i == INT64_MAX);
	assert_true(str_to_i64(STR("-9223372036854775808"), &i) && i == INT64_MIN);
	assert_true(str_to_i64(STR("-0"), &i) && i == 0);
}

static void copies(void **state)
{
	struct arena a;
	char big[1000];

	(void)state;
	arena_init(&a, 0);
	assert_null(str_dup(&a, STR_NULL).p);
	assert_non_null(str_dup(&a, STR("")).p);
	assert_str(str_dup(&a, STR("abc")), STR("abc"));
	assert_string_equal(str_cstr(&a, str_of("abcdef", 3)), "abc");
	assert_string_equal(str_cstr(&a, STR_NULL), "");
	assert_str(STR_CAT(&a, STR("a\0b"), STR_NULL, STR("c")), STR("a\0bc"));
	assert_int_equal(STR_CAT(&a, STR("")).n, 0);
	assert_str(str_lower(&a, STR("AbZ[")), STR("abz["));
	assert_str(str_lower(&a, STR("X-Request-ID")), STR("x-request-id"));
	for (size_t n = 0; n <= 26; n++) {
		struct str upper = str_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ", n);

		assert_str(str_lower(&a, upper), str_of("abcdefghijklmnopqrstuvwxyz", n));
	}
	assert_str(str_upper(&a, STR("aBz{")), STR("ABZ{"));
	assert_str(str_fmt(&a, "%s=%d", "n", 7), STR("n=7"));
	memset(big, 'x', sizeof(big) - 1);
	for (size_t n = 250; n < 260; n++) {
		big[n] = '\0';
		assert_str(str_fmt(&a, "%s", big), str_of(big, n));
		big[n] = 'x';
	}
	arena_fini(&a);
}

static void hash_folds(void **state)
{
	(void)state;
	assert_int_equal(str_hash_nocase(STR("Host")), str_hash_nocase(STR("hOST")));
	assert_int_not_equal(str_hash_nocase(STR("Host")), str_hash_nocase(STR("Hose")));
	/* Published values of FNV-1a. */
	assert_int_equal(str_hash_nocase(STR("")), 0x811c9dc5);
	assert_int_equal(str_hash_nocase(STR("foobar")), 0xbf9cf968);
}

static void digits(void **state)
{
	static const uint64_t values[] = {
		0, 1, 9, 10, 11, 99, 100, 101, 1000, 12345, 987654321, UINT64_MAX, UINT64_MAX - 1};
	char text[20], wanted[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		const char *at = str_put_digits(text + sizeof(text), values[i]);

		(void)snprintf(wanted, sizeof(wanted), "%llu", (unsigned long long)values[i]);
		assert_str(str_of(at, (size_t)(text + sizeof(text) - at)), str_c(wanted));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compare), cmocka_unit_test(starts_and_ends),
		cmocka_unit_test(cut),	   cmocka_unit_test(search),
		cmocka_unit_test(split),   cmocka_unit_test(numbers),
		cmocka_unit_test(copies),  cmocka_unit_test(hash_folds),
		cmocka_unit_test(digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
