/*
 * What only a server can do: go away, come back, refuse, and be several.
 */
#include "unit.h"

#include "base/clock.h"
#include "store/engines.h"
#include "store/watch.h"

#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const struct stmt create = {
	.name = "create",
	.pgsql = "CREATE TABLE t (id bigint PRIMARY KEY, n bigint, s varchar(5))"};
static const struct stmt insert = {
	.name = "insert", .pgsql = "INSERT INTO t (id, n) VALUES ($1, $2)", .params = "ii"};
static const struct stmt insert_text = {
	.name = "insert_text", .pgsql = "INSERT INTO t (id, s) VALUES ($1, $2)", .params = "it"};
static const struct stmt update = {
	.name = "update", .pgsql = "UPDATE t SET n = $2 WHERE id = $1", .params = "ii"};
static const struct stmt sum = {
	.name = "sum", .pgsql = "SELECT coalesce(sum(n), 0)::bigint FROM t", .cols = "i"};
static const struct stmt count = {.name = "count", .pgsql = "SELECT count(*) FROM t", .cols = "i"};
static const struct stmt pid = {.name = "pid", .pgsql = "SELECT pg_backend_pid()", .cols = "i"};
static const struct stmt terminate = {.name = "terminate",
				      .pgsql = "SELECT pg_terminate_backend($1::int, 5000)",
				      .params = "i",
				      .cols = "b"};
static const struct stmt endless_rows = {
	.name = "endless_rows",
	.pgsql = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x % 1000 + 1 FROM c)"
		 " SELECT x FROM c",
	.cols = "i"};
static const struct db_col x_col = {"x", 'i', 0};
static const struct db_shape x_shape = {"x", &x_col, 1, sizeof(int64_t)};

static int64_t number(struct db *db, const struct stmt *st)
{
	int64_t n = -1;

	assert_ok(db_int(db, st, DB_NO_ARGS, &n));
	return n;
}

/* Calls go on failing fast while the back-off lasts. */
static void wait_until_back(struct test_db *t)
{
	uint64_t give_up = clock_mono_ms() + 20000;

	do {
		test_db_new_task(t);
		if (db_ping(t->db) == ERR_OK) {
			return;
		}
		usleep(20000);
	} while (clock_mono_ms() < give_up);
	fail_msg("still down: %s", t->fault.text);
}

/* ---- coming and going ---- */

static void a_session_survives_a_restart(void **state)
{
	struct test_db *t = *state;

	assert_ok(db_exec(t->db, &create, DB_NO_ARGS));
	assert_ok(db_exec(t->db, &insert, DB_ARGS(DB_INT(1), DB_INT(1))));
	test_pg_kill();
	assert_err(db_exec(t->db, &insert, DB_ARGS(DB_INT(2), DB_INT(1))), ERR_UNAVAILABLE);
	assert_err(db_ping(t->db), ERR_UNAVAILABLE);
	assert_err(tx_begin(t->db), ERR_UNAVAILABLE);
	test_pg_restart();
	wait_until_back(t);
	assert_int_equal(number(t->db, &count), 1);
	assert_ok(db_exec(t->db, &insert, DB_ARGS(DB_INT(2), DB_INT(1))));
}

static enum err kill_server_once(void *row UNUSED, void *ctx)
{
	bool *done = ctx;

	if (!*done) {
		*done = true;
		test_pg_kill();
	}
	return ERR_OK;
}

static void a_crash_within_a_statement_is_survived(void **state)
{
	struct test_db *t = *state;
	bool done = false;

	assert_ok(tx_begin(t->db));
	assert_err(db_each(t->db, &endless_rows, DB_NO_ARGS, &x_shape, kill_server_once, &done),
		   ERR_UNAVAILABLE);
	assert_err(tx_commit(t->db), ERR_UNAVAILABLE);
	test_pg_restart();
	wait_until_back(t);
}

static void terminate_session(struct test_db *t)
{
	struct db *other = test_db_session(t);
	struct db_col col = {"b", 'b', 0};
	struct db_shape shape = {"b", &col, 1, sizeof(bool)};
	int64_t backend = number(t->db, &pid);
	bool done = false;

	assert_ok(db_one(other, &terminate, DB_ARGS(DB_INT(backend)), &shape, &done));
	assert_true(done);
	db_put(&other);
}

