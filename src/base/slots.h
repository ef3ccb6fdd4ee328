/*
 * slots - names for objects that other threads and queues may outlive
 *
 * A slot table gives each object an id {slot, generation}. The id travels; the
 * pointer does not. An id of an object that has gone finds nothing.
 *
 * Threads  one owner.
 */
#pragma once
#include "base/attr.h"

#include <stdint.h>

struct slot_id {
	uint32_t slot;
	uint32_t gen; /* never 0 for a live object: {0,0} is nobody */
};

struct slot {
	void *obj; /* NULL = free */
	uint32_t gen;
	uint32_t next_free;
};

struct slots {
	struct slot *tab;
	uint32_t cap, n;
	uint32_t free_head; /* index + 1; 0 = none */
};

void slots_free(struct slots *s);
struct slot_id slots_put(struct slots *s, void *obj);
/* NULL when gone. */
void *slots_get(const struct slots *s, struct slot_id id);
void slots_remove(struct slots *s, struct slot_id id);
