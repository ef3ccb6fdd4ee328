/*
 * forwarded - headers that tell a target who the client was
 *
 * X-Forwarded-For, -Host, -Proto, -Port and RFC 7239 Forwarded. What a client
 * sends in them is believed only from a trusted proxy: then our hop is appended
 * and the rest kept; else all are replaced. Spellings with '_' are dropped, since
 * some targets take them for the same header. A gateway of this process is no hop: what it
 * wrote into X-Forwarded-* stands, and `peer` is its client.
 */
#pragma once
#include "http/message.h"
#include "net/addr.h"

struct forwarded {
	struct addr peer; /* exchange_peer */
	bool peer_is_trusted;
	bool by_gateway; /* exchange_is_in_process */
	bool is_tls;
	struct str host; /* Host as received */
	int mode;	 /* FORWARDED_* of config.h */
};

void forwarded_apply(struct arena *a, const struct forwarded *f, struct http_headers *h);
/*
 * Who the client is: `peer`, or, where that is a trusted proxy, the last address in X-Forwarded-For
 * that is none. Borrowed or in the arena.
 */
const struct addr *forwarded_client(struct arena *a, const struct addr *peer,
				    struct addr_nets trusted, const struct http_headers *h);
/* "https" or "http" as the client sees us: X-Forwarded-Proto of the gateway or a trusted peer wins.
 */
struct str forwarded_scheme(const struct forwarded *f, const struct http_headers *h);
