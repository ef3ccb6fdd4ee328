/*
 * management - the REST interface to tenants and their secrets
 *
 * Tenants: paths, statuses and JSON of RelayServer's management interface, but that a
 * duplicate is 409 and a bad value 400 instead of 500. Secrets are new here.
 *
 * Threads  handlers: workers, each with a database session.
 */
#pragma once
#include "http/rest.h"

/* The role of a struct rest with management_table; constant while it serves. */
struct management {
	struct str key_header; /* for the documents; p NULL = "Api-Key" */
	/*
	 * A tenant was created, changed or deleted, and that is committed: what is remembered of it
	 * is stale. On a worker. May be NULL.
	 */
	void (*tenant_changed)(void *arg, struct str normalized);
	void *arg;
};

extern const struct rest_table management_table;

/* The JSON of a struct tenant_row, for other listings of the same. */
extern const struct json_shape management_tenant_shape;

/*
 * A rest_error_fn: empty answers where the original's are empty (401, 403, 404, 405), else a
 * problem document.
 */
void management_error(struct task *t, int status);
