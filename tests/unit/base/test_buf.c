/*
 * test_buf - see base/buf.h
 */
#include "base/buf.h"
#include "death.h"
#include "unit.h"

static void zero_is_empty(void **state)
{
	struct buf b = {0};

	(void)state;
	assert_int_equal(buf_str(&b).n, 0);
	buf_append(&b, NULL, 0);
	buf_put(&b, STR_NULL);
	assert_null(b.p);
	buf_consume(&b, 0);
	buf_clear(&b);
	buf_free(&b);
	assert_non_null(buf_reserve(&b, 0));
	buf_free(&b);
	assert_null(b.p);
}

static void append_and_consume(void **state)
{
	struct buf b = {0};

	(void)state;
	buf_puts(&b, "hello ");
	buf_put(&b, STR("world"));
	buf_putc(&b, '!');
	assert_str(buf_str(&b), STR("hello world!"));
	buf_consume(&b, 6);
	assert_str(buf_str(&b), STR("world!"));
	buf_consume(&b, 6);
	assert_int_equal(b.n, 0);
	assert_int_equal(b.off, 0);
	buf_free(&b);
}

/* Against a plain counter: byte i of the stream is i * 7. */
static void a_stream_stays_in_order(void **state)
{
	struct buf b = {0};
	size_t in = 0, out = 0;

	(void)state;
	for (size_t turn = 0; turn < 3000; turn++) {
		size_t put = turn * 31 % 97, take = turn * 17 % 89;
		char *w = buf_reserve(&b, put);

		for (size_t i = 0; i < put; i++) {
			w[i] = (char)(in++ * 7);
		}
		buf_commit(&b, put);
		for (take = MIN(take, b.n); take > 0; take--) {
			assert_int_equal(*buf_head(&b), (char)(out++ * 7));
			buf_consume(&b, 1);
		}
		assert_int_equal(b.n, in - out);
	}
	buf_free(&b);
}

static void room_in_front_is_used_again(void **state)
{
	struct buf b = {0};
	char block[100] = {0};
	size_t cap;

	(void)state;
	buf_append(&b, block, sizeof(block));
	buf_append(&b, block, sizeof(block));
	cap = b.cap;
	for (int i = 0; i < 1000; i++) {
		buf_consume(&b, sizeof(block));
		buf_append(&b, block, sizeof(block));
	}
	assert_true(b.cap <= 2 * cap);
	buf_free(&b);
}

static void printf_grows(void **state)
{
	struct buf b = {0};
	char want[1200];

	(void)state;
	buf_printf(&b, "%d-%s", 42, "x");
	assert_str(buf_str(&b), STR("42-x"));
	for (size_t n = 0; n < 1000; n++) {
		buf_clear(&b);
		buf_puts(&b, ">");
		memset(want, 'a', n);
		want[n] = '\0';
		buf_printf(&b, "%s", want);
		assert_int_equal(b.n, n + 1);
		assert_memory_equal(b.p + 1, want, n);
	}
	buf_free(&b);
}

static void move_leaves_nothing(void **state)
{
	struct buf a = {0}, b = {0};

	(void)state;
	buf_puts(&a, "abc");
	buf_consume(&a, 1);
	buf_move(&b, &a);
	assert_null(a.p);
	assert_int_equal(a.n, 0);
	assert_str(buf_str(&b), STR("bc"));
	buf_puts(&a, "x");
	assert_dies(buf_move(&b, &a));
	buf_free(&a);
	buf_free(&b);
}

static void misuse_aborts(void **state)
{
	struct buf b = {0};

	(void)state;
	buf_puts(&b, "abc");
	assert_dies(buf_consume(&b, 4));
	assert_dies(buf_commit(&b, b.cap));
	assert_dies((void)buf_reserve(&b, SIZE_MAX));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zero_is_empty),
		cmocka_unit_test(append_and_consume),
		cmocka_unit_test(a_stream_stays_in_order),
		cmocka_unit_test(room_in_front_is_used_again),
		cmocka_unit_test(printf_grows),
		cmocka_unit_test(move_leaves_nothing),
		cmocka_unit_test(misuse_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
