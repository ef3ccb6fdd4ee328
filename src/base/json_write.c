#include "base/json.h"
#include "base/json_int.h"
#include "base/utf8.h"

/*
 * Every token is written as: begin, fill, end. One reservation a token, as there
 * are a hundred in a relay record. The state is one bit: what follows an opening
 * bracket or a key needs no comma.
 */

/* Room for `n` bytes, behind the comma if one is due. */
static inline char *begin(struct json_writer *w, size_t n)
{
	char *to = buf_reserve(w->out, n + 1);

	if (w->comma) {
		*to++ = ',';
	}
	return to;
}

/* `to` is where writing stopped. */
static inline void end(struct json_writer *w, const char *to, bool comma)
{
	buf_commit(w->out, (size_t)(to - buf_head(w->out)) - w->out->n);
	w->comma = comma;
}

static void open_with(struct json_writer *w, char bracket)
{
	char *to = begin(w, 1);

	*to++ = bracket;
	end(w, to, false);
}

static void close_with(struct json_writer *w, char bracket)
{
	buf_putc(w->out, bracket);
	w->comma = true;
}

void json_begin_object(struct json_writer *w)
{
	open_with(w, '{');
}

void json_end_object(struct json_writer *w)
{
	close_with(w, '}');
}

void json_begin_array(struct json_writer *w)
{
	open_with(w, '[');
}

void json_end_array(struct json_writer *w)
{
	close_with(w, ']');
}

static void put_escape(struct buf *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char letters[0x20] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
	char seq[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

	if (c < 0x20 && !letters[c]) {
		buf_append(out, seq, sizeof(seq));
		return;
	}
	seq[1] = c < 0x20 ? letters[c] : (char)c;
	buf_append(out, seq, 2);
}

/* Length of the character at the start of `s`, 0 when it is broken. */
static size_t char_len(struct str s)
{
	for (size_t n = 1; n <= 4 && n <= s.n; n++) {
		if (utf8_is_valid(str_of(s.p, n))) {
			return n;
		}
	}
	return 0;
}

/* A run without specials but with at least one broken character: rare, so slow. */
static void put_repaired(struct buf *out, struct str s)
{
	while (s.n > 0) {
		size_t n = char_len(s);

		if (n == 0) {
			buf_puts(out, "\xef\xbf\xbd");
			n = 1;
		} else {
			buf_append(out, s.p, n);
		}
		s = str_skip(s, n);
	}
}

static void put_run(struct buf *out, struct str run, bool high)
{
	if (high && !utf8_is_valid(run)) {
		put_repaired(out, run);
		return;
	}
	buf_put(out, run);
}

static void quote_slowly(struct buf *out, const char *p, const char *stop)
{
	buf_putc(out, '"');
	while (p < stop) {
		bool high = false;
		const char *at = json_scan(p, stop, &high);

		put_run(out, str_of(p, (size_t)(at - p)), high);
		if (at < stop) {
			put_escape(out, (unsigned char)*at++);
		}
		p = at;
	}
	buf_putc(out, '"');
}

/* Almost every string is plain ASCII: copied as such. */
static ALWAYS_INLINE char *put_plain(char *to, struct str s)
{
	byte_marks unusual = {0};

	*to++ = '"';
	to = str_copy_marking(to, s, json_mark_unusual, &unusual);
	*to++ = '"';
	return UNLIKELY(marks_any(unusual)) ? NULL : to;
}

char *json_put_plain(char *to, struct str s)
{
	return put_plain(to, s);
}

/* What turns out not to be plain is done anew. */
static ALWAYS_INLINE void quote(struct buf *out, bool comma, struct str s)
{
	char *from = buf_reserve(out, s.n + 3), *to = from;

	if (comma) {
		*to++ = ',';
	}
	to = put_plain(to, s);
	if (!to) {
		buf_commit(out, comma);
		quote_slowly(out, s.p, s.p + s.n); /* over what is not committed */
		return;
	}
	buf_commit(out, (size_t)(to - from));
}

void json_quote(struct buf *out, struct str s)
{
	quote(out, false, s);
}

static void put_quoted(struct json_writer *w, struct str s)
{
	quote(w->out, w->comma, s);
	w->comma = true;
}

void json_key(struct json_writer *w, struct str key)
{
	put_quoted(w, key);
	buf_putc(w->out, ':');
	w->comma = false;
}

void json_put_str(struct json_writer *w, struct str s)
{
	put_quoted(w, s);
}

void json_put_str_or_null(struct json_writer *w, struct str s)
{
	if (s.p) {
		json_put_str(w, s);
	} else {
		json_put_null(w);
	}
}

#define NUMBER_MAX (20 + 1) /* the longest, and the sign that it cannot have */

/* `to` has room for NUMBER_MAX, and something may be written to all of it. */
static inline char *put_number(char *to, int64_t v)
{
	char digits[40] = {0}, *end_of = digits + 20, *from;

	if (v >= 0 && v < 10) {
		*to = (char)('0' + v); /* as most are */
		return to + 1;
	}
	from = str_put_digits(end_of, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
	if (v < 0) {
		*to++ = '-';
	}
	memcpy(to, from, 20); /* a length that is known costs less than the right one */
	return to + (end_of - from);
}

void json_put_int(struct json_writer *w, int64_t v)
{
	end(w, put_number(begin(w, NUMBER_MAX), v), true);
}

void json_number(struct buf *out, int64_t v)
{
	char *start = buf_reserve(out, NUMBER_MAX);

	buf_commit(out, (size_t)(put_number(start, v) - start));
}

void json_put_bool(struct json_writer *w, bool v)
{
	json_put_raw(w, v ? STR("true") : STR("false"));
}

void json_put_null(struct json_writer *w)
{
	json_put_raw(w, STR("null"));
}

void json_put_raw(struct json_writer *w, struct str json)
{
	char *to = begin(w, json.n);

	if (json.n > 0) {
		memcpy(to, json.p, json.n);
	}
	end(w, to + json.n, true);
}

static void put_children(struct json_writer *w, const struct json *v)
{
	for (const struct json *c = v->child; c; c = c->next) {
		if (v->type == JSON_OBJECT) {
			json_key(w, c->key);
		}
		json_put_tree(w, c);
	}
}

static bool is_skimmed(const struct json *v)
{
	return v->text.p && (v->type == JSON_ARRAY || v->type == JSON_OBJECT);
}

void json_put_tree(struct json_writer *w, const struct json *v)
{
	if (v && is_skimmed(v)) {
		json_put_raw(w, v->text);
		return;
	}
	switch (v ? v->type : JSON_NULL) {
	case JSON_NULL:
		json_put_null(w);
		return;
	case JSON_BOOL:
		json_put_bool(w, v->boolean);
		return;
	case JSON_NUMBER:
		json_put_raw(w, v->text);
		return;
	case JSON_STRING:
		json_put_str(w, v->text);
		return;
	case JSON_ARRAY:
		json_begin_array(w);
		put_children(w, v);
		json_end_array(w);
		return;
	case JSON_OBJECT:
		json_begin_object(w);
		put_children(w, v);
		json_end_object(w);
		return;
	}
}
