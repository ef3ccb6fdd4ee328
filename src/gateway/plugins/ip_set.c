#include "gateway/plugins/ip_set.h"

#include <netinet/in.h>
#include <stdlib.h>

enum { MAPPED_BITS = 96 };
static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

/* 16 bytes, IPv4 as IPv4-mapped. */
static bool bytes_of(const struct addr *a, uint8_t out[16])
{
	if (a->sa.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&a->sa;

		memcpy(out, mapped_prefix, sizeof(mapped_prefix));
		memcpy(out + 12, &in->sin_addr, 4);
		return true;
	}
	if (a->sa.ss_family == AF_INET6) {
		memcpy(out, &((const struct sockaddr_in6 *)&a->sa)->sin6_addr, 16);
		return true;
	}
	return false;
}

static bool is_v4(const uint8_t b[16])
{
	return memcmp(b, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

static void range_of(const struct addr_net *net, const uint8_t base[16], struct ip_range *out)
{
	unsigned bits = net->bits + (net->base.sa.ss_family == AF_INET ? MAPPED_BITS : 0);

	for (unsigned i = 0; i < 16; i++) {
		unsigned kept = bits <= i * 8 ? 0 : MIN(bits - i * 8, 8u);
		uint8_t mask = (uint8_t)(0xff00u >> kept);

		out->first[i] = base[i] & mask;
		out->last[i] = base[i] | (uint8_t)~mask;
	}
}

static int compare(const void *a, const void *b)
{
	return memcmp(((const struct ip_range *)a)->first, ((const struct ip_range *)b)->first, 16);
}

/* Joins what overlaps. */
static size_t merge(struct ip_range *v, size_t n)
{
	size_t kept = 0;

	if (n == 0) {
		return 0;
	}
	qsort(v, n, sizeof(*v), compare);
	for (size_t i = 1; i < n; i++) {
		if (memcmp(v[i].first, v[kept].last, 16) > 0) {
			v[++kept] = v[i];
		} else if (memcmp(v[i].last, v[kept].last, 16) > 0) {
			memcpy(v[kept].last, v[i].last, 16);
		}
	}
	return kept + 1;
}

enum err ip_set_make(struct arena *a, const struct str *texts, size_t n, struct ip_set *out)
{
	struct ip_set s = {.v4 = ARENA_NEW_ARRAY(a, struct ip_range, n + 1),
			   .v6 = ARENA_NEW_ARRAY(a, struct ip_range, n + 1)};

	for (size_t i = 0; i < n; i++) {
		struct addr_net net;
		uint8_t base[16];

		TRY(addr_net_parse(texts[i], &net));
		if (!bytes_of(&net.base, base)) {
			return ERR_INVALID;
		}
		/* "::/0" is not IPv4, though the mapped ones are in it. */
		if (is_v4(base) && (net.base.sa.ss_family == AF_INET || net.bits >= MAPPED_BITS)) {
			range_of(&net, base, &s.v4[s.n4++]);
		} else {
			range_of(&net, base, &s.v6[s.n6++]);
		}
	}
	s.n4 = merge(s.v4, s.n4);
	s.n6 = merge(s.v6, s.n6);
	*out = s;
	return ERR_OK;
}

bool ip_set_has(const struct ip_set *s, const struct addr *a)
{
	uint8_t b[16];
	const struct ip_range *v;
	size_t low = 0, high;

	if (!bytes_of(a, b)) {
		return false;
	}
	v = is_v4(b) ? s->v4 : s->v6;
	high = is_v4(b) ? s->n4 : s->n6;
	while (low < high) { /* the first that begins behind `b` */
		size_t mid = low + (high - low) / 2;

		if (memcmp(v[mid].first, b, 16) > 0) {
			high = mid;
		} else {
			low = mid + 1;
		}
	}
	return low > 0 && memcmp(b, v[low - 1].last, 16) <= 0;
}
