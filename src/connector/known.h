/*
 * known - which requests are at work here, and which were done last
 *
 * For a server sends a request again when the connection that brought it is lost before it is
 * acknowledged; what it hears of it may still be on its way then.
 *
 * Ownership  ids of running requests stand with whoever runs them, those of done ones are copied.
 */
#pragma once
#include "base/guid.h"
#include "base/map.h"

struct known {
	struct map running; /* id -> who runs it */
	struct map done;    /* id -> its place in `ring` */
	struct guid *ring;
	size_t max, next;
};

/* At most `max` done ones are remembered. */
void known_init(struct known *k, size_t max);
void known_fini(struct known *k);
/* NULL: it is not running. */
void *known_runner(const struct known *k, const struct guid *id);
bool known_is_done(const struct known *k, const struct guid *id);
/* It is not running. */
void known_begin(struct known *k, const struct guid *id, void *runner);
/* Forgotten, or done: remembered. */
void known_forget(struct known *k, const struct guid *id);
void known_finish(struct known *k, const struct guid *id);
