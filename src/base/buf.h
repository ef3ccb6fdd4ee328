/*
 * buf - a growing byte buffer: append at the end, consume from the front
 *
 * An all-zero struct is an empty buffer without memory. Owner frees with
 * buf_free; buf_move hands the memory on.
 */
#pragma once
#include "base/str.h"

struct buf {
	char *p;    /* allocation, NULL when none */
	size_t off; /* first byte not yet consumed */
	size_t n;   /* bytes held from `off` on */
	size_t cap; /* size of the allocation */
};

static inline char *buf_head(const struct buf *b)
{
	return b->p + b->off;
}

static inline struct str buf_str(const struct buf *b)
{
	return b->p ? (struct str){b->p + b->off, b->n} : STR_NULL;
}

void buf_free(struct buf *b);
/* Keeps the memory. */
void buf_clear(struct buf *b);
/* buf_reserve when there is no such room yet. */
char *buf_make_room(struct buf *b, size_t n);

/* At least `n` bytes of room after the content; returns where to write them. */
static inline char *buf_reserve(struct buf *b, size_t n)
{
	if (LIKELY(b->p && b->cap - b->off - b->n >= n)) {
		return b->p + b->off + b->n;
	}
	return buf_make_room(b, n);
}

/* Declares `n` of the reserved bytes written. */
static inline void buf_commit(struct buf *b, size_t n)
{
	ASSERT(n <= b->cap - b->off - b->n);
	b->n += n;
}

static inline void buf_append(struct buf *b, const void *p, size_t n)
{
	if (n > 0) {
		ASSERT(p != NULL);
		memcpy(buf_reserve(b, n), p, n);
		b->n += n;
	}
}

void buf_consume(struct buf *b, size_t n);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
/* `dst` must hold no memory; `src` is empty afterwards. */
void buf_move(struct buf *dst, struct buf *src);

static inline void buf_put(struct buf *b, struct str s)
{
	buf_append(b, s.p, s.n);
}

static inline void buf_putc(struct buf *b, char c)
{
	*buf_reserve(b, 1) = c;
	buf_commit(b, 1);
}

/* The empty string makes sure that it is a literal. */
#define buf_puts(b, lit) buf_append((b), "" lit, sizeof(lit) - 1)
