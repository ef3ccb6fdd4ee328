/*
 * test_clock - see base/clock.h
 */
#include "base/arena.h"
#include "base/clock.h"
#include "death.h"
#include "unit.h"

#include <time.h>

#define UNTOUCHED INT64_C(-77777)

static void time_passes(void **state)
{
	uint64_t before = clock_mono_ns();

	(void)state;
	assert_true(clock_mono_ns() >= before);
	assert_true(clock_mono_ms() >= before / 1000000);
	assert_true(clock_wall_ms() > INT64_C(1700000000000));
}

/* What the child does: the shift in whole hours, plus 50, as exit status. */
static int report_shift(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (int)((clock_wall_ms() / 1000 - t.tv_sec + 50 * 3600 + 1800) / 3600);
}

/* In a new process, since the environment is read once. */
static int shift_with(const char *offset)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		die_quietly();
		(void)setenv("POSTHOUSE_CLOCK_OFFSET", offset, 1);
		(void)execl("/proc/self/exe", "test_clock", "--report-shift", NULL);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) - 50 : -99;
}

static void the_environment_shifts_it(void **state)
{
	(void)state;
	assert_int_equal(shift_with("-2h"), -2);
	assert_int_equal(shift_with("1d"), 24);
	assert_int_equal(shift_with("0s"), 0);
	assert_int_equal(shift_with(""), 0);
	assert_int_equal(shift_with("soon"), -99); /* aborts */
}

static const struct {
	int64_t ms;
	const char *http, *iso;
} dates[] = {
	{0, "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00.000Z"},
	{INT64_C(784111777000), "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37.000Z"},
	{INT64_C(951827696789), "Tue, 29 Feb 2000 12:34:56 GMT", "2000-02-29T12:34:56.789Z"},
	{INT64_C(1795213863123), "Fri, 20 Nov 2026 22:31:03 GMT", "2026-11-20T22:31:03.123Z"},
	{-1, "Wed, 31 Dec 1969 23:59:59 GMT", "1969-12-31T23:59:59.999Z"},
	{INT64_C(-62135596800000), "Mon, 01 Jan 0001 00:00:00 GMT", "0001-01-01T00:00:00.000Z"},
	{INT64_C(253402300799999), "Fri, 31 Dec 9999 23:59:59 GMT", "9999-12-31T23:59:59.999Z"},
};

static void dates_are_written(void **state)
{
	char http[CLOCK_HTTP_DATE_LEN + 1], iso[CLOCK_ISO_LEN + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
		int64_t back = UNTOUCHED;

		clock_http_date(dates[i].ms, http);
		clock_iso(dates[i].ms, iso);
		assert_string_equal(http, dates[i].http);
		assert_string_equal(iso, dates[i].iso);
		assert_ok(clock_iso_parse(str_c(iso), &back));
		assert_true(back == dates[i].ms);
	}
	clock_iso(INT64_MAX, iso); /* clamped, not overrun */
	assert_string_equal(iso, "9999-12-31T23:59:59.999Z");
	clock_http_date(INT64_MIN, http);
	assert_string_equal(http, "Sat, 01 Jan 0000 00:00:00 GMT");
}

/* The C library as a second opinion, every 11 days and some from 1600 to 2400. */
static void dates_agree_with_libc(void **state)
{
	(void)state;
	for (int64_t s = INT64_C(-11676096000); s < INT64_C(13569465600); s += 987654) {
		char iso[CLOCK_ISO_LEN + 1], want[64];
		time_t t = (time_t)s;
		struct tm tm;

		assert_non_null(gmtime_r(&t, &tm));
		assert_int_not_equal(strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.000Z", &tm),
				     0);
		clock_iso(s * 1000, iso);
		assert_string_equal(iso, want);
	}
}

