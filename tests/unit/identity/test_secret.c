/* SPDX-License-Identifier: MIT */
#include "base/enc.h"
#include "identity/secret.h"
#include "unit.h"

static struct arena arena;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static void test_new(void **state)
{
	struct str one = secret_new(&arena), two = secret_new(&arena);
	struct buf escaped = {0};

	(void)state;
	assert_int_equal(one.n, SECRET_NEW_LEN);
	assert_false(str_eq(one, two));
	percent_encode(&escaped, one);
	assert_str(buf_str(&escaped), one);
	buf_free(&escaped);
}

static void test_random_round_trip(void **state)
{
	struct str secret = secret_new(&arena);
	struct str stored = secret_hash_random(&arena, secret);

	(void)state;
	assert_int_equal(stored.n, 44);
	assert_true(secret_matches(stored, secret));
	assert_false(secret_matches(stored, str_skip(secret, 1)));
	assert_false(secret_matches(stored, stored));
	assert_false(secret_matches(stored, STR_NULL));
}

static void test_chosen_round_trip(void **state)
{
	struct str secret = STR("<Strong!Passw0rd>");
	struct str stored = secret_hash_chosen(&arena, secret);

	(void)state;
	assert_true(str_starts(stored, STR("$pbkdf2-sha256$i=600000$")));
	assert_false(str_eq(stored, secret_hash_chosen(&arena, secret)));
	assert_true(secret_matches(stored, secret));
	assert_false(secret_matches(stored, STR("<Strong!Passw0rd> ")));
	assert_false(secret_matches(stored, STR_NULL));
}

/* Known answers: IdentityServer's "secret".Sha256() and Sha512(), and RFC 7914 11. */
static void test_foreign_forms(void **state)
{
	(void)state;
	assert_true(
		secret_matches(STR("K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols="), STR("secret")));
	assert_false(
		secret_matches(STR("K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols="), STR("Secret")));
	assert_true(
		secret_matches(STR("vSsar3708Jvp9Szi2NWZZ02Bqp1qRCFpbcTZPdBhnWgs5WtNZKnvCXdhztme"
				   "D2cmW192CF5bDufKRpayrW/isg=="),
			       STR("secret")));
	assert_true(secret_matches(
		STR("$pbkdf2-sha256$i=80000$TmFDbA$TdzY9guYviGDDO5e8icB-WQaRBjQTAQUrv8Ih2s0q1Y"),
		STR("Password")));
}

static void test_refused_forms(void **state)
{
	static const char *const cases[] = {
		"",
		"password",
		"$pbkdf2-sha256$",
		"$pbkdf2-sha256$i=",
		"$pbkdf2-sha256$i=1$c2FsdA",
		"$pbkdf2-sha256$i=0$c2FsdA$VawEbleWOJ_sFpHCIkSwa_lIYGUh3e0GBGXouJ1SDaw",
		"$pbkdf2-sha256$i=2000001$c2FsdA$Vaw",
		"$pbkdf2-sha256$i=-1$c2FsdA$Vaw",
		"$pbkdf2-sha256$i=1$$VaBGSA",
		"$pbkdf2-sha256$i=1$c2FsdA$",
		"$pbkdf2-sha256$i=1$c2FsdA$!!!!",
		"$2y$10$abcdefghijklmnopqrstuv",
		/* 44 characters that are the secret itself */
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_false(secret_matches(str_c(cases[i]), STR("password")));
		assert_false(secret_matches(str_c(cases[i]), str_c(cases[i])));
	}
}

/* Every truncation of a good form is a bad one. */
static void test_truncated_form(void **state)
{
	struct buf stored = {0};
	struct str whole;

	(void)state;
	/* RFC 7914 11: PBKDF2-HMAC-SHA256("passwd", "salt", 1). */
	buf_puts(&stored, "$pbkdf2-sha256$i=1$c2FsdA$");
	base64url_encode(&stored,
			 str_of("\x55\xac\x04\x6e\x56\xe3\x08\x9f\xec\x16\x91\xc2\x25\x44\xb6\x05"
				"\xf9\x41\x85\x21\x6d\xde\x04\x65\xe6\x8b\x9d\x57\xc2\x0d\xac\xbc",
				32));
	whole = buf_str(&stored);
	assert_true(secret_matches(whole, STR("passwd")));
	for (size_t n = 0; n < whole.n; n++) {
		assert_false(secret_matches(str_slice(whole, 0, n), STR("passwd")));
	}
	buf_puts(&stored, "$x");
	assert_false(secret_matches(buf_str(&stored), STR("passwd")));
	buf_free(&stored);
}

static void test_choice(void **state)
{
	struct buf longest = {0};
	struct fault f = {0};

	(void)state;
	assert_ok(secret_check_chosen(STR("<Strong!Passw0rd>"), NULL));
	assert_ok(secret_check_chosen(STR("p\xc3\xa4sswort"), NULL));
	assert_err(secret_check_chosen(STR("short"), &f), ERR_INVALID);
	assert_string_equal(f.text, "a secret must have 8 to 256 bytes");
	assert_err(secret_check_chosen(STR("tab\tin secret"), NULL), ERR_INVALID);
	assert_err(secret_check_chosen(STR("nul\0in secret"), NULL), ERR_INVALID);
	assert_err(secret_check_chosen(STR("latin1 \xe4 in secret"), NULL), ERR_INVALID);
	for (int i = 0; i < SECRET_LEN_MAX; i++) {
		buf_putc(&longest, 'x');
	}
	assert_ok(secret_check_chosen(buf_str(&longest), NULL));
	buf_putc(&longest, 'x');
	assert_err(secret_check_chosen(buf_str(&longest), NULL), ERR_INVALID);
	assert_false(
		secret_matches(secret_hash_random(&arena, buf_str(&longest)), buf_str(&longest)));
	buf_free(&longest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new),
		cmocka_unit_test(test_random_round_trip),
		cmocka_unit_test(test_chosen_round_trip),
		cmocka_unit_test(test_foreign_forms),
		cmocka_unit_test(test_refused_forms),
		cmocka_unit_test(test_truncated_form),
		cmocka_unit_test(test_choice),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
