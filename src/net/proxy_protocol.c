/*
 * The header is looked at with MSG_PEEK and taken only when it is complete, so that not
 * a byte behind it passes through our hands: the next transport reads the socket itself.
 */
#include "net/proxy_protocol.h"

#include "base/mem.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define V1_MAX 107
#define V2_SIGNATURE STR("\r\n\r\n\0\r\nQUIT\n")
#define V2_FIXED 16

/* ---- version 1 ---- */

static bool parse_port(struct str s, uint16_t *out)
{
	uint64_t n;

	if (s.n > 5 || (s.n > 1 && s.p[0] == '0') || !str_to_u64(s, &n) || n > UINT16_MAX) {
		return false;
	}
	*out = (uint16_t)n;
	return true;
}

static bool parse_address(struct str ip, struct str port, int family, struct addr *out)
{
	uint16_t number;

	return parse_port(port, &number) && addr_from_ip(ip, number, out) == ERR_OK &&
	       out->sa.ss_family == family;
}

/* "TCP4 SOURCE DESTINATION PORT PORT" */
static enum err parse_line(struct str line, struct proxy_header *out)
{
	struct str word[5] = {{0}};
	bool ends_blank = str_ends(line, STR(" "));
	size_t n = 0;
	int family;

	while (n < ARRAY_LEN(word) && str_split(&line, ' ', &word[n])) {
		n++;
	}
	if (str_eq(word[0], STR("UNKNOWN"))) {
		out->is_local = true; /* whatever follows */
		return ERR_OK;
	}
	if (!str_eq(word[0], STR("TCP4")) && !str_eq(word[0], STR("TCP6"))) {
		return ERR_PROTO;
	}
	family = word[0].p[3] == '4' ? AF_INET : AF_INET6;
	if (n != ARRAY_LEN(word) || line.n > 0 || ends_blank ||
	    !parse_address(word[1], word[3], family, &out->source) ||
	    !parse_address(word[2], word[4], family, &out->destination)) {
		return ERR_PROTO;
	}
	return ERR_OK;
}

static enum err parse_v1(struct str in, struct proxy_header *out, size_t *out_used)
{
	struct str head = str_slice(in, 0, V1_MAX);
	ptrdiff_t end = str_find(head, STR("\r\n"));

	if (end < 0) {
		return in.n < V1_MAX ? ERR_AGAIN : ERR_PROTO;
	}
	TRY(parse_line(str_slice(head, 6, (size_t)end - 6), out));
	*out_used = (size_t)end + 2;
	return ERR_OK;
}

/* ---- version 2 ---- */

static size_t read_u16(struct str s, size_t at)
{
	return (size_t)(uint8_t)s.p[at] << 8 | (uint8_t)s.p[at + 1];
}

static bool are_tlvs(struct str s)
{
	while (s.n > 0) {
		if (s.n < 3 || s.n - 3 < read_u16(s, 1)) {
			return false;
		}
		s = str_skip(s, 3 + read_u16(s, 1));
	}
	return true;
}

static void set_in4(struct addr *a, const char *ip, const char *port)
{
	struct sockaddr_in in = {.sin_family = AF_INET};

	memcpy(&in.sin_addr, ip, 4);
	memcpy(&in.sin_port, port, 2);
	memcpy(&a->sa, &in, sizeof(in));
	a->len = sizeof(in);
}

static void set_in6(struct addr *a, const char *ip, const char *port)
{
	struct sockaddr_in6 in = {.sin6_family = AF_INET6};

	memcpy(&in.sin6_addr, ip, 16);
	memcpy(&in.sin6_port, port, 2);
	memcpy(&a->sa, &in, sizeof(in));
	a->len = sizeof(in);
}

/* Of the command PROXY. */
static enum err parse_addresses(uint8_t family, struct str body, struct proxy_header *out)
{
	size_t used = family == 0x11 ? 12 : family == 0x21 ? 36 : 0;

	if (body.n < used) {
		return ERR_PROTO;
	}
	if (family == 0x11) {
		set_in4(&out->source, body.p, body.p + 8);
		set_in4(&out->destination, body.p + 4, body.p + 10);
	} else if (family == 0x21) {
		set_in6(&out->source, body.p, body.p + 32);
		set_in6(&out->destination, body.p + 16, body.p + 34);
	} else {
		out->is_local = true; /* unspecified, UDP, Unix: nothing that we could use */
		return ERR_OK;
	}
	return are_tlvs(str_skip(body, used)) ? ERR_OK : ERR_PROTO;
}

