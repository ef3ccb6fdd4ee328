#include "unit.h"

#include "connector/reconnect.h"

/* Chance at its extremes. */
static uint32_t least(uint32_t bound)
{
	(void)bound;
	return 0;
}

static uint32_t most(uint32_t bound)
{
	return bound - 1;
}

#define MIN_MS 30000
#define MAX_MS 300000

static void assert_plan(struct reconnect *r, enum link_end end, bool useful, uint64_t from,
			uint64_t to)
{
	struct reconnect low = *r;
	struct reconnect_plan p = reconnect_next(&low, end, useful, MIN_MS, MAX_MS, least);

	assert_false(p.never);
	assert_int_equal(p.delay_ms, from);
	p = reconnect_next(r, end, useful, MIN_MS, MAX_MS, most);
	assert_int_equal(p.delay_ms, to);
}

static void before_the_first_connection_every_second(void **state)
{
	(void)state;
	struct reconnect r = {0};

	for (int i = 0; i < 100; i++) {
		assert_plan(&r, LINK_END_FAILED, false, 1000, 1249);
	}
}

static void a_lost_connection_is_tried_at_once_then_slowly(void **state)
{
	(void)state;
	static const enum link_end ends[] = {LINK_END_LOST, LINK_END_COME_BACK};

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct reconnect r = {0};

		assert_plan(&r, ends[i], true, 0, 249);
		assert_plan(&r, LINK_END_FAILED, false, MIN_MS, MAX_MS + 249);
		assert_plan(&r, LINK_END_FAILED, false, MIN_MS, MAX_MS + 249);
		assert_plan(&r, ends[i], true, 0, 249);
	}
}

static void a_server_that_drops_at_once_is_not_met_in_a_loop(void **state)
{
	(void)state;
	struct reconnect r = {0};

	assert_plan(&r, LINK_END_LOST, false, 0, 249);
	assert_plan(&r, LINK_END_LOST, false, MIN_MS, MAX_MS + 249);
	assert_plan(&r, LINK_END_LOST, false, MIN_MS, MAX_MS + 249);
}

static void an_error_waits_a_second_then_longer(void **state)
{
	(void)state;
	struct reconnect r = {0};

	assert_plan(&r, LINK_END_ERROR, true, 1000, 1249);
	assert_plan(&r, LINK_END_ERROR, false, MIN_MS, MAX_MS + 249);
}

static void for_good_is_for_good(void **state)
{
	(void)state;
	struct reconnect r = {0};

	assert_true(reconnect_next(&r, LINK_END_FOR_GOOD, true, MIN_MS, MAX_MS, least).never);
}

static void strange_delays_do_no_harm(void **state)
{
	(void)state;
	struct reconnect r = {true, 1};

	assert_int_equal(reconnect_next(&r, LINK_END_LOST, false, 5000, 10, most).delay_ms, 5249);
	assert_int_equal(reconnect_next(&r, LINK_END_LOST, false, -5, -1, most).delay_ms, 249);
	assert_int_equal(reconnect_next(&r, LINK_END_LOST, false, 0, INT64_MAX, least).delay_ms, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_the_first_connection_every_second),
		cmocka_unit_test(a_lost_connection_is_tried_at_once_then_slowly),
		cmocka_unit_test(a_server_that_drops_at_once_is_not_met_in_a_loop),
		cmocka_unit_test(an_error_waits_a_second_then_longer),
		cmocka_unit_test(for_good_is_for_good),
		cmocka_unit_test(strange_delays_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
