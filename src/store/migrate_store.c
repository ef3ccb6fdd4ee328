#include "store/migrate_int.h"

#include "base/clock.h"
#include "store/store_int.h"

/* On SQLite the transaction itself is the lock. The number is arbitrary, but ours for ever. */
static const char *const lock_pgsql = "SET LOCAL lock_timeout = 0;"
				      "SET LOCAL statement_timeout = 0;"
				      "SELECT pg_advisory_xact_lock(7678710000000001)";

static const char *const create_sqlite = "CREATE TABLE IF NOT EXISTS schema_migrations ("
					 " role TEXT NOT NULL,"
					 " number INTEGER NOT NULL,"
					 " name TEXT NOT NULL,"
					 " applied_at INTEGER NOT NULL,"
					 " PRIMARY KEY (role, number)) WITHOUT ROWID, STRICT";

static const char *const create_pgsql = "CREATE TABLE IF NOT EXISTS schema_migrations ("
					" role text NOT NULL,"
					" number integer NOT NULL,"
					" name text NOT NULL,"
					" applied_at timestamptz NOT NULL,"
					" PRIMARY KEY (role, number))";

static const struct stmt has_table = {
	.name = "migrations_has_table",
	.sqlite = "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"
		  " AND name = 'schema_migrations'",
	.pgsql = "SELECT count(*) FROM (SELECT to_regclass('schema_migrations') AS t) s"
		 " WHERE t IS NOT NULL",
	.cols = "i",
};

static const struct stmt latest = {
	.name = "migrations_latest",
	.sql = "SELECT coalesce(max(number), 0) FROM schema_migrations WHERE role = $1",
	.params = "t",
	.cols = "i",
};

static const struct stmt record = {
	.name = "migrations_record",
	.sql = "INSERT INTO schema_migrations (role, number, name, applied_at)"
	       " VALUES ($1, $2, $3, $4)",
	.params = "titm",
};

enum err migrate_lock(struct db *db)
{
	bool is_pgsql = db->pool->engine == &pgsql_engine;

	if (is_pgsql) {
		TRY(db_script(db, lock_pgsql));
	}
	return db_script(db, is_pgsql ? create_pgsql : create_sqlite);
}

enum err migrate_latest(struct db *db, const char *role, int64_t *out)
{
	int64_t n = 0;

	TRY(db_int(db, &has_table, DB_NO_ARGS, &n));
	if (n == 0) {
		*out = 0;
		return ERR_OK;
	}
	return db_int(db, &latest, DB_ARGS(DB_TEXT(str_c(role))), out);
}

enum err migrate_record(struct db *db, const char *role, const struct migration *m)
{
	return db_exec(db, &record,
		       DB_ARGS(DB_TEXT(str_c(role)), DB_INT(m->number), DB_TEXT(str_c(m->name)),
			       DB_TIME(clock_wall_ms())));
}
