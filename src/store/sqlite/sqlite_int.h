/*
 * sqlite_int - what the files of the SQLite engine share
 *
 * Who holds what: one sqlite3 connection a session; one source a pool, with the turn to
 * write. Threads of this process queue for the turn, so that only one of them at a time
 * meets the file lock, for which processes compete by SQLite's busy handler.
 */
#pragma once
#include "store/store_int.h"

#include <sqlite3.h>

struct sqlite_source {
	char *path;
	pthread_mutex_t mtx;
	pthread_cond_t turn_over;
	bool writing; /* guarded by mtx */
};

struct sqlite_conn {
	sqlite3 *h;
	struct map stmts; /* struct sqlite_prepared by address of the struct stmt */
	sqlite3_stmt *begin, *begin_write, *commit, *rollback;
	uint64_t busy_since_ms; /* of the lock waited for */
	bool has_turn;
};

struct sqlite_prepared {
	struct db_prepared base;
	sqlite3_stmt *h;
	uint8_t *arg_of; /* for each parameter of SQLite: index of the argument */
	int n_params;
	bool read_only;
};

enum err sqlite_open(struct db_pool *pool, const struct db_config *config, struct fault *f);
void sqlite_close(struct db_pool *pool);
enum err sqlite_connect(struct db *db);
void sqlite_disconnect(struct db *db);
bool sqlite_is_alive(struct db *db);

void sqlite_watch_start(struct db_watch *w);
void sqlite_watch_stop(struct db_watch *w);
bool sqlite_watch_is_quiet(struct db_watch *w);

/* The turn of this session to write; kept until sqlite_turn_end. */
enum err sqlite_turn_begin(struct db *db);
void sqlite_turn_end(struct db *db);

/* Translates a result code of the connection's last call; `rc` is not SQLITE_OK. */
enum err sqlite_failed(struct db *db, const struct stmt *st, int rc);
/* Runs a statement without parameters or rows to its end. */
enum err sqlite_step_once(struct db *db, sqlite3_stmt *h);
void sqlite_forget_statements(struct sqlite_conn *c);
