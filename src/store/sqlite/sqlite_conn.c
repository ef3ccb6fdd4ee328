#include "store/sqlite/sqlite_int.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

enum { PROGRESS_OPS = 4000, TURN_SLICE_MS = 50, BUSY_PAUSE_MAX_MS = 20 };

/* ---- source ---- */

static char *copy_path(struct str path)
{
	char *p = mem_alloc(path.n + 1);

	memcpy(p, path.p, path.n);
	p[path.n] = '\0';
	return p;
}

/*
 * The journal files take their mode from the database file. An existing file is not opened
 * here: closing a second descriptor would drop the locks of a live connection in this process.
 */
static enum err create_file(const char *path, struct fault *f)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0) {
		close(fd);
		return ERR_OK;
	}
	if (errno == EEXIST && access(path, R_OK | W_OK) == 0) {
		return ERR_OK;
	}
	const char *why = errno == ENOENT    ? "its directory does not exist"
			  : errno == ENOSPC  ? "the disk is full"
			  : errno == EROFS   ? "the file system is read-only"
			  : errno == ENOTDIR ? "its directory is a file"
					     : "no permission to read and write it";
	return fault_set(f, ERR_UNAVAILABLE, "database: cannot open %s: %s", path, why);
}

enum err sqlite_open(struct db_pool *pool, const struct db_config *config, struct fault *f)
{
	struct str path = str_skip(config->url, strlen("sqlite:"));

	if (path.n == 0 || memchr(path.p, '\0', path.n) || path.p[0] == ':') {
		return fault_set(f, ERR_INVALID, "database: expected a file after sqlite:");
	}
	struct sqlite_source *src = MEM_NEW(struct sqlite_source);
	src->path = copy_path(path);
	enum err e = create_file(src->path, f);
	if (e != ERR_OK) {
		mem_free(src->path);
		mem_free(src);
		return e;
	}
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&src->turn_over, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&src->mtx, NULL);
	pool->source = src;
	return ERR_OK;
}

void sqlite_close(struct db_pool *pool)
{
	struct sqlite_source *src = pool->source;

	ASSERT(!src->writing);
	pthread_cond_destroy(&src->turn_over);
	pthread_mutex_destroy(&src->mtx);
	mem_free(src->path);
	mem_free(src);
}

/* ---- waiting ---- */

static int on_progress(void *arg)
{
	return db_should_stop(arg) != ERR_OK;
}

/* Another process holds the file lock. Short random pauses, since nobody tells when it ends. */
static int on_busy(void *arg, int count)
{
	struct db *db = arg;
	struct sqlite_conn *c = db->conn;
	uint64_t now = clock_mono_ms();
	uint32_t ms = 1 + rand_below((uint32_t)MIN(count + 1, BUSY_PAUSE_MAX_MS));
	struct timespec ts = {.tv_nsec = ms * 1000000L};

	if (count == 0) {
		c->busy_since_ms = now;
	}
	bool is_over = now - c->busy_since_ms > (uint64_t)db->pool->busy_timeout_ms;
	if (db_should_stop(db) != ERR_OK || (is_over && !db->patient)) {
		return 0;
	}
	nanosleep(&ts, NULL);
	return 1;
}

enum err sqlite_turn_begin(struct db *db)
{
	struct sqlite_source *src = db->pool->source;
	struct sqlite_conn *c = db->conn;
	enum err e = ERR_OK;

	ASSERT(!c->has_turn);
	pthread_mutex_lock(&src->mtx);
	while (src->writing && e == ERR_OK) {
		struct timespec until = db_mono_after(TURN_SLICE_MS);

		pthread_cond_timedwait(&src->turn_over, &src->mtx, &until);
		e = src->writing ? db_should_stop(db) : ERR_OK;
	}
	if (e == ERR_OK) {
		src->writing = c->has_turn = true;
	}
	pthread_mutex_unlock(&src->mtx);
	return e == ERR_OK ? ERR_OK : db_fail(db, e, NULL, "gave up waiting for other writers");
}

