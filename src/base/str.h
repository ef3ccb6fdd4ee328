/*
 * str - a borrowed run of bytes, passed by value
 *
 * Not NUL-terminated, may hold any byte, and p may be NULL when n is 0. Whoever
 * made the bytes owns them. Case-insensitive functions fold ASCII only.
 */
#pragma once
#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct arena;

struct str {
	const char *p;
	size_t n;
};

#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
/* For static tables. */
/* clang-format off */
#define STR_INIT(lit) {(lit), sizeof(lit) - 1}
/* clang-format on */
#define STR_NULL ((struct str){NULL, 0})
/* printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct str str_of(const void *p, size_t n)
{
	return (struct str){(const char *)p, n};
}

static inline struct str str_c(const char *cstr)
{
	return cstr ? (struct str){cstr, strlen(cstr)} : STR_NULL;
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_eq_nocase_n(const char *a, const char *b, size_t n);
static inline bool str_eq_nocase(struct str a, struct str b)
{
	return a.n == b.n && str_eq_nocase_n(a.p, b.p, a.n);
}
int str_cmp(struct str a, struct str b);
/* For secrets: time depends on lengths only. */
bool str_eq_const_time(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);

/* From `from` to the end; empty when out of range. */
struct str str_skip(struct str s, size_t from);
struct str str_slice(struct str s, size_t from, size_t n);
/* Index of the first `c`, or -1. */
ptrdiff_t str_index(struct str s, char c);
ptrdiff_t str_rindex(struct str s, char c);
ptrdiff_t str_find(struct str s, struct str needle);
/* Without blanks and tabs (and CR, LF) at both ends. */
struct str str_trim(struct str s);
/*
 * Takes the part before the next `sep` off the front of `*rest`. False when
 * nothing is left. "a,,b" gives "a", "", "b"; "a," gives "a"; "" gives nothing.
 */
bool str_split(struct str *rest, char sep, struct str *out_part);

/* Whole string, decimal, no sign or blanks; false on anything else or overflow. */
bool str_to_u64(struct str s, uint64_t *out);
/* The same with an optional leading minus. */
bool str_to_i64(struct str s, int64_t *out);

struct str str_dup(struct arena *a, struct str s);
const char *str_cstr(struct arena *a, struct str s);
/* A text with "%.*s" ends at its first NUL: what must be whole goes through STR_CAT. */
struct str str_fmt(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
struct str str_cat(struct arena *a, const struct str *parts, size_t n);
#define STR_CAT(a, ...)                                                                            \
	str_cat((a), (const struct str[]){__VA_ARGS__},                                            \
		sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str))
struct str str_lower(struct arena *a, struct str s);
struct str str_upper(struct arena *a, struct str s);
static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Eight characters at once: bit 7 of each sum tells whether it reached 'A', or passed 'Z'. */
static inline uint64_t ascii_lower8(uint64_t v)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t low = v & (0x7f * ones);
	uint64_t is_upper = (low + (0x80 - 'A') * ones) ^ (low + (0x7f - 'Z') * ones);

	return v | (is_upper & ~v & (0x80 * ones)) >> 2;
}

static inline uint64_t str_load8(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* A word of all characters of a string of under 8: for comparing it with another one as long. */
static inline uint64_t str_load_short(const char *p, size_t n)
{
	uint32_t head, tail;

	if (n >= sizeof(head)) {
		memcpy(&head, p, sizeof(head));
		memcpy(&tail, p + n - sizeof(tail), sizeof(tail));
		return (uint64_t)tail << 32 | head;
	}
	return n == 0 ? 0
		      : (uint64_t)(uint8_t)p[0] | (uint64_t)(uint8_t)p[n / 2] << 8 |
				(uint64_t)(uint8_t)p[n - 1] << 16;
}

static inline char ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c;
}

/* The decimal digits of `v`, up to 20 of them, ending before `end`; returns where they start. */
char *str_put_digits(char *end, uint64_t v);

/* FNV-1a over folded bytes: for header names, never for keys a peer may choose. */
static inline uint32_t str_hash_nocase(struct str s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.n; i++) {
		h = (h ^ (uint8_t)ascii_lower(s.p[i])) * 16777619u;
	}
	return h;
}
