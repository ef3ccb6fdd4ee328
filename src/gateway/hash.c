/* xxHash32 as specified in doc/xxhash_spec.md of github.com/Cyan4973/xxHash. */
#include "gateway/hash.h"

#define PRIME_1 0x9E3779B1u
#define PRIME_2 0x85EBCA77u
#define PRIME_3 0xC2B2AE3Du
#define PRIME_4 0x27D4EB2Fu
#define PRIME_5 0x165667B1u
#define STRIPE 16

static uint32_t rotl(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

static uint32_t read_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t round_of(uint32_t lane, const uint8_t *p)
{
	return rotl(lane + read_le32(p) * PRIME_2, 13) * PRIME_1;
}

static uint32_t stripes(const uint8_t *p, size_t n, uint32_t seed)
{
	uint32_t v[4] = {seed + PRIME_1 + PRIME_2, seed + PRIME_2, seed, seed - PRIME_1};

	for (; n >= STRIPE; n -= STRIPE, p += STRIPE) {
		for (unsigned i = 0; i < 4; i++) {
			v[i] = round_of(v[i], p + (size_t)i * 4);
		}
	}
	return rotl(v[0], 1) + rotl(v[1], 7) + rotl(v[2], 12) + rotl(v[3], 18);
}

static uint32_t tail(uint32_t h, const uint8_t *p, size_t n)
{
	for (; n >= 4; n -= 4, p += 4) {
		h = rotl(h + read_le32(p) * PRIME_3, 17) * PRIME_4;
	}
	for (; n > 0; n--, p++) {
		h = rotl(h + *p * PRIME_5, 11) * PRIME_1;
	}
	return h;
}

uint32_t hash_xx32(struct str s, uint32_t seed)
{
	const uint8_t *p = (const uint8_t *)s.p;
	size_t whole = s.n / STRIPE * STRIPE;
	uint32_t h = whole > 0 ? stripes(p, whole, seed) : seed + PRIME_5;

	h += (uint32_t)s.n;
	if (s.n > whole) {
		h = tail(h, p + whole, s.n - whole);
	}
	h = (h ^ h >> 15) * PRIME_2;
	h = (h ^ h >> 13) * PRIME_3;
	return h ^ h >> 16;
}