static void an_idle_connection_that_broke_is_not_noticed(void **state)
{
	struct test_db *t = *state;

	assert_ok(db_exec(t->db, &create, DB_NO_ARGS));
	terminate_session(t);
	assert_ok(db_exec(t->db, &insert, DB_ARGS(DB_INT(1), DB_INT(1))));
	assert_int_equal(number(t->db, &count), 1);
}

static void a_connection_that_breaks_in_a_transaction_ends_it(void **state)
{
	struct test_db *t = *state;

	assert_ok(db_exec(t->db, &create, DB_NO_ARGS));
	assert_ok(tx_begin(t->db));
	assert_ok(db_exec(t->db, &insert, DB_ARGS(DB_INT(1), DB_INT(1))));
	terminate_session(t);
	assert_err(db_exec(t->db, &insert, DB_ARGS(DB_INT(2), DB_INT(1))), ERR_UNAVAILABLE);
	assert_err(db_exec(t->db, &insert, DB_ARGS(DB_INT(3), DB_INT(1))), ERR_UNAVAILABLE);
	assert_err(tx_commit(t->db), ERR_UNAVAILABLE);
	assert_int_equal(number(t->db, &count), 0);
}

/* ---- hanging ---- */

static void begin_short_task(struct test_db *t, uint64_t ms)
{
	db_end_task(t->db);
	t->fault = (struct fault){0};
	db_begin_task(t->db, &(struct db_task){.arena = &t->arena,
					       .fault = &t->fault,
					       .deadline_mono_ms = clock_mono_ms() + ms});
}

static void a_server_that_hangs_holds_nobody(void **state)
{
	struct test_db *t = *state;

	assert_ok(db_exec(t->db, &create, DB_NO_ARGS));
	begin_short_task(t, 1000);
	assert_ok(tx_begin(t->db));
	assert_ok(db_exec(t->db, &insert, DB_ARGS(DB_INT(1), DB_INT(1))));
	test_pg_hang();
	uint64_t start = clock_mono_ms();
	enum err late = db_ping(t->db);
	enum err end = tx_commit(t->db);
	uint64_t took_ms = clock_mono_ms() - start;
	test_pg_go_on();
	assert_err(late, ERR_TIMEOUT);
	assert_err(end, ERR_TIMEOUT);
	assert_in_range(took_ms, 0, 3000);
	wait_until_back(t);
	assert_int_equal(number(t->db, &count), 0);
}

/* Not after statement_timeout, which is that of a minute. */
static void what_was_left_ends_on_the_server(void **state)
{
	static const struct stmt wait_long = {
		.name = "wait_long", .pgsql = "INSERT INTO t SELECT 1, length(pg_sleep(50)::text)"};
	static const struct stmt others = {
		.name = "others",
		.pgsql = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND"
			 " datname = current_database() AND backend_type = 'client backend'"
			 " AND pid <> pg_backend_pid()",
		.cols = "i"};
	struct test_db *t = *state;
	uint64_t give_up = clock_mono_ms() + 30000;

	assert_ok(db_exec(t->db, &create, DB_NO_ARGS));
	begin_short_task(t, 100);
	assert_err(db_exec(t->db, &wait_long, DB_NO_ARGS), ERR_TIMEOUT);
	test_db_new_task(t);
	while (number(t->db, &others) > 0) {
		assert_true(clock_mono_ms() < give_up);
		usleep(20000);
	}
	assert_int_equal(number(t->db, &count), 0);
}

/* ---- not there ---- */

static void ping_url(const char *url, enum err want, struct fault *f)
{
	struct db_config config = {.url = str_c(url), .size = 1, .connect_timeout_ms = 2000};
	struct db_pool *pool = NULL;
	struct db *db = NULL;
	struct arena a;

	arena_init(&a, 0);
	assert_ok(db_pool_open(&config, &pool, f));
	assert_ok(db_get(pool, 0, &db, f));
	db_begin_task(db, &(struct db_task){.arena = &a, .fault = f});
	assert_err(db_ping(db), want);
	if (want == ERR_UNAVAILABLE) {
		/* the second fails at once, with the text of the first */
		struct fault again = {0};
		uint64_t start = clock_mono_ms();

		db_end_task(db);
		db_begin_task(db, &(struct db_task){.arena = &a, .fault = &again});
		assert_err(db_ping(db), ERR_UNAVAILABLE);
		assert_string_equal(again.text, f->text);
		assert_true(clock_mono_ms() - start < 1000);
	}
	db_put(&db);
	db_pool_close(&pool);
	arena_fini(&a);
}

