/*
 * The conformance suite: whatever holds here holds on every engine.
 */
#include "unit.h"

#include "base/clock.h"
#include "base/death.h"
#include "loop/loop.h"
#include "store/engines.h"

#include <pthread.h>

/* ---- the table under test ---- */

struct thing {
	int64_t id;
	struct str t, T1;
	struct opt_i64 i;
	struct opt_bool b;
	struct opt_i64 m;
	struct opt_guid u;
	struct str x;
};

static const struct db_col thing_cols[] = {
	{"id", 'i', offsetof(struct thing, id)}, {"t", 't', offsetof(struct thing, t)},
	{"t1", 'T', offsetof(struct thing, T1)}, {"i", 'I', offsetof(struct thing, i)},
	{"b", 'B', offsetof(struct thing, b)},	 {"m", 'M', offsetof(struct thing, m)},
	{"u", 'U', offsetof(struct thing, u)},	 {"x", 'X', offsetof(struct thing, x)},
};
static const struct db_shape thing_shape = {"thing", thing_cols, ARRAY_LEN(thing_cols),
					    sizeof(struct thing)};

static const struct stmt create = {
	.name = "create",
	.sqlite = "CREATE TABLE things (id INTEGER PRIMARY KEY, t TEXT NOT NULL UNIQUE, t1 TEXT,"
		  " i INTEGER CHECK (i <> -13), b INTEGER, m INTEGER, u BLOB, x BLOB,"
		  " parent INTEGER REFERENCES things (id)) STRICT",
	.pgsql = "CREATE TABLE things (id bigint PRIMARY KEY, t varchar(100) NOT NULL UNIQUE,"
		 " t1 text, i bigint CHECK (i <> -13), b boolean, m timestamptz, u uuid, x bytea,"
		 " parent bigint REFERENCES things (id))",
};
static const struct stmt insert = {
	.name = "insert",
	.sql = "INSERT INTO things (id, t, t1, i, b, m, u, x) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)",
	.params = "itTIBMUX",
};
static const struct stmt add = {
	.name = "add",
	.sql = "INSERT INTO things (id, t, i, parent) VALUES ($1, $2, $3, $4)",
	.params = "iTII",
};
static const struct stmt get = {
	.name = "get",
	.sql = "SELECT id, t, t1, i, b, m, u, x FROM things WHERE id = $1",
	.params = "i",
	.cols = "itTIBMUX",
};
static const struct stmt list = {
	.name = "list",
	.sql = "SELECT id, t, t1, i, b, m, u, x FROM things ORDER BY id",
	.cols = "itTIBMUX",
};
static const struct stmt count = {
	.name = "count", .sql = "SELECT count(*) FROM things", .cols = "i"};
static const struct stmt set_i = {
	.name = "set_i", .sql = "UPDATE things SET i = $2 WHERE id = $1", .params = "iI"};
static const struct stmt endless = {
	.name = "endless",
	.sql = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x % 1000 + 1 FROM c)"
	       " SELECT count(*) FROM c",
	.cols = "i",
};
static const struct stmt endless_rows = {
	.name = "endless_rows",
	.sql = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x % 1000 + 1 FROM c)"
	       " SELECT x FROM c",
	.cols = "i",
};
static const struct db_col x_col = {"x", 'i', 0};
static const struct db_shape x_shape = {"x", &x_col, 1, sizeof(int64_t)};

static void make_things(struct test_db *t)
{
	assert_ok(db_exec(t->db, &create, DB_NO_ARGS));
}

static enum err add_thing(struct db *db, int64_t id, const char *name, int64_t i)
{
	return db_exec(db, &add, DB_ARGS(DB_INT(id), DB_TEXT(str_c(name)), DB_INT(i), DB_NULL));
}

static int64_t things(struct db *db)
{
	int64_t n = -1;

	assert_ok(db_int(db, &count, DB_NO_ARGS, &n));
	return n;
}

/* ---- values ---- */

