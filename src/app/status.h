/*
 * status - the status listener: liveness, readiness and metrics
 *
 *   GET /health/live    200 as long as the loops turn
 *   GET /health/ready   200 when new work can be done, else 503 with the reason
 *   GET /metrics        Prometheus text
 *
 * Where the gateway runs, also what Kong's status listener has, by handlers of the Admin API:
 * /status, /status/ready, /upstreams/{u}/health. Nothing here asks for a key.
 *
 * Threads  dispatch: loops.
 */
#pragma once
#include "app/gateway_role.h"
#include "app/sessions.h"
#include "http/server.h"
#include "relay/relay.h"

struct status_server {
	const char *name; /* role */
	const struct http_server *server;
};

struct status {
	/* constant while it listens; filled by the owner */
	const struct gateway_role *gateway; /* NULL = does not run */
	struct relay *relay;		    /* NULL when the role does not run */
	struct status_server servers[16];
	size_t n_servers;
	struct pool *pools[REST_POOLS];
	const struct loops *loops;
	uint64_t started_ms;
	atomic_bool draining;
	/* private */
	struct rest rest;
};

void status_init(struct status *s);
/* A dispatch_fn; its role is the struct status. */
void status_dispatch(struct exchange *x, void *status);
