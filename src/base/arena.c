/*
 * arena - memory that is freed all at once, see arena.h
 *
 * Chunks grow with what the arena already holds, from CHUNK_MIN to CHUNK_MAX.
 * An object too big to share a chunk gets one of its own, put behind the newest
 * so that the room left there stays in use. Built with ASan, the unused part of
 * a chunk is poisoned and a gap follows each object, so that an overrun shows.
 */
#include "base/arena.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) __asan_poison_memory_region((p), (n))
#define UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
enum { GAP = 16 };
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
enum { GAP = 0 };
#endif

enum { ALIGN = 16, CHUNK_MIN = 1024, CHUNK_MAX = 64 * 1024, SHARED_MAX = CHUNK_MAX / 4 };

struct arena_chunk {
	struct arena_chunk *older;
	size_t size; /* with this header */
	_Alignas(ALIGN) char data[];
};

struct arena_cleanup {
	struct arena_cleanup *older;
	void (*fn)(void *obj);
	void *obj;
};

static bool is_malloc_mode;

static void read_mode(void)
{
	const char *mode = getenv("POSTHOUSE_ARENA");

	is_malloc_mode = mode && strcmp(mode, "malloc") == 0;
}

static bool malloc_mode(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, read_mode);
	return is_malloc_mode;
}

void arena_init(struct arena *a, size_t limit_bytes)
{
	*a = (struct arena){.limit_bytes = limit_bytes};
}

/* A clean-up may register another one. */
static void run_cleanups(struct arena *a)
{
	while (a->cleanups) {
		struct arena_cleanup *u = a->cleanups;

		a->cleanups = u->older;
		u->fn(u->obj);
	}
}

static void free_chunks(struct arena_chunk *c)
{
	while (c) {
		struct arena_chunk *older = c->older;

		UNPOISON(c, c->size);
		mem_free(c);
		c = older;
	}
}

void arena_reset(struct arena *a)
{
	run_cleanups(a);
	free_chunks(a->chunks);
	arena_init(a, a->limit_bytes);
}

void arena_fini(struct arena *a)
{
	arena_reset(a);
}

static struct arena_chunk *chunk_new(size_t size)
{
	struct arena_chunk *c = mem_alloc(size);

	c->size = size;
	return c;
}

/* A chunk for one object. */
static void *alloc_alone(struct arena *a, size_t n)
{
	struct arena_chunk *c = chunk_new(sizeof(*c) + n);
	struct arena_chunk **at = a->chunks ? &a->chunks->older : &a->chunks;

	c->older = *at;
	*at = c;
	return c->data;
}

static void add_chunk(struct arena *a, size_t size)
{
	struct arena_chunk *c = chunk_new(MIN(MAX(size, (size_t)CHUNK_MIN), (size_t)CHUNK_MAX));

	c->older = a->chunks;
	a->chunks = c;
	a->next = c->data;
	a->end = (char *)c + c->size;
	POISON(a->next, (size_t)(a->end - a->next));
}

/* What took several chunks gets one next time, with some room to spare. */
static void rewind_to_one(struct arena *a, size_t keep_bytes)
{
	size_t size = sizeof(struct arena_chunk) + a->used_bytes + a->used_bytes / 4;

	arena_reset(a);
	add_chunk(a, MIN(size, keep_bytes));
}

void arena_rewind(struct arena *a, size_t keep_bytes)
{
	struct arena_chunk *c;

	run_cleanups(a);
	c = a->chunks;
	if (c && c->older && !malloc_mode()) {
		rewind_to_one(a, keep_bytes);
		return;
	}
	/* A chunk for a single object is not one that `next` points into. */
	if (!c || a->end != (char *)c + c->size || c->size > keep_bytes) {
		arena_reset(a);
		return;
	}
	free_chunks(c->older);
	c->older = NULL;
	a->next = c->data;
	a->used_bytes = 0;
	POISON(a->next, (size_t)(a->end - a->next));
}

void *arena_alloc(struct arena *a, size_t n)
{
	size_t room = (MAX(n, (size_t)1) + ALIGN - 1 + GAP) & ~(size_t)(ALIGN - 1);
	char *p;

	ASSERT(n <= PTRDIFF_MAX / 2);
	a->used_bytes += room;
	ASSERT(a->limit_bytes == 0 || a->used_bytes <= a->limit_bytes);

	if (UNLIKELY(room > (size_t)(a->end - a->next))) {
		if (room > SHARED_MAX || malloc_mode()) {
			return alloc_alone(a, n);
		}
		add_chunk(a, MAX(a->used_bytes, 2 * room + sizeof(struct arena_chunk)));
	}
	p = a->next;
	a->next += room;
	UNPOISON(p, n);
	return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
	return memset(arena_alloc(a, n), 0, n);
}

void arena_defer(struct arena *a, void (*fn)(void *obj), void *obj)
{
	struct arena_cleanup *u = ARENA_NEW(a, struct arena_cleanup);

	u->fn = fn;
	u->obj = obj;
	u->older = a->cleanups;
	a->cleanups = u;
}
