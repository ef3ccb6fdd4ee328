/*
 * Recursive descent over one contiguous text. Recursion is bounded by
 * JSON_DEPTH_MAX. Nodes come from small slabs, since a relay record has some
 * forty of them and one allocation each would cost more than parsing.
 */
#include "base/json.h"

#include "base/json_int.h"
#include "base/map.h"
#include "base/utf8.h"

#define SLAB_FIRST 8
#define SLAB_MAX 64
/* Up to here members are compared with each other, beyond that hashed. */
#define FEW_KEYS 32

struct reader {
	const char *begin;
	const char *p;
	const char *end;
	struct arena *arena;
	struct json *spare; /* allocated, not yet used */
	size_t n_spare;
	size_t slab; /* size of the next allocation, in nodes */
	unsigned depth;
	bool skims;
	size_t max;	     /* skims: children of the outermost */
	struct json skipped; /* skims: whatever gets no node is read to here */
	struct fault *fault;
};

/* The names seen in one object. */
struct keys {
	uint64_t seen;	 /* a bit for each hash: mostly tells "new" without comparing */
	struct map many; /* used from FEW_KEYS members on */
};

static enum err parse_value(struct reader *r, struct json *v);

static enum err fail_at(const struct reader *r, const char *p, const char *what)
{
	return fault_set(r->fault, ERR_INVALID, "%s at byte %zu", what, (size_t)(p - r->begin));
}

static enum err fail(const struct reader *r, const char *what)
{
	return fail_at(r, r->p, r->p == r->end ? "unexpected end of JSON" : what);
}

static struct json *node_new(struct reader *r)
{
	if (r->n_spare == 0) {
		r->spare = (struct json *)arena_alloc(r->arena, sizeof(struct json) * r->slab);
		r->n_spare = r->slab;
		r->slab = MIN(r->slab * 2, (size_t)SLAB_MAX);
	}
	struct json *v = r->spare++;

	r->n_spare--;
	*v = (struct json){0};
	return v;
}

static inline void skip_blanks(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t')) {
		r->p++;
	}
}

/* Takes `c` if it comes next. */
static inline bool accept(struct reader *r, char c)
{
	if (r->p == r->end || *r->p != c) {
		return false;
	}
	r->p++;
	return true;
}

/* -- strings ---------------------------------------------------------------- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits of \uXXXX. */
static bool hex4(const char *p, const char *end, uint32_t *out)
{
	uint32_t u = 0;

	if (end - p < 4) {
		return false;
	}
	for (int i = 0; i < 4; i++) {
		int h = hex_value(p[i]);

		if (h < 0) {
			return false;
		}
		u = u << 4 | (uint32_t)h;
	}
	*out = u;
	return true;
}

/* `*p` is behind "\u"; a pair of surrogates is one character, a lone one U+FFFD. */
static bool unescape_unicode(const char **p, const char *end, char **to)
{
	uint32_t u;
	uint32_t low;

	if (!hex4(*p, end, &u)) {
		return false;
	}
	*p += 4;
	if (u >= 0xd800 && u <= 0xdbff && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u' &&
	    hex4(*p + 2, end, &low) && low >= 0xdc00 && low <= 0xdfff) {
		*p += 6;
		u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
	}
	if (u >= 0xd800 && u <= 0xdfff) {
		u = 0xfffd;
	}
	*to += utf8_put(*to, u);
	return true;
}

/* `*p` is behind the backslash. */
static bool unescape_one(const char **p, const char *end, char **to)
{
	static const char from[] = "\"\\/bfnrt";
	static const char into[] = "\"\\/\b\f\n\r\t";
	const char c = *(*p)++;

	if (c == 'u') {
		return unescape_unicode(p, end, to);
	}
	const char *at = (const char *)memchr(from, c, sizeof(from) - 1);

	if (!at) {
		return false;
	}
	*(*to)++ = into[at - from];
	return true;
}

/* No escape is shorter than what it stands for (\uXXXX: six bytes for up to three). */
static enum err unescape(struct reader *r, struct str raw, struct str *out)
{
	char *text = (char *)arena_alloc(r->arena, raw.n);
	char *to = text;
	const char *p = raw.p;
	const char *end = raw.p + raw.n;

	while (p < end) {
		const char *slash = (const char *)memchr(p, '\\', (size_t)(end - p));
		size_t plain = (size_t)((slash ? slash : end) - p);

		memcpy(to, p, plain);
		to += plain;
		if (!slash) {
			break;
		}
		p = slash + 1;
		if (!unescape_one(&p, end, &to)) {
			return fail_at(r, slash, "invalid escape");
		}
	}
	*out = str_of(text, (size_t)(to - text));
	return ERR_OK;
}

