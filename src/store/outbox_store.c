#include "store/outbox.h"

#include "base/clock.h"
#include "store/migrate_int.h"

static const struct migration migrations[] = {
	{
		.number = 1,
		.name = "create outbox",
		/* AUTOINCREMENT: an id must not come again after outbox_trim. */
		.sqlite = "CREATE TABLE outbox ("
			  " id INTEGER PRIMARY KEY AUTOINCREMENT,"
			  " topic TEXT NOT NULL,"
			  " key TEXT NOT NULL,"
			  " payload TEXT NOT NULL,"
			  " created_at INTEGER NOT NULL) STRICT;"
			  "CREATE INDEX outbox_topic ON outbox (topic, id);"
			  "CREATE TABLE outbox_offsets ("
			  " consumer TEXT NOT NULL,"
			  " topic TEXT NOT NULL,"
			  " position INTEGER NOT NULL,"
			  " PRIMARY KEY (consumer, topic)) WITHOUT ROWID, STRICT",
		.pgsql = "CREATE TABLE outbox ("
			 " id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
			 " topic text NOT NULL,"
			 " key text NOT NULL,"
			 " payload text NOT NULL,"
			 " created_at timestamptz NOT NULL);"
			 "CREATE INDEX outbox_topic ON outbox (topic, id);"
			 "CREATE TABLE outbox_offsets ("
			 " consumer text NOT NULL,"
			 " topic text NOT NULL,"
			 " position bigint NOT NULL,"
			 " PRIMARY KEY (consumer, topic))",
	},
};

const struct migration_list store_migrations = {"store", migrations, ARRAY_LEN(migrations)};

enum { PUT, OFFSET, READ, ACK, TRIM };

static const struct stmt stmts[] = {
	/* The id is drawn after the lock was taken, which others get after our commit. */
	[PUT] = {.name = "outbox_put",
		 .sqlite = "INSERT INTO outbox (topic, key, payload, created_at)"
			   " VALUES ($1, $2, $3, $4)",
		 .pgsql = "WITH turn AS MATERIALIZED"
			  " (SELECT pg_advisory_xact_lock(7678710000000002))"
			  " INSERT INTO outbox (topic, key, payload, created_at)"
			  " SELECT $1, $2, $3, $4 FROM turn",
		 .params = "tttm"},
	[OFFSET] = {.name = "outbox_offset",
		    .sql = "SELECT position FROM outbox_offsets WHERE consumer = $1 AND topic = $2",
		    .pgsql = "SELECT position FROM outbox_offsets WHERE consumer = $1"
			     " AND topic = $2 FOR UPDATE",
		    .params = "tt",
		    .cols = "i"},
	[READ] = {.name = "outbox_read",
		  .sql = "SELECT id, topic, key, payload, created_at FROM outbox"
			 " WHERE topic = $1 AND id > $2 ORDER BY id LIMIT $3",
		  .params = "tii",
		  .cols = "itttm"},
	[ACK] = {.name = "outbox_ack",
		 .sql = "INSERT INTO outbox_offsets (consumer, topic, position) VALUES ($1, $2, $3)"
			" ON CONFLICT (consumer, topic) DO UPDATE SET position = excluded.position"
			" WHERE outbox_offsets.position < excluded.position",
		 .params = "tti"},
	[TRIM] = {.name = "outbox_trim",
		  .sql = "DELETE FROM outbox WHERE created_at < $1 AND NOT EXISTS"
			 " (SELECT 1 FROM outbox_offsets AS f"
			 "  WHERE f.topic = outbox.topic AND f.position < outbox.id)",
		  .params = "m"},
};

const struct stmt_table outbox_statements = {"store", stmts, ARRAY_LEN(stmts)};

static const struct db_col event_cols[] = {
	{"id", 'i', offsetof(struct outbox_event, id)},
	{"topic", 't', offsetof(struct outbox_event, topic)},
	{"key", 't', offsetof(struct outbox_event, key)},
	{"payload", 't', offsetof(struct outbox_event, payload)},
	{"created_at", 'm', offsetof(struct outbox_event, created_ms)},
};

static const struct db_shape event_shape = {"event", event_cols, ARRAY_LEN(event_cols),
					    sizeof(struct outbox_event)};

enum err outbox_put(struct db *db, struct str topic, struct str key, struct str payload)
{
	return db_exec(
		db, &stmts[PUT],
		DB_ARGS(DB_TEXT(topic), DB_TEXT(key), DB_TEXT(payload), DB_TIME(clock_wall_ms())));
}

/* A consumer that never acknowledged has no row yet. */
struct offset_row {
	int64_t position;
};

static enum err offset_of(struct db *db, struct str consumer, struct str topic, int64_t *out)
{
	static const struct db_col col = {"position", 'i', offsetof(struct offset_row, position)};
	static const struct db_shape shape = {"offset", &col, 1, sizeof(struct offset_row)};
	struct db_rows rows;

	TRY(db_all(db, &stmts[OFFSET], DB_ARGS(DB_TEXT(consumer), DB_TEXT(topic)), &shape, 1,
		   &rows));
	*out = rows.n ? ((struct offset_row *)rows.v)->position : 0;
	return ERR_OK;
}

enum err outbox_read(struct db *db, struct str consumer, struct str topic, size_t max,
		     struct db_rows *out)
{
	int64_t after = 0;

	TRY(offset_of(db, consumer, topic, &after));
	return db_all(db, &stmts[READ],
		      DB_ARGS(DB_TEXT(topic), DB_INT(after), DB_INT((int64_t)max)), &event_shape,
		      max, out);
}

enum err outbox_ack(struct db *db, struct str consumer, struct str topic, int64_t id)
{
	return db_exec(db, &stmts[ACK], DB_ARGS(DB_TEXT(consumer), DB_TEXT(topic), DB_INT(id)));
}

enum err outbox_trim(struct db *db, int64_t before_ms)
{
	return db_exec(db, &stmts[TRIM], DB_ARGS(DB_TIME(before_ms)));
}
