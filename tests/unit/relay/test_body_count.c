#include "relay/body_count.h"
#include "unit.h"

#include <pthread.h>

static uint64_t bytes_of(const struct relay_loop *rl)
{
	return atomic_load(&rl->counters[COUNT_BODY_BYTES]);
}

static void the_last_holder_takes_them_off(void **state)
{
	struct relay_loop one = {0}, other = {0};
	struct body_count *c = NULL, *sent;

	(void)state;
	assert_null(body_count_ref(NULL));
	assert_int_equal(body_count_bytes(NULL), 0);
	body_count_unref(&c, &one);
	body_count_add(&c, &one, 3);
	body_count_add(&c, &one, 4);
	assert_int_equal(body_count_bytes(c), 7);
	sent = body_count_ref(c);
	body_count_unref(&c, &one);
	assert_null(c);
	assert_int_equal(bytes_of(&one), 7);
	body_count_unref(&sent, &other);
	assert_int_equal(bytes_of(&one) + bytes_of(&other), 0);
}

static void *come_and_go(void *arg)
{
	struct body_count *c = NULL;

	for (int i = 0; i < 2000000; i++) {
		body_count_add(&c, arg, 1);
		body_count_unref(&c, arg);
	}
	return NULL;
}

/* As streams do that go to another loop with a body in them. */
static void two_threads_name_one_loop(void **state)
{
	struct relay_loop rl = {0};
	pthread_t other;

	(void)state;
	assert_int_equal(pthread_create(&other, NULL, come_and_go, &rl), 0);
	(void)come_and_go(&rl);
	assert_int_equal(pthread_join(other, NULL), 0);
	assert_int_equal(bytes_of(&rl), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_holder_takes_them_off),
		cmocka_unit_test(two_threads_name_one_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
