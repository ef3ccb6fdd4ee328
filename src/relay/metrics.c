/* Figures of the role, summed over its loops. */
#include "relay/relay_int.h"

static uint64_t sum(const struct relay *r, unsigned counter)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < r->n_loops; i++) {
		all += atomic_load_explicit(&r->loops[i].counters[counter], memory_order_relaxed);
	}
	return all;
}

bool relay_bodies_full(const struct relay_loop *rl)
{
	/* Signed: in the middle of a move between loops it may be a little below zero. */
	return (int64_t)sum(rl->relay, COUNT_BODY_BYTES) >= rl->epoch->config->bodies_bytes_max;
}

void relay_stats(const struct relay *r, struct relay_stats *out)
{
	*out = (struct relay_stats){
		.in_flight = sum(r, COUNT_IN_FLIGHT),
		.queued = sum(r, COUNT_QUEUED),
		.connections = sum(r, COUNT_CONNECTIONS),
		.bodies_stored = sum(r, COUNT_BODIES),
		.request_bytes = sum(r, COUNT_REQUEST_BYTES),
		.response_bytes = sum(r, COUNT_RESPONSE_BYTES),
		.redelivered = sum(r, COUNT_REDELIVERED),
		.events_dropped = sum(r, COUNT_EVENTS_DROPPED),
	};
	for (unsigned i = 0; i < RELAY_OUTCOMES; i++) {
		out->requests[i] = sum(r, i);
	}
}

unsigned relay_active(const struct relay *r)
{
	return (unsigned)(sum(r, COUNT_IN_FLIGHT) + sum(r, COUNT_CONNECTIONS));
}

void relay_metrics(const struct relay *r, struct buf *out)
{
	static const char *const outcomes[RELAY_OUTCOMES] = {"succeeded", "aborted", "failed",
							     "expired",	  "errored", "refused"};
	static const struct {
		unsigned counter;
		const char *name, *type, *help;
	} rows[] = {
		{COUNT_IN_FLIGHT, "requests_in_flight", "gauge", "Requests under way."},
		{COUNT_QUEUED, "requests_queued", "gauge", "Requests waiting for a connector."},
		{COUNT_CONNECTIONS, "connections", "gauge", "Connectors connected."},
		{COUNT_BODIES, "bodies_total", "counter", "Bodies put into the store."},
		{COUNT_BODY_BYTES, "body_bytes", "gauge", "Bytes of the bodies in the store."},
		{COUNT_REQUEST_BYTES, "request_bytes_total", "counter", "Bytes from clients."},
		{COUNT_RESPONSE_BYTES, "response_bytes_total", "counter", "Bytes to clients."},
		{COUNT_REDELIVERED, "redelivered_total", "counter",
		 "Requests sent again to another connection."},
		{COUNT_EVENTS_DROPPED, "events_dropped_total", "counter",
		 "Log and statistics entries lost to a slow database."},
	};

	buf_puts(out, "# HELP posthouse_relay_requests_total Requests by outcome.\n"
		      "# TYPE posthouse_relay_requests_total counter\n");
	for (unsigned i = 0; i < RELAY_OUTCOMES; i++) {
		buf_printf(out, "posthouse_relay_requests_total{outcome=\"%s\"} %llu\n",
			   outcomes[i], (unsigned long long)sum(r, i));
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_printf(out,
			   "# HELP posthouse_relay_%s %s\n# TYPE posthouse_relay_%s %s\n"
			   "posthouse_relay_%s %llu\n",
			   rows[i].name, rows[i].help, rows[i].name, rows[i].type, rows[i].name,
			   (unsigned long long)sum(r, rows[i].counter));
	}
}
