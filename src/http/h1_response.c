/*
 * h1_response - response heads: status line and the framing of the body
 *
 * A response comes from a target that a tenant controls: it is read as strictly
 * as a request, for what it smuggles would reach the next client.
 */
#include "http/chars.h"
#include "http/h1_int.h"

/* "HTTP/1.1 200 OK"; the blank after the code may be missing when the phrase is. */
static enum err parse_line(struct str line, struct http_response *r)
{
	int minor = h1_parse_version(str_slice(line, 0, 8));

	if (minor < 0 || line.n < 12 || line.p[8] != ' ' || line.p[9] < '1' ||
	    !char_is(line.p[9], CHAR_DIGIT) || !char_is(line.p[10], CHAR_DIGIT) ||
	    !char_is(line.p[11], CHAR_DIGIT) || (line.n > 12 && line.p[12] != ' ')) {
		return ERR_PROTO;
	}
	r->minor = (uint8_t)minor;
	r->status = (line.p[9] - '0') * 100 + (line.p[10] - '0') * 10 + (line.p[11] - '0');
	r->reason = str_skip(line, 13);
	return ERR_OK;
}

/* RFC 9112 6.3, points 1 and 2. */
static bool has_no_body(const struct http_response *r, enum http_method method)
{
	return method == HTTP_HEAD || r->status < 200 || r->status == 204 || r->status == 304 ||
	       (method == HTTP_CONNECT && r->status < 300);
}

/* Framing where the status forbids any: some peer will believe it (RFC 9112 6.1, 6.2). */
static bool may_not_frame(const struct http_response *r)
{
	return r->status < 200 || r->status == 204;
}

static enum err judge_body(const struct h1_framing *f, enum http_method method,
			   struct http_response *r)
{
	if (f->codings > 0) {
		if (f->codings > 1 || f->lengths > 0 || r->minor == 0 || may_not_frame(r) ||
		    !str_eq_nocase(f->coding, STR("chunked"))) {
			return ERR_PROTO;
		}
		r->framing = HTTP_BODY_CHUNKED;
	} else if (f->lengths > 0) {
		if (f->lengths > 1 || !h1_parse_length(f->length, &r->content_length) ||
		    (may_not_frame(r) && r->content_length > 0)) {
			return ERR_PROTO;
		}
		r->has_content_length = true;
		r->framing = HTTP_BODY_LENGTH;
	} else {
		r->framing = HTTP_BODY_CLOSE;
	}
	if (has_no_body(r, method)) {
		r->framing = HTTP_BODY_NONE;
	}
	return ERR_OK;
}

enum err h1_parse_response(struct arena *a, struct str in, const struct h1_limits *limits,
			   enum http_method method, struct h1_scan *scan, struct http_response *out)
{
	struct http_response r = {0};
	struct h1_framing f = {0};
	size_t at, n = 0;
	struct str head;

	TRY(h1_scan_head(in, limits, H1_NO_EMPTY_LINE, scan, &n));
	head = str_of(in.p, n);
	TRY(parse_line(h1_line(head, 0, &at), &r));
	r.headers = h1_headers_new(a, scan->lines);
	TRY(h1_parse_fields(head, at, &r.headers, &f));
	TRY(judge_body(&f, method, &r));
	r.keep_alive = !f.close && (r.minor == 1 || f.keep_alive) && r.framing != HTTP_BODY_CLOSE;
	*out = r;
	scan->head = n;
	return ERR_OK;
}
