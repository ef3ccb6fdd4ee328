/*
 * addr - socket addresses and their text
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <sys/socket.h>

struct addr {
	socklen_t len;
	struct sockaddr_storage sa;
};

/* "127.0.0.1:5000", "[::1]:5000", ":5000" and "*:5000" (all), IP literals only. */
enum err addr_parse(struct str text, struct addr *out) MUST_USE;
/* An IP literal without port; `port` is put in. */
enum err addr_from_ip(struct str ip, uint16_t port, struct addr *out) MUST_USE;
uint16_t addr_port(const struct addr *a);
#define ADDR_TEXT_MAX 64
/* "127.0.0.1:5000" or "[::1]:5000"; returns the length. IPv4-mapped is shown as IPv4. */
size_t addr_format(const struct addr *a, char out[ADDR_TEXT_MAX]);
/*
 * Whether who listens at `a` gets connections to `b`: the same place, or all addresses with that
 * port; [::] are those of IPv4, too. Port 0 is never the same.
 */
bool addr_covers(const struct addr *a, const struct addr *b);
/* Without the port and brackets. */
size_t addr_format_ip(const struct addr *a, char out[ADDR_TEXT_MAX]);

struct addr_net {
	struct addr base;
	unsigned bits;
};
/* "10.0.0.0/8", "::1", "192.168.1.1" */
enum err addr_net_parse(struct str text, struct addr_net *out) MUST_USE;
bool addr_net_has(const struct addr_net *net, const struct addr *a);

struct addr_nets {
	struct addr_net *v;
	size_t n;
};
bool addr_nets_have(struct addr_nets nets, const struct addr *a);
/*
 * Who an X-Forwarded-For tells of, read from its end: the last address or, if `recursive`, the
 * last that is in none of the nets; the first one if all are. An address may have brackets (IPv6)
 * and a port, which `*out` has not. What is no address ends the search, and nothing left of it
 * counts. False: there is none.
 */
bool addr_told(struct str list, struct addr_nets trusted, bool recursive, struct addr *out);