static void values_come_back(void **state)
{
	static const int64_t ints[] = {0, -1, 70000, INT64_MIN, INT64_MAX, 1LL << 40};
	static const int64_t times[] = {0, -1, 1795213863123, 946684799999, -62135596800000, 1};
	struct test_db *t = *state;

	make_things(t);
	for (int k = 0; k < (int)ARRAY_LEN(ints); k++) {
		struct guid g = guid_new();
		struct str name = str_fmt(&t->arena, "n%d \xc3\xa9\xe2\x82\xac", k);
		struct thing row;

		assert_ok(db_exec(t->db, &insert,
				  DB_ARGS(DB_INT(k), DB_TEXT(name), DB_TEXT(STR("")),
					  DB_INT(ints[k]), DB_BOOL(k % 2), DB_TIME(times[k]),
					  DB_GUID(&g), DB_BLOB(STR("a\0b")))));
		assert_int_equal(db_changed(t->db), 1);
		assert_ok(db_one(t->db, &get, DB_ARGS(DB_INT(k)), &thing_shape, &row));
		assert_str(row.t, name);
		assert_non_null(row.T1.p);
		assert_int_equal(row.T1.n, 0);
		assert_true(row.i.has && row.i.v == ints[k]);
		assert_true(row.b.has && row.b.v == (k % 2 != 0));
		assert_true(row.m.has && row.m.v == times[k]);
		assert_true(row.u.has && guid_eq(&row.u.v, &g));
		assert_str(row.x, STR("a\0b"));
	}
}

static void nulls_come_back(void **state)
{
	struct test_db *t = *state;
	struct thing row;

	make_things(t);
	assert_ok(db_exec(t->db, &insert,
			  DB_ARGS(DB_INT(1), DB_TEXT(STR("x")), DB_TEXT(STR_NULL), DB_NULL, DB_NULL,
				  DB_NULL, DB_NULL, DB_NULL)));
	assert_ok(db_one(t->db, &get, DB_ARGS(DB_INT(1)), &thing_shape, &row));
	assert_null(row.T1.p);
	assert_null(row.x.p);
	assert_false(row.i.has || row.b.has || row.m.has || row.u.has);
}

static void null_in_a_plain_column_is_an_error(void **state)
{
	static const struct stmt st = {.name = "st", .sql = "SELECT i FROM things", .cols = "i"};
	struct test_db *t = *state;
	int64_t v;

	make_things(t);
	assert_ok(db_exec(t->db, &add, DB_ARGS(DB_INT(1), DB_TEXT(STR("a")), DB_NULL, DB_NULL)));
	assert_err(db_int(t->db, &st, DB_NO_ARGS, &v), ERR_INTERNAL);
	assert_non_null(strstr(t->fault.text, "is null"));
	assert_int_equal(things(t->db), 1);
}

static void large_values_come_back(void **state)
{
	struct test_db *t = *state;
	size_t n = (size_t)3 << 20;
	char *p = arena_alloc(&t->arena, n);
	struct thing row;

	make_things(t);
	for (size_t i = 0; i < n; i++) {
		p[i] = (char)(i * 7);
	}
	assert_ok(db_exec(t->db, &insert,
			  DB_ARGS(DB_INT(1), DB_TEXT(STR("x")), DB_NULL, DB_NULL, DB_NULL, DB_NULL,
				  DB_NULL, DB_BLOB(str_of(p, n)))));
	assert_ok(db_one(t->db, &get, DB_ARGS(DB_INT(1)), &thing_shape, &row));
	assert_str(row.x, str_of(p, n));
}

/* ---- rows ---- */

static void not_found(void **state)
{
	struct test_db *t = *state;
	struct thing row = {.id = 77};

	make_things(t);
	assert_err(db_one(t->db, &get, DB_ARGS(DB_INT(5)), &thing_shape, &row), ERR_NOT_FOUND);
	assert_int_equal(row.id, 77);
	assert_string_equal(t->fault.text, "thing not found");
	assert_err(db_exec_one(t->db, &set_i, DB_ARGS(DB_INT(5), DB_INT(1))), ERR_NOT_FOUND);
	assert_ok(add_thing(t->db, 5, "five", 0));
	assert_ok(db_exec_one(t->db, &set_i, DB_ARGS(DB_INT(5), DB_INT(1))));
}

