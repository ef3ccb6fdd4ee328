/* The windows and counters of rate-limiting. */
#include "gateway/plugins/rate_table.h"
#include "unit.h"

#include <pthread.h>

/* 2026-11-28T16:30:10Z */
#define NOW 1795883410

static void check_window(enum rate_period period, int64_t at, int64_t start, int64_t end)
{
	struct rate_window w = rate_window_at(period, at);

	assert_int_equal(w.start_s, start);
	assert_int_equal(w.end_s, end);
}

static void test_windows(void **state)
{
	(void)state;
	check_window(RATE_SECOND, NOW, NOW, NOW + 1);
	check_window(RATE_MINUTE, NOW, 1795883400, 1795883460);
	check_window(RATE_HOUR, NOW, 1795881600, 1795885200);
	check_window(RATE_DAY, NOW, 1795824000, 1795910400);
	check_window(RATE_MONTH, NOW, 1793491200, 1796083200); /* 1 November to 1 December */
	check_window(RATE_YEAR, NOW, 1767225600, 1798761600);
	check_window(RATE_MONTH, 951782400, 949363200, 951868800); /* 29 February 2000 */
	check_window(RATE_MONTH, 1798761599, 1796083200, 1798761600);
	check_window(RATE_MONTH, 1798761600, 1798761600, 1801440000);
	check_window(RATE_YEAR, 0, 0, 31536000);
	check_window(RATE_MONTH, -5, 0, 2678400);
}

static void test_counts_to_the_limit(void **state)
{
	struct rate_table *t = rate_table_new(100, NOW);
	struct rate_window w = rate_window_at(RATE_MINUTE, NOW);
	struct rate_window next = rate_window_at(RATE_MINUTE, NOW + 60);
	uint64_t left;

	(void)state;
	assert_true(rate_table_take(t, 7, w, NOW, 2, &left));
	assert_int_equal(left, 1);
	assert_true(rate_table_take(t, 7, w, NOW + 1, 2, &left));
	assert_int_equal(left, 0);
	assert_false(rate_table_take(t, 7, w, NOW + 2, 2, &left));
	assert_int_equal(rate_table_count(t, 7, w), 2);
	assert_true(rate_table_take(t, 8, w, NOW + 2, 2, &left)); /* somebody else */

	assert_true(rate_table_take(t, 7, next, NOW + 60, 2, &left));
	assert_int_equal(rate_table_count(t, 7, next), 1);
	assert_int_equal(rate_table_count(t, 7, w), 0);
	rate_table_give(t, 7, next);
	assert_int_equal(rate_table_count(t, 7, next), 0);
	rate_table_give(t, 7, next);
	assert_int_equal(rate_table_count(t, 7, next), 0);
	assert_false(rate_table_take(t, 9, w, NOW, 0, &left));
	rate_table_free(&t);
	assert_null(t);
}

/* A request that was read before midnight and counted after another loop's first of the day. */
static void test_late_request_counts_in_next_window(void **state)
{
	struct rate_table *t = rate_table_new(100, NOW);
	struct rate_window w = rate_window_at(RATE_MINUTE, NOW);
	struct rate_window next = rate_window_at(RATE_MINUTE, NOW + 60);
	struct rate_window far = rate_window_at(RATE_MINUTE, NOW + 86400);
	uint64_t left;

	(void)state;
	assert_true(rate_table_take(t, 7, next, NOW + 60, 5, &left));
	assert_true(rate_table_take(t, 7, w, NOW, 5, &left));
	assert_int_equal(rate_table_count(t, 7, next), 2);
	assert_true(rate_table_take(t, 7, far, NOW + 86400, 1, &left));
	assert_true(rate_table_take(t, 7, w, NOW, 1, &left)); /* the clock was set back a day */
	assert_int_equal(rate_table_count(t, 7, w), 1);
	rate_table_free(&t);
}

/* Keys that meet in one bucket: those whose windows ended go first, then those that end first. */
static void test_full_bucket(void **state)
{
	struct rate_table *t = rate_table_new(7, NOW);
	struct rate_window minute = rate_window_at(RATE_MINUTE, NOW);
	struct rate_window day = rate_window_at(RATE_DAY, NOW);
	uint64_t left;

	(void)state;
	assert_true(rate_table_take(t, 1, minute, NOW, 9, &left));
	for (uint64_t key = 2; key <= 7; key++) {
		assert_true(rate_table_take(t, key, day, NOW, 9, &left));
	}
	assert_int_equal(rate_table_lost(t), 0);
	assert_true(rate_table_take(t, 8, day, NOW, 9, &left));
	assert_int_equal(rate_table_lost(t), 1);
	assert_int_equal(rate_table_count(t, 1, minute), 0);
	for (uint64_t key = 2; key <= 8; key++) {
		assert_int_equal(rate_table_count(t, key, day), 1);
	}
	/* The next day all have ended: nothing is lost any more. */
	day = rate_window_at(RATE_DAY, NOW + 86400);
	for (uint64_t key = 11; key <= 17; key++) {
		assert_true(rate_table_take(t, key, day, NOW + 86400, 9, &left));
	}
	assert_int_equal(rate_table_lost(t), 1);
	rate_table_free(&t);
}

enum { THREADS = 4, KEYS = 40, TRIES = 400, LIMIT = 1000 };

struct crowd {
	struct rate_table *table;
	struct rate_window window;
	_Atomic uint64_t passed[KEYS];
	pthread_barrier_t start;
};

static void *rush(void *arg)
{
	struct crowd *c = arg;
	uint64_t left;

	(void)pthread_barrier_wait(&c->start);
	for (int i = 0; i < TRIES; i++) {
		for (uint64_t k = 0; k < KEYS; k++) {
			uint64_t key = (k + 1) * UINT64_C(0x9e3779b97f4a7c15);

			if (rate_table_take(c->table, key, c->window, NOW, LIMIT, &left)) {
				c->passed[k]++;
			}
		}
	}
	return NULL;
}

/* 1600 tries each, 1000 pass: not one more, not one less, on whatever threads. */
static void test_exact_over_threads(void **state)
{
	struct crowd c = {.window = rate_window_at(RATE_DAY, NOW)};
	pthread_t threads[THREADS];

	(void)state;
	c.table = rate_table_new(4000, NOW);
	assert_int_equal(pthread_barrier_init(&c.start, NULL, THREADS), 0);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, rush, &c), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	}
	for (int k = 0; k < KEYS; k++) {
		assert_int_equal(c.passed[k], LIMIT);
	}
	assert_int_equal(rate_table_lost(c.table), 0);
	(void)pthread_barrier_destroy(&c.start);
	rate_table_free(&c.table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_counts_to_the_limit),
		cmocka_unit_test(test_late_request_counts_in_next_window),
		cmocka_unit_test(test_full_bucket),
		cmocka_unit_test(test_exact_over_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
