/*
 * test_blocks - see base/blocks.h
 */
#include "base/blocks.h"

#include "base/mem.h"
#include "unit.h"

static void every_size_has_its_room(void **state)
{
	struct blocks b = {0};
	void *p[BLOCKS_MAX / BLOCKS_STEP + 2];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t n = 0; n < 2 * BLOCKS_STEP; n++) {
			for (size_t i = 0; i < ARRAY_LEN(p); i++) {
				size_t size = i * BLOCKS_STEP + n;

				p[i] = blocks_get(&b, size);
				memset(p[i], (int)i, size); /* the sanitizer looks on */
			}
			for (size_t i = 0; i < ARRAY_LEN(p); i++) {
				size_t size = i * BLOCKS_STEP + n;

				assert_true(size == 0 || *(unsigned char *)p[i] == i);
				blocks_put(&b, p[i]);
			}
		}
	}
	blocks_free(&b);
	blocks_put(&b, NULL);
}

/* As nghttp2 does, which has only one way to free. */
static void what_changed_its_size_may_come_back(void **state)
{
	struct blocks b = {0};

	(void)state;
	for (size_t from = 1; from < 2 * BLOCKS_MAX; from += 61) {
		for (size_t to = 1; to < 2 * BLOCKS_MAX; to += 61) {
			char *p = mem_resize(blocks_get(&b, from), to);

			p[to - 1] = 1;
			blocks_put(&b, p);
			p = blocks_get(&b, to);
			memset(p, 1, to);
			blocks_put(&b, p);
		}
	}
	blocks_free(&b);
}

#ifndef WITH_ASAN
static void the_next_gets_what_was_kept(void **state)
{
	struct blocks b = {0};
	void *p = blocks_get(&b, 300), *q;

	(void)state;
	blocks_put(&b, p);
	q = blocks_get(&b, 280);
	assert_ptr_equal(q, p);
	blocks_put(&b, q);
	assert_true(b.kept_bytes >= 300);
	blocks_free(&b);
	assert_int_equal(b.kept_bytes, 0);
}

static void a_burst_is_not_kept_for_ever(void **state)
{
	enum { N = 1000 };
	struct blocks b = {0};
	void *p[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		p[i] = blocks_get(&b, 2000);
	}
	for (int i = 0; i < N; i++) {
		blocks_put(&b, p[i]);
	}
	assert_true(b.kept_bytes < (size_t)300 << 10);
	blocks_free(&b);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_has_its_room),
		cmocka_unit_test(what_changed_its_size_may_come_back),
#ifndef WITH_ASAN
		cmocka_unit_test(the_next_gets_what_was_kept),
		cmocka_unit_test(a_burst_is_not_kept_for_ever),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
