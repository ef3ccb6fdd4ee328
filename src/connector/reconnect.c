#include "connector/reconnect.h"

#define SECOND_MS 1000
#define JITTER_MS 250

static uint64_t between(int64_t min_ms, int64_t max_ms, reconnect_random *random)
{
	uint64_t min = (uint64_t)MAX(min_ms, 0), max = MAX((uint64_t)MAX(max_ms, 0), min);

	return min + random((uint32_t)MIN(max - min + 1, (uint64_t)UINT32_MAX)) + random(JITTER_MS);
}

struct reconnect_plan reconnect_next(struct reconnect *r, enum link_end end, bool was_useful,
				     int64_t min_ms, int64_t max_ms, reconnect_random *random)
{
	struct reconnect_plan plan = {0};

	if (end != LINK_END_FAILED) {
		r->was_connected = true;
	}
	if (was_useful) {
		r->failures = 0;
	}
	if (end == LINK_END_FOR_GOOD) {
		plan.never = true;
	} else if (!r->was_connected || (end == LINK_END_ERROR && r->failures == 0)) {
		plan.delay_ms = SECOND_MS + random(JITTER_MS);
	} else if (r->failures == 0) {
		plan.delay_ms = random(JITTER_MS);
	} else {
		plan.delay_ms = between(min_ms, max_ms, random);
	}
	r->failures++;
	return plan;
}
