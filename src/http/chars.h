/*
 * chars - what a byte may be in HTTP, and fast searches for those that matter
 *
 * One table answers every question about a single byte; where a whole line is
 * looked at, 16 bytes are compared at a time (SSE2 is part of x86-64; other
 * machines take the plain loop). No function reads outside the given string.
 *
 * Threads  pure functions.
 */
#pragma once
#include "base/str_copy.h"

enum {
	CHAR_TOKEN = 1 << 0,  /* RFC 9110 5.6.2 */
	CHAR_FIELD = 1 << 1,  /* HTAB, blank, visible, obs-text (RFC 9110 5.5) */
	CHAR_TARGET = 1 << 2, /* visible ASCII but '#' */
	CHAR_HOST = 1 << 3,   /* unreserved (RFC 3986 2.3) */
	CHAR_HEX = 1 << 4,
	CHAR_DIGIT = 1 << 5,
};

extern const uint8_t http_char[256];

static inline bool char_is(char c, int classes)
{
	return (http_char[(uint8_t)c] & classes) != 0;
}

/* True for the empty string. */
static inline bool str_all_are(struct str s, int class)
{
	unsigned all = 0xff;

	for (size_t i = 0; i < s.n; i++) {
		all &= http_char[(uint8_t)s.p[i]];
	}
	return (all & (unsigned)class) != 0;
}

/* 0-15, for a CHAR_HEX. */
static inline unsigned char_hex(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

/* Index of the first control (below 0x20, or DEL) from `i` on; s.n when none. */
static inline size_t str_find_control(struct str s, size_t i)
{
#ifdef __SSE2__
	const __m128i max_control = _mm_set1_epi8(0x1f), del = _mm_set1_epi8(0x7f);

	for (; i + 16 <= s.n; i += 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)(s.p + i));
		__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(x, max_control), x),
					   _mm_cmpeq_epi8(x, del));
		unsigned mask = (unsigned)_mm_movemask_epi8(hit);

		if (mask) {
			return i + (unsigned)__builtin_ctz(mask);
		}
	}
#endif
	while (i < s.n && (uint8_t)s.p[i] >= 0x20 && s.p[i] != 0x7f) {
		i++;
	}
	return i;
}

/* For str_copy_marking: controls but HTAB. */
static inline byte_marks mark_controls(byte_block x)
{
#ifdef __SSE2__
	__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x),
				   _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f)));

	return _mm_andnot_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\t')), hit);
#else
	return char_is((char)x, CHAR_FIELD) ? 0 : 0x80;
#endif
}

/*
 * For str_copy_marking: what is no letter, digit or '-', as names of fields are made of; it may be
 * another token character all the same.
 */
static inline byte_marks mark_unusual_in_name(byte_block x)
{
#ifdef __SSE2__
	const __m128i letter =
		_mm_sub_epi8(_mm_or_si128(x, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
	const __m128i digit = _mm_sub_epi8(x, _mm_set1_epi8('0'));
	__m128i usual = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);

	usual = _mm_or_si128(usual, _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit));
	usual = _mm_or_si128(usual, _mm_cmpeq_epi8(x, _mm_set1_epi8('-')));
	return _mm_xor_si128(usual, _mm_set1_epi8(-1));
#else
	return char_is((char)x, CHAR_TOKEN) ? 0 : 0x80;
#endif
}

/* Index from `i` on of the first such byte, or `i` itself where it would not pay. */
static inline size_t str_skip_name(struct str s, size_t i)
{
#ifdef __SSE2__
	if (i + 16 <= s.n) {
		const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(s.p + i));
		unsigned unusual = (unsigned)_mm_movemask_epi8(mark_unusual_in_name(x));

		return i + (unsigned)__builtin_ctz(unusual | 0x10000u);
	}
#endif
	(void)s;
	return i;
}

/* Index of the first `c` from `i` on; s.n when none. */
static inline size_t str_find_char(struct str s, size_t i, char c)
{
#ifdef __SSE2__
	const __m128i wanted = _mm_set1_epi8(c);

	for (; i + 16 <= s.n; i += 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)(s.p + i));
		unsigned mask = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, wanted));

		if (mask) {
			return i + (unsigned)__builtin_ctz(mask);
		}
	}
#endif
	while (i < s.n && s.p[i] != c) {
		i++;
	}
	return i;
}

/*
 * Whether the token `s` is the lower-case word `lit`, ignoring case. The length
 * is a constant at every call, so this becomes a few word compares. Only for
 * tokens: setting bit 5 folds letters and leaves '-' and digits alone, while the
 * bytes that it would mix up (controls) are in no token.
 */
static inline bool token_is_(struct str s, const char *lit, size_t n)
{
	const uint64_t bits = UINT64_C(0x2020202020202020);
	uint64_t diff = 0;

	if (s.n != n) {
		return false;
	}
	if (n < 8) {
		return ((str_load_short(s.p, n) ^ str_load_short(lit, n)) & ~bits) == 0;
	}
	for (size_t i = 0; i + 8 < n; i += 8) {
		diff |= (str_load8(s.p + i) | bits) ^ str_load8(lit + i);
	}
	diff |= (str_load8(s.p + n - 8) | bits) ^ str_load8(lit + n - 8);
	return diff == 0;
}
#define TOKEN_IS(s, lit) token_is_((s), (lit), sizeof(lit) - 1)
