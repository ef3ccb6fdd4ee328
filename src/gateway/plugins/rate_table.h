/*
 * rate_table - counters of fixed windows, shared by all loops, in bounded memory
 *
 * A counter is known by a 64-bit keyed hash of what it counts. It takes one slot for as long
 * as it is used, whatever windows pass: the end of the window and the count are one 64-bit word,
 * so one compare-and-swap counts, begins the next window, and never counts above the limit.
 *
 * Full      Slots stand in buckets of seven. A bucket without a free or ended slot gives up the
 *           one whose window ends first: its identifier may start over early. Never does
 *           anybody get less than the limit says. Such losses are counted.
 * Threads   any. Counting is lock-free; only the first sight of an identifier takes a bit of
 *           its bucket, for the time of looking through seven slots.
 */
#pragma once
#include "gateway/plugins/rate_window.h"

#include <stdbool.h>

struct rate_table;

/* Rounded up to a power of two buckets; 18 bytes a slot. `now_s`: wall clock. */
struct rate_table *rate_table_new(uint32_t slots, int64_t now_s);
void rate_table_free(struct rate_table **t);

/*
 * Counts one into the window, which now is in. False when `limit` is reached: nothing was
 * counted. `*out_left`: what is left afterwards.
 */
bool rate_table_take(struct rate_table *t, uint64_t key, struct rate_window w, int64_t now_s,
		     uint64_t limit, uint64_t *out_left);
/* Takes back one of that window. */
void rate_table_give(struct rate_table *t, uint64_t key, struct rate_window w);
/* Counted so far in that window. */
uint64_t rate_table_count(struct rate_table *t, uint64_t key, struct rate_window w);
/* Windows given up before their end. */
uint64_t rate_table_lost(struct rate_table *t);
