#include "unit.h"

#include "relay/schema.h"
#include "relay/tenant_store.h"
#include "store/engines.h"

#include <stdio.h>

static void make_schema(struct test_db *t)
{
	if (migrate(t->db, &relay_migrations, 1, NULL, NULL) != ERR_OK) {
		fail_msg("%s", t->fault.text);
	}
}

static enum err insert(struct test_db *t, const struct tenant_row *row)
{
	enum err e;

	assert_ok(tx_begin(t->db));
	e = tenant_store_insert(t->db, row);
	if (e == ERR_OK) {
		e = tx_commit(t->db);
	} else {
		tx_abort(t->db);
	}
	return e;
}

static void add(struct test_db *t, const char *normalized, const char *name)
{
	struct tenant_row row = {.normalized = str_c(normalized), .name = str_c(name)};

	assert_ok(insert(t, &row));
}

/* load begins a task of its own, as on a worker. */
static enum err load(struct test_db *t, const char *normalized, const struct tenant_visit *visit,
		     struct tenant_info *out)
{
	enum err e;

	db_end_task(t->db);
	e = tenant_store_ops.load(t->db, str_c(normalized), visit, &t->arena, out);
	test_db_new_task(t);
	return e;
}

static void statements_prepare(void **state)
{
	struct test_db *t = *state;

	make_schema(t);
	if (db_check(t->db, &tenant_statements) != ERR_OK) {
		fail_msg("%s", t->fault.text);
	}
}

static const struct tenant_row full = {
	.normalized = STR_INIT("BRANCH1"),
	.name = STR_INIT("Branch1"),
	.display = STR_INIT("Branch 1"),
	.description = STR_INIT("the first"),
	.require_authentication = true,
	.max_concurrent = 7,
	.configure = {.keep_alive_interval_ms = {true, 20500},
		      .enable_tracing = {true, false},
		      .reconnect_maximum_delay_ms = {true, 90061001}},
};

static void a_tenant_comes_back(void **state)
{
	struct test_db *t = *state;
	struct tenant_row got;

	make_schema(t);
	assert_ok(insert(t, &full));
	assert_ok(tenant_store_get(t->db, STR("BRANCH1"), &got));
	assert_str(got.name, full.name);
	assert_str(got.display, full.display);
	assert_str(got.description, full.description);
	assert_true(got.require_authentication);
	assert_int_equal(got.max_concurrent, 7);
	assert_true(got.has_config.has);
	assert_int_equal(got.configure.keep_alive_interval_ms.v, 20500);
	assert_true(got.configure.enable_tracing.has && !got.configure.enable_tracing.v);
	assert_false(got.configure.reconnect_minimum_delay_ms.has);
	assert_int_equal(got.configure.reconnect_maximum_delay_ms.v, 90061001);
}

static void names_are_taken_once(void **state)
{
	struct test_db *t = *state;

	make_schema(t);
	assert_ok(insert(t, &full));
	assert_err(insert(t, &full), ERR_CONFLICT);
	assert_string_equal(t->fault.text, "there is already a tenant \"Branch1\"");
}

static void pages_are_ordered(void **state)
{
	struct test_db *t = *state;
	struct db_rows rows;
	int64_t total;

	make_schema(t);
	add(t, "C", "c");
	add(t, "A", "a");
	add(t, "B", "b");
	assert_ok(tenant_store_list(t->db, 1, 1, &rows, &total));
	assert_int_equal(total, 3);
	assert_int_equal(rows.n, 1);
	assert_str(((struct tenant_row *)rows.v)->normalized, STR("B"));
	assert_ok(tenant_store_list(t->db, 3, 10, &rows, &total));
	assert_int_equal(rows.n, 0);
	assert_ok(tenant_store_list(t->db, 0, 0, &rows, &total));
	assert_int_equal(rows.n, 0);
}

static void update_replaces_all_but_an_unset_configuration(void **state)
{
	struct test_db *t = *state;
	struct tenant_row row = {.normalized = STR("BRANCH1")}, got;

	make_schema(t);
	assert_ok(insert(t, &full));
	assert_ok(tenant_store_update(t->db, &row));
	assert_ok(tenant_store_get(t->db, row.normalized, &got));
	assert_str(got.name, full.name);
	assert_null(got.display.p);
	assert_null(got.description.p);
	assert_false(got.require_authentication);
	assert_int_equal(got.max_concurrent, 0);
	assert_int_equal(got.configure.keep_alive_interval_ms.v, 20500);

	row.configure.enable_tracing = (struct opt_bool){true, true};
	assert_ok(tenant_store_update(t->db, &row));
	assert_ok(tenant_store_get(t->db, row.normalized, &got));
	assert_true(got.configure.enable_tracing.v);
	assert_false(got.configure.keep_alive_interval_ms.has);
	assert_false(got.configure.reconnect_maximum_delay_ms.has);
}

