/*
 * Request heads: cutting the input anywhere gives the same verdict, and what is
 * accepted can be written and read back without a change of meaning.
 */
#include "http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct verdict {
	enum err e;
	int status;
	size_t len;
	struct http_request r;
};

static const struct h1_limits limits = {512, 2048, 20};

static struct verdict parse_cut(struct arena *a, struct str in, size_t cut)
{
	struct h1_scan scan = {0};
	struct verdict v = {0};

	v.e = h1_parse_request(a, str_of(in.p, cut), &limits, &scan, &v.r, &v.status);
	if (v.e == ERR_AGAIN) {
		v.e = h1_parse_request(a, in, &limits, &scan, &v.r, &v.status);
	}
	v.len = scan.head;
	return v;
}

static void check_fields(const struct http_request *r)
{
	ASSERT(http_is_token(r->method_text));
	for (size_t i = 0; i < r->headers.n; i++) {
		ASSERT(http_is_token(r->headers.v[i].name));
		ASSERT(http_is_field_value(r->headers.v[i].value));
	}
	ASSERT(r->minor == 0 || http_header_get(&r->headers, STR("host")).p);
	if (r->framing == HTTP_BODY_CHUNKED) {
		ASSERT(!http_header_get(&r->headers, STR("content-length")).p);
	} else {
		ASSERT(!http_header_get(&r->headers, STR("transfer-encoding")).p);
	}
}

static void check_round_trip(struct arena *a, const struct http_request *r)
{
	struct h1_scan scan = {0};
	struct http_request again;
	struct buf b = {0};
	int status;

	ASSERT(h1_write_request_line(&b, r->method_text, r->target) == ERR_OK);
	for (size_t i = 0; i < r->headers.n; i++) {
		h1_write_header(&b, r->headers.v[i].name, r->headers.v[i].value);
	}
	h1_write_end(&b);
	/* Always written as 1.1, which asks for a Host. */
	if (r->minor == 1) {
		ASSERT(h1_parse_request(a, buf_str(&b), &h1_limits_default, &scan, &again,
					&status) == ERR_OK);
		ASSERT(scan.head == b.n && again.headers.n == r->headers.n);
		ASSERT(again.framing == r->framing && again.content_length == r->content_length);
		ASSERT(str_eq(again.path, r->path) && str_eq(again.authority, r->authority));
		ASSERT(again.keep_alive == r->keep_alive);
	}
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = str_of(data, n);
	struct verdict whole;
	struct arena a;

	arena_init(&a, 0);
	whole = parse_cut(&a, in, n);
	for (size_t cut = 0; cut < n && n <= 4096; cut += 1 + n / 64) {
		struct verdict v = parse_cut(&a, in, cut);

		ASSERT(v.e == whole.e && v.status == whole.status && v.len == whole.len);
		ASSERT(v.r.framing == whole.r.framing && v.r.headers.n == whole.r.headers.n);
	}
	if (whole.e == ERR_OK) {
		ASSERT(whole.len <= n && whole.len <= limits.head_bytes);
		check_fields(&whole.r);
		check_round_trip(&a, &whole.r);
		http_strip_hop_by_hop(&whole.r.headers);
	}
	arena_fini(&a);
	return 0;
}
