#include "gateway/body_budget.h"

#include "unit.h"

#define MAX_BYTES ((size_t)1 << 20)

static uint64_t held(const struct body_share *s)
{
	struct body_share_stats n = {0};

	body_share_stats_add(s, &n);
	return n.held;
}

/* Whatever a share keeps for itself, all that it does not keep is the others'. */
static void test_whole(void **state)
{
	struct body_budget b;
	struct body_share one = {.of = &b}, other = {.of = &b};
	struct body_share_stats sum = {0};
	size_t n = 0;

	(void)state;
	body_budget_init(&b, MAX_BYTES, 2);
	while (body_share_take(&one, 1000)) {
		n += 1000;
	}
	assert_true(n <= MAX_BYTES && n + 1000 > MAX_BYTES);
	assert_false(body_share_take(&other, 1000));
	body_share_give(&one, n);
	assert_true(body_share_take(&other, MAX_BYTES - b.step));
	assert_false(body_share_take(&one, b.step + 1));
	assert_true(body_share_take(&one, b.step));
	body_share_stats_add(&one, &sum);
	body_share_stats_add(&other, &sum);
	assert_int_equal(sum.held, MAX_BYTES);
	assert_int_equal(sum.refused, 3);
}

/* What is spare is given before more is drawn. */
static void test_small(void **state)
{
	struct body_budget b;
	struct body_share s = {.of = &b};
	size_t left;

	(void)state;
	body_budget_init(&b, MAX_BYTES, 4);
	assert_true(body_share_take(&s, 100));
	left = b.left;
	for (int i = 0; i < 1000; i++) {
		assert_true(body_share_take(&s, 100));
		body_share_give(&s, 100);
	}
	assert_int_equal(b.left, left);
	assert_int_equal(held(&s), 100);
}

/* Too small to be drawn in steps. */
static void test_tiny(void **state)
{
	struct body_budget b;
	struct body_share s = {.of = &b}, other = {.of = &b};

	(void)state;
	body_budget_init(&b, 10, 8);
	assert_true(body_share_take(&s, 10));
	assert_true(body_share_take(&s, 0));
	assert_false(body_share_take(&other, 1));
	body_share_give(&s, 10);
	assert_true(body_share_take(&other, 10));
	assert_int_equal(held(&s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_tiny),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
