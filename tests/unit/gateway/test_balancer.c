#include "gateway/balancer.h"

#include "balancer_fixture.h"
#include "gateway/hash.h"
#include "unit.h"

/* ---- round-robin ---- */

static void test_weights(void **state)
{
	static const unsigned weights[] = {1, 2, 7, 0};
	struct fixture f;

	(void)state;
	set_up(&f);
	add_weights(&f, weights, ARRAY_LEN(weights));
	apply(&f);
	for (unsigned loop = 0; loop < LOOPS; loop++) {
		unsigned counts[5] = {0};

		count(&f, loop, 1000, counts);
		assert_in_range(counts[1], 99, 101);
		assert_in_range(counts[2], 199, 201);
		assert_in_range(counts[3], 699, 701);
		assert_int_equal(counts[4], 0);
	}
	/* Listed all the same. */
	assert_int_equal(status_of(&f).n_targets, 4);
	assert_int_equal(status_of(&f).weight_total, 10);
	tear_down(&f);
}

/* The heavy one does not get its share in one burst. */
static void test_smooth(void **state)
{
	static const unsigned weights[] = {5, 1, 1};
	struct fixture f;
	unsigned run = 0;

	(void)state;
	set_up(&f);
	add_weights(&f, weights, ARRAY_LEN(weights));
	apply(&f);
	for (unsigned i = 0; i < 70; i++) {
		run = serve(&f, 0, NULL, 200) == 1 ? run + 1 : 0;
		assert_true(run <= 4);
	}
	tear_down(&f);
}

static void test_down_and_up(void **state)
{
	static const unsigned weights[] = {100, 100, 200};
	struct fixture f;
	unsigned counts[4] = {0};

	(void)state;
	set_up(&f);
	add_weights(&f, weights, ARRAY_LEN(weights));
	apply(&f);
	mark(&f, 2, BALANCER_UNHEALTHY);
	count(&f, 0, 100, counts);
	assert_int_equal(counts[3], 0);
	assert_in_range(counts[1], 49, 51);
	mark(&f, 0, BALANCER_UNHEALTHY);
	mark(&f, 1, BALANCER_UNHEALTHY);
	assert_int_equal(serve(&f, 0, NULL, 200), 0);
	assert_int_equal(serve(&f, 1, NULL, 200), 0);
	mark(&f, 1, BALANCER_HEALTHY);
	assert_int_equal(serve(&f, 1, NULL, 200), 2);
	tear_down(&f);
}

static void test_no_targets(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	apply(&f);
	assert_int_equal(serve(&f, 0, NULL, 200), 0);
	assert_ptr_equal(balancer_find(f.view, STR("UP.Test")), f.b);
	assert_null(balancer_find(f.view, STR("other.test")));
	tear_down(&f);
}

/* A retry goes elsewhere while there is an elsewhere. */
static void test_retries(void **state)
{
	static const unsigned weights[] = {1, 1, 1};
	static const enum balancer_algorithm all[] = {
		BALANCER_ROUND_ROBIN,
		BALANCER_CONSISTENT_HASHING,
		BALANCER_LEAST_CONNECTIONS,
		BALANCER_LATENCY,
	};

	(void)state;
	for (size_t a = 0; a < ARRAY_LEN(all); a++) {
		struct balancer_key key = {.has = true, .hash = 12345};
		struct balancer_try t = {0};
		struct balancer_peer p;
		unsigned seen = 0;
		struct fixture f;

		set_up(&f);
		f.c.algorithm = all[a];
		add_weights(&f, weights, ARRAY_LEN(weights));
		apply(&f);
		for (unsigned i = 0; i < 3; i++) {
			assert_ok(pick_of(&f, f.b, 0, &key, &t, &p));
			done_with(&f, 0, &t, BALANCER_TCP_FAILURE, 0);
			seen |= 1u << last_of(&p);
		}
		assert_int_equal(seen, 1u << 1 | 1u << 2 | 1u << 3);
		assert_ok(pick_of(&f, f.b, 0, &key, &t, &p));
		done_with(&f, 0, &t, BALANCER_STATUS, 200);
		assert_int_equal(t.tries, 4);
		tear_down(&f);
	}
}

/* ---- consistent hashing ---- */

#define KEYS 4000

static struct balancer_key key_of(unsigned i)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "key-%u", i);

	return (struct balancer_key){.has = true, .hash = hash_xx32(str_of(text, (size_t)n), 0)};
}

static void map_keys(struct fixture *f, unsigned loop, unsigned *out)
{
	for (unsigned i = 0; i < KEYS; i++) {
		struct balancer_key key = key_of(i);

		out[i] = serve(f, loop, &key, 200);
	}
}

