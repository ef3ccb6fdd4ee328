/*
 * utf8 - validation, see utf8.h
 *
 * RFC 3629 4 as a table: the first byte says how many follow and in which range
 * the second must be; that range is what keeps out overlong forms, surrogates
 * and numbers beyond U+10FFFF.
 */
#include "base/utf8.h"

#define REPLACEMENT 0xfffdu

static bool first_byte(struct utf8_state *s, uint8_t c)
{
	if (c < 0x80) {
		return true;
	}
	s->lo = 0x80;
	s->hi = 0xbf;
	if (c >= 0xc2 && c <= 0xdf) {
		s->need = 1;
	} else if (c >= 0xe0 && c <= 0xef) {
		s->need = 2;
		s->lo = c == 0xe0 ? 0xa0 : 0x80;
		s->hi = c == 0xed ? 0x9f : 0xbf;
	} else if (c >= 0xf0 && c <= 0xf4) {
		s->need = 3;
		s->lo = c == 0xf0 ? 0x90 : 0x80;
		s->hi = c == 0xf4 ? 0x8f : 0xbf;
	} else {
		return false;
	}
	return true;
}

static bool feed_byte(struct utf8_state *s, uint8_t c)
{
	if (s->need == 0) {
		return first_byte(s, c);
	}
	if (c < s->lo || c > s->hi) {
		return false;
	}
	s->need--;
	s->lo = 0x80;
	s->hi = 0xbf;
	return true;
}

static size_t ascii_run(const char *p, size_t n)
{
	uint64_t word;
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		memcpy(&word, p + i, 8);
		if (word & 0x8080808080808080u) {
			break;
		}
	}
	return i;
}

bool utf8_feed(struct utf8_state *s, struct str chunk)
{
	size_t i = 0;

	while (i < chunk.n) {
		if (s->need == 0 && (uint8_t)chunk.p[i] < 0x80) {
			size_t run = ascii_run(chunk.p + i, chunk.n - i);

			i += run ? run : 1;
		} else if (!feed_byte(s, (uint8_t)chunk.p[i++])) {
			return false;
		}
	}
	return true;
}

bool utf8_is_valid(struct str s)
{
	struct utf8_state state = {0};

	return utf8_feed(&state, s) && utf8_is_complete(&state);
}

size_t utf8_next(struct str s)
{
	struct utf8_state state = {0};

	for (size_t i = 0; i < s.n; i++) {
		if (!feed_byte(&state, (uint8_t)s.p[i])) {
			return 0;
		}
		if (utf8_is_complete(&state)) {
			return i + 1;
		}
	}
	return 0;
}

size_t utf8_put(char out[4], uint32_t c)
{
	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
		c = REPLACEMENT;
	}
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}
