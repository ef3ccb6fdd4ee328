/*
 * clock - the only place that asks for the time
 *
 * `mono` never jumps and is for timers and durations; `wall` is for people,
 * tokens and records. Both in milliseconds unless the name says otherwise.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

uint64_t clock_mono_ms(void);
uint64_t clock_mono_ns(void);
/* What the calling thread has used of its processor; a system call. */
uint64_t clock_thread_cpu_ns(void);
/* Unix time in milliseconds. POSTHOUSE_CLOCK_OFFSET=-2h shifts it, for tests of expiry. */
int64_t clock_wall_ms(void);

/* "Fri, 20 Nov 2026 22:31:03 GMT" (RFC 9110 5.6.7), 29 bytes and NUL. */
#define CLOCK_HTTP_DATE_LEN 29
void clock_http_date(int64_t wall_ms, char out[CLOCK_HTTP_DATE_LEN + 1]);
/* "2026-11-20T22:31:03.123Z", 24 bytes and NUL. */
#define CLOCK_ISO_LEN 24
void clock_iso(int64_t wall_ms, char out[CLOCK_ISO_LEN + 1]);
/* ISO 8601 with 0 to 9 fraction digits and Z or an offset. */
enum err clock_iso_parse(struct str s, int64_t *out_wall_ms) MUST_USE;

/* .NET TimeSpan "c": [-][d.]hh:mm:ss[.fffffff]; a bare integer is days. */
enum err timespan_parse(struct str s, int64_t *out_ms) MUST_USE;
#define TIMESPAN_LEN_MAX 32
/* Returns the length; with 7 fraction digits only when not whole seconds. */
size_t timespan_format(int64_t ms, char out[TIMESPAN_LEN_MAX]);

/* "250ms", "30s", "2m", "1h", "7d". */
enum err duration_parse(struct str s, int64_t *out_ms) MUST_USE;
/* "512", "16KiB", "50MiB", "1GiB" (also kB, MB, GB by thousands). */
enum err size_parse(struct str s, int64_t *out_bytes) MUST_USE;
/* The largest unit that divides evenly. */
struct str duration_format(struct arena *a, int64_t ms);
struct str size_format(struct arena *a, int64_t bytes);
