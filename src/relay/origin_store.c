#include "relay/origin_store.h"

/* Rows deleted at once, so that nobody waits long for the lock. */
#define STEP 2000
#define STEPS_MAX 500

enum {
	SEEN,
	STOP,
	CLOSE_OWN,
	CLOSE_LOST,
	CLOSE_DEAD,
	DROP_ORIGINS,
	DROP_CONNECTIONS,
	DROP_REQUESTS,
};

static const struct stmt stmts[] = {
	[SEEN] = {.name = "origin_seen",
		  .sql = "INSERT INTO \"Origins\" (\"Id\", \"StartupTime\", \"LastSeenTime\")"
			 " VALUES ($1, $2, $2) ON CONFLICT (\"Id\") DO UPDATE SET"
			 " \"LastSeenTime\" = excluded.\"LastSeenTime\"",
		  .params = "um"},
	[STOP] = {.name = "origin_stop",
		  .sql = "UPDATE \"Origins\" SET \"LastSeenTime\" = $2, \"ShutdownTime\" = $2"
			 " WHERE \"Id\" = $1",
		  .params = "um"},
	[CLOSE_OWN] = {.name = "origin_close_own",
		       .sql = "UPDATE \"Connections\" SET \"DisconnectTime\" = $2"
			      " WHERE \"OriginId\" = $1 AND \"DisconnectTime\" IS NULL",
		       .params = "um"},
	[CLOSE_LOST] = {.name = "origin_close_lost",
			.sql = "UPDATE \"Connections\" SET \"DisconnectTime\" = \"LastSeenTime\""
			       " WHERE \"OriginId\" = $2 AND \"DisconnectTime\" IS NULL"
			       " AND \"LastSeenTime\" < $1",
			.params = "mu"},
	[CLOSE_DEAD] = {.name = "origin_close_dead",
			.sql = "UPDATE \"Connections\" SET \"DisconnectTime\" ="
			       " coalesce(\"LastSeenTime\", \"ConnectTime\")"
			       " WHERE \"DisconnectTime\" IS NULL AND \"OriginId\" IN"
			       " (SELECT \"Id\" FROM \"Origins\" WHERE \"Id\" <> $2 AND"
			       "  (\"LastSeenTime\" < $1 OR \"ShutdownTime\" IS NOT NULL))",
			.params = "mu"},
	[DROP_ORIGINS] = {.name = "origin_drop",
			  .sql = "DELETE FROM \"Origins\" WHERE \"LastSeenTime\" < $1"
				 " AND \"Id\" <> $2",
			  .params = "mu"},
	[DROP_CONNECTIONS] =
		{.name = "origin_drop_connections",
		 .sql = "DELETE FROM \"Connections\" WHERE \"Id\" IN (SELECT \"Id\""
			" FROM \"Connections\" WHERE \"DisconnectTime\" < $1 LIMIT $2)",
		 .params = "mi"},
	[DROP_REQUESTS] = {.name = "origin_drop_requests",
			   .sql = "DELETE FROM \"Requests\" WHERE \"Id\" IN (SELECT \"Id\""
				  " FROM \"Requests\" WHERE \"RequestDate\" < $1 LIMIT $2)",
			   .params = "mi"},
};

const struct stmt_table origin_statements = {"relay", stmts, ARRAY_LEN(stmts)};

enum err origin_seen(struct db *db, const struct guid *id, int64_t now_ms)
{
	return db_exec(db, &stmts[SEEN], DB_ARGS(DB_GUID(id), DB_TIME(now_ms)));
}

enum err origin_stop(struct db *db, const struct guid *id, int64_t now_ms)
{
	TRY(db_exec(db, &stmts[CLOSE_OWN], DB_ARGS(DB_GUID(id), DB_TIME(now_ms))));
	return db_exec(db, &stmts[STOP], DB_ARGS(DB_GUID(id), DB_TIME(now_ms)));
}

enum err origin_bury(struct db *db, const struct origin_upkeep *u, int64_t now_ms)
{
	TRY(db_exec(db, &stmts[CLOSE_LOST],
		    DB_ARGS(DB_TIME(now_ms - u->connection_lease_ms), DB_GUID(&u->self))));
	return db_exec(db, &stmts[CLOSE_DEAD],
		       DB_ARGS(DB_TIME(now_ms - u->lease_ms), DB_GUID(&u->self)));
}

static enum err drop(struct db *db, const struct stmt *st, int64_t before_ms)
{
	for (int i = 0; i < STEPS_MAX; i++) {
		TRY(db_exec(db, st, DB_ARGS(DB_TIME(before_ms), DB_INT(STEP))));
		if (db_changed(db) < STEP) {
			break;
		}
	}
	return ERR_OK;
}

enum err origin_maintain(struct db *db, const struct origin_upkeep *u, int64_t now_ms)
{
	TRY(origin_bury(db, u, now_ms));
	TRY(db_exec(db, &stmts[DROP_ORIGINS],
		    DB_ARGS(DB_TIME(now_ms - u->origin_max_age_ms), DB_GUID(&u->self))));
	if (u->connection_max_age_ms > 0) {
		TRY(drop(db, &stmts[DROP_CONNECTIONS], now_ms - u->connection_max_age_ms));
	}
	if (u->request_max_age_ms > 0) {
		TRY(drop(db, &stmts[DROP_REQUESTS], now_ms - u->request_max_age_ms));
	}
	return ERR_OK;
}