static void all_rows_up_to_a_limit(void **state)
{
	struct test_db *t = *state;
	struct db_rows rows;

	make_things(t);
	assert_ok(db_all(t->db, &list, DB_NO_ARGS, &thing_shape, 10, &rows));
	assert_int_equal(rows.n, 0);
	for (int i = 0; i < 40; i++) {
		assert_ok(add_thing(t->db, i, str_cstr(&t->arena, str_fmt(&t->arena, "%d", i)), 0));
	}
	assert_ok(db_all(t->db, &list, DB_NO_ARGS, &thing_shape, 40, &rows));
	assert_int_equal(rows.n, 40);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(((struct thing *)rows.v)[i].id, i);
	}
	assert_ok(tx_begin(t->db));
	assert_err(db_all(t->db, &list, DB_NO_ARGS, &thing_shape, 39, &rows), ERR_LIMIT);
	assert_int_equal(things(t->db), 40); /* the transaction is well */
	assert_ok(tx_commit(t->db));
}

static enum err stop_at_three(void *row, void *ctx)
{
	int64_t *sum = ctx;

	*sum += *(int64_t *)row;
	return *(int64_t *)row == 3 ? ERR_CLOSED : ERR_OK;
}

static void each_row_until_the_caller_stops(void **state)
{
	static const struct stmt ids = {
		.name = "ids", .sql = "SELECT id FROM things ORDER BY id", .cols = "i"};
	struct test_db *t = *state;
	int64_t sum = 0;

	make_things(t);
	for (int i = 1; i <= 9; i++) {
		assert_ok(add_thing(t->db, i, str_cstr(&t->arena, str_fmt(&t->arena, "%d", i)), 0));
	}
	assert_ok(tx_begin(t->db));
	assert_err(db_each(t->db, &ids, DB_NO_ARGS, &x_shape, stop_at_three, &sum), ERR_CLOSED);
	assert_int_equal(sum, 6);
	assert_ok(tx_commit(t->db));
}

static void insert_may_return_a_column(void **state)
{
	static const struct stmt st = {
		.name = "st",
		.sql = "INSERT INTO things (id, t) VALUES ($1, $2) RETURNING id",
		.params = "it",
		.cols = "i",
	};
	struct test_db *t = *state;
	int64_t id = 0;

	make_things(t);
	assert_ok(db_int(t->db, &st, DB_ARGS(DB_INT(9), DB_TEXT(STR("nine"))), &id));
	assert_int_equal(id, 9);
	assert_int_equal(db_changed(t->db), 1);
	assert_int_equal(things(t->db), 1);
}

static void placeholders_may_repeat_and_come_in_any_order(void **state)
{
	static const struct stmt st = {
		.name = "st",
		.sql = "SELECT $2 * 100 + $1 * 10 + $2",
		.params = "ii",
		.cols = "i",
	};
	struct test_db *t = *state;
	int64_t v = 0;

	assert_ok(db_int(t->db, &st, DB_ARGS(DB_INT(3), DB_INT(7)), &v));
	assert_int_equal(v, 737);
}

/* ---- constraints ---- */

static void clashes_are_told_apart(void **state)
{
	struct test_db *t = *state;

	make_things(t);
	assert_ok(add_thing(t->db, 1, "one", 1));
	assert_err(add_thing(t->db, 1, "other", 1), ERR_CONFLICT);
	assert_err(add_thing(t->db, 2, "one", 1), ERR_CONFLICT);
	assert_false(db_is_transient(t->db));
	assert_err(add_thing(t->db, 3, "bad", -13), ERR_INVALID);
	assert_err(add_thing(t->db, 4, NULL, 1), ERR_INVALID);
	assert_err(db_exec(t->db, &add,
			   DB_ARGS(DB_INT(5), DB_TEXT(STR("orphan")), DB_NULL, DB_INT(99))),
		   ERR_CONFLICT);
	assert_int_equal(things(t->db), 1);
}

static void conflict_may_be_expected(void **state)
{
	static const struct stmt st = {
		.name = "st",
		.sql = "INSERT INTO things (id, t) VALUES ($1, $2) ON CONFLICT DO NOTHING",
		.params = "it",
	};
	struct test_db *t = *state;

	make_things(t);
	assert_ok(tx_begin(t->db));
	assert_ok(db_exec(t->db, &st, DB_ARGS(DB_INT(1), DB_TEXT(STR("a")))));
	assert_int_equal(db_changed(t->db), 1);
	assert_ok(db_exec(t->db, &st, DB_ARGS(DB_INT(1), DB_TEXT(STR("a")))));
	assert_int_equal(db_changed(t->db), 0);
	assert_ok(tx_commit(t->db));
}

