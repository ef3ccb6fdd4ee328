/*
 * A block has the size of its class, so malloc itself knows the class of what comes back.
 */
#include "base/blocks.h"

#include "base/mem.h"

#include <malloc.h>
#include <stdbool.h>

#define KEPT_MAX ((size_t)256 << 10)
/* What malloc adds to a block; with it, classes are multiples of BLOCKS_STEP in its heap. */
#define MALLOC_HEAD sizeof(size_t)

struct block {
	struct block *next;
};

#ifdef WITH_ASAN
static const bool keeps = false;
#else
static const bool keeps = true;
#endif

/* Those of class i have room for (i + 1) * BLOCKS_STEP - MALLOC_HEAD bytes. */
static size_t size_of_class(size_t i)
{
	return (i + 1) * BLOCKS_STEP - MALLOC_HEAD;
}

void *blocks_get(struct blocks *b, size_t n)
{
	size_t i = (n + MALLOC_HEAD - 1) / BLOCKS_STEP;
	struct block *kept;

	if (!keeps || i >= ARRAY_LEN(b->kept)) {
		return mem_alloc(n);
	}
	kept = b->kept[i];
	if (!kept) {
		return mem_alloc(size_of_class(i));
	}
	b->kept[i] = kept->next;
	b->kept_bytes -= size_of_class(i);
	return kept;
}

void blocks_put(struct blocks *b, void *p)
{
	size_t i = p ? (malloc_usable_size(p) + MALLOC_HEAD) / BLOCKS_STEP - 1 : 0;
	struct block *kept = p;

	if (!keeps || !p || i >= ARRAY_LEN(b->kept) || b->kept_bytes >= KEPT_MAX) {
		mem_free(p);
		return;
	}
	kept->next = b->kept[i];
	b->kept[i] = kept;
	b->kept_bytes += size_of_class(i);
}

void blocks_free(struct blocks *b)
{
	for (size_t i = 0; i < ARRAY_LEN(b->kept); i++) {
		struct block *p;

		while ((p = b->kept[i])) {
			b->kept[i] = p->next;
			mem_free(p);
		}
	}
	b->kept_bytes = 0;
}
