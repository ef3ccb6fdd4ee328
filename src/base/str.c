/*
 * str - a borrowed run of bytes, see str.h
 */
#include "base/str.h"
#include "base/str_copy.h"

#include "base/arena.h"
#include "base/format.h"

#include <stdarg.h>

/* A difference that is not in the bit of case ends it; most strings that are equal are so to the
 * bit. */
static inline bool eq_nocase8(uint64_t a, uint64_t b)
{
	return a == b || (((a ^ b) & ~UINT64_C(0x2020202020202020)) == 0 &&
			  ascii_lower8(a) == ascii_lower8(b));
}

bool str_eq_nocase_n(const char *a, const char *b, size_t n)
{
	if (n < 8) {
		return eq_nocase8(str_load_short(a, n), str_load_short(b, n));
	}
	for (size_t i = 0; i + 8 < n; i += 8) {
		if (!eq_nocase8(str_load8(a + i), str_load8(b + i))) {
			return false;
		}
	}
	return eq_nocase8(str_load8(a + n - 8), str_load8(b + n - 8));
}

int str_cmp(struct str a, struct str b)
{
	size_t n = MIN(a.n, b.n);
	int order = n ? memcmp(a.p, b.p, n) : 0;

	return order ? order : (a.n > b.n) - (a.n < b.n);
}

bool str_eq_const_time(struct str a, struct str b)
{
	volatile uint8_t diff = 0;

	if (a.n != b.n) {
		return false;
	}
	for (size_t i = 0; i < a.n; i++) {
		diff = (uint8_t)(diff | (uint8_t)(a.p[i] ^ b.p[i]));
	}
	return diff == 0;
}

bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq(str_of(s.p, prefix.n), prefix);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq_nocase_n(s.p, prefix.p, prefix.n);
}

bool str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n && str_eq(str_skip(s, s.n - suffix.n), suffix);
}

struct str str_skip(struct str s, size_t from)
{
	if (from == 0) {
		return s;
	}
	from = MIN(from, s.n);
	return s.p ? str_of(s.p + from, s.n - from) : STR_NULL;
}

struct str str_slice(struct str s, size_t from, size_t n)
{
	s = str_skip(s, from);
	s.n = MIN(s.n, n);
	return s;
}

ptrdiff_t str_index(struct str s, char c)
{
	const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

	return at ? at - s.p : -1;
}

ptrdiff_t str_rindex(struct str s, char c)
{
	const char *at = s.n ? memrchr(s.p, c, s.n) : NULL;

	return at ? at - s.p : -1;
}

ptrdiff_t str_find(struct str s, struct str needle)
{
	const char *at;

	if (needle.n == 0) {
		return 0;
	}
	at = s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
	return at ? at - s.p : -1;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
	while (s.n > 0 && is_blank(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && is_blank(s.p[s.n - 1])) {
		s.n--;
	}
	return s;
}

bool str_split(struct str *rest, char sep, struct str *out_part)
{
	ptrdiff_t at = str_index(*rest, sep);

	if (rest->n == 0) {
		return false;
	}
	if (at < 0) {
		*out_part = *rest;
		*rest = str_skip(*rest, rest->n);
	} else {
		*out_part = str_slice(*rest, 0, (size_t)at);
		*rest = str_skip(*rest, (size_t)at + 1);
	}
	return true;
}

bool str_to_u64(struct str s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0) {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v)) {
			return false;
		}
	}
	*out = v;
	return true;
}

bool str_to_i64(struct str s, int64_t *out)
{
	bool negative = s.n > 0 && s.p[0] == '-';
	uint64_t v;

	if (!str_to_u64(str_skip(s, negative), &v) || v > (uint64_t)INT64_MAX + negative) {
		return false;
	}
	*out = (int64_t)(negative ? 0 - v : v);
	return true;
}

struct str str_dup(struct arena *a, struct str s)
{
	if (s.n == 0) {
		return s.p ? STR("") : STR_NULL;
	}
	return str_of(memcpy(arena_alloc(a, s.n), s.p, s.n), s.n);
}

struct str str_cat(struct arena *a, const struct str *parts, size_t n)
{
	size_t len = 0;
	char *p, *end;

	for (size_t i = 0; i < n; i++) {
		len += parts[i].n;
	}
	p = end = arena_alloc(a, len + 1);
	for (size_t i = 0; i < n; i++) {
		if (parts[i].n > 0) {
			memcpy(end, parts[i].p, parts[i].n);
			end += parts[i].n;
		}
	}
	return str_of(p, len);
}

const char *str_cstr(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.n + 1);

	if (s.n > 0) {
		memcpy(p, s.p, s.n);
	}
	p[s.n] = '\0';
	return p;
}

struct str str_fmt(struct arena *a, const char *fmt, ...)
{
	char small[256];
	va_list args;
	char *p;
	int n;

	va_start(args, fmt);
	n = format_print(small, sizeof(small), fmt, args);
	va_end(args);
	ASSERT(n >= 0);
	p = arena_alloc(a, (size_t)n + 1);
	if ((size_t)n < sizeof(small)) {
		memcpy(p, small, (size_t)n + 1);
	} else {
		va_start(args, fmt);
		(void)format_print(p, (size_t)n + 1, fmt, args);
		va_end(args);
	}
	return str_of(p, (size_t)n);
}

struct str str_lower(struct arena *a, struct str s)
{
	char *p = s.n > 0 ? arena_alloc(a, s.n) : NULL;

	(void)str_copy_lower(p, s);
	return s.n > 0 ? str_of(p, s.n) : s;
}

struct str str_upper(struct arena *a, struct str s)
{
	char *p = s.n > 0 ? arena_alloc(a, s.n) : NULL;

	for (size_t i = 0; i < s.n; i++) {
		p[i] = ascii_upper(s.p[i]);
	}
	return s.n > 0 ? str_of(p, s.n) : s;
}

char *str_put_digits(char *end, uint64_t v)
{
	static const char pairs[] = "0001020304050607080910111213141516171819"
				    "2021222324252627282930313233343536373839"
				    "4041424344454647484950515253545556575859"
				    "6061626364656667686970717273747576777879"
				    "8081828384858687888990919293949596979899";

	for (; v >= 100; v /= 100) {
		end -= 2;
		memcpy(end, &pairs[2 * (v % 100)], 2);
	}
	if (v < 10) {
		*--end = (char)('0' + v);
		return end;
	}
	end -= 2;
	memcpy(end, &pairs[2 * v], 2);
	return end;
}
