/*
 * gateway - the role: proxies requests of clients to services, as the entities say
 *
 * The Admin API (or a declarative file) tells what the entities are; each change makes a new
 * epoch, which every loop takes over before the change is acknowledged. A request keeps the
 * epoch that it started with.
 *
 * Threads  gateway_dispatch: loops. gateway_changes: any one thread at a time, never a loop.
 *          The rest: the main thread.
 * Spec     kong-gateway §9, §10, §12.
 */
#pragma once
#include "gateway/config.h"
#include "gateway/epoch.h"
#include "http/server.h"

struct gateway;
struct admin_counters;

/* What the gateway needs of the process. */
struct gateway_ops {
	/* The server of a role of this process; NULL when it does not run here. On loops. */
	struct http_server *(*role_server)(void *arg, struct str role);
	/* Of the proxy's listeners, for /metrics. May be NULL. */
	void (*counters)(void *arg, struct admin_counters *out);
	void *arg;
};

struct gateway_deps {
	struct loops *loops;
	struct pool *slow;
	const struct gateway_config *config; /* must outlive the gateway */
	struct gateway_ops ops;
};

/* Whether gateway_new would take it; reads the files that it names, but not its entities. */
enum err gateway_check(const struct gateway_config *config, struct fault *f) MUST_USE;
enum err gateway_new(const struct gateway_deps *deps, struct gateway **out,
		     struct fault *f) MUST_USE;
/* dispatch_fn */
void gateway_dispatch(struct exchange *x, void *gateway);
/* entity_changes_fn */
void gateway_changes(void *gateway, const struct entity_change *v, size_t n, bool all);
/* tls_pick_fn: the certificate for a name, on a loop. */
const struct tls_cert *gateway_pick_certificate(void *gateway, struct str sni, bool or_default);
/* For the Admin API. */
struct balancer_set *gateway_balancers(struct gateway *g);
struct guid gateway_node_id(const struct gateway *g);
/* Requests that have not ended. */
unsigned gateway_active(const struct gateway *g);
/*
 * When no request is left: sends what plugins hold back (records of logs). True when that is
 * done or five seconds have passed since the first time; ask again until then. Not on a loop.
 */
bool gateway_flush(struct gateway *g);
/* Files of plugins were rotated: all are opened anew. */
void gateway_reopen(struct gateway *g);
/* While the loops run: what is under way is cut. */
void gateway_stop(struct gateway *g);
/* After the loops have been joined and before loops_free. */
void gateway_joined(struct gateway *g);
/* After the loops were freed. */
void gateway_free(struct gateway **g);
/* Text for /metrics: of the gateway, of its plugins, and whether its database answers. */
void gateway_metrics(struct gateway *g, bool is_datastore_reachable, struct buf *out);
