/*
 * proxy_protocol - the header by which a load balancer says whom it speaks for
 *
 * Versions 1 (a line of text) and 2 (binary), for TCP over IPv4 and IPv6. For others, and
 * for the balancer's own health checks (LOCAL, UNKNOWN), the socket's addresses count.
 *
 * Spec  PROXY protocol, versions 1 and 2, of HAProxy (proxy-protocol.txt)
 */
#pragma once
#include "net/addr.h"
#include "net/stream.h"

#define PROXY_HEADER_MAX 4096

struct proxy_header {
	bool is_local; /* the addresses are not set: those of the socket count */
	struct addr source, destination;
};

/*
 * Pure. ERR_AGAIN: a header may become of it; ERR_PROTO: none will, or it is beyond
 * PROXY_HEADER_MAX. `*out_used` is its length.
 */
enum err proxy_header_parse(struct str in, struct proxy_header *out, size_t *out_used) MUST_USE;

/*
 * Puts the expectation of a header under a fresh stream. `fn` is called when it has come,
 * before any byte behind it is read, so it may put TLS there. Without a valid header
 * in time: on_close (ERR_IO, ERR_TIMEOUT).
 */
typedef void proxy_header_fn(struct stream *s, const struct proxy_header *h);
void stream_expect_proxy(struct stream *s, uint32_t timeout_ms, proxy_header_fn *fn);
