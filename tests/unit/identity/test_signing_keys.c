/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "identity/signing_keys.h"

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)

/* Signs for 10 days, announced one day before, held two days after. */
static const struct signing_policy policy = {10 * DAY, DAY, 2 * DAY};

static struct signing_record record(const char *kid, const char *alg, int64_t created_ms)
{
	return (struct signing_record){
		.kid = str_c(kid), .alg = str_c(alg), .created_ms = created_ms};
}

static struct signing_plan plan_at(const struct signing_record *r, size_t n, int64_t now_ms)
{
	struct signing_plan p;

	signing_plan_for(JWT_RS256, r, n, now_ms, &policy, &p);
	return p;
}

static void test_no_key(void **state)
{
	struct signing_record other = record("e", "ES256", 0);
	struct signing_plan p = plan_at(&other, 1, DAY);

	(void)state;
	assert_int_equal(p.active, -1);
	assert_int_equal(p.newest, -1);
	assert_true(p.create);
}

/* The whole life of two keys. */
static void test_rotation(void **state)
{
	struct signing_record r[2] = {record("a", "RS256", 0), record("b", "RS256", 10 * DAY)};
	struct signing_plan p;

	(void)state;
	p = plan_at(r, 1, 0);
	assert_int_equal(p.active, 0);
	assert_false(p.create);
	p = plan_at(r, 1, 10 * DAY - 1);
	assert_false(p.create);
	p = plan_at(r, 1, 10 * DAY);
	assert_true(p.create);
	assert_int_equal(p.active, 0);
	assert_int_equal(p.newest, 0);
	assert_int_equal(p.retire_newest_at_ms, 13 * DAY);

	r[0].retire_at_ms = (struct opt_i64){true, p.retire_newest_at_ms};
	p = plan_at(r, 2, 10 * DAY + 1);
	assert_int_equal(p.active, 0);
	assert_int_equal(p.newest, 1);
	assert_false(p.create);
	p = plan_at(r, 2, 11 * DAY);
	assert_int_equal(p.active, 1);
	assert_false(signing_is_over(&r[0], 13 * DAY - 1));
	assert_true(signing_is_over(&r[0], 13 * DAY));
	p = plan_at(r, 2, 13 * DAY);
	assert_int_equal(p.active, 1);
}

static void test_order_does_not_matter(void **state)
{
	struct signing_record r[] = {record("c", "RS256", 5 * DAY), record("x", "ES256", 6 * DAY),
				     record("a", "RS256", 0), record("b", "RS256", 4 * DAY)};

	(void)state;
	assert_int_equal(plan_at(r, 4, 6 * DAY).active, 0);
	assert_int_equal(plan_at(r, 4, 5 * DAY + 1).active, 3);
}

/* Two instances made a first key at the same moment: both choose the same. */
static void test_twins(void **state)
{
	struct signing_record one[] = {record("a", "RS256", 0), record("b", "RS256", 0)};
	struct signing_record two[] = {record("b", "RS256", 0), record("a", "RS256", 0)};

	(void)state;
	for (int64_t now = 0; now <= 2 * DAY; now += DAY / 2) {
		assert_str(one[plan_at(one, 2, now).active].kid,
			   two[plan_at(two, 2, now).active].kid);
	}
}

/* After a long sleep the only key is long past its age: it signs until the successor may. */
static void test_after_a_long_sleep(void **state)
{
	struct signing_record r = record("a", "RS256", 0);
	struct signing_plan p = plan_at(&r, 1, 500 * DAY);

	(void)state;
	assert_int_equal(p.active, 0);
	assert_true(p.create);
	assert_int_equal(p.retire_newest_at_ms, 503 * DAY);
}

static void test_never_rotate(void **state)
{
	const struct signing_policy never = {0, DAY, DAY};
	struct signing_record r = record("a", "RS256", 0);
	struct signing_plan p;

	(void)state;
	signing_plan_for(JWT_RS256, &r, 1, 5000 * DAY, &never, &p);
	assert_false(p.create);
}

static void test_create_and_load(void **state)
{
	static const enum jwt_alg algs[] = {JWT_RS256, JWT_ES256};
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
		struct signing_record r;
		struct key *key;

		signing_create(&a, algs[i], 42, STR("pass"), &r);
		assert_int_equal(r.created_ms, 42);
		assert_int_equal(r.kid.n, 43);
		assert_false(r.retire_at_ms.has);
		assert_ok(signing_load(&r, STR("pass"), &key, NULL));
		assert_true(jwt_alg_fits(algs[i], key_kind(key)));
		key_free(&key);
	}
	arena_fini(&a);
}

static void test_refused_records(void **state)
{
	struct signing_record r, bad;
	struct arena a;
	struct key *key;

	(void)state;
	arena_init(&a, 0);
	signing_create(&a, JWT_ES256, 0, STR_NULL, &r);
	bad = r;
	bad.alg = STR("RS256");
	assert_err(signing_load(&bad, STR_NULL, &key, NULL), ERR_INVALID);
	bad.alg = STR("none");
	assert_err(signing_load(&bad, STR_NULL, &key, NULL), ERR_INVALID);
	bad = r;
	bad.kid = STR("other");
	assert_err(signing_load(&bad, STR_NULL, &key, NULL), ERR_INVALID);
	bad = r;
	bad.pem = STR("junk");
	assert_err(signing_load(&bad, STR_NULL, &key, NULL), ERR_INVALID);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_key),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_order_does_not_matter),
		cmocka_unit_test(test_twins),
		cmocka_unit_test(test_after_a_long_sleep),
		cmocka_unit_test(test_never_rotate),
		cmocka_unit_test(test_create_and_load),
		cmocka_unit_test(test_refused_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
