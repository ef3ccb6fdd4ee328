/* Timers, deferred work, messages between loops and the pools of workers. */
#include "base/clock.h"
#include "base/mem.h"
#include "loop/job.h"
#include "loop/timer_heap.h"
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

/* ---- the heap ---- */

static void test_heap_orders(void **state)
{
	struct timer_heap h = {0};
	struct timer t[500];
	uint64_t last = 0;

	(void)state;
	memset(t, 0, sizeof(t));
	for (unsigned i = 0; i < ARRAY_LEN(t); i++) {
		t[i].due_ms = (i * 7919u) % 1009u;
		timer_heap_insert(&h, &t[i]);
	}
	for (unsigned i = 0; i < ARRAY_LEN(t); i += 3) {
		timer_heap_remove(&h, &t[i]);
		assert_int_equal(t[i].pos, 0);
	}
	while (h.n > 0) {
		struct timer *first = timer_heap_first(&h);

		assert_true(first->due_ms >= last);
		last = first->due_ms;
		timer_heap_remove(&h, first);
	}
	timer_heap_free(&h);
}

/* ---- timers on a loop, run on the test's thread ---- */

struct tick {
	struct timer timer;
	struct loop *loop;
	int fired;
	uint64_t at_ms;
};

static struct loop *the_loop;

static void on_tick(struct timer *t)
{
	struct tick *k = container_of(t, struct tick, timer);

	k->fired++;
	k->at_ms = loop_now_ms(k->loop);
}

static void on_stop(struct timer *t)
{
	(void)t;
	loop_stop(the_loop);
}

static void test_timers(void **state)
{
	struct tick moved = {0}, paused = {0}, stopped = {0}, sooner = {0};
	struct timer end = {0};
	uint64_t start;

	(void)state;
	the_loop = loop_new(0);
	moved.loop = paused.loop = stopped.loop = sooner.loop = the_loop;
	start = loop_now_ms(the_loop);
	timer_start(the_loop, &moved.timer, 1, on_tick);
	timer_start(the_loop, &moved.timer, 30, on_tick); /* later: the heap is not touched */
	assert_int_equal(moved.timer.due_ms, start + 1);
	timer_start(the_loop, &paused.timer, 5, on_tick);
	timer_pause(&paused.timer);
	timer_start(the_loop, &stopped.timer, 5, on_tick);
	timer_stop(the_loop, &stopped.timer);
	timer_start(the_loop, &sooner.timer, 1000000, on_tick);
	timer_start(the_loop, &sooner.timer, 2, on_tick);
	timer_start(the_loop, &end, 50, on_stop);
	loop_run(the_loop);
	assert_int_equal(moved.fired, 1);
	assert_true(moved.at_ms >= start + 30);
	assert_int_equal(paused.fired, 0);
	assert_int_equal(stopped.fired, 0);
	assert_int_equal(sooner.fired, 1);
	loop_free(&the_loop);
	assert_null(the_loop);
}

/* ---- deferred work ---- */

static char order[8];
static unsigned n_order;
static struct later flush_work, next_work, graved;
static struct grave grave;

static void note(char c)
{
	order[n_order++] = c;
}

static void on_later(struct later *w)
{
	(void)w;
	note('l');
}

static void on_flush(struct later *w)
{
	(void)w;
	note('f');
}

static void on_grave(struct grave *g)
{
	(void)g;
	note('g');
	loop_stop(the_loop);
}

static void on_next(struct later *w)
{
	note('n');
	loop_flush_later(the_loop, &flush_work, on_flush);
	loop_flush_later(the_loop, &flush_work, on_flush); /* once however often asked */
	loop_later(the_loop, w, on_later);
	loop_bury(the_loop, &grave, on_grave);
}

static void test_deferred_order(void **state)
{
	(void)state;
	the_loop = loop_new(0);
	memset(&graved, 0, sizeof(graved));
	loop_next_turn(the_loop, &next_work, on_next);
	loop_run(the_loop);
	assert_string_equal(order, "nlfg");
	loop_free(&the_loop);
}

