/*
 * migrate - numbered, forward changes of the schema
 *
 * Each role owns a list, numbered from 1 without gaps; a list only ever grows. Every
 * migration is one transaction that also records itself in schema_migrations, under a lock
 * that keeps other instances out, so any number of processes may start at once. The store's
 * own tables (outbox.h) are a role "store" that is always included.
 *
 * Threads  workers; outside a transaction.
 */
#pragma once
#include "store/store.h"

struct migration {
	int number;
	const char *name;   /* "create tenants" */
	const char *sql;    /* may hold several statements */
	const char *sqlite; /* override */
	const char *pgsql;  /* override */
};

struct migration_list {
	const char *role;
	const struct migration *v;
	size_t n;
};

/* Called after the commit of each. */
typedef void migrate_fn(const char *role, const struct migration *m, void *ctx);

/*
 * Applies what is missing; `on_applied` may be NULL. ERR_INVALID when the database was
 * migrated by a newer program; nothing is changed then.
 */
enum err migrate(struct db *db, const struct migration_list *lists, size_t n,
		 migrate_fn *on_applied, void *ctx) MUST_USE;
/* How many are missing, without changing anything; fails as migrate does. */
enum err migrate_pending(struct db *db, const struct migration_list *lists, size_t n,
			 size_t *out) MUST_USE;