/* ---- transactions ---- */

static void commit_and_abort(void **state)
{
	struct test_db *t = *state;

	make_things(t);
	assert_ok(tx_begin(t->db));
	assert_ok(add_thing(t->db, 1, "one", 1));
	tx_abort(t->db);
	assert_int_equal(things(t->db), 0);
	assert_ok(tx_begin(t->db));
	assert_ok(add_thing(t->db, 1, "one", 1));
	assert_ok(tx_commit(t->db));
	assert_int_equal(things(t->db), 1);
	tx_abort(t->db); /* nothing open: harmless */
}

static void the_end_of_a_task_rolls_back(void **state)
{
	struct test_db *t = *state;

	make_things(t);
	assert_ok(tx_begin(t->db));
	assert_ok(add_thing(t->db, 1, "one", 1));
	test_db_new_task(t);
	assert_int_equal(things(t->db), 0);
}

static void a_failure_spoils_the_transaction(void **state)
{
	struct test_db *t = *state;

	make_things(t);
	assert_ok(tx_begin(t->db));
	assert_ok(add_thing(t->db, 1, "one", 1));
	assert_err(add_thing(t->db, 1, "again", 1), ERR_CONFLICT);
	assert_err(add_thing(t->db, 2, "two", 1), ERR_CONFLICT);
	assert_err(tx_commit(t->db), ERR_CONFLICT);
	assert_int_equal(things(t->db), 0);
}

static void reading_sees_one_state_and_refuses_to_write(void **state)
{
	struct test_db *t = *state;
	struct db *other = test_db_session(t);

	make_things(t);
	assert_ok(tx_begin_read(t->db));
	assert_int_equal(things(t->db), 0);
	assert_ok(add_thing(other, 1, "one", 1));
	assert_int_equal(things(t->db), 0);
	assert_err(add_thing(t->db, 2, "two", 1), ERR_INTERNAL);
	tx_abort(t->db);
	assert_int_equal(things(t->db), 1);
	db_put(&other);
}

/* Each worker reads, adds one, writes: lost updates would show in the sum. */
struct counter {
	struct test_db *t;
	unsigned rounds;
	struct arena arena;
};

static enum err count_up(struct db *db, void *ctx UNUSED)
{
	struct thing row;

	TRY(db_one(db, &get, DB_ARGS(DB_INT(1)), &thing_shape, &row));
	return db_exec_one(db, &set_i, DB_ARGS(DB_INT(1), DB_INT(row.i.v + 1)));
}

static void *count_many(void *arg)
{
	struct counter *c = arg;
	struct fault f = {0};
	struct db *db = NULL;

	if (db_get(c->t->pool, 10000, &db, &f) != ERR_OK) {
		return "no session";
	}
	arena_init(&c->arena, 0);
	db_begin_task(db, &(struct db_task){.arena = &c->arena, .fault = &f});
	for (unsigned done = 0; done < c->rounds;) {
		enum err e = db_retry(db, count_up, NULL);

		if (e != ERR_OK && !db_is_transient(db)) {
			print_error("%s: %s\n", err_name(e), f.text);
			db_put(&db);
			return "failed";
		}
		done += e == ERR_OK;
	}
	db_put(&db);
	arena_fini(&c->arena);
	return NULL;
}

