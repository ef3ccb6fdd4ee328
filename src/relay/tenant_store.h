/*
 * tenant_store - tenants and their configuration in the database
 *
 * A tenant is found by its normalized name: invariant upper case. The configuration
 * of its connectors is a row of its own, which exists once one of its values was set.
 *
 * Ownership  results live in the arena of the session's task.
 * Threads    workers; the session's.
 * Failure    ERR_NOT_FOUND, ERR_CONFLICT (exists already) with a text for people; else as store.h.
 */
#pragma once
#include "relay/tenant_info.h"
#include "store/store.h"

#define TENANT_DISPLAY_MAX 200	    /* characters */
#define TENANT_DESCRIPTION_MAX 1000 /* characters */
#define TENANT_CONCURRENT_MAX 65535

/* What a connector is told (`Configure`). */
struct tenant_configure {
	struct opt_i64 keep_alive_interval_ms;
	struct opt_bool enable_tracing;
	struct opt_i64 reconnect_minimum_delay_ms;
	struct opt_i64 reconnect_maximum_delay_ms;
};

struct tenant_row {
	struct str normalized;
	struct str name;
	struct str display, description; /* p NULL = null */
	bool require_authentication;
	int64_t max_concurrent;
	struct opt_bool has_config; /* out: set when there is a row */
	struct tenant_configure configure;
};

/*
 * Whether the name may be that of a tenant: 1 to 100 characters of UTF-8 that are not all blanks,
 * no control characters, no slash (it is a segment of the path), no U+FFFD (it stands for what
 * was no character) and neither "." nor "..".
 */
enum err tenant_name_check(struct str name, struct fault *f) MUST_USE;
/* Whether it is 1 to 100 characters of UTF-8; others need not be looked for. */
bool tenant_name_fits(struct str name);
/* What a database does not take as text becomes a name that no tenant has. */
struct str tenant_name_normalize(struct arena *a, struct str name);

enum err tenant_store_get(struct db *db, struct str normalized, struct tenant_row *out) MUST_USE;
/* By normalized name: array of struct tenant_row, and how many there are in all. */
enum err tenant_store_list(struct db *db, int64_t skip, int64_t take, struct db_rows *out,
			   int64_t *out_total) MUST_USE;

/* These three within the caller's transaction, since they touch two tables. */
enum err tenant_store_insert(struct db *db, const struct tenant_row *row) MUST_USE;
/* All but the name; the configuration only if one of its values is set, then all of it. */
enum err tenant_store_update(struct db *db, const struct tenant_row *row) MUST_USE;
/* With its configuration, secrets, connections and logged requests. */
enum err tenant_store_remove(struct db *db, struct str normalized) MUST_USE;

extern const struct tenant_store_ops tenant_store_ops;
/* For the test that prepares everything. */
extern const struct stmt_table tenant_statements;
