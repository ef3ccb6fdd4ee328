/*
 * path - see path.h
 *
 * Almost every path is canonical already. A scan of 16 bytes at a time proves that for
 * most; only a path with an escape, a backslash, "//", "/." or a byte outside visible
 * ASCII is decoded, resolved and looked at with the eyes of more generous servers.
 */
#include "gateway/path.h"

#include "http/chars.h"

/* How often a server behind might decode again what is left of an escape. */
#define DECODE_AGAIN_MAX 3

enum {
	BYTE_STOP = 1 << 0,	/* not simply copied by path_normalize */
	BYTE_RESERVED = 1 << 1, /* stays an escape */
	BYTE_ESCAPE = 1 << 2,	/* path_escape writes it as an escape */
	BYTE_REFUSE = 1 << 3,	/* never raw */
};

/* clang-format off */
static const uint8_t byte_class[128] = {
	['\0' ... ' '] = BYTE_STOP | BYTE_ESCAPE | BYTE_REFUSE,
	['\x7f'] = BYTE_STOP | BYTE_ESCAPE | BYTE_REFUSE,
	['%'] = BYTE_STOP | BYTE_RESERVED,
	['\\'] = BYTE_STOP | BYTE_ESCAPE,
	['?'] = BYTE_STOP | BYTE_RESERVED | BYTE_REFUSE,
	['#'] = BYTE_STOP | BYTE_RESERVED | BYTE_REFUSE,
	['!'] = BYTE_RESERVED, ['*'] = BYTE_RESERVED, ['\''] = BYTE_RESERVED,
	['('] = BYTE_RESERVED, [')'] = BYTE_RESERVED, [';'] = BYTE_RESERVED,
	[':'] = BYTE_RESERVED, ['@'] = BYTE_RESERVED, ['&'] = BYTE_RESERVED,
	['='] = BYTE_RESERVED, ['+'] = BYTE_RESERVED, ['$'] = BYTE_RESERVED,
	[','] = BYTE_RESERVED, ['/'] = BYTE_RESERVED, ['['] = BYTE_RESERVED,
	[']'] = BYTE_RESERVED,
	['"'] = BYTE_ESCAPE, ['<'] = BYTE_ESCAPE, ['>'] = BYTE_ESCAPE, ['^'] = BYTE_ESCAPE,
	['`'] = BYTE_ESCAPE, ['{'] = BYTE_ESCAPE, ['|'] = BYTE_ESCAPE, ['}'] = BYTE_ESCAPE,
};
/* clang-format on */

static const char hex_upper[] = "0123456789ABCDEF";

static bool byte_is(char c, int classes)
{
	uint8_t b = (uint8_t)c;

	return b < 0x80 ? (byte_class[b] & classes) != 0
			: (classes & (BYTE_STOP | BYTE_ESCAPE)) != 0;
}

/* What behind a slash may need a change or a refusal. */
static bool is_second(char c)
{
	return c == '/' || c == '.' || c == ';';
}

#ifdef __SSE2__
/* Bit i for a byte of the block that is a BYTE_STOP, or one that is_second after '/'. */
static unsigned block_stops(const char *p, unsigned *slash_before)
{
	__m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
	/* As signed bytes those from 0x80 on are below the blank too. */
	__m128i stop = _mm_cmplt_epi8(x, _mm_set1_epi8(0x21));
	__m128i slash = _mm_cmpeq_epi8(x, _mm_set1_epi8('/'));
	unsigned slashes = (unsigned)_mm_movemask_epi8(slash), seconds;

	stop = _mm_or_si128(stop, _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f)));
	stop = _mm_or_si128(stop, _mm_cmpeq_epi8(x, _mm_set1_epi8('%')));
	stop = _mm_or_si128(stop, _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
	stop = _mm_or_si128(stop, _mm_cmpeq_epi8(x, _mm_set1_epi8('?')));
	stop = _mm_or_si128(stop, _mm_cmpeq_epi8(x, _mm_set1_epi8('#')));
	seconds = slashes |
		  (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('.')),
							   _mm_cmpeq_epi8(x, _mm_set1_epi8(';'))));
	seconds &= slashes << 1 | *slash_before;
	*slash_before = slashes >> 15;
	return (unsigned)_mm_movemask_epi8(stop) | seconds;
}
#endif

