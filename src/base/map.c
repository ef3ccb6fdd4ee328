/*
 * map - hash table from byte strings to pointers, see map.h
 *
 * Linear probing. An entry is live when it has a value. Without one it is free
 * (key.p NULL) or a tombstone, which keeps the probe chain whole. Entries never
 * move but in resize, which only map_set calls: hence removal while iterating.
 */
#include "base/map.h"

#include "base/mem.h"
#include "base/rand.h"

#include <pthread.h>

enum { CAP_MIN = 16 };

static const char tombstone[] = "";
static uint64_t sip_key[2];

static void draw_key(void)
{
	rand_bytes(sip_key, sizeof(sip_key));
}

static inline uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

static inline void sip_word(uint64_t v[4], uint64_t m)
{
	v[3] ^= m;
	sip_round(v);
	v[0] ^= m;
}

/* SipHash-1-3, see Aumasson and Bernstein, "SipHash: a fast short-input PRF". */
static uint64_t sip_hash(const uint64_t key[2], struct str s)
{
	uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
			 key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
	uint64_t m, last = (uint64_t)s.n << 56;
	size_t i = 0;

	for (; i + 8 <= s.n; i += 8) {
		memcpy(&m, s.p + i, 8);
		sip_word(v, m);
	}
	for (int shift = 0; i < s.n; i++, shift += 8) {
		last |= (uint64_t)(uint8_t)s.p[i] << shift;
	}
	sip_word(v, last);
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t map_hash(struct str key)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, draw_key);
	return sip_hash(sip_key, key);
}

static bool is_free(const struct map_entry *e)
{
	return !e->value && !e->key.p;
}

/* The live entry of `key`, or NULL. */
static struct map_entry *find(const struct map *m, struct str key, uint64_t hash)
{
	if (m->cap == 0) {
		return NULL;
	}
	for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		struct map_entry *e = &m->entries[i];

		if (is_free(e)) {
			return NULL;
		}
		if (e->value && e->hash == hash && str_eq(e->key, key)) {
			return e;
		}
	}
}

/* The first entry without a value on the path of `hash`. */
static struct map_entry *find_room(const struct map *m, uint64_t hash)
{
	size_t i = hash & (m->cap - 1);

	while (m->entries[i].value) {
		i = (i + 1) & (m->cap - 1);
	}
	return &m->entries[i];
}

/* Also drops the tombstones, and shrinks when few entries are left. */
static void resize(struct map *m)
{
	struct map_entry *old = m->entries;
	size_t old_cap = m->cap, cap = CAP_MIN;

	while (cap < 2 * (m->n + 1)) {
		cap *= 2;
	}
	m->entries = MEM_NEW_ARRAY(struct map_entry, cap);
	m->cap = cap;
	m->used = m->n;
	for (size_t i = 0; i < old_cap; i++) {
		if (old[i].value) {
			*find_room(m, old[i].hash) = old[i];
		}
	}
	mem_free(old);
}

void map_free(struct map *m)
{
	mem_free(m->entries);
	*m = (struct map){0};
}

void *map_get(const struct map *m, struct str key)
{
	struct map_entry *e = m->n ? find(m, key, map_hash(key)) : NULL;

	return e ? e->value : NULL;
}

void *map_set(struct map *m, struct str key, void *value)
{
	uint64_t hash = map_hash(key);
	struct map_entry *e = find(m, key, hash);
	void *former = e ? e->value : NULL;

	ASSERT(value != NULL);
	if (!e) {
		if (m->used + 1 > m->cap / 4 * 3) {
			resize(m);
		}
		e = find_room(m, hash);
		m->used += is_free(e);
		m->n++;
	}
	/* The former key goes too: it usually stands in the former value. */
	*e = (struct map_entry){.key = key, .hash = hash, .value = value};
	return former;
}

void *map_remove(struct map *m, struct str key)
{
	struct map_entry *e = m->n ? find(m, key, map_hash(key)) : NULL;
	size_t after;
	void *value;

	if (!e) {
		return NULL;
	}
	value = e->value;
	after = ((size_t)(e - m->entries) + 1) & (m->cap - 1);
	*e = (struct map_entry){0};
	m->n--;
	if (is_free(&m->entries[after])) {
		m->used--; /* the end of a chain needs no tombstone */
	} else {
		e->key.p = tombstone;
	}
	return value;
}

bool map_next(const struct map *m, size_t *pos, struct map_entry *out)
{
	while (*pos < m->cap) {
		const struct map_entry *e = &m->entries[(*pos)++];

		if (e->value) {
			*out = *e;
			return true;
		}
	}
	return false;
}
