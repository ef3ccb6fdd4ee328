/*
 * slots - names for objects, see slots.h
 */
#include "base/slots.h"

#include "base/mem.h"

enum { CAP_MIN = 16, CAP_MAX = 1 << 30 };

void slots_free(struct slots *s)
{
	mem_free(s->tab);
	*s = (struct slots){0};
}

static void grow(struct slots *s)
{
	uint32_t cap = MAX(s->cap * 2, (uint32_t)CAP_MIN);

	ASSERT(cap <= CAP_MAX);
	s->tab = mem_resize(s->tab, cap * sizeof(*s->tab));
	for (uint32_t i = cap; i-- > s->cap;) {
		s->tab[i] = (struct slot){.gen = 1, .next_free = s->free_head};
		s->free_head = i + 1;
	}
	s->cap = cap;
}

struct slot_id slots_put(struct slots *s, void *obj)
{
	struct slot *t;

	ASSERT(obj != NULL);
	if (s->free_head == 0) {
		grow(s);
	}
	t = &s->tab[s->free_head - 1];
	s->free_head = t->next_free;
	t->obj = obj;
	s->n++;
	return (struct slot_id){.slot = (uint32_t)(t - s->tab), .gen = t->gen};
}

static struct slot *find(const struct slots *s, struct slot_id id)
{
	struct slot *t = id.slot < s->cap ? &s->tab[id.slot] : NULL;

	return t && t->obj && t->gen == id.gen ? t : NULL;
}

void *slots_get(const struct slots *s, struct slot_id id)
{
	struct slot *t = find(s, id);

	return t ? t->obj : NULL;
}

void slots_remove(struct slots *s, struct slot_id id)
{
	struct slot *t = find(s, id);

	if (!t) {
		return;
	}
	t->obj = NULL;
	t->gen += t->gen == UINT32_MAX ? 2 : 1; /* 0 is nobody */
	t->next_free = s->free_head;
	s->free_head = id.slot + 1;
	s->n--;
}