#ifdef __SSE2__
static bool block_has_escape(const char *p)
{
	__m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i hit = _mm_cmplt_epi8(x, _mm_set1_epi8(0x21));

	hit = _mm_or_si128(hit, _mm_cmpeq_epi8(x, _mm_set1_epi8('"')));
	hit = _mm_or_si128(hit, _mm_cmpeq_epi8(x, _mm_set1_epi8('<')));
	hit = _mm_or_si128(hit, _mm_cmpeq_epi8(x, _mm_set1_epi8('>')));
	hit = _mm_or_si128(hit, _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
	hit = _mm_or_si128(hit, _mm_cmpeq_epi8(x, _mm_set1_epi8('^')));
	hit = _mm_or_si128(hit, _mm_cmpeq_epi8(x, _mm_set1_epi8('`')));
	/* '{' and '|' and '}' and DEL, with '~' between them. */
	hit = _mm_or_si128(hit, _mm_andnot_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('~')),
						 _mm_cmpgt_epi8(x, _mm_set1_epi8('z'))));
	return _mm_movemask_epi8(hit) != 0;
}
#endif

static bool has_escape(struct str s)
{
	size_t i = 0;

#ifdef __SSE2__
	for (; i + 16 <= s.n; i += 16) {
		if (block_has_escape(s.p + i)) {
			return true;
		}
	}
	if (s.n >= 16) {
		return i < s.n && block_has_escape(s.p + s.n - 16);
	}
#endif
	for (; i < s.n; i++) {
		if (byte_is(s.p[i], BYTE_ESCAPE)) {
			return true;
		}
	}
	return false;
}

static bool starts_with_slash(struct str s)
{
	return s.n > 0 && s.p[0] == '/';
}

/* Whether nothing in the path (which begins with '/') can need a change or a refusal. */
static bool is_plain(struct str s)
{
	size_t i = 0;
	bool slash = false;

#ifdef __SSE2__
	unsigned slash_before = 0;

	for (; i + 16 <= s.n; i += 16) {
		if (block_stops(s.p + i, &slash_before)) {
			return false;
		}
	}
	if (s.n >= 16) {
		/* The rest with the bytes before it: a block that overlaps. */
		slash_before = 0;
		return i == s.n || !block_stops(s.p + s.n - 16, &slash_before);
	}
#endif
	for (; i < s.n; i++) {
		char c = s.p[i];

		if (byte_is(c, BYTE_STOP) || (slash && is_second(c))) {
			return false;
		}
		slash = c == '/';
	}
	return true;
}

static bool escape_value(struct str s, size_t i, unsigned *out)
{
	if (s.n - i < 3 || !char_is(s.p[i + 1], CHAR_HEX) || !char_is(s.p[i + 2], CHAR_HEX)) {
		return false;
	}
	*out = char_hex(s.p[i + 1]) << 4 | char_hex(s.p[i + 2]);
	return true;
}

/* Escapes but the reserved ones decoded into `to`, which has room for raw.n bytes. */
static bool decode(struct str raw, char *to, size_t *out_n)
{
	size_t n = 0;

	for (size_t i = 0; i < raw.n; i++) {
		unsigned v;

		if (raw.p[i] != '%') {
			if (byte_is(raw.p[i], BYTE_REFUSE)) {
				return false;
			}
			to[n++] = raw.p[i];
			continue;
		}
		if (!escape_value(raw, i, &v) || v < 0x20 || v == 0x7f) {
			return false;
		}
		if (byte_is((char)v, BYTE_RESERVED)) {
			to[n++] = '%';
			to[n++] = hex_upper[v >> 4];
			to[n++] = hex_upper[v & 15];
		} else {
			to[n++] = (char)v;
		}
		i += 2;
	}
	*out_n = n;
	return true;
}

/* "//" merged, dot segments resolved, in place; p[0] is '/'. Gives the new length. */
static size_t resolve(char *p, size_t n)
{
	size_t to = 0; /* p[0..to) is done and ends with its last '/' */

	p[to++] = '/';
	for (size_t i = 1; i < n;) {
		const char *slash = memchr(p + i, '/', n - i);
		size_t end = slash ? (size_t)(slash - p) : n, len = end - i;

		if (len == 2 && p[i] == '.' && p[i + 1] == '.') {
			while (to > 1 && p[--to - 1] != '/') {
			}
		} else if (len > 0 && !(len == 1 && p[i] == '.')) {
			memmove(p + to, p + i, len);
			to += len;
			if (slash) {
				p[to++] = '/';
			}
		}
		i = end + 1;
	}
	return to;
}

