/*
 * dns_cache - what names stand for, remembered a TTL long; one a loop
 *
 * Asks for SRV, A and AAAA in the configured order, the type that answered last first, and
 * follows CNAMEs. The hosts file comes before all. An answer is fresh for its TTL and then
 * stale for a while: a stale answer is given out at once while it is refreshed behind the
 * scenes, so a request waits only for a name that was never known. A watched name is
 * refreshed whenever its TTL ends, used or not.
 *
 *   found      kept for its TTL (1 s at least), then stale for stale_ttl_ms
 *   not found  kept for not_found_ttl_ms; replaces what was known: it is an answer
 *   error      kept for error_ttl_ms; never replaces an answer that is not too stale
 *
 * Ownership  a set is counted, not atomically: it stays on its loop.
 * Threads    the loop.
 * Limits     cache_max names; beyond, the least recently used goes. DNS_RECORDS_MAX addresses.
 */
#pragma once
#include "loop/loop.h"
#include "net/addr.h"

#define DNS_RECORDS_MAX 512

enum dns_kind { DNS_NONE, DNS_A, DNS_AAAA, DNS_SRV, DNS_CNAME, DNS_HOSTS, DNS_KINDS };

struct dns_options {
	struct str servers;    /* "127.0.0.1:53,[::1]:5353"; empty: of resolv.conf */
	struct str hosts_file; /* empty: none */
	enum dns_kind order[4];
	unsigned n_order;
	uint32_t stale_ttl_ms;
	uint32_t not_found_ttl_ms;
	uint32_t error_ttl_ms;
	uint32_t valid_ttl_ms; /* instead of the records' TTL; 0 = theirs */
	uint32_t timeout_ms;   /* of the first try */
	unsigned tries;
	unsigned cache_max;
};
extern const struct dns_options dns_options_default;

/* Before the first lookup on the loop: what was known is forgotten. ERR_INVALID: the servers. */
enum err dns_configure(struct loop *l, const struct dns_options *o) MUST_USE;

struct dns_record {
	struct addr addr; /* port: that of SRV, or 0 */
	struct str name;  /* SRV: the target; else the name that was asked for */
	uint16_t weight;  /* SRV, 0 counts as 1; else 1 */
	int32_t turn;	  /* for whoever takes turns over the records */
};

/* An answer, also a negative one. Records are sorted: the same answer has the same order. */
struct dns_set {
	enum err result; /* ERR_OK: n > 0; ERR_NOT_FOUND, ERR_TIMEOUT, ERR_UNAVAILABLE */
	enum dns_kind kind;
	uint32_t ttl_ms;
	size_t n;
	struct dns_record *v;
	unsigned refs; /* private */
};

struct dns_set *dns_set_ref(struct dns_set *s);
/* NULL-safe, sets *s to NULL. */
void dns_set_unref(struct dns_set **s);

/*
 * What is known, fresh or stale; borrowed until the callback returns. NULL: nothing,
 * dns_wait then. `name` is no IP literal.
 */
struct dns_set *dns_cache_get(struct loop *l, struct str name);

/* Embedded; all-zero is idle. */
struct dns_waiter;
typedef void dns_wait_fn(struct dns_waiter *w, struct dns_set *set);
struct dns_waiter {
	struct list_node node;
	dns_wait_fn *fn;
};
/* Looks the name up, unless that is under way, and calls `fn` once; possibly within this call. */
void dns_wait(struct loop *l, struct str name, struct dns_waiter *w, dns_wait_fn *fn);
void dns_wait_cancel(struct dns_waiter *w);

/* Embedded; all-zero is idle. */
struct dns_watch;
typedef void dns_watch_fn(struct dns_watch *w, struct dns_set *set);
struct dns_watch {
	struct list_node node;
	struct dns_entry *entry; /* private */
	dns_watch_fn *fn;
};
/*
 * Keeps the name fresh; `fn` is called with the first answer (within this call when it is known)
 * and with each that differs from the one before, also in how it failed.
 */
void dns_watch_start(struct loop *l, struct str name, struct dns_watch *w, dns_watch_fn *fn);
/* Before dns_loop_fini. */
void dns_watch_stop(struct dns_watch *w);

/* "A", "SRV", "hosts"; what failed: "dns server error: 3 name error" and the like. */
struct str dns_set_text(const struct dns_set *s);
