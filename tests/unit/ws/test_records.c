#include "unit.h"

#include "ws/records.h"

static const char stream[] = "{}\x1e{\"type\":6}\x1e\x1e{\"a\":\"b\"}\x1e";

/* Feeds `n` bytes in pieces cut at `cut`; the records joined by '|'. */
static void collect(struct records *r, struct str in, struct buf *out)
{
	struct str record;
	enum err e;

	records_feed(r, in);
	while ((e = records_next(r, &record)) == ERR_OK) {
		buf_put(out, record);
		buf_putc(out, '|');
	}
	assert_err(e, ERR_AGAIN);
}

static void every_split_gives_the_same(void **state)
{
	(void)state;
	struct str all = STR(stream);

	for (size_t cut = 0; cut <= all.n; cut++) {
		struct records r;
		struct buf out = {0};

		records_init(&r, 100);
		collect(&r, str_slice(all, 0, cut), &out);
		collect(&r, str_skip(all, cut), &out);
		assert_str(buf_str(&out), STR("{}|{\"type\":6}||{\"a\":\"b\"}|"));
		buf_free(&out);
		records_fini(&r);
	}
}

static void byte_by_byte(void **state)
{
	(void)state;
	struct str all = STR(stream);
	struct records r;
	struct buf out = {0};

	records_init(&r, 100);
	for (size_t i = 0; i < all.n; i++) {
		collect(&r, str_slice(all, i, 1), &out);
	}
	assert_str(buf_str(&out), STR("{}|{\"type\":6}||{\"a\":\"b\"}|"));
	buf_free(&out);
	records_fini(&r);
}

static void long_records_are_refused_however_they_come(void **state)
{
	(void)state;
	struct str record;
	struct records r;

	records_init(&r, 4);
	records_feed(&r, STR("1234\x1e"));
	assert_ok(records_next(&r, &record));
	assert_str(record, STR("1234"));
	assert_err(records_next(&r, &record), ERR_AGAIN);
	records_feed(&r, STR("12345\x1e"));
	assert_err(records_next(&r, &record), ERR_LIMIT);
	records_reset(&r);
	records_feed(&r, STR("12345"));
	assert_err(records_next(&r, &record), ERR_LIMIT);
	records_reset(&r);
	records_feed(&r, STR("123"));
	assert_err(records_next(&r, &record), ERR_AGAIN);
	records_feed(&r, STR("45\x1e"));
	assert_err(records_next(&r, &record), ERR_LIMIT);
	records_fini(&r);
}

static void as_many_fit_as_are_whole(void **state)
{
	(void)state;
	struct str s = STR("xy\x1exyz\x1ex\x1e");

	assert_int_equal(records_fit(STR_NULL, 5), 0);
	assert_int_equal(records_fit(s, 100), 9);
	assert_int_equal(records_fit(s, 9), 9);
	assert_int_equal(records_fit(s, 8), 7);
	assert_int_equal(records_fit(s, 7), 7);
	assert_int_equal(records_fit(s, 6), 3);
	assert_int_equal(records_fit(s, 3), 3);
	/* The first one goes whatever its length. */
	assert_int_equal(records_fit(s, 2), 3);
	assert_int_equal(records_fit(s, 0), 3);
	assert_int_equal(records_fit(STR("123\x1e"), 1), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_split_gives_the_same),
		cmocka_unit_test(byte_by_byte),
		cmocka_unit_test(long_records_are_refused_however_they_come),
		cmocka_unit_test(as_many_fit_as_are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
