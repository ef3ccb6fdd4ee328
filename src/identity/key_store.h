/*
 * key_store - the issuer's signing keys in the database, and their rotation
 *
 * All instances of an issuer share the table SigningKeys. Each looks at it now and
 * then (key_store_rotate): the one that finds a key due makes it, and the others
 * find it there. Strings are in the task's arena.
 *
 * Threads  workers.
 */
#pragma once
#include "identity/signing_keys.h"
#include "store/migrate.h"
#include "store/store.h"

/* Array of struct signing_record, oldest first. */
enum err key_store_list(struct db *db, struct db_rows *out) MUST_USE;
/* ERR_CONFLICT when the key is there already. */
enum err key_store_add(struct db *db, const struct signing_record *record) MUST_USE;
enum err key_store_retire(struct db *db, struct str kid, int64_t at_ms) MUST_USE;
/* Deletes what is over. */
enum err key_store_trim(struct db *db, int64_t now_ms) MUST_USE;

/*
 * Makes what is due for each algorithm, in a transaction of its own, and lists what
 * is there afterwards. Nothing is written when nothing is due.
 */
struct key_rotation {
	const enum jwt_alg *algs;
	size_t n_algs;
	const struct signing_policy *policy;
	struct str passphrase; /* p NULL = keys are stored unencrypted */
	int64_t now_ms;
};
enum err key_store_rotate(struct db *db, const struct key_rotation *rotation,
			  struct db_rows *out) MUST_USE;

extern const struct stmt_table key_statements;
/* All tables of identity; after the relay's (foreign key to Tenants). */
extern const struct migration_list identity_migrations;
