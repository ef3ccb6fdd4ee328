#include "gateway/plugins/rate_window.h"

const char *const rate_period_names[RATE_PERIODS] = {
	[RATE_SECOND] = "second", [RATE_MINUTE] = "minute", [RATE_HOUR] = "hour",
	[RATE_DAY] = "day",	  [RATE_MONTH] = "month",   [RATE_YEAR] = "year",
};

enum { DAY_S = 86400 };

/* Proleptic Gregorian calendar, after Howard Hinnant's "chrono-compatible low-level date
 * algorithms": days since 1970-01-01, months counted from 1. */
static int64_t days_of(int64_t year, unsigned month)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = y / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (int64_t)(month + (month > 2 ? -3u : 9u)) + 2) / 5;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int64_t *out_year, unsigned *out_month)
{
	int64_t z = days + 719468;
	int64_t era = z / 146097;
	int64_t of_era = z - era * 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * of_year + 2) / 153;

	*out_month = (unsigned)(month < 10 ? month + 3 : month - 9);
	*out_year = year + era * 400 + (*out_month <= 2);
}

static struct rate_window multiple_of(int64_t length_s, int64_t wall_s)
{
	int64_t start = wall_s - wall_s % length_s;

	return (struct rate_window){start, start + length_s};
}

static struct rate_window of_calendar(enum rate_period period, int64_t wall_s)
{
	int64_t year, end_year;
	unsigned month, end_month;

	date_of(wall_s / DAY_S, &year, &month);
	if (period == RATE_YEAR) {
		month = end_month = 1;
		end_year = year + 1;
	} else {
		end_month = month == 12 ? 1 : month + 1;
		end_year = month == 12 ? year + 1 : year;
	}
	return (struct rate_window){days_of(year, month) * DAY_S,
				    days_of(end_year, end_month) * DAY_S};
}

struct rate_window rate_window_at(enum rate_period period, int64_t wall_s)
{
	if (wall_s < 0) {
		wall_s = 0;
	}
	switch (period) {
	case RATE_SECOND:
		return multiple_of(1, wall_s);
	case RATE_MINUTE:
		return multiple_of(60, wall_s);
	case RATE_HOUR:
		return multiple_of(3600, wall_s);
	case RATE_DAY:
		return multiple_of(DAY_S, wall_s);
	case RATE_MONTH:
	case RATE_YEAR:
	case RATE_PERIODS:
		break;
	}
	return of_calendar(period, wall_s);
}
