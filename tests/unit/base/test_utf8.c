/*
 * test_utf8 - see base/utf8.h
 */
#include "base/utf8.h"
#include "unit.h"

static const struct str good[] = {
	STR_INIT(""),
	STR_INIT("plain ASCII, longer than a word of eight"),
	STR_INIT("\x00\x7f"),
	STR_INIT("\xc2\x80\xdf\xbf"),		      /* U+0080 U+07FF */
	STR_INIT("\xe0\xa0\x80\xed\x9f\xbf"),	      /* U+0800 U+D7FF */
	STR_INIT("\xee\x80\x80\xef\xbf\xbf"),	      /* U+E000 U+FFFF */
	STR_INIT("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), /* U+10000 U+10FFFF */
	STR_INIT("12345678\xc3\xa4"
		 "12345678\xe2\x82\xac"
		 "1234567"),
	STR_INIT("\xf0\x9f\x98\x80 and more text after it"),
};

/* `at`: index of the first byte after which the input cannot become valid. */
static const struct {
	struct str s;
	size_t at;
} bad[] = {
	{STR_INIT("\x80"), 0},
	{STR_INIT("\xbf"), 0},
	{STR_INIT("\xc0\x80"), 0}, /* overlong NUL */
	{STR_INIT("\xc1\xbf"), 0},
	{STR_INIT("\xe0\x9f\xbf"), 1},	   /* overlong U+07FF */
	{STR_INIT("\xf0\x8f\xbf\xbf"), 1}, /* overlong U+FFFF */
	{STR_INIT("\xed\xa0\x80"), 1},	   /* U+D800 */
	{STR_INIT("\xed\xbf\xbf"), 1},	   /* U+DFFF */
	{STR_INIT("\xf4\x90\x80\x80"), 1}, /* U+110000 */
	{STR_INIT("\xf5\x80\x80\x80"), 0},
	{STR_INIT("\xff"), 0},
	{STR_INIT("\xc3\x28"), 1},
	{STR_INIT("\xe2\x82\x28"), 2},
	{STR_INIT("\xf0\x9f\x98\x28"), 3},
	{STR_INIT("\xe2\xe2\x82\xac"), 1},
	{STR_INIT("12345678"
		  "1234567\xff"
		  "12345678"),
	 15},
};

static void valid_at_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(utf8_is_valid(good[i]));
		for (size_t at = 0; at <= good[i].n; at++) {
			struct utf8_state s = {0};

			assert_true(utf8_feed(&s, str_slice(good[i], 0, at)));
			assert_true(utf8_feed(&s, str_skip(good[i], at)));
			assert_true(utf8_is_complete(&s));
		}
	}
}

static void invalid_at_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(utf8_is_valid(bad[i].s));
		for (size_t at = 0; at <= bad[i].s.n; at++) {
			struct utf8_state s = {0};
			bool first = utf8_feed(&s, str_slice(bad[i].s, 0, at));

			assert_int_equal(first, at <= bad[i].at);
			if (first) {
				assert_false(utf8_feed(&s, str_skip(bad[i].s, at)));
			}
		}
	}
}

static void a_truncation_is_incomplete(void **state)
{
	static const char text[] = "a\xf0\x9f\x98\x80";

	(void)state;
	for (size_t n = 0; n <= 5; n++) {
		struct utf8_state s = {0};
		bool is_whole = n < 2 || n == 5;

		assert_true(utf8_feed(&s, str_of(text, n)));
		assert_int_equal(utf8_is_complete(&s), is_whole);
		assert_int_equal(utf8_is_valid(str_of(text, n)), is_whole);
	}
}

/* A decoder of its own, straight from the definition. */
static size_t decode(const char *p, uint32_t *c)
{
	const uint8_t *b = (const uint8_t *)p;

	if (b[0] < 0x80) {
		*c = b[0];
		return 1;
	}
	if (b[0] < 0xe0) {
		*c = (b[0] & 0x1fu) << 6 | (b[1] & 0x3fu);
		return 2;
	}
	if (b[0] < 0xf0) {
		*c = (b[0] & 0x0fu) << 12 | (b[1] & 0x3fu) << 6 | (b[2] & 0x3fu);
		return 3;
	}
	*c = (b[0] & 7u) << 18 | (b[1] & 0x3fu) << 12 | (b[2] & 0x3fu) << 6 | (b[3] & 0x3fu);
	return 4;
}

static void every_code_point(void **state)
{
	(void)state;
	for (uint32_t c = 0; c <= 0x110000; c++) {
		bool is_scalar = c < 0xd800 || (c > 0xdfff && c < 0x110000);
		uint32_t back;
		char p[4];
		size_t n = utf8_put(p, c);

		assert_int_equal(decode(p, &back), n);
		assert_int_equal(back, is_scalar ? c : 0xfffd);
		assert_int_equal(utf8_next(str_of(p, n)), n);
	}
}

static void next_sees_one_character(void **state)
{
	(void)state;
	assert_int_equal(utf8_next(STR("")), 0);
	assert_int_equal(utf8_next(STR("ab")), 1);
	assert_int_equal(utf8_next(STR("\xc3\xa4\xff")), 2);
	assert_int_equal(utf8_next(STR("\xe2\x82")), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (bad[i].at < 4) {
			assert_int_equal(utf8_next(bad[i].s), 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_at_every_split),
		cmocka_unit_test(invalid_at_every_split),
		cmocka_unit_test(a_truncation_is_incomplete),
		cmocka_unit_test(every_code_point),
		cmocka_unit_test(next_sees_one_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
