/* SPDX-License-Identifier: MIT */
/*
 * key_store - see key_store.h
 */
#include "identity/key_store.h"

enum { KEY_LIST, KEY_ADD, KEY_RETIRE, KEY_TRIM };

static const struct stmt stmts[] = {
	[KEY_LIST] = {.name = "signing_key_list",
		      .sql = "SELECT \"Kid\", \"Algorithm\", \"Pem\", \"Created\", \"RetireAt\""
			     " FROM \"SigningKeys\" ORDER BY \"Created\", \"Kid\"",
		      .cols = "tttmM"},
	[KEY_ADD] = {.name = "signing_key_add",
		     .sql = "INSERT INTO \"SigningKeys\""
			    " (\"Kid\", \"Algorithm\", \"Pem\", \"Created\", \"RetireAt\")"
			    " VALUES ($1, $2, $3, $4, $5)",
		     .params = "tttmM"},
	[KEY_RETIRE] = {.name = "signing_key_retire",
			.sql = "UPDATE \"SigningKeys\" SET \"RetireAt\" = $2 WHERE \"Kid\" = $1",
			.params = "tm"},
	[KEY_TRIM] = {.name = "signing_key_trim",
		      .sql = "DELETE FROM \"SigningKeys\" WHERE \"RetireAt\" <= $1",
		      .params = "m"},
};

const struct stmt_table key_statements = {"identity", stmts, ARRAY_LEN(stmts)};

static const struct db_col record_cols[] = {
	{"Kid", 't', offsetof(struct signing_record, kid)},
	{"Algorithm", 't', offsetof(struct signing_record, alg)},
	{"Pem", 't', offsetof(struct signing_record, pem)},
	{"Created", 'm', offsetof(struct signing_record, created_ms)},
	{"RetireAt", 'M', offsetof(struct signing_record, retire_at_ms)},
};
static const struct db_shape record_shape = {"signing key", record_cols, ARRAY_LEN(record_cols),
					     sizeof(struct signing_record)};

enum err key_store_list(struct db *db, struct db_rows *out)
{
	return db_all(db, &stmts[KEY_LIST], DB_NO_ARGS, &record_shape, SIGNING_RECORDS_MAX, out);
}

enum err key_store_add(struct db *db, const struct signing_record *record)
{
	return db_exec(db, &stmts[KEY_ADD],
		       DB_ARGS(DB_TEXT(record->kid), DB_TEXT(record->alg), DB_TEXT(record->pem),
			       DB_TIME(record->created_ms), DB_OPT_TIME(record->retire_at_ms)));
}

enum err key_store_retire(struct db *db, struct str kid, int64_t at_ms)
{
	return db_exec_one(db, &stmts[KEY_RETIRE], DB_ARGS(DB_TEXT(kid), DB_TIME(at_ms)));
}

enum err key_store_trim(struct db *db, int64_t now_ms)
{
	return db_exec(db, &stmts[KEY_TRIM], DB_ARGS(DB_TIME(now_ms)));
}

static struct signing_plan plan_of(const struct key_rotation *r, enum jwt_alg alg,
				   const struct db_rows *rows)
{
	struct signing_plan plan;

	signing_plan_for(alg, rows->v, rows->n, r->now_ms, r->policy, &plan);
	return plan;
}

static bool anything_due(const struct key_rotation *r, const struct db_rows *rows)
{
	const struct signing_record *records = rows->v;

	for (size_t i = 0; i < r->n_algs; i++) {
		if (plan_of(r, r->algs[i], rows).create) {
			return true;
		}
	}
	for (size_t i = 0; i < rows->n; i++) {
		if (signing_is_over(&records[i], r->now_ms)) {
			return true;
		}
	}
	return false;
}

static enum err renew(struct db *db, const struct key_rotation *r, enum jwt_alg alg,
		      const struct db_rows *rows)
{
	const struct signing_record *records = rows->v;
	struct signing_plan plan = plan_of(r, alg, rows);
	struct signing_record fresh;

	if (!plan.create) {
		return ERR_OK;
	}
	if (plan.newest >= 0) {
		TRY(key_store_retire(db, records[plan.newest].kid, plan.retire_newest_at_ms));
	}
	signing_create(db_arena(db), alg, r->now_ms, r->passphrase, &fresh);
	return key_store_add(db, &fresh);
}

static enum err rotate_in_tx(struct db *db, void *ctx)
{
	const struct key_rotation *r = ctx;
	struct db_rows rows;

	TRY(key_store_trim(db, r->now_ms));
	TRY(key_store_list(db, &rows));
	for (size_t i = 0; i < r->n_algs; i++) {
		TRY(renew(db, r, r->algs[i], &rows));
	}
	return ERR_OK;
}

enum err key_store_rotate(struct db *db, const struct key_rotation *rotation, struct db_rows *out)
{
	struct key_rotation r = *rotation;
	struct db_rows rows;

	TRY(key_store_list(db, &rows));
	if (anything_due(&r, &rows)) {
		TRY(db_retry(db, rotate_in_tx, &r));
		TRY(key_store_list(db, &rows));
	}
	*out = rows;
	return ERR_OK;
}
