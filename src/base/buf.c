/*
 * buf - a growing byte buffer, see buf.h
 */
#include "base/buf.h"

#include "base/format.h"
#include "base/mem.h"

#include <stdarg.h>

enum { CAP_MIN = 256 };

void buf_free(struct buf *b)
{
	mem_free(b->p);
	*b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
	b->off = 0;
	b->n = 0;
}

static void grow(struct buf *b, size_t want)
{
	size_t cap = MAX(MAX(b->cap * 2, b->n + want), (size_t)CAP_MIN);
	char *p;

	if (!b->p || b->off == 0) {
		b->p = mem_resize(b->p, cap);
	} else {
		p = mem_alloc(cap);
		memcpy(p, b->p + b->off, b->n);
		mem_free(b->p);
		b->p = p;
		b->off = 0;
	}
	b->cap = cap;
}

char *buf_make_room(struct buf *b, size_t n)
{
	ASSERT(n <= PTRDIFF_MAX / 4 && b->n <= PTRDIFF_MAX / 4);
	/* Moving pays only when no more than what was consumed has to move. */
	if (b->p && b->off >= b->n && b->cap - b->n >= n) {
		memmove(b->p, b->p + b->off, b->n);
		b->off = 0;
	} else {
		grow(b, n);
	}
	return b->p + b->off + b->n;
}

void buf_consume(struct buf *b, size_t n)
{
	ASSERT(n <= b->n);
	b->n -= n;
	b->off = b->n > 0 ? b->off + n : 0;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	char *at = buf_reserve(b, 128);
	size_t room = b->cap - b->off - b->n;
	va_list args;
	int n;

	va_start(args, fmt);
	n = format_print(at, room, fmt, args);
	va_end(args);
	ASSERT(n >= 0);
	if ((size_t)n >= room) {
		room = (size_t)n + 1;
		at = buf_reserve(b, room);
		va_start(args, fmt);
		n = format_print(at, room, fmt, args);
		va_end(args);
		ASSERT(n >= 0 && (size_t)n < room);
	}
	b->n += (size_t)n;
}

void buf_move(struct buf *dst, struct buf *src)
{
	ASSERT(!dst->p);
	*dst = *src;
	*src = (struct buf){0};
}
