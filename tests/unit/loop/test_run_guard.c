#include "loop/run_guard.h"

#include "unit.h"

#include <sched.h>
#include <stdatomic.h>

static struct run_guard guard;
static atomic_bool closed;

static int set_up(void **state)
{
	(void)state;
	atomic_store(&closed, false);
	run_guard_init(&guard);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	run_guard_fini(&guard);
	return 0;
}

static void *close_it(void *arg)
{
	run_guard_close(&guard);
	atomic_store(&closed, true);
	return arg;
}

static void runs_follow_each_other(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_true(run_guard_begin(&guard));
		assert_false(run_guard_is_closing(&guard));
		run_guard_end(&guard);
	}
}

static void none_begins_after_the_end(void **state)
{
	(void)state;
	run_guard_close(&guard);
	assert_true(run_guard_is_closing(&guard));
	assert_false(run_guard_begin(&guard));
	run_guard_close(&guard); /* and what did not begin is not waited for */
}

static void the_end_waits_for_the_run(void **state)
{
	pthread_t thread;

	(void)state;
	assert_true(run_guard_begin(&guard));
	assert_int_equal(pthread_create(&thread, NULL, close_it, NULL), 0);
	while (!run_guard_is_closing(&guard)) {
		(void)sched_yield();
	}
	for (int i = 0; i < 1000; i++) {
		(void)sched_yield();
		assert_false(atomic_load(&closed));
	}
	run_guard_end(&guard);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(atomic_load(&closed));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(runs_follow_each_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(none_begins_after_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_end_waits_for_the_run, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
