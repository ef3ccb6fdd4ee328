/*
 * enc - hex, base64 (RFC 4648 4 and 5) and percent-encoding (RFC 3986 2.1)
 *
 * Encoders append to a buf; decoders are strict and write only on success.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

void hex_encode(struct buf *out, struct str in);
enum err hex_decode(struct str in, void *out, size_t out_len) MUST_USE;

#define BASE64_LEN(n) (((size_t)(n) + 2) / 3 * 4)
/* With padding. */
void base64_encode(struct buf *out, struct str in);
/* Padding required; line breaks and other characters refused. */
enum err base64_decode(struct buf *out, struct str in) MUST_USE;
/* URL alphabet, no padding. */
void base64url_encode(struct buf *out, struct str in);
/* Padding optional. */
enum err base64url_decode(struct buf *out, struct str in) MUST_USE;

/* Everything but unreserved characters. */
void percent_encode(struct buf *out, struct str in);
/* "%2F" and the like; a broken escape or (unless form) nothing else fails. */
enum err percent_decode(struct buf *out, struct str in) MUST_USE;
/* application/x-www-form-urlencoded: also '+' to blank. */
enum err form_decode(struct buf *out, struct str in) MUST_USE;
void form_encode(struct buf *out, struct str in);
/*
 * Value of `name` in "a=1&b=2", decoded into the arena. ERR_NOT_FOUND when
 * absent, ERR_INVALID when badly escaped.
 */
enum err form_get(struct arena *a, struct str form, struct str name, struct str *out) MUST_USE;
enum err form_get_nocase(struct arena *a, struct str form, struct str name,
			 struct str *out) MUST_USE;
