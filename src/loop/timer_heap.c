#include "loop/timer_heap.h"

#include "base/mem.h"

#define ARITY 4

static void place(struct timer_heap *h, uint32_t i, struct timer *t)
{
	h->v[i] = t;
	t->pos = i + 1;
}

static void sift_up(struct timer_heap *h, uint32_t i, struct timer *t)
{
	while (i > 0) {
		uint32_t parent = (i - 1) / ARITY;

		if (h->v[parent]->due_ms <= t->due_ms) {
			break;
		}
		place(h, i, h->v[parent]);
		i = parent;
	}
	place(h, i, t);
}

static uint32_t earliest_child(const struct timer_heap *h, uint32_t i)
{
	uint32_t first = i * ARITY + 1;
	uint32_t end = MIN(first + ARITY, h->n);
	uint32_t best = first;

	for (uint32_t c = first + 1; c < end; c++) {
		if (h->v[c]->due_ms < h->v[best]->due_ms) {
			best = c;
		}
	}
	return best;
}

static void sift_down(struct timer_heap *h, uint32_t i, struct timer *t)
{
	while (i * ARITY + 1 < h->n) {
		uint32_t c = earliest_child(h, i);

		if (t->due_ms <= h->v[c]->due_ms) {
			break;
		}
		place(h, i, h->v[c]);
		i = c;
	}
	place(h, i, t);
}

void timer_heap_free(struct timer_heap *h)
{
	mem_free(h->v);
	*h = (struct timer_heap){0};
}

void timer_heap_insert(struct timer_heap *h, struct timer *t)
{
	ASSERT(t->pos == 0);
	if (h->n == h->cap) {
		h->cap = h->cap ? h->cap * 2 : 64;
		h->v = mem_resize(h->v, h->cap * sizeof(struct timer *));
	}
	h->n++;
	sift_up(h, h->n - 1, t);
}

void timer_heap_remove(struct timer_heap *h, struct timer *t)
{
	uint32_t i = t->pos - 1;
	struct timer *last;

	ASSERT(t->pos > 0 && i < h->n && h->v[i] == t);
	last = h->v[--h->n];
	t->pos = 0;
	if (last == t) {
		return;
	}
	if (i > 0 && last->due_ms < h->v[(i - 1) / ARITY]->due_ms) {
		sift_up(h, i, last);
	} else {
		sift_down(h, i, last);
	}
}
