/*
 * epoch - the configuration of the data plane at one moment
 *
 * An epoch is a set of parts, each immutable, counted and shared by the epochs that it did not
 * change between: routing (router, routes, services, plans, balancers), identity (consumers,
 * credentials) and the names of certificates. The builder keeps the entities of the process, is
 * told what was committed, and makes the next epoch out of what changed.
 *
 * A change costs as much as what changed, not as much as there is: a routing is built whole, or
 * over a whole one with only the routes that changed since; versions of an identity share all
 * that is the same.
 *
 * Ownership  an epoch keeps alive all items that it points to.
 * Threads    builder: one thread at a time. Epochs: any; the count is atomic.
 * Failure    an entity that does not compile is left out with a line in the log: a request to it
 *            finds no route, everything else works.
 */
#pragma once
#include "base/map.h"
#include "base/pmap.h"
#include "gateway/balancer.h"
#include "gateway/compile.h"
#include "gateway/plan.h"
#include "loop/job.h"
#include "tls/context.h"
#include "tls/sni.h"

/*
 * What a request needs of its route. Routes that go the same way share one: a request among many
 * routes finds it in the caches, where its route is not.
 */
struct entry {
	const struct service *service; /* NULL = none */
	const struct plan *plan;
	struct route_traits traits;
	struct balancer *balancer; /* NULL = the service is an IP literal, a relay or a role */
	struct tls_client *tls;	   /* NULL = plain, or it cannot be made */
	struct entry *next;	   /* of the routing's */
};

struct routing {
	atomic_uint refs;
	struct arena arena;
	struct routing *base; /* what it stands over; NULL: it is whole */
	uint64_t *gone;	      /* a bit for each entry of the base that is not used any more */
	size_t n_gone;
	struct router *router;
	/* Both by the router's index, behind those of the base. */
	const struct entry **entries;
	const struct route **routes;
	size_t n;
	struct entry *own;   /* all that `entries` points to, each once */
	struct map by_route; /* of a whole one: the place in `routes` by the 16 bytes of the id */
	const struct plan *global; /* when no route matches */
	struct balancer_view *view;
	struct entity_item **items;
	size_t n_items;
};

/* By the index of a match. */
static inline const struct entry *routing_entry(const struct routing *r, size_t index)
{
	if (r->base && index >= r->base->n) {
		return r->entries[index - r->base->n];
	}
	return r->base ? r->base->entries[index] : r->entries[index];
}

static inline const struct route *routing_route(const struct routing *r, size_t index)
{
	if (r->base && index >= r->base->n) {
		return r->routes[index - r->base->n];
	}
	return r->base ? r->base->routes[index] : r->routes[index];
}

/* Tables of which each change makes another version. Asked by the functions below. */
struct identity {
	atomic_uint refs;
	struct pmap consumers; /* by the 16 bytes of the id */
	struct pmap usernames;
	struct pmap credentials[GW_CREDENTIAL_KINDS]; /* by key, or username */
};

/* NULL when there is none; whether it has expired is not looked at. */
const struct gw_credential *identity_credential(const struct identity *i,
						enum gw_credential_kind kind, struct str key);
/* Whose it is; NULL when there is no such consumer (any more). */
const struct gw_consumer *identity_owner(const struct identity *i,
					 const struct gw_credential *credential);
/* By id, else by username: an id is never taken over by somebody's username. */
const struct gw_consumer *identity_consumer(const struct identity *i, struct str id_or_name);

struct epoch {
	atomic_uint refs;
	struct pool *slow; /* frees it when a loop was the last to let go; may be NULL */
	struct job job;
	struct routing *routing;
	struct identity *identity;
	struct tls_sni_map *names; /* certificates */
};

struct epoch *epoch_ref(struct epoch *e);
void epoch_unref(struct epoch **e);

struct builder;
/* `dflt` is for names that no sni entity has. */
struct builder *builder_new(const struct plugin_host *host, struct tls_cert *dflt);
void builder_free(struct builder **b);
/* As entity_changes_fn; then the next epoch, owned by the caller. */
struct epoch *builder_apply(struct builder *b, const struct entity_change *v, size_t n, bool all);
struct plugin_host *builder_plugin_host(struct builder *b);
struct balancer_set *builder_balancers(struct builder *b);
/* After the loops were joined and before loops_free: what belongs to them ends. */
void builder_joined(struct builder *b);
