/*
 * reconnect - when a connection that ended, or could not be made, is tried again
 *
 * The rules of the original (RelayServer 5.4): never connected yet = every second; a
 * lost connection = at once, then after random times between two delays that the
 * server sets; a close that does not allow a reconnect and names no error = never.
 * Two things are added: every wait has some randomness, so that a server that
 * restarts is not met by all connectors in the same moment, and a connection that
 * was closed again before it showed any sign of use counts as one more failure.
 *
 * Pure: time and chance come in from outside.
 */
#pragma once
#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

enum link_end {
	LINK_END_FAILED,    /* never got as far as the handshake */
	LINK_END_LOST,	    /* broke, fell silent, or was closed without a word */
	LINK_END_COME_BACK, /* closed with allowReconnect */
	LINK_END_ERROR,	    /* closed with an error */
	LINK_END_FOR_GOOD,  /* closed with neither */
};

/* What has to be remembered of a connection. Zero at the start. */
struct reconnect {
	bool was_connected; /* at any time */
	unsigned failures;  /* since it last was of use */
};

struct reconnect_plan {
	bool never;
	uint64_t delay_ms;
};

/* As rand_below. */
typedef uint32_t reconnect_random(uint32_t bound);

/*
 * `was_useful`: the connection that ended had been open for a while, or was used.
 * Updates `r`.
 */
struct reconnect_plan reconnect_next(struct reconnect *r, enum link_end end, bool was_useful,
				     int64_t min_ms, int64_t max_ms, reconnect_random *random);
