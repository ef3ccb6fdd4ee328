/*
 * Request heads. The table holds every smuggling class of HTTP/1 that we know
 * of; each case is parsed whole, cut at every point, truncated, and followed by
 * more bytes, and must give the same verdict.
 */
#include "unit.h"

#include "base/mem.h"
#include "http/h1.h"

#define HOST "Host: a\r\n"
#define GET(lines) STR_INIT("GET / HTTP/1.1\r\n" HOST lines "\r\n")
#define POST(lines) STR_INIT("POST / HTTP/1.1\r\n" HOST lines "\r\n")

struct verdict {
	enum err e;
	int status;
	struct http_request r;
	size_t len;
};

/* The input is in a block of its own, so that ASan sees a byte too far. */
static struct verdict parse_pieces(struct arena *a, struct str in, size_t first, size_t step)
{
	struct verdict v = {.e = ERR_AGAIN};
	struct h1_scan scan = {0};

	for (size_t n = first; v.e == ERR_AGAIN && n <= in.n; n += step) {
		v.e = h1_parse_request(a, str_of(in.p, n), &h1_limits_default, &scan, &v.r,
				       &v.status);
		if (n < in.n && n + step > in.n) {
			n = in.n - step;
		}
	}
	v.len = scan.head;
	return v;
}

static struct verdict parse(struct arena *a, struct str in)
{
	return parse_pieces(a, in, in.n, 1);
}

static struct str exact(struct str s)
{
	char *p = mem_alloc(s.n + 1);

	memcpy(p + 1, s.p, s.n); /* also unaligned */
	return str_of(p + 1, s.n);
}

static void exact_free(struct str s)
{
	mem_free((char *)(uintptr_t)s.p - 1);
}

static void assert_refused(struct str text, int status)
{
	struct str in = exact(text);
	struct arena a;
	struct verdict v;

	arena_init(&a, 0);
	v = parse(&a, in);
	if (v.e == ERR_OK || v.e == ERR_AGAIN || v.status != status) {
		fail_msg("expected %d, got %s %d: %.*s", status, err_name(v.e), v.status,
			 STR_ARG(text));
	}
	for (size_t cut = 0; cut < in.n; cut++) {
		struct verdict w = parse_pieces(&a, in, cut, MAX(in.n - cut, 1));

		if (w.e != v.e || w.status != status) {
			fail_msg("cut at %zu: %s %d instead of %d: %.*s", cut, err_name(w.e),
				 w.status, status, STR_ARG(text));
		}
	}
	arena_fini(&a);
	exact_free(in);
}