static void iso_is_read(void **state)
{
	static const struct {
		const char *s;
		int64_t ms;
	} cases[] = {
		{"1970-01-01T00:00:01Z", 1000},
		{"1970-01-01T00:00:01.5Z", 1500},
		{"1970-01-01T00:00:01.05Z", 1050},
		{"1970-01-01T00:00:01.123Z", 1123},
		{"1970-01-01T00:00:01.1239Z", 1123},
		{"1970-01-01T00:00:01.1234567Z", 1123},
		{"1970-01-01T00:00:01.999999999Z", 1999},
		{"1970-01-01t00:00:01z", 1000},
		{"1970-01-01T02:00:01+02:00", 1000},
		{"1969-12-31T18:30:01-05:30", 1000},
		{"1970-01-01T02:00:01.250+0200", 1250},
		{"1970-01-01T02:00:01+02", 1000},
		{"1970-01-01T00:00:01-00:00", 1000},
		{"1969-12-31T23:59:59.001Z", -999},
		{"2024-02-29T00:00:00Z", INT64_C(1709164800000)},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t ms = UNTOUCHED;

		assert_ok(clock_iso_parse(str_c(cases[i].s), &ms));
		assert_true(ms == cases[i].ms);
	}
}

static void iso_is_strict(void **state)
{
	static const char *const bad[] = {
		"2023-02-29T00:00:00Z",	      "1900-02-29T00:00:00Z",
		"2023-00-01T00:00:00Z",	      "2023-13-01T00:00:00Z",
		"2023-04-31T00:00:00Z",	      "2023-01-00T00:00:00Z",
		"2023-01-01T24:00:00Z",	      "2023-01-01T00:60:00Z",
		"2023-01-01T00:00:60Z",	      "2023-01-01T00:00:00",
		"2023-01-01T00:00:00.Z",      "2023-01-01T00:00:00.1234567890Z",
		"2023-01-01 00:00:00Z",	      "2023-01-01T00:00:00Zx",
		"2023-01-01T00:00:00+24:00",  "2023-01-01T00:00:00+02:60",
		"2023-01-01T00:00:00+2",      "2023-01-01T00:00:00+02:",
		"2023-01-01T00:00:00+02:0",   "2023-1-1T00:00:00Z",
		"+2023-01-01T00:00:00Z",      " 2023-01-01T00:00:00Z",
		"2023-01-01T00:00:00+02:000", "2023-01-01T00:00:-1Z",
	};
	static const char whole[] = "2023-01-01T00:00:00.123+02:00";
	int64_t ms = UNTOUCHED;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_err(clock_iso_parse(str_c(bad[i]), &ms), ERR_INVALID);
	}
	/* "+02" and "+02:00" are whole, as is none of the other truncations. */
	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		if (n != sizeof(whole) - 4) {
			assert_err(clock_iso_parse(str_of(whole, n), &ms), ERR_INVALID);
		}
	}
	assert_true(ms == UNTOUCHED);
}

static void timespan_is_read(void **state)
{
	static const struct {
		const char *s;
		int64_t ms;
	} cases[] = {
		{"00:02:00", 120000},
		{"0:2:0", 120000},
		{"1.00:00:00", 86400000},
		{"-1.00:00:00", -86400000},
		{"-00:00:00.5", -500},
		{"00:00:00.1234567", 123},
		{"00:00:01.05", 1050},
		{"15", INT64_C(15) * 86400000},
		{"-3", INT64_C(-3) * 86400000},
		{"0", 0},
		{"23:59:59.999", 86399999},
		{"10675199.02:48:05.4775807", INT64_C(922337203685477)},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t ms = UNTOUCHED;

		assert_ok(timespan_parse(str_c(cases[i].s), &ms));
		assert_true(ms == cases[i].ms);
	}
}

static void timespan_is_strict(void **state)
{
	static const char *const bad[] = {
		"",
		"-",
		"--1",
		"+1",
		" 1",
		"1 ",
		"1.5",
		"24:00:00",
		"00:60:00",
		"00:00:60",
		"1:00",
		"00:00:00.",
		"00:00:00.12345678",
		"1.",
		".00:00:00",
		"1.2.00:00:00",
		"00:00:00:00",
		"000:00:00",
		"1.-1:00:00",
		"1.00:00:00x",
		"10675200",
		"99999999999999999999",
		"00:00:0a",
		"1d",
		"99999999999.00:00:00",
	};
	int64_t ms = UNTOUCHED;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_err(timespan_parse(str_c(bad[i]), &ms), ERR_INVALID);
	}
	assert_true(ms == UNTOUCHED);
}

