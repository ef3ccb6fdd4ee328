/*
 * origin_store - the servers that share a database, and the upkeep of statistics
 *
 * An origin is one run of a server. It says now and then that it lives; one that has been
 * silent for longer than a lease is dead, and its connections are closed with it. So is a
 * connection that was not seen for long: its end may have been among events that were lost. One
 * that is there after all opens again with its next event.
 *
 * Threads  workers; the session's.
 */
#pragma once
#include "store/store.h"

/* The server starts, or lives; makes the row (anew) if it is not there. */
enum err origin_seen(struct db *db, const struct guid *id, int64_t now_ms) MUST_USE;
/* The server stops, and with it all its connections. */
enum err origin_stop(struct db *db, const struct guid *id, int64_t now_ms) MUST_USE;

struct origin_upkeep {
	struct guid self;
	int64_t lease_ms;	       /* silent for longer = dead */
	int64_t connection_lease_ms;   /* of an own connection: not seen for longer = lost */
	int64_t origin_max_age_ms;     /* dead for longer = deleted, with its connections */
	int64_t connection_max_age_ms; /* closed for longer = deleted; 0 = never */
	int64_t request_max_age_ms;    /* logged requests; 0 = for ever */
};

/* Closes the connections of dead servers, and own ones that are lost. */
enum err origin_bury(struct db *db, const struct origin_upkeep *u, int64_t now_ms) MUST_USE;
/* That, and deletes what is too old. Not in a transaction: it goes in small steps. */
enum err origin_maintain(struct db *db, const struct origin_upkeep *u, int64_t now_ms) MUST_USE;

/* For the test that prepares everything. */
extern const struct stmt_table origin_statements;
