/*
 * relay - the relay server role: clients reach on-premises targets through connectors
 *
 * Life     relay_new, then listeners with relay_dispatch. At the end: relay_drain and wait for
 *          relay_active to become 0 (or not), relay_stop, the listeners, the pool and the loops
 *          freed, and last relay_free.
 * Threads  relay_dispatch: loops. relay_set_trust: any. All others: the main thread, while the
 *          loops run; relay_free: after loops_free.
 * Spec     docs/internals/relay.md
 */
#pragma once
#include "blob/blob.h"
#include "http/server.h"
#include "identity/trust.h"
#include "loop/job.h"
#include "relay/config.h"
#include "relay/events.h"
#include "relay/tenant_info.h"

struct relay;

struct relay_deps {
	struct loops *loops;
	struct pool *db_pool; /* its workers' value goes to the ops below */
	const struct tenant_store_ops *tenants;
	const struct relay_event_ops *events; /* may be NULL */
	struct blob_store *bodies;
	struct guid origin;	    /* of this run of the process */
	int64_t connection_seen_ms; /* how often events say that a connection is there */
};

/* A configuration and who frees it when its last user has gone (may be NULL). */
struct relay_config_epoch {
	const struct relay_config *config;
	void (*release)(void *arg);
	void *arg;
};

/* Whether it would be taken; the fault names the key. */
enum err relay_check(const struct relay_config *config, struct fault *f) MUST_USE;
/* Takes the epoch, also when it fails; then the fault names the key. */
enum err relay_new(const struct relay_deps *deps, const struct relay_config_epoch *epoch,
		   struct relay **out, struct fault *f) MUST_USE;
/* All loops go over to the new configuration; requests under way keep the old one. */
enum err relay_reload(struct relay *r, const struct relay_config_epoch *epoch,
		      struct fault *f) MUST_USE;
/* Whom to believe, when the role does not fetch it (no `authority` configured). */
void relay_set_trust(struct relay *r, struct trust *t);

/*
 * A tenant was created, changed or deleted, by its normalized name: ask anew, and end the
 * connections of one that is gone. Any thread.
 */
void relay_tenant_changed(struct relay *r, struct str normalized);

void relay_dispatch(struct exchange *x, void *relay);
/* The client, also behind proxies that the relay trusts; borrowed, as long as the exchange. */
const struct addr *relay_client_addr(struct exchange *x, void *relay);

/* No new requests; connectors leave when what they work on is answered. */
void relay_drain(struct relay *r);
/* Requests and connections left over all loops. */
unsigned relay_active(const struct relay *r);
/* Ends every request (503) and every connection (telling connectors to come back). Waits for it. */
void relay_stop(struct relay *r);
void relay_free(struct relay **r);

/* Able to accept connectors and to relay. */
bool relay_ready(const struct relay *r);

enum relay_outcome {
	RELAY_SUCCEEDED,
	RELAY_ABORTED,
	RELAY_FAILED,
	RELAY_EXPIRED,
	RELAY_ERRORED,
	RELAY_REFUSED, /* before it became a request: unknown tenant, 401, bad URL */
	RELAY_OUTCOMES,
};

struct relay_stats {
	uint64_t requests[RELAY_OUTCOMES];
	uint64_t in_flight, queued; /* now */
	uint64_t connections;	    /* now, registered */
	uint64_t bodies_stored;	    /* total, both directions */
	uint64_t request_bytes, response_bytes;
	uint64_t redelivered;
	uint64_t events_dropped;
};
void relay_stats(const struct relay *r, struct relay_stats *out);
/* Prometheus text. */
void relay_metrics(const struct relay *r, struct buf *out);
