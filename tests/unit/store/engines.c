#include "unit.h"

#include "base/mem.h"
#include "store/engines.h"

#include <dirent.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	char url[256];
	char dir[128];
} server;

/* Runs a tool to its end; takes PG_URL= and PG_DIR= from its output. False when it failed. */
static bool run(const char *tool, const char *arg1, const char *arg2, const char *arg3)
{
	char *argv[] = {(char *)tool, (char *)arg1, (char *)arg2, (char *)arg3, NULL};
	posix_spawn_file_actions_t actions;
	int ends[2], status = -1;
	char line[512];
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	assert_int_equal(posix_spawn(&pid, tool, &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	FILE *out = fdopen(ends[0], "r");
	assert_non_null(out);
	while (fgets(line, sizeof(line), out)) {
		struct str s = str_trim(str_c(line));

		if (str_starts(s, STR("PG_URL="))) {
			snprintf(server.url, sizeof(server.url), "%.*s", STR_ARG(str_skip(s, 7)));
		} else if (str_starts(s, STR("PG_DIR="))) {
			snprintf(server.dir, sizeof(server.dir), "%.*s", STR_ARG(str_skip(s, 7)));
		}
	}
	fclose(out);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static void stop_at_exit(void)
{
	if (!run("tools/pg-stop", "--kill", server.dir, NULL)) {
		print_error("tools/pg-stop failed\n");
	}
}

const char *test_pg_url(void)
{
	const char *given = getenv("POSTHOUSE_TEST_PG");
	char pid[16];

	if (server.url[0]) {
		return server.url;
	}
	if (given && given[0]) {
		snprintf(server.url, sizeof(server.url), "%s", given);
		return server.url;
	}
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_true(run("tools/pg-start", "--for", pid, NULL));
	atexit(stop_at_exit);
	return server.url;
}

void test_pg_own(void)
{
	unsetenv("POSTHOUSE_TEST_PG");
}

void test_pg_kill(void)
{
	assert_true(server.dir[0]);
	assert_true(run("tools/pg-stop", "--keep", "--kill", server.dir));
}

void test_pg_restart(void)
{
	assert_true(server.dir[0]);
	assert_true(run("tools/pg-start", server.dir, NULL, NULL));
}

/* Children have the postmaster in the fourth field of /proc/PID/stat, their names no blanks. */
static bool is_of_server(pid_t pid, pid_t postmaster)
{
	char path[32];
	int parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *f = fopen(path, "re");
	if (f && fscanf(f, "%*d %*s %*c %d", &parent) != 1) {
		parent = 0;
	}
	if (f) {
		fclose(f);
	}
	return parent == postmaster;
}

/* The postmaster first: it starts no more then. */
static void signal_all(int signo)
{
	char path[sizeof(server.dir) + 32];
	struct dirent *entry;
	int postmaster = 0;

	snprintf(path, sizeof(path), "%s/data/postmaster.pid", server.dir);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &postmaster), 1);
	fclose(f);
	assert_int_equal(kill(postmaster, signo), 0);
	DIR *d = opendir("/proc");
	assert_non_null(d);
	while ((entry = readdir(d))) {
		uint64_t pid = 0;

		if (str_to_u64(str_c(entry->d_name), &pid) &&
		    is_of_server((pid_t)pid, postmaster)) {
			(void)kill((pid_t)pid, signo);
		}
	}
	closedir(d);
}

void test_pg_hang(void)
{
	signal_all(SIGSTOP);
}

void test_pg_go_on(void)
{
	signal_all(SIGCONT);
}

static void admin(const char *sql)
{
	PGconn *c = PQconnectdb(test_pg_url());
	PGresult *res = PQexec(c, sql);

	if (PQresultStatus(res) != PGRES_COMMAND_OK) {
		fail_msg("%s: %s", sql, PQerrorMessage(c));
	}
	PQclear(res);
	PQfinish(c);
}

static void make_sqlite(struct test_db *t)
{
	snprintf(t->dir, sizeof(t->dir), "/tmp/posthouse-test.XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->url, sizeof(t->url), "sqlite:%s/test.db", t->dir);
}

static void make_pgsql(struct test_db *t)
{
	static unsigned count;
	char sql[128];
	const char *url = test_pg_url();

	snprintf(t->name, sizeof(t->name), "test_%d_%u", (int)getpid(), count++);
	snprintf(sql, sizeof(sql), "CREATE DATABASE %s", t->name);
	admin(sql);
	snprintf(t->url, sizeof(t->url), "%s%cdbname=%s", url, strchr(url, '?') ? '&' : '?',
		 t->name);
}

static void begin_task(struct test_db *t, struct db *db)
{
	struct db_task task = {.arena = &t->arena, .fault = &t->fault};

	db_begin_task(db, &task);
}

struct db *test_db_session(struct test_db *t)
{
	struct db *db = NULL;

	assert_ok(db_get(t->pool, 5000, &db, NULL));
	begin_task(t, db);
	return db;
}

void test_db_new_task(struct test_db *t)
{
	db_end_task(t->db);
	t->fault = (struct fault){0};
	begin_task(t, t->db);
}

int test_db_setup(void **state)
{
	struct test_db *t = MEM_NEW(struct test_db);

	t->engine = (enum test_engine)(uintptr_t)*state;
	arena_init(&t->arena, 0);
	if (t->engine == TEST_SQLITE) {
		make_sqlite(t);
	} else {
		make_pgsql(t);
	}
	struct db_config config = {.url = str_c(t->url), .size = 8};
	assert_ok(db_pool_open(&config, &t->pool, NULL));
	t->db = test_db_session(t);
	*state = t;
	return 0;
}

static void remove_sqlite(struct test_db *t)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		snprintf(path, sizeof(path), "%s/test.db%s", t->dir, suffixes[i]);
		unlink(path);
	}
	rmdir(t->dir);
}

int test_db_teardown(void **state)
{
	struct test_db *t = *state;
	char sql[128];

	db_put(&t->db);
	db_pool_close(&t->pool);
	if (t->engine == TEST_SQLITE) {
		remove_sqlite(t);
	} else {
		snprintf(sql, sizeof(sql), "DROP DATABASE %s WITH (FORCE)", t->name);
		admin(sql);
	}
	arena_fini(&t->arena);
	mem_free(t);
	return 0;
}

void test_db_script(struct test_db *t, const char *sql)
{
	struct stmt *st = ARENA_NEW(&t->arena, struct stmt);

	st->name = "test";
	st->sql = sql;
	if (db_exec(t->db, st, DB_NO_ARGS) != ERR_OK) {
		fail_msg("%s: %s", sql, t->fault.text);
	}
}
