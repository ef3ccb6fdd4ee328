/*
 * rate_window - the fixed UTC windows of rate-limiting
 *
 * Seconds, minutes, hours and days are multiples since 1970; months and years are those of the
 * calendar.
 */
#pragma once
#include "base/attr.h"

#include <stdint.h>

enum rate_period {
	RATE_SECOND,
	RATE_MINUTE,
	RATE_HOUR,
	RATE_DAY,
	RATE_MONTH,
	RATE_YEAR,
	RATE_PERIODS,
};

extern const char *const rate_period_names[RATE_PERIODS]; /* "second" */

struct rate_window {
	int64_t start_s, end_s; /* wall; end exclusive */
};

struct rate_window rate_window_at(enum rate_period period, int64_t wall_s);
