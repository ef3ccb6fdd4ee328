/*
 * What only a file can do: modes, locks between processes, a full disk.
 */
#include "unit.h"

#include "base/clock.h"
#include "store/engines.h"
#include "store/watch.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct stmt create = {.name = "create",
				   .sqlite = "CREATE TABLE t (n INTEGER, x BLOB) STRICT"};
static const struct stmt insert = {
	.name = "insert", .sqlite = "INSERT INTO t (n) VALUES ($1)", .params = "i"};
static const struct stmt insert_blob = {
	.name = "insert_blob", .sqlite = "INSERT INTO t (x) VALUES ($1)", .params = "x"};
static const struct stmt count = {.name = "count", .sqlite = "SELECT count(*) FROM t", .cols = "i"};
static const struct stmt synchronous = {
	.name = "synchronous", .sqlite = "PRAGMA synchronous", .cols = "i"};

static int64_t number(struct db *db, const struct stmt *st)
{
	int64_t n = -1;

	assert_ok(db_int(db, st, DB_NO_ARGS, &n));
	return n;
}

/* A second pool on the same file, as another process has it. */
struct other {
	struct db_pool *pool;
	struct db *db;
	struct fault fault;
};

static void other_open(struct other *o, struct test_db *t, struct db_config config)
{
	config.url = str_c(t->url);
	*o = (struct other){0};
	assert_ok(db_pool_open(&config, &o->pool, NULL));
	assert_ok(db_get(o->pool, 0, &o->db, NULL));
	db_begin_task(o->db, &(struct db_task){.arena = &t->arena, .fault = &o->fault});
}

static void other_close(struct other *o)
{
	db_put(&o->db);
	db_pool_close(&o->pool);
}

/* ---- files ---- */

static void files_are_private(void **state)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	struct test_db *t = *state;
	struct stat st;
	char path[128];

	assert_ok(db_exec(t->db, &create, DB_NO_ARGS));
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		snprintf(path, sizeof(path), "%s/test.db%s", t->dir, suffixes[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
}

static void commits_are_synced_unless_told_otherwise(void **state)
{
	struct test_db *t = *state;
	struct other o;

	assert_int_equal(number(t->db, &synchronous), 2);
	other_open(&o, t, (struct db_config){.sync = DB_SYNC_NORMAL});
	assert_int_equal(number(o.db, &synchronous), 1);
	other_close(&o);
}

static void bad_places_are_named(void **state)
{
	static const struct {
		struct str url;
		enum err err;
		const char *says;
	} cases[] = {
		{STR_INIT("sqlite:"), ERR_INVALID, "expected a file after sqlite:"},
		{STR_INIT("sqlite::memory:"), ERR_INVALID, "expected a file after sqlite:"},
		{STR_INIT("mysql://x"), ERR_INVALID, "expected sqlite:PATH or postgres://"},
		{STR_INIT(""), ERR_INVALID, "expected sqlite:PATH or postgres://"},
		{STR_INIT("sqlite:/nonexistent/x.db"), ERR_UNAVAILABLE,
		 "database: cannot open /nonexistent/x.db: its directory does not exist"},
		{STR_INIT("sqlite:/etc/passwd/x.db"), ERR_UNAVAILABLE, "its directory is a file"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct db_config config = {.url = cases[i].url};
		struct db_pool *pool = NULL;
		struct fault f = {0};

		assert_err(db_pool_open(&config, &pool, &f), cases[i].err);
		assert_null(pool);
		assert_non_null(strstr(f.text, cases[i].says));
	}
}

static void a_file_that_is_no_database_is_told(void **state)
{
	static const char junk[4096] = "not a database, but long enough to look like one";
	struct test_db *t = *state;
	struct other o;
	char path[128];

	snprintf(path, sizeof(path), "%s/test.db", t->dir);
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), 0), sizeof(junk));
	close(fd);
	other_open(&o, t, (struct db_config){0});
	assert_err(db_ping(o.db), ERR_INTERNAL);
	assert_non_null(strstr(o.fault.text, "not a database"));
	other_close(&o);
}

static void a_file_that_went_does_not_come_back_empty(void **state)
{
	struct test_db *t = *state;
	struct other o;
	char path[128];

	snprintf(path, sizeof(path), "%s/test.db", t->dir);
	other_open(&o, t, (struct db_config){0});
	unlink(path);
	assert_err(db_ping(o.db), ERR_UNAVAILABLE);
	assert_int_equal(access(path, F_OK), -1);
	other_close(&o);
}

/* ---- locks ---- */

