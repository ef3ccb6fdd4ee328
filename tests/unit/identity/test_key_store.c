/* SPDX-License-Identifier: MIT */
#include "identity/key_store.h"
#include "tenants.h"

#define DAY INT64_C(86400000)

static const enum jwt_alg algs[] = {JWT_RS256, JWT_ES256};
static const struct signing_policy policy = {10 * DAY, DAY, 2 * DAY};

static struct key_rotation rotation_at(int64_t now_ms)
{
	return (struct key_rotation){algs, ARRAY_LEN(algs), &policy, STR("pass"), now_ms};
}

static void rotate(struct test_db *t, int64_t now_ms, struct db_rows *rows)
{
	struct key_rotation r = rotation_at(now_ms);

	assert_ok(key_store_rotate(t->db, &r, rows));
}

static void test_statements(void **state)
{
	struct test_db *t = *state;

	create_tenants(t);
	assert_ok(db_check(t->db, &key_statements));
}

static void test_first_keys(void **state)
{
	struct test_db *t = *state;
	struct db_rows first, again;
	const struct signing_record *r;

	create_tenants(t);
	rotate(t, DAY, &first);
	assert_int_equal(first.n, 2);
	r = first.v;
	for (size_t i = 0; i < first.n; i++) {
		struct key *key;

		assert_int_equal(r[i].created_ms, DAY);
		assert_ok(signing_load(&r[i], STR("pass"), &key, NULL));
		assert_err(signing_load(&r[i], STR_NULL, NULL, NULL), ERR_INVALID);
		key_free(&key);
	}
	assert_false(str_eq(r[0].alg, r[1].alg));
	rotate(t, 2 * DAY, &again);
	assert_int_equal(again.n, 2);
	assert_str(((struct signing_record *)again.v)[0].kid, r[0].kid);
}

/* A key comes, overlaps with its successor, and goes. */
static void test_rotation(void **state)
{
	struct test_db *t = *state;
	const struct signing_record *r;
	struct signing_plan plan;
	struct db_rows rows;
	struct str old_kid;

	create_tenants(t);
	rotate(t, 0, &rows);
	rotate(t, 10 * DAY, &rows);
	assert_int_equal(rows.n, 4);
	r = rows.v;
	assert_true(r[0].retire_at_ms.has && r[1].retire_at_ms.has);
	assert_int_equal(r[0].retire_at_ms.v, 13 * DAY);
	assert_false(r[2].retire_at_ms.has || r[3].retire_at_ms.has);
	signing_plan_for(JWT_RS256, r, rows.n, 10 * DAY, &policy, &plan);
	old_kid = r[plan.active].kid;
	assert_true(r[plan.active].retire_at_ms.has);

	rotate(t, 11 * DAY, &rows);
	assert_int_equal(rows.n, 4);
	r = rows.v;
	signing_plan_for(JWT_RS256, r, rows.n, 11 * DAY, &policy, &plan);
	assert_false(str_eq(r[plan.active].kid, old_kid));

	rotate(t, 13 * DAY, &rows);
	assert_int_equal(rows.n, 2);
}

static void test_conflict(void **state)
{
	struct test_db *t = *state;
	struct signing_record r;

	create_tenants(t);
	signing_create(&t->arena, JWT_ES256, 5, STR_NULL, &r);
	assert_ok(key_store_add(t->db, &r));
	assert_err(key_store_add(t->db, &r), ERR_CONFLICT);
	assert_err(key_store_retire(t->db, STR("nobody"), 7), ERR_NOT_FOUND);
}

/* A fault in any statement leaves the table as it was. */
static void test_fault_in_every_statement(void **state)
{
	struct test_db *t = *state;
	enum err e = ERR_UNAVAILABLE;

	create_tenants(t);
	for (unsigned n = 1; e != ERR_OK; n++) {
		struct key_rotation r = rotation_at(0);
		struct db_rows rows;

		assert_true(n < 20);
		test_db_new_task(t);
		db_fail_after(t->pool, n);
		e = key_store_rotate(t->db, &r, &rows);
		db_fail_after(t->pool, 0);
		test_db_new_task(t);
		assert_ok(key_store_list(t->db, &rows));
		assert_true(rows.n == 0 || rows.n == 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_ENGINES(test_statements),
		BOTH_ENGINES(test_first_keys),
		BOTH_ENGINES(test_rotation),
		BOTH_ENGINES(test_conflict),
		BOTH_ENGINES(test_fault_in_every_statement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
