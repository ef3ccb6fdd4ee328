#include "net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

static struct sockaddr_in *as4(struct addr *a)
{
	return (struct sockaddr_in *)&a->sa;
}

static struct sockaddr_in6 *as6(struct addr *a)
{
	return (struct sockaddr_in6 *)&a->sa;
}

enum err addr_from_ip(struct str ip, uint16_t port, struct addr *out)
{
	char text[INET6_ADDRSTRLEN];
	struct addr a = {0};

	if (ip.n == 0 || ip.n >= sizeof(text) || memchr(ip.p, 0, ip.n)) {
		return ERR_INVALID;
	}
	memcpy(text, ip.p, ip.n);
	text[ip.n] = 0;
	if (inet_pton(AF_INET, text, &as4(&a)->sin_addr) == 1) {
		as4(&a)->sin_family = AF_INET;
		as4(&a)->sin_port = htons(port);
		a.len = sizeof(struct sockaddr_in);
	} else if (inet_pton(AF_INET6, text, &as6(&a)->sin6_addr) == 1) {
		as6(&a)->sin6_family = AF_INET6;
		as6(&a)->sin6_port = htons(port);
		a.len = sizeof(struct sockaddr_in6);
	} else {
		return ERR_INVALID;
	}
	*out = a;
	return ERR_OK;
}

enum err addr_parse(struct str text, struct addr *out)
{
	ptrdiff_t colon = str_rindex(text, ':');
	struct str host;
	uint64_t port;

	if (colon < 0 || !str_to_u64(str_skip(text, (size_t)colon + 1), &port) || port > 65535) {
		return ERR_INVALID;
	}
	host = str_slice(text, 0, (size_t)colon);
	if (host.n == 0 || str_eq(host, STR("*"))) {
		return addr_from_ip(STR("::"), (uint16_t)port, out);
	}
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
		host = str_slice(host, 1, host.n - 2);
	} else if (str_index(host, ':') >= 0) {
		return ERR_INVALID; /* IPv6 wants brackets */
	}
	return addr_from_ip(host, (uint16_t)port, out);
}

uint16_t addr_port(const struct addr *a)
{
	if (a->sa.ss_family == AF_INET6) {
		return ntohs(((const struct sockaddr_in6 *)&a->sa)->sin6_port);
	}
	return a->sa.ss_family == AF_INET ? ntohs(((const struct sockaddr_in *)&a->sa)->sin_port)
					  : 0;
}

/* The four or sixteen bytes of the address; IPv4-mapped ones give four. */
static const uint8_t *ip_bytes(const struct addr *a, size_t *out_n)
{
	if (a->sa.ss_family == AF_INET) {
		*out_n = 4;
		return (const uint8_t *)&((const struct sockaddr_in *)&a->sa)->sin_addr;
	}
	const struct in6_addr *ip6 = &((const struct sockaddr_in6 *)&a->sa)->sin6_addr;

	if (IN6_IS_ADDR_V4MAPPED(ip6)) {
		*out_n = 4;
		return ip6->s6_addr + 12;
	}
	*out_n = 16;
	return ip6->s6_addr;
}

/* Once a request at least, so without inet_ntop's printf. */
static size_t format_ipv4(const uint8_t *ip, char *out)
{
	char *at = out;

	for (int i = 0; i < 4; i++) {
		if (i > 0) {
			*at++ = '.';
		}
		if (ip[i] >= 100) {
			*at++ = (char)('0' + ip[i] / 100);
		}
		if (ip[i] >= 10) {
			*at++ = (char)('0' + ip[i] / 10 % 10);
		}
		*at++ = (char)('0' + ip[i] % 10);
	}
	*at = 0;
	return (size_t)(at - out);
}

size_t addr_format_ip(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	size_t n;
	const uint8_t *ip = ip_bytes(a, &n);

	out[0] = 0;
	if (a->sa.ss_family != AF_INET && a->sa.ss_family != AF_INET6) {
		return 0;
	}
	if (n == 4) {
		return format_ipv4(ip, out);
	}
	(void)inet_ntop(AF_INET6, ip, out, ADDR_TEXT_MAX);
	return strlen(out);
}