struct again {
	struct later work;
	struct later turn;
	unsigned runs, turns;
};

static void on_again(struct later *w)
{
	struct again *a = container_of(w, struct again, work);

	a->runs++;
	loop_soon(the_loop, w, on_again);
	loop_soon(the_loop, w, on_again); /* once however often asked */
}

static void on_third_turn(struct later *w)
{
	struct again *a = container_of(w, struct again, turn);

	if (++a->turns == 3) {
		loop_stop(the_loop);
	} else {
		loop_next_turn(the_loop, w, on_third_turn);
	}
}

/* Work that causes itself has its share of each turn, and no more. */
static void test_soon(void **state)
{
	struct again a = {.turns = 0};

	(void)state;
	the_loop = loop_new(0);
	loop_later(the_loop, &a.work, on_again);
	loop_next_turn(the_loop, &a.turn, on_third_turn);
	loop_run(the_loop);
	assert_in_range(a.runs, 2 * LOOP_SOON_MAX, 3 * (LOOP_SOON_MAX + 1));
	later_cancel(&a.work);
	loop_free(&the_loop);
}

struct heavy {
	struct later work;
	unsigned turn; /* that it ran in */
};

static unsigned turns_so_far;
static struct heavy heavies[3];

static void on_each_turn(struct later *w)
{
	turns_so_far++;
	loop_next_turn(the_loop, w, on_each_turn);
}

static void on_heavy(struct later *w)
{
	struct heavy *h = container_of(w, struct heavy, work);

	h->turn = turns_so_far;
	if (h == &heavies[2]) {
		loop_stop(the_loop);
	}
}

/* What would hold up a turn has its turns one by one, in order, with nothing else to wake it. */
static void test_heavy(void **state)
{
	struct later counter = {0};

	(void)state;
	memset(heavies, 0, sizeof(heavies));
	turns_so_far = 0;
	the_loop = loop_new(0);
	loop_next_turn(the_loop, &counter, on_each_turn);
	for (size_t i = 0; i < ARRAY_LEN(heavies); i++) {
		loop_heavy(the_loop, &heavies[i].work, on_heavy);
		loop_heavy(the_loop, &heavies[i].work, on_heavy); /* once however often asked */
	}
	loop_run(the_loop);
	for (size_t i = 0; i < ARRAY_LEN(heavies); i++) {
		assert_int_equal(heavies[i].turn, i + 1);
	}
	later_cancel(&counter);

	heavies[2].turn = 0;
	loop_heavy(the_loop, &heavies[1].work, on_heavy);
	loop_heavy(the_loop, &heavies[2].work, on_heavy);
	later_cancel(&heavies[1].work);
	loop_run(the_loop); /* would wait for ever if that were not work to do */
	assert_int_equal(heavies[1].turn, 2);
	assert_int_equal(heavies[2].turn, turns_so_far);
	loop_free(&the_loop);
}

static void on_long_turn(struct later *w)
{
	struct again *a = container_of(w, struct again, turn);
	uint64_t end_ns = clock_mono_ns() + 3000000;

	while (clock_mono_ns() < end_ns) {
	}
	a->turns++;
	loop_stop(the_loop);
}

/* The one turn of 3 ms is in no bucket below 5 ms; a slow machine may put it higher. */
static void test_turns_are_timed(void **state)
{
	struct again a = {.turns = 0};
	struct loop_stats st = {0};
	uint64_t long_ones = 0;

	(void)state;
	the_loop = loop_new(0);
	loop_later(the_loop, &a.turn, on_long_turn);
	loop_run(the_loop);
	loop_stats_add(the_loop, &st);
	for (unsigned i = 0; i < LOOP_TURN_BOUNDS; i++) {
		assert_true(loop_turn_bounds_us[i] >= 5000 || st.turns[i] == 0);
	}
	for (unsigned i = 0; i <= LOOP_TURN_BOUNDS; i++) {
		long_ones += st.turns[i];
	}
	assert_int_equal(a.turns, 1);
	assert_int_equal(long_ones, 1);
	assert_true(st.busy_ns >= 3000000);
	loop_free(&the_loop);
}

