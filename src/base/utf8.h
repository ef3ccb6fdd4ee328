/*
 * utf8 - validation (RFC 3629: no surrogates, no overlong forms), resumable
 */
#pragma once
#include "base/str.h"

struct utf8_state {
	uint8_t need;	/* continuation bytes still expected */
	uint8_t lo, hi; /* bounds of the next one */
};

/* False as soon as the input cannot become valid. Start with a zero state. */
bool utf8_feed(struct utf8_state *s, struct str chunk);
/* Whether the input so far ends on a character. */
static inline bool utf8_is_complete(const struct utf8_state *s)
{
	return s->need == 0;
}

bool utf8_is_valid(struct str s);
/* Length of the valid character at the front (1 to 4); 0 when there is none. */
size_t utf8_next(struct str s);
/*
 * Writes code point `c` encoded; returns its length (1 to 4). Surrogates and
 * numbers beyond U+10FFFF become U+FFFD.
 */
size_t utf8_put(char out[4], uint32_t c);
