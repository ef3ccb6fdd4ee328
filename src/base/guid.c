/*
 * guid - 128-bit identifiers, see guid.h
 */
#include "base/guid.h"

#include "base/arena.h"
#include "base/enc.h"
#include "base/rand.h"

static const char digits[] = "0123456789abcdef";

struct guid guid_new(void)
{
	struct guid g;

	rand_bytes(g.b, sizeof(g.b));
	g.b[6] = (uint8_t)((g.b[6] & 0x0f) | 0x40); /* RFC 9562 5.4 */
	g.b[8] = (uint8_t)((g.b[8] & 0x3f) | 0x80);
	return g;
}

static bool is_hyphen_place(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

static enum err parse_d(struct str s, struct guid *out)
{
	char hex[GUID_N_LEN];
	size_t n = 0;

	for (size_t i = 0; i < GUID_D_LEN; i++) {
		if (!is_hyphen_place(i)) {
			hex[n++] = s.p[i];
		} else if (s.p[i] != '-') {
			return ERR_INVALID;
		}
	}
	return hex_decode(str_of(hex, n), out->b, sizeof(out->b));
}

static bool is_enclosed(struct str s)
{
	return (s.p[0] == '{' && s.p[s.n - 1] == '}') || (s.p[0] == '(' && s.p[s.n - 1] == ')');
}

enum err guid_parse(struct str s, struct guid *out)
{
	switch (s.n) {
	case GUID_N_LEN:
		return hex_decode(s, out->b, sizeof(out->b));
	case GUID_D_LEN:
		return parse_d(s, out);
	case GUID_D_LEN + 2:
		return is_enclosed(s) ? parse_d(str_slice(s, 1, GUID_D_LEN), out) : ERR_INVALID;
	default:
		return ERR_INVALID;
	}
}

void guid_n(const struct guid *g, char out[GUID_N_LEN])
{
	for (size_t i = 0; i < sizeof(g->b); i++) {
		out[2 * i] = digits[g->b[i] >> 4];
		out[2 * i + 1] = digits[g->b[i] & 15];
	}
}

void guid_d(const struct guid *g, char out[GUID_D_LEN])
{
	char hex[GUID_N_LEN];
	size_t n = 0;

	guid_n(g, hex);
	for (size_t i = 0; i < GUID_D_LEN; i++) {
		out[i] = is_hyphen_place(i) ? '-' : hex[n++];
	}
}

struct str guid_d_str(struct arena *a, const struct guid *g)
{
	char *p = arena_alloc(a, GUID_D_LEN);

	guid_d(g, p);
	return str_of(p, GUID_D_LEN);
}

bool guid_eq(const struct guid *a, const struct guid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool guid_is_nil(const struct guid *g)
{
	return guid_eq(g, &(struct guid){0});
}
