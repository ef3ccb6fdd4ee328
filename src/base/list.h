/*
 * list - intrusive doubly linked ring
 *
 * A node that is in no list points at itself (list_init) or is all zero;
 * list_remove accepts both.
 */
#pragma once
#include "base/attr.h"

#include <stdbool.h>

struct list_node {
	struct list_node *prev, *next;
};

struct list {
	struct list_node head;
};

static inline void list_init(struct list *l)
{
	l->head.prev = l->head.next = &l->head;
}

static inline bool list_is_empty(const struct list *l)
{
	return l->head.next == &l->head;
}

static inline bool list_is_linked(const struct list_node *n)
{
	return n->next && n->next != n;
}

static inline void list_push(struct list *l, struct list_node *n)
{
	n->prev = l->head.prev;
	n->next = &l->head;
	n->prev->next = n;
	l->head.prev = n;
}

static inline void list_push_front(struct list *l, struct list_node *n)
{
	n->next = l->head.next;
	n->prev = &l->head;
	n->next->prev = n;
	l->head.next = n;
}

static inline void list_remove(struct list_node *n)
{
	if (list_is_linked(n)) {
		n->prev->next = n->next;
		n->next->prev = n->prev;
	}
	n->prev = n->next = n;
}

static inline struct list_node *list_first(const struct list *l)
{
	return list_is_empty(l) ? NULL : l->head.next;
}

/* Unlinks and returns the first node, or NULL. */
static inline struct list_node *list_pop(struct list *l)
{
	struct list_node *n = list_first(l);

	if (n) {
		list_remove(n);
	}
	return n;
}

/* Moves all of `src` to the end of `dst`. */
static inline void list_splice(struct list *dst, struct list *src)
{
	if (list_is_empty(src)) {
		return;
	}
	src->head.next->prev = dst->head.prev;
	dst->head.prev->next = src->head.next;
	src->head.prev->next = &dst->head;
	dst->head.prev = src->head.prev;
	list_init(src);
}

/* The body may remove `it`, and nothing else. */
#define LIST_EACH(l, it)                                                                           \
	for (struct list_node *it = (l)->head.next, *it##_next = it->next; it != &(l)->head;       \
	     it = it##_next, it##_next = it->next)
