/*
 * connector - makes targets on this network reachable through a relay server
 *
 * Finds the server's endpoints (retried every 10 s), then holds one or more
 * connections to it; each is made again by the rules of reconnect.h. Requests that
 * come over them are run against their targets at the same time, up to a limit, and
 * the responses go back over the connection that brought the request or, when that
 * has gone, over any other.
 *
 * Guarantee  a response is kept until the server is known to have it, its request
 *            can no longer be waiting (endpointTimeout of the server), or more
 *            than undelivered_max came after it. It may arrive twice; the server
 *            takes the first.
 * Threads    everything on the loop that it was made for.
 * Life       connector_new; then connector_drain and, when connector_is_idle,
 *            connector_close. `events.ended` tells when the server said that it should not come
 * back.
 */
#pragma once
#include "connector/config.h"
#include "loop/loop.h"

struct connector;

/* On the connector's loop. */
struct connector_events {
	/* A connection was made; `transport` is "WebSockets" and so on. */
	void (*connected)(void *arg, const char *transport);
	/* One ended, for whatever reason. */
	void (*disconnected)(void *arg);
	/* The server closed for good: nothing more will happen. */
	void (*ended)(void *arg);
	void *arg;
};

/* The configuration is copied, its targets are counted. Starts at once. */
struct connector *connector_new(struct loop *l, const struct connect_config *config,
				unsigned connections, const struct connector_events *events);
/* For requests from now on; takes its own reference. */
void connector_set_targets(struct connector *c, struct target_set *targets);
/*
 * Asks the server for no more requests, makes no more connections. What comes until the server
 * answers is run as usual; from a server that goes on, what comes then is answered 503.
 */
void connector_drain(struct connector *c);
/* No request is running or on its way, and what was answered has left. */
bool connector_is_idle(const struct connector *c);
/* Cancels what runs and says goodbye on all connections. They flush and end while the loop runs. */
void connector_close(struct connector *c);
/* After connector_close, when all connections are gone or the loop has ended. */
bool connector_is_closed(const struct connector *c);
void connector_free(struct connector **c);
