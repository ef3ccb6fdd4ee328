/*
 * test_mem - see base/mem.h
 */
#include "base/mem.h"
#include "unit.h"

static void nothing_is_something(void **state)
{
	void *a = mem_alloc(0), *b = mem_zalloc(0);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	a = mem_resize(a, 0);
	assert_non_null(a);
	mem_free(a);
	mem_free(b);
	mem_free(NULL);
}

static void zalloc_is_zero(void **state)
{
	int *v = MEM_NEW_ARRAY(int, 1000);

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(v[i], 0);
	}
	mem_free(v);
}

static void resize_keeps_content(void **state)
{
	char *p = mem_alloc(4);

	(void)state;
	memcpy(p, "abcd", 4);
	p = mem_resize(p, 100000);
	assert_memory_equal(p, "abcd", 4);
	mem_free(p);
}

static void wipe_zeroes_just_that(void **state)
{
	char secret[] = "xsecretx";

	(void)state;
	mem_wipe(secret + 1, 6);
	assert_memory_equal(secret, "x\0\0\0\0\0\0x", 9);
	mem_wipe(NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_something),
		cmocka_unit_test(zalloc_is_zero),
		cmocka_unit_test(resize_keeps_content),
		cmocka_unit_test(wipe_zeroes_just_that),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
