/*
 * clock - the only place that asks for the time, see clock.h
 *
 * Dates are proleptic Gregorian, computed here: the C library's functions know
 * locales, time zones and environment variables, none of which belong in a
 * protocol. Days are counted from 1970-01-01.
 */
#include "base/clock.h"

#include "base/arena.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

/* 0000-01-01 and the last millisecond of 9999: what four digits can say. */
#define WALL_MIN_MS (INT64_C(-719528) * DAY_MS)
#define WALL_MAX_MS (INT64_C(2932897) * DAY_MS - 1)

/* TimeSpan.MaxValue in whole days. */
#define TIMESPAN_DAYS_MAX 10675199u

struct civil {
	int year, month, day;
	int hour, minute, second, ms;
	int weekday; /* 0 = Sunday */
};

static uint64_t read_ns(clockid_t id)
{
	struct timespec t;

	ASSERT(clock_gettime(id, &t) == 0);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_thread_cpu_ns(void)
{
	return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_mono_ms(void)
{
	return clock_mono_ns() / 1000000u;
}

static int64_t wall_offset_ms;

static void read_wall_offset(void)
{
	struct str s = str_c(getenv("POSTHOUSE_CLOCK_OFFSET"));
	bool negative = str_starts(s, STR("-"));

	if (s.n > 0) {
		ASSERT(duration_parse(str_skip(s, negative), &wall_offset_ms) == ERR_OK);
		wall_offset_ms = negative ? -wall_offset_ms : wall_offset_ms;
	}
}

int64_t clock_wall_ms(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, read_wall_offset);
	return (int64_t)(read_ns(CLOCK_REALTIME) / 1000000u) + wall_offset_ms;
}

/* Hinnant, "chrono-compatible low-level date algorithms": years begin in March. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, struct civil *c)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	c->day = (int)(doy - (153 * mp + 2) / 5 + 1);
	c->month = (int)(mp < 10 ? mp + 3 : mp - 9);
	c->year = (int)(yoe + era * 400 + (c->month <= 2));
	c->weekday = (int)(((days + 4) % 7 + 7) % 7);
}

static struct civil civil_of(int64_t wall_ms)
{
	int64_t days, rest;
	struct civil c;

	wall_ms = MIN(MAX(wall_ms, WALL_MIN_MS), WALL_MAX_MS);
	days = (wall_ms >= 0 ? wall_ms : wall_ms - (DAY_MS - 1)) / DAY_MS;
	rest = wall_ms - days * DAY_MS;
	civil_from_days(days, &c);
	c.hour = (int)(rest / HOUR_MS);
	c.minute = (int)(rest / MINUTE_MS % 60);
	c.second = (int)(rest / SECOND_MS % 60);
	c.ms = (int)(rest % SECOND_MS);
	return c;
}

static char *put_text(char *w, const char *p, size_t n)
{
	memcpy(w, p, n);
	return w + n;
}

static char *put_digits(char *w, int v, int digits)
{
	for (int i = digits; i-- > 0; v /= 10) {
		w[i] = (char)('0' + v % 10);
	}
	return w + digits;
}

static char *put_time(char *w, const struct civil *c)
{
	w = put_digits(w, c->hour, 2);
	*w++ = ':';
	w = put_digits(w, c->minute, 2);
	*w++ = ':';
	return put_digits(w, c->second, 2);
}

void clock_http_date(int64_t wall_ms, char out[CLOCK_HTTP_DATE_LEN + 1])
{
	static const char weekdays[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct civil c = civil_of(wall_ms);
	char *w = put_text(out, weekdays + 3 * (size_t)c.weekday, 3);

	w = put_text(w, ", ", 2);
	w = put_digits(w, c.day, 2);
	*w++ = ' ';
	w = put_text(w, months + 3 * (size_t)(c.month - 1), 3);
	*w++ = ' ';
	w = put_digits(w, c.year, 4);
	*w++ = ' ';
	w = put_time(w, &c);
	(void)put_text(w, " GMT", 5); /* with its NUL */
}

void clock_iso(int64_t wall_ms, char out[CLOCK_ISO_LEN + 1])
{
	struct civil c = civil_of(wall_ms);
	char *w = put_digits(out, c.year, 4);

	*w++ = '-';
	w = put_digits(w, c.month, 2);
	*w++ = '-';
	w = put_digits(w, c.day, 2);
	*w++ = 'T';
	w = put_time(w, &c);
	*w++ = '.';
	w = put_digits(w, c.ms, 3);
	(void)put_text(w, "Z", 2);
}

