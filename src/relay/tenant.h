/*
 * tenant - one tenant on its home loop: facts, connections, waiting requests
 *
 * Facts come from the database through a job and are kept for
 * tenant_info_cache_duration, unknown tenants too. While they are asked for,
 * requests wait in `asking`. Stale facts of a tenant with connections are used and refreshed behind
 * the back, so a slow database is felt only by newcomers.
 *
 * Who holds whom  rl->tenants holds tenants by normalized name. A tenant holds its
 *     connections in two rings: `ready` may take a request now, `busy` may not
 *     (limit reached, or its peer does not read). Taking the first of `ready` and
 *     putting it last is the round robin. Requests that found no ready connection wait in
 *     `queue`, first come, first served. A tenant without any of these is idle
 *     and may be forgotten, longest unused first, beyond tenants_cached_max.
 *
 * Threads  the home loop.
 */
#pragma once
#include "relay/relay_int.h"

struct hub_conn;
struct relay_request;
struct tenant;

enum tenant_facts {
	TENANT_ASKING,	/* nothing known yet */
	TENANT_KNOWN,	/* `info` says what, also that there is no such tenant */
	TENANT_TROUBLE, /* the database did not answer: 503, asked again next time */
};

/* Something that waits for facts: requests and arriving connectors. */
struct tenant_waiter {
	struct list_node node;
	void (*fn)(struct tenant_waiter *w, struct tenant *t);
};

struct tenant {
	struct relay_loop *rl;
	struct str key; /* normalized name, in the same allocation */
	enum tenant_facts facts;
	struct tenant_info info;
	struct arena info_arena;
	uint64_t fresh_until_ms;
	bool loading;
	bool changed;	      /* while loading: ask again */
	unsigned uses;	      /* lists and jobs that hold it */
	struct list asking;   /* of tenant_waiter */
	struct list visiting; /* those that brought a visit */
	struct list ready, busy;
	struct list queue;
	struct list abandoned; /* /queue requests that were sent over a connection which is lost */
	size_t n_queued;
	uint64_t bytes_queued; /* of their heads and bodies, stored or not */
	size_t n_kept;	       /* /queue requests from tenant_enqueue to their end, sent or not */
	uint64_t bytes_kept;
	size_t n_conns;
	size_t n_loose; /* requests that no connection holds: they wait, or theirs was lost */
	struct list_node idle;
};

/* Upper case, as the database does; STR_NULL when too long or empty. */
struct str tenant_normalize(struct arena *a, struct str name);

/* Finds or makes; starts asking when nothing is known or it is stale. */
struct tenant *tenant_get(struct relay_loop *rl, struct str normalized);
/* Only if it is remembered. */
struct tenant *tenant_peek(struct relay_loop *rl, struct str normalized);
void tenant_use(struct tenant *t);
void tenant_unuse(struct tenant *t);
/* Calls w->fn at once when the facts are there, else later. */
void tenant_wait(struct tenant *t, struct tenant_waiter *w);
/* Asks again when the facts are stale, so that a tenant without traffic hears of changes too. */
void tenant_refresh(struct tenant *t);
/* Somebody changed the tenant: what is known, or being asked for right now, is old. */
void tenant_changed(struct tenant *t);
/* A connector came: create or update, then w->fn. */
void tenant_visit(struct tenant *t, const struct tenant_visit *v, struct tenant_waiter *w);
static inline bool tenant_exists(const struct tenant *t)
{
	return t->facts == TENANT_KNOWN && t->info.found;
}

void tenant_add_conn(struct tenant *t, struct hub_conn *c);
void tenant_remove_conn(struct tenant *t, struct hub_conn *c);
/* Whether one of its connections takes requests, if only later. */
bool tenant_is_served(const struct tenant *t);
/* A request has ended: while the loop drains, connections that this left without work leave. */
void tenant_release(struct tenant *t);
/* The connection can take more, or no more, than before. */
void tenant_settle_conn(struct tenant *t, struct hub_conn *c);

/* Sends now or queues; ERR_LIMIT when the tenant has enough. */
enum err tenant_enqueue(struct tenant *t, struct relay_request *r) MUST_USE;
/* It ends. Of no consequence for what tenant_enqueue did not count. */
void tenant_unkeep(struct tenant *t, struct relay_request *r);
/* Back to the front, to be sent again. */
void tenant_requeue(struct tenant *t, struct relay_request *r);
void tenant_dequeue(struct tenant *t, struct relay_request *r);
/* Sends what waits while connections can take it. */
void tenant_pump(struct tenant *t);

/* At the end: whoever waits for facts hears that there are none. */
void tenants_wake_all(struct relay_loop *rl);
/* Forgets all tenants, when nothing uses them any more. */
void tenants_free(struct relay_loop *rl);
