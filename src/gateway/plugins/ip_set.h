/*
 * ip_set - addresses and networks, asked in logarithmic time
 *
 * IPv4 and IPv6 are two sets; an IPv4-mapped address or network is IPv4.
 */
#pragma once
#include "base/arena.h"
#include "net/addr.h"

struct ip_range {
	uint8_t first[16], last[16];
};

struct ip_set {
	struct ip_range *v4, *v6; /* sorted, disjoint */
	size_t n4, n6;
};

/* `texts` are addresses or networks in CIDR notation; ERR_INVALID when one is none. */
enum err ip_set_make(struct arena *a, const struct str *texts, size_t n,
		     struct ip_set *out) MUST_USE;
bool ip_set_has(const struct ip_set *s, const struct addr *a);
