#include "net/proxy_protocol.h"
#include "unit.h"

#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define V4_ADDRESSES "\xc0\0\2\1\xc6\x33\x64\2\x1f\x90\x01\xbb"

static void expect_addr(const struct addr *a, const char *want)
{
	char text[ADDR_TEXT_MAX];

	assert_str(str_of(text, addr_format(a, text)), str_c(want));
}

/* Whole, with bytes behind it, and cut at every byte. */
static void takes(struct str in, const char *source, const char *destination)
{
	struct proxy_header h;
	char more[600];
	size_t used = 0;

	for (size_t n = 0; n < in.n; n++) {
		assert_err(proxy_header_parse(str_slice(in, 0, n), &h, &used), ERR_AGAIN);
	}
	assert_true(in.n + 5 <= sizeof(more));
	memcpy(more, in.p, in.n);
	memcpy(more + in.n, "GET /", 5);
	for (size_t extra = 0; extra <= 5; extra += 5) {
		assert_ok(proxy_header_parse(str_of(more, in.n + extra), &h, &used));
		assert_int_equal(used, in.n);
		assert_int_equal(h.is_local, source == NULL);
		if (source) {
			expect_addr(&h.source, source);
			expect_addr(&h.destination, destination);
		}
	}
}

/* At the latest when it is whole, and for ever after. */
static void refuses(struct str in)
{
	enum err e = ERR_AGAIN;
	struct proxy_header h;
	size_t used;

	for (size_t n = 0; n <= in.n; n++) {
		enum err now = proxy_header_parse(str_slice(in, 0, n), &h, &used);

		assert_true(now == ERR_AGAIN || now == ERR_PROTO);
		assert_true(e != ERR_PROTO || now == ERR_PROTO);
		e = now;
	}
	if (e != ERR_PROTO) {
		fail_msg("waits for more of \"%.*s\"", STR_ARG(in));
	}
}

static void test_v1(void **state)
{
	(void)state;
	takes(STR("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"), "192.0.2.1:56324",
	      "198.51.100.2:443");
	takes(STR("PROXY TCP6 2001:db8::1 ::2 0 65535\r\n"), "[2001:db8::1]:0", "[::2]:65535");
	takes(STR("PROXY UNKNOWN\r\n"), NULL, NULL);
	takes(STR("PROXY UNKNOWN ffff:f...f:ffff anything 65535 65535\r\n"), NULL, NULL);
}

static void test_v1_bad(void **state)
{
	static const struct str bad[] = {
		STR_INIT("GET / HTTP/1.1\r\n"),
		STR_INIT("PROXY\r\n"),
		STR_INIT("PROXY \r\n"),
		STR_INIT("proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n"),
		STR_INIT("PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n"),
		STR_INIT("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 \r\n"),
		STR_INIT("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 1\r\n"),
		STR_INIT("PROXY TCP4  192.0.2.1 198.51.100.2 56324 443\r\n"),
		STR_INIT("PROXY TCP4 ::1 ::2 56324 443\r\n"),
		STR_INIT("PROXY TCP6 192.0.2.1 198.51.100.2 56324 443\r\n"),
		STR_INIT("PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n"),
		STR_INIT("PROXY TCP4 192.0.2.1 198.51.100.2 0443 443\r\n"),
		STR_INIT("PROXY TCP4 192.0.2.1 198.51.100.2 -1 443\r\n"),
		STR_INIT("PROXY TCP4 192.0.2 198.51.100.2 1 443\r\n"),
		STR_INIT("PROXY UDP4 192.0.2.1 198.51.100.2 1 443\r\n"),
	};
	char endless[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		refuses(bad[i]);
	}
	memset(endless, 'x', sizeof(endless));
	memcpy(endless, "PROXY UNKNOWN ", 14);
	refuses(str_of(endless, sizeof(endless)));
}

static void test_v2(void **state)
{
	(void)state;
	takes(STR(V2 "\x21\x11\0\x0c" V4_ADDRESSES), "192.0.2.1:8080", "198.51.100.2:443");
	/* TLVs: an empty one, and an authority. */
	takes(STR(V2 "\x21\x11\0\x15" V4_ADDRESSES "\4\0\0\2\0\3abc"), "192.0.2.1:8080",
	      "198.51.100.2:443");
	takes(STR(V2 "\x21\x21\0\x24"
		     "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
		     "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2"
		     "\x1f\x90\x01\xbb"),
	      "[2001:db8::1]:8080", "[::2]:443");
	/* LOCAL, with or without anything behind it; unspecified; a Unix socket; UDP. */
	takes(STR(V2 "\x20\0\0\0"), NULL, NULL);
	takes(STR(V2 "\x20\x11\0\3abc"), NULL, NULL);
	takes(STR(V2 "\x21\0\0\2ab"), NULL, NULL);
	takes(STR(V2 "\x21\x12\0\x0c" V4_ADDRESSES), NULL, NULL);
}

static void test_v2_bad(void **state)
{
	static const struct str bad[] = {
		STR_INIT("\r\n\r\nGET"),
		STR_INIT(V2 "\x11\x11\0\x0c" V4_ADDRESSES),	      /* version 1 */
		STR_INIT(V2 "\x22\x11\0\x0c" V4_ADDRESSES),	      /* no command */
		STR_INIT(V2 "\x21\x11\0\x0b" V4_ADDRESSES),	      /* too short */
		STR_INIT(V2 "\x21\x21\0\x0c" V4_ADDRESSES),	      /* too short for IPv6 */
		STR_INIT(V2 "\x21\x11\0\x0e" V4_ADDRESSES "\4\0"),    /* half a TLV */
		STR_INIT(V2 "\x21\x11\0\x10" V4_ADDRESSES "\4\0\2a"), /* beyond the end */
		STR_INIT(V2 "\x21\x11\x0f\xf1"),		      /* 4097 bytes */
		STR_INIT(V2 "\x20\x11\xff\xff"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		refuses(bad[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v1),
		cmocka_unit_test(test_v1_bad),
		cmocka_unit_test(test_v2),
		cmocka_unit_test(test_v2_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
