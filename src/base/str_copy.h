/*
 * str_copy - copying a string, and looking for bytes that matter or lowering letters in the same
 * pass
 *
 * What a class of bytes is, the caller says with a function that marks them: it sets the highest
 * bit of each byte that matters. Marks of several copies gather in one place and are asked once,
 * so no copy waits for the verdict on another. Blocks are 16 bytes with SSE2 (part of x86-64) and
 * single bytes elsewhere. Nothing outside the string is read.
 *
 * Threads  pure functions.
 */
#pragma once
#include "base/str.h"

#ifdef __SSE2__
#include <emmintrin.h>

typedef __m128i byte_block;
typedef __m128i byte_marks;
#else
typedef uint8_t byte_block;
typedef uint8_t byte_marks;
#endif
typedef byte_marks byte_marker(byte_block x);

#ifdef __SSE2__
/* Under 16 bytes: two halves that overlap fill a block. */
static ALWAYS_INLINE byte_marks str_copy_short_(char *to, struct str s, byte_marker *mark)
{
	uint64_t head8, tail8;
	uint32_t head4, tail4;

	if (s.n >= 8) {
		memcpy(&head8, s.p, 8);
		memcpy(&tail8, s.p + s.n - 8, 8);
		memcpy(to, &head8, 8);
		memcpy(to + s.n - 8, &tail8, 8);
		return mark(_mm_set_epi64x((int64_t)head8, (int64_t)tail8));
	}
	if (s.n >= 4) {
		memcpy(&head4, s.p, 4);
		memcpy(&tail4, s.p + s.n - 4, 4);
		memcpy(to, &head4, 4);
		memcpy(to + s.n - 4, &tail4, 4);
		return mark(_mm_set1_epi64x((int64_t)((uint64_t)head4 << 32 | tail4)));
	}
	if (s.n == 0) {
		return _mm_setzero_si128();
	}
	uint8_t first = (uint8_t)s.p[0], middle = (uint8_t)s.p[s.n / 2],
		last = (uint8_t)s.p[s.n - 1];

	to[0] = (char)first;
	to[s.n / 2] = (char)middle;
	to[s.n - 1] = (char)last;
	return mark(_mm_set1_epi32(
		(int)(first * 0x01000001u | (unsigned)middle << 8 | (unsigned)last << 16)));
}
#endif

/* Returns where the copy ends. */
static ALWAYS_INLINE char *str_copy_marking(char *to, struct str s, byte_marker *mark,
					    byte_marks *marks)
{
#ifdef __SSE2__
	size_t i = 0;
	__m128i x;

	if (s.n < 16) {
		*marks = _mm_or_si128(*marks, str_copy_short_(to, s, mark));
		return to + s.n;
	}
	for (; i + 16 < s.n; i += 16) {
		x = _mm_loadu_si128((const __m128i *)(const void *)(s.p + i));
		_mm_storeu_si128((__m128i *)(void *)(to + i), x);
		*marks = _mm_or_si128(*marks, mark(x));
	}
	x = _mm_loadu_si128((const __m128i *)(const void *)(s.p + s.n - 16));
	_mm_storeu_si128((__m128i *)(void *)(to + s.n - 16), x);
	*marks = _mm_or_si128(*marks, mark(x));
#else
	for (size_t i = 0; i < s.n; i++) {
		to[i] = s.p[i];
		*marks |= mark((uint8_t)s.p[i]);
	}
#endif
	return to + s.n;
}

#ifdef __SSE2__
static ALWAYS_INLINE __m128i str_lower_block_(__m128i x)
{
	__m128i from_a = _mm_cmpgt_epi8(x, _mm_set1_epi8('A' - 1));
	__m128i to_z = _mm_cmplt_epi8(x, _mm_set1_epi8('Z' + 1));

	return _mm_or_si128(x, _mm_and_si128(_mm_and_si128(from_a, to_z), _mm_set1_epi8(0x20)));
}
#endif

/* Writes `s` in lower case (ASCII); returns where it ends. */
static inline char *str_copy_lower(char *to, struct str s)
{
	size_t i = 0;
#ifdef __SSE2__
	__m128i x;

	/* As above: what fills no block is two halves of one that overlap. */
	if (s.n >= 16) {
		for (; i + 16 < s.n; i += 16) {
			x = _mm_loadu_si128((const __m128i *)(const void *)(s.p + i));
			_mm_storeu_si128((__m128i *)(void *)(to + i), str_lower_block_(x));
		}
		x = _mm_loadu_si128((const __m128i *)(const void *)(s.p + s.n - 16));
		_mm_storeu_si128((__m128i *)(void *)(to + s.n - 16), str_lower_block_(x));
		return to + s.n;
	}
	if (s.n >= 8) {
		x = _mm_set_epi64x((int64_t)str_load8(s.p + s.n - 8), (int64_t)str_load8(s.p));
		x = str_lower_block_(x);
		_mm_storel_epi64((__m128i *)(void *)to, x);
		_mm_storel_epi64((__m128i *)(void *)(to + s.n - 8), _mm_unpackhi_epi64(x, x));
		return to + s.n;
	}
#endif
	if (s.n >= 4 && s.n < 8) {
		uint64_t v = ascii_lower8(str_load_short(s.p, s.n));

		memcpy(to, &v, 4);
		memcpy(to + s.n - 4, (char *)&v + 4, 4);
		return to + s.n;
	}
	for (; i < s.n; i++) {
		to[i] = ascii_lower(s.p[i]);
	}
	return to + s.n;
}

/* Whether any byte was marked. */
static inline bool marks_any(byte_marks marks)
{
#ifdef __SSE2__
	return _mm_movemask_epi8(marks) != 0;
#else
	return (marks & 0x80) != 0;
#endif
}
