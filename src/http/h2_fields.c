/*
 * Header blocks to messages and back. nghttp2 has checked each field for its
 * characters, the order and number of pseudo fields, and has refused the fields of
 * a HTTP/1 connection (RFC 9113 8.2, 8.3). What is checked here is what it lets pass
 * and what a HTTP/1 server behind us could misread.
 */
#include "http/h2_fields.h"
#include "base/mem.h"
#include "http/chars.h"
#include "http/h1_int.h"
#include "http/h2_lib.h"
#include "http/uri.h"

/* As many times the limit end the session: what goes on to be decoded costs time (HPACK bombs). */
#define BEYOND_MEASURE 4
/* What HTTP/2 reckons for a field beside its text (RFC 9113 6.5.2), and a line of HTTP/1. */
#define FIELD_BYTES 32
#define LINE_BYTES 4

/* ---- receiving ---- */

static struct str *pseudo_slot(struct h2_fields *f, struct str name)
{
	switch (name.n) {
	case 5:
		return TOKEN_IS(str_skip(name, 1), "path") ? &f->path : NULL;
	case 7:
		if (TOKEN_IS(str_skip(name, 1), "method")) {
			return &f->method;
		}
		if (TOKEN_IS(str_skip(name, 1), "scheme")) {
			return &f->scheme;
		}
		return TOKEN_IS(str_skip(name, 1), "status") ? &f->status : NULL;
	case 9:
		return TOKEN_IS(str_skip(name, 1), "protocol") ? &f->protocol : NULL;
	case 10:
		return TOKEN_IS(str_skip(name, 1), "authority") ? &f->authority : NULL;
	default:
		return NULL;
	}
}

/* RFC 9113 8.2.3: crumbs become one line, for everybody who knows HTTP/1 only. */
static void join_cookie(struct h2_fields *f, struct arena *a, struct str crumb)
{
	struct str *line = &f->list.v[f->cookie - 1].value;
	size_t n = line->n + 2 + crumb.n;

	if (n > f->cookie_cap) {
		char *p = arena_alloc(a, 2 * n);

		if (line->n > 0) {
			memcpy(p, line->p, line->n);
		}
		f->cookie_text = p;
		f->cookie_cap = 2 * n;
	}
	memcpy(f->cookie_text + line->n, "; ", 2);
	if (crumb.n > 0) {
		memcpy(f->cookie_text + line->n + 2, crumb.p, crumb.n);
	}
	*line = str_of(f->cookie_text, n);
}

bool h2_fields_add(struct h2_fields *f, struct arena *a, const struct h1_limits *limits,
		   struct str name, struct str value)
{
	bool is_cookie = TOKEN_IS(name, "cookie"), is_crumb = is_cookie && f->cookie;
	struct str *slot;

	/* Browsers send each cookie as a crumb and keep 180 of them: together they are one line. */
	f->bytes += name.n + value.n + (is_crumb ? FIELD_BYTES : LINE_BYTES);
	f->count += !is_crumb;
	if (f->bytes > limits->head_bytes || f->count > limits->headers + 4 ||
	    name.n + value.n + LINE_BYTES > limits->line_bytes) {
		f->too_big = true;
		return f->bytes <= BEYOND_MEASURE * limits->head_bytes &&
		       f->count <= BEYOND_MEASURE * limits->headers;
	}
	if (f->too_big) {
		return true;
	}
	if (name.n > 0 && name.p[0] == ':') {
		slot = pseudo_slot(f, name);
		if (slot) {
			*slot = str_dup(a, value);
		}
		return true;
	}
	if (is_crumb) {
		join_cookie(f, a, value);
		return true;
	}
	http_header_add(a, &f->list, str_dup(a, name), str_dup(a, value));
	if (is_cookie) {
		f->cookie = (unsigned)f->list.n;
	}
	return true;
}

/* "content_length": a gateway of the CGI kind would take it for the field that frames. */
static bool is_alias(struct str name, struct str of)
{
	bool other = false;

	if (name.n != of.n) {
		return false;
	}
	for (size_t i = 0; i < name.n; i++) {
		char c = ascii_lower(name.p[i]);

		if (c == '_' && of.p[i] == '-') {
			other = true;
		} else if (c != of.p[i]) {
			return false;
		}
	}
	return other;
}

/* What the list says about framing; ERR_PROTO when it says something that it must not. */
struct framing {
	struct str host, length;
	unsigned hosts, lengths;
	bool expect_continue, te_trailers;
};

static enum err note_framing(const struct http_headers *h, struct framing *out)
{
	for (size_t i = 0; i < h->n; i++) {
		const struct http_header *e = &h->v[i];

		if (!http_is_token(e->name) || !http_is_field_value(e->value) ||
		    TOKEN_IS(e->name, "transfer-encoding") ||
		    is_alias(e->name, STR("transfer-encoding")) ||
		    is_alias(e->name, STR("content-length"))) {
			return ERR_PROTO;
		}
		if (TOKEN_IS(e->name, "host")) {
			out->host = e->value;
			out->hosts++;
		} else if (TOKEN_IS(e->name, "content-length")) {
			out->length = e->value;
			out->lengths++;
		} else if (TOKEN_IS(e->name, "expect")) {
			out->expect_continue |= str_eq_nocase(e->value, STR("100-continue"));
		} else if (TOKEN_IS(e->name, "te")) {
			out->te_trailers |= http_list_has(e->value, STR("trailers"));
		}
	}
	return ERR_OK;
}

