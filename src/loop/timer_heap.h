/*
 * timer_heap - 4-ary heap of embedded timers, earliest first
 *
 * Private to the loop.
 */
#pragma once
#include "loop/loop.h"

struct timer_heap {
	struct timer **v;
	uint32_t n, cap;
};

void timer_heap_free(struct timer_heap *h);
void timer_heap_insert(struct timer_heap *h, struct timer *t);
void timer_heap_remove(struct timer_heap *h, struct timer *t);
static inline struct timer *timer_heap_first(const struct timer_heap *h)
{
	return h->n > 0 ? h->v[0] : NULL;
}
