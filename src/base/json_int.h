/*
 * json_int - what reader and writer share: the scan for bytes that matter in a string
 */
#pragma once
#include "base/str.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline bool json_is_special(char c)
{
	return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}

/*
 * The first quote, backslash or control character in [p, end), or end. Sets
 * `*high` when a byte from 0x80 on lies before it, so that UTF-8 is only
 * validated where there is any.
 */
static inline const char *json_scan(const char *p, const char *end, bool *high)
{
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"');
	const __m128i slash = _mm_set1_epi8('\\');
	const __m128i control = _mm_set1_epi8(0x1f);

	while (end - p >= 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i hits = _mm_or_si128(
			_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)),
			_mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
		unsigned hit = (unsigned)_mm_movemask_epi8(hits);
		unsigned highs = (unsigned)_mm_movemask_epi8(v);

		if (hit) {
			unsigned at = (unsigned)__builtin_ctz(hit);

			*high |= (highs & ((1u << at) - 1)) != 0;
			return p + at;
		}
		*high |= highs != 0;
		p += 16;
	}
#endif
	for (; p < end && !json_is_special(*p); p++) {
		*high |= (unsigned char)*p >= 0x80;
	}
	return p;
}
