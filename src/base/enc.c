/*
 * enc - hex, base64 and percent-encoding, see enc.h
 */
#include "base/enc.h"

#include "base/arena.h"
#include "base/base64_simd.h"

static const char lower_digits[] = "0123456789abcdef";
static const char upper_digits[] = "0123456789ABCDEF";

static const char alphabet_std[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Value + 1 of each character; 0 = not in the alphabet. */
#define BASE64_VALUES                                                                              \
	['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6, ['G'] = 7, ['H'] = 8,    \
	['I'] = 9, ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15,         \
	['P'] = 16, ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22,        \
	['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29,        \
	['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36,        \
	['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42, ['q'] = 43,        \
	['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50,        \
	['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56, ['4'] = 57,        \
	['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62

static const uint8_t values_std[256] = {BASE64_VALUES, ['+'] = 63, ['/'] = 64};
static const uint8_t values_url[256] = {BASE64_VALUES, ['-'] = 63, ['_'] = 64};

/* Value of a hex digit plus one; 0 = none. Every relayed request carries several GUIDs. */
static const uint8_t hex_values[256] = {
	['0'] = 1,  ['1'] = 2,	['2'] = 3,  ['3'] = 4,	['4'] = 5,  ['5'] = 6,
	['6'] = 7,  ['7'] = 8,	['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
	['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
	['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16};

static int hex_value(char c)
{
	return hex_values[(uint8_t)c] - 1;
}

void hex_encode(struct buf *out, struct str in)
{
	char *w = buf_reserve(out, 2 * in.n);

	for (size_t i = 0; i < in.n; i++) {
		*w++ = lower_digits[(uint8_t)in.p[i] >> 4];
		*w++ = lower_digits[(uint8_t)in.p[i] & 15];
	}
	buf_commit(out, 2 * in.n);
}

enum err hex_decode(struct str in, void *out, size_t out_len)
{
	uint8_t *w = out;

	if (in.n % 2 != 0 || in.n / 2 != out_len) {
		return ERR_INVALID;
	}
	for (size_t i = 0; i < in.n; i++) {
		if (hex_value(in.p[i]) < 0) {
			return ERR_INVALID;
		}
	}
	for (size_t i = 0; i < out_len; i++) {
		w[i] = (uint8_t)(hex_value(in.p[2 * i]) * 16 + hex_value(in.p[2 * i + 1]));
	}
	return ERR_OK;
}

/* Whole triples only; the rest is the caller's. */
static char *encode_triples(char *w, const uint8_t *r, size_t n, const char *alphabet)
{
	for (size_t i = 0; i < n; i++, r += 3, w += 4) {
		uint32_t v = (uint32_t)r[0] << 16 | (uint32_t)r[1] << 8 | r[2];

		w[0] = alphabet[v >> 18];
		w[1] = alphabet[v >> 12 & 63];
		w[2] = alphabet[v >> 6 & 63];
		w[3] = alphabet[v & 63];
	}
	return w;
}

/* Returns how many of the four characters written are not padding. */
static size_t encode_rest(char *w, const uint8_t *r, size_t n, const char *alphabet)
{
	uint32_t v;

	if (n == 0) {
		return 0;
	}
	v = (uint32_t)r[0] << 16 | (n == 2 ? (uint32_t)r[1] << 8 : 0);
	w[0] = alphabet[v >> 18];
	w[1] = alphabet[v >> 12 & 63];
	w[2] = n == 2 ? alphabet[v >> 6 & 63] : '=';
	w[3] = '=';
	return n + 1;
}

void base64_encode(struct buf *out, struct str in)
{
	char *w = buf_reserve(out, BASE64_LEN(in.n));
	const uint8_t *r = (const uint8_t *)in.p;

	size_t fast = base64_simd_encode(w, r, in.n / 3);

	w = encode_triples(w + fast * 4, r + fast * 3, in.n / 3 - fast, alphabet_std);
	if (in.n % 3) {
		(void)encode_rest(w, r + in.n / 3 * 3, in.n % 3, alphabet_std);
	}
	buf_commit(out, BASE64_LEN(in.n));
}

void base64url_encode(struct buf *out, struct str in)
{
	char *w = buf_reserve(out, BASE64_LEN(in.n));
	const uint8_t *r = (const uint8_t *)in.p;
	size_t rest = 0;

	w = encode_triples(w, r, in.n / 3, alphabet_url);
	if (in.n % 3) {
		rest = encode_rest(w, r + in.n / 3 * 3, in.n % 3, alphabet_url);
	}
	buf_commit(out, in.n / 3 * 4 + rest);
}

/* Whole quadruples without padding; false when a character is not in the alphabet. */
static bool decode_quads(uint8_t *w, const uint8_t *r, size_t n, const uint8_t values[256])
{
	uint32_t bad = 0;

	for (size_t i = 0; i < n; i++, r += 4, w += 3) {
		/* 0 - 1 sets the high bits: one test serves the whole input. */
		uint32_t a = values[r[0]] - 1u, b = values[r[1]] - 1u;
		uint32_t c = values[r[2]] - 1u, d = values[r[3]] - 1u;
		uint32_t v = a << 18 | b << 12 | c << 6 | d;

		bad |= a | b | c | d;
		w[0] = (uint8_t)(v >> 16);
		w[1] = (uint8_t)(v >> 8);
		w[2] = (uint8_t)v;
	}
	return bad < 64;
}

/* Two or three characters; the bits that encode nothing must be zero (RFC 4648 3.5). */
static bool decode_rest(uint8_t *w, const uint8_t *r, size_t n, const uint8_t values[256])
{
	uint32_t a = values[r[0]] - 1u, b = values[r[1]] - 1u;
	uint32_t c = n == 3 ? values[r[2]] - 1u : 0;

	if ((a | b | c) >= 64 || (n == 2 ? b & 15 : c & 3) != 0) {
		return false;
	}
	w[0] = (uint8_t)(a << 2 | b >> 4);
	if (n == 3) {
		w[1] = (uint8_t)(b << 4 | c >> 2);
	}
	return true;
}

/* `in` without padding. */
static enum err decode(struct buf *out, struct str in, const uint8_t values[256])
{
	size_t quads = in.n / 4, rest = in.n % 4, fast;
	const uint8_t *r = (const uint8_t *)in.p;
	uint8_t *w;

	if (rest == 1) {
		return ERR_INVALID;
	}
	w = (uint8_t *)buf_reserve(out, quads * 3 + 2);
	fast = values == values_std ? base64_simd_decode(w, r, quads) : 0;
	if (!decode_quads(w + fast * 3, r + fast * 4, quads - fast, values) ||
	    (rest && !decode_rest(w + quads * 3, r + quads * 4, rest, values))) {
		return ERR_INVALID;
	}
	buf_commit(out, quads * 3 + (rest ? rest - 1 : 0));
	return ERR_OK;
}

static struct str without_padding(struct str in)
{
	for (int i = 0; i < 2 && in.n > 0 && in.p[in.n - 1] == '='; i++) {
		in.n--;
	}
	return in;
}

enum err base64_decode(struct buf *out, struct str in)
{
	if (in.n % 4 != 0) {
		return ERR_INVALID;
	}
	return decode(out, without_padding(in), values_std);
}

enum err base64url_decode(struct buf *out, struct str in)
{
	struct str bare = without_padding(in);

	if (bare.n != in.n && in.n % 4 != 0) {
		return ERR_INVALID;
	}
	return decode(out, bare, values_url);
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_unreserved(char c)
{
	return is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* What the serializer of the URL standard leaves alone. */
static bool is_form_plain(char c)
{
	return is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '*';
}

static char *escape(char *w, char c)
{
	*w++ = '%';
	*w++ = upper_digits[(uint8_t)c >> 4];
	*w++ = upper_digits[(uint8_t)c & 15];
	return w;
}

void percent_encode(struct buf *out, struct str in)
{
	char *from = buf_reserve(out, 3 * in.n), *w = from;

	for (size_t i = 0; i < in.n; i++) {
		if (is_unreserved(in.p[i])) {
			*w++ = in.p[i];
		} else {
			w = escape(w, in.p[i]);
		}
	}
	buf_commit(out, (size_t)(w - from));
}

void form_encode(struct buf *out, struct str in)
{
	char *from = buf_reserve(out, 3 * in.n), *w = from;

	for (size_t i = 0; i < in.n; i++) {
		if (is_form_plain(in.p[i])) {
			*w++ = in.p[i];
		} else if (in.p[i] == ' ') {
			*w++ = '+';
		} else {
			w = escape(w, in.p[i]);
		}
	}
	buf_commit(out, (size_t)(w - from));
}

enum plus { PLUS_IS_PLUS, PLUS_IS_BLANK };

/* Takes one decoded byte off the front of `in`, which is not empty. */
static bool take_byte(struct str *in, enum plus plus, char *out)
{
	char c = in->p[0];
	size_t n = 1;

	if (c == '%') {
		int hi = in->n > 2 ? hex_value(in->p[1]) : -1;
		int lo = in->n > 2 ? hex_value(in->p[2]) : -1;

		if (hi < 0 || lo < 0) {
			return false;
		}
		c = (char)(hi << 4 | lo);
		n = 3;
	} else if (c == '+' && plus == PLUS_IS_BLANK) {
		c = ' ';
	}
	in->p += n;
	in->n -= n;
	*out = c;
	return true;
}

/* `w` has room for in.n bytes; `*out_len` is set on success only. */
static enum err unescape(struct str in, enum plus plus, char *w, size_t *out_len)
{
	size_t n = 0;

	while (in.n > 0) {
		if (!take_byte(&in, plus, &w[n])) {
			return ERR_INVALID;
		}
		n++;
	}
	*out_len = n;
	return ERR_OK;
}

static enum err unescape_to_buf(struct buf *out, struct str in, enum plus plus)
{
	size_t n;

	TRY(unescape(in, plus, buf_reserve(out, in.n), &n));
	buf_commit(out, n);
	return ERR_OK;
}

enum err percent_decode(struct buf *out, struct str in)
{
	return unescape_to_buf(out, in, PLUS_IS_PLUS);
}

enum err form_decode(struct buf *out, struct str in)
{
	return unescape_to_buf(out, in, PLUS_IS_BLANK);
}

enum fold { FOLD_NONE, FOLD_CASE };

/* Whether `raw` decodes to `name`; a broken escape matches nothing. */
static bool is_named(struct str raw, struct str name, enum fold fold)
{
	char c;

	for (size_t i = 0; i < name.n; i++) {
		if (raw.n == 0 || !take_byte(&raw, PLUS_IS_BLANK, &c)) {
			return false;
		}
		if (fold == FOLD_CASE ? ascii_lower(c) != ascii_lower(name.p[i]) : c != name.p[i]) {
			return false;
		}
	}
	return raw.n == 0;
}

static enum err form_find(struct arena *a, struct str form, struct str name, enum fold fold,
			  struct str *out)
{
	struct str pair;

	while (str_split(&form, '&', &pair)) {
		ptrdiff_t eq = str_index(pair, '=');
		struct str raw = eq < 0 ? str_skip(pair, pair.n) : str_skip(pair, (size_t)eq + 1);
		char *p;
		size_t n;

		if (!is_named(eq < 0 ? pair : str_slice(pair, 0, (size_t)eq), name, fold)) {
			continue;
		}
		p = arena_alloc(a, raw.n);
		TRY(unescape(raw, PLUS_IS_BLANK, p, &n));
		*out = str_of(p, n);
		return ERR_OK;
	}
	return ERR_NOT_FOUND;
}

enum err form_get(struct arena *a, struct str form, struct str name, struct str *out)
{
	return form_find(a, form, name, FOLD_NONE, out);
}

enum err form_get_nocase(struct arena *a, struct str form, struct str name, struct str *out)
{
	return form_find(a, form, name, FOLD_CASE, out);
}
