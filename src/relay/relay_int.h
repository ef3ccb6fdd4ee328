/*
 * relay_int - the role's state of one loop, shared by its files
 *
 * A tenant lives on one loop, its home: cached facts, connections, waiting and
 * running requests. Nothing of it is touched elsewhere, so there are no locks. What arrives
 * on another loop travels home as a message and its answer comes back by
 * exchange_id (client.h).
 */
#pragma once
#include "base/map.h"
#include "identity/validator.h"
#include "relay/interceptor.h"
#include "relay/relay.h"

enum relay_counter {
	/* the outcomes of relay_outcome come first */
	COUNT_IN_FLIGHT = RELAY_OUTCOMES,
	COUNT_QUEUED,
	COUNT_CONNECTIONS,
	COUNT_BODIES,
	/* Of stored bodies, now; body_count.h. A body may be counted on one loop and taken off on
	 * another: only the sum means something. */
	COUNT_BODY_BYTES,
	COUNT_REQUEST_BYTES,
	COUNT_RESPONSE_BYTES,
	COUNT_REDELIVERED,
	COUNT_EVENTS_DROPPED,
	COUNTERS,
};

/* A configuration with what was compiled from it. Counted; immutable. */
struct relay_epoch {
	atomic_uint refs;
	struct relay_config_epoch source;
	const struct relay_config *config;
	struct arena arena;
	struct addr_nets trusted;
	struct interceptors rules;
	unsigned log_flags;
};

enum err relay_epoch_new(const struct relay_config_epoch *source, struct relay_epoch **out,
			 struct fault *f) MUST_USE;
struct relay_epoch *relay_epoch_ref(struct relay_epoch *e);
void relay_epoch_unref(struct relay_epoch **e);
bool relay_epoch_trusts(const struct relay_epoch *e, const struct addr *peer);

#define RELAY_PARKED_MAX 64

struct relay_loop {
	/* constant */
	struct relay *relay;
	struct loop *loop;
	unsigned index;
	/* owning loop */
	struct relay_epoch *epoch;
	struct validator *validator;
	struct trust *trust;	  /* NULL = believe nobody yet */
	struct map tenants;	  /* normalized name -> struct tenant */
	struct list tenants_idle; /* may be forgotten, longest unused first */
	struct map requests;	  /* id -> struct relay_request */
	struct map conns;	  /* token -> struct hub_conn */
	struct map polls;	  /* token -> struct poll, also for a while after its end */
	struct list all_conns;
	struct list free_requests;
	unsigned n_free_requests;
	struct arena arena; /* of the message being handled */
	struct buf scratch; /* decoded bodies, for one call */
	struct relay_event_log events;
	/* discovery asked for before the keys of the authority came: answered then, or soon refused
	 */
	struct exchange_id parked[RELAY_PARKED_MAX];
	unsigned n_parked;
	struct timer parked_timer;
	bool draining;
	bool stopped;
	/* written by the loop, read by any thread */
	_Atomic uint64_t counters[COUNTERS];
	atomic_bool has_trust;
};

struct relay {
	struct relay_deps deps;
	struct relay_loop *loops;
	unsigned n_loops;
	char origin_d[GUID_D_LEN];
	struct authority *authority; /* NULL when trust is set from outside */
	atomic_bool draining;
	char host_name[256];
};

static inline struct relay_loop *relay_loop_of(struct relay *r, const struct loop *l)
{
	return &r->loops[loop_index(l)];
}

static inline void relay_count(struct relay_loop *rl, unsigned counter, int64_t by)
{
	/* One writer: no need for a locked instruction. */
	uint64_t v = atomic_load_explicit(&rl->counters[counter], memory_order_relaxed);

	atomic_store_explicit(&rl->counters[counter], v + (uint64_t)by, memory_order_relaxed);
}

/* Whether no more may be put into the store of bodies. Any loop. */
bool relay_bodies_full(const struct relay_loop *rl);

/* Where a tenant, by its normalized name, lives. */
static inline struct relay_loop *relay_home(struct relay *r, struct str normalized)
{
	return &r->loops[map_hash(normalized) % r->n_loops];
}

/* Runs the message now if we are on that loop, else sends it. */
void relay_hop(struct relay_loop *to, struct msg *m);

/*
 * Identifiers that any loop can follow home: random, but the last byte is the index of the
 * loop (loops are limited to 256).
 */
struct guid relay_request_id(const struct relay_loop *home);
/* NULL when no loop has that index. */
struct relay_loop *relay_request_home(struct relay *r, const struct guid *id);