/* ---- messages ---- */

struct count_msg {
	struct msg msg;
	int sender, seq;
};

#define SENDERS 4
#define PER_SENDER 20000

static int next_seq[SENDERS];
static atomic_int received;

static void on_count(struct msg *m, struct loop *l)
{
	struct count_msg *c = container_of(m, struct count_msg, msg);

	(void)l;
	assert_int_equal(c->seq, next_seq[c->sender]++);
	mem_free(c);
	atomic_fetch_add(&received, 1);
}

static void *sender(void *arg)
{
	int *n = arg;

	for (int i = 0; i < PER_SENDER; i++) {
		struct count_msg *c = MEM_NEW(struct count_msg);

		c->msg.run = on_count;
		c->sender = *n;
		c->seq = i;
		loop_post(the_loop, &c->msg);
	}
	return NULL;
}

static void test_messages_keep_order(void **state)
{
	struct loops loops;
	struct fault f = {0};
	pthread_t threads[SENDERS];
	int ids[SENDERS];

	(void)state;
	assert_ok(loops_start(&loops, 1, &f));
	the_loop = loops.v[0];
	for (int i = 0; i < SENDERS; i++) {
		ids[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, sender, &ids[i]), 0);
	}
	for (int i = 0; i < SENDERS; i++) {
		(void)pthread_join(threads[i], NULL);
	}
	while (atomic_load(&received) < SENDERS * PER_SENDER) {
		(void)sched_yield();
	}
	loops_join(&loops);
	loops_free(&loops);
}

static bool dropped;

static void on_drop(struct msg *m)
{
	dropped = true;
	mem_free(container_of(m, struct count_msg, msg));
}

static void test_undelivered_messages_are_dropped(void **state)
{
	struct count_msg *c = MEM_NEW(struct count_msg);
	struct loop *l = loop_new(0);

	(void)state;
	c->msg.drop = on_drop;
	loop_post(l, &c->msg);
	loop_free(&l);
	assert_true(dropped);
}

/* ---- jobs ---- */

static atomic_int jobs_done, jobs_run, jobs_expired;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void run_job(struct job *j, void *worker)
{
	(void)j;
	assert_string_equal(worker, "session");
	atomic_fetch_add(&jobs_run, 1);
}

static void run_gated(struct job *j, void *worker)
{
	(void)j;
	(void)worker;
	(void)pthread_mutex_lock(&gate);
	(void)pthread_mutex_unlock(&gate);
}

static void job_done(struct job *j)
{
	atomic_fetch_add(&jobs_expired, j->expired ? 1 : 0);
	mem_free(j);
	atomic_fetch_add(&jobs_done, 1);
}

static void count_done(struct job *j)
{
	(void)j;
	atomic_fetch_add(&jobs_done, 1);
}

static void *session_init(void *arg)
{
	return arg;
}

static enum err submit(struct pool *p, job_fn *run, struct loop *home, uint64_t deadline)
{
	struct job *j = MEM_NEW(struct job);
	enum err e;

	j->run = run;
	j->done = job_done;
	j->home = home;
	j->deadline_ms = deadline;
	e = pool_submit(p, j);
	if (e != ERR_OK) {
		mem_free(j);
	}
	return e;
}

static void wait_done(int n)
{
	while (atomic_load(&jobs_done) < n) {
		(void)sched_yield();
	}
}

static void test_pool(void **state)
{
	static char session[] = "session";
	struct pool_ops ops = {.init = session_init, .arg = session};
	struct pool *p = pool_new("test", 2, 1000, &ops);
	struct loops loops;
	struct fault f = {0};

	(void)state;
	assert_ok(loops_start(&loops, 1, &f));
	for (int i = 0; i < 100; i++) {
		assert_ok(submit(p, run_job, i % 2 ? loops.v[0] : NULL, 0));
	}
	wait_done(100);
	assert_int_equal(atomic_load(&jobs_run), 100);
	assert_ok(submit(p, run_job, NULL, 1)); /* long past */
	wait_done(101);
	assert_int_equal(atomic_load(&jobs_run), 100);
	assert_int_equal(atomic_load(&jobs_expired), 1);
	pool_free(&p);
	loops_join(&loops);
	loops_free(&loops);
}

