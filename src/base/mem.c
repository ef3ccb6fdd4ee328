/*
 * mem - the process heap, see mem.h
 */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void *mem_alloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	ASSERT(p != NULL);
	return p;
}

/* calloc of glibc 2.36 looks at the heap where malloc has a cache of the thread. */
#define CACHED_MAX 1024

void *mem_zalloc(size_t n)
{
	void *p;

	if (n <= CACHED_MAX) {
		return memset(mem_alloc(n), 0, n);
	}
	p = calloc(1, n);
	ASSERT(p != NULL);
	return p;
}

void *mem_zalloc_lines(size_t n)
{
	size_t whole = (n + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
	void *p = aligned_alloc(CACHE_LINE, MAX(whole, (size_t)CACHE_LINE));

	ASSERT(p != NULL);
	return memset(p, 0, whole);
}

void *mem_resize(void *p, size_t n)
{
	void *q = realloc(p, n ? n : 1);

	ASSERT(q != NULL);
	return q;
}

void mem_free(void *p)
{
	free(p);
}

void mem_wipe(void *p, size_t n)
{
	if (n > 0) {
		explicit_bzero(p, n);
	}
}