static enum err judge_length(const struct framing *f, enum http_framing *out_framing,
			     uint64_t *out_length)
{
	if (f->lengths == 0) {
		return ERR_OK;
	}
	if (f->lengths > 1 || !h1_parse_length(f->length, out_length)) {
		return ERR_PROTO;
	}
	*out_framing = HTTP_BODY_LENGTH;
	return ERR_OK;
}

/* One name of the host, in a Host line at the front: as a HTTP/1 request has it. */
static enum err judge_host(struct arena *a, const struct framing *f, struct http_request *r)
{
	if (f->hosts > 1 || (f->hosts == 0 && r->authority.n == 0)) {
		return ERR_PROTO;
	}
	if (f->hosts == 1) {
		if (r->authority.n == 0) {
			r->authority = f->host;
		} else if (!str_eq_nocase(r->authority, f->host)) {
			return ERR_PROTO;
		}
	} else {
		http_header_add(a, &r->headers, STR("host"), r->authority);
		if (r->headers.n > 1) {
			struct http_header own = r->headers.v[r->headers.n - 1];

			memmove(r->headers.v + 1, r->headers.v, (r->headers.n - 1) * sizeof(own));
			r->headers.v[0] = own;
		}
	}
	return uri_is_authority(r->authority) ? ERR_OK : ERR_PROTO;
}

static enum err judge_target(const struct h2_fields *f, struct http_request *r)
{
	size_t q = str_find_char(f->path, 0, '?');

	if (!http_is_token(f->method) || f->path.n == 0 || !str_all_are(f->path, CHAR_TARGET) ||
	    !(str_eq_nocase(f->scheme, STR("http")) || str_eq_nocase(f->scheme, STR("https")))) {
		return ERR_PROTO;
	}
	if (f->path.p[0] != '/' && !(r->method == HTTP_OPTIONS && str_eq(f->path, STR("*")))) {
		return ERR_PROTO;
	}
	r->target = f->path;
	r->path = str_slice(f->path, 0, q);
	r->query = q < f->path.n ? str_skip(f->path, q + 1) : STR_NULL;
	return ERR_OK;
}

enum err h2_parse_request(struct arena *a, const struct h2_fields *f, bool end,
			  struct http_request *out, int *out_status)
{
	struct framing framing = {0};
	struct http_request r = {.major = 2,
				 .minor = 1,
				 .keep_alive = true,
				 .method = http_method_parse(f->method),
				 .method_text = f->method,
				 .authority = f->authority,
				 .headers = f->list,
				 .framing = end ? HTTP_BODY_NONE : HTTP_BODY_CHUNKED};

	*out_status = 431;
	if (f->too_big) {
		return ERR_LIMIT;
	}
	*out_status = 501;
	if (r.method == HTTP_CONNECT || f->protocol.p) {
		return ERR_PROTO; /* we are no tunnel */
	}
	*out_status = 400;
	TRY(judge_target(f, &r));
	TRY(note_framing(&r.headers, &framing));
	TRY(judge_length(&framing, &r.framing, &r.content_length));
	TRY(judge_host(a, &framing, &r));
	if (end && r.content_length > 0) {
		return ERR_PROTO;
	}
	r.expect_continue = framing.expect_continue && !end;
	r.te_trailers = framing.te_trailers;
	*out = r;
	return ERR_OK;
}

enum err h2_parse_response(const struct h2_fields *f, enum http_method method, bool end,
			   struct http_response *out)
{
	struct framing framing = {0};
	struct http_response r = {
		.minor = 1, .keep_alive = true, .headers = f->list, .framing = HTTP_BODY_CHUNKED};
	uint64_t status;

	if (f->too_big) {
		return ERR_LIMIT;
	}
	if (f->status.n != 3 || !str_to_u64(f->status, &status) || status < 100) {
		return ERR_PROTO;
	}
	r.status = (int)status;
	r.reason = http_reason(r.status);
	TRY(note_framing(&r.headers, &framing));
	TRY(judge_length(&framing, &r.framing, &r.content_length));
	r.has_content_length = framing.lengths > 0;
	if ((r.status < 200 || r.status == 204) && r.content_length > 0) {
		return ERR_PROTO;
	}
	if (end || method == HTTP_HEAD || r.status < 200 || r.status == 204 || r.status == 304) {
		r.framing = HTTP_BODY_NONE;
	}
	*out = r;
	return ERR_OK;
}

bool h2_are_trailers(const struct h2_fields *f)
{
	if (f->too_big) {
		return false;
	}
	for (size_t i = 0; i < f->list.n; i++) {
		if (!http_is_token(f->list.v[i].name) || http_is_no_trailer(f->list.v[i].name)) {
			return false;
		}
	}
	return true;
}

/* ---- sending ---- */