/* `p` is on the opening quote. */
static enum err parse_string(struct reader *r, struct str *out)
{
	const char *start = r->p + 1;
	const char *p = start;
	bool high = false;
	bool escaped = false;

	while ((p = json_scan(p, r->end, &high)) < r->end && *p == '\\' && r->end - p >= 2) {
		escaped = true;
		p += 2;
	}
	if (p == r->end || *p == '\\') {
		return fail_at(r, r->p, "unterminated string");
	}
	if (*p != '"') {
		return fail_at(r, p, "control character in a string");
	}
	struct str raw = str_of(start, (size_t)(p - start));

	if (high && !utf8_is_valid(raw)) {
		return fail_at(r, r->p, "invalid UTF-8 in the string");
	}
	r->p = p + 1;
	if (escaped) {
		return unescape(r, raw, out);
	}
	*out = raw;
	return ERR_OK;
}

/* -- numbers and words ------------------------------------------------------ */

static bool skip_digits(struct reader *r)
{
	const char *start = r->p;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '9') {
		r->p++;
	}
	return r->p > start;
}

static enum err parse_number(struct reader *r, struct json *v)
{
	const char *start = r->p;

	(void)accept(r, '-');
	if (!accept(r, '0') && !skip_digits(r)) {
		return fail(r, "unexpected character");
	}
	if (accept(r, '.') && !skip_digits(r)) {
		return fail(r, "digit expected");
	}
	if (accept(r, 'e') || accept(r, 'E')) {
		if (!accept(r, '+')) {
			(void)accept(r, '-');
		}
		if (!skip_digits(r)) {
			return fail(r, "digit expected");
		}
	}
	v->type = JSON_NUMBER;
	v->text = str_of(start, (size_t)(r->p - start));
	return ERR_OK;
}

static enum err parse_word(struct reader *r, struct str word)
{
	if (!str_starts(str_of(r->p, (size_t)(r->end - r->p)), word)) {
		return fail(r, "unexpected character");
	}
	r->p += word.n;
	return ERR_OK;
}

static enum err parse_bool(struct reader *r, struct json *v, bool value)
{
	v->type = JSON_BOOL;
	v->boolean = value;
	return parse_word(r, value ? STR("true") : STR("false"));
}

/* -- containers ------------------------------------------------------------- */

/* Where the next child of `parent` is read to; NULL: it is one too many. */
static inline struct json *child_new(struct reader *r, const struct json *parent)
{
	bool is_skipped = parent == &r->skipped;

	if (!r->skims || (r->depth == 2 && parent->n == 0 && !is_skipped)) {
		return node_new(r);
	}
	if (r->depth > 1 || parent->type == JSON_ARRAY) {
		return &r->skipped;
	}
	return parent->n < r->max ? node_new(r) : NULL;
}

static enum err fail_of_many(const struct reader *r)
{
	return fail_at(r, r->p, "too many members");
}

static enum err parse_elements(struct reader *r, struct json *array)
{
	struct json **tail = &array->child;

	skip_blanks(r);
	if (accept(r, ']')) {
		return ERR_OK;
	}
	do {
		struct json *v = child_new(r, array);

		if (!v) {
			return fail_of_many(r);
		}
		TRY(parse_value(r, v));
		if (v != &r->skipped) {
			*tail = v;
			tail = &v->next;
		}
		array->n++;
		skip_blanks(r);
	} while (accept(r, ','));
	return accept(r, ']') ? ERR_OK : fail(r, "',' or ']' expected");
}

/* Cheap and guessable: it only decides whether to compare, at most FEW_KEYS times. */
static inline uint64_t key_bit(struct str key)
{
	size_t h = key.n;

	if (key.n > 0) {
		h += (unsigned char)key.p[0] * 5u + (unsigned char)key.p[key.n - 1] * 11u +
		     (unsigned char)key.p[key.n / 2] * 3u;
	}
	return (uint64_t)1 << (h % 64);
}

static bool is_new_among_few(struct keys *keys, const struct json *obj, struct str key)
{
	uint64_t bit = key_bit(key);

	if (!(keys->seen & bit)) {
		keys->seen |= bit;
		return true;
	}
	return json_get(obj, key) == NULL;
}

/* Must be asked before each member is added. */
static bool key_is_new(struct keys *keys, struct json *obj, struct str key)
{
	if (obj->n < FEW_KEYS) {
		return is_new_among_few(keys, obj, key);
	}
	if (obj->n == FEW_KEYS) {
		for (struct json *m = obj->child; m; m = m->next) {
			(void)map_set(&keys->many, m->key, m);
		}
	}
	return map_set(&keys->many, key, obj) == NULL;
}

