/*
 * Response heads; the first byte chooses the method of the request.
 */
#include "http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct verdict {
	enum err e;
	size_t len;
	struct http_response r;
};

static const struct h1_limits limits = {512, 2048, 20};

static struct verdict parse_cut(struct arena *a, struct str in, enum http_method m, size_t cut)
{
	struct h1_scan scan = {0};
	struct verdict v = {0};

	v.e = h1_parse_response(a, str_of(in.p, cut), &limits, m, &scan, &v.r);
	if (v.e == ERR_AGAIN) {
		v.e = h1_parse_response(a, in, &limits, m, &scan, &v.r);
	}
	v.len = scan.head;
	return v;
}

static void check_response(const struct http_response *r)
{
	ASSERT(r->status >= 100 && r->status <= 999);
	ASSERT(http_is_field_value(r->reason));
	ASSERT(r->framing != HTTP_BODY_CLOSE || !r->keep_alive);
	for (size_t i = 0; i < r->headers.n; i++) {
		ASSERT(http_is_token(r->headers.v[i].name));
		ASSERT(http_is_field_value(r->headers.v[i].value));
		(void)http_canonical_name(r->headers.v[i].name);
	}
	ASSERT(!http_header_get(&r->headers, STR("transfer-encoding")).p ||
	       !http_header_get(&r->headers, STR("content-length")).p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	enum http_method m = HTTP_GET;
	struct verdict whole;
	struct arena a;
	struct str in;

	if (n == 0) {
		return 0;
	}
	m = data[0] == 'h' ? HTTP_HEAD : data[0] == 'c' ? HTTP_CONNECT : HTTP_GET;
	in = str_of(data + 1, n - 1);
	arena_init(&a, 0);
	whole = parse_cut(&a, in, m, in.n);
	for (size_t cut = 0; cut < in.n && n <= 4096; cut += 1 + n / 64) {
		struct verdict v = parse_cut(&a, in, m, cut);

		ASSERT(v.e == whole.e && v.len == whole.len && v.r.framing == whole.r.framing);
	}
	if (whole.e == ERR_OK) {
		check_response(&whole.r);
	}
	arena_fini(&a);
	return 0;
}
