/*
 * h1_request - request heads: request line, Host and the framing of the body
 */
#include "http/chars.h"
#include "http/h1_int.h"
#include "http/uri.h"

#define VERSION_LEN 8

/* Sets the answer and gives up. */
static enum err refuse(int *out_status, int status)
{
	*out_status = status;
	return ERR_PROTO;
}

static bool looks_like_version(struct str s)
{
	return s.n == VERSION_LEN && memcmp(s.p, "HTTP/", 5) == 0 && char_is(s.p[5], CHAR_DIGIT) &&
	       s.p[6] == '.' && char_is(s.p[7], CHAR_DIGIT);
}

static void set_path_query(struct str s, struct http_request *r)
{
	size_t q = str_find_char(s, 0, '?');

	r->path = str_slice(s, 0, q);
	r->query = q < s.n ? str_of(s.p + q + 1, s.n - q - 1) : STR_NULL;
}

/* http://authority/path?query. `*out_scheme_port` is what a Host may leave out. */
static bool parse_absolute(struct str rest, struct http_request *r, struct str *out_scheme_port)
{
	size_t end = 0;

	if (str_starts_nocase(rest, STR("http://"))) {
		*out_scheme_port = STR(":80");
		rest = str_skip(rest, 7);
	} else if (str_starts_nocase(rest, STR("https://"))) {
		*out_scheme_port = STR(":443");
		rest = str_skip(rest, 8);
	} else {
		return false;
	}
	while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?') {
		end++;
	}
	r->authority = str_slice(rest, 0, end);
	set_path_query(str_skip(rest, end), r);
	if (r->path.n == 0) {
		bool all = r->method == HTTP_OPTIONS && !r->query.p; /* RFC 9112 3.2.4 */

		r->path = all ? STR("*") : STR("/");
	}
	return uri_is_authority(r->authority);
}

/* The four forms of RFC 9112 3.2. */
static bool parse_target(struct http_request *r, struct str *out_scheme_port)
{
	if (r->target.n == 0 || !str_all_are(r->target, CHAR_TARGET)) {
		return false;
	}
	if (r->method == HTTP_CONNECT) {
		r->authority = r->target;
		r->path = STR("");
		return uri_is_authority(r->target) && str_rindex(r->target, ':') > 0;
	}
	if (r->target.p[0] == '/') {
		set_path_query(r->target, r);
		return true;
	}
	if (str_eq(r->target, STR("*"))) {
		r->path = r->target;
		return r->method == HTTP_OPTIONS;
	}
	return parse_absolute(r->target, r, out_scheme_port);
}

static enum err parse_line(struct str line, struct http_request *r, struct str *out_scheme_port,
			   int *out_status)
{
	size_t m = 0;
	struct str version;
	int minor;

	while (m < line.n && char_is(line.p[m], CHAR_TOKEN)) {
		m++;
	}
	if (m == 0 || line.n < m + 3 + VERSION_LEN || line.p[m] != ' ' ||
	    line.p[line.n - VERSION_LEN - 1] != ' ') {
		return refuse(out_status, 400);
	}
	version = str_skip(line, line.n - VERSION_LEN);
	minor = h1_parse_version(version);
	if (minor < 0) {
		return refuse(out_status, looks_like_version(version) ? 505 : 400);
	}
	r->major = 1;
	r->minor = (uint8_t)minor;
	r->method_text = str_slice(line, 0, m);
	r->method = http_method_parse(r->method_text);
	r->target = str_slice(line, m + 1, line.n - VERSION_LEN - 2 - m);
	return parse_target(r, out_scheme_port) ? ERR_OK : refuse(out_status, 400);
}

/* Equal, or one of them has the scheme's own port written out. */
static bool is_same_authority(struct str a, struct str b, struct str scheme_port)
{
	struct str longer = a.n > b.n ? a : b, shorter = a.n > b.n ? b : a;

	if (longer.n == shorter.n) {
		return str_eq_nocase(a, b);
	}
	return scheme_port.n > 0 && longer.n == shorter.n + scheme_port.n &&
	       str_ends(longer, scheme_port) &&
	       str_eq_nocase(str_slice(longer, 0, shorter.n), shorter);
}

/* RFC 9112 3.2: exactly one valid Host; a 1.0 client may leave it out. */
static bool judge_host(const struct h1_framing *f, struct http_request *r, struct str scheme_port)
{
	if (f->hosts == 0) {
		return r->minor == 0;
	}
	if (f->hosts > 1 || !uri_is_authority(f->host)) {
		return false;
	}
	if (!r->authority.p) {
		r->authority = f->host;
		return true;
	}
	return is_same_authority(r->authority, f->host, scheme_port);
}

/* A coding that we do not have (501), or bytes that are none (400). */
static int coding_status(struct str coding)
{
	struct str part;
	bool any = false;

	while (str_split(&coding, ',', &part)) {
		any = true;
		part = str_trim(part);
		if (!http_is_token(part) || str_eq_nocase(part, STR("chunked"))) {
			return 400;
		}
	}
	return any ? 501 : 400;
}

static enum err judge_body(const struct h1_framing *f, struct http_request *r, int *out_status)
{
	if (f->codings > 0) {
		if (f->codings > 1 || f->lengths > 0 || r->minor == 0) {
			return refuse(out_status, 400);
		}
		if (!str_eq_nocase(f->coding, STR("chunked"))) {
			return refuse(out_status, coding_status(f->coding));
		}
		r->framing = HTTP_BODY_CHUNKED;
	} else if (f->lengths > 0) {
		if (f->lengths > 1 || !h1_parse_length(f->length, &r->content_length)) {
			return refuse(out_status, 400);
		}
		r->framing = HTTP_BODY_LENGTH;
	}
	return ERR_OK;
}

static enum err parse_head(struct str head, struct http_request *r, int *out_status)
{
	struct str scheme_port = STR_NULL;
	struct h1_framing f = {0};
	size_t at = head.p[0] == '\r' ? 2 : 0;
	struct str line = h1_line(head, at, &at);

	TRY(parse_line(line, r, &scheme_port, out_status));
	if (h1_parse_fields(head, at, &r->headers, &f) != ERR_OK) {
		return refuse(out_status, 400);
	}
	if (!judge_host(&f, r, scheme_port)) {
		return refuse(out_status, 400);
	}
	TRY(judge_body(&f, r, out_status));
	r->keep_alive = !f.close && (r->minor == 1 || f.keep_alive);
	r->te_trailers = f.te_trailers && r->minor == 1;
	r->expect_continue = f.expect_continue && r->minor == 1;
	/* RFC 6455 4.1: a GET. What has a body stays HTTP (RFC 9110 7.8: it would have to be read
	 * first). */
	r->upgrade_websocket = f.upgrade && f.websocket && r->minor == 1 && r->method == HTTP_GET &&
			       !http_request_has_body(r);
	return ERR_OK;
}

enum err h1_parse_request(struct arena *a, struct str in, const struct h1_limits *limits,
			  struct h1_scan *scan, struct http_request *out, int *out_status)
{
	struct http_request r = {0};
	size_t n = 0;
	enum err e = h1_scan_head(in, limits, H1_ONE_EMPTY_LINE, scan, &n);

	if (e == ERR_LIMIT) {
		*out_status = scan->lines == 0 ? 414 : 431;
	} else if (e == ERR_PROTO) {
		*out_status = 400;
	}
	TRY(e);
	r.headers = h1_headers_new(a, scan->lines);
	TRY(parse_head(str_of(in.p, n), &r, out_status));
	*out = r;
	scan->head = n;
	return ERR_OK;
}
