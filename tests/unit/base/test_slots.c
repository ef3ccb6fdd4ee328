/*
 * test_slots - see base/slots.h
 */
#include "base/slots.h"
#include "death.h"
#include "unit.h"

static void nobody_is_nowhere(void **state)
{
	struct slots s = {0};
	int a;

	(void)state;
	assert_null(slots_get(&s, (struct slot_id){0, 0}));
	(void)slots_put(&s, &a);
	assert_null(slots_get(&s, (struct slot_id){0, 0}));
	assert_null(slots_get(&s, (struct slot_id){UINT32_MAX, 1}));
	assert_null(slots_get(&s, (struct slot_id){1, 1})); /* free */
	slots_free(&s);
}

static void an_old_id_finds_nothing(void **state)
{
	struct slots s = {0};
	struct slot_id first, second;
	int a, b;

	(void)state;
	first = slots_put(&s, &a);
	assert_ptr_equal(slots_get(&s, first), &a);
	slots_remove(&s, first);
	assert_null(slots_get(&s, first));
	second = slots_put(&s, &b);
	assert_int_equal(second.slot, first.slot);
	assert_int_not_equal(second.gen, first.gen);
	assert_null(slots_get(&s, first));
	slots_remove(&s, first); /* does not hit the new tenant */
	assert_ptr_equal(slots_get(&s, second), &b);
	assert_int_equal(s.n, 1);
	slots_free(&s);
}

static void generation_zero_is_skipped(void **state)
{
	struct slots s = {0};
	struct slot_id id;
	int a;

	(void)state;
	id = slots_put(&s, &a);
	s.tab[id.slot].gen = UINT32_MAX;
	slots_remove(&s, (struct slot_id){id.slot, UINT32_MAX});
	assert_int_equal(slots_put(&s, &a).gen, 1);
	slots_free(&s);
}

static void many(void **state)
{
	static int obj[1000];
	struct slot_id id[ARRAY_LEN(obj)];
	struct slots s = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(obj); i++) {
		id[i] = slots_put(&s, &obj[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(obj); i += 3) {
		slots_remove(&s, id[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(obj); i++) {
		assert_ptr_equal(slots_get(&s, id[i]), i % 3 ? &obj[i] : NULL);
	}
	for (size_t i = 0; i < ARRAY_LEN(obj); i += 3) {
		id[i] = slots_put(&s, &obj[i]);
	}
	assert_int_equal(s.n, ARRAY_LEN(obj));
	assert_int_equal(s.cap, 1024); /* places were used again */
	for (size_t i = 0; i < ARRAY_LEN(obj); i++) {
		assert_ptr_equal(slots_get(&s, id[i]), &obj[i]);
	}
	slots_free(&s);
}

static void null_is_no_object(void **state)
{
	struct slots s = {0};

	(void)state;
	assert_dies((void)slots_put(&s, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_is_nowhere),
		cmocka_unit_test(an_old_id_finds_nothing),
		cmocka_unit_test(generation_zero_is_skipped),
		cmocka_unit_test(many),
		cmocka_unit_test(null_is_no_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
