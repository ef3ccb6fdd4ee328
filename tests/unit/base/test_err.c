/*
 * test_err - see base/err.h and base/attr.h
 */
#include "base/err.h"
#include "death.h"
#include "unit.h"

static void the_first_fault_wins(void **state)
{
	struct fault f = {0};

	(void)state;
	assert_err(fault_set(&f, ERR_IO, "read %s: %d", "x", 5), ERR_IO);
	assert_err(fault_set(&f, ERR_LIMIT, "later"), ERR_LIMIT);
	assert_int_equal(f.code, ERR_IO);
	assert_string_equal(f.text, "read x: 5");
	assert_err(fault_set(NULL, ERR_IO, "nobody listens"), ERR_IO);
}

static void long_text_is_cut(void **state)
{
	struct fault f = {0};

	(void)state;
	assert_err(fault_set(&f, ERR_IO, "%0400d", 1), ERR_IO);
	assert_int_equal(strlen(f.text), sizeof(f.text) - 1);
}

static void each_has_a_name(void **state)
{
	(void)state;
	for (int e = ERR_OK; e <= ERR_INTERNAL; e++) {
		assert_string_not_equal(err_name((enum err)e), "unknown");
		for (int other = ERR_OK; other < e; other++) {
			assert_string_not_equal(err_name((enum err)e), err_name((enum err)other));
		}
	}
}

static enum err returns_early(enum err first, int *reached)
{
	TRY(first);
	*reached = 1;
	return ERR_OK;
}

static void try_returns_on_failure(void **state)
{
	int reached = 0;

	(void)state;
	assert_err(returns_early(ERR_DENIED, &reached), ERR_DENIED);
	assert_int_equal(reached, 0);
	assert_ok(returns_early(ERR_OK, &reached));
	assert_int_equal(reached, 1);
}

static void assert_aborts(void **state)
{
	(void)state;
	assert_dies(ASSERT(1 + 1 == 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_fault_wins), cmocka_unit_test(long_text_is_cut),
		cmocka_unit_test(each_has_a_name),	cmocka_unit_test(try_returns_on_failure),
		cmocka_unit_test(assert_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
