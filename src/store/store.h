/*
 * store - one way to talk to SQLite and PostgreSQL
 *
 * A pool (`struct db_pool`) is opened from a URL and hands out sessions. A session
 * (`struct db`) is a connection plus what the current task lends it: the arena for
 * results, a deadline, a cancel flag and a fault. Calls block, so sessions belong to
 * workers. Each worker keeps one session; between db_begin_task and db_end_task it
 * serves one task. db_end_task rolls back what was not committed, so an early return
 * with TRY is safe.
 *
 *	static const struct stmt tenant_get = {
 *		.name = "tenant_get",
 *		.sql = "SELECT name, created FROM tenants WHERE id = $1",
 *		.params = "u", .cols = "tm",
 *	};
 *	TRY(db_one(db, &tenant_get, DB_ARGS(DB_GUID(&id)), &tenant_row, &tenant));
 *
 * Semantics are the same on both engines: transactions are serializable, and once a
 * statement failed inside a transaction the transaction can only be aborted. Where a
 * clash is an expected outcome, say ON CONFLICT in the SQL.
 *
 * Ownership  results live in the task's arena. Arguments are borrowed for the call.
 * Threads    pool: any, but no blocking call on a loop. Session: one worker at a time.
 * Failure    ERR_NOT_FOUND    no such row
 *            ERR_CONFLICT     unique or foreign key violation; also a concurrent change
 *                             won (db_is_transient tells, db_retry handles it)
 *            ERR_INVALID      a value breaks a CHECK, NOT NULL or length of its column
 *            ERR_LIMIT        more rows than the caller allowed
 *            ERR_TIMEOUT, ERR_CANCELED   the task's deadline or cancel flag
 *            ERR_UNAVAILABLE  no connection, disk full, database busy or read-only. A
 *                             lost connection fails the running call; the next
 *                             call connects anew, with back-off while that fails
 *            ERR_INTERNAL     the statement or the schema is wrong
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/guid.h"
#include "base/json.h" /* opt_i64, opt_bool */
#include "base/str.h"

#include <stdatomic.h>

struct db;
struct db_pool;

/* ---- pool ---- */

enum db_sync {
	DB_SYNC_FULL,	/* a commit survives power loss */
	DB_SYNC_NORMAL, /* SQLite only: a commit survives a crash of the process */
};

struct db_config {
	struct str url;		    /* sqlite:PATH, postgres://… or postgresql://… */
	unsigned size;		    /* sessions at most; 0 = 4 */
	int64_t connect_timeout_ms; /* 0 = 5 s */
	int64_t busy_timeout_ms;    /* wait for a lock of another process; 0 = 5 s */
	int64_t statement_max_ms;   /* for tasks without deadline; 0 = 60 s */
	enum db_sync sync;
};

/* Whether it names one of the engines. */
enum err db_url_check(struct str url, struct fault *f) MUST_USE;
/*
 * Checks the URL and, for SQLite, that the file can be opened (it is created with mode
 * 0600). Does not connect to a server: a server that is down is an outage of calls.
 */
enum err db_pool_open(const struct db_config *config, struct db_pool **out,
		      struct fault *f) MUST_USE;
/* All sessions must have been put back. NULL-safe, sets *pool to NULL. */
void db_pool_close(struct db_pool **pool);
/* "sqlite" or "pgsql". */
const char *db_pool_engine(const struct db_pool *pool);

/* ERR_UNAVAILABLE when none is free within `wait_ms`. */
enum err db_get(struct db_pool *pool, int64_t wait_ms, struct db **out, struct fault *f) MUST_USE;
/* Ends the task if one is open. NULL-safe, sets *db to NULL. */
void db_put(struct db **db);

/* Tests: the n-th statement from now on (1 = the next), on any session, fails with
 * ERR_UNAVAILABLE. 0 switches it off. */
void db_fail_after(struct db_pool *pool, unsigned n);

/* ---- task ---- */

struct db_task {
	struct arena *arena;	     /* results */
	uint64_t deadline_mono_ms;   /* 0 = none */
	const atomic_bool *canceled; /* may be NULL; set by another thread */
	struct fault *fault;	     /* may be NULL */
};

void db_begin_task(struct db *db, const struct db_task *task);
/* Rolls back an open transaction. Harmless without a task. */
void db_end_task(struct db *db);

struct arena *db_arena(const struct db *db);
struct fault *db_fault(const struct db *db);

/* ---- statements ---- */

/*
 * Types, one character each, for parameters and columns; upper case = may be null.
 *
 *	     argument   field       nullable field   PostgreSQL     SQLite
 *	t T  DB_TEXT    struct str  (p NULL)         text, varchar  TEXT
 *	i I  DB_INT     int64_t     struct opt_i64   int2, 4, 8     INTEGER
 *	b B  DB_BOOL    bool        struct opt_bool  boolean        INTEGER 0, 1
 *	m M  DB_TIME    int64_t     struct opt_i64   timestamptz    INTEGER, wall ms
 *	u U  DB_GUID    struct guid struct opt_guid  uuid           BLOB(16)
 *	x X  DB_BLOB    struct str  (p NULL)         bytea          BLOB
 *
 * Placeholders are $1, $2 … on both engines. Only one statement in a text.
 */
struct stmt {
	const char *name;
	const char *sql;    /* for every engine without an override */
	const char *sqlite; /* override */
	const char *pgsql;  /* override */
	const char *params; /* NULL = none */
	const char *cols;   /* NULL = returns no rows */
};