static void test_hash_share(void **state)
{
	static const unsigned weights[] = {100, 100, 100, 300};
	unsigned map[KEYS], counts[5] = {0};
	struct fixture f;

	(void)state;
	set_up(&f);
	f.c.algorithm = BALANCER_CONSISTENT_HASHING;
	add_weights(&f, weights, ARRAY_LEN(weights));
	apply(&f);
	map_keys(&f, 0, map);
	for (unsigned i = 0; i < KEYS; i++) {
		counts[map[i]]++;
	}
	for (unsigned t = 1; t <= 3; t++) {
		assert_in_range(counts[t], KEYS / 6 * 7 / 10, KEYS / 6 * 13 / 10);
	}
	assert_in_range(counts[4], KEYS / 2 * 8 / 10, KEYS / 2 * 12 / 10);
	/* Without a key they take turns. */
	memset(counts, 0, sizeof(counts));
	count(&f, 0, 600, counts);
	assert_in_range(counts[4], 299, 301);
	tear_down(&f);
}

/* The same on every loop, in every process, in whatever order the targets come. */
static void test_hash_is_the_same(void **state)
{
	static const char *const hosts[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"};
	unsigned map[3][KEYS];

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		struct fixture f;

		set_up(&f);
		f.c.algorithm = BALANCER_CONSISTENT_HASHING;
		for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
			add_target(&f, hosts[round ? ARRAY_LEN(hosts) - 1 - i : i], 80, 100);
		}
		apply(&f);
		map_keys(&f, round, map[round]);
		map_keys(&f, 1 - round, map[2]);
		assert_memory_equal(map[round], map[2], sizeof(map[2]));
		tear_down(&f);
	}
	assert_memory_equal(map[0], map[1], sizeof(map[0]));
}

/* Nodes of two versions have to agree while one takes over from the other. */
static void test_hash_is_for_good(void **state)
{
	unsigned map[KEYS], weights[60];
	struct fixture f;

	(void)state;
	set_up(&f);
	f.c.algorithm = BALANCER_CONSISTENT_HASHING;
	for (unsigned i = 0; i < ARRAY_LEN(weights); i++) {
		weights[i] = 1 + i * 7 % 100;
	}
	add_weights(&f, weights, ARRAY_LEN(weights));
	apply(&f);
	map_keys(&f, 0, map);
	assert_int_equal(hash_xx32(str_of((const char *)map, sizeof(map)), 0), 0x0582a0ce);
	tear_down(&f);
}

/* Only the keys of the one that goes move, and they come back with it. */
static void test_hash_is_sticky(void **state)
{
	static const unsigned weights[] = {100, 100, 100, 100, 100};
	unsigned before[KEYS], after[KEYS], moved = 0;
	struct fixture f;

	(void)state;
	set_up(&f);
	f.c.algorithm = BALANCER_CONSISTENT_HASHING;
	add_weights(&f, weights, ARRAY_LEN(weights));
	apply(&f);
	map_keys(&f, 0, before);
	/* Down. */
	mark(&f, 4, BALANCER_UNHEALTHY);
	map_keys(&f, 0, after);
	for (unsigned i = 0; i < KEYS; i++) {
		assert_true(before[i] == 5 ? after[i] != 5 : after[i] == before[i]);
		moved += before[i] == 5;
	}
	assert_true(moved > 0);
	mark(&f, 4, BALANCER_HEALTHY);
	map_keys(&f, 0, after);
	assert_memory_equal(before, after, sizeof(after));
	/* Removed, and added again. */
	f.c.n_targets = 4;
	apply(&f);
	map_keys(&f, 0, after);
	for (unsigned i = 0; i < KEYS; i++) {
		assert_true(before[i] == 5 ? after[i] != 5 : after[i] == before[i]);
	}
	f.c.n_targets = 5;
	apply(&f);
	map_keys(&f, 0, after);
	assert_memory_equal(before, after, sizeof(after));
	tear_down(&f);
}

/* ---- least connections, latency ---- */

static void test_least_connections(void **state)
{
	static const unsigned weights[] = {100, 300};
	struct balancer_try tries[40] = {0};
	unsigned counts[3] = {0};
	struct balancer_peer p;
	struct fixture f;

	(void)state;
	set_up(&f);
	f.c.algorithm = BALANCER_LEAST_CONNECTIONS;
	add_weights(&f, weights, ARRAY_LEN(weights));
	apply(&f);
	for (unsigned i = 0; i < 40; i++) {
		assert_ok(pick_of(&f, f.b, i % LOOPS, NULL, &tries[i], &p));
		counts[last_of(&p)]++;
	}
	assert_int_equal(counts[1], 10);
	assert_int_equal(counts[2], 30);
	assert_int_equal(status_of(&f).targets[1].addresses[0].active, 30);
	/* The light one is idle now: all go there until it has its share again. */
	for (unsigned i = 0; i < 40; i++) {
		struct balancer_try t = {0};

		done_with(&f, i % LOOPS, &tries[i], BALANCER_STATUS, 200);
		if (i == 39) {
			assert_ok(pick_of(&f, f.b, 0, NULL, &t, &p));
			done_with(&f, 0, &t, BALANCER_ABORTED, 0);
		}
	}
	assert_int_equal(status_of(&f).targets[0].addresses[0].active, 0);
	assert_int_equal(status_of(&f).targets[1].addresses[0].active, 0);
	tear_down(&f);
}

