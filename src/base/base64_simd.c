#include "base/base64_simd.h"

#if defined(__x86_64__)
#include <tmmintrin.h>

#define SSSE3 __attribute__((target("ssse3")))

/* Twelve bytes to sixteen characters a step; each step reads sixteen. */
SSSE3 static size_t encode_blocks(char *w, const uint8_t *r, size_t triples)
{
	const __m128i spread = _mm_set_epi8(10, 11, 9, 10, 7, 8, 6, 7, 4, 5, 3, 4, 1, 2, 0, 1);
	const __m128i offsets = _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
					      '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
					      '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0);
	size_t done = 0;

	for (; triples - done >= 6; done += 4, r += 12, w += 16) {
		__m128i in = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)r), spread);
		__m128i high = _mm_mulhi_epu16(_mm_and_si128(in, _mm_set1_epi32(0x0fc0fc00)),
					       _mm_set1_epi32(0x04000040));
		__m128i low = _mm_mullo_epi16(_mm_and_si128(in, _mm_set1_epi32(0x003f03f0)),
					      _mm_set1_epi32(0x01000010));
		__m128i six = _mm_or_si128(high, low);
		__m128i row = _mm_subs_epu8(six, _mm_set1_epi8(51));
		__m128i upper = _mm_cmpgt_epi8(_mm_set1_epi8(26), six);

		row = _mm_or_si128(row, _mm_and_si128(upper, _mm_set1_epi8(13)));
		_mm_storeu_si128((__m128i *)w, _mm_add_epi8(_mm_shuffle_epi8(offsets, row), six));
	}
	return done;
}

/* Sixteen characters to twelve bytes a step; each step writes sixteen. */
SSSE3 static size_t decode_blocks(uint8_t *w, const uint8_t *r, size_t quads)
{
	const __m128i by_low = _mm_setr_epi8(0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
					     0x11, 0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a);
	const __m128i by_high = _mm_setr_epi8(0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10,
					      0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10);
	const __m128i shifts =
		_mm_setr_epi8(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0);
	const __m128i pack = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
	const __m128i slash = _mm_set1_epi8('/');
	size_t done = 0;

	for (; quads - done >= 6; done += 4, r += 16, w += 12) {
		__m128i in = _mm_loadu_si128((const __m128i *)r);
		__m128i high = _mm_and_si128(_mm_srli_epi32(in, 4), slash);
		__m128i foreign = _mm_and_si128(_mm_shuffle_epi8(by_low, _mm_and_si128(in, slash)),
						_mm_shuffle_epi8(by_high, high));
		__m128i six, twelve;

		if (_mm_movemask_epi8(_mm_cmpeq_epi8(foreign, _mm_setzero_si128())) != 0xffff) {
			break;
		}
		six = _mm_add_epi8(
			in,
			_mm_shuffle_epi8(shifts, _mm_add_epi8(_mm_cmpeq_epi8(in, slash), high)));
		twelve = _mm_madd_epi16(_mm_maddubs_epi16(six, _mm_set1_epi32(0x01400140)),
					_mm_set1_epi32(0x00011000));
		_mm_storeu_si128((__m128i *)w, _mm_shuffle_epi8(twelve, pack));
	}
	return done;
}

size_t base64_simd_encode(char *w, const uint8_t *r, size_t triples)
{
	return __builtin_cpu_supports("ssse3") ? encode_blocks(w, r, triples) : 0;
}

size_t base64_simd_decode(uint8_t *w, const uint8_t *r, size_t quads)
{
	return __builtin_cpu_supports("ssse3") ? decode_blocks(w, r, quads) : 0;
}
#else
size_t base64_simd_encode(char *w, const uint8_t *r, size_t triples)
{
	(void)w;
	(void)r;
	(void)triples;
	return 0;
}

size_t base64_simd_decode(uint8_t *w, const uint8_t *r, size_t quads)
{
	(void)w;
	(void)r;
	(void)quads;
	return 0;
}
#endif
