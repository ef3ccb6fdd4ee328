/*
 * tenant_info - what the data plane asks the database about tenants
 *
 * The functions run on a worker of the database pool; `worker` is its session
 * (struct db *). The implementation stands in tenant_store.c; tests bring their own.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"

#define TENANT_NAME_MAX 100 /* characters */
#define TENANT_KEEP_ALIVE_MIN_MS 1000

struct tenant_info {
	bool found;
	struct str name; /* as in the database */
	bool require_authentication;
	uint32_t max_concurrent; /* unacknowledged requests per connection; 0 = no limit */
	bool has_config;	 /* a row of configuration exists */
	struct opt_i64 keep_alive_interval_ms;
	struct opt_bool enable_tracing;
	struct opt_i64 reconnect_minimum_delay_ms;
	struct opt_i64 reconnect_maximum_delay_ms;
};

/* A connector that comes to a tenant; for automatic creation and update. */
struct tenant_visit {
	struct str name;	/* client_id */
	struct str display;	/* client_name; p NULL = no such claim */
	struct str description; /* client_description; p NULL = no such claim */
};

struct tenant_store_ops {
	/*
	 * Looks a tenant up by its normalized name. With `visit` (NULL = only look) a
	 * missing tenant is created, and display name and description of an existing one follow the
	 * claims that are present. An unknown tenant is ERR_OK with found = false. Strings in the
	 * arena.
	 */
	enum err (*load)(void *worker, struct str normalized, const struct tenant_visit *visit,
			 struct arena *a, struct tenant_info *out);
};
