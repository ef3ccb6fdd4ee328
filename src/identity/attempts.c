/* SPDX-License-Identifier: MIT */
/*
 * attempts - see attempts.h
 *
 * A record stands in the map by its key and, by its last failure, in the list of those that
 * failed about as often: n times in by_failures[bits of n].
 */
#include "identity/attempts.h"

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

#include <limits.h>
#include <pthread.h>

#define COUNT_BITS (sizeof(unsigned) * CHAR_BIT)

struct record {
	struct list_node node;
	int64_t window_start_ms;
	unsigned failures;
	struct str key; /* behind this struct */
};

struct attempts {
	/* constant after init */
	unsigned failures_max;
	int64_t window_ms;
	size_t keys_max;
	pthread_mutex_t mutex;
	/* guarded by mutex */
	struct map records;
	struct list by_failures[COUNT_BITS + 1];
};

struct attempts *attempts_new(unsigned failures_max, int64_t window_ms, size_t keys_max)
{
	struct attempts *a = MEM_NEW(struct attempts);

	ASSERT(failures_max > 0 && window_ms > 0 && keys_max > 0);
	a->failures_max = failures_max;
	a->window_ms = window_ms;
	a->keys_max = keys_max;
	for (size_t i = 0; i <= COUNT_BITS; i++) {
		list_init(&a->by_failures[i]);
	}
	(void)pthread_mutex_init(&a->mutex, NULL);
	return a;
}

static void forget(struct attempts *a, struct record *r)
{
	(void)map_remove(&a->records, r->key);
	list_remove(&r->node);
	mem_free(r);
}

static bool is_over(const struct attempts *a, const struct record *r, int64_t now_ms)
{
	return now_ms >= r->window_start_ms + a->window_ms;
}

/* One whose window is over, else of those with the fewest failures the longest ago. */
static struct record *least_missed(const struct attempts *a, int64_t now_ms)
{
	struct record *least = NULL;

	for (size_t i = 0; i <= COUNT_BITS; i++) {
		struct list_node *n = list_first(&a->by_failures[i]);
		struct record *r = n ? container_of(n, struct record, node) : NULL;

		if (r && is_over(a, r, now_ms)) {
			return r;
		}
		least = least ? least : r;
	}
	return least;
}

void attempts_free(struct attempts **a)
{
	struct attempts *gone = *a;
	struct record *r;

	if (!gone) {
		return;
	}
	*a = NULL;
	while ((r = least_missed(gone, 0))) {
		forget(gone, r);
	}
	map_free(&gone->records);
	(void)pthread_mutex_destroy(&gone->mutex);
	mem_free(gone);
}

static struct record *record_new(struct attempts *a, struct str key, int64_t now_ms)
{
	struct record *r = mem_zalloc(sizeof(*r) + key.n);
	char *text = (char *)(r + 1);

	if (a->records.n >= a->keys_max) {
		forget(a, least_missed(a, now_ms));
	}
	memcpy(text, key.p, key.n);
	r->key = str_of(text, key.n);
	r->window_start_ms = now_ms;
	(void)map_set(&a->records, r->key, r);
	return r;
}

int64_t attempts_wait_ms(struct attempts *a, struct str key, int64_t now_ms)
{
	const struct record *r;
	int64_t wait_ms = 0;

	(void)pthread_mutex_lock(&a->mutex);
	r = map_get(&a->records, key);
	if (r && !is_over(a, r, now_ms) && r->failures >= a->failures_max) {
		wait_ms = r->window_start_ms + a->window_ms - now_ms;
	}
	(void)pthread_mutex_unlock(&a->mutex);
	return wait_ms;
}

void attempts_failed(struct attempts *a, struct str key, int64_t now_ms)
{
	struct record *r;

	(void)pthread_mutex_lock(&a->mutex);
	r = map_get(&a->records, key);
	if (!r) {
		r = record_new(a, key, now_ms);
	}
	if (is_over(a, r, now_ms)) {
		r->window_start_ms = now_ms;
		r->failures = 0;
	}
	r->failures++;
	list_remove(&r->node);
	list_push(&a->by_failures[COUNT_BITS - (size_t)__builtin_clz(r->failures)], &r->node);
	(void)pthread_mutex_unlock(&a->mutex);
}

void attempts_succeeded(struct attempts *a, struct str key)
{
	struct record *r;

	(void)pthread_mutex_lock(&a->mutex);
	r = map_get(&a->records, key);
	if (r) {
		forget(a, r);
	}
	(void)pthread_mutex_unlock(&a->mutex);
}
