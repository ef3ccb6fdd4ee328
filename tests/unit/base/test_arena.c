/*
 * test_arena - see base/arena.h
 */
#include "base/arena.h"
#include "death.h"
#include "unit.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define HAS_ASAN 1
#else
#define HAS_ASAN 0
#define __asan_address_is_poisoned(p) ((void)(p), 0)
#endif

static void objects_are_aligned_and_apart(void **state)
{
	struct arena a;
	char *p[500];

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(p); i++) {
		p[i] = arena_alloc(&a, i);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % 16, 0);
		memset(p[i], (int)i, i);
	}
	for (size_t i = 0; i < ARRAY_LEN(p); i++) {
		for (size_t k = 0; k < i; k++) {
			assert_int_equal((uint8_t)p[i][k], i & 255);
		}
	}
	arena_fini(&a);
}

static void big_objects_leave_the_chunk_in_use(void **state)
{
	struct arena a;
	char *before, *big, *after;

	(void)state;
	arena_init(&a, 0);
	before = arena_alloc(&a, 16);
	big = arena_zalloc(&a, 1 << 20);
	after = arena_alloc(&a, 16);
	assert_int_equal(big[(1 << 20) - 1], 0);
	if (!getenv("POSTHOUSE_ARENA")) {
		assert_in_range(after - before, 16, 64);
	}
	arena_fini(&a);
}

static void a_big_object_may_come_first(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	memset(arena_alloc(&a, 100000), 1, 100000);
	memset(arena_alloc(&a, 10), 1, 10);
	memset(arena_alloc(&a, 100000), 1, 100000);
	arena_fini(&a);
}

struct trace {
	int order[8];
	int n;
};

static struct trace trace;

static void note(void *obj)
{
	trace.order[trace.n++] = *(int *)obj;
}

static void clean_ups_run_last_first(void **state)
{
	static int ids[] = {1, 2, 3};
	struct arena a;

	(void)state;
	trace.n = 0;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		arena_defer(&a, note, &ids[i]);
	}
	arena_fini(&a);
	assert_int_equal(trace.n, 3);
	assert_int_equal(trace.order[0], 3);
	assert_int_equal(trace.order[1], 2);
	assert_int_equal(trace.order[2], 1);
	arena_fini(&a); /* nothing is left to run */
	assert_int_equal(trace.n, 3);
}

static void defer_once_more(void *obj)
{
	static int id = 7;

	arena_defer(obj, note, &id);
}

static void a_clean_up_may_defer(void **state)
{
	struct arena a;

	(void)state;
	trace.n = 0;
	arena_init(&a, 0);
	arena_defer(&a, defer_once_more, &a);
	arena_fini(&a);
	assert_int_equal(trace.n, 1);
	assert_int_equal(trace.order[0], 7);
}

static void reset_makes_it_new(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 5000);
	for (int i = 0; i < 10; i++) {
		(void)arena_alloc(&a, 4000);
		assert_true(a.used_bytes >= 4000);
		arena_reset(&a);
		assert_int_equal(a.used_bytes, 0);
		assert_int_equal(a.limit_bytes, 5000);
		assert_null(a.chunks);
	}
	arena_fini(&a);
}

static void passing_the_limit_aborts(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 5000);
	(void)arena_alloc(&a, 4000);
	assert_dies((void)arena_alloc(&a, 1001));
	assert_dies((void)arena_alloc(&a, PTRDIFF_MAX));
	arena_fini(&a);
}

static void unused_memory_is_poisoned(void **state)
{
	struct arena a;
	char *p, *q;

	(void)state;
	arena_init(&a, 0);
	p = arena_alloc(&a, 10);
	q = arena_alloc(&a, 10);
	if (HAS_ASAN) {
		assert_false(__asan_address_is_poisoned(p + 9));
		assert_true(__asan_address_is_poisoned(p + 10));
		assert_true(__asan_address_is_poisoned(q + 10));
	}
	arena_fini(&a);
}

static void count_up(void *obj)
{
	++*(int *)obj;
}

static void rewind_keeps_one_chunk(void **state)
{
	struct arena a;
	int cleaned = 0;
	void *first;

	(void)state;
	arena_init(&a, 0);
	arena_rewind(&a, 4096); /* nothing to keep */
	first = arena_alloc(&a, 100);
	arena_defer(&a, count_up, &cleaned);
	arena_rewind(&a, 4096);
	assert_int_equal(cleaned, 1);
	assert_int_equal(a.used_bytes, 0);
	if (a.chunks) { /* not with one heap block an object */
		assert_ptr_equal(arena_alloc(&a, 100), first);
	}
	memset(arena_alloc(&a, 5000), 1, 5000);
	arena_rewind(&a, 1024); /* not all that there was */
	assert_true(!a.chunks || a.end - (char *)a.chunks == 1024);
	arena_fini(&a);
}

/* What took several chunks takes one the next time, so that the heap is asked no more. */
static void rewind_makes_one_chunk_of_several(void **state)
{
	struct arena a;
	char *first = NULL;

	(void)state;
	arena_init(&a, 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 20; i++) {
			char *p = arena_alloc(&a, 300);

			if (getenv("POSTHOUSE_ARENA")) {
				continue; /* one heap block an object */
			}
			assert_true(i > 0 || round < 2 || p == first);
			first = i > 0 ? first : p;
			assert_true(round == 0 || (p >= first && p < first + 8192));
		}
		arena_rewind(&a, 8192);
	}
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_aligned_and_apart),
		cmocka_unit_test(big_objects_leave_the_chunk_in_use),
		cmocka_unit_test(a_big_object_may_come_first),
		cmocka_unit_test(clean_ups_run_last_first),
		cmocka_unit_test(a_clean_up_may_defer),
		cmocka_unit_test(reset_makes_it_new),
		cmocka_unit_test(rewind_keeps_one_chunk),
		cmocka_unit_test(rewind_makes_one_chunk_of_several),
		cmocka_unit_test(passing_the_limit_aborts),
		cmocka_unit_test(unused_memory_is_poisoned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
