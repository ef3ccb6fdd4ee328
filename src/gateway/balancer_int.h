/*
 * balancer_int - what the files of the balancer share
 *
 * Who holds whom: the set has every balancer, by id, until nobody refers to it (the set's list,
 * views, messages). A balancer of an upstream has targets; a target has peers, its addresses.
 * From settings and peers a table is built, which is what loops read.
 *
 *   balancer.c          the set, views, apply
 *   balancer_table.c    peers, tables, how tables are replaced
 *   balancer_resolve.c  targets: their names and addresses; on the keeper, the set's first loop
 *   balancer_pick.c     algorithms
 *   balancer_plain.c    hosts that are no upstream
 *   balancer_key.c      hash keys
 *   balancer_status.c   what Admin shows and marks
 *   health.c            counters and states
 *   health_probe.c      active checks; on the keeper
 *
 * How tables are replaced: whoever changed something builds a new one under the balancer's
 * mutex, publishes it, and posts a message to every loop. A loop uses a table only within
 * a callback, so when all have run their message nobody looks at the old one. The same
 * message wakes those who wait. Names come in crowds and each table costs what all targets
 * cost, so names only mark the balancer: it gets one new table for all that came in a turn.
 *
 * Lock order: set, balancer. No callback is made with one held.
 */
#pragma once
#include "base/map.h"
#include "gateway/balancer.h"
#include "net/dns_cache.h"

#include <pthread.h>

struct http_client;
struct prober;

/* ---- peers ---- */

/* One address of a target, counted; outlives tables and targets while a request is on it. */
struct peer {
	/* atomics: any loop */
	_Atomic uint64_t use; /* low 32 bits: owners; high: requests under way */
	_Atomic uint64_t latency;
	_Atomic uint64_t risen_ms; /* slow start: when it came up; 0 = long ago */
	atomic_bool down;
	atomic_uint successes, tcp_failures, timeouts, http_failures;
	/* constant */
	struct addr addr;
	struct str ip, host;
	struct str srv_name; /* of the SRV record; p NULL = none */
	uint16_t port;
	/* balancer's mutex */
	unsigned weight, srv_weight;
	char text[];
};

#define PEER_ACTIVE ((uint64_t)1 << 32)

struct peer *peer_new(const struct addr *a, struct str host, struct str srv_name);
void peer_ref(struct peer *p);
void peer_unref(struct peer *p);
static inline unsigned peer_active(struct peer *p)
{
	return (unsigned)(atomic_load_explicit(&p->use, memory_order_relaxed) >> 32);
}

/* Moving average of response times, decaying over 10 s; 0 = unknown. */
float peer_latency_us(struct peer *p, uint64_t now_ms);
void peer_add_latency(struct peer *p, uint64_t us, uint64_t now_ms);

/* ---- settings and tables ---- */

/* A copy of a configuration without its targets. Counted. */
struct settings {
	atomic_uint refs;
	struct arena arena;
	struct balancer_config c;
	struct str image; /* all of it, to see what changed */
};

struct settings *settings_new(const struct balancer_config *c);
void balancer_settings_unref(struct settings *s);

/* What round-robin and chance need, of one loop. */
struct lane {
	uint64_t rng;
	uint32_t turn;
	int64_t current[];
};

struct slot {
	struct peer *peer;
	uint32_t weight; /* never 0 */
};

/* A point of the continuum. */
struct point {
	uint32_t hash, slot;
};

struct table {
	struct settings *settings;
	struct slot *slots;
	size_t n;
	struct point *points;
	size_t n_points;
	struct lane **lanes; /* by loop index */
	unsigned n_lanes;
	bool pending; /* a name has never been looked up yet */
};

/* ---- targets and balancers ---- */

struct target {
	struct list_node node; /* balancer's mutex */
	struct balancer *balancer;
	/* balancer's mutex */
	struct guid id;
	struct str text, host; /* constant */
	uint16_t port;
	unsigned weight;
	struct peer **peers;
	size_t n_peers;
	struct str dns; /* static text */
	enum dns_kind kind;
	bool is_literal;
	bool known; /* its name was looked up */
	bool failed;
	/* keeper */
	bool watched;
	struct dns_watch watch;
	char chars[];
};

enum balancer_kind { KIND_UPSTREAM, KIND_LITERAL, KIND_HOST };

struct balancer {
	enum balancer_kind kind; /* constant */
	/* upstreams */
	struct balancer_set *set; /* constant */
	struct list_node node;	  /* of the set; its mutex */
	struct guid id;		  /* constant */
	atomic_uint refs;
	_Atomic(struct table *) table;
	atomic_bool usable; /* more than `threshold` percent of the weight is up */
	pthread_mutex_t mtx;
	struct settings *settings;
	struct list targets;   /* in the order given */
	struct list gone;      /* no longer listed, the keeper has to let go */
	atomic_bool listed;    /* written with the set's mutex; once false, for good */
	bool seen;	       /* set's mutex: in the list being applied */
	bool stale;	       /* balancer's mutex: the table lacks the latest names */
	struct later rebuild;  /* keeper */
	struct prober *prober; /* keeper */
	/* plain hosts, constant */
	struct addr addr;
	struct str host;
	uint16_t port;
	char text[];
};

struct balancer_set {
	struct loops *loops; /* constant */
	struct loop *keeper;
	pthread_mutex_t mtx;
	struct list balancers; /* all */
	atomic_uint n_views;
	struct list *waiting;		  /* one a loop: balancer_waiter */
	struct http_client *probe_client; /* keeper; made with the first probe */
};

void balancer_ref(struct balancer *b);
void balancer_unref(struct balancer *b);

/* balancer_table.c */
/* With the mutex held. Builds, publishes, and sees to the old one. */
void balancer_rebuild(struct balancer *b);
/* With the mutex held: after health or weights have changed. */
void balancer_weigh(struct balancer *b);
void table_free(struct table *t);

/* balancer_resolve.c */
struct target *target_new(struct balancer *b, const struct balancer_target *c);
void target_free(struct target *t);
/* With the mutex held: the weights of its addresses follow from the target's. */
void target_set_weight(struct target *t, unsigned weight);
/* Any thread: has the keeper look at what changed. */
void balancer_sync_later(struct balancer *b);
/* Keeper, or after the loops: stops watches, frees targets. */
void balancer_drop_targets(struct balancer *b);

/* health.c */
void health_report(struct balancer *b, struct peer *p, const struct health_rules *r,
		   enum balancer_outcome outcome, int status);
/* A success that has no status. */
void health_success(struct balancer *b, struct peer *p, const struct health_rules *r);
/* Sets the state and clears the counters. Not with the mutex held. */
void health_set(struct balancer *b, struct peer *p, bool down, const char *why);

/* health_probe.c: keeper. Starts, changes or stops the probes of a balancer. */
void prober_update(struct balancer *b, struct settings *s);
void prober_free(struct prober **p);

/* balancer_plain.c */
enum err plain_pick(struct balancer *b, struct loop *l, struct balancer_try *t,
		    struct balancer_peer *out);
void plain_done(struct balancer_try *t);
void plain_wait(struct balancer *b, struct loop *l, struct balancer_waiter *w);
void plain_wait_cancel(struct balancer_waiter *w);