static void missing_tenants_are_told(void **state)
{
	struct test_db *t = *state;
	struct tenant_row row = {.normalized = STR("NONE")};

	make_schema(t);
	assert_err(tenant_store_get(t->db, row.normalized, &row), ERR_NOT_FOUND);
	test_db_new_task(t);
	assert_err(tenant_store_update(t->db, &row), ERR_NOT_FOUND);
	assert_string_equal(t->fault.text, "there is no tenant \"NONE\"");
	assert_err(tenant_store_remove(t->db, row.normalized), ERR_NOT_FOUND);
}

static void removal_takes_the_configuration_along(void **state)
{
	struct test_db *t = *state;
	struct tenant_row got;

	make_schema(t);
	assert_ok(insert(t, &full));
	assert_ok(tenant_store_remove(t->db, full.normalized));
	add(t, "BRANCH1", "branch1");
	assert_ok(tenant_store_get(t->db, full.normalized, &got));
	assert_false(got.has_config.has);
}

static void names_are_checked(void **state)
{
	static const struct {
		struct str name;
		bool ok;
	} cases[] = {
		{STR_INIT("Branch1"), true},
		{STR_INIT("a b.c-d_e:f"), true},
		{STR_INIT("m\xc3\xbcller"), true},
		{STR_INIT(""), false},
		{STR_INIT("a/b"), false},
		{STR_INIT("a\nb"), false},
		{STR_INIT("\xff"), false},
		{STR_INIT(".."), false},
		{STR_INIT(" "), false},
		{STR_INIT(" \t "), false},
		{STR_INIT("a\xef\xbf\xbd"), false},
		{STR_INIT("\xed\xa0\x80"), false},
	};
	char longest[TENANT_NAME_MAX + 1], wide[2 * TENANT_NAME_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fault f = {0};

		assert_int_equal(tenant_name_check(cases[i].name, &f) == ERR_OK, cases[i].ok);
		assert_int_equal(f.text[0] == '\0', cases[i].ok);
	}
	memset(longest, 'x', sizeof(longest));
	assert_ok(tenant_name_check(str_of(longest, TENANT_NAME_MAX), NULL));
	assert_err(tenant_name_check(str_of(longest, TENANT_NAME_MAX + 1), NULL), ERR_INVALID);
	for (size_t i = 0; i < TENANT_NAME_MAX; i++) {
		memcpy(wide + 2 * i, "\xc3\xbc", 2);
	}
	wide[2 * TENANT_NAME_MAX] = 'x';
	assert_true(tenant_name_fits(str_of(wide, 2 * TENANT_NAME_MAX)));
	assert_ok(tenant_name_check(str_of(wide, 2 * TENANT_NAME_MAX), NULL));
	assert_false(tenant_name_fits(str_of(wide, 2 * TENANT_NAME_MAX + 1)));
	assert_false(tenant_name_fits(str_of(wide, 1)));
}

/* ---- the data plane's view ---- */

static void load_tells_what_is_known(void **state)
{
	struct test_db *t = *state;
	struct tenant_info info;

	make_schema(t);
	assert_ok(insert(t, &full));
	assert_ok(load(t, "BRANCH1", NULL, &info));
	assert_true(info.found && info.require_authentication && info.has_config);
	assert_str(info.name, STR("Branch1"));
	assert_int_equal(info.max_concurrent, 7);
	assert_int_equal(info.keep_alive_interval_ms.v, 20500);
	assert_ok(load(t, "NOBODY", NULL, &info));
	assert_false(info.found);
}

/* What is kept is what connectors are told, in whatever way it came into the database. */
static void a_hasty_keep_alive_is_a_second(void **state)
{
	static const struct {
		struct opt_i64 stored, told;
	} cases[] = {{{true, 50}, {true, 1000}},
		     {{true, 1001}, {true, 1001}},
		     {{true, 0}, {false, 0}},
		     {{true, -7}, {false, 0}}};
	struct test_db *t = *state;

	make_schema(t);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char name[16];
		struct tenant_row row = full;
		struct tenant_info info;

		(void)snprintf(name, sizeof(name), "HASTY%zu", i);
		row.name = row.normalized = str_c(name);
		row.configure.keep_alive_interval_ms = cases[i].stored;
		assert_ok(insert(t, &row));
		assert_ok(load(t, name, NULL, &info));
		assert_int_equal(info.keep_alive_interval_ms.has, cases[i].told.has);
		if (info.keep_alive_interval_ms.has) {
			assert_int_equal(info.keep_alive_interval_ms.v, cases[i].told.v);
		}
	}
}

static void an_odd_limit_is_none(void **state)
{
	struct test_db *t = *state;
	struct tenant_row row = {.normalized = STR("A"), .name = STR("a"), .max_concurrent = 65536};
	struct tenant_info info;

	make_schema(t);
	assert_ok(insert(t, &row));
	assert_ok(load(t, "A", NULL, &info));
	assert_int_equal(info.max_concurrent, 0);
}

