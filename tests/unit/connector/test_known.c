#include "unit.h"

#include "connector/known.h"

static void running_then_done(void **state)
{
	(void)state;
	struct guid a = guid_new(), b = guid_new();
	struct known k;
	int runner;

	known_init(&k, 4);
	assert_null(known_runner(&k, &a));
	known_begin(&k, &a, &runner);
	known_begin(&k, &b, &k);
	assert_ptr_equal(known_runner(&k, &a), &runner);
	assert_false(known_is_done(&k, &a));
	known_finish(&k, &a);
	known_forget(&k, &b);
	assert_null(known_runner(&k, &a));
	assert_null(known_runner(&k, &b));
	assert_true(known_is_done(&k, &a));
	assert_false(known_is_done(&k, &b));
	known_fini(&k);
}

static void the_last_are_remembered(void **state)
{
	(void)state;
	struct guid ids[10];
	struct known k;

	known_init(&k, 4);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		ids[i] = guid_new();
		struct guid key = ids[i];

		known_begin(&k, &key, &k);
		known_finish(&k, &key);
		known_finish(&k, &key); /* takes one place */
	}
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		assert_int_equal(known_is_done(&k, &ids[i]), i >= ARRAY_LEN(ids) - 4);
	}
	assert_int_equal(k.done.n, 4);
	known_fini(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(running_then_done),
		cmocka_unit_test(the_last_are_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
