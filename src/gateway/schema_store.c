#include "gateway/entity_schema.h"

static const char create_sqlite[] =
	"CREATE TABLE gateway_entities ("
	" kind TEXT NOT NULL,"
	" id BLOB NOT NULL,"
	" doc TEXT NOT NULL,"
	" expires_at INTEGER,"
	" PRIMARY KEY (kind, id)) WITHOUT ROWID, STRICT;"
	"CREATE INDEX gateway_entities_expires ON gateway_entities (expires_at)"
	" WHERE expires_at IS NOT NULL;"

	"CREATE TABLE gateway_keys ("
	" kind TEXT NOT NULL,"
	" field TEXT NOT NULL,"
	" value TEXT NOT NULL,"
	" id BLOB NOT NULL,"
	" PRIMARY KEY (kind, field, value),"
	" FOREIGN KEY (kind, id) REFERENCES gateway_entities (kind, id) ON DELETE CASCADE"
	") WITHOUT ROWID, STRICT;"
	"CREATE INDEX gateway_keys_id ON gateway_keys (kind, id);"

	"CREATE TABLE gateway_refs ("
	" kind TEXT NOT NULL,"
	" id BLOB NOT NULL,"
	" field TEXT NOT NULL,"
	" ref_kind TEXT NOT NULL,"
	" ref_id BLOB NOT NULL,"
	" PRIMARY KEY (kind, id, field),"
	" FOREIGN KEY (kind, id) REFERENCES gateway_entities (kind, id) ON DELETE CASCADE,"
	" FOREIGN KEY (ref_kind, ref_id) REFERENCES gateway_entities (kind, id)"
	") WITHOUT ROWID, STRICT;"
	"CREATE INDEX gateway_refs_to ON gateway_refs (ref_kind, ref_id, kind, field, id);"

	"CREATE TABLE gateway_tags ("
	" tag TEXT NOT NULL,"
	" kind TEXT NOT NULL,"
	" id BLOB NOT NULL,"
	" PRIMARY KEY (kind, id, tag),"
	" FOREIGN KEY (kind, id) REFERENCES gateway_entities (kind, id) ON DELETE CASCADE"
	") WITHOUT ROWID, STRICT;"
	"CREATE INDEX gateway_tags_tag ON gateway_tags (tag, kind, id);"

	/* AUTOINCREMENT: a number must not come again after older ones were trimmed. */
	"CREATE TABLE gateway_changes ("
	" seq INTEGER PRIMARY KEY AUTOINCREMENT,"
	" kind TEXT NOT NULL,"
	" id BLOB NOT NULL,"
	" changed_at INTEGER NOT NULL) STRICT;"
	"CREATE INDEX gateway_changes_at ON gateway_changes (changed_at)";

/* "C": the order of pages must not depend on the collation of the database. */
static const char create_pgsql[] =
	"CREATE TABLE gateway_entities ("
	" kind text COLLATE \"C\" NOT NULL,"
	" id uuid NOT NULL,"
	" doc text NOT NULL,"
	" expires_at timestamptz,"
	" PRIMARY KEY (kind, id));"
	"CREATE INDEX gateway_entities_expires ON gateway_entities (expires_at)"
	" WHERE expires_at IS NOT NULL;"

	"CREATE TABLE gateway_keys ("
	" kind text COLLATE \"C\" NOT NULL,"
	" field text COLLATE \"C\" NOT NULL,"
	" value text COLLATE \"C\" NOT NULL,"
	" id uuid NOT NULL,"
	" PRIMARY KEY (kind, field, value),"
	" FOREIGN KEY (kind, id) REFERENCES gateway_entities (kind, id) ON DELETE CASCADE);"
	"CREATE INDEX gateway_keys_id ON gateway_keys (kind, id);"

	"CREATE TABLE gateway_refs ("
	" kind text COLLATE \"C\" NOT NULL,"
	" id uuid NOT NULL,"
	" field text COLLATE \"C\" NOT NULL,"
	" ref_kind text COLLATE \"C\" NOT NULL,"
	" ref_id uuid NOT NULL,"
	" PRIMARY KEY (kind, id, field),"
	" FOREIGN KEY (kind, id) REFERENCES gateway_entities (kind, id) ON DELETE CASCADE,"
	" FOREIGN KEY (ref_kind, ref_id) REFERENCES gateway_entities (kind, id));"
	"CREATE INDEX gateway_refs_to ON gateway_refs (ref_kind, ref_id, kind, field, id);"

	"CREATE TABLE gateway_tags ("
	" tag text COLLATE \"C\" NOT NULL,"
	" kind text COLLATE \"C\" NOT NULL,"
	" id uuid NOT NULL,"
	" PRIMARY KEY (kind, id, tag),"
	" FOREIGN KEY (kind, id) REFERENCES gateway_entities (kind, id) ON DELETE CASCADE);"
	"CREATE INDEX gateway_tags_tag ON gateway_tags (tag, kind, id);"

	"CREATE TABLE gateway_changes ("
	" seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
	" kind text NOT NULL,"
	" id uuid NOT NULL,"
	" changed_at timestamptz NOT NULL);"
	"CREATE INDEX gateway_changes_at ON gateway_changes (changed_at)";

static const struct migration migrations[] = {
	{
		.number = 1,
		.name = "create entities of the gateway",
		.sqlite = create_sqlite,
		.pgsql = create_pgsql,
	},
};

const struct migration_list gateway_migrations = {"gateway", migrations, ARRAY_LEN(migrations)};
