/*
 * test_enc - see base/enc.h
 */
#include "base/arena.h"
#include "base/enc.h"
#include "unit.h"

typedef void encode_fn(struct buf *out, struct str in);
typedef enum err decode_fn(struct buf *out, struct str in);

struct pair {
	struct str plain, coded;
};

static void check_encode(encode_fn *fn, struct str plain, struct str want)
{
	struct buf b = {0};

	buf_puts(&b, "|"); /* it appends */
	fn(&b, plain);
	assert_str(str_skip(buf_str(&b), 1), want);
	buf_free(&b);
}

static void check_decode(decode_fn *fn, struct str coded, struct str want)
{
	struct buf b = {0};

	buf_puts(&b, "|");
	assert_ok(fn(&b, coded));
	assert_str(str_skip(buf_str(&b), 1), want);
	buf_free(&b);
}

static void check_refused(decode_fn *fn, struct str coded)
{
	struct buf b = {0};

	buf_puts(&b, "|");
	assert_err(fn(&b, coded), ERR_INVALID);
	assert_str(buf_str(&b), STR("|")); /* nothing written */
	buf_free(&b);
}

static void hex(void **state)
{
	uint8_t out[3] = {9, 9, 9};

	(void)state;
	check_encode(hex_encode, STR("\x00\xab\xff"), STR("00abff"));
	check_encode(hex_encode, STR_NULL, STR(""));
	assert_ok(hex_decode(STR("00aBFf"), out, 3));
	assert_memory_equal(out, "\x00\xab\xff", 3);
	assert_ok(hex_decode(STR(""), out, 0));
	assert_err(hex_decode(STR("00abf"), out, 3), ERR_INVALID);
	assert_err(hex_decode(STR("00abff"), out, 2), ERR_INVALID);
	assert_err(hex_decode(STR("00ab"), out, 3), ERR_INVALID);
	assert_err(hex_decode(STR("1234fg"), out, 3), ERR_INVALID);
	assert_err(hex_decode(STR(" 1234f"), out, 3), ERR_INVALID);
	assert_memory_equal(out, "\x00\xab\xff", 3);
}

/* RFC 4648 10. */
static const struct pair base64_cases[] = {
	{STR_INIT(""), STR_INIT("")},
	{STR_INIT("f"), STR_INIT("Zg==")},
	{STR_INIT("fo"), STR_INIT("Zm8=")},
	{STR_INIT("foo"), STR_INIT("Zm9v")},
	{STR_INIT("foob"), STR_INIT("Zm9vYg==")},
	{STR_INIT("fooba"), STR_INIT("Zm9vYmE=")},
	{STR_INIT("foobar"), STR_INIT("Zm9vYmFy")},
	{STR_INIT("\xfb\xff\xbf"), STR_INIT("+/+/")},
	{STR_INIT("\x00\x00\x00"), STR_INIT("AAAA")},
};

static void base64(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(base64_cases); i++) {
		check_encode(base64_encode, base64_cases[i].plain, base64_cases[i].coded);
		check_decode(base64_decode, base64_cases[i].coded, base64_cases[i].plain);
	}
}

