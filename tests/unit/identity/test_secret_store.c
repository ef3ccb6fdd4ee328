/* SPDX-License-Identifier: MIT */
#include "identity/secret.h"
#include "identity/secret_store.h"
#include "tenants.h"

#define NOW INT64_C(1700000000000)

static struct client_secret stored(struct test_db *t, struct str plain, int64_t created_ms)
{
	return (struct client_secret){
		.id = guid_new(),
		.value = secret_hash_random(&t->arena, plain),
		.created_ms = created_ms,
	};
}

static void test_statements(void **state)
{
	struct test_db *t = *state;

	create_tenants(t);
	assert_ok(db_check(t->db, &secret_statements));
}

static void test_find(void **state)
{
	struct test_db *t = *state;
	struct client c;

	create_tenants(t);
	assert_ok(client_find(t->db, client_normalize(&t->arena, STR("bRanch1")), &c));
	assert_str(c.name, STR("Branch1"));
	assert_str(c.display_name, STR("Branch 1"));
	assert_null(c.description.p);
	assert_err(client_find(t->db, STR("branch1"), &c), ERR_NOT_FOUND);
}

static void test_add_and_list(void **state)
{
	struct test_db *t = *state;
	struct client_secret one = stored(t, STR("one"), NOW), two = stored(t, STR("two"), NOW - 1);
	const struct client_secret *got;
	struct db_rows rows;

	create_tenants(t);
	two.expires_ms = (struct opt_i64){true, NOW + 5};
	assert_ok(client_secret_add(t->db, STR("BRANCH1"), &one));
	assert_ok(client_secret_add(t->db, STR("BRANCH1"), &two));
	assert_ok(client_secret_list(t->db, STR("BRANCH1"), &rows));
	assert_int_equal(rows.n, 2);
	got = rows.v;
	assert_true(guid_eq(&got[0].id, &two.id));
	assert_str(got[0].value, two.value);
	assert_int_equal(got[0].created_ms, NOW - 1);
	assert_true(got[0].expires_ms.has);
	assert_int_equal(got[0].expires_ms.v, NOW + 5);
	assert_true(guid_eq(&got[1].id, &one.id));
	assert_false(got[1].expires_ms.has);
	assert_ok(client_secret_list(t->db, STR("OTHER"), &rows));
	assert_int_equal(rows.n, 0);
}

static void test_add_refusals(void **state)
{
	struct test_db *t = *state;
	struct client_secret s;

	create_tenants(t);
	s = stored(t, STR("x"), NOW);
	assert_err(client_secret_add(t->db, STR("NOBODY"), &s), ERR_NOT_FOUND);
	for (int i = 0; i < CLIENT_SECRETS_MAX; i++) {
		s = stored(t, STR("x"), NOW);
		assert_ok(client_secret_add(t->db, STR("BRANCH1"), &s));
	}
	s = stored(t, STR("x"), NOW);
	test_db_new_task(t);
	assert_err(client_secret_add(t->db, STR("BRANCH1"), &s), ERR_LIMIT);
	assert_int_equal(t->fault.code, ERR_LIMIT);
}

static void test_remove(void **state)
{
	struct test_db *t = *state;
	struct client_secret s = stored(t, STR("x"), NOW);

	create_tenants(t);
	assert_ok(client_secret_add(t->db, STR("BRANCH1"), &s));
	/* Another tenant's. */
	assert_err(client_secret_remove(t->db, STR("OTHER"), &s.id), ERR_NOT_FOUND);
	assert_ok(client_secret_remove(t->db, STR("BRANCH1"), &s.id));
	assert_err(client_secret_remove(t->db, STR("BRANCH1"), &s.id), ERR_NOT_FOUND);
}

static void test_gone_with_tenant(void **state)
{
	struct test_db *t = *state;
	struct client_secret s = stored(t, STR("x"), NOW);
	struct db_rows rows;

	create_tenants(t);
	assert_ok(client_secret_add(t->db, STR("BRANCH1"), &s));
	test_db_script(t, "DELETE FROM \"Tenants\"");
	assert_ok(client_secret_list(t->db, STR("BRANCH1"), &rows));
	assert_int_equal(rows.n, 0);
}

static void test_authenticate(void **state)
{
	struct test_db *t = *state;
	struct client_secret one = stored(t, STR("one"), NOW), two = stored(t, STR("two"), NOW);
	struct client c;

	create_tenants(t);
	two.expires_ms = (struct opt_i64){true, NOW + 1000};
	assert_ok(client_secret_add(t->db, STR("BRANCH1"), &one));
	assert_ok(client_secret_add(t->db, STR("BRANCH1"), &two));
	assert_ok(client_authenticate(t->db, STR("BRANCH1"), STR("one"), NOW, &c));
	assert_str(c.name, STR("Branch1"));
	assert_ok(client_authenticate(t->db, STR("BRANCH1"), STR("two"), NOW + 999, &c));
	assert_err(client_authenticate(t->db, STR("BRANCH1"), STR("two"), NOW + 1000, &c),
		   ERR_UNAUTHENTICATED);
	assert_err(client_authenticate(t->db, STR("BRANCH1"), STR("three"), NOW, &c),
		   ERR_UNAUTHENTICATED);
	assert_err(client_authenticate(t->db, STR("BRANCH1"), one.value, NOW, &c),
		   ERR_UNAUTHENTICATED);
	assert_err(client_authenticate(t->db, STR("OTHER"), STR("one"), NOW, &c),
		   ERR_UNAUTHENTICATED);
	assert_err(client_authenticate(t->db, STR("NOBODY"), STR("one"), NOW, &c),
		   ERR_UNAUTHENTICATED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_ENGINES(test_statements),	 BOTH_ENGINES(test_find),
		BOTH_ENGINES(test_add_and_list), BOTH_ENGINES(test_add_refusals),
		BOTH_ENGINES(test_remove),	 BOTH_ENGINES(test_gone_with_tenant),
		BOTH_ENGINES(test_authenticate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
