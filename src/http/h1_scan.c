/*
 * h1_scan - what requests and responses share: finding the end of the head and
 * cutting its lines into names and values
 */
#include "http/chars.h"
#include "http/h1_int.h"

/* Headers that the server adds should not make the array move. */
#define HEADERS_SPARE 8

const struct h1_limits h1_limits_default = {
	.line_bytes = 8192,
	.head_bytes = 65536,
	.headers = 100,
};

const struct h1_limits h1_limits_answer = {
	.line_bytes = 65536,
	.head_bytes = 65536,
	.headers = 200,
};

const struct h1_limits h1_limits_in_process = {
	.line_bytes = 131072,
	.head_bytes = 131072,
	.headers = 400,
};

/*
 * Checked wherever the scan stops, be it at a control or at the end of input, so
 * that the verdict does not depend on how the bytes were cut.
 */
static bool is_over(const struct h1_limits *limits, const struct h1_scan *scan, size_t i)
{
	return i - scan->line > limits->line_bytes || i + 2 > limits->head_bytes;
}

/* The empty line at `i`: the end, or the one that may stand before a request. */
static enum err on_empty_line(struct h1_scan *scan, enum h1_lead lead, bool *out_done)
{
	if (scan->lines > 0) {
		*out_done = true;
		return ERR_OK;
	}
	if (lead == H1_NO_EMPTY_LINE || scan->line > 0) {
		return ERR_PROTO;
	}
	scan->line = 2;
	return ERR_OK;
}

enum err h1_scan_head(struct str in, const struct h1_limits *limits, enum h1_lead lead,
		      struct h1_scan *scan, size_t *out_len)
{
	bool done = false;
	size_t i = scan->at;

	while (!done) {
		i = str_find_control(in, i);
		if (is_over(limits, scan, i)) {
			return ERR_LIMIT;
		}
		if (i == in.n || (i + 1 == in.n && in.p[i] == '\r')) {
			scan->at = i; /* a CR is looked at again with its LF */
			return ERR_AGAIN;
		}
		if (in.p[i] == '\t') {
			i++;
			continue;
		}
		if (in.p[i] != '\r' || in.p[i + 1] != '\n') {
			return ERR_PROTO;
		}
		i += 2;
		if (i - 2 == scan->line) {
			TRY(on_empty_line(scan, lead, &done));
			continue;
		}
		scan->line = i;
		if (++scan->lines > limits->headers + 1) {
			return ERR_LIMIT;
		}
	}
	scan->at = i;
	*out_len = i;
	return ERR_OK;
}

struct str h1_line(struct str head, size_t at, size_t *out_next)
{
	size_t end = str_find_char(head, at, '\r');

	*out_next = end + 2;
	return str_of(head.p + at, end - at);
}

/* `lit` with '_' for '-': some gateways map both to one name and then disagree with us. */
static bool is_alias(struct str name, const char *lit)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i] == '_' ? '-' : ascii_lower(name.p[i]);

		if (c != lit[i]) {
			return false;
		}
	}
	return true;
}

static void note_connection(struct str list, struct h1_framing *f)
{
	struct str part;

	if (TOKEN_IS(list, "keep-alive")) { /* as most say */
		f->keep_alive = true;
		return;
	}
	while (str_split(&list, ',', &part)) {
		part = str_trim(part);
		if (part.n == 5 && str_eq_nocase(part, STR("close"))) {
			f->close = true;
		} else if (part.n == 10 && str_eq_nocase(part, STR("keep-alive"))) {
			f->keep_alive = true;
		} else if (part.n == 7 && str_eq_nocase(part, STR("upgrade"))) {
			f->upgrade = true;
		}
	}
}

/* Only lengths that matter are compared: one jump for most lines. */
static enum err note_framing(const struct http_header *e, struct h1_framing *f)
{
	switch (e->name.n) {
	case 2:
		if (TOKEN_IS(e->name, "te")) {
			f->te_trailers |= http_list_has(e->value, STR("trailers"));
		}
		break;
	case 4:
		if (TOKEN_IS(e->name, "host")) {
			f->host = e->value;
			f->hosts++;
		}
		break;
	case 6:
		if (TOKEN_IS(e->name, "expect")) {
			f->expect_continue |= str_eq_nocase(e->value, STR("100-continue"));
		}
		break;
	case 7:
		if (TOKEN_IS(e->name, "upgrade")) {
			f->websocket |= http_list_has(e->value, STR("websocket"));
		}
		break;
	case 10:
		if (TOKEN_IS(e->name, "connection")) {
			note_connection(e->value, f);
		}
		break;
	case 14:
		if (TOKEN_IS(e->name, "content-length")) {
			f->length = e->value;
			f->lengths++;
		} else if (is_alias(e->name, "content-length")) {
			return ERR_PROTO;
		}
		break;
	case 17:
		if (TOKEN_IS(e->name, "transfer-encoding")) {
			f->coding = e->value;
			f->codings++;
		} else if (is_alias(e->name, "transfer-encoding")) {
			return ERR_PROTO;
		}
		break;
	default:
		break;
	}
	return ERR_OK;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* One line from `i`. The head ends in CR LF, so every loop below meets a stop. */
static enum err parse_field(struct str head, size_t *i, struct http_header *out)
{
	const char *p = head.p;
	size_t name = *i, colon = str_skip_name(head, name), value, end;

	while (char_is(p[colon], CHAR_TOKEN)) {
		colon++;
	}
	if (colon == name || p[colon] != ':') {
		return ERR_PROTO;
	}
	value = colon + 1;
	while (is_blank(p[value])) {
		value++;
	}
	end = str_find_char(head, value, '\r');
	*i = end + 2;
	while (end > value && is_blank(p[end - 1])) {
		end--;
	}
	out->name = str_of(p + name, colon - name);
	out->value = str_of(p + value, end - value);
	return ERR_OK;
}

enum err h1_parse_fields(struct str head, size_t at, struct http_headers *h, struct h1_framing *out)
{
	while (head.p[at] != '\r') {
		struct http_header *e = &h->v[h->n];

		ASSERT(h->n < h->cap);
		TRY(parse_field(head, &at, e));
		TRY(note_framing(e, out));
		h->n++;
	}
	return ERR_OK;
}

bool h1_parse_length(struct str s, uint64_t *out)
{
	uint64_t n = 0;

	if (s.n == 0 || s.n > 18 || (s.p[0] == '0' && s.n > 1)) {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (!char_is(s.p[i], CHAR_DIGIT)) {
			return false;
		}
		n = n * 10 + (uint64_t)(s.p[i] - '0');
	}
	*out = n;
	return true;
}

int h1_parse_version(struct str s)
{
	if (s.n != 8 || memcmp(s.p, "HTTP/1.", 7) != 0 || (s.p[7] != '0' && s.p[7] != '1')) {
		return -1;
	}
	return s.p[7] - '0';
}

struct http_headers h1_headers_new(struct arena *a, size_t lines)
{
	size_t cap = lines + HEADERS_SPARE;

	return (struct http_headers){.v = arena_alloc(a, cap * sizeof(struct http_header)),
				     .cap = cap};
}