static void base64_is_strict(void **state)
{
	static const struct str bad[] = {
		STR_INIT("Z"),
		STR_INIT("Zg"),
		STR_INIT("Zg="),
		STR_INIT("Zg==="),
		STR_INIT("Z==="),
		STR_INIT("===="),
		STR_INIT("="),
		STR_INIT("=Zg="),
		STR_INIT("Zg==Zg=="),
		STR_INIT("Zm9v\n"),
		STR_INIT("Zm9v\r\nZm9v"),
		STR_INIT(" Zm9"),
		STR_INIT("Zm-v"),
		STR_INIT("Zm_v"),
		STR_INIT("Zm9v\0\0\0\0"),
		STR_INIT("Zh=="), /* bits that encode nothing */
		STR_INIT("Zm9="),
		STR_INIT("\xff\xff\xff\xff"),
		STR_INIT("Zm9*"),
		STR_INIT("Z=9v"),
		STR_INIT("Zm=v"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		check_refused(base64_decode, bad[i]);
	}
}

static bool is_std_digit(int c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '+' || c == '/';
}

/* The wide blocks say what the single steps (all of base64url) say. */
static void base64_blocks(void **state)
{
	uint8_t plain[300];
	struct buf a = {0}, b = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(plain); i++) {
		plain[i] = (uint8_t)(i * 167 + i / 7);
	}
	for (size_t n = 0; n <= sizeof(plain); n++) {
		struct str in = str_of(plain, n);

		buf_clear(&a);
		buf_clear(&b);
		base64_encode(&a, in);
		base64url_encode(&b, in);
		for (size_t i = 0; i < b.n; i++) {
			char c = buf_head(&b)[i];

			assert_int_equal(buf_head(&a)[i], c == '-' ? '+' : c == '_' ? '/' : c);
		}
		buf_clear(&b);
		assert_ok(base64_decode(&b, buf_str(&a)));
		assert_str(buf_str(&b), in);
	}
	buf_free(&a);
	buf_free(&b);
}

static void base64_blocks_refuse(void **state)
{
	struct buf coded = {0}, out = {0};
	uint8_t plain[48] = {0};

	(void)state;
	base64_encode(&coded, str_of(plain, sizeof(plain)));
	for (size_t at = 0; at < coded.n - 4; at++) {
		for (int c = 0; c < 256; c++) {
			enum err want = is_std_digit(c) ? ERR_OK : ERR_INVALID;

			buf_head(&coded)[at] = (char)c;
			buf_clear(&out);
			assert_int_equal(base64_decode(&out, buf_str(&coded)), want);
		}
		buf_head(&coded)[at] = 'A';
	}
	buf_free(&coded);
	buf_free(&out);
}

static void base64url(void **state)
{
	(void)state;
	check_encode(base64url_encode, STR("\xfb\xff\xbf\xfb"), STR("-_-_-w"));
	check_encode(base64url_encode, STR("fo"), STR("Zm8"));
	check_encode(base64url_encode, STR_NULL, STR(""));
	check_decode(base64url_decode, STR("-_-_-w"), STR("\xfb\xff\xbf\xfb"));
	check_decode(base64url_decode, STR("-_-_-w=="), STR("\xfb\xff\xbf\xfb"));
	check_decode(base64url_decode, STR("Zm8"), STR("fo"));
	check_decode(base64url_decode, STR("Zm8="), STR("fo"));
	check_refused(base64url_decode, STR("Zm8=="));
	check_refused(base64url_decode, STR("Zg="));
	check_refused(base64url_decode, STR("+/+/"));
	check_refused(base64url_decode, STR("A"));
	check_refused(base64url_decode, STR("Zh"));
}

/* Each byte at each place: in the alphabet or refused, and each value comes back. */
static void base64_every_byte(void **state)
{
	struct buf coded = {0};
	char all[256], quad[4];

	(void)state;
	for (int c = 0; c < 256; c++) {
		all[c] = (char)c;
		for (int at = 0; at < 4; at++) {
			bool is_in = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
				     (c >= 'A' && c <= 'Z') || c == '+' || c == '/';
			struct buf b = {0};

			memset(quad, 'A', 4);
			quad[at] = (char)c;
			if (!(at == 3 && c == '=')) {
				assert_int_equal(base64_decode(&b, str_of(quad, 4)) == ERR_OK,
						 is_in);
			}
			buf_free(&b);
		}
	}
	for (size_t n = 0; n <= 256; n++) {
		buf_clear(&coded);
		base64_encode(&coded, str_of(all, n));
		assert_int_equal(coded.n, BASE64_LEN(n));
		check_decode(base64_decode, buf_str(&coded), str_of(all, n));
		buf_clear(&coded);
		base64url_encode(&coded, str_of(all, n));
		check_decode(base64url_decode, buf_str(&coded), str_of(all, n));
	}
	buf_free(&coded);
}

