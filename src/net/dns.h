/*
 * dns - asynchronous name lookup (c-ares), one resolver a loop
 *
 * Looks into the hosts file and asks the system's name servers for A and AAAA.
 * IP literals answer at once (still through the callback, within the same call).
 *
 * Threads  the loop.
 */
#pragma once
#include "loop/loop.h"
#include "net/addr.h"

#define DNS_ADDRS_MAX 8

struct dns_answer {
	enum err result; /* ERR_NOT_FOUND: no such name; ERR_TIMEOUT; ERR_UNAVAILABLE */
	struct addr addrs[DNS_ADDRS_MAX]; /* with the port asked for, in order of preference */
	size_t n;
};

typedef void dns_fn(void *arg, const struct dns_answer *answer);

struct dns_query;
/* NULL when `fn` has been called already. Otherwise it may be canceled. */
struct dns_query *dns_lookup(struct loop *l, struct str host, uint16_t port, dns_fn *fn, void *arg);
/* `fn` is not called any more. */
void dns_cancel(struct dns_query *q);
/* Frees the loop's resolver; outstanding queries are canceled. */
void dns_loop_fini(struct loop *l);
