/* SPDX-License-Identifier: MIT */
/*
 * secret_store - see secret_store.h
 *
 * Identifiers are those of the original's schema, so that its database can be opened.
 */
#include "identity/secret_store.h"

#include "identity/secret.h"

enum { CLIENT_FIND, SECRET_LIST, SECRET_COUNT, SECRET_ADD, SECRET_REMOVE };

static const struct stmt stmts[] = {
	[CLIENT_FIND] = {.name = "client_find",
			 .sql = "SELECT \"Name\", \"DisplayName\", \"Description\" FROM \"Tenants\""
				" WHERE \"NormalizedName\" = $1",
			 .params = "t",
			 .cols = "tTT"},
	[SECRET_LIST] = {.name = "client_secret_list",
			 .sql = "SELECT \"Id\", \"Value\", \"Created\", \"Expiration\""
				" FROM \"ClientSecrets\" WHERE \"TenantName\" = $1"
				" ORDER BY \"Created\", \"Id\"",
			 .params = "t",
			 .cols = "utmM"},
	[SECRET_COUNT] = {.name = "client_secret_count",
			  .sql = "SELECT count(*) FROM \"ClientSecrets\" WHERE \"TenantName\" = $1",
			  .params = "t",
			  .cols = "i"},
	[SECRET_ADD] = {.name = "client_secret_add",
			.sql = "INSERT INTO \"ClientSecrets\""
			       " (\"Id\", \"TenantName\", \"Value\", \"Created\", \"Expiration\")"
			       " VALUES ($1, $2, $3, $4, $5)",
			.params = "uttmM"},
	[SECRET_REMOVE] = {.name = "client_secret_remove",
			   .sql = "DELETE FROM \"ClientSecrets\""
				  " WHERE \"Id\" = $1 AND \"TenantName\" = $2",
			   .params = "ut"},
};

const struct stmt_table secret_statements = {"identity", stmts, ARRAY_LEN(stmts)};

static const struct db_col client_cols[] = {
	{"Name", 't', offsetof(struct client, name)},
	{"DisplayName", 'T', offsetof(struct client, display_name)},
	{"Description", 'T', offsetof(struct client, description)},
};
static const struct db_shape client_shape = {"tenant", client_cols, ARRAY_LEN(client_cols),
					     sizeof(struct client)};

static const struct db_col secret_cols[] = {
	{"Id", 'u', offsetof(struct client_secret, id)},
	{"Value", 't', offsetof(struct client_secret, value)},
	{"Created", 'm', offsetof(struct client_secret, created_ms)},
	{"Expiration", 'M', offsetof(struct client_secret, expires_ms)},
};
static const struct db_shape secret_shape = {"secret", secret_cols, ARRAY_LEN(secret_cols),
					     sizeof(struct client_secret)};

struct str client_normalize(struct arena *a, struct str name)
{
	return str_upper(a, name);
}

enum err client_find(struct db *db, struct str normalized, struct client *out)
{
	return db_one(db, &stmts[CLIENT_FIND], DB_ARGS(DB_TEXT(normalized)), &client_shape, out);
}

enum err client_secret_list(struct db *db, struct str normalized, struct db_rows *out)
{
	/* An imported table may hold more than we would have allowed. */
	return db_all(db, &stmts[SECRET_LIST], DB_ARGS(DB_TEXT(normalized)), &secret_shape,
		      (size_t)CLIENT_SECRETS_MAX * 16, out);
}

enum err client_secret_add(struct db *db, struct str normalized, const struct client_secret *secret)
{
	struct client client;
	int64_t count;

	TRY(client_find(db, normalized, &client));
	TRY(db_int(db, &stmts[SECRET_COUNT], DB_ARGS(DB_TEXT(normalized)), &count));
	if (count >= CLIENT_SECRETS_MAX) {
		return fault_set(db_fault(db), ERR_LIMIT, "a tenant has at most %d secrets",
				 CLIENT_SECRETS_MAX);
	}
	return db_exec(db, &stmts[SECRET_ADD],
		       DB_ARGS(DB_GUID(&secret->id), DB_TEXT(normalized), DB_TEXT(secret->value),
			       DB_TIME(secret->created_ms), DB_OPT_TIME(secret->expires_ms)));
}

enum err client_secret_remove(struct db *db, struct str normalized, const struct guid *id)
{
	enum err e =
		db_exec_one(db, &stmts[SECRET_REMOVE], DB_ARGS(DB_GUID(id), DB_TEXT(normalized)));
	struct fault *f = db_fault(db);

	if (e == ERR_NOT_FOUND && f) {
		*f = (struct fault){0};
		return fault_set(f, e, "the tenant has no such secret");
	}
	return e;
}

static bool is_alive(const struct client_secret *s, int64_t now_ms)
{
	return !s->expires_ms.has || s->expires_ms.v > now_ms;
}

/* At most CLIENT_SECRETS_MAX living ones are tried, so a log-in has a price limit. */
static bool any_matches(const struct db_rows *rows, struct str secret, int64_t now_ms)
{
	const struct client_secret *s = rows->v;
	size_t tries = 0;

	for (size_t i = 0; i < rows->n && tries < CLIENT_SECRETS_MAX; i++) {
		if (!is_alive(&s[i], now_ms)) {
			continue;
		}
		if (secret_matches(s[i].value, secret)) {
			return true;
		}
		tries++;
	}
	return false;
}

enum err client_authenticate(struct db *db, struct str normalized, struct str secret,
			     int64_t now_ms, struct client *out)
{
	struct db_rows rows = {0};
	struct client client;

	/* No tenant, no rows: both go the same way and answer alike. */
	TRY(client_secret_list(db, normalized, &rows));
	if (!any_matches(&rows, secret, now_ms)) {
		return fault_set(db_fault(db), ERR_UNAUTHENTICATED,
				 "client unknown or secret wrong");
	}
	TRY(client_find(db, normalized, &client));
	*out = client;
	return ERR_OK;
}
