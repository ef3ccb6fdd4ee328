/*
 * A slot is `key` and `state`, and is free while `state` is 0. A new key takes over a slot under
 * the bucket's bit: state -> 0 by compare-and-swap, then the key, then the new state. Whoever
 * counts reads state first and key second: a state of the new owner implies its key. So a
 * compare-and-swap that was prepared for the former owner fails, because windows that end later
 * make another state.
 */
#include "gateway/plugins/rate_table.h"

#include "base/mem.h"

#include <sched.h>
#include <stdatomic.h>

enum {
	SLOTS = 7,
	END_BITS = 30, /* 34 years of seconds */
	COUNT_BITS = 34,
	BASE_AGE_S = 400 * 86400, /* the window of a year may have begun before the process */
	SPINS = 64,
};
#define COUNT_MAX ((UINT64_C(1) << COUNT_BITS) - 1)

struct slot {
	_Atomic uint64_t key;
	_Atomic uint64_t state; /* end << COUNT_BITS | count */
};

struct bucket {
	atomic_bool taken;
	struct slot slots[SLOTS];
} __attribute__((aligned(64)));

struct rate_table {
	void *memory;
	struct bucket *buckets;
	uint64_t mask;
	int64_t base_s;
	_Atomic uint64_t lost;
};

struct rate_table *rate_table_new(uint32_t slots, int64_t now_s)
{
	struct rate_table *t = MEM_NEW(struct rate_table);
	uint64_t n = 1;

	while (n * SLOTS < slots) {
		n *= 2;
	}
	/* Not zeroed here but by the kernel, page by page, when it is used. */
	t->memory = mem_zalloc(n * sizeof(struct bucket) + 64);
	t->buckets = (struct bucket *)(((uintptr_t)t->memory + 63) & ~(uintptr_t)63);
	t->mask = n - 1;
	t->base_s = now_s - BASE_AGE_S;
	return t;
}

void rate_table_free(struct rate_table **t)
{
	if (*t) {
		mem_free((*t)->memory);
		mem_free(*t);
		*t = NULL;
	}
}

static uint64_t end_of(const struct rate_table *t, int64_t wall_s)
{
	int64_t end = wall_s - t->base_s;

	if (end < 1) {
		return 1;
	}
	return (uint64_t)end & ((UINT64_C(1) << END_BITS) - 1);
}

static uint64_t state_of(uint64_t end, uint64_t count)
{
	return end << COUNT_BITS | count;
}

static struct bucket *bucket_of(struct rate_table *t, uint64_t key)
{
	return &t->buckets[(key >> 7) & t->mask];
}

/* The slot of `key` with its state; NULL when there is none (or it is just being made). */
static struct slot *find(struct bucket *b, uint64_t key, uint64_t *out_state)
{
	for (int i = 0; i < SLOTS; i++) {
		struct slot *s = &b->slots[i];
		uint64_t state = atomic_load_explicit(&s->state, memory_order_acquire);

		if (state != 0 && atomic_load_explicit(&s->key, memory_order_acquire) == key) {
			*out_state = state;
			return s;
		}
	}
	return NULL;
}

static void take_bucket(struct bucket *b)
{
	for (unsigned i = 1; atomic_exchange_explicit(&b->taken, true, memory_order_acquire); i++) {
		if (i % SPINS == 0) {
			(void)sched_yield();
		}
	}
}

/* Free, else ended longest ago, else ending first. */
static struct slot *victim_of(struct bucket *b, uint64_t *out_state)
{
	struct slot *found = NULL;

	for (int i = 0; i < SLOTS; i++) {
		uint64_t state = atomic_load_explicit(&b->slots[i].state, memory_order_acquire);

		if (!found || state >> COUNT_BITS < *out_state >> COUNT_BITS) {
			found = &b->slots[i];
			*out_state = state;
		}
	}
	return found;
}

/* A slot of `key` with one counted; false when another thread was first: look again. */
static bool insert(struct rate_table *t, struct bucket *b, uint64_t key, uint64_t now, uint64_t end)
{
	uint64_t state = 0;
	bool is_done = false;

	take_bucket(b);
	while (!is_done && !find(b, key, &state)) {
		struct slot *s = victim_of(b, &state);

		/* Fails when its owner counts at this moment. */
		if (!atomic_compare_exchange_strong(&s->state, &state, 0)) {
			continue;
		}
		if (state >> COUNT_BITS > now) {
			atomic_fetch_add_explicit(&t->lost, 1, memory_order_relaxed);
		}
		atomic_store_explicit(&s->key, key, memory_order_release);
		atomic_store_explicit(&s->state, state_of(end, 1), memory_order_release);
		is_done = true;
	}
	atomic_store_explicit(&b->taken, false, memory_order_release);
	return is_done;
}

/* A window that ends a little later: another loop's clock is ahead, or was set back. It counts
 * there. Much later is a clock that was wrong: begin anew. */
static bool is_next(uint64_t state, uint64_t end, struct rate_window w)
{
	uint64_t other = state >> COUNT_BITS;

	return other > end && other - end <= (uint64_t)(w.end_s - w.start_s);
}

bool rate_table_take(struct rate_table *t, uint64_t key, struct rate_window w, int64_t now_s,
		     uint64_t limit, uint64_t *out_left)
{
	struct bucket *b = bucket_of(t, key);
	uint64_t end = end_of(t, w.end_s);

	*out_left = 0;
	limit = MIN(limit, COUNT_MAX);
	if (limit == 0) {
		return false;
	}
	for (;;) {
		uint64_t state, count;
		struct slot *s = find(b, key, &state);

		if (!s) {
			if (insert(t, b, key, end_of(t, now_s), end)) {
				*out_left = limit - 1;
				return true;
			}
			continue;
		}
		if (is_next(state, end, w)) {
			end = state >> COUNT_BITS;
		}
		count = state >> COUNT_BITS == end ? state & COUNT_MAX : 0;
		if (count >= limit) {
			return false;
		}
		if (atomic_compare_exchange_weak(&s->state, &state, state_of(end, count + 1))) {
			*out_left = limit - count - 1;
			return true;
		}
	}
}

void rate_table_give(struct rate_table *t, uint64_t key, struct rate_window w)
{
	uint64_t state, end = end_of(t, w.end_s);
	struct slot *s = find(bucket_of(t, key), key, &state);

	while (s && state >> COUNT_BITS == end && (state & COUNT_MAX) > 0) {
		if (atomic_compare_exchange_weak(&s->state, &state, state - 1)) {
			return;
		}
	}
}

uint64_t rate_table_count(struct rate_table *t, uint64_t key, struct rate_window w)
{
	uint64_t state;

	if (find(bucket_of(t, key), key, &state) && state >> COUNT_BITS == end_of(t, w.end_s)) {
		return state & COUNT_MAX;
	}
	return 0;
}

uint64_t rate_table_lost(struct rate_table *t)
{
	return atomic_load_explicit(&t->lost, memory_order_relaxed);
}