/* What a role registers, so that a unit test prepares every statement on both engines. */
struct stmt_table {
	const char *role;
	const struct stmt *stmts;
	size_t n;
};

struct opt_guid {
	bool has;
	struct guid v;
};

struct db_arg {
	char type; /* 't' 'i' 'b' 'm' 'u' 'x', or 0 = null */
	union {
		struct str s;
		int64_t i;
		bool b;
		struct guid u;
	};
};

struct db_args {
	const struct db_arg *v;
	size_t n;
};

/* A string with p NULL is null; STR("") is the empty string. */
#define DB_TEXT(str_) db_arg_str('t', (str_))
#define DB_BLOB(str_) db_arg_str('x', (str_))
#define DB_INT(i_) ((struct db_arg){.type = 'i', .i = (i_)})
#define DB_TIME(ms_) ((struct db_arg){.type = 'm', .i = (ms_)})
#define DB_BOOL(b_) ((struct db_arg){.type = 'b', .b = (b_)})
#define DB_GUID(guid_) ((struct db_arg){.type = 'u', .u = *(guid_)})
#define DB_NULL ((struct db_arg){.type = 0})
#define DB_OPT_INT(opt_) ((struct db_arg){.type = (opt_).has ? 'i' : 0, .i = (opt_).v})
#define DB_OPT_TIME(opt_) ((struct db_arg){.type = (opt_).has ? 'm' : 0, .i = (opt_).v})
#define DB_OPT_BOOL(opt_) ((struct db_arg){.type = (opt_).has ? 'b' : 0, .b = (opt_).v})
#define DB_OPT_GUID(opt_) ((struct db_arg){.type = (opt_).has ? 'u' : 0, .u = (opt_).v})

#define DB_ARGS(...)                                                                               \
	((struct db_args){(const struct db_arg[]){__VA_ARGS__},                                    \
			  sizeof((const struct db_arg[]){__VA_ARGS__}) / sizeof(struct db_arg)})
#define DB_NO_ARGS ((struct db_args){NULL, 0})

static inline struct db_arg db_arg_str(char type, struct str s)
{
	return (struct db_arg){.type = s.p ? type : (char)0, .s = s};
}

/* ---- rows ---- */

/* Columns in the order of the SELECT; types as in the statement's `cols`. */
struct db_col {
	const char *name; /* for error texts */
	char type;
	size_t offset;
};

struct db_shape {
	const char *what; /* "tenant", for "tenant not found" */
	const struct db_col *cols;
	size_t n;
	size_t size; /* of the struct */
};

struct db_rows {
	void *v; /* array of the shape's struct */
	size_t n;
};

/* ERR_OK to go on; anything else ends the query with that value. */
typedef enum err db_row_fn(void *row, void *ctx);

/* Runs a statement for its effect; db_changed says how many rows it touched. */
enum err db_exec(struct db *db, const struct stmt *st, struct db_args args) MUST_USE;
int64_t db_changed(const struct db *db);
/* ERR_NOT_FOUND when no row was touched. For UPDATE and DELETE by key. */
enum err db_exec_one(struct db *db, const struct stmt *st, struct db_args args) MUST_USE;
/* First row into `out` (written only on success); ERR_NOT_FOUND when none. */
enum err db_one(struct db *db, const struct stmt *st, struct db_args args,
		const struct db_shape *shape, void *out) MUST_USE;
/* All rows; ERR_LIMIT beyond `max`. */
enum err db_all(struct db *db, const struct stmt *st, struct db_args args,
		const struct db_shape *shape, size_t max, struct db_rows *out) MUST_USE;
/*
 * Row by row, without holding them all. `row` is a zeroed struct of the shape whose strings
 * are valid during the callback only; the callback must not use `db`.
 */
enum err db_each(struct db *db, const struct stmt *st, struct db_args args,
		 const struct db_shape *shape, db_row_fn *on_row, void *ctx) MUST_USE;
/* The one 'i' column of the first row, as in SELECT count(*) or INSERT … RETURNING id. */
enum err db_int(struct db *db, const struct stmt *st, struct db_args args, int64_t *out) MUST_USE;

/* Asks the server for a sign of life; for readiness. */
enum err db_ping(struct db *db) MUST_USE;
/* Prepares every statement and compares parameters and columns with the declaration. The
 * fault names the first that is wrong. */
enum err db_check(struct db *db, const struct stmt_table *table) MUST_USE;

/* ---- transactions ---- */

/* Serializable, for writing. On SQLite waits here for other writers. Does not nest. */
enum err tx_begin(struct db *db) MUST_USE;
/* One consistent view for several reads; writing is refused. */
enum err tx_begin_read(struct db *db) MUST_USE;
/* On failure the transaction is rolled back. ERR_UNAVAILABLE and ERR_TIMEOUT here leave open
 * whether the server committed. */
enum err tx_commit(struct db *db) MUST_USE;
void tx_abort(struct db *db);

/* Whether the last failure was a lost race (serialization, deadlock) that a new run of the
 * same transaction may win. */
bool db_is_transient(const struct db *db);

typedef enum err db_tx_fn(struct db *db, void *ctx);
/*
 * Runs `fn` in a transaction and commits; on a lost race rolls back and runs it again, with
 * growing pauses, at most 5 times. `fn` has no effects outside the database.
 */
enum err db_retry(struct db *db, db_tx_fn *fn, void *ctx) MUST_USE;
