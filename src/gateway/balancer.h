/*
 * balancer - which address a request goes to
 *
 * A balancer stands for one upstream entity or for one plain host, and answers
 * "where to" with balancer_pick and learns from balancer_done. Those of upstreams belong to
 * a set and live across configuration epochs: balancer_set_apply gives it a new list, and
 * what stays the same keeps its health, counters and connections. A view is what one
 * epoch sees; it finds a balancer by name.
 *
 * Names of targets are looked up ahead and again whenever their TTL ends, with and
 * without traffic, on the first loop of the set. So a pick waits only right after
 * a target was added; an address that stays keeps its state.
 *
 * Picking takes no lock and no memory: it reads one immutable table that all loops
 * share, state that belongs to the loop (round-robin) and atomics of the address
 * (health, active requests, latency).
 *
 * Life       set_new .. set_free around everything. A pick that returned ERR_OK is
 *            followed by exactly one balancer_done, on the same loop.
 * Ownership  configurations are copied. A view is counted; balancers are borrowed from it.
 * Threads    balancer_set_*, view_*: any but the loops where said so; find, pick, wait, done:
 *            a loop of the set.
 */
#pragma once
#include "base/arena.h"
#include "base/guid.h"
#include "gateway/health.h"
#include "loop/loop.h"
#include "net/dns_cache.h"

enum balancer_algorithm {
	BALANCER_ROUND_ROBIN,
	BALANCER_CONSISTENT_HASHING,
	BALANCER_LEAST_CONNECTIONS,
	BALANCER_LATENCY,
};

enum balancer_hash_on {
	BALANCER_HASH_NONE,
	BALANCER_HASH_CONSUMER,
	BALANCER_HASH_IP,
	BALANCER_HASH_HEADER,
	BALANCER_HASH_COOKIE,
	BALANCER_HASH_PATH,
	BALANCER_HASH_QUERY_ARG,
	BALANCER_HASH_URI_CAPTURE,
};

/* What to hash: `name` is that of the header, cookie, query argument or capture. */
struct balancer_hash {
	enum balancer_hash_on on;
	struct str name;
};

struct balancer_target {
	struct guid id;
	struct str target; /* as configured, "host:port": its identity */
	struct str host;   /* without brackets */
	uint16_t port;
	unsigned weight; /* 0 = listed, but gets nothing */
};

struct balancer_config {
	struct guid id;
	struct str name;
	enum balancer_algorithm algorithm;
	struct balancer_hash hash, fallback;
	struct str cookie_path; /* p NULL = "/" */
	struct str host_header; /* p NULL = none; the proxy's and the probes' Host */
	unsigned slots;		/* accepted; the ring's size follows from the weights */
	struct health_config health;
	const struct balancer_target *targets;
	size_t n_targets;
	bool use_srv_name;	/* Host is the name in the SRV record */
	uint32_t slow_start_ms; /* 0 = off: how long a new or recovered address takes to get its
				   share */
};

/* ---- the set, and what an epoch sees of it ---- */

struct balancer;
struct balancer_set;
struct balancer_view;

/* `loops` outlives the set. Names are looked up and probes sent on its first loop. */
struct balancer_set *balancer_set_new(struct loops *loops);
/* After the loops have been joined and before loops_free. NULL-safe, sets *s to NULL. */
void balancer_set_free(struct balancer_set **s);
/*
 * The whole new list. Takes effect at once, for views given out before as well (an upstream
 * that is no longer listed goes on working for those, with what was known: without probes and
 * lookups). Calls come one after the other.
 * Not from a loop. The caller owns one reference.
 */
struct balancer_view *balancer_set_apply(struct balancer_set *s, const struct balancer_config *v,
					 size_t n);
/*
 * The new state of one upstream, at once as well. False, and nothing happens, when the view has not
 * this upstream under this name. As balancer_set_apply otherwise.
 */
bool balancer_view_update(struct balancer_view *v, const struct balancer_config *c) MUST_USE;
struct balancer_view *balancer_view_ref(struct balancer_view *v);
/* Any thread. NULL-safe, sets *v to NULL. */
void balancer_view_unref(struct balancer_view **v);
/* Whether both have the same balancers under the same names. */
bool balancer_view_same(const struct balancer_view *a, const struct balancer_view *b);
/* NULL = no upstream has this name (compared without case): it is a plain host. */
struct balancer *balancer_find(const struct balancer_view *v, struct str name);

/*
 * For a service whose host is no upstream: an IP literal costs nothing, a name is looked up on
 * the request's loop, at most once a TTL, and its addresses take turns. Belongs to the
 * caller (an epoch), which frees it when no try is open.
 */
struct balancer *balancer_plain_new(struct str host, uint16_t port);
void balancer_plain_free(struct balancer **b);

/* ---- the hash key ---- */

struct balancer_key {
	bool has;
	uint32_t hash;
	bool set_cookie; /* the client has none yet: balancer_key_cookie */
	char uuid[GUID_D_LEN];
};

