/*
 * mem - the process heap
 *
 * The only place that calls malloc. Running out of memory aborts, so callers
 * never check; sizes that come from a peer are bounded by a limit before.
 *
 * Threads  any.
 */
#pragma once
#include "base/attr.h"

void *mem_alloc(size_t n) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *mem_zalloc(size_t n) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *mem_resize(void *p, size_t n) __attribute__((alloc_size(2), returns_nonnull));
/* From the start of a cache line on, for what several threads write side by side. */
void *mem_zalloc_lines(size_t n) __attribute__((malloc, alloc_size(1), returns_nonnull));
/* Accepts NULL. */
void mem_free(void *p);
/* Overwrites with zeros in a way that the compiler keeps. */
void mem_wipe(void *p, size_t n);

#define MEM_NEW(type) ((type *)mem_zalloc(sizeof(type)))
#define MEM_NEW_ARRAY(type, n) ((type *)mem_zalloc(sizeof(type) * (n)))
/* Of a type that is aligned to CACHE_LINE. */
#define MEM_NEW_LINES(type, n) ((type *)mem_zalloc_lines(sizeof(type) * (n)))
#define CACHE_LINE 64
