/* Chores that come again: never two at a time, and none after the stop. */
#include "loop/periodic.h"

#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

static struct {
	struct loops loops;
	struct pool *pool;
	struct periodic *periodic;
	atomic_int runs;
	sem_t in_loop, leave_loop;     /* the loop is held in a message */
	sem_t in_worker, leave_worker; /* the only worker is held in a job */
	sem_t stopped;
} fx;

static int setup(void **state)
{
	(void)state;
	assert_ok(loops_start(&fx.loops, 1, NULL));
	fx.pool = pool_new("test", 1, 8, NULL);
	atomic_store(&fx.runs, 0);
	(void)sem_init(&fx.in_loop, 0, 0);
	(void)sem_init(&fx.leave_loop, 0, 0);
	(void)sem_init(&fx.in_worker, 0, 0);
	(void)sem_init(&fx.leave_worker, 0, 0);
	(void)sem_init(&fx.stopped, 0, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pool_free(&fx.pool);
	loops_join(&fx.loops);
	loops_free(&fx.loops);
	return 0;
}

static void count(void *arg, void *worker)
{
	(void)arg;
	(void)worker;
	atomic_fetch_add(&fx.runs, 1);
}

static void wait_for_runs(int n)
{
	while (atomic_load(&fx.runs) < n) {
		sched_yield();
	}
}

static void test_comes_again(void **state)
{
	(void)state;
	fx.periodic = periodic_start(fx.loops.v[0], fx.pool, 1, count, NULL);
	wait_for_runs(5);
	periodic_stop(&fx.periodic);
	assert_null(fx.periodic);
}

static void hold_worker(struct job *j, void *worker)
{
	(void)j;
	(void)worker;
	(void)sem_post(&fx.in_worker);
	(void)sem_wait(&fx.leave_worker);
}

static void forget(struct job *j)
{
	(void)j;
}

static atomic_int asked;
static atomic_bool is_open;

static bool gate(void *arg)
{
	(void)arg;
	atomic_fetch_add(&asked, 1);
	return atomic_load(&is_open);
}

static void hurry(struct loop *l, void *arg)
{
	(void)l;
	periodic_hurry(*(struct periodic **)arg);
}

static void wait_until_asked(int n)
{
	while (atomic_load(&asked) < n) {
		sched_yield();
	}
}

static void test_a_gate_skips_runs(void **state)
{
	struct periodic_chore chore = {.interval_ms = 1, .gate = gate, .fn = count};

	(void)state;
	fx.periodic = periodic_start_chore(fx.loops.v[0], fx.pool, &chore);
	wait_until_asked(5);
	assert_int_equal(atomic_load(&fx.runs), 0);
	atomic_store(&is_open, true);
	wait_for_runs(3);
	periodic_stop(&fx.periodic);
	atomic_store(&is_open, false);
}

/* Neither the gate nor an hour stands before a run that hurries. */
static void test_a_run_may_hurry(void **state)
{
	struct periodic_chore chore = {.interval_ms = 3600000, .gate = gate, .fn = count};

	(void)state;
	atomic_store(&asked, 0);
	fx.periodic = periodic_start_chore(fx.loops.v[0], fx.pool, &chore);
	wait_until_asked(1);
	for (int i = 1; i <= 3; i++) {
		loop_call(fx.loops.v[0], hurry, &fx.periodic);
		wait_for_runs(i);
	}
	periodic_stop(&fx.periodic);
}

static void test_hurry_during_a_run_means_another(void **state)
{
	struct periodic_chore chore = {.interval_ms = 3600000, .fn = count};
	struct job busy = {.run = hold_worker, .done = forget};

	(void)state;
	assert_ok(pool_submit(fx.pool, &busy));
	(void)sem_wait(&fx.in_worker);
	fx.periodic = periodic_start_chore(fx.loops.v[0], fx.pool, &chore);
	for (struct pool_stats st = {0}; st.queued == 0;) { /* the first run waits */
		pool_stats(fx.pool, &st);
	}
	loop_call(fx.loops.v[0], hurry, &fx.periodic);
	loop_call(fx.loops.v[0], hurry, &fx.periodic);
	(void)sem_post(&fx.leave_worker);
	wait_for_runs(2);
	periodic_stop(&fx.periodic);
	assert_int_equal(atomic_load(&fx.runs), 2);
}

static void hold_loop(struct msg *m, struct loop *l)
{
	(void)m;
	(void)l;
	(void)sem_post(&fx.in_loop);
	(void)sem_wait(&fx.leave_loop);
}

static void *stop(void *arg)
{
	periodic_stop(&fx.periodic);
	(void)sem_post(&fx.stopped);
	return arg;
}

/* Until the thread that stops has said so, and waits for the loop. */
static void wait_until_stopping(void)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 50000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	assert_int_not_equal(sem_timedwait(&fx.stopped, &until), 0);
}

/* The next run comes due while it is being stopped, and the worker has no time for it. */
static void test_no_run_after_stop(void **state)
{
	struct msg hold = {.run = hold_loop};
	struct job busy = {.run = hold_worker, .done = forget};
	pthread_t stopper;
	int runs;

	(void)state;
	fx.periodic = periodic_start(fx.loops.v[0], fx.pool, 1, count, NULL);
	wait_for_runs(1);
	do { /* hold the loop while no run is under way: the timer is armed */
		struct pool_stats st;

		loop_post(fx.loops.v[0], &hold);
		(void)sem_wait(&fx.in_loop);
		pool_stats(fx.pool, &st);
		if (st.queued + st.busy == 0) {
			break;
		}
		(void)sem_post(&fx.leave_loop);
	} while (true);
	assert_ok(pool_submit(fx.pool, &busy));
	(void)sem_wait(&fx.in_worker);
	runs = atomic_load(&fx.runs);
	assert_int_equal(pthread_create(&stopper, NULL, stop, NULL), 0);
	wait_until_stopping();
	(void)sem_post(&fx.leave_loop);
	(void)sem_wait(&fx.stopped);
	(void)sem_post(&fx.leave_worker);
	(void)pthread_join(stopper, NULL);
	pool_free(&fx.pool); /* runs what is queued */
	assert_int_equal(atomic_load(&fx.runs), runs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_comes_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_gate_skips_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_run_may_hurry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hurry_during_a_run_means_another, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_no_run_after_stop, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
