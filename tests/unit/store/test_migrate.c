#include "unit.h"

#include "store/engines.h"
#include "store/migrate.h"

#include <pthread.h>
#include <stdio.h>

static const struct migration red_list[] = {
	{.number = 1,
	 .name = "create red",
	 .sqlite = "CREATE TABLE red (n INTEGER); CREATE INDEX red_n ON red (n)",
	 .pgsql = "CREATE TABLE red (n bigint); CREATE INDEX red_n ON red (n)"},
	{.number = 2, .name = "fill red", .sql = "INSERT INTO red (n) VALUES (1), (2)"},
	{.number = 3, .name = "more red", .sql = "INSERT INTO red (n) VALUES (3)"},
};
static const struct migration blue_list[] = {
	{.number = 1,
	 .name = "create blue",
	 .sqlite = "CREATE TABLE blue (n INTEGER)",
	 .pgsql = "CREATE TABLE blue (n bigint)"},
	{.number = 2,
	 .name = "break blue",
	 .sql = "INSERT INTO blue (n) VALUES (1); INSERT INTO nothing (n) VALUES (1)"},
};
static const struct migration_list red = {"red", red_list, 3};
static const struct migration_list red_early = {"red", red_list, 1};
static const struct migration_list blue_broken = {"blue", blue_list, 2};

static const struct stmt sum_red = {
	.name = "sum_red", .sql = "SELECT CAST(sum(n) AS bigint) FROM red", .cols = "i"};
static const struct stmt count_blue = {
	.name = "count_blue", .sql = "SELECT count(*) FROM blue", .cols = "i"};

static void note(const char *role, const struct migration *m, void *ctx)
{
	struct buf *log = ctx;

	buf_printf(log, "%s%s %d", log->n ? ", " : "", role, m->number);
}

static void migrations_run_once_and_are_reported(void **state)
{
	struct test_db *t = *state;
	struct buf log = {0};
	size_t pending = 0;
	int64_t sum = 0;

	assert_ok(migrate_pending(t->db, &red_early, 1, &pending));
	assert_int_equal(pending, 2);
	assert_ok(migrate(t->db, &red_early, 1, note, &log));
	assert_str(buf_str(&log), STR("store 1, red 1"));
	assert_ok(migrate_pending(t->db, &red, 1, &pending));
	assert_int_equal(pending, 2);
	assert_ok(migrate(t->db, &red, 1, note, &log));
	assert_str(buf_str(&log), STR("store 1, red 1, red 2, red 3"));
	assert_ok(migrate(t->db, &red, 1, note, &log));
	assert_str(buf_str(&log), STR("store 1, red 1, red 2, red 3"));
	assert_ok(db_int(t->db, &sum_red, DB_NO_ARGS, &sum));
	assert_int_equal(sum, 6);
	buf_free(&log);
}

static void a_failing_migration_leaves_no_trace(void **state)
{
	struct test_db *t = *state;
	struct migration_list lists[] = {red, blue_broken};
	size_t pending = 0;
	int64_t n = 9;

	assert_err(migrate(t->db, lists, 2, NULL, NULL), ERR_INTERNAL);
	assert_non_null(strstr(t->fault.text, "migration blue 2 (break blue): "));
	assert_non_null(strstr(t->fault.text, "nothing"));
	assert_ok(db_int(t->db, &count_blue, DB_NO_ARGS, &n));
	assert_int_equal(n, 0);
	assert_ok(migrate_pending(t->db, lists, 2, &pending));
	assert_int_equal(pending, 1);
}

static void a_newer_database_is_refused(void **state)
{
	struct test_db *t = *state;
	struct migration_list lists[] = {{"blue", blue_list, 1}, red_early};
	size_t pending = 0;

	assert_ok(migrate(t->db, &red, 1, NULL, NULL));
	assert_err(migrate(t->db, lists, 2, NULL, NULL), ERR_INVALID);
	assert_string_equal(t->fault.text, "database: red has schema 3, this program knows 1 at "
					   "most; use a newer posthouse");
	test_db_new_task(t);
	assert_err(migrate_pending(t->db, lists, 2, &pending), ERR_INVALID);
	/* nothing was done for the other role either */
	assert_err(db_int(t->db, &count_blue, DB_NO_ARGS, &(int64_t){0}), ERR_INTERNAL);
}

struct instance {
	struct test_db *t;
	pthread_barrier_t *gate;
	unsigned applied;
	enum err result;
	struct fault fault;
};

static void count_applied(const char *role, const struct migration *m, void *ctx)
{
	(void)role;
	(void)m;
	((struct instance *)ctx)->applied++;
}

static void *start_instance(void *arg)
{
	struct instance *i = arg;
	struct db_config config = {.url = str_c(i->t->url), .size = 1};
	struct db_pool *pool = NULL;
	struct db *db = NULL;
	struct arena a;

	arena_init(&a, 0);
	i->result = db_pool_open(&config, &pool, &i->fault);
	pthread_barrier_wait(i->gate);
	if (i->result == ERR_OK) {
		i->result = db_get(pool, 0, &db, &i->fault);
		db_begin_task(db, &(struct db_task){.arena = &a, .fault = &i->fault});
		i->result = migrate(db, &red, 1, count_applied, i);
		db_put(&db);
		db_pool_close(&pool);
	}
	arena_fini(&a);
	return NULL;
}

static void instances_may_start_at_once(void **state)
{
	enum { N = 4 };
	struct test_db *t = *state;
	struct instance instances[N];
	pthread_t threads[N];
	pthread_barrier_t gate;
	unsigned applied = 0;
	int64_t sum = 0;

	pthread_barrier_init(&gate, NULL, N);
	for (int i = 0; i < N; i++) {
		instances[i] = (struct instance){.t = t, .gate = &gate};
		pthread_create(&threads[i], NULL, start_instance, &instances[i]);
	}
	for (int i = 0; i < N; i++) {
		pthread_join(threads[i], NULL);
	}
	for (int i = 0; i < N; i++) {
		assert_string_equal(instances[i].fault.text, "");
		assert_ok(instances[i].result);
		applied += instances[i].applied;
	}
	pthread_barrier_destroy(&gate);
	assert_int_equal(applied, 4);
	assert_ok(db_int(t->db, &sum_red, DB_NO_ARGS, &sum));
	assert_int_equal(sum, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_ENGINES(migrations_run_once_and_are_reported),
		BOTH_ENGINES(a_failing_migration_leaves_no_trace),
		BOTH_ENGINES(a_newer_database_is_refused),
		BOTH_ENGINES(instances_may_start_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