static enum err parse_v2(struct str in, struct proxy_header *out, size_t *out_used)
{
	uint8_t command, family;
	size_t len;

	if (in.n < V2_FIXED) {
		return in.n > 12 && (uint8_t)in.p[12] >> 4 != 2 ? ERR_PROTO : ERR_AGAIN;
	}
	command = (uint8_t)in.p[12];
	family = (uint8_t)in.p[13];
	len = V2_FIXED + read_u16(in, 14);
	if (command >> 4 != 2 || (command & 15) > 1 || len > PROXY_HEADER_MAX) {
		return ERR_PROTO;
	}
	if (in.n < len) {
		return ERR_AGAIN;
	}
	*out_used = len;
	if ((command & 15) == 0) {
		out->is_local = true; /* LOCAL: the rest is not to be looked at */
		return ERR_OK;
	}
	return parse_addresses(family, str_slice(in, V2_FIXED, len - V2_FIXED), out);
}

/* ---- either ---- */

static bool begins(struct str in, struct str with)
{
	return str_starts(in, str_slice(with, 0, in.n));
}

enum err proxy_header_parse(struct str in, struct proxy_header *out, size_t *out_used)
{
	struct proxy_header h = {0};
	size_t used = 0;
	enum err e = ERR_PROTO;

	if (in.n == 0) {
		return ERR_AGAIN;
	}
	if (begins(in, V2_SIGNATURE)) {
		e = parse_v2(in, &h, &used);
	} else if (begins(in, STR("PROXY "))) {
		e = in.n < 6 ? ERR_AGAIN : parse_v1(in, &h, &used);
	}
	if (e == ERR_OK) {
		*out = h;
		*out_used = used;
	}
	return e;
}

/* ---- under a stream ---- */

struct expectation {
	struct stream *stream;
	proxy_header_fn *fn;
	struct timer timer;
};

static void proxy_free(struct stream *s)
{
	struct expectation *e = s->transport;

	s->transport = NULL;
	if (s->loop) {
		timer_stop(s->loop, &e->timer);
	}
	mem_free(e);
}

static ptrdiff_t begin_next(struct stream *s, const struct proxy_header *h, size_t used, void *p,
			    size_t n)
{
	proxy_header_fn *fn = ((struct expectation *)s->transport)->fn;
	char taken[PROXY_HEADER_MAX];

	if (recv(s->io.fd, taken, used, 0) != (ssize_t)used) {
		return -2;
	}
	s->ops->free(s);
	s->ops = &stream_tcp_ops;
	fn(s, h);
	return s->dead ? -1 : s->ops->recv(s, p, n);
}

static ptrdiff_t proxy_recv(struct stream *s, void *p, size_t n)
{
	char head[PROXY_HEADER_MAX];
	struct proxy_header h;
	ssize_t got;
	size_t used;
	enum err e;

	if (s->closing) { /* nobody is there to be told */
		return stream_tcp_ops.recv(s, p, n);
	}
	got = recv(s->io.fd, head, sizeof(head), MSG_PEEK);
	if (got <= 0) {
		return got < 0 ? stream_tcp_ops.recv(s, p, 0) : 0;
	}
	e = proxy_header_parse(str_of(head, (size_t)got), &h, &used);
	if (e == ERR_OK) {
		return begin_next(s, &h, used, p, n);
	}
	if (e == ERR_AGAIN) {
		return s->hangup ? 0 : -1; /* what was only looked at hides the end */
	}
	return -2;
}

/* Nobody queues output before the header has come. */
static ptrdiff_t proxy_sendv(struct stream *s, const struct str *v, unsigned n)
{
	(void)s;
	(void)v;
	(void)n;
	return -1;
}

static ptrdiff_t proxy_shutdown(struct stream *s)
{
	return stream_tcp_ops.shutdown(s);
}

static const struct stream_ops proxy_ops = {
	.recv = proxy_recv,
	.sendv = proxy_sendv,
	.shutdown = proxy_shutdown,
	.free = proxy_free,
	.short_read_drains = true,
};

static void on_late(struct timer *t)
{
	stream_fail(container_of(t, struct expectation, timer)->stream, ERR_TIMEOUT);
}

void stream_expect_proxy(struct stream *s, uint32_t timeout_ms, proxy_header_fn *fn)
{
	struct expectation *e = MEM_NEW(struct expectation);

	ASSERT(s->ops == &stream_tcp_ops);
	e->stream = s;
	e->fn = fn;
	s->ops = &proxy_ops;
	s->transport = e;
	timer_start(s->loop, &e->timer, timeout_ms, on_late);
}