static void retry_loses_no_update(void **state)
{
	enum { THREADS = 4, ROUNDS = 25 };
	struct test_db *t = *state;
	struct counter c[THREADS];
	pthread_t threads[THREADS];
	struct thing row;

	make_things(t);
	assert_ok(add_thing(t->db, 1, "one", 0));
	for (int i = 0; i < THREADS; i++) {
		c[i] = (struct counter){.t = t, .rounds = ROUNDS};
		assert_int_equal(pthread_create(&threads[i], NULL, count_many, &c[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		void *failure = NULL;

		pthread_join(threads[i], &failure);
		assert_null(failure);
	}
	assert_ok(db_one(t->db, &get, DB_ARGS(DB_INT(1)), &thing_shape, &row));
	assert_int_equal(row.i.v, THREADS * ROUNDS);
}

static enum err fail_with(struct db *db, void *ctx)
{
	TRY(add_thing(db, 1, "one", 1));
	return *(enum err *)ctx;
}

static void retry_gives_up_on_other_failures(void **state)
{
	struct test_db *t = *state;
	enum err e = ERR_DENIED;

	make_things(t);
	assert_err(db_retry(t->db, fail_with, &e), ERR_DENIED);
	assert_int_equal(things(t->db), 0);
	e = ERR_OK;
	assert_ok(db_retry(t->db, fail_with, &e));
	assert_int_equal(things(t->db), 1);
}

/* ---- deadline and cancel ---- */

static void begin_with(struct test_db *t, uint64_t deadline, const atomic_bool *canceled)
{
	struct db_task task = {.arena = &t->arena,
			       .fault = &t->fault,
			       .deadline_mono_ms = deadline,
			       .canceled = canceled};

	db_end_task(t->db);
	t->fault = (struct fault){0};
	db_begin_task(t->db, &task);
}

static void a_deadline_ends_a_statement(void **state)
{
	struct test_db *t = *state;
	uint64_t start = clock_mono_ms();
	int64_t v;

	begin_with(t, start + 150, NULL);
	assert_err(db_int(t->db, &endless, DB_NO_ARGS, &v), ERR_TIMEOUT);
	assert_in_range(clock_mono_ms() - start, 100, 2000);
	/* passed already: nothing is sent */
	assert_err(db_ping(t->db), ERR_TIMEOUT);
	test_db_new_task(t);
	assert_ok(db_ping(t->db));
}

static enum err set_flag(void *row UNUSED, void *ctx)
{
	atomic_store((atomic_bool *)ctx, true);
	return ERR_OK;
}

static void canceling_ends_a_statement(void **state)
{
	struct test_db *t = *state;
	atomic_bool canceled = false;

	begin_with(t, 0, &canceled);
	assert_err(db_each(t->db, &endless_rows, DB_NO_ARGS, &x_shape, set_flag, &canceled),
		   ERR_CANCELED);
	assert_err(db_ping(t->db), ERR_CANCELED);
	test_db_new_task(t);
	assert_ok(db_ping(t->db));
}

static void canceling_keeps_a_commit_whole(void **state)
{
	struct test_db *t = *state;
	atomic_bool canceled = false;

	make_things(t);
	begin_with(t, 0, &canceled);
	assert_ok(tx_begin(t->db));
	assert_ok(add_thing(t->db, 1, "one", 1));
	atomic_store(&canceled, true);
	assert_err(tx_commit(t->db), ERR_CANCELED);
	test_db_new_task(t);
	assert_int_equal(things(t->db), 0);
}

/* ---- pool ---- */

static void sessions_are_bounded(void **state)
{
	struct test_db *t = *state;
	struct db *more[7];
	struct db *extra = NULL;
	struct fault f = {0};

	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		assert_ok(db_get(t->pool, 0, &more[i], NULL));
	}
	assert_err(db_get(t->pool, 1, &extra, &f), ERR_UNAVAILABLE);
	assert_string_equal(f.text, "database: all 8 sessions are in use");
	db_put(&more[0]);
	assert_null(more[0]);
	assert_ok(db_get(t->pool, 0, &more[0], NULL));
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		db_put(&more[i]);
	}
}

static void failures_can_be_injected(void **state)
{
	struct test_db *t = *state;

	make_things(t);
	db_fail_after(t->pool, 3);
	assert_ok(tx_begin(t->db));
	assert_ok(add_thing(t->db, 1, "one", 1));
	assert_err(tx_commit(t->db), ERR_UNAVAILABLE);
	assert_int_equal(things(t->db), 0);
}

/* ---- declared and real ---- */

static void check_finds_wrong_declarations(void **state)
{
	static const struct stmt bad[] = {
		{.name = "no_table", .sql = "SELECT id FROM nothing", .cols = "i"},
		{.name = "syntax", .sql = "SELEC id FROM things", .cols = "i"},
		{.name = "too_many", .sql = "SELECT id, t FROM things", .cols = "i"},
		{.name = "too_few", .sql = "SELECT id FROM things", .cols = "it"},
		{.name = "no_rows", .sql = "DELETE FROM things", .cols = "i"},
		{.name = "unused", .sql = "SELECT id FROM things", .params = "i", .cols = "i"},
		{.name = "undeclared",
		 .sql = "SELECT id FROM things WHERE id = $1 AND i = $2",
		 .params = "i",
		 .cols = "i"},
		{.name = "two", .sql = "DELETE FROM things; DELETE FROM things"},
		{.name = "quotes",
		 .sql = "SELECT id FROM things WHERE t = \"nothing\"",
		 .cols = "i"},
	};
	const struct stmt good[] = {insert, add, get, list, count, set_i, endless};
	const struct stmt_table table = {"test", good, ARRAY_LEN(good)};
	struct test_db *t = *state;

	make_things(t);
	assert_ok(db_check(t->db, &table));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct stmt_table one = {"test", &bad[i], 1};

		test_db_new_task(t);
		if (db_check(t->db, &one) != ERR_INTERNAL) {
			fail_msg("%s was not found", bad[i].name);
		}
		assert_non_null(strstr(t->fault.text, bad[i].name));
	}
}