static bool is_continuation(char c)
{
	return ((uint8_t)c & 0xc0) == 0x80;
}

/* A sequence that is longer than its character needs; what only looks like Latin-1 is none. */
static bool has_overlong(struct str s)
{
	for (size_t i = 0; i + 1 < s.n; i++) {
		uint8_t lead = (uint8_t)s.p[i], next = (uint8_t)s.p[i + 1];

		if (lead >= 0xc0 && is_continuation((char)next) &&
		    (lead <= 0xc1 || (lead == 0xe0 && next < 0xa0) ||
		     (lead == 0xf0 && next < 0x90))) {
			return true;
		}
	}
	return false;
}

/* To servers with parameters of segments, or that decode before they look for the query. */
static bool ends_segment(char c)
{
	return c == ';' || c == '?' || c == '#' || c == '\0';
}

/* As a server sees it that takes '\' for '/' and drops, as Windows does, blanks at the end. */
static bool has_dot_segment(struct str s)
{
	for (size_t i = 0, len; i <= s.n; i += len + 1) {
		size_t dots = 0, end;

		for (len = 0; i + len < s.n && s.p[i + len] != '/' && s.p[i + len] != '\\';) {
			len++;
		}
		while (dots < len && s.p[i + dots] == '.') {
			dots++;
		}
		end = dots;
		while (end < len && s.p[i + end] == ' ') {
			end++;
		}
		if ((dots == 1 || dots == 2) && (end == len || ends_segment(s.p[i + end]))) {
			return true;
		}
	}
	return false;
}

/*
 * A segment of parameters alone, and one behind it. Servers that drop those are left with two
 * slashes, which they merge: /;/admin is /admin to them.
 */
static bool has_empty_segment(struct str s)
{
	ptrdiff_t at;

	while ((at = str_find(s, STR("/;"))) >= 0) {
		s = str_skip(s, (size_t)at + 1);
		if (str_index(s, '/') >= 0) {
			return true;
		}
	}
	return false;
}

/* Every escape decoded, in place; broken ones stay. Whether any was there. */
static bool decode_again(char *p, size_t *n)
{
	size_t to = 0;

	for (size_t i = 0; i < *n; i++) {
		unsigned v;

		if (p[i] == '%' && escape_value(str_of(p, *n), i, &v)) {
			p[to++] = (char)v;
			i += 2;
		} else {
			p[to++] = p[i];
		}
	}
	if (to == *n) {
		return false;
	}
	*n = to;
	return true;
}

typedef bool reads_otherwise_fn(struct str s);

/* Whether it is so of a resolved path, or to a server that decodes it once more. */
static bool hides(struct arena *a, struct str s, reads_otherwise_fn *is_so)
{
	char *p;

	if (is_so(s)) {
		return true;
	}
	if (str_index(s, '%') < 0) {
		return false;
	}
	p = arena_alloc(a, s.n);
	memcpy(p, s.p, s.n);
	for (int i = 0; i < DECODE_AGAIN_MAX && decode_again(p, &s.n); i++) {
		s.p = p;
		if (is_so(s)) {
			return true;
		}
	}
	return false;
}

static bool climbs(struct str s)
{
	return has_overlong(s) || has_dot_segment(s);
}

static bool climbs_or_jumps(struct str s)
{
	return climbs(s) || has_empty_segment(s);
}

bool path_normalize(struct arena *a, struct str raw, struct str *out)
{
	char *p;
	size_t n;
	struct str done;

	if (raw.n == 0) {
		*out = STR("/");
		return true;
	}
	if (raw.p[0] != '/') {
		return false;
	}
	if (is_plain(raw)) {
		*out = raw;
		return true;
	}
	p = arena_alloc(a, raw.n);
	if (!decode(raw, p, &n)) {
		return false;
	}
	done = str_of(p, resolve(p, n));
	if (hides(a, done, climbs_or_jumps)) {
		return false;
	}
	*out = str_eq(done, raw) ? raw : done;
	return true;
}