static void an_absent_server_is_told_without_the_password(void **state)
{
	struct fault f = {0};

	(void)state;
	/* port 1 on loopback: nobody listens */
	ping_url("postgres://bob:hunter2@127.0.0.1:1/x", ERR_UNAVAILABLE, &f);
	assert_non_null(strstr(f.text, "127.0.0.1"));
	assert_non_null(strstr(f.text, "refused"));
	assert_null(strstr(f.text, "hunter2"));
	assert_null(strchr(f.text, '\n'));
}

static void a_silent_server_is_given_up(void **state)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t len = sizeof(addr);
	uint64_t start = clock_mono_ms();
	struct fault f = {0};
	char url[80];

	(void)state;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	snprintf(url, sizeof(url), "postgres://bob@127.0.0.1:%d/x", ntohs(addr.sin_port));
	ping_url(url, ERR_UNAVAILABLE, &f);
	assert_in_range(clock_mono_ms() - start, 1000, 6000);
	close(fd);
}

/* Where a server listens that accepts nobody, until its place is given to another. */
struct silent {
	char dir[32];
	char path[64];
	int fd;
};

static void silent_start(struct silent *s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(s->dir, sizeof(s->dir), "/tmp/posthouse-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/.s.PGSQL.5432", s->dir);
	memcpy(addr.sun_path, s->path, sizeof(s->path));
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(s->fd, 4), 0);
}

/* Returns with the first client on the line. */
static int silent_accept(struct silent *s)
{
	int fd = accept(s->fd, NULL, NULL);

	assert_true(fd >= 0);
	return fd;
}

static void silent_give_place_to(struct silent *s, const char *url)
{
	const char *dir = strstr(url, "host=") + strlen("host=");
	char other[256];

	snprintf(other, sizeof(other), "%.*s/.s.PGSQL.5432", (int)strcspn(dir, "&"), dir);
	assert_int_equal(unlink(s->path), 0);
	assert_int_equal(symlink(other, s->path), 0);
}

static void silent_end(struct silent *s)
{
	close(s->fd);
	unlink(s->path);
	rmdir(s->dir);
}

struct attempt {
	struct db_pool *pool;
	struct fault fault;
	enum err err;
};

static void *try_to_ping(void *arg)
{
	struct attempt *a = arg;
	struct arena arena;
	struct db *db = NULL;

	arena_init(&arena, 0);
	a->err = db_get(a->pool, 0, &db, &a->fault);
	if (a->err == ERR_OK) {
		db_begin_task(db, &(struct db_task){.arena = &arena, .fault = &a->fault});
		a->err = db_ping(db);
		db_put(&db);
	}
	arena_fini(&arena);
	return NULL;
}

/* Who asked the server before it hung fails after others were answered: no new outage. */
static void an_attempt_that_fails_late_stops_nobody(void **state)
{
	struct test_db *t = *state;
	struct silent s;
	char url[128];
	struct db_pool *pool = NULL;
	struct db *connected = NULL;
	struct db *cold = NULL;
	struct fault f = {0};
	pthread_t thread;

	silent_start(&s);
	snprintf(url, sizeof(url), "postgres://posthouse@/postgres?host=%s", s.dir);
	assert_ok(db_pool_open(&(struct db_config){.url = str_c(url)}, &pool, &f));
	struct attempt late = {.pool = pool};
	assert_int_equal(pthread_create(&thread, NULL, try_to_ping, &late), 0);
	int line = silent_accept(&s);
	silent_give_place_to(&s, t->url);
	assert_ok(db_get(pool, 0, &connected, &f));
	db_begin_task(connected, &(struct db_task){.arena = &t->arena, .fault = &f});
	assert_ok(db_ping(connected));
	close(line);
	pthread_join(thread, NULL);
	assert_err(late.err, ERR_UNAVAILABLE);
	assert_ok(db_get(pool, 0, &cold, &f));
	db_begin_task(cold, &(struct db_task){.arena = &t->arena, .fault = &f});
	assert_ok(db_ping(cold));
	db_put(&cold);
	db_put(&connected);
	db_pool_close(&pool);
	silent_end(&s);
}

static void of_several_hosts_one_is_enough(void **state)
{
	struct test_db *t = *state;
	struct fault f = {0};
	char url[640];
	const char *dir = strstr(t->url, "host=") + strlen("host=");

	snprintf(url, sizeof(url), "postgres://posthouse@/postgres?host=/nonexistent,%s", dir);
	ping_url(url, ERR_OK, &f);
}