/* Equals take turns, although none has a connection. */
static void test_least_connections_ties(void **state)
{
	static const unsigned weights[] = {100, 100, 100};
	unsigned counts[4] = {0};
	struct fixture f;

	(void)state;
	set_up(&f);
	f.c.algorithm = BALANCER_LEAST_CONNECTIONS;
	add_weights(&f, weights, ARRAY_LEN(weights));
	apply(&f);
	count(&f, 0, 300, counts);
	assert_int_equal(counts[1], 100);
	assert_int_equal(counts[2], 100);
	tear_down(&f);
}

static void test_latency(void **state)
{
	static const unsigned weights[] = {100, 100, 100};
	static const uint64_t us[] = {0, 90000, 5000, 90000};
	unsigned counts[4] = {0};
	struct fixture f;

	(void)state;
	set_up(&f);
	f.c.algorithm = BALANCER_LATENCY;
	add_weights(&f, weights, ARRAY_LEN(weights));
	apply(&f);
	for (unsigned i = 0; i < 600; i++) {
		struct balancer_try t = {0};
		struct turn s = {.b = f.b, .t = &t, .outcome = BALANCER_STATUS, .status = 200};
		struct balancer_peer p;

		assert_ok(pick_of(&f, f.b, 0, NULL, &t, &p));
		s.latency_us = us[last_of(&p)];
		loop_call(f.loops.v[0], run_done, &s);
		counts[last_of(&p)]++;
	}
	/* In two of three draws it is one of the two. */
	assert_in_range(counts[2], 330, 470);
	assert_in_range(status_of(&f).targets[1].addresses[0].latency_us, 4000, 5001);
	tear_down(&f);
}

/* ---- threshold and slow start ---- */

static void test_threshold(void **state)
{
	static const unsigned weights[] = {10, 20, 30, 40};
	struct fixture f;

	(void)state;
	set_up(&f);
	f.c.health.threshold = 50;
	add_weights(&f, weights, ARRAY_LEN(weights));
	apply(&f);
	mark(&f, 0, BALANCER_UNHEALTHY);
	mark(&f, 2, BALANCER_UNHEALTHY);
	assert_true(status_of(&f).usable);
	assert_int_not_equal(serve(&f, 0, NULL, 200), 0);
	mark(&f, 1, BALANCER_UNHEALTHY); /* 40 % */
	assert_false(status_of(&f).usable);
	assert_int_equal(status_of(&f).weight_available, 40);
	assert_int_equal(serve(&f, 0, NULL, 200), 0);
	mark(&f, 0, BALANCER_HEALTHY); /* 50 %: not more than */
	assert_int_equal(serve(&f, 0, NULL, 200), 0);
	mark(&f, 1, BALANCER_HEALTHY);
	assert_int_not_equal(serve(&f, 0, NULL, 200), 0);
	/* The rule itself may change. */
	mark(&f, 3, BALANCER_UNHEALTHY);
	assert_int_equal(serve(&f, 0, NULL, 200), 0);
	f.c.health.threshold = 0;
	apply(&f);
	assert_int_not_equal(serve(&f, 0, NULL, 200), 0);
	tear_down(&f);
}

static void test_slow_start(void **state)
{
	static const unsigned weights[] = {100, 100};
	unsigned counts[4] = {0};
	struct fixture f;

	(void)state;
	set_up(&f);
	f.c.slow_start_ms = 3600 * 1000;
	add_weights(&f, weights, ARRAY_LEN(weights));
	apply(&f);
	/* All begin together: nobody is slow. */
	count(&f, 0, 100, counts);
	assert_int_equal(counts[1], 50);
	mark(&f, 1, BALANCER_UNHEALTHY);
	mark(&f, 1, BALANCER_HEALTHY);
	count(&f, 0, 100, counts);
	assert_in_range(counts[1], 149, 150);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_smooth),
		cmocka_unit_test(test_down_and_up),
		cmocka_unit_test(test_no_targets),
		cmocka_unit_test(test_retries),
		cmocka_unit_test(test_hash_share),
		cmocka_unit_test(test_hash_is_the_same),
		cmocka_unit_test(test_hash_is_for_good),
		cmocka_unit_test(test_hash_is_sticky),
		cmocka_unit_test(test_least_connections),
		cmocka_unit_test(test_least_connections_ties),
		cmocka_unit_test(test_latency),
		cmocka_unit_test(test_threshold),
		cmocka_unit_test(test_slow_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
