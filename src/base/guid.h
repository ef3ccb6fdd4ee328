/*
 * guid - 128-bit identifiers in the formats of .NET
 *
 * D = 36 characters lower case with hyphens, N = 32 hex digits.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct guid {
	uint8_t b[16]; /* in the order of the hex digits */
};

#define GUID_D_LEN 36
#define GUID_N_LEN 32

/* Random, version 4. */
struct guid guid_new(void);
/* N, D, {D} or (D), any case. */
enum err guid_parse(struct str s, struct guid *out) MUST_USE;
void guid_d(const struct guid *g, char out[GUID_D_LEN]); /* no NUL */
void guid_n(const struct guid *g, char out[GUID_N_LEN]); /* no NUL */
struct str guid_d_str(struct arena *a, const struct guid *g);
/* The 16 bytes, as keys of maps are. */
static inline struct str guid_bytes(const struct guid *g)
{
	return str_of(g->b, sizeof(g->b));
}
bool guid_eq(const struct guid *a, const struct guid *b);
/* All zeros (RFC 9562 5.9): no identifier, but what stands for none. */
bool guid_is_nil(const struct guid *g);