static void timespan_is_written(void **state)
{
	static const struct {
		int64_t ms;
		const char *s;
	} cases[] = {
		{0, "00:00:00"},
		{120000, "00:02:00"},
		{86400000, "1.00:00:00"},
		{86399999, "23:59:59.9990000"},
		{-500, "-00:00:00.5000000"},
		{INT64_C(-90061001), "-1.01:01:01.0010000"},
		{INT64_MAX, "106751991167.07:12:55.8070000"},
		{INT64_MIN, "-106751991167.07:12:55.8080000"},
	};
	char out[TIMESPAN_LEN_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t n = timespan_format(cases[i].ms, out);

		assert_str(str_of(out, n), str_c(cases[i].s));
	}
	for (int64_t ms = INT64_C(-900000000000); ms < INT64_C(900000000000); ms += 987654321) {
		int64_t back = UNTOUCHED;

		assert_ok(timespan_parse(str_of(out, timespan_format(ms, out)), &back));
		assert_true(back == ms);
	}
}

struct quantity {
	const char *s;
	int64_t v;
	const char *written;
};

static void durations(void **state)
{
	static const struct quantity cases[] = {
		{"250ms", 250, "250ms"},  {"30s", 30000, "30s"},   {"2m", 120000, "2m"},
		{"1h", 3600000, "1h"},	  {"7d", 604800000, "7d"}, {"0s", 0, "0s"},
		{"0ms", 0, "0s"},	  {"60s", 60000, "1m"},	   {"1500ms", 1500, "1500ms"},
		{"48h", 172800000, "2d"},
	};
	static const char *const bad[] = {"",
					  "5",
					  "s",
					  "-1s",
					  "1.5s",
					  "1 s",
					  "1S",
					  "1ss",
					  "1w",
					  "1min",
					  "9223372036854775807s"};
	int64_t ms;
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_ok(duration_parse(str_c(cases[i].s), &ms));
		assert_true(ms == cases[i].v);
		assert_str(duration_format(&a, ms), str_c(cases[i].written));
	}
	assert_str(duration_format(&a, -7200000), STR("-2h"));
	ms = UNTOUCHED;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_err(duration_parse(str_c(bad[i]), &ms), ERR_INVALID);
	}
	assert_true(ms == UNTOUCHED);
	arena_fini(&a);
}

static void sizes(void **state)
{
	static const struct quantity cases[] = {
		{"512", 512, "512"},
		{"16KiB", 16384, "16KiB"},
		{"50MiB", 52428800, "50MiB"},
		{"1GiB", 1073741824, "1GiB"},
		{"2048", 2048, "2KiB"},
		{"1kB", 1000, "1000"},
		{"3MB", 3000000, "3000000"},
		{"1GB", 1000000000, "1000000000"},
		{"0", 0, "0"},
	};
	static const char *const bad[] = {"",
					  "-1",
					  "KiB",
					  "1 KiB",
					  "1kib",
					  "1K",
					  "1.5MiB",
					  "1TB",
					  "9223372036854775807GiB",
					  "9223372036854775808"};
	struct arena a;
	int64_t v;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_ok(size_parse(str_c(cases[i].s), &v));
		assert_true(v == cases[i].v);
		assert_str(size_format(&a, v), str_c(cases[i].written));
	}
	v = UNTOUCHED;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_err(size_parse(str_c(bad[i]), &v), ERR_INVALID);
	}
	assert_true(v == UNTOUCHED);
	arena_fini(&a);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_passes),
		cmocka_unit_test(the_environment_shifts_it),
		cmocka_unit_test(dates_are_written),
		cmocka_unit_test(dates_agree_with_libc),
		cmocka_unit_test(iso_is_read),
		cmocka_unit_test(iso_is_strict),
		cmocka_unit_test(timespan_is_read),
		cmocka_unit_test(timespan_is_strict),
		cmocka_unit_test(timespan_is_written),
		cmocka_unit_test(durations),
		cmocka_unit_test(sizes),
	};

	if (argc == 2 && strcmp(argv[1], "--report-shift") == 0) {
		return report_shift();
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
