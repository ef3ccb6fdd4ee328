/*
 * statistics - the REST interface to logged requests, connections and servers
 *
 * Read-only. Lists are pages as in listing.h, newest first.
 *
 * Threads  handlers: workers, each with a database session.
 */
#pragma once
#include "http/rest.h"

/* The role of a struct rest with statistics_table; constant while it serves. */
struct statistics {
	struct str key_header; /* for the documents; p NULL = "Api-Key" */
};

/* Its on_error is management_error. */
extern const struct rest_table statistics_table;

/* The JSON of the rows, for other listings of the same. */
extern const struct json_shape statistics_origin_shape;
extern const struct json_shape statistics_connection_shape;
extern const struct json_shape statistics_request_shape;
extern const struct json_shape statistics_summary_shape;