bool path_is_straight(struct arena *a, struct str path)
{
	char *p;
	size_t n;

	if (!starts_with_slash(path)) {
		return false;
	}
	if (is_plain(path)) {
		return true;
	}
	p = arena_alloc(a, path.n);
	return decode(path, p, &n) && !hides(a, str_of(p, n), climbs);
}

struct str path_escape(struct arena *a, struct str path)
{
	size_t n = 0;
	char *p;

	if (!has_escape(path)) {
		return path;
	}
	p = arena_alloc(a, path.n * 3);
	for (size_t i = 0; i < path.n; i++) {
		uint8_t c = (uint8_t)path.p[i];

		if (byte_is(path.p[i], BYTE_ESCAPE)) {
			p[n++] = '%';
			p[n++] = hex_upper[c >> 4];
			p[n++] = hex_upper[c & 15];
		} else {
			p[n++] = path.p[i];
		}
	}
	return str_of(p, n);
}

static struct str join(struct arena *a, struct str x, struct str middle, struct str y)
{
	char *p = arena_alloc(a, x.n + middle.n + y.n);

	memcpy(p, x.p, x.n);
	memcpy(p + x.n, middle.p, middle.n);
	if (y.n > 0) {
		memcpy(p + x.n + middle.n, y.p, y.n);
	}
	return str_of(p, x.n + middle.n + y.n);
}

/* '/', '\' and their escapes: what a server may take for the end of a segment. Its length. */
static size_t separator_at(struct str s, size_t i)
{
	struct str three = str_slice(s, i, 3);

	if (i < s.n && (s.p[i] == '/' || s.p[i] == '\\')) {
		return 1;
	}
	return str_eq_nocase(three, STR("%2F")) || str_eq_nocase(three, STR("%5C")) ? 3 : 0;
}

/*
 * Cutting "/a" off "/a../b" would leave "../b" to climb out of the base. The dots go, and
 * what parameters they carry, and the separator behind them.
 */
static struct str without_leading_dots(struct str s)
{
	for (;;) {
		size_t dots = 0, end;

		while (dots < s.n && s.p[dots] == '.') {
			dots++;
		}
		end = dots;
		if (str_starts(str_skip(s, dots), STR(";")) ||
		    str_starts(str_skip(s, dots), STR("%3B"))) {
			while (end < s.n && separator_at(s, end) == 0) {
				end++;
			}
		}
		if (dots == 0 || dots > 2 || (end < s.n && separator_at(s, end) == 0)) {
			return s;
		}
		s = str_skip(s, end + separator_at(s, end));
	}
}

bool path_may_strip(struct arena *a, struct str path, size_t matched)
{
	struct str rest = without_leading_dots(str_skip(path, matched)), whole;

	if (rest.n == 0 || rest.p[0] == '/') {
		return true;
	}
	whole = str_fmt(a, "/%.*s", STR_ARG(rest));
	return !hides(a, whole, climbs_or_jumps);
}

static bool ends_in_slash(struct str s)
{
	return s.n > 0 && s.p[s.n - 1] == '/';
}

static struct str base_and_whole(struct arena *a, struct str base, struct str path)
{
	if (ends_in_slash(base)) {
		return base.n == 1 ? path : join(a, base, STR(""), str_skip(path, 1));
	}
	return str_eq(path, STR("/")) ? base : join(a, base, STR(""), path);
}

static struct str base_and_nothing(struct arena *a, struct str base, struct str path)
{
	if (ends_in_slash(base)) {
		return base.n == 1 || ends_in_slash(path) ? base : str_slice(base, 0, base.n - 1);
	}
	return path.n > 1 && ends_in_slash(path) ? join(a, base, STR("/"), STR_NULL) : base;
}

static struct str base_and_rest(struct arena *a, struct str base, struct str rest)
{
	bool slash = starts_with_slash(rest);

	if (ends_in_slash(base) && slash) {
		return base.n == 1 ? rest : join(a, base, STR(""), str_skip(rest, 1));
	}
	return join(a, base, ends_in_slash(base) || slash ? STR("") : STR("/"), rest);
}

struct str path_upstream(struct arena *a, struct str base, struct str path, size_t matched,
			 bool strip)
{
	struct str rest = strip ? without_leading_dots(str_skip(path, matched)) : STR_NULL;

	if (!strip) {
		return base_and_whole(a, base, path);
	}
	return rest.n == 0 ? base_and_nothing(a, base, path) : base_and_rest(a, base, rest);
}
