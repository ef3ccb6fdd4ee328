/*
 * event_store - writes what the data plane saw into the tables of statistics
 *
 * A batch is one transaction. Events of a tenant that has gone are passed over, and text that the
 * columns cannot hold is cut or cleaned. If the database refuses a batch for something in it, its
 * events are written one by one, so that one bad event costs no others.
 *
 * Batches of one loop may be written by two workers at once and thus in any order; what is
 * stored of a connection does not depend on it.
 *
 * Threads  workers.
 */
#pragma once
#include "relay/events.h"
#include "store/store.h"

struct event_writer {
	struct relay_event_ops ops; /* for the data plane */
	struct guid origin;
};

/* `origin` is this run of the process; its row is made when a connection needs it. */
void event_writer_init(struct event_writer *w, const struct guid *origin);

/* For the test that prepares everything. */
extern const struct stmt_table event_statements;
