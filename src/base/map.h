/*
 * map - hash table from byte strings to pointers
 *
 * Open addressing over SipHash with a key drawn per process, so that peers
 * cannot choose colliding keys. Keys are borrowed: they usually stand in the
 * value. Iteration order is unspecified.
 *
 * Threads  one owner.
 */
#pragma once
#include "base/str.h"

struct map_entry {
	struct str key; /* key.p NULL = free; see map.c for tombstones */
	uint64_t hash;
	void *value;
};

struct map {
	struct map_entry *entries;
	size_t cap;  /* power of two */
	size_t n;    /* live entries */
	size_t used; /* live entries and tombstones */
};

/* An all-zero map is empty. */
void map_free(struct map *m);
/* NULL when absent. */
void *map_get(const struct map *m, struct str key);
/* Replaces and returns the former value, or NULL. `value` is not NULL. */
void *map_set(struct map *m, struct str key, void *value);
/* Returns the removed value, or NULL. */
void *map_remove(struct map *m, struct str key);
/* `*pos` starts at 0; false at the end. The body may remove the entry it was given. */
bool map_next(const struct map *m, size_t *pos, struct map_entry *out);

/* Keyed per process: good for placing peer-chosen names on loops. */
uint64_t map_hash(struct str key);
