/*
 * secret_store - clients of the token endpoint and their stored secrets
 *
 * A client is a tenant; its row belongs to the relay (table Tenants), which must
 * be migrated before identity. Secrets are rows of ClientSecrets, in the form of
 * secret.h, several a tenant so that they can be changed without an outage.
 *
 * Names are looked up in their normalized form (upper case); client_normalize
 * makes it. Names and values are in the task's arena.
 *
 * Threads  workers.
 */
#pragma once
#include "store/migrate.h"
#include "store/store.h"

#define CLIENT_SECRETS_MAX 16 /* a tenant */

struct client {
	struct str name;	 /* as it was spelled at its creation */
	struct str display_name; /* p NULL = none; this one and the next */
	struct str description;
};

struct client_secret {
	struct guid id;
	struct str value; /* stored form */
	int64_t created_ms;
	struct opt_i64 expires_ms;
};

struct str client_normalize(struct arena *a, struct str name);
/* ERR_NOT_FOUND when there is no such tenant. */
enum err client_find(struct db *db, struct str normalized, struct client *out) MUST_USE;

/* Array of struct client_secret, oldest first; also the expired ones. */
enum err client_secret_list(struct db *db, struct str normalized, struct db_rows *out) MUST_USE;
/*
 * Within a transaction of the caller, or on its own. ERR_NOT_FOUND: no such tenant.
 * ERR_LIMIT: the tenant has CLIENT_SECRETS_MAX already.
 */
enum err client_secret_add(struct db *db, struct str normalized,
			   const struct client_secret *secret) MUST_USE;
/* ERR_NOT_FOUND unless the tenant has it. */
enum err client_secret_remove(struct db *db, struct str normalized, const struct guid *id) MUST_USE;
/*
 * Whether `secret` is one of the tenant's that has not expired. ERR_UNAUTHENTICATED if
 * not, or when there is no such tenant. May be slow (secret.h).
 */
enum err client_authenticate(struct db *db, struct str normalized, struct str secret,
			     int64_t now_ms, struct client *out) MUST_USE;

extern const struct stmt_table secret_statements;
