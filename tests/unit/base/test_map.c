/*
 * test_map - see base/map.h
 */
#include "base/map.h"
#include "death.h"
#include "unit.h"

#include <stdio.h>

enum { N = 5000 };

static struct item {
	char name[16];
	bool is_in;
} items[N];

static struct str key_of(const struct item *it)
{
	return str_c(it->name);
}

static int name_items(void **state)
{
	(void)state;
	for (int i = 0; i < N; i++) {
		(void)snprintf(items[i].name, sizeof(items[i].name), "item-%d", i);
	}
	return 0;
}

static void zero_is_empty(void **state)
{
	struct map_entry e;
	struct map m = {0};
	size_t pos = 0;

	(void)state;
	assert_null(map_get(&m, STR("x")));
	assert_null(map_remove(&m, STR("x")));
	assert_false(map_next(&m, &pos, &e));
	map_free(&m);
}

static void set_get_remove(void **state)
{
	struct map m = {0};
	int a, b;

	(void)state;
	assert_null(map_set(&m, STR("a"), &a));
	assert_ptr_equal(map_set(&m, STR("a"), &b), &a);
	assert_int_equal(m.n, 1);
	assert_ptr_equal(map_get(&m, STR("a")), &b);
	assert_null(map_get(&m, STR("A")));
	assert_ptr_equal(map_remove(&m, STR("a")), &b);
	assert_null(map_get(&m, STR("a")));
	assert_int_equal(m.n, 0);
	map_free(&m);
}

static void the_empty_key_is_a_key(void **state)
{
	struct map m = {0};
	int a;

	(void)state;
	assert_null(map_set(&m, STR_NULL, &a));
	assert_ptr_equal(map_get(&m, STR("")), &a);
	assert_ptr_equal(map_remove(&m, STR_NULL), &a);
	map_free(&m);
}

static void replacing_takes_the_new_key(void **state)
{
	char first[] = "k", second[] = "k";
	struct map_entry e;
	struct map m = {0};
	size_t pos = 0;

	(void)state;
	(void)map_set(&m, str_c(first), first);
	(void)map_set(&m, str_c(second), second);
	memset(first, 'x', 1); /* as if freed */
	assert_ptr_equal(map_get(&m, STR("k")), second);
	assert_true(map_next(&m, &pos, &e));
	assert_ptr_equal(e.key.p, second);
	map_free(&m);
}

/* Random churn against a flag in each item. */
static void churn(void **state)
{
	struct map m = {0};
	uint32_t x = 1;
	size_t n = 0;

	(void)state;
	for (int turn = 0; turn < 100000; turn++) {
		struct item *it;

		x = x * 1664525u + 1013904223u;
		it = &items[(x >> 8) % (turn < 50000 ? N : 64)];
		if (it->is_in) {
			assert_ptr_equal(map_remove(&m, key_of(it)), it);
			n--;
		} else {
			assert_null(map_set(&m, key_of(it), it));
			n++;
		}
		it->is_in = !it->is_in;
		assert_int_equal(m.n, n);
		assert_true(m.used >= m.n && m.used < m.cap);
	}
	for (int i = 0; i < N; i++) {
		assert_ptr_equal(map_get(&m, key_of(&items[i])), items[i].is_in ? &items[i] : NULL);
		items[i].is_in = false;
	}
	map_free(&m);
}

/* One key in and out: tombstones must neither fill the table nor make it grow. */
static void tombstones_do_not_pile_up(void **state)
{
	struct map m = {0};

	(void)state;
	for (int i = 0; i < N; i++) {
		assert_null(map_set(&m, key_of(&items[i]), &items[i]));
		if (i >= 8) {
			assert_non_null(map_remove(&m, key_of(&items[i - 8])));
		}
	}
	assert_int_equal(m.n, 8);
	assert_true(m.cap <= 64);
	map_free(&m);
}

static void removal_while_iterating(void **state)
{
	struct map_entry e;
	struct map m = {0};
	size_t pos = 0, seen = 0;

	(void)state;
	for (int i = 0; i < N; i++) {
		(void)map_set(&m, key_of(&items[i]), &items[i]);
	}
	while (map_next(&m, &pos, &e)) {
		struct item *it = e.value;

		assert_str(e.key, key_of(it));
		assert_false(it->is_in);
		it->is_in = true;
		seen++;
		if (seen % 2) {
			assert_ptr_equal(map_remove(&m, e.key), it);
		}
	}
	assert_int_equal(seen, N);
	assert_int_equal(m.n, N / 2);
	for (int i = 0; i < N; i++) {
		items[i].is_in = false;
	}
	map_free(&m);
}

static void hash_is_stable_and_spread(void **state)
{
	int buckets[16] = {0};

	(void)state;
	assert_true(map_hash(STR("tenant")) == map_hash(STR("tenant")));
	for (int i = 0; i < N; i++) {
		buckets[map_hash(key_of(&items[i])) % 16]++;
	}
	for (int i = 0; i < 16; i++) {
		assert_in_range(buckets[i], N / 16 / 2, N / 16 * 2);
	}
	/* Each length has its own hash, also around the words of eight bytes. */
	for (size_t n = 1; n < 40; n++) {
		static const char zeros[40];

		assert_true(map_hash(str_of(zeros, n)) != map_hash(str_of(zeros, n - 1)));
	}
}

static void null_is_no_value(void **state)
{
	struct map m = {0};

	(void)state;
	assert_dies((void)map_set(&m, STR("a"), NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zero_is_empty),
		cmocka_unit_test(set_get_remove),
		cmocka_unit_test(the_empty_key_is_a_key),
		cmocka_unit_test(replacing_takes_the_new_key),
		cmocka_unit_test(churn),
		cmocka_unit_test(tombstones_do_not_pile_up),
		cmocka_unit_test(removal_while_iterating),
		cmocka_unit_test(hash_is_stable_and_spread),
		cmocka_unit_test(null_is_no_value),
	};

	return cmocka_run_group_tests(tests, name_items, NULL);
}