void sqlite_turn_end(struct db *db)
{
	struct sqlite_source *src = db->pool->source;
	struct sqlite_conn *c = db->conn;

	if (!c->has_turn) {
		return;
	}
	c->has_turn = false;
	pthread_mutex_lock(&src->mtx);
	src->writing = false;
	pthread_cond_signal(&src->turn_over);
	pthread_mutex_unlock(&src->mtx);
}

/* ---- connection ---- */

static const char *const pragmas_full = "PRAGMA synchronous = FULL;"
					"PRAGMA foreign_keys = ON;"
					"PRAGMA trusted_schema = OFF;"
					"PRAGMA temp_store = MEMORY;"
					"PRAGMA journal_size_limit = 67108864;";

static int prepare_verbs(struct sqlite_conn *c)
{
	const unsigned keep = SQLITE_PREPARE_PERSISTENT;
	int rc = sqlite3_prepare_v3(c->h, "BEGIN", -1, keep, &c->begin, NULL);

	rc = rc ? rc : sqlite3_prepare_v3(c->h, "BEGIN IMMEDIATE", -1, keep, &c->begin_write, NULL);
	rc = rc ? rc : sqlite3_prepare_v3(c->h, "COMMIT", -1, keep, &c->commit, NULL);
	return rc ? rc : sqlite3_prepare_v3(c->h, "ROLLBACK", -1, keep, &c->rollback, NULL);
}

/* Two processes that switch a new file to WAL at once: one sees BUSY without a busy call. */
static int enter_wal(struct db *db, sqlite3 *h)
{
	for (int count = 0;; count++) {
		int rc = sqlite3_exec(h, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);

		if ((rc & 0xff) != SQLITE_BUSY || !on_busy(db, count)) {
			return rc;
		}
	}
}

static int set_up(struct db *db, struct sqlite_conn *c)
{
	sqlite3_extended_result_codes(c->h, 1);
	sqlite3_busy_handler(c->h, on_busy, db);
	sqlite3_progress_handler(c->h, PROGRESS_OPS, on_progress, db);
	/* A misspelt "column" is an error, not a string. */
	sqlite3_db_config(c->h, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	sqlite3_db_config(c->h, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	sqlite3_db_config(c->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	int rc = enter_wal(db, c->h);
	rc = rc ? rc : sqlite3_exec(c->h, pragmas_full, NULL, NULL, NULL);
	if (!rc && db->pool->sync == DB_SYNC_NORMAL) {
		rc = sqlite3_exec(c->h, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
	}
	return rc ? rc : prepare_verbs(c);
}

enum err sqlite_connect(struct db *db)
{
	const struct sqlite_source *src = db->pool->source;
	struct sqlite_conn *c = MEM_NEW(struct sqlite_conn);

	/* Not SQLITE_OPEN_CREATE: a file that was removed must not come back empty. */
	int rc = sqlite3_open_v2(src->path, &c->h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
				 NULL);
	db->conn = c;
	rc = rc ? rc : set_up(db, c);
	if (rc == SQLITE_OK) {
		return ERR_OK;
	}
	enum err e = sqlite_failed(db, NULL, rc);
	if (db->conn) {
		sqlite_disconnect(db);
	}
	return e;
}

void sqlite_forget_statements(struct sqlite_conn *c)
{
	struct map_entry entry;
	size_t pos = 0;

	while (map_next(&c->stmts, &pos, &entry)) {
		struct sqlite_prepared *p = entry.value;

		sqlite3_finalize(p->h);
		mem_free(p->arg_of);
		mem_free(p);
	}
	map_free(&c->stmts);
	c->stmts = (struct map){0};
}

void sqlite_disconnect(struct db *db)
{
	struct sqlite_conn *c = db->conn;

	sqlite_turn_end(db);
	sqlite_forget_statements(c);
	sqlite3_finalize(c->begin);
	sqlite3_finalize(c->begin_write);
	sqlite3_finalize(c->commit);
	sqlite3_finalize(c->rollback);
	int rc = sqlite3_close(c->h);
	ASSERT(rc == SQLITE_OK);
	mem_free(c);
	db->conn = NULL;
}

bool sqlite_is_alive(struct db *db UNUSED)
{
	return true;
}