/* Parsing: each `take_` eats from the front of `*s` and is false on mismatch. */

static bool take_char(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c) {
		return false;
	}
	*s = str_skip(*s, 1);
	return true;
}

/* `least` to `most` digits, most <= 9. */
static bool take_int(struct str *s, size_t least, size_t most, int *out, size_t *out_digits)
{
	size_t n = 0;
	int v = 0;

	while (n < most && n < s->n && s->p[n] >= '0' && s->p[n] <= '9') {
		v = v * 10 + (s->p[n++] - '0');
	}
	if (n < least) {
		return false;
	}
	*s = str_skip(*s, n);
	*out = v;
	if (out_digits) {
		*out_digits = n;
	}
	return true;
}

static bool take_two(struct str *s, int max, int *out)
{
	return take_int(s, 2, 2, out, NULL) && *out <= max;
}

/* ".123456" cut off to milliseconds; absent is 0. */
static bool take_fraction(struct str *s, size_t most, int *out_ms)
{
	size_t digits;
	int v;

	if (!take_char(s, '.')) {
		*out_ms = 0;
		return true;
	}
	if (!take_int(s, 1, most, &v, &digits)) {
		return false;
	}
	for (; digits < 3; digits++) {
		v *= 10;
	}
	for (; digits > 3; digits--) {
		v /= 10;
	}
	*out_ms = v;
	return true;
}

static int days_in_month(int year, int month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && is_leap);
}

static bool take_date(struct str *s, struct civil *c)
{
	return take_int(s, 4, 4, &c->year, NULL) && take_char(s, '-') &&
	       take_two(s, 12, &c->month) && c->month > 0 && take_char(s, '-') &&
	       take_two(s, 31, &c->day) && c->day > 0 && c->day <= days_in_month(c->year, c->month);
}

/* "Z", "+02:00", "+0200" or "+02". */
static bool take_offset(struct str *s, int64_t *out_ms)
{
	bool negative = s->n > 0 && s->p[0] == '-';
	int hours, minutes = 0;

	*out_ms = 0;
	if (take_char(s, 'Z') || take_char(s, 'z')) {
		return true;
	}
	if (!(take_char(s, '-') || take_char(s, '+')) || !take_two(s, 23, &hours)) {
		return false;
	}
	if (s->n > 0 && !((take_char(s, ':') || true) && take_two(s, 59, &minutes))) {
		return false;
	}
	*out_ms = (hours * HOUR_MS + minutes * MINUTE_MS) * (negative ? -1 : 1);
	return true;
}

enum err clock_iso_parse(struct str s, int64_t *out_wall_ms)
{
	int64_t offset_ms;
	struct civil c;

	if (!take_date(&s, &c) || !(take_char(&s, 'T') || take_char(&s, 't')) ||
	    !take_two(&s, 23, &c.hour) || !take_char(&s, ':') || !take_two(&s, 59, &c.minute) ||
	    !take_char(&s, ':') || !take_two(&s, 59, &c.second) || !take_fraction(&s, 9, &c.ms) ||
	    !take_offset(&s, &offset_ms) || s.n > 0) {
		return ERR_INVALID;
	}
	*out_wall_ms = days_from_civil(c.year, c.month, c.day) * DAY_MS + c.hour * HOUR_MS +
		       c.minute * MINUTE_MS + c.second * SECOND_MS + c.ms - offset_ms;
	return ERR_OK;
}

/* "hh:mm:ss[.fffffff]" and nothing after; .NET also reads one digit each. */
static bool parse_time_of_day(struct str s, int64_t *out_ms)
{
	int hours, minutes, seconds, ms;

	if (!take_int(&s, 1, 2, &hours, NULL) || hours > 23 || !take_char(&s, ':') ||
	    !take_int(&s, 1, 2, &minutes, NULL) || minutes > 59 || !take_char(&s, ':') ||
	    !take_int(&s, 1, 2, &seconds, NULL) || seconds > 59 || !take_fraction(&s, 7, &ms) ||
	    s.n > 0) {
		return false;
	}
	*out_ms = hours * HOUR_MS + minutes * MINUTE_MS + seconds * SECOND_MS + ms;
	return true;
}

