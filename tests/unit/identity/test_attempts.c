/* SPDX-License-Identifier: MIT */
#include "identity/attempts.h"
#include "unit.h"

#define KEY STR("10.0.0.1 BRANCH1")
#define WINDOW 1000

static struct attempts *attempts;

static int set_up(void **state)
{
	(void)state;
	attempts = attempts_new(3, WINDOW, 2);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	attempts_free(&attempts);
	assert_null(attempts);
	return 0;
}

static void fail_times(struct str key, int n, int64_t now_ms)
{
	while (n-- > 0) {
		attempts_failed(attempts, key, now_ms);
	}
}

static void test_limit(void **state)
{
	(void)state;
	fail_times(KEY, 2, 0);
	assert_int_equal(attempts_wait_ms(attempts, KEY, 0), 0);
	fail_times(KEY, 1, 100);
	assert_int_equal(attempts_wait_ms(attempts, KEY, 100), 900);
	assert_int_equal(attempts_wait_ms(attempts, KEY, WINDOW - 1), 1);
	assert_int_equal(attempts_wait_ms(attempts, KEY, WINDOW), 0);
	assert_int_equal(attempts_wait_ms(attempts, STR("10.0.0.2 BRANCH1"), 100), 0);
}

static void test_new_window(void **state)
{
	(void)state;
	fail_times(KEY, 3, 0);
	fail_times(KEY, 2, WINDOW);
	assert_int_equal(attempts_wait_ms(attempts, KEY, WINDOW), 0);
	fail_times(KEY, 1, WINDOW + 10);
	assert_int_equal(attempts_wait_ms(attempts, KEY, WINDOW + 10), WINDOW - 10);
}

static void test_success_forgets(void **state)
{
	(void)state;
	fail_times(KEY, 3, 0);
	attempts_succeeded(attempts, KEY);
	assert_int_equal(attempts_wait_ms(attempts, KEY, 0), 0);
	attempts_succeeded(attempts, KEY);
}

static void test_no_longer_failing_goes_first(void **state)
{
	(void)state;
	fail_times(STR("a"), 3, 0);
	fail_times(STR("b"), 1, WINDOW);
	fail_times(STR("c"), 3, WINDOW + 1);
	fail_times(STR("b"), 2, WINDOW + 2);
	assert_true(attempts_wait_ms(attempts, STR("b"), WINDOW + 2) > 0);
	assert_true(attempts_wait_ms(attempts, STR("c"), WINDOW + 2) > 0);
}

/* The table holds two keys: one with many failures stays, however many others come. */
static void test_bounded(void **state)
{
	char name[] = "0";

	(void)state;
	fail_times(STR("a"), 3, 0);
	for (name[0] = '0'; name[0] <= '9'; name[0]++) {
		fail_times(str_c(name), 1, 1);
	}
	assert_true(attempts_wait_ms(attempts, STR("a"), 2) > 0);
	fail_times(STR("9"), 2, 2);
	assert_true(attempts_wait_ms(attempts, STR("9"), 3) > 0);
	/* As many failures: the one whose last is longest ago. */
	fail_times(STR("c"), 3, 3);
	assert_int_equal(attempts_wait_ms(attempts, STR("a"), 3), 0);
	assert_true(attempts_wait_ms(attempts, STR("9"), 3) > 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_limit),	    TEST(test_new_window),
		TEST(test_success_forgets), TEST(test_no_longer_failing_goes_first),
		TEST(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