struct h2_nvs *h2_nvs_new(struct blocks *from, size_t fields, size_t text_bytes)
{
	size_t head = sizeof(struct h2_nvs) + fields * sizeof(nghttp2_nv);
	struct h2_nvs *nvs = blocks_get(from, head + text_bytes);

	nvs->from = from;
	nvs->n = 0;
	nvs->cap = fields;
	nvs->at = (char *)nvs + head;
	nvs->end = nvs->at + text_bytes;
	return nvs;
}

void h2_nvs_free(struct h2_nvs **nvs)
{
	if (*nvs) {
		blocks_put((*nvs)->from, *nvs);
		*nvs = NULL;
	}
}

/* Name and value stand one behind the other. */
static void note_field(struct h2_nvs *nvs, size_t name_n, char *end)
{
	char *at = nvs->at;

	ASSERT(nvs->n < nvs->cap);
	nvs->v[nvs->n++] = (nghttp2_nv){
		.name = (uint8_t *)at,
		.namelen = name_n,
		.value = (uint8_t *)at + name_n,
		.valuelen = (size_t)(end - at) - name_n,
		.flags = NGHTTP2_NV_FLAG_NONE,
	};
	nvs->at = end;
}

void h2_nvs_add(struct h2_nvs *nvs, struct str name, struct str value)
{
	byte_marks unusual = {0}, controls = {0};
	char *at = nvs->at, *end;

	value = str_trim(value);
	ASSERT(name.n > 0 && (size_t)(nvs->end - at) >= name.n + value.n);
	end = str_copy_marking(at, name, mark_unusual_in_name, &unusual);
	end = str_copy_marking(end, value, mark_controls, &controls);
	if (UNLIKELY(marks_any(controls)) ||
	    (UNLIKELY(marks_any(unusual)) && !http_is_token(name))) {
		return;
	}
	(void)str_copy_lower(at, str_of(at, name.n));
	note_field(nvs, name.n, end);
}

void h2_nvs_add_pseudo(struct h2_nvs *nvs, struct str name, struct str value)
{
	char *at = nvs->at;

	ASSERT(name.p[0] == ':' && (size_t)(nvs->end - at) >= name.n + value.n);
	ASSERT(http_is_field_value(value));
	memcpy(at, name.p, name.n);
	if (value.n > 0) {
		memcpy(at + name.n, value.p, value.n);
	}
	note_field(nvs, name.n, at + name.n + value.n);
}

void h2_nvs_add_u64(struct h2_nvs *nvs, struct str name, uint64_t value)
{
	char text[20], *at = str_put_digits(text + sizeof(text), value);

	h2_nvs_add(nvs, name, str_of(at, (size_t)(text + sizeof(text) - at)));
}

size_t h2_nvs_list_bytes(const struct h2_nvs *nvs)
{
	return (size_t)(nvs->at - (const char *)&nvs->v[nvs->cap]) + FIELD_BYTES * nvs->n;
}

/* RFC 9113 8.2.2: such a field makes the message malformed. TE may say "trailers". */
static bool is_of_connection(const struct http_header *h)
{
	switch (h->name.n) {
	case 2:
		return TOKEN_IS(h->name, "te") && !str_eq_nocase(h->value, STR("trailers"));
	case 7:
		return TOKEN_IS(h->name, "upgrade");
	case 10:
		return TOKEN_IS(h->name, "connection") || TOKEN_IS(h->name, "keep-alive");
	case 16:
		return TOKEN_IS(h->name, "proxy-connection");
	case 17:
		return TOKEN_IS(h->name, "transfer-encoding");
	default:
		return false;
	}
}

size_t h2_text_bytes(const struct http_header *v, size_t n)
{
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++) {
		bytes += v[i].name.n + v[i].value.n;
	}
	return bytes;
}

void h2_nvs_add_all(struct h2_nvs *nvs, const struct http_header *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!is_of_connection(&v[i])) {
			h2_nvs_add(nvs, v[i].name, v[i].value);
		}
	}
}

struct h2_nvs *h2_nvs_of_response(struct blocks *from, int status, const struct http_header *v,
				  size_t n)
{
	struct h2_nvs *nvs = h2_nvs_new(from, n + 3, h2_text_bytes(v, n) + 128);
	char text[20];

	ASSERT(status >= 100 && status <= 999);
	h2_nvs_add_pseudo(nvs, STR(":status"),
			  str_of(str_put_digits(text + sizeof(text), (uint64_t)status), 3));
	h2_nvs_add_all(nvs, v, n);
	return nvs;
}

struct h2_nvs *h2_nvs_of_trailers(struct blocks *from, const struct http_header *v, size_t n)
{
	struct h2_nvs *nvs;

	if (n == 0) {
		return NULL;
	}
	nvs = h2_nvs_new(from, n, h2_text_bytes(v, n));
	for (size_t i = 0; i < n; i++) {
		if (!http_is_no_trailer(v[i].name)) {
			h2_nvs_add(nvs, v[i].name, v[i].value);
		}
	}
	if (nvs->n == 0) {
		h2_nvs_free(&nvs);
	}
	return nvs;
}
