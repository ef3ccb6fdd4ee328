/*
 * body_count - the bytes of one stored body, in COUNT_BODY_BYTES as long as anybody holds it
 *
 * A body that was removed keeps its place in the store until its last reader is closed. So it is
 * held by the request that it belongs to and by whoever is sending it, on whatever loop.
 *
 * Threads  counted; any, whatever loop is named.
 */
#pragma once
#include "relay/relay_int.h"

struct body_count;

/* More was stored. NULL becomes a new one, with one holder. */
void body_count_add(struct body_count **c, struct relay_loop *rl, uint64_t bytes);
/* These are NULL-safe. */
uint64_t body_count_bytes(const struct body_count *c);
struct body_count *body_count_ref(struct body_count *c);
/* Sets *c to NULL. The last holder takes the bytes off. */
void body_count_unref(struct body_count **c, struct relay_loop *rl);
