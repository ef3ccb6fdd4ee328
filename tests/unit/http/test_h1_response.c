/*
 * Response heads: what a target that a tenant controls could smuggle to another.
 */
#include "unit.h"

#include "http/h1.h"

#define OK "HTTP/1.1 200 OK\r\n"
#define HEAD(lines) STR_INIT(OK lines "\r\n")

struct verdict {
	enum err e;
	struct http_response r;
	size_t len;
};

static struct verdict parse_cut(struct arena *a, struct str in, enum http_method m, size_t cut)
{
	struct verdict v;
	struct h1_scan scan = {0};

	v.e = h1_parse_response(a, str_of(in.p, cut), &h1_limits_default, m, &scan, &v.r);
	if (v.e == ERR_AGAIN) {
		v.e = h1_parse_response(a, in, &h1_limits_default, m, &scan, &v.r);
	}
	v.len = scan.head;
	return v;
}

static const struct str refused[] = {
	/* two framings, or one that is not ours */
	HEAD("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
	HEAD("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
	HEAD("Content-Length: 5\r\nContent-Length: 5\r\n"),
	HEAD("Content-Length: 5\r\nContent-Length: 0\r\n"),
	HEAD("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
	HEAD("Transfer-Encoding: ,chunked\r\n"),
	HEAD("Transfer-Encoding: chunked,\r\n"),
	HEAD("Transfer-Encoding: xchunked\r\n"),
	HEAD("Transfer-Encoding: identity\r\n"),
	HEAD("Transfer-Encoding: gzip, chunked\r\n"),
	HEAD("Transfer-Encoding: \xa0"
	     "chunked\r\n"),
	HEAD("Transfer-Encoding: \x85"
	     "chunked\r\n"),
	HEAD("Transfer-Encoding:\r\n"),
	HEAD("Transfer_Encoding: chunked\r\n"),
	HEAD("Content_Length: 5\r\n"),
	STR_INIT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
	STR_INIT("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
	STR_INIT("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
	STR_INIT("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n"),
	STR_INIT("HTTP/1.1 101 Switching\r\nTransfer-Encoding: chunked\r\n\r\n"),
	/* lengths that somebody reads otherwise */
	HEAD("Content-Length:\r\n"),
	HEAD("Content-Length: +10\r\n"),
	HEAD("Content-Length: -48\r\n"),
	HEAD("Content-Length: 0x10\r\n"),
	HEAD("Content-Length: 010\r\n"),
	HEAD("Content-Length: 1_0\r\n"),
	HEAD("Content-Length: 1Z\r\n"),
	HEAD("Content-Length: 5, 5\r\n"),
	HEAD("Content-Length: 18446744073709551616\r\n"),
	HEAD("Content-Length: 9223372036854775808\r\n"),
	/* names */
	HEAD(": x\r\n"),
	HEAD("X : y\r\n"),
	HEAD(" X: y\r\n"),
	HEAD("\tX: y\r\n"),
	HEAD("X\0: y\r\n"),
	HEAD("X\r: y\r\n"),
	HEAD("X\n: y\r\n"),
	HEAD("X\xe4: y\r\n"),
	HEAD("X\r\n: y\r\n"),
	HEAD("nocolon\r\n"),
	/* values and line ends */
	HEAD("X: a\0b\r\n"),
	HEAD("X: a\rb\r\n"),
	HEAD("X: a\nSet-Cookie: b\r\n"),
	HEAD("X: a\r\n b\r\n"),
	STR_INIT("HTTP/1.1 200 OK\nX: y\n\n"),
	/* status line */
	STR_INIT("HTTP/1.32 200 OK\r\n\r\n"),
	STR_INIT("HTTP/\r1.1 200 OK\r\n\r\n"),
	STR_INIT("HTTP/2.0 200 OK\r\n\r\n"),
	STR_INIT("HTTP/1.2 200 OK\r\n\r\n"),
	STR_INIT("http/1.1 200 OK\r\n\r\n"),
	STR_INIT("HTTP/1.1200 OK\r\n\r\n"),
	STR_INIT("HTTP/1.1  200 OK\r\n\r\n"),
	STR_INIT("HTTP/1.1 20 OK\r\n\r\n"),
	STR_INIT("HTTP/1.1 2000 OK\r\n\r\n"),
	STR_INIT("HTTP/1.1 099 OK\r\n\r\n"),
	STR_INIT("HTTP/1.1 +20 OK\r\n\r\n"),
	STR_INIT("HTTP/1.1 20x OK\r\n\r\n"),
	STR_INIT("HTTP/1.1 200OK\r\n\r\n"),
	STR_INIT("HTTP/1.1\r\n\r\n"),
	STR_INIT("HTTP/1.1 200 O\0K\r\n\r\n"),
	STR_INIT("HTTP/1.1 200 O\rK\r\n\r\n"),
	STR_INIT("ICY 200 OK\r\n\r\n"),
	STR_INIT("\r\nHTTP/1.1 200 OK\r\n\r\n"),
	STR_INIT(" HTTP/1.1 200 OK\r\n\r\n"),
	STR_INIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
};

static void every_ambiguity_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		for (size_t cut = 0; cut <= refused[i].n; cut++) {
			struct arena a;

			arena_init(&a, 0);
			if (parse_cut(&a, refused[i], HTTP_GET, cut).e != ERR_PROTO) {
				fail_msg("taken (cut %zu): %.*s", cut, STR_ARG(refused[i]));
			}
			arena_fini(&a);
		}
	}
}

static const struct {
	struct str head;
	enum http_method method;
	int status;
	enum http_framing framing;
	uint64_t length;
	bool has_length, keep_alive;
} good[] = {
	{HEAD(""), HTTP_GET, 200, HTTP_BODY_CLOSE, 0, false, false},
	{HEAD("Content-Length: 7\r\n"), HTTP_GET, 200, HTTP_BODY_LENGTH, 7, true, true},
	{HEAD("Content-Length: 0\r\n"), HTTP_GET, 200, HTTP_BODY_LENGTH, 0, true, true},
	{HEAD("transfer-encoding: CHUNKED\r\n"), HTTP_GET, 200, HTTP_BODY_CHUNKED, 0, false, true},
	{HEAD("Content-Length: 7\r\n"), HTTP_HEAD, 200, HTTP_BODY_NONE, 7, true, true},
	{HEAD("Transfer-Encoding: chunked\r\n"), HTTP_HEAD, 200, HTTP_BODY_NONE, 0, false, true},
	{HEAD(""), HTTP_HEAD, 200, HTTP_BODY_NONE, 0, false, true},
	{HEAD(""), HTTP_CONNECT, 200, HTTP_BODY_NONE, 0, false, true},
	{HEAD("Content-Length: 7\r\nConnection: close\r\n"), HTTP_GET, 200, HTTP_BODY_LENGTH, 7,
	 true, false},
	{STR_INIT("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"), HTTP_GET, 304,
	 HTTP_BODY_NONE, 7, true, true},
	{STR_INIT("HTTP/1.1 204\r\n\r\n"), HTTP_GET, 204, HTTP_BODY_NONE, 0, false, true},
	{STR_INIT("HTTP/1.1 204 \r\nContent-Length: 0\r\n\r\n"), HTTP_GET, 204, HTTP_BODY_NONE, 0,
	 true, true},
	{STR_INIT("HTTP/1.1 100 Continue\r\n\r\n"), HTTP_POST, 100, HTTP_BODY_NONE, 0, false, true},
	{STR_INIT("HTTP/1.1 101 S\xe4\tx\r\nUpgrade: websocket\r\n\r\n"), HTTP_GET, 101,
	 HTTP_BODY_NONE, 0, false, true},
	{STR_INIT("HTTP/1.1 999 \r\nContent-Length: 1\r\n\r\n"), HTTP_GET, 999, HTTP_BODY_LENGTH, 1,
	 true, true},
	{STR_INIT("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"), HTTP_GET, 200, HTTP_BODY_LENGTH,
	 1, true, false},
	{STR_INIT("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n"),
	 HTTP_GET, 200, HTTP_BODY_LENGTH, 1, true, true},
	{STR_INIT("HTTP/1.1 407 No\r\nContent-Length: 1\r\n\r\n"), HTTP_CONNECT, 407,
	 HTTP_BODY_LENGTH, 1, true, true},
};

static void framing_follows_rfc_9112_6_3(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		for (size_t cut = 0; cut <= good[i].head.n; cut++) {
			struct arena a;
			struct verdict v;

			arena_init(&a, 0);
			v = parse_cut(&a, good[i].head, good[i].method, cut);
			assert_ok(v.e);
			assert_int_equal(v.len, good[i].head.n);
			assert_int_equal(v.r.status, good[i].status);
			assert_int_equal(v.r.framing, good[i].framing);
			assert_int_equal(v.r.content_length, good[i].length);
			assert_int_equal(v.r.has_content_length, good[i].has_length);
			assert_int_equal(v.r.keep_alive, good[i].keep_alive);
			arena_fini(&a);
		}
	}
}

static void reason_and_headers_are_as_received(void **state)
{
	struct str in = STR("HTTP/1.1 404  Not here \r\nx-A: 1\r\nX-a:2\r\n\r\nbody");
	struct verdict v;
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	v = parse_cut(&a, in, HTTP_GET, in.n);
	assert_ok(v.e);
	assert_int_equal(v.len, in.n - 4);
	assert_str(v.r.reason, STR(" Not here "));
	assert_int_equal(v.r.headers.n, 2);
	assert_str(v.r.headers.v[0].name, STR("x-A"));
	assert_str(v.r.headers.v[1].value, STR("2"));
	arena_fini(&a);
}

static void limits_hold(void **state)
{
	struct h1_limits limits = {15, 25, 1};
	struct str in = STR("HTTP/1.1 200 OK\r\nA: b\r\n\r\n");
	struct http_response r;
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	assert_err(h1_parse_response(&a, in, &limits, HTTP_GET, &(struct h1_scan){0}, &r), ERR_OK);
	limits.head_bytes--;
	assert_err(h1_parse_response(&a, in, &limits, HTTP_GET, &(struct h1_scan){0}, &r),
		   ERR_LIMIT);
	limits = (struct h1_limits){15, 25, 0};
	assert_err(h1_parse_response(&a, in, &limits, HTTP_GET, &(struct h1_scan){0}, &r),
		   ERR_LIMIT);
	limits = (struct h1_limits){14, 25, 1};
	assert_err(h1_parse_response(&a, in, &limits, HTTP_GET, &(struct h1_scan){0}, &r),
		   ERR_LIMIT);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_ambiguity_is_refused),
		cmocka_unit_test(framing_follows_rfc_9112_6_3),
		cmocka_unit_test(reason_and_headers_are_as_received),
		cmocka_unit_test(limits_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
