#include "base/utf8.h"
#include "gateway/yaml_int.h"

/* A reader looks for the colon of a simple key within 1024 characters. */
#define KEY_MAX 128

/* Bytes of the character at the front when YAML takes it as it is, else 0. */
static size_t printable_step(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t n = utf8_next(s);

	if (n == 1) {
		return p[0] >= 0x20 && p[0] < 0x7f ? 1 : 0;
	}
	if ((n == 2 && p[0] == 0xc2 && p[1] < 0xa0) ||			       /* C1 */
	    (n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] & ~1) == 0xa8) || /* LS, PS */
	    (n == 3 && p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf) ||	       /* BOM */
	    (n == 3 && p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe)) {
		return 0;
	}
	return n;
}

static bool is_printable(struct str s)
{
	size_t step;

	for (; s.n > 0; s = str_skip(s, step)) {
		step = printable_step(s);
		if (step == 0) {
			return false;
		}
	}
	return true;
}

static bool may_begin_plain(char c)
{
	return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') ||
	       c == '/' || c == '_' || c == '.' || c == '~' || c == '^' || c == '+' || c == '$' ||
	       c == '(' || (unsigned char)c >= 0x80;
}

static bool reads_as_string(struct str s)
{
	struct arena a;
	struct str number;
	bool boolean;

	arena_init(&a, 0);
	bool is_string = yaml_plain_type(&a, s, &boolean, &number) == JSON_STRING;

	arena_fini(&a);
	return is_string;
}

/*
 * Text that YAML 1.1 readers (Kong's, decK's) take for a boolean, a time or a number to base 60,
 * though ours does not.
 */
static bool others_read_more(struct str s)
{
	bool has_mark = false;

	if (s.n == 1 && (ascii_lower(s.p[0]) == 'y' || ascii_lower(s.p[0]) == 'n')) {
		return true;
	}
	if (str_starts_nocase(s, STR(".inf")) || str_starts_nocase(s, STR(".nan")) ||
	    str_starts(s, STR("0b"))) {
		return true;
	}
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!(c >= '0' && c <= '9') && !strchr(":-_.+TtZz ", c)) {
			return false;
		}
		has_mark |= c == ':' || c == '-';
	}
	return has_mark;
}

static bool may_be_plain(struct str s)
{
	if (s.n == 0 || !may_begin_plain(s.p[0]) || s.p[s.n - 1] == ' ' || s.p[s.n - 1] == ':' ||
	    str_starts(s, STR("...")) || str_find(s, STR(": ")) >= 0 ||
	    str_find(s, STR(" #")) >= 0) {
		return false;
	}
	return is_printable(s) && reads_as_string(s) && !others_read_more(s);
}