size_t addr_format(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	char ip[ADDR_TEXT_MAX];
	size_t n = addr_format_ip(a, ip);
	bool six = memchr(ip, ':', n) != NULL;
	int len = snprintf(out, ADDR_TEXT_MAX, six ? "[%.46s]:%u" : "%.46s:%u", ip, addr_port(a));

	return len > 0 ? (size_t)len : 0;
}

bool addr_covers(const struct addr *a, const struct addr *b)
{
	static const uint8_t any[16];
	size_t n, m;
	const uint8_t *x = ip_bytes(a, &n), *y = ip_bytes(b, &m);

	if (addr_port(a) == 0 || addr_port(a) != addr_port(b)) {
		return false;
	}
	if (memcmp(x, any, n) == 0) {
		return n >= m;
	}
	return n == m && memcmp(x, y, n) == 0;
}

enum err addr_net_parse(struct str text, struct addr_net *out)
{
	ptrdiff_t slash = str_index(text, '/');
	struct addr_net net = {0};
	uint64_t bits;
	size_t n;

	TRY(addr_from_ip(slash < 0 ? text : str_slice(text, 0, (size_t)slash), 0, &net.base));
	(void)ip_bytes(&net.base, &n);
	bits = n * 8;
	if (slash >= 0 && (!str_to_u64(str_skip(text, (size_t)slash + 1), &bits) || bits > n * 8)) {
		return ERR_INVALID;
	}
	net.bits = (unsigned)bits;
	*out = net;
	return ERR_OK;
}

bool addr_net_has(const struct addr_net *net, const struct addr *a)
{
	size_t n, m;
	const uint8_t *x = ip_bytes(&net->base, &n), *y = ip_bytes(a, &m);
	unsigned whole = net->bits / 8, rest = net->bits % 8;

	if (n != m || memcmp(x, y, whole) != 0) {
		return false;
	}
	return rest == 0 || ((x[whole] ^ y[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

bool addr_nets_have(struct addr_nets nets, const struct addr *a)
{
	for (size_t i = 0; i < nets.n; i++) {
		if (addr_net_has(&nets.v[i], a)) {
			return true;
		}
	}
	return false;
}

/* Some proxies tell the port as well: "1.2.3.4:80", "[::1]:80", "[::1]". It is not needed. */
static enum err told_addr(struct str part, struct addr *out)
{
	ptrdiff_t colon = str_rindex(part, ':');
	struct str ip = part;
	uint64_t port;

	if (addr_from_ip(part, 0, out) == ERR_OK) {
		return ERR_OK;
	}
	if (colon >= 0 && str_index(part, ']') < colon) {
		if (!str_to_u64(str_skip(part, (size_t)colon + 1), &port) || port < 1 ||
		    port > 65535) {
			return ERR_INVALID;
		}
		ip = str_slice(part, 0, (size_t)colon);
	}
	if (ip.n >= 2 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']') {
		ip = str_slice(ip, 1, ip.n - 2);
		return str_index(ip, ':') < 0 ? ERR_INVALID : addr_from_ip(ip, 0, out);
	}
	/* IPv6 wants brackets. */
	return str_index(ip, ':') >= 0 ? ERR_INVALID : addr_from_ip(ip, 0, out);
}

bool addr_told(struct str list, struct addr_nets trusted, bool recursive, struct addr *out)
{
	bool found = false;

	while (list.n > 0) {
		ptrdiff_t comma = str_rindex(list, ',');
		struct str part = str_trim(comma < 0 ? list : str_skip(list, (size_t)comma + 1));
		struct addr a;

		if (told_addr(part, &a) != ERR_OK) {
			break;
		}
		found = true;
		*out = a;
		if (!recursive || !addr_nets_have(trusted, &a) || comma < 0) {
			break;
		}
		list = str_slice(list, 0, (size_t)comma);
	}
	return found;
}