/* ---- misuse ---- */

static void misuse_stops_the_process(void **state)
{
	static const struct db_shape short_shape = {"thing", thing_cols, 2, sizeof(struct thing)};
	struct test_db *t = *state;
	struct thing row;

	make_things(t);
	assert_dies((void)!db_exec(t->db, &set_i, DB_ARGS(DB_INT(1))));
	assert_dies((void)!db_exec(t->db, &set_i, DB_ARGS(DB_NULL, DB_INT(1))));
	assert_dies((void)!db_exec(t->db, &set_i, DB_ARGS(DB_TEXT(STR("1")), DB_INT(1))));
	assert_dies((void)!db_one(t->db, &get, DB_ARGS(DB_INT(1)), &short_shape, &row));
	assert_dies((void)!tx_commit(t->db));
	assert_ok(tx_begin(t->db));
	assert_dies((void)!tx_begin(t->db));
	tx_abort(t->db);
	assert_dies(db_pool_close(&t->pool));
	db_end_task(t->db);
	assert_dies((void)!db_ping(t->db));
}

struct on_loop {
	struct msg msg;
	struct db *db;
};

static void use_on_loop(struct msg *m, struct loop *l)
{
	(void)!db_ping(container_of(m, struct on_loop, msg)->db);
	loop_stop(l);
}

static void run_on_loop(struct db *db)
{
	struct loop *l = loop_new(0);
	struct on_loop m = {.msg = {.run = use_on_loop}, .db = db};

	loop_post(l, &m.msg);
	loop_run(l);
	loop_free(&l);
}

static void a_loop_must_not_block(void **state)
{
	struct test_db *t = *state;

	assert_dies(run_on_loop(t->db));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_ENGINES(values_come_back),
		BOTH_ENGINES(nulls_come_back),
		BOTH_ENGINES(null_in_a_plain_column_is_an_error),
		BOTH_ENGINES(large_values_come_back),
		BOTH_ENGINES(not_found),
		BOTH_ENGINES(all_rows_up_to_a_limit),
		BOTH_ENGINES(each_row_until_the_caller_stops),
		BOTH_ENGINES(insert_may_return_a_column),
		BOTH_ENGINES(placeholders_may_repeat_and_come_in_any_order),
		BOTH_ENGINES(clashes_are_told_apart),
		BOTH_ENGINES(conflict_may_be_expected),
		BOTH_ENGINES(commit_and_abort),
		BOTH_ENGINES(the_end_of_a_task_rolls_back),
		BOTH_ENGINES(a_failure_spoils_the_transaction),
		BOTH_ENGINES(reading_sees_one_state_and_refuses_to_write),
		BOTH_ENGINES(retry_loses_no_update),
		BOTH_ENGINES(retry_gives_up_on_other_failures),
		BOTH_ENGINES(a_deadline_ends_a_statement),
		BOTH_ENGINES(canceling_ends_a_statement),
		BOTH_ENGINES(canceling_keeps_a_commit_whole),
		BOTH_ENGINES(sessions_are_bounded),
		BOTH_ENGINES(failures_can_be_injected),
		BOTH_ENGINES(check_finds_wrong_declarations),
		ON_SQLITE(misuse_stops_the_process),
		ON_SQLITE(a_loop_must_not_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
