/*
 * blocks - memory of short life, kept for the next who needs as much
 *
 * What comes and goes with every message (streams, lists of fields, the items that nghttp2
 * queues) comes in bursts: more at once than malloc's own cache holds, so that it would look
 * through its heap for each, and give the heap back to the kernel behind every burst. What is
 * larger than BLOCKS_MAX is malloc's alone; under the address sanitizer all is, so that it sees
 * every end.
 *
 * Threads  one at a time: each loop has its own.
 */
#pragma once
#include "base/attr.h"

#define BLOCKS_MAX ((size_t)2048)
#define BLOCKS_STEP ((size_t)64)

struct blocks {
	/* private */
	struct block *kept[BLOCKS_MAX / BLOCKS_STEP];
	size_t kept_bytes;
};

/* Not cleared. As mem_alloc, this never fails. */
void *blocks_get(struct blocks *b, size_t n)
	__attribute__((malloc, alloc_size(2), returns_nonnull));
/* Accepts NULL. */
void blocks_put(struct blocks *b, void *p);
/* Frees what is kept; `b` is empty, and may be used again. */
void blocks_free(struct blocks *b);
