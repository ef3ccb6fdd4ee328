/*
 * events - what statistics and the request log want to know, at no cost to a request
 *
 * The data plane appends to a bounded batch of its loop; full or one second old,
 * the batch goes to a worker as one job, which writes it in one transaction. When
 * the database cannot keep up, batches are dropped and counted, never awaited.
 *
 * Threads  a relay_event_log belongs to its loop; `write` runs on workers.
 */
#pragma once
#include "base/guid.h"
#include "base/json.h"
#include "loop/job.h"

enum relay_event_kind {
	RELAY_EVENT_REQUEST,
	RELAY_EVENT_CONNECTED,
	RELAY_EVENT_DISCONNECTED,
	RELAY_EVENT_SEEN, /* an open connection; each one now and then */
};

struct relay_event {
	enum relay_event_kind kind;
	int64_t wall_ms;	  /* REQUEST: its start */
	struct str tenant;	  /* normalized name */
	struct str connection_id; /* CONNECTED, DISCONNECTED, SEEN */
	struct str remote_ip;	  /* CONNECTED */
	/* REQUEST */
	struct guid request_id;
	struct str target, url, method;
	int64_t duration_ms;
	uint64_t request_bytes;
	unsigned outcome;      /* one of REQUEST_LOG_* */
	struct opt_i64 status; /* SUCCEEDED only */
	struct opt_i64 response_bytes;
};

struct relay_event_ops {
	/*
	 * One batch, in order of occurrence per loop. Returns how many were lost; why, is the
	 * writer's to log. `ops` is the table itself, for writers that embed it.
	 */
	size_t (*write)(const struct relay_event_ops *ops, void *worker,
			const struct relay_event *events, size_t n);
};

#define RELAY_EVENT_BATCH 256
#define RELAY_EVENT_BATCHES_MAX 8 /* at the workers, per loop */

struct relay_event_batch;

struct relay_event_log {
	struct loop *loop;
	struct pool *pool;
	const struct relay_event_ops *ops; /* NULL: events go nowhere */
	struct relay_event_batch *batch;
	struct timer timer;
	unsigned in_flight;
	_Atomic uint64_t *dropped; /* events, ever; of the loop */
	bool closed;
};

void relay_event_log_init(struct relay_event_log *log, struct loop *loop, struct pool *pool,
			  const struct relay_event_ops *ops, _Atomic uint64_t *dropped);
/* Copies the strings, cutting them to the lengths of their columns. */
void relay_event_put(struct relay_event_log *log, const struct relay_event *e);
/* Hands over what is there now. */
void relay_event_flush(struct relay_event_log *log);
/* Flushes and stops the timer; nothing may be put afterwards. */
void relay_event_log_close(struct relay_event_log *log);
