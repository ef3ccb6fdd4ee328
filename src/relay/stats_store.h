/*
 * stats_store - questions about origins, connections and logged requests
 *
 * Lists are pages, newest first, with the number of all that match.
 *
 * Ownership  results live in the arena of the session's task.
 * Threads    workers; the session's.
 */
#pragma once
#include "store/store.h"

struct stats_page {
	int64_t skip, take;
};

struct stats_origin {
	struct guid id;
	struct opt_i64 startup_ms, shutdown_ms, last_seen_ms;
	int64_t connections; /* open now */
};

struct stats_connection {
	struct str id;
	struct str tenant; /* its name */
	struct guid origin;
	struct opt_i64 connect_ms, disconnect_ms, last_seen_ms;
	struct str remote_ip;
};

struct stats_request {
	struct guid id;
	struct str tenant; /* its name */
	struct opt_i64 start_ms;
	int64_t duration_ms;
	struct str method, target, url;
	struct opt_i64 status; /* of succeeded ones */
	int64_t request_bytes;
	struct opt_i64 response_bytes;
	struct str outcome; /* succeeded, aborted, failed, expired or errored */
};

/* Strings with p NULL and values that are not set match all. */
struct stats_connection_filter {
	struct str tenant; /* normalized */
	struct opt_bool active;
	struct opt_guid origin;
};

struct stats_request_filter {
	struct str tenant;	       /* normalized */
	struct opt_i64 from_ms, to_ms; /* to is exclusive */
	struct str target;	       /* any case */
	struct str outcome;
};

struct stats_summary {
	int64_t requests; /* all */
	int64_t succeeded, aborted, failed, expired, errored;
	int64_t request_bytes, response_bytes;
	struct opt_i64 duration_avg_ms, duration_p95_ms, duration_max_ms; /* of succeeded ones */
	int64_t connections;						  /* open now */
};

bool stats_is_outcome(struct str s);

/* Arrays of the structs above. */
enum err stats_origins(struct db *db, struct stats_page page, struct db_rows *out,
		       int64_t *out_total) MUST_USE;
enum err stats_connections(struct db *db, const struct stats_connection_filter *filter,
			   struct stats_page page, struct db_rows *out,
			   int64_t *out_total) MUST_USE;
enum err stats_requests(struct db *db, const struct stats_request_filter *filter,
			struct stats_page page, struct db_rows *out, int64_t *out_total) MUST_USE;
/* Of one tenant; requests that started within the times. Best in a transaction for reading. */
enum err stats_summarize(struct db *db, struct str tenant, struct opt_i64 from_ms,
			 struct opt_i64 to_ms, struct stats_summary *out) MUST_USE;

/* For the test that prepares everything. */
extern const struct stmt_table stats_statements;