static const struct {
	int status;
	struct str text;
} refused[] = {
	/* two framings, or one that is not exactly ours */
	{400, POST("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")},
	{400, POST("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")},
	{400, POST("Content-Length: 5\r\nContent-Length: 6\r\n")},
	{400, POST("Content-Length: 5\r\nContent-Length: 5\r\n")},
	{400, POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
	{400, POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")},
	{400, POST("Transfer-Encoding: ,chunked\r\n")},
	{400, POST("Transfer-Encoding: chunked,\r\n")},
	{400, POST("Transfer-Encoding: chunked, chunked\r\n")},
	{400, POST("Transfer-Encoding: gzip, chunked\r\n")},
	{501, POST("Transfer-Encoding: gzip\r\n")},
	{501, POST("Transfer-Encoding: identity\r\n")},
	{501, POST("Transfer-Encoding: xchunked\r\n")},
	{501, POST("Transfer-Encoding: chunkedx\r\n")},
	{400, POST("Transfer-Encoding: \xa0"
		   "chunked\r\n")},
	{400, POST("Transfer-Encoding: chunked\xa0\r\n")},
	{400, POST("Transfer-Encoding: \x85"
		   "chunked\r\n")},
	{400, POST("Transfer-Encoding: \xc2\xa0"
		   "chunked\r\n")},
	{400, POST("Transfer-Encoding: \vchunked\r\n")},
	{400, POST("Transfer-Encoding: \fchunked\r\n")},
	{400, POST("Transfer-Encoding: \"chunked\"\r\n")},
	{400, POST("Transfer-Encoding: chunked;q=1\r\n")},
	{400, POST("Transfer-Encoding: chunked foo\r\n")},
	{400, POST("Transfer-Encoding:\r\n")},
	{400, POST("Transfer-Encoding: \r\n")},
	{400, STR_INIT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")},
	{400, STR_INIT("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n")},
	{400, POST("Transfer_Encoding: chunked\r\n")},
	{400, POST("Content_Length: 5\r\n")},
	/* lengths that somebody reads otherwise */
	{400, POST("Content-Length:\r\n")},
	{400, POST("Content-Length: \r\n")},
	{400, POST("Content-Length: +10\r\n")},
	{400, POST("Content-Length: -48\r\n")},
	{400, POST("Content-Length: -0\r\n")},
	{400, POST("Content-Length: 0x10\r\n")},
	{400, POST("Content-Length: 010\r\n")},
	{400, POST("Content-Length: 00\r\n")},
	{400, POST("Content-Length: 1_0\r\n")},
	{400, POST("Content-Length: 1Z\r\n")},
	{400, POST("Content-Length: 1 0\r\n")},
	{400, POST("Content-Length: 5, 5\r\n")},
	{400, POST("Content-Length: 5, 6\r\n")},
	{400, POST("Content-Length: 5,\r\n")},
	{400, POST("Content-Length: 1.0\r\n")},
	{400, POST("Content-Length: 1e1\r\n")},
	{400, POST("Content-Length: \"5\"\r\n")},
	{400, POST("Content-Length: 5\xa0\r\n")},
	{400, POST("Content-Length: \xd9\xa5\r\n")},
	{400, POST("Content-Length: 9223372036854775808\r\n")},
	{400, POST("Content-Length: 18446744073709551616\r\n")},
	{400, POST("Content-Length: 18446744073709551621\r\n")},
	{400, POST("Content-Length: 99999999999999999999999999999999\r\n")},
	/* names */
	{400, GET(": x\r\n")},
	{400, GET(":\r\nX: y\r\n")},
	{400, GET("X : y\r\n")},
	{400, GET("Content-Length : 5\r\n")},
	{400, GET("Content-Length\t: 5\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\n Host: a\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\n X: y\r\n" HOST "\r\n")},
	{400, GET("X\0Y: z\r\n")},
	{400, GET("X\rY: z\r\n")},
	{400, GET("X\nY: z\r\n")},
	{400, GET("X\xe4: z\r\n")},
	{400, GET("\xef\xbb\xbfX: z\r\n")},
	{400, GET("(X): z\r\n")},
	{400, GET("X\r\n: z\r\n")},
	{400, GET("X\r\n Y: z\r\n")},
	{400, GET("no colon\r\n")},
	{400, GET("nocolon\r\n")},
	{400, GET("Content-Length\r\n")},
	/* values and line ends */
	{400, GET("X: a\0b\r\n")},
	{400, GET("X: a\rb\r\n")},
	{400, GET("X: a\r\r\n")},
	{400, GET("X: a\nTransfer-Encoding: chunked\r\n")},
	{400, GET("X: a\n")},
	{400, GET("X: a\x7f\r\n")},
	{400, GET("X: a\x01\r\n")},
	{400, GET("X: a\x1b[2J\r\n")},
	{400, GET("X: a\r\n b\r\n")},
	{400, GET("X: a\r\n\tb\r\n")},
	{400, GET("X: a\r\n \r\n")},
	{400, GET("Transfer-Encoding:\r\n chunked\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\nHost: a\n\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: a\r\n\n")},
	{400, STR_INIT("GET / HTTP/1.1\rHost: a\r\r")},
	/* request line and Host */
	{400, STR_INIT("GET / HTTP/1.32\r\n" HOST "\r\n")},
	{400, STR_INIT("GET / HTTP/\r1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET / HTTP/1,1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET / HTTP/11\r\n" HOST "\r\n")},
	{400, STR_INIT("GET / http/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET / HTTP/1.\r\n" HOST "\r\n")},
	{400, STR_INIT("GET / HTTP/1.1 \r\n" HOST "\r\n")},
	{400, STR_INIT("GET / HTTP/1.1x\r\n" HOST "\r\n")},
	{400, STR_INIT("GET /\r\n" HOST "\r\n")},
	{400, STR_INIT("GET\r\n" HOST "\r\n")},
	{400, STR_INIT("GET HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET  HTTP/1.1\r\n" HOST "\r\n")},
	{505, STR_INIT("GET / HTTP/1.2\r\n" HOST "\r\n")},
	{505, STR_INIT("GET / HTTP/0.9\r\n" HOST "\r\n")},
	{505, STR_INIT("GET / HTTP/2.0\r\n" HOST "\r\n")},
	{505, STR_INIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
	{400, STR_INIT("GE(T / HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("G\xc9T / HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT(" GET / HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT(" / HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET\t/ HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET  / HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET /  HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET /a b HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\t\r\n" HOST "\r\n")},
	{400, STR_INIT("GET /a\tb HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET /#x HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET /\0 HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET a HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET a:80 HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET * HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET http:/a/ HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET http:///x HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET http://b/ HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET http://a:81/ HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET http://a:443/ HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET http://b@a/ HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET http://a\\b/ HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET http://a/ HTTP/1.1\r\n\r\n")},
	{400, STR_INIT("CONNECT / HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("CONNECT a HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("CONNECT b:443 HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("CONNECT http://a:443/ HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nX: y\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost:\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: a\0.b\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: a:\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: a:0\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: a:+80\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: a#\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n")},
	{400, STR_INIT("GET / HTTP/1.1\r\nHost: \xe4\r\n\r\n")},
	/* what else comes in on a port */
	{400, STR_INIT("\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("\nGET / HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("\rGET / HTTP/1.1\r\n" HOST "\r\n")},
	{400, STR_INIT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
	{400, STR_INIT("\0\0\0\0\0\0\0\0")},
	{400, STR_INIT("SSH-2.0-OpenSSH_9.2\r\n\r\n")},
};

static void every_ambiguity_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		assert_refused(refused[i].text, refused[i].status);
	}
}

static const struct str accepted[] = {
	GET(""),
	GET("X:\r\n"),
	GET("X: \t y\t \r\n"),
	GET("X: obs \xe4\xa0\x85 text\r\n"),
	GET("A_b.c!#$%&'*+-^`|~9: x\r\n"),
	POST("Content-Length: 0\r\n"),
	POST("Content-Length: 999999999999999999\r\n"),
	POST("TRANSFER-ENCODING: Chunked\r\n"),
	POST("transfer-encoding:chunked \t\r\n"),
	GET("Connection: close, , keep-alive\r\nUpgrade: h2c\r\n"),
	STR_INIT("\r\nGET / HTTP/1.1\r\n" HOST "\r\n"),
	STR_INIT("GET / HTTP/1.0\r\n\r\n"),
	STR_INIT("get / HTTP/1.0\r\n\r\n"),
	STR_INIT("GET //internal HTTP/1.1\r\n" HOST "\r\n"),
	STR_INIT("GET /a?b?c HTTP/1.1\r\nHost: a.b-c_d.e.:8080\r\n\r\n"),
	STR_INIT("GET /%zz\\|{}^\"<> HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
	STR_INIT("GET HTTP://A:80/x HTTP/1.1\r\n" HOST "\r\n"),
	STR_INIT("GET https://a/x HTTP/1.1\r\nHost: a:443\r\n\r\n"),
	STR_INIT("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"),
	STR_INIT("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
};

static void assert_same(const struct verdict *a, const struct verdict *b)
{
	assert_int_equal(a->e, b->e);
	assert_int_equal(a->len, b->len);
	assert_int_equal(a->r.headers.n, b->r.headers.n);
	assert_int_equal(a->r.framing, b->r.framing);
	assert_int_equal(a->r.content_length, b->r.content_length);
	assert_str(a->r.target, b->r.target);
}

static void assert_accepted(struct arena *a, struct str in)
{
	struct verdict whole = parse(a, in), bytewise = parse_pieces(a, in, 0, 1);

	if (whole.e != ERR_OK || whole.len != in.n) {
		fail_msg("%s %d: %.*s", err_name(whole.e), whole.status, STR_ARG(in));
	}
	assert_same(&whole, &bytewise);
	for (size_t cut = 0; cut < in.n; cut++) {
		struct verdict v = parse_pieces(a, in, cut, in.n - cut);

		assert_same(&whole, &v);
		assert_err(parse(a, str_of(in.p, cut)).e, ERR_AGAIN);
	}
}

static void good_heads_pass_however_they_are_cut(void **state)
{
	struct arena a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(accepted); i++) {
		struct str in = exact(accepted[i]);

		arena_init(&a, 0);
		assert_accepted(&a, in);
		arena_fini(&a);
		exact_free(in);
	}
}

static void what_follows_the_head_is_left_alone(void **state)
{
	struct arena a;
	struct verdict v;

	(void)state;
	arena_init(&a, 0);
	v = parse(&a, STR("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\0\n\rGET /2 \x7f"));
	assert_ok(v.e);
	assert_int_equal(v.len, 28);
	arena_fini(&a);
}

static void fields_are_as_received(void **state)
{
	struct arena a;
	struct http_request r;

	(void)state;
	arena_init(&a, 0);
	r = parse(&a, STR("\r\nPATCH /a%20b?c=d HTTP/1.1\r\nhOST:  h:81 \r\nX-y: a  b\t\r\n"
			  "Content-Length: 12\r\nExpect: 100-Continue\r\nempty:\r\n\r\n"))
		    .r;
	assert_int_equal(r.method, HTTP_PATCH);
	assert_str(r.method_text, STR("PATCH"));
	assert_str(r.target, STR("/a%20b?c=d"));
	assert_str(r.path, STR("/a%20b"));
	assert_str(r.query, STR("c=d"));
	assert_str(r.authority, STR("h:81"));
	assert_int_equal(r.minor, 1);
	assert_true(r.keep_alive);
	assert_true(r.expect_continue);
	assert_false(r.upgrade_websocket);
	assert_int_equal(r.framing, HTTP_BODY_LENGTH);
	assert_int_equal(r.content_length, 12);
	assert_int_equal(r.headers.n, 5);
	assert_str(r.headers.v[0].name, STR("hOST"));
	assert_str(r.headers.v[0].value, STR("h:81"));
	assert_str(r.headers.v[1].value, STR("a  b"));
	assert_int_equal(r.headers.v[4].value.n, 0);
	assert_true(r.headers.cap > r.headers.n);
	arena_fini(&a);
}

static void target_forms_give_path_and_authority(void **state)
{
	static const struct {
		struct str head, path, query, authority;
	} cases[] = {
		{STR_INIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), STR_INIT("/"), {0}, STR_INIT("a")},
		{STR_INIT("GET /? HTTP/1.1\r\nHost: a\r\n\r\n"), STR_INIT("/"), STR_INIT(""),
		 STR_INIT("a")},
		{STR_INIT("GET http://a?x HTTP/1.1\r\nHost: a:80\r\n\r\n"), STR_INIT("/"),
		 STR_INIT("x"), STR_INIT("a")},
		{STR_INIT("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n"),
		 STR_INIT("*"),
		 {0},
		 STR_INIT("a")},
		{STR_INIT("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
		 STR_INIT("*"),
		 {0},
		 STR_INIT("a")},
		{STR_INIT("CONNECT [::1]:9 HTTP/1.1\r\nHost: [::1]:9\r\n\r\n"),
		 STR_INIT(""),
		 {0},
		 STR_INIT("[::1]:9")},
		{STR_INIT("GET http://b/c?d HTTP/1.0\r\n\r\n"), STR_INIT("/c"), STR_INIT("d"),
		 STR_INIT("b")},
		{STR_INIT("GET / HTTP/1.0\r\n\r\n"), STR_INIT("/"), {0}, {0}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a;
		struct verdict v;

		arena_init(&a, 0);
		v = parse(&a, cases[i].head);
		assert_ok(v.e);
		assert_str(v.r.path, cases[i].path);
		assert_str(v.r.query, cases[i].query);
		assert_int_equal(!v.r.query.p, !cases[i].query.p);
		assert_str(v.r.authority, cases[i].authority);
		arena_fini(&a);
	}
}

static bool keeps_alive(struct str in, bool *out_websocket)
{
	struct arena a;
	struct verdict v;

	arena_init(&a, 0);
	v = parse(&a, in);
	assert_ok(v.e);
	*out_websocket = v.r.upgrade_websocket;
	arena_fini(&a);
	return v.r.keep_alive;
}

static void connection_header_decides(void **state)
{
	bool ws;

	(void)state;
	assert_true(keeps_alive((struct str)GET(""), &ws));
	assert_false(keeps_alive((struct str)GET("Connection: Close\r\n"), &ws));
	assert_false(
		keeps_alive((struct str)GET("Connection: a\r\nconnection: x, close\r\n"), &ws));
	assert_true(keeps_alive((struct str)GET("Connection: closed\r\n"), &ws));
	assert_false(keeps_alive(STR("GET / HTTP/1.0\r\n\r\n"), &ws));
	assert_true(keeps_alive(STR("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), &ws));
	assert_true(keeps_alive((struct str)GET("Upgrade: websocket\r\n"), &ws));
	assert_false(ws);
	assert_true(keeps_alive((struct str)GET("Connection: upgrade\r\nUpgrade: h2c\r\n"), &ws));
	assert_false(ws);
	assert_true(keeps_alive(
		(struct str)GET("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"), &ws));
	assert_true(ws);
}

static void only_a_get_without_a_body_is_upgraded(void **state)
{
#define UPGRADE "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
	static const struct {
		struct str in;
		bool is;
	} cases[] = {
		{STR_INIT("GET / HTTP/1.1\r\n" UPGRADE "\r\n"), true},
		{STR_INIT("GET / HTTP/1.1\r\n" UPGRADE "Content-Length: 0\r\n\r\n"), true},
		{STR_INIT("GET / HTTP/1.1\r\n" UPGRADE "Content-Length: 1\r\n\r\n"), false},
		{STR_INIT("GET / HTTP/1.1\r\n" UPGRADE "Transfer-Encoding: chunked\r\n\r\n"),
		 false},
		{STR_INIT("POST / HTTP/1.1\r\n" UPGRADE "\r\n"), false},
		{STR_INIT("HEAD / HTTP/1.1\r\n" UPGRADE "\r\n"), false},
		{STR_INIT("GET / HTTP/1.0\r\n" UPGRADE "\r\n"), false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool ws;

		(void)keeps_alive(cases[i].in, &ws);
		assert_int_equal(ws, cases[i].is);
	}
}

static int status_with(struct str in, const struct h1_limits *limits, size_t cut)
{
	struct http_request r;
	struct h1_scan scan = {0};
	int status = 0;
	struct arena a;
	enum err e;

	arena_init(&a, 0);
	e = h1_parse_request(&a, str_of(in.p, cut), limits, &scan, &r, &status);
	if (e == ERR_AGAIN) {
		e = h1_parse_request(&a, in, limits, &scan, &r, &status);
	}
	arena_fini(&a);
	return e == ERR_OK ? 200 : e == ERR_LIMIT ? status : -1;
}

static void limits_hold_to_the_byte(void **state)
{
	static const struct {
		struct h1_limits limits;
		int status;
	} cases[] = {
		{{15, 39, 2}, 200}, {{14, 39, 2}, 414}, {{15, 38, 2}, 431}, {{15, 39, 1}, 431},
		{{15, 16, 2}, 414}, {{15, 0, 2}, 414},	{{15, 17, 2}, 431}, {{0, 39, 2}, 414},
	};
	struct str in = STR("GET /a HTTP/1.1\r\nHost: a\r\nA: abcdef\r\n\r\n");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t cut = 0; cut <= in.n; cut++) {
			assert_int_equal(status_with(in, &cases[i].limits, cut), cases[i].status);
		}
	}
}

/* HAProxy CVE-2021-40346: a length that wraps in 8 or 16 bits. */
static void long_names_do_not_wrap(void **state)
{
	static const size_t lengths[] = {255, 256, 257, 270, 8000, 65535, 65536, 65550};
	struct h1_limits limits = {SIZE_MAX / 2, SIZE_MAX / 2, 100};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		struct buf b = {0};
		struct h1_scan scan = {0};
		struct http_request r;
		struct arena a;
		int status;

		arena_init(&a, 0);
		buf_puts(&b, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length");
		while (b.n < 26 + lengths[i]) {
			buf_putc(&b, 'a');
		}
		buf_puts(&b, ": 5\r\n\r\n");
		assert_ok(h1_parse_request(&a, buf_str(&b), &limits, &scan, &r, &status));
		assert_int_equal(r.framing, HTTP_BODY_NONE);
		assert_int_equal(r.headers.v[1].name.n, lengths[i]);
		arena_fini(&a);
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_ambiguity_is_refused),
		cmocka_unit_test(good_heads_pass_however_they_are_cut),
		cmocka_unit_test(what_follows_the_head_is_left_alone),
		cmocka_unit_test(fields_are_as_received),
		cmocka_unit_test(target_forms_give_path_and_authority),
		cmocka_unit_test(connection_header_decides),
		cmocka_unit_test(only_a_get_without_a_body_is_upgraded),
		cmocka_unit_test(limits_hold_to_the_byte),
		cmocka_unit_test(long_names_do_not_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