static enum err parse_member(struct reader *r, struct json *obj, struct keys *keys, struct json *v)
{
	const char *at = r->p;

	if (at == r->end || *at != '"') {
		return fail(r, "name expected");
	}
	TRY(parse_string(r, &v->key));
	if ((!r->skims || r->depth == 1) && !key_is_new(keys, obj, v->key)) {
		return fail_at(r, at, "duplicate name");
	}
	skip_blanks(r);
	if (!accept(r, ':')) {
		return fail(r, "':' expected");
	}
	return parse_value(r, v);
}

static enum err parse_members(struct reader *r, struct json *obj, struct keys *keys)
{
	struct json **tail = &obj->child;

	skip_blanks(r);
	if (accept(r, '}')) {
		return ERR_OK;
	}
	do {
		struct json *v = child_new(r, obj);

		if (!v) {
			return fail_of_many(r);
		}
		skip_blanks(r);
		TRY(parse_member(r, obj, keys, v));
		if (v != &r->skipped) {
			*tail = v;
			tail = &v->next;
		}
		obj->n++;
		skip_blanks(r);
	} while (accept(r, ','));
	return accept(r, '}') ? ERR_OK : fail(r, "',' or '}' expected");
}

static enum err parse_container(struct reader *r, struct json *v)
{
	const char *start = r->p;
	enum err e;

	if (r->depth == JSON_DEPTH_MAX) {
		return fail(r, "nested too deep");
	}
	r->depth++;
	if (*r->p++ == '[') {
		v->type = JSON_ARRAY;
		e = parse_elements(r, v);
	} else {
		struct keys keys = {0};

		v->type = JSON_OBJECT;
		e = parse_members(r, v, &keys);
		if (keys.many.cap) {
			map_free(&keys.many);
		}
	}
	r->depth--;
	if (r->skims && (r->depth > 0 || v->type == JSON_ARRAY)) {
		v->text = str_of(start, (size_t)(r->p - start));
	}
	return e;
}

static enum err parse_value(struct reader *r, struct json *v)
{
	skip_blanks(r);
	switch (r->p < r->end ? *r->p : '\0') {
	case '"':
		v->type = JSON_STRING;
		return parse_string(r, &v->text);
	case '{':
	case '[':
		return parse_container(r, v);
	case 't':
		return parse_bool(r, v, true);
	case 'f':
		return parse_bool(r, v, false);
	case 'n':
		return parse_word(r, STR("null"));
	default:
		return parse_number(r, v);
	}
}

static struct reader reader_of(struct arena *a, struct str text, struct fault *f)
{
	/* Empty but not NULL, so that pointer arithmetic is defined. */
	const char *p = text.p ? text.p : "";

	return (struct reader){
		.begin = p, .p = p, .end = p + text.n, .arena = a, .slab = SLAB_FIRST, .fault = f};
}

static enum err parse_text(struct reader *r, struct json **out)
{
	struct json *root = node_new(r);

	TRY(parse_value(r, root));
	skip_blanks(r);
	if (r->p < r->end) {
		return fail(r, "unexpected text after the value");
	}
	*out = root;
	return ERR_OK;
}

enum err json_parse(struct arena *a, struct str text, struct json **out, struct fault *f)
{
	struct reader r = reader_of(a, text, f);

	return parse_text(&r, out);
}

enum err json_skim(struct arena *a, struct str text, size_t max, struct json **out, struct fault *f)
{
	struct reader r = reader_of(a, text, f);

	r.skims = true;
	r.max = max;
	return parse_text(&r, out);
}

/* -- access ----------------------------------------------------------------- */

const struct json *json_get(const struct json *obj, struct str key)
{
	if (obj && obj->type == JSON_OBJECT) {
		for (const struct json *m = obj->child; m; m = m->next) {
			if (str_eq(m->key, key)) {
				return m;
			}
		}
	}
	return NULL;
}

const struct json *json_get_nocase(const struct json *obj, struct str key)
{
	if (obj && obj->type == JSON_OBJECT) {
		for (const struct json *m = obj->child; m; m = m->next) {
			if (str_eq_nocase(m->key, key)) {
				return m;
			}
		}
	}
	return NULL;
}

bool json_is_null(const struct json *v)
{
	return !v || v->type == JSON_NULL;
}

struct str json_str(const struct json *v)
{
	return v && v->type == JSON_STRING ? v->text : STR_NULL;
}

struct str json_get_str(const struct json *obj, const char *key)
{
	return json_str(json_get(obj, str_c(key)));
}

bool json_bool(const struct json *v)
{
	return v && v->type == JSON_BOOL && v->boolean;
}

bool json_int(const struct json *v, int64_t *out)
{
	return v && v->type == JSON_NUMBER && str_to_i64(v->text, out);
}
