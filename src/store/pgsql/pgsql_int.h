/*
 * pgsql_int - what the files of the PostgreSQL engine share
 *
 * One PGconn a session. Statements are sent with libpq's asynchronous calls and waited for
 * with poll, because only so a worker sees its deadline and cancel flag; parameters and
 * results are binary.
 */
#pragma once
#include "store/store_int.h"

#include <libpq-fe.h>

/* Built-in type OIDs (catalog/pg_type.dat): fixed for all time. */
enum {
	OID_BOOL = 16,
	OID_BYTEA = 17,
	OID_INT8 = 20,
	OID_INT2 = 21,
	OID_INT4 = 23,
	OID_TEXT = 25,
	OID_VARCHAR = 1043,
	OID_TIMESTAMPTZ = 1184,
	OID_UUID = 2950,
};

enum { PGSQL_PARAMS_MAX = 64 };

struct pgsql_source {
	/* NULL-terminated pairs for PQconnectdbParams; values are owned. */
	const char **keys;
	char **values;
	size_t n;
};

struct pgsql_conn {
	PGconn *h;
	struct map stmts; /* struct pgsql_prepared by address of the struct stmt */
	unsigned n_prepared;
};

struct pgsql_prepared {
	struct db_prepared base;
	char name[16];
	bool is_checked; /* its result has the declared columns */
};

enum err pgsql_open(struct db_pool *pool, const struct db_config *config, struct fault *f);
void pgsql_close(struct db_pool *pool);
enum err pgsql_connect(struct db *db);
void pgsql_disconnect(struct db *db);
bool pgsql_is_alive(struct db *db);

void pgsql_watch_start(struct db_watch *w);
void pgsql_watch_stop(struct db_watch *w);
bool pgsql_watch_is_quiet(struct db_watch *w);

/*
 * The next result of what was sent, or NULL when there is no more. Fails when the connection
 * broke, or when the task should stop (it is closed then).
 */
enum err pgsql_next(struct db *db, const struct stmt *st, PGresult **out) MUST_USE;
/* Reads to the end; the first failure wins. */
enum err pgsql_finish(struct db *db, const struct stmt *st, enum err e) MUST_USE;
/* Sends text with the simple protocol and reads to the end. */
enum err pgsql_simple(struct db *db, const char *sql) MUST_USE;
/* The same without a session, on a connection that does not block; any failure is false. */
bool pgsql_command(PGconn *h, const char *sql, int64_t wait_ms) MUST_USE;
/* ERR_OK unless the result is a failure, which is translated. */
enum err pgsql_result(struct db *db, const struct stmt *st, const PGresult *res) MUST_USE;
/* The connection does not take what we send: closes it. */
enum err pgsql_lost(struct db *db, const struct stmt *st);