/*
 * The values of what `h` names in the request, at most BALANCER_VALUES_MAX; gives their number.
 * Consumer: the consumer's id, or the credential's. Path: the normalized path.
 */
#define BALANCER_VALUES_MAX 32
typedef size_t balancer_values_fn(void *arg, const struct balancer_hash *h,
				  struct str v[BALANCER_VALUES_MAX]);

/* Not `has` when the algorithm needs none, or neither primary nor fallback are there. */
void balancer_key_make(const struct balancer *b, balancer_values_fn *values, void *arg,
		       struct balancer_key *out);
/* "name=uuid; Path=/; SameSite=Lax; HttpOnly"; only after set_cookie. */
struct str balancer_key_cookie(const struct balancer *b, const struct balancer_key *k,
			       struct arena *a);

/* ---- a request ---- */

struct balancer_waiter;
typedef void balancer_wait_fn(struct balancer_waiter *w);

/* Embedded in the request; all-zero is idle. */
struct balancer_waiter {
	struct list_node node;
	struct balancer *balancer;
	balancer_wait_fn *fn;
	struct loop *loop;
	struct dns_waiter dns;
	struct later later;
};

#define BALANCER_TRIED_MAX 16

/* The tries of one request; all-zero at its start. Private but for reading `tries`. */
struct balancer_try {
	void *peer;    /* chosen, until balancer_done */
	void *records; /* of a plain host */
	const void *tried[BALANCER_TRIED_MAX];
	unsigned n_tried;
	unsigned tries; /* picks that returned ERR_OK */
};

/* Where to. `host` is valid until balancer_done. */
struct balancer_peer {
	struct addr addr;
	struct str host; /* for Host and SNI: the target's name, or the SRV record's */
	uint16_t port;
	struct str host_header; /* the upstream's; p NULL = none */
};

/*
 * ERR_AGAIN        names are not known yet: balancer_wait, in the same callback
 * ERR_UNAVAILABLE  "failure to get a peer from the ring-balancer": all down, below the
 *                  threshold, or no targets
 * ERR_NOT_FOUND    "name resolution failed" (plain hosts)
 * A further pick of the same try prefers addresses that were not tried yet; when all were, it
 * begins again.
 */
enum err balancer_pick(struct balancer *b, struct loop *l, const struct balancer_key *k,
		       struct balancer_try *t, struct balancer_peer *out) MUST_USE;
/* `latency_us` to the head of the answer; 0 = unknown. */
void balancer_done(struct balancer *b, struct loop *l, struct balancer_try *t,
		   enum balancer_outcome outcome, int status, uint64_t latency_us);
/* Calls `fn` once, when a pick is worth trying again. The caller has its own timeout. */
void balancer_wait(struct balancer *b, struct loop *l, struct balancer_waiter *w,
		   balancer_wait_fn *fn);
/* NULL-safe towards one that is idle. */
void balancer_wait_cancel(struct balancer_waiter *w);

/* ---- Admin ---- */

enum balancer_health {
	BALANCER_HEALTHY,
	BALANCER_UNHEALTHY,
	BALANCER_HEALTHCHECKS_OFF,
	BALANCER_DNS_ERROR,
};
/* "HEALTHY", "HEALTHCHECKS_OFF", ... */
struct str balancer_health_name(enum balancer_health h);

struct balancer_address_status {
	struct str ip, host;
	uint16_t port;
	unsigned weight;
	enum balancer_health health;
	unsigned active; /* requests under way */
	uint64_t latency_us;
};

struct balancer_target_status {
	struct guid id;
	struct str target, host,
		dns; /* dns: "A", "AAAA", "SRV", "hosts"; "" for a literal; an error */
	uint16_t port;
	unsigned weight; /* as configured */
	enum balancer_health health;
	uint64_t weight_total, weight_available;
	const struct balancer_address_status *addresses;
	size_t n_addresses;
};

struct balancer_status {
	struct guid id;
	struct str name;
	enum balancer_health health; /* of the upstream as a whole: balancer_health */
	bool usable;		     /* above the threshold */
	uint64_t weight_total, weight_available;
	const struct balancer_target_status *targets;
	size_t n_targets;
};

/* ERR_NOT_FOUND: no such upstream (or it has not reached this process). Any thread. */
enum err balancer_set_status(struct balancer_set *s, const struct guid *upstream, struct arena *a,
			     struct balancer_status *out) MUST_USE;
/* The status of each upstream, one after the other; valid for the call. Any thread. */
typedef void balancer_each_fn(void *arg, struct arena *a, const struct balancer_status *s);
void balancer_set_each(struct balancer_set *s, balancer_each_fn *fn, void *arg);
/*
 * Marks one address ("ip", "ip:port" or its host name) or, with `address.p` NULL, all of a
 * target (its id or "host:port"), until a check says otherwise. ERR_NOT_FOUND. Any thread.
 */
enum err balancer_set_mark(struct balancer_set *s, const struct guid *upstream, struct str target,
			   struct str address, enum balancer_health to) MUST_USE;