static void percent(void **state)
{
	(void)state;
	check_encode(percent_encode, STR("aZ09-._~ /+%\xc3\xa4\x00"),
		     STR("aZ09-._~%20%2F%2B%25%C3%A4%00"));
	check_decode(percent_decode, STR("a%2Fb%2f+%C3%A4"), STR("a/b/+\xc3\xa4"));
	check_decode(percent_decode, STR_NULL, STR(""));
	check_decode(percent_decode, STR("%252F"), STR("%2F")); /* once only */
	check_decode(percent_decode, STR("%00"), STR("\0"));
	check_refused(percent_decode, STR("%"));
	check_refused(percent_decode, STR("a%2"));
	check_refused(percent_decode, STR("%2G"));
	check_refused(percent_decode, STR("%g2"));
	check_refused(percent_decode, STR("%%20"));
	check_refused(percent_decode, STR("%u0041"));
	check_refused(percent_decode, STR("% 2"));
}

static void form(void **state)
{
	(void)state;
	check_encode(form_encode, STR("a b+c~*"), STR("a+b%2Bc%7E*"));
	check_decode(form_decode, STR("a+b%2Bc%7E*"), STR("a b+c~*"));
	check_refused(form_decode, STR("a+%4"));
}

static void form_values(void **state)
{
	static const struct {
		struct str form, name, want;
		enum err err;
	} cases[] = {
		{STR_INIT("a=1&b=2"), STR_INIT("a"), STR_INIT("1"), ERR_OK},
		{STR_INIT("a=1&b=2"), STR_INIT("b"), STR_INIT("2"), ERR_OK},
		{STR_INIT("a=1&b=2"), STR_INIT("c"), {NULL, 0}, ERR_NOT_FOUND},
		{STR_INIT("a=1&b=2"), STR_INIT("A"), {NULL, 0}, ERR_NOT_FOUND},
		{STR_INIT(""), STR_INIT("a"), {NULL, 0}, ERR_NOT_FOUND},
		{STR_INIT("a=1&a=2"), STR_INIT("a"), STR_INIT("1"), ERR_OK},
		{STR_INIT("a"), STR_INIT("a"), STR_INIT(""), ERR_OK},
		{STR_INIT("a="), STR_INIT("a"), STR_INIT(""), ERR_OK},
		{STR_INIT("&&a=b=c&"), STR_INIT("a"), STR_INIT("b=c"), ERR_OK},
		{STR_INIT("ab=1"), STR_INIT("a"), {NULL, 0}, ERR_NOT_FOUND},
		{STR_INIT("a=1"), STR_INIT("ab"), {NULL, 0}, ERR_NOT_FOUND},
		{STR_INIT("%61+b=x+%26%3D"), STR_INIT("a b"), STR_INIT("x &="), ERR_OK},
		{STR_INIT("a=%zz"), STR_INIT("a"), {NULL, 0}, ERR_INVALID},
		{STR_INIT("x=%zz&a=1"), STR_INIT("a"), STR_INIT("1"), ERR_OK},
		{STR_INIT("%6=0&a=1"), STR_INIT("a"), STR_INIT("1"), ERR_OK},
		{STR_INIT("=1"), STR_INIT(""), STR_INIT("1"), ERR_OK},
	};
	struct arena a;
	struct str out;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_err(form_get(&a, cases[i].form, cases[i].name, &out), cases[i].err);
		if (cases[i].err == ERR_OK) {
			assert_str(out, cases[i].want);
		}
	}
	assert_ok(form_get_nocase(&a, STR("Access_Token=x"), STR("access_token"), &out));
	assert_str(out, STR("x"));
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hex),		 cmocka_unit_test(base64),
		cmocka_unit_test(base64_blocks), cmocka_unit_test(base64_blocks_refuse),
		cmocka_unit_test(base64url),	 cmocka_unit_test(base64_is_strict),
		cmocka_unit_test(percent),	 cmocka_unit_test(base64_every_byte),
		cmocka_unit_test(form),		 cmocka_unit_test(form_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
