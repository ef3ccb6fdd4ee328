/*
 * store_int - what the store's own files share: pool, session and the table of an engine
 */
#pragma once
#include "base/map.h"
#include "store/store.h"

#include <pthread.h>
#include <time.h>

struct db_watch;

enum tx_kind { TX_NONE, TX_READ, TX_WRITE, TX_MIGRATE };

/* One column of the current row; which member counts follows from the type character. */
struct db_value {
	bool null;
	int64_t i; /* i m, and b as 0 or 1 */
	struct str s;
	struct guid u;
};

/* A row on its way from the engine; `raw` and `index` are the engine's. */
struct db_cursor {
	struct db *db;
	const struct stmt *st;
	void *raw;
	int index;
};

/* Where rows go. A failure that `on_row` returned is kept in `err` and is not the database's. */
struct db_sink {
	enum err (*on_row)(const struct db_cursor *cur, void *ctx);
	void *ctx;
	bool stream; /* do not collect the result first */
	enum err err;
};

/*
 * An engine translates its library's failures to enum err, adds words to the session's fault,
 * and sets db->transient for lost races. It closes a connection that broke (db->conn = NULL).
 * While it waits it asks db_should_stop.
 */
struct db_engine {
	const char *name;
	/* Checks config->url, makes pool->source. */
	enum err (*open)(struct db_pool *pool, const struct db_config *config, struct fault *f);
	void (*close)(struct db_pool *pool);

	/* Sets db->conn on success. */
	enum err (*connect)(struct db *db);
	/* Frees db->conn and sets it to NULL. */
	void (*disconnect)(struct db *db);
	/* Whether an idle connection still stands, without a round trip. */
	bool (*is_alive)(struct db *db);

	enum err (*run)(struct db *db, const struct stmt *st, struct db_args args,
			struct db_sink *sink);
	/* ERR_INTERNAL when the column is not of that type. */
	enum err (*value)(const struct db_cursor *cur, size_t col, char type, struct db_value *out);
	/* Prepares and compares with the declaration. */
	enum err (*check)(struct db *db, const struct stmt *st);
	/* Several statements without parameters or rows. */
	enum err (*script)(struct db *db, const char *sql);

	enum err (*begin)(struct db *db, enum tx_kind kind);
	/* After a failure the transaction may still be open: rollback follows. */
	enum err (*commit)(struct db *db);
	void (*rollback)(struct db *db);

	/* watch_int.h */
	void (*watch_start)(struct db_watch *w);
	void (*watch_stop)(struct db_watch *w);
	bool (*watch_is_quiet)(struct db_watch *w);
};

extern const struct db_engine sqlite_engine;
extern const struct db_engine pgsql_engine;

struct db_pool {
	/* constant after db_pool_open */
	const struct db_engine *engine;
	void *source; /* the engine's */
	unsigned size;
	int64_t connect_timeout_ms;
	int64_t busy_timeout_ms;
	int64_t statement_max_ms;
	enum db_sync sync;

	atomic_uint fail_after; /* 0 = off */

	/* guarded by mtx */
	pthread_mutex_t mtx;
	pthread_cond_t freed;
	struct db **idle; /* a stack: the warmest connection first */
	unsigned n_idle;
	unsigned n_sessions;
	uint64_t told_at_ms;  /* when an attempt to connect last told how the server is */
	uint64_t retry_at_ms; /* no connection attempt before; 0 = no outage */
	int64_t retry_wait_ms;
	struct fault outage;
};

struct db {
	struct db_pool *pool;
	void *conn; /* the engine's; NULL = not connected */
	struct db_task task;
	bool in_task;
	bool in_rows;	  /* a row callback runs */
	bool must_finish; /* commit and rollback: the cancel flag and deadline do not count */
	bool patient;	  /* migrations: of all limits only the task's own deadline counts */
	bool transient;
	enum tx_kind tx;
	enum err tx_err;      /* first failure in the transaction */
	uint64_t deadline_ms; /* of the running call */
	int64_t changed;
};

/* The text that `engine` uses, or NULL. */
static inline const char *stmt_sql(const struct stmt *st, const struct db_engine *engine)
{
	const char *own = engine == &sqlite_engine ? st->sqlite : st->pgsql;

	return own ? own : st->sql;
}

static inline const char *stmt_params(const struct stmt *st)
{
	return st->params ? st->params : "";
}

static inline const char *stmt_cols(const struct stmt *st)
{
	return st->cols ? st->cols : "";
}

/* ERR_CANCELED or ERR_TIMEOUT once the running call should end. */
enum err db_should_stop(const struct db *db);
/* Milliseconds until the running call's deadline, 0 when past. */
int64_t db_left_ms(const struct db *db);

/* In session.c: brackets around everything that talks to the database. */
enum err db_call_begin(struct db *db) MUST_USE;
enum err db_call_end(struct db *db, enum err e) MUST_USE;
enum err db_run(struct db *db, const struct stmt *st, struct db_args args,
		struct db_sink *sink) MUST_USE;
enum err db_script(struct db *db, const char *sql) MUST_USE;
enum err db_tx_begin_kind(struct db *db, enum tx_kind kind) MUST_USE;

/* In pool.c: one back-off for all sessions of a pool. */
enum err db_outage_gate(struct db_pool *pool, struct fault *f) MUST_USE;
void db_outage_note(struct db_pool *pool, uint64_t begun_ms, enum err e, const struct fault *f);
/* For pthread_cond_timedwait on the monotonic clock. */
struct timespec db_mono_after(int64_t ms);

/* A failure with the statement's name in front; `e` is returned. */
enum err db_fail(struct db *db, enum err e, const struct stmt *st, const char *text);

/*
 * Prepared statements of one connection by address of their struct stmt. The engine's struct
 * begins with this one.
 */
struct db_prepared {
	const struct stmt *st;
};

static inline struct str db_prepared_key(const struct stmt *const *st)
{
	return str_of(st, sizeof(void *));
}