static void test_full_pool_refuses(void **state)
{
	struct pool *p = pool_new("test", 1, 2, NULL);
	struct pool_stats st;
	int accepted = 0;

	(void)state;
	atomic_store(&jobs_done, 0);
	(void)pthread_mutex_lock(&gate);
	assert_ok(submit(p, run_gated, NULL, 0));
	do { /* until the worker has taken it */
		pool_stats(p, &st);
	} while (st.busy == 0);
	while (submit(p, run_gated, NULL, 0) == ERR_OK) {
		accepted++;
	}
	assert_int_equal(accepted, 2);
	pool_stats(p, &st);
	assert_int_equal(st.refused, 1);
	(void)pthread_mutex_unlock(&gate);
	pool_free(&p); /* runs what is queued */
	assert_int_equal(atomic_load(&jobs_done), 3);
}

/* ---- jobs that write ---- */

struct numbered {
	struct job job;
	unsigned number;
};

static unsigned begun[8];
static atomic_uint n_begun;

static void run_writing(struct job *j, void *worker)
{
	begun[atomic_fetch_add(&n_begun, 1)] = container_of(j, struct numbered, job)->number;
	run_gated(j, worker);
}

static void submit_writes(struct pool *p, struct numbered *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		v[i] = (struct numbered){
			.number = i,
			.job = {.run = run_writing, .done = count_done, .writes = true}};
		assert_ok(pool_submit(p, &v[i].job));
	}
}

static void run_nothing(struct job *j, void *worker)
{
	(void)j;
	(void)worker;
}

static void jobs_that_write_leave_threads_to_others(void **state)
{
	struct numbered v[8];
	struct pool *p = pool_new("test", 4, 1000, NULL);
	struct pool_stats st;

	(void)state;
	atomic_store(&jobs_done, 0);
	atomic_store(&n_begun, 0);
	(void)pthread_mutex_lock(&gate);
	submit_writes(p, v, 8);
	for (int i = 0; i < 20; i++) {
		assert_ok(submit(p, run_nothing, NULL, 0));
	}
	wait_done(20);
	while (atomic_load(&n_begun) < 2) {
		(void)sched_yield();
	}
	do { /* until the last of the others is counted */
		pool_stats(p, &st);
	} while (st.busy > 2);
	assert_int_equal(st.busy, 2);
	assert_int_equal(st.queued, 6);
	(void)pthread_mutex_unlock(&gate);
	wait_done(28);
	pool_free(&p);
}

static void jobs_that_write_begin_in_the_order_of_arrival(void **state)
{
	struct numbered v[8];
	struct pool *p = pool_new("test", 2, 1000, NULL);

	(void)state;
	atomic_store(&jobs_done, 0);
	atomic_store(&n_begun, 0);
	(void)pthread_mutex_lock(&gate);
	submit_writes(p, v, 4);
	assert_ok(submit(p, run_nothing, NULL, 0));
	wait_done(1); /* behind it the four are held */
	submit_writes(p, v + 4, 4);
	(void)pthread_mutex_unlock(&gate);
	pool_free(&p); /* runs what is held */
	assert_int_equal(atomic_load(&jobs_done), 9);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(begun[i], i % 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heap_orders),
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_deferred_order),
		cmocka_unit_test(test_soon),
		cmocka_unit_test(test_heavy),
		cmocka_unit_test(test_turns_are_timed),
		cmocka_unit_test(test_messages_keep_order),
		cmocka_unit_test(test_undelivered_messages_are_dropped),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_full_pool_refuses),
		cmocka_unit_test(jobs_that_write_leave_threads_to_others),
		cmocka_unit_test(jobs_that_write_begin_in_the_order_of_arrival),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