static void put_escape(struct buf *out, struct str s, size_t step)
{
	unsigned char c = (unsigned char)s.p[0];

	if (step == 0) { /* not UTF-8 */
		buf_puts(out, "\\uFFFD");
	} else if (c == '\n' || c == '\t' || c == '\r') {
		buf_printf(out, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
	} else if (step == 1) {
		buf_printf(out, "\\x%02X", c);
	} else {
		unsigned u = step == 2 ? ((c & 0x1fu) << 6) | ((unsigned char)s.p[1] & 0x3fu)
				       : ((c & 0x0fu) << 12) |
						 (((unsigned char)s.p[1] & 0x3fu) << 6) |
						 ((unsigned char)s.p[2] & 0x3fu);

		buf_printf(out, "\\u%04X", u);
	}
}

static void put_quoted(struct buf *out, struct str s)
{
	buf_putc(out, '"');
	while (s.n > 0) {
		size_t step = utf8_next(s);

		if (printable_step(s) == 0) {
			put_escape(out, s, step);
		} else if (s.p[0] == '"' || s.p[0] == '\\') {
			buf_printf(out, "\\%c", s.p[0]);
		} else {
			buf_append(out, s.p, step);
		}
		s = str_skip(s, step ? step : 1);
	}
	buf_putc(out, '"');
}

static void put_text(struct buf *out, struct str s)
{
	if (may_be_plain(s)) {
		buf_put(out, s);
	} else {
		put_quoted(out, s);
	}
}

/* Several lines that a literal block keeps as they are. */
static bool may_be_block(struct str s)
{
	struct str line;

	if (str_index(s, '\n') < 0 || s.p[0] == ' ' || s.p[0] == '\n' || str_ends(s, STR("\n\n"))) {
		return false;
	}
	while (str_split(&s, '\n', &line)) {
		if (!is_printable(line) || (line.n > 0 && str_trim(line).n == 0)) {
			return false;
		}
	}
	return true;
}

static void put_indent(struct buf *out, unsigned level)
{
	for (unsigned i = 0; i < level; i++) {
		buf_puts(out, "  ");
	}
}

static void put_block(struct buf *out, struct str s, unsigned level)
{
	struct str line;

	buf_put(out, str_ends(s, STR("\n")) ? STR("|\n") : STR("|-\n"));
	while (str_split(&s, '\n', &line)) {
		if (line.n == 0 && s.n == 0) {
			break; /* behind the last line feed */
		}
		if (line.n > 0) {
			put_indent(out, level);
			buf_put(out, line);
		}
		buf_putc(out, '\n');
	}
}

static void put_node(struct buf *out, const struct json *v, unsigned level);

/* What follows "key:" or "-": a scalar on the same line, a container below or beside. */
static void put_scalar(struct buf *out, const struct json *v, unsigned level)
{
	switch (v->type) {
	case JSON_NULL:
		buf_puts(out, "null\n");
		return;
	case JSON_BOOL:
		buf_put(out, v->boolean ? STR("true\n") : STR("false\n"));
		return;
	case JSON_NUMBER:
		buf_put(out, v->text);
		buf_putc(out, '\n');
		return;
	case JSON_STRING:
		if (may_be_block(v->text)) {
			put_block(out, v->text, MAX(level, 1));
			return;
		}
		put_text(out, v->text);
		buf_putc(out, '\n');
		return;
	case JSON_ARRAY:
		buf_puts(out, "[]\n");
		return;
	case JSON_OBJECT:
		buf_puts(out, "{}\n");
		return;
	}
}

static bool is_filled(const struct json *v)
{
	return (v->type == JSON_ARRAY || v->type == JSON_OBJECT) && v->child;
}

static void put_key(struct buf *out, struct str key, unsigned level)
{
	if (key.n > KEY_MAX) {
		buf_puts(out, "? ");
		put_quoted(out, key);
		buf_putc(out, '\n');
		put_indent(out, level);
	} else {
		put_text(out, key);
	}
	buf_putc(out, ':');
}

static void put_member(struct buf *out, const struct json *v, unsigned level)
{
	put_key(out, v->key, level);
	if (!is_filled(v)) {
		buf_putc(out, ' ');
		put_scalar(out, v, level + 1);
		return;
	}
	unsigned below =
		v->type == JSON_ARRAY ? level : level + 1; /* "- " may stand under its key */

	buf_putc(out, '\n');
	put_indent(out, below);
	put_node(out, v, below);
}

/* A filled container; the indent of its first line is written. */
static void put_node(struct buf *out, const struct json *v, unsigned level)
{
	for (const struct json *c = v->child; c; c = c->next) {
		if (c != v->child) {
			put_indent(out, level);
		}
		if (v->type == JSON_OBJECT) {
			put_member(out, c, level);
			continue;
		}
		buf_puts(out, "- ");
		if (is_filled(c)) {
			put_node(out, c, level + 1);
		} else {
			put_scalar(out, c, level + 1);
		}
	}
}

void yaml_write(struct buf *out, const struct json *v)
{
	if (is_filled(v)) {
		put_node(out, v, 0);
	} else {
		put_scalar(out, v, 0);
	}
}