enum err timespan_parse(struct str s, int64_t *out_ms)
{
	bool negative = take_char(&s, '-');
	ptrdiff_t dot = str_index(s, '.'), colon = str_index(s, ':');
	int64_t rest_ms = 0, ms;
	uint64_t days = 0;

	if (colon < 0) {
		if (!str_to_u64(s, &days)) {
			return ERR_INVALID;
		}
	} else {
		if (dot >= 0 && dot < colon) {
			if (!str_to_u64(str_slice(s, 0, (size_t)dot), &days)) {
				return ERR_INVALID;
			}
			s = str_skip(s, (size_t)dot + 1);
		}
		if (!parse_time_of_day(s, &rest_ms)) {
			return ERR_INVALID;
		}
	}
	if (days > TIMESPAN_DAYS_MAX) {
		return ERR_INVALID;
	}
	ms = (int64_t)days * DAY_MS + rest_ms;
	*out_ms = negative ? -ms : ms;
	return ERR_OK;
}

size_t timespan_format(int64_t ms, char out[TIMESPAN_LEN_MAX])
{
	uint64_t v = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
	unsigned hours = (unsigned)(v / HOUR_MS % 24), minutes = (unsigned)(v / MINUTE_MS % 60);
	unsigned seconds = (unsigned)(v / SECOND_MS % 60), fraction = (unsigned)(v % SECOND_MS);
	size_t n = 0;

	if (ms < 0) {
		out[n++] = '-';
	}
	if (v >= DAY_MS) {
		n += (size_t)snprintf(out + n, TIMESPAN_LEN_MAX - n, "%llu.",
				      (unsigned long long)(v / DAY_MS));
	}
	n += (size_t)snprintf(out + n, TIMESPAN_LEN_MAX - n, "%02u:%02u:%02u", hours, minutes,
			      seconds);
	if (fraction) {
		n += (size_t)snprintf(out + n, TIMESPAN_LEN_MAX - n, ".%03u0000", fraction);
	}
	return n;
}

struct unit {
	struct str name;
	int64_t factor;
};

/* Largest first; of two names for one thing the first is written. */
static const struct unit duration_units[] = {
	{STR_INIT("d"), DAY_MS},    {STR_INIT("h"), HOUR_MS}, {STR_INIT("m"), MINUTE_MS},
	{STR_INIT("s"), SECOND_MS}, {STR_INIT("ms"), 1},
};
static const struct unit size_units[] = {
	{STR_INIT("GiB"), 1 << 30},   {STR_INIT("MiB"), 1 << 20},
	{STR_INIT("KiB"), 1 << 10},   {STR_INIT(""), 1},
	{STR_INIT("kB"), 1000},	      {STR_INIT("MB"), 1000000},
	{STR_INIT("GB"), 1000000000},
};

static enum err parse_quantity(struct str s, const struct unit *units, size_t n, int64_t *out)
{
	size_t digits = 0;
	int64_t v;

	while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9') {
		digits++;
	}
	if (!str_to_i64(str_slice(s, 0, digits), &v)) {
		return ERR_INVALID;
	}
	for (size_t i = 0; i < n; i++) {
		if (str_eq(str_skip(s, digits), units[i].name)) {
			if (__builtin_mul_overflow(v, units[i].factor, &v)) {
				return ERR_INVALID;
			}
			*out = v;
			return ERR_OK;
		}
	}
	return ERR_INVALID;
}

enum err duration_parse(struct str s, int64_t *out_ms)
{
	return parse_quantity(s, duration_units, ARRAY_LEN(duration_units), out_ms);
}

enum err size_parse(struct str s, int64_t *out_bytes)
{
	return parse_quantity(s, size_units, ARRAY_LEN(size_units), out_bytes);
}

/* The last unit tried has the factor 1. */
static struct str format_quantity(struct arena *a, int64_t v, const struct unit *u)
{
	while (v % u->factor != 0) {
		u++;
	}
	return str_fmt(a, "%lld%.*s", (long long)(v / u->factor), STR_ARG(u->name));
}

struct str duration_format(struct arena *a, int64_t ms)
{
	return ms == 0 ? STR("0s") : format_quantity(a, ms, duration_units);
}

struct str size_format(struct arena *a, int64_t bytes)
{
	return bytes == 0 ? STR("0") : format_quantity(a, bytes, size_units);
}