static void wrong_urls_are_refused_without_the_password(void **state)
{
	static const char *const urls[] = {
		"postgres://bob:hunter2@host:port/x",
		"postgres://bob:hunter2%zz@host/x",
		"postgres://bob@host/x?password=hunter2&nonsense=1",
		"postgresql://[::1/x",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		struct db_config config = {.url = str_c(urls[i])};
		struct db_pool *pool = NULL;
		struct fault f = {0};
		enum err e = db_pool_open(&config, &pool, &f);

		if (e == ERR_OK) { /* "port" is for the resolver to judge */
			db_pool_close(&pool);
			continue;
		}
		assert_err(e, ERR_INVALID);
		assert_null(strstr(f.text, "hunter2"));
	}
}

/* ---- lost races ---- */

static void write_skew_is_a_transient_conflict(void **state)
{
	struct test_db *t = *state;
	struct db *other = test_db_session(t);

	assert_ok(db_exec(t->db, &create, DB_NO_ARGS));
	assert_ok(db_exec(t->db, &insert, DB_ARGS(DB_INT(1), DB_INT(1))));
	assert_ok(db_exec(t->db, &insert, DB_ARGS(DB_INT(2), DB_INT(1))));
	assert_ok(tx_begin(t->db));
	assert_ok(tx_begin(other));
	assert_int_equal(number(t->db, &sum), 2);
	assert_int_equal(number(other, &sum), 2);
	assert_ok(db_exec(t->db, &update, DB_ARGS(DB_INT(1), DB_INT(0))));
	enum err second = db_exec(other, &update, DB_ARGS(DB_INT(2), DB_INT(0)));
	enum err first = tx_commit(t->db);
	assert_ok(first);
	second = second == ERR_OK ? tx_commit(other) : second;
	assert_err(second, ERR_CONFLICT);
	assert_true(db_is_transient(other));
	db_put(&other);
	assert_int_equal(number(t->db, &sum), 1);
}

struct deadlock {
	struct db *db;
	enum err err;
	bool transient;
};

static void *update_one(void *arg)
{
	struct deadlock *d = arg;

	d->err = db_exec(d->db, &update, DB_ARGS(DB_INT(1), DB_INT(9)));
	d->transient = db_is_transient(d->db);
	tx_abort(d->db);
	return NULL;
}

static void a_deadlock_is_a_transient_conflict(void **state)
{
	struct test_db *t = *state;
	struct deadlock d = {.db = test_db_session(t)};
	pthread_t thread;

	assert_ok(db_exec(t->db, &create, DB_NO_ARGS));
	assert_ok(db_exec(t->db, &insert, DB_ARGS(DB_INT(1), DB_INT(1))));
	assert_ok(db_exec(t->db, &insert, DB_ARGS(DB_INT(2), DB_INT(1))));
	assert_ok(tx_begin(t->db));
	assert_ok(tx_begin(d.db));
	assert_ok(db_exec(t->db, &update, DB_ARGS(DB_INT(1), DB_INT(5))));
	assert_ok(db_exec(d.db, &update, DB_ARGS(DB_INT(2), DB_INT(5))));
	pthread_create(&thread, NULL, update_one, &d);
	enum err mine = db_exec(t->db, &update, DB_ARGS(DB_INT(2), DB_INT(5)));
	bool transient = db_is_transient(t->db);
	tx_abort(t->db);
	pthread_join(thread, NULL);
	assert_true((mine == ERR_CONFLICT && transient) || (d.err == ERR_CONFLICT && d.transient));
	db_put(&d.db);
}

/* ---- values that the server refuses ---- */

static void refused_values_are_invalid(void **state)
{
	static const struct str bad[] = {STR_INIT("longer than five"), STR_INIT("\xff\xfe"),
					 STR_INIT("a\0b")};
	struct test_db *t = *state;

	assert_ok(db_exec(t->db, &create, DB_NO_ARGS));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_err(db_exec(t->db, &insert_text, DB_ARGS(DB_INT(1), DB_TEXT(bad[i]))),
			   ERR_INVALID);
	}
	assert_ok(db_exec(t->db, &insert_text, DB_ARGS(DB_INT(1), DB_TEXT(STR("five!")))));
}