static void a_visit_creates_and_updates(void **state)
{
	struct test_db *t = *state;
	struct tenant_visit visit = {.name = STR("Branch2"), .display = STR("Two")};
	struct tenant_info info;
	struct tenant_row row;

	make_schema(t);
	assert_ok(load(t, "BRANCH2", &visit, &info));
	assert_true(info.found);
	assert_str(info.name, STR("Branch2"));

	visit = (struct tenant_visit){.name = STR("branch2"), .description = STR("second")};
	assert_ok(load(t, "BRANCH2", &visit, &info));
	assert_str(info.name, STR("Branch2"));
	assert_ok(tenant_store_get(t->db, STR("BRANCH2"), &row));
	assert_str(row.display, STR("Two"));
	assert_str(row.description, STR("second"));
}

static void long_claims_are_cut_at_a_character(void **state)
{
	struct test_db *t = *state;
	char text[TENANT_DISPLAY_MAX + 2];
	struct tenant_visit visit = {.name = STR("B"), .display = str_of(text, sizeof(text))};
	struct tenant_info info;
	struct tenant_row row;

	make_schema(t);
	memset(text, 'x', sizeof(text));
	memcpy(text + TENANT_DISPLAY_MAX - 1, "\xc3\xa9", 2);
	assert_ok(load(t, "B", &visit, &info));
	assert_ok(tenant_store_get(t->db, STR("B"), &row));
	assert_int_equal(row.display.n, TENANT_DISPLAY_MAX - 1);
	db_fail_after(t->pool, 2); /* nothing is news now: one read only */
	assert_ok(load(t, "B", &visit, &info));
	db_fail_after(t->pool, 0);
}

static void trouble_is_not_an_unknown_tenant(void **state)
{
	struct test_db *t = *state;
	struct tenant_info info;

	make_schema(t);
	db_fail_after(t->pool, 1);
	assert_err(load(t, "A", NULL, &info), ERR_UNAVAILABLE);
	assert_err(tenant_store_ops.load(NULL, STR("A"), NULL, &t->arena, &info), ERR_UNAVAILABLE);
}

/* ---- databases of the original ---- */

static void an_original_database_is_opened(void **state)
{
	static const char *const original[] = {
		"CREATE TABLE \"__EFMigrationsHistory\" (\"MigrationId\" varchar(150) PRIMARY KEY,"
		" \"ProductVersion\" varchar(32) NOT NULL)",
		"CREATE TABLE \"Tenants\" (\"NormalizedName\" varchar(100) NOT NULL,"
		" \"Name\" varchar(100) NOT NULL, \"DisplayName\" varchar(200),"
		" \"Description\" varchar(1000),"
		" CONSTRAINT \"PK_Tenants\" PRIMARY KEY (\"NormalizedName\"))",
		"CREATE UNIQUE INDEX \"IX_Tenants_Name\" ON \"Tenants\" (\"Name\")",
		"CREATE TABLE \"Configs\" (\"TenantName\" varchar(100) NOT NULL PRIMARY KEY"
		" REFERENCES \"Tenants\" ON DELETE CASCADE, \"KeepAliveInterval\" interval,"
		" \"EnableTracing\" boolean, \"ReconnectMinimumDelay\" interval,"
		" \"ReconnectMaximumDelay\" interval)",
		"INSERT INTO \"Tenants\" VALUES ('OLD', 'Old', NULL, 'kept')",
		"INSERT INTO \"Configs\" VALUES ('OLD', '00:00:20.5', true, NULL, '1 day 01:00')",
	};
	struct test_db *t = *state;
	struct tenant_row row;

	for (size_t i = 0; i < ARRAY_LEN(original); i++) {
		test_db_script(t, original[i]);
	}
	make_schema(t);
	assert_ok(tenant_store_get(t->db, STR("OLD"), &row));
	assert_str(row.description, STR("kept"));
	assert_false(row.require_authentication);
	assert_int_equal(row.configure.keep_alive_interval_ms.v, 20500);
	assert_int_equal(row.configure.reconnect_maximum_delay_ms.v, 25 * 3600 * 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_ENGINES(statements_prepare),
		BOTH_ENGINES(a_tenant_comes_back),
		BOTH_ENGINES(names_are_taken_once),
		BOTH_ENGINES(pages_are_ordered),
		BOTH_ENGINES(update_replaces_all_but_an_unset_configuration),
		BOTH_ENGINES(missing_tenants_are_told),
		BOTH_ENGINES(removal_takes_the_configuration_along),
		cmocka_unit_test(names_are_checked),
		BOTH_ENGINES(load_tells_what_is_known),
		BOTH_ENGINES(an_odd_limit_is_none),
		BOTH_ENGINES(a_hasty_keep_alive_is_a_second),
		BOTH_ENGINES(a_visit_creates_and_updates),
		BOTH_ENGINES(long_claims_are_cut_at_a_character),
		BOTH_ENGINES(trouble_is_not_an_unknown_tenant),
		ON_PGSQL(an_original_database_is_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
