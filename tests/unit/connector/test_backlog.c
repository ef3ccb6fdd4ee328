#include "unit.h"

#include "connector/backlog.h"

static void put(struct backlog *b, uint64_t seq, const char *text)
{
	const struct backlog_entry e = {seq, seq * 10, str_c(text)};

	backlog_put(b, &e);
}

static void assert_first(const struct backlog *b, uint64_t seq, const char *text)
{
	struct backlog_entry e;

	assert_true(backlog_first(b, &e));
	assert_int_equal(e.seq, seq);
	assert_int_equal(e.expires_ms, seq * 10);
	assert_str(e.text, str_c(text));
}

static void first_in_first_out(void **state)
{
	(void)state;
	struct backlog b;
	struct backlog_entry e;

	backlog_init(&b, 10, 1000);
	assert_false(backlog_first(&b, &e));
	put(&b, 1, "one");
	put(&b, 2, "");
	put(&b, 3, "three");
	assert_first(&b, 1, "one");
	backlog_drop_first(&b);
	assert_first(&b, 2, "");
	backlog_drop_first(&b);
	assert_first(&b, 3, "three");
	backlog_drop_first(&b);
	backlog_drop_first(&b);
	assert_int_equal(b.n, 0);
	backlog_fini(&b);
}

static void confirmation_covers_what_came_before(void **state)
{
	(void)state;
	struct backlog b;

	backlog_init(&b, 10, 1000);
	for (uint64_t i = 1; i <= 5; i++) {
		put(&b, i, "x");
	}
	backlog_confirm(&b, 3);
	assert_int_equal(b.n, 2);
	assert_first(&b, 4, "x");
	backlog_confirm(&b, 1);
	assert_int_equal(b.n, 2);
	backlog_confirm(&b, UINT64_MAX);
	assert_int_equal(b.n, 0);
	backlog_fini(&b);
}

static void the_oldest_goes_when_it_is_full(void **state)
{
	(void)state;
	struct backlog b;

	backlog_init(&b, 3, 1000);
	for (uint64_t i = 1; i <= 5; i++) {
		put(&b, i, "x");
	}
	assert_int_equal(b.n, 3);
	assert_int_equal(b.forgotten, 2);
	assert_first(&b, 3, "x");
	backlog_fini(&b);

	backlog_init(&b, 100, 100);
	put(&b, 1, "0123456789012345678901234567890123456789");
	put(&b, 2, "0123456789012345678901234567890123456789");
	assert_int_equal(b.n, 1);
	assert_first(&b, 2, "0123456789012345678901234567890123456789");
	backlog_fini(&b);
}

static void moving_keeps_order(void **state)
{
	(void)state;
	struct backlog a, b;

	backlog_init(&a, 10, 1000);
	backlog_init(&b, 10, 1000);
	put(&a, 1, "a");
	put(&a, 2, "b");
	put(&b, 9, "first");
	backlog_move(&a, &b);
	assert_int_equal(a.n, 0);
	assert_int_equal(b.n, 3);
	assert_first(&b, 9, "first");
	backlog_drop_first(&b);
	assert_first(&b, 1, "a");
	backlog_fini(&a);
	backlog_fini(&b);
}

static void what_a_record_was_made_of_expires(void **state)
{
	(void)state;
	struct backlog b;
	struct backlog_entry e;

	backlog_init(&b, 10, 1000);
	backlog_expire(&b, STR("one}"));
	put(&b, 1, "one");
	put(&b, 2, "two");
	put(&b, 3, "three");
	backlog_expire(&b, STR("two}"));
	backlog_expire(&b, STR("four}"));
	assert_first(&b, 1, "one");
	backlog_drop_first(&b);
	assert_true(backlog_first(&b, &e));
	assert_int_equal(e.expires_ms, 0);
	assert_str(e.text, STR("two"));
	backlog_drop_first(&b);
	assert_first(&b, 3, "three");
	backlog_fini(&b);
}

/* What a busy connection does all day: memory must not grow. */
static void a_long_life_needs_little_memory(void **state)
{
	(void)state;
	struct backlog b;

	backlog_init(&b, 1000, 1 << 20);
	for (uint64_t i = 1; i <= 100000; i++) {
		put(&b, i, "a response of some length");
		if (i > 50) {
			backlog_confirm(&b, i - 50);
		}
	}
	assert_int_equal(b.n, 50);
	assert_true(b.bytes.cap < 32 << 10);
	backlog_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_in_first_out),
		cmocka_unit_test(confirmation_covers_what_came_before),
		cmocka_unit_test(the_oldest_goes_when_it_is_full),
		cmocka_unit_test(moving_keeps_order),
		cmocka_unit_test(what_a_record_was_made_of_expires),
		cmocka_unit_test(a_long_life_needs_little_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
