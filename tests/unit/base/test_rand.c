/*
 * test_rand - see base/rand.h
 */
#include "base/rand.h"
#include "death.h"
#include "unit.h"

static void fills_all_of_it(void **state)
{
	static uint8_t block[4096];
	int counts[256] = {0};

	(void)state;
	rand_bytes(block, sizeof(block));
	for (size_t i = 0; i < sizeof(block); i++) {
		counts[block[i]]++;
	}
	for (int i = 0; i < 256; i++) {
		assert_in_range(counts[i], 0, 80); /* 16 expected */
	}
	rand_bytes(block, 0);
}

static void stays_below(void **state)
{
	int counts[6] = {0};

	(void)state;
	for (int i = 0; i < 6000; i++) {
		counts[rand_below(6)]++;
	}
	for (int i = 0; i < 6; i++) {
		assert_in_range(counts[i], 700, 1300);
	}
	assert_int_equal(rand_below(1), 0);
	assert_true(rand_below(UINT32_MAX) < UINT32_MAX);
	assert_dies((void)rand_below(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_all_of_it),
		cmocka_unit_test(stays_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