static void writers_of_a_process_queue(void **state)
{
	struct test_db *t = *state;
	struct db *second = NULL;
	struct fault f = {0};
	atomic_bool canceled = true;
	struct db_task task = {.fault = &f};

	assert_ok(db_exec(t->db, &create, DB_NO_ARGS));
	assert_ok(tx_begin(t->db));
	assert_ok(db_get(t->pool, 0, &second, NULL));
	task.deadline_mono_ms = clock_mono_ms() + 100;
	db_begin_task(second, &task);
	assert_err(tx_begin(second), ERR_TIMEOUT);
	assert_string_equal(f.text, "database: gave up waiting for other writers");
	db_end_task(second);
	task.deadline_mono_ms = 0;
	task.canceled = &canceled;
	db_begin_task(second, &task);
	assert_err(db_exec(second, &insert, DB_ARGS(DB_INT(1))), ERR_CANCELED);
	db_end_task(second);
	/* readers do not queue */
	task.canceled = NULL;
	db_begin_task(second, &task);
	assert_int_equal(number(second, &count), 0);
	assert_ok(tx_commit(t->db));
	assert_ok(db_exec(second, &insert, DB_ARGS(DB_INT(1))));
	db_put(&second);
}

static void *insert_one(void *arg)
{
	struct db *db = arg;

	return db_exec(db, &insert, DB_ARGS(DB_INT(1))) == ERR_OK ? NULL : "failed";
}

static void a_waiting_writer_gets_its_turn(void **state)
{
	struct test_db *t = *state;
	struct db *second = test_db_session(t);
	pthread_t thread;
	void *failure;

	assert_ok(db_exec(t->db, &create, DB_NO_ARGS));
	assert_ok(tx_begin(t->db));
	pthread_create(&thread, NULL, insert_one, second);
	assert_ok(db_exec(t->db, &insert, DB_ARGS(DB_INT(2))));
	assert_ok(tx_commit(t->db));
	pthread_join(thread, &failure);
	assert_null(failure);
	assert_int_equal(number(t->db, &count), 2);
	db_put(&second);
}

static void a_lock_of_another_process_is_waited_for(void **state)
{
	struct test_db *t = *state;
	struct other o;

	assert_ok(db_exec(t->db, &create, DB_NO_ARGS));
	other_open(&o, t, (struct db_config){.busy_timeout_ms = 50});
	assert_ok(tx_begin(t->db));
	assert_err(tx_begin(o.db), ERR_UNAVAILABLE);
	assert_string_equal(o.fault.text, "database: the file is locked by another process");
	assert_err(db_exec(o.db, &insert, DB_ARGS(DB_INT(1))), ERR_UNAVAILABLE);
	assert_int_equal(number(o.db, &count), 0);
	db_end_task(o.db);
	o.fault = (struct fault){0};
	db_begin_task(o.db, &(struct db_task){.deadline_mono_ms = clock_mono_ms() + 20,
					      .fault = &o.fault});
	assert_err(tx_begin(o.db), ERR_TIMEOUT);
	assert_ok(tx_commit(t->db));
	db_end_task(o.db);
	db_begin_task(o.db, &(struct db_task){.fault = &o.fault});
	assert_ok(db_exec(o.db, &insert, DB_ARGS(DB_INT(1))));
	other_close(&o);
}

/* In a child: the exit code is the answer. */
static int write_many(const char *url, int n)
{
	struct db_config config = {.url = str_c(url), .size = 1};
	struct db_pool *pool = NULL;
	struct db *db = NULL;
	enum err e = db_pool_open(&config, &pool, NULL);

	e = e == ERR_OK ? db_get(pool, 0, &db, NULL) : e;
	if (e != ERR_OK) {
		return 1;
	}
	db_begin_task(db, &(struct db_task){0});
	for (int i = 0; i < n && e == ERR_OK; i++) {
		e = tx_begin(db);
		e = e == ERR_OK ? db_exec(db, &insert, DB_ARGS(DB_INT(i))) : e;
		e = e == ERR_OK ? tx_commit(db) : e;
	}
	db_put(&db);
	db_pool_close(&pool);
	return e == ERR_OK ? 0 : 2;
}

static void processes_may_share_a_file(void **state)
{
	enum { CHILDREN = 3, EACH = 60 };
	struct test_db *t = *state;
	pid_t children[CHILDREN];

	assert_ok(db_exec(t->db, &create, DB_NO_ARGS));
	/* SQLite connections must not be carried over a fork */
	db_put(&t->db);
	db_pool_close(&t->pool);
	for (int i = 0; i < CHILDREN; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			_exit(write_many(t->url, EACH));
		}
	}
	for (int i = 0; i < CHILDREN; i++) {
		int status = -1;

		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
	}
	struct other o;
	other_open(&o, t, (struct db_config){0});
	assert_int_equal(number(o.db, &count), CHILDREN * EACH);
	other_close(&o);
}

/* ---- crash and full disk ---- */

