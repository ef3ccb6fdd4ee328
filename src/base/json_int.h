/*
 * json_int - what reader and writer share: the scan for bytes that matter in a string
 */
#pragma once
#include "base/str_copy.h"

static inline bool json_is_special(char c)
{
	return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}

#ifdef __SSE2__
static inline __m128i json_mark_special(__m128i v)
{
	__m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
	__m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
	__m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);

	return _mm_or_si128(_mm_or_si128(quote, slash), control);
}

/* Moves `*p` over a block of `len` bytes, or to its first special byte: then true. */
static inline bool json_scan_block(const char **p, __m128i v, unsigned len, bool *high)
{
	unsigned hit = (unsigned)_mm_movemask_epi8(json_mark_special(v)) & ((1u << len) - 1);
	unsigned passed = hit ? (unsigned)__builtin_ctz(hit) : len;

	*high |= ((unsigned)_mm_movemask_epi8(v) & ((1u << passed) - 1)) != 0;
	*p += passed;
	return hit != 0;
}
#endif

/* For str_copy_marking: what cannot be copied as it is, or not without a look (UTF-8). */
static inline byte_marks json_mark_unusual(byte_block x)
{
#ifdef __SSE2__
	return _mm_or_si128(json_mark_special(x), x);
#else
	return json_is_special((char)x) || x >= 0x80 ? 0x80 : 0;
#endif
}

/*
 * The first quote, backslash or control character in [p, end), or end. Sets
 * `*high` when a byte from 0x80 on lies before it, so that UTF-8 is only
 * validated where there is any.
 */
static inline const char *json_scan(const char *p, const char *end, bool *high)
{
#ifdef __SSE2__
	size_t n = (size_t)(end - p);

	while (end - p >= 16) {
		if (json_scan_block(&p, _mm_loadu_si128((const __m128i *)(const void *)p), 16,
				    high)) {
			return p;
		}
	}
	/* The rest, with some that was scanned already. */
	if (p < end && n >= 16) {
		p = end - 16;
		(void)json_scan_block(&p, _mm_loadu_si128((const __m128i *)(const void *)p), 16,
				      high);
		return p;
	}
	if (n >= 8) {
		if (p < end &&
		    json_scan_block(&p, _mm_loadl_epi64((const __m128i *)(const void *)p), 8,
				    high)) {
			return p;
		}
		if (p < end) {
			p = end - 8;
			(void)json_scan_block(&p, _mm_loadl_epi64((const __m128i *)(const void *)p),
					      8, high);
		}
		return p;
	}
#endif
	for (; p < end && !json_is_special(*p); p++) {
		*high |= (unsigned char)*p >= 0x80;
	}
	return p;
}
