/*
 * arena - memory that is freed all at once
 *
 * Belongs to a scope: a task, an exchange, a connection, a configuration epoch.
 * Objects are never freed singly; arena_fini runs the deferred clean-ups in
 * reverse order and returns everything. This makes early return safe.
 *
 * With POSTHOUSE_ARENA=malloc in the environment every object is a heap block
 * of its own, so that ASan and valgrind see overruns between neighbours.
 *
 * Threads  one owner at a time; moving the arena with its task is fine.
 * Limits   `limit` bytes in all (0 = none); passing it aborts, so callers bound
 *          peer-sized input first. It is a net for bugs, not a quota.
 */
#pragma once
#include "base/attr.h"

struct arena_chunk;
struct arena_cleanup;

struct arena {
	struct arena_chunk *chunks; /* newest first */
	struct arena_cleanup *cleanups;
	char *next; /* free space in the newest chunk */
	char *end;
	size_t used_bytes;
	size_t limit_bytes;
};

void arena_init(struct arena *a, size_t limit_bytes);
/* Runs clean-ups, frees all; the arena is as after arena_init. */
void arena_reset(struct arena *a);
/* The same, but keeps a chunk of up to `keep_bytes` for the next use: no heap in a hot path. */
void arena_rewind(struct arena *a, size_t keep_bytes);
void arena_fini(struct arena *a);

/* 16-byte aligned, never NULL. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((alloc_size(2), returns_nonnull));
void *arena_zalloc(struct arena *a, size_t n) __attribute__((alloc_size(2), returns_nonnull));
/* `fn(obj)` runs at arena_fini, last registered first. */
void arena_defer(struct arena *a, void (*fn)(void *obj), void *obj);

#define ARENA_NEW(a, type) ((type *)arena_zalloc((a), sizeof(type)))
#define ARENA_NEW_ARRAY(a, type, n) ((type *)arena_zalloc((a), sizeof(type) * (n)))
