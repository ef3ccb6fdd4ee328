/*
 * log_format - a log line as text, JSON or CLEF, see log_int.h
 *
 * Whatever a peer may have sent is escaped: a line stays one line, a terminal
 * gets no control characters and JSON stays valid UTF-8.
 */
#include "base/log_int.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <stdio.h>

enum {
	VALUE_MAX = 1024, /* bytes of one value as written */
	TAIL_MAX = 32,	  /* kept free for the mark of a full line and its end */
};

static void put(struct log_line *w, struct str s)
{
	if (w->is_full || s.n > sizeof(w->p) - TAIL_MAX - w->n) {
		w->is_full = true;
	} else if (s.n > 0) {
		memcpy(w->p + w->n, s.p, s.n);
		w->n += s.n;
	}
}

/* The end of the line always fits. */
static void put_tail(struct log_line *w, struct str s)
{
	ASSERT(s.n <= sizeof(w->p) - w->n);
	memcpy(w->p + w->n, s.p, s.n);
	w->n += s.n;
}

static void put_int(struct log_line *w, int64_t v)
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%lld", (long long)v);

	put(w, str_of(digits, (size_t)n));
}

static void put_hex(struct log_line *w, const char *prefix, uint8_t c)
{
	char text[8];
	int n = snprintf(text, sizeof(text), "%s%02x", prefix, c);

	put(w, str_of(text, (size_t)n));
}

/* C1 controls, U+0080 to U+009F: terminals obey those too. */
static bool is_c1(struct str c)
{
	return c.n == 2 && (uint8_t)c.p[0] == 0xc2 && (uint8_t)c.p[1] < 0xa0;
}

static void put_ascii(struct log_line *w, char c)
{
	switch (c) {
	case '"':
		put(w, STR("\\\""));
		break;
	case '\\':
		put(w, STR("\\\\"));
		break;
	case '\n':
		put(w, STR("\\n"));
		break;
	case '\r':
		put(w, STR("\\r"));
		break;
	case '\t':
		put(w, STR("\\t"));
		break;
	default:
		if ((uint8_t)c < 0x20 || c == 0x7f) {
			put_hex(w, "\\u00", (uint8_t)c);
		} else {
			put(w, str_of(&c, 1));
		}
	}
}

/* Writes the front of `*s` and takes it off. */
static void put_char(struct log_line *w, enum log_format format, struct str *s)
{
	size_t n = utf8_next(*s);
	struct str c = str_slice(*s, 0, n);

	if (n == 0 && format == LOG_FORMAT_TEXT) {
		put_hex(w, "\\x", (uint8_t)s->p[0]);
	} else if (n == 0) {
		put(w, STR("\xef\xbf\xbd")); /* U+FFFD: JSON has no way to say a byte */
	} else if (n == 1) {
		put_ascii(w, c.p[0]);
	} else if (is_c1(c)) {
		put_hex(w, "\\u00", (uint8_t)c.p[1]);
	} else {
		put(w, c);
	}
	*s = str_skip(*s, MAX(n, (size_t)1));
}

static void put_quoted(struct log_line *w, enum log_format format, struct str s)
{
	size_t start = w->n;

	put(w, STR("\""));
	while (s.n > 0 && !w->is_full) {
		if (w->n - start > VALUE_MAX) {
			put(w, STR("…"));
			break;
		}
		put_char(w, format, &s);
	}
	put(w, STR("\""));
}

/* Whether a value may stand in a text line without quotes. */
static bool is_bare(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] <= ' ' || s.p[i] == '"' || s.p[i] == '=' || s.p[i] == '\\' ||
		    s.p[i] == 0x7f) {
			return false;
		}
	}
	return s.n > 0 && s.n <= VALUE_MAX;
}

static void put_value(struct log_line *w, enum log_format format, const struct log_field *f)
{
	if (f->type == LOG_FIELD_INT) {
		put_int(w, f->i);
	} else if (!f->s.p) {
		put(w, STR("null"));
	} else if (format == LOG_FORMAT_TEXT && is_bare(f->s)) {
		put(w, f->s);
	} else {
		put_quoted(w, format, f->s);
	}
}

static void put_fields(struct log_line *w, enum log_format format, const struct log_event *e)
{
	for (size_t i = 0; i < e->n_fields && !w->is_full; i++) {
		const struct log_field *f = &e->fields[i];
		size_t before = w->n;

		put(w, format == LOG_FORMAT_TEXT ? STR(" ") : STR(",\""));
		put(w, str_c(f->key));
		put(w, format == LOG_FORMAT_TEXT ? STR("=") : STR("\":"));
		put_value(w, format, f);
		if (w->is_full) {
			w->n = before;
		}
	}
}

static void put_iso(struct log_line *w, int64_t wall_ms)
{
	char iso[CLOCK_ISO_LEN + 1];

	clock_iso(wall_ms, iso);
	put(w, str_of(iso, CLOCK_ISO_LEN));
}

static void format_text(const struct log_event *e, struct log_line *w)
{
	static const char *const levels[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "OFF"};
	char iso[CLOCK_ISO_LEN + 1];

	clock_iso(e->wall_ms, iso);
	put(w, str_of(iso + 11, 12));
	put(w, STR(" "));
	put(w, str_c(levels[e->level]));
	put(w, STR(" "));
	put(w, str_c(e->role));
	put(w, STR(": "));
	put(w, str_c(e->message));
	put_fields(w, LOG_FORMAT_TEXT, e);
	put_tail(w, w->is_full ? STR(" truncated=true\n") : STR("\n"));
}

/* Names of members: time, level, message; values of level. */
struct json_style {
	const char *time, *level, *message;
	const char *levels[LOG_OFF + 1];
};

static const struct json_style style_json = {
	"time", "level", "message", {"trace", "debug", "info", "warn", "error", "off"}};
static const struct json_style style_clef = {
	"@t", "@l", "@m", {"Verbose", "Debug", "Information", "Warning", "Error", "Fatal"}};

static void put_member(struct log_line *w, const char *key, const char *value)
{
	put(w, STR(",\""));
	put(w, str_c(key));
	put(w, STR("\":"));
	put_quoted(w, LOG_FORMAT_JSON, str_c(value));
}

static void format_json(const struct json_style *style, const struct log_event *e,
			struct log_line *w)
{
	put(w, STR("{\""));
	put(w, str_c(style->time));
	put(w, STR("\":\""));
	put_iso(w, e->wall_ms);
	put(w, STR("\""));
	put_member(w, style->level, style->levels[e->level]);
	put_member(w, "role", e->role);
	put_member(w, style->message, e->message);
	put_fields(w, LOG_FORMAT_JSON, e);
	put_tail(w, w->is_full ? STR(",\"truncated\":true}\n") : STR("}\n"));
}

void log_format_line(enum log_format format, const struct log_event *e, struct log_line *out)
{
	out->n = 0;
	out->is_full = false;
	switch (format) {
	case LOG_FORMAT_TEXT:
		format_text(e, out);
		return;
	case LOG_FORMAT_JSON:
		format_json(&style_json, e, out);
		return;
	case LOG_FORMAT_CLEF:
		format_json(&style_clef, e, out);
		return;
	}
}