static void a_changed_plan_heals(void **state)
{
	static const struct stmt get = {
		.name = "get", .pgsql = "SELECT s FROM t WHERE id = 1", .cols = "T"};
	static const struct stmt widen = {.name = "widen",
					  .pgsql = "ALTER TABLE t ALTER COLUMN s TYPE text"};
	static const struct db_col col = {"s", 'T', 0};
	static const struct db_shape shape = {"row", &col, 1, sizeof(struct str)};
	struct test_db *t = *state;
	struct str s;

	assert_ok(db_exec(t->db, &create, DB_NO_ARGS));
	assert_ok(db_exec(t->db, &insert_text, DB_ARGS(DB_INT(1), DB_TEXT(STR("abc")))));
	assert_ok(db_one(t->db, &get, DB_NO_ARGS, &shape, &s));
	assert_ok(db_exec(t->db, &widen, DB_NO_ARGS));
	assert_err(db_one(t->db, &get, DB_NO_ARGS, &shape, &s), ERR_UNAVAILABLE);
	assert_ok(db_one(t->db, &get, DB_NO_ARGS, &shape, &s));
	assert_str(s, STR("abc"));
}

/* ---- watch ---- */

static void on_news(void *arg)
{
	(void)sem_post(arg);
}

static void ask_quiet(struct loop *l, void *arg)
{
	struct db_watch **w = arg;

	(void)l;
	/* A pointer has room for the answer. */
	*w = db_watch_is_quiet(*w) ? *w : NULL;
}

static bool is_quiet(struct loops *loops, struct db_watch *w)
{
	loop_call(loops->v[0], ask_quiet, &w);
	return w != NULL;
}

/* News come once it listens, with each NOTIFY, and when it is back after the server went away. */
static void a_watch_is_told_and_comes_back(void **state)
{
	static const struct stmt notify = {.name = "notify", .pgsql = "NOTIFY test_channel"};
	static const struct stmt other = {.name = "other", .pgsql = "NOTIFY test_other"};
	struct test_db *t = *state;
	struct loops loops = {0};
	struct pool *workers = pool_new("test", 1, 4, NULL);
	struct db_watch *w;
	sem_t news;

	assert_int_equal(sem_init(&news, 0, 0), 0);
	assert_ok(loops_start(&loops, 1, NULL));
	w = db_watch_start(&(struct db_watch_deps){.database = t->pool,
						   .loop = loops.v[0],
						   .workers = workers,
						   .channel = "test_channel",
						   .on_news = on_news,
						   .arg = &news});
	(void)sem_wait(&news);
	assert_false(is_quiet(&loops, w));
	assert_true(is_quiet(&loops, w));
	for (int i = 0; i < 3; i++) {
		assert_ok(db_exec(t->db, &other, DB_NO_ARGS));
		assert_ok(db_exec(t->db, &notify, DB_NO_ARGS));
		(void)sem_wait(&news);
		assert_false(is_quiet(&loops, w));
		assert_true(is_quiet(&loops, w));
	}
	assert_int_equal(sem_trywait(&news), -1);
	test_pg_kill();
	test_pg_restart();
	(void)sem_wait(&news);
	wait_until_back(t);
	assert_ok(db_exec(t->db, &notify, DB_NO_ARGS));
	(void)sem_wait(&news);
	db_watch_stop(&w);
	pool_free(&workers);
	loops_join(&loops);
	loops_free(&loops);
	(void)sem_destroy(&news);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_PGSQL(a_session_survives_a_restart),
		ON_PGSQL(a_crash_within_a_statement_is_survived),
		ON_PGSQL(an_idle_connection_that_broke_is_not_noticed),
		ON_PGSQL(a_connection_that_breaks_in_a_transaction_ends_it),
		ON_PGSQL(a_server_that_hangs_holds_nobody),
		ON_PGSQL(what_was_left_ends_on_the_server),
		cmocka_unit_test(an_absent_server_is_told_without_the_password),
		cmocka_unit_test(a_silent_server_is_given_up),
		ON_PGSQL(an_attempt_that_fails_late_stops_nobody),
		ON_PGSQL(of_several_hosts_one_is_enough),
		cmocka_unit_test(wrong_urls_are_refused_without_the_password),
		ON_PGSQL(write_skew_is_a_transient_conflict),
		ON_PGSQL(a_deadlock_is_a_transient_conflict),
		ON_PGSQL(refused_values_are_invalid),
		ON_PGSQL(a_changed_plan_heals),
		ON_PGSQL(a_watch_is_told_and_comes_back),
	};

	test_pg_own();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
