/*
 * test_list - see base/list.h
 */
#include "base/list.h"
#include "unit.h"

struct item {
	int id;
	struct list_node node;
};

static int digits_of(const struct list *l)
{
	int v = 0;

	LIST_EACH (l, it) {
		v = v * 10 + container_of(it, struct item, node)->id;
	}
	return v;
}

static void order(void **state)
{
	struct item a = {.id = 1}, b = {.id = 2}, c = {.id = 3};
	struct list l;

	(void)state;
	list_init(&l);
	assert_true(list_is_empty(&l));
	assert_null(list_first(&l));
	assert_null(list_pop(&l));
	list_push(&l, &b.node);
	list_push(&l, &c.node);
	list_push_front(&l, &a.node);
	assert_int_equal(digits_of(&l), 123);
	list_remove(&b.node);
	list_remove(&b.node); /* twice does nothing */
	assert_false(list_is_linked(&b.node));
	assert_int_equal(digits_of(&l), 13);
	assert_ptr_equal(list_pop(&l), &a.node);
	assert_ptr_equal(list_pop(&l), &c.node);
	assert_true(list_is_empty(&l));
}

static void a_zero_node_is_in_no_list(void **state)
{
	struct item a = {0};

	(void)state;
	assert_false(list_is_linked(&a.node));
	list_remove(&a.node);
	assert_false(list_is_linked(&a.node));
}

static void splice(void **state)
{
	struct item v[5];
	struct list to, from;

	(void)state;
	list_init(&to);
	list_init(&from);
	list_splice(&to, &from);
	assert_true(list_is_empty(&to));
	for (int i = 0; i < 5; i++) {
		v[i].id = i + 1;
		list_push(i < 2 ? &to : &from, &v[i].node);
	}
	list_splice(&to, &from);
	assert_int_equal(digits_of(&to), 12345);
	assert_true(list_is_empty(&from));
}

static void the_body_may_remove(void **state)
{
	struct item v[5];
	struct list l;

	(void)state;
	list_init(&l);
	for (int i = 0; i < 5; i++) {
		v[i].id = i + 1;
		list_push(&l, &v[i].node);
	}
	LIST_EACH (&l, it) {
		if (container_of(it, struct item, node)->id % 2) {
			list_remove(it);
		}
	}
	assert_int_equal(digits_of(&l), 24);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order),
		cmocka_unit_test(a_zero_node_is_in_no_list),
		cmocka_unit_test(splice),
		cmocka_unit_test(the_body_may_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
