/*
 * dns_server - a name server on the test's loop that answers from a table
 *
 * A name that is in the table with other types only has no data; one that is not there does
 * not exist. CNAMEs are given with whatever was asked, and the chain behind them too when
 * `follow` is set, as a resolver does.
 */
#pragma once
#include "loop/loop.h"
#include "net/dns_cache.h"
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ZONE_A = 1, ZONE_CNAME = 5, ZONE_AAAA = 28, ZONE_SRV = 33 };

struct zone_record {
	const char *name; /* NULL ends the table */
	unsigned type;
	uint32_t ttl_s;
	const char *value; /* an address or a name */
	unsigned priority, weight, port;
};

enum dns_server_mode { SERVER_ANSWERS, SERVER_FAILS, SERVER_IS_SILENT };

struct dns_server {
	struct loop *loop;
	struct io io;
	const struct zone_record *zone;
	enum dns_server_mode mode;
	bool follow;
	unsigned silent_for; /* questions of this type get no answer */
	unsigned questions, of_type[40];
	uint16_t port;
	char text[32];
};

struct dns_packet {
	uint8_t *p;
	size_t n;
	unsigned answers;
};

static void packet_u16(struct dns_packet *k, unsigned v)
{
	k->p[k->n++] = (uint8_t)(v >> 8);
	k->p[k->n++] = (uint8_t)v;
}

static void packet_name(struct dns_packet *k, const char *name)
{
	struct str rest = str_c(name), label;

	while (str_split(&rest, '.', &label)) {
		k->p[k->n++] = (uint8_t)label.n;
		memcpy(k->p + k->n, label.p, label.n);
		k->n += label.n;
	}
	k->p[k->n++] = 0;
}

static void packet_record(struct dns_packet *k, const struct zone_record *z)
{
	size_t length_at;

	packet_name(k, z->name);
	packet_u16(k, z->type);
	packet_u16(k, 1);
	packet_u16(k, z->ttl_s >> 16);
	packet_u16(k, z->ttl_s & 0xffff);
	length_at = k->n;
	k->n += 2;
	switch (z->type) {
	case ZONE_A:
		assert_int_equal(inet_pton(AF_INET, z->value, k->p + k->n), 1);
		k->n += 4;
		break;
	case ZONE_AAAA:
		assert_int_equal(inet_pton(AF_INET6, z->value, k->p + k->n), 1);
		k->n += 16;
		break;
	case ZONE_SRV:
		packet_u16(k, z->priority);
		packet_u16(k, z->weight);
		packet_u16(k, z->port);
		packet_name(k, z->value);
		break;
	default:
		packet_name(k, z->value);
		break;
	}
	k->p[length_at] = (uint8_t)((k->n - length_at - 2) >> 8);
	k->p[length_at + 1] = (uint8_t)(k->n - length_at - 2);
	k->answers++;
}

/* Whether the name exists. */
static bool packet_answers(struct dns_packet *k, const struct dns_server *s, struct str name,
			   unsigned type, unsigned depth)
{
	bool exists = false;

	for (const struct zone_record *z = s->zone; z && z->name; z++) {
		if (!str_eq(str_c(z->name), name)) {
			continue;
		}
		exists = true;
		if (z->type == type || z->type == ZONE_CNAME) {
			packet_record(k, z);
		}
		if (z->type == ZONE_CNAME && type != ZONE_CNAME && s->follow && depth < 8) {
			(void)packet_answers(k, s, str_c(z->value), type, depth + 1);
		}
	}
	return exists;
}

static size_t dns_server_answer(struct dns_server *s, uint8_t *p, size_t n)
{
	struct dns_packet k = {.p = p, .n = 12};
	char name[256];
	size_t name_n = 0;
	unsigned type;
	bool exists;

	while (p[k.n]) {
		if (name_n > 0) {
			name[name_n++] = '.';
		}
		for (unsigned i = 0; i < p[k.n]; i++) {
			name[name_n++] = ascii_lower((char)p[k.n + 1 + i]);
		}
		k.n += p[k.n] + 1u;
	}
	type = (unsigned)(p[k.n + 1] << 8 | p[k.n + 2]);
	k.n += 5;
	assert_true(k.n <= n);
	if (type < ARRAY_LEN(s->of_type)) {
		s->of_type[type]++;
	}
	if (type == s->silent_for) {
		return 0;
	}
	memset(p + 6, 0, 6);
	exists = packet_answers(&k, s, str_of(name, name_n), type, 0);
	p[2] = 0x81;
	p[3] = s->mode == SERVER_FAILS ? 0x82 : exists ? 0x80 : 0x83;
	p[7] = (uint8_t)k.answers;
	return k.n;
}

static void on_dns_question(struct io *io, unsigned events)
{
	struct dns_server *s = container_of(io, struct dns_server, io);
	struct sockaddr_in from;
	socklen_t from_n = sizeof(from);
	uint8_t p[4096];
	ssize_t n;

	(void)events;
	while ((n = recvfrom(io->fd, p, 512, 0, (struct sockaddr *)&from, &from_n)) > 0) {
		s->questions++;
		if (s->mode != SERVER_IS_SILENT) {
			size_t len = dns_server_answer(s, p, (size_t)n);

			if (len == 0) {
				continue;
			}
			(void)sendto(io->fd, p, len, 0, (struct sockaddr *)&from, from_n);
		}
	}
}

static void dns_server_open(struct dns_server *s, struct loop *l, const struct zone_record *zone)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*s = (struct dns_server){.loop = l, .zone = zone, .follow = true};
	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	s->port = ntohs(a.sin_port);
	(void)snprintf(s->text, sizeof(s->text), "127.0.0.1:%u", s->port);
	assert_ok(io_add(l, &s->io, fd, on_dns_question));
}

static void dns_server_close(struct dns_server *s)
{
	int fd = s->io.fd;

	io_remove(s->loop, &s->io);
	(void)close(fd);
}

/* Points a loop's resolver at it; names are asked for as they are. */
static void dns_server_use(const struct dns_server *s, struct loop *l, struct dns_options *o)
{
	o->servers = str_c(s->text);
	assert_ok(dns_configure(l, o));
}