static void crash_with_one_open(const char *url)
{
	struct db_config config = {.url = str_c(url), .size = 1};
	struct db_pool *pool = NULL;
	struct db *db = NULL;

	if (db_pool_open(&config, &pool, NULL) == ERR_OK && db_get(pool, 0, &db, NULL) == ERR_OK) {
		db_begin_task(db, &(struct db_task){0});
		if (db_exec(db, &insert, DB_ARGS(DB_INT(1))) == ERR_OK && tx_begin(db) == ERR_OK &&
		    db_exec(db, &insert, DB_ARGS(DB_INT(2))) == ERR_OK) {
			raise(SIGKILL);
		}
	}
	_exit(1);
}

static void a_killed_process_loses_only_what_was_open(void **state)
{
	struct test_db *t = *state;
	struct other o;
	int status = 0;

	assert_ok(db_exec(t->db, &create, DB_NO_ARGS));
	db_put(&t->db);
	db_pool_close(&t->pool);
	pid_t child = fork();
	if (child == 0) {
		crash_with_one_open(t->url);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	other_open(&o, t, (struct db_config){0});
	assert_int_equal(number(o.db, &count), 1);
	assert_ok(db_exec(o.db, &insert, DB_ARGS(DB_INT(3))));
	other_close(&o);
}

static enum err fill(struct db *db)
{
	static const char block[65536];
	enum err e = ERR_OK;

	for (int i = 0; e == ERR_OK && i < 200; i++) {
		e = db_exec(db, &insert_blob, DB_ARGS(DB_BLOB(str_of(block, sizeof(block)))));
	}
	return e;
}

static void a_full_disk_is_told_and_survived(void **state)
{
	struct test_db *t = *state;
	struct test_db full = {.engine = TEST_SQLITE};
	struct other o;
	char dir[80];

	snprintf(dir, sizeof(dir), "%s/full", t->dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	if (mount("tmpfs", dir, "tmpfs", 0, "size=1m") != 0) {
		rmdir(dir);
		skip();
	}
	snprintf(full.url, sizeof(full.url), "sqlite:%s/test.db", dir);
	arena_init(&full.arena, 0);
	other_open(&o, &full, (struct db_config){0});
	assert_ok(db_exec(o.db, &create, DB_NO_ARGS));
	assert_ok(db_exec(o.db, &insert, DB_ARGS(DB_INT(1))));
	assert_ok(tx_begin(o.db));
	assert_err(fill(o.db), ERR_UNAVAILABLE);
	assert_non_null(strstr(o.fault.text, "the disk is full"));
	assert_err(tx_commit(o.db), ERR_UNAVAILABLE);
	assert_int_equal(number(o.db, &count), 1);
	other_close(&o);
	arena_fini(&full.arena);
	assert_int_equal(umount2(dir, MNT_DETACH), 0);
	rmdir(dir);
}

/* ---- watch ---- */

static void make_old(struct test_db *t)
{
	struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
	char wal[sizeof(t->url) + 8];

	snprintf(wal, sizeof(wal), "%s-wal", t->url + strlen("sqlite:"));
	assert_int_equal(utimensat(AT_FDCWD, t->url + strlen("sqlite:"), old, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, wal, old, 0), 0);
}

static void a_watch_sees_commits_of_others(void **state)
{
	struct test_db *t = *state;
	struct db_watch *w = db_watch_start(&(struct db_watch_deps){.database = t->pool});
	struct other o;

	assert_ok(db_exec(t->db, &create, DB_NO_ARGS));
	other_open(&o, t, (struct db_config){0});
	make_old(t);
	assert_false(db_watch_is_quiet(w)); /* it has never looked */
	for (int i = 0; i < 3; i++) {
		assert_true(db_watch_is_quiet(w));
		assert_ok(db_exec(o.db, &insert, DB_ARGS(DB_INT(i))));
		assert_false(db_watch_is_quiet(w));
		/* Another commit may have the same time. */
		assert_false(db_watch_is_quiet(w));
		make_old(t);
		assert_false(db_watch_is_quiet(w));
	}
	assert_true(db_watch_is_quiet(w));
	assert_int_equal(number(o.db, &count), 3); /* reading is no change */
	assert_true(db_watch_is_quiet(w));
	other_close(&o);
	db_watch_stop(&w);
	assert_null(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_SQLITE(files_are_private),
		ON_SQLITE(commits_are_synced_unless_told_otherwise),
		ON_SQLITE(bad_places_are_named),
		ON_SQLITE(a_file_that_is_no_database_is_told),
		ON_SQLITE(a_file_that_went_does_not_come_back_empty),
		ON_SQLITE(writers_of_a_process_queue),
		ON_SQLITE(a_waiting_writer_gets_its_turn),
		ON_SQLITE(a_lock_of_another_process_is_waited_for),
		ON_SQLITE(processes_may_share_a_file),
		ON_SQLITE(a_killed_process_loses_only_what_was_open),
		ON_SQLITE(a_full_disk_is_told_and_survived),
		ON_SQLITE(a_watch_sees_commits_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
