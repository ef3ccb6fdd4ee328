#include "unit.h"

#include "http/message.h"

static void known_names_get_their_spelling(void **state)
{
	static const char *const known[] = {"TE",
					    "Via",
					    "ETag",
					    "Host",
					    "Allow",
					    "Cookie",
					    "Upgrade",
					    "Location",
					    "Forwarded",
					    "User-Agent",
					    "Retry-After",
					    "Content-Type",
					    "If-None-Match",
					    "Content-Length",
					    "Accept-Encoding",
					    "WWW-Authenticate",
					    "Sec-WebSocket-Key",
					    "Proxy-Authenticate",
					    "Content-Disposition",
					    "Sec-WebSocket-Accept",
					    "X-RateLimit-Remaining",
					    "X-Content-Type-Options",
					    "Content-Security-Policy",
					    "Sec-WebSocket-Extensions",
					    "Strict-Transport-Security",
					    "Access-Control-Allow-Origin",
					    "Access-Control-Allow-Headers",
					    "Access-Control-Request-Method",
					    "Access-Control-Request-Headers",
					    "Access-Control-Allow-Credentials"};
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		struct str name = str_c(known[i]);

		assert_str(http_canonical_name(str_lower(&a, name)), name);
		assert_str(http_canonical_name(str_upper(&a, name)), name);
	}
	arena_fini(&a);
}

static void unknown_names_stay(void **state)
{
	static const char *const unknown[] = {"", "x", "x-own", "content-typo",
					      "a-name-much-longer-than-any-that-is-in-the-table"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
		struct str name = str_c(unknown[i]), got = http_canonical_name(name);

		assert_ptr_equal(got.p, name.p);
		assert_int_equal(got.n, name.n);
	}
}

static void hop_by_hop_names(void **state)
{
	(void)state;
	assert_true(http_is_hop_by_hop(STR("connection")));
	assert_true(http_is_hop_by_hop(STR("Keep-Alive")));
	assert_true(http_is_hop_by_hop(STR("Proxy-Authorization")));
	assert_true(http_is_hop_by_hop(STR("proxy-authenticate")));
	assert_true(http_is_hop_by_hop(STR("Proxy-Connection")));
	assert_true(http_is_hop_by_hop(STR("te")));
	assert_true(http_is_hop_by_hop(STR("Trailer")));
	assert_true(http_is_hop_by_hop(STR("TRANSFER-ENCODING")));
	assert_true(http_is_hop_by_hop(STR("upgrade")));
	assert_false(http_is_hop_by_hop(STR("Content-Length")));
	assert_false(http_is_hop_by_hop(STR("Upgrades")));
}

static void stripping_follows_connection(void **state)
{
	static const struct str lines[][2] = {
		{STR_INIT("X-A"), STR_INIT("1")},
		{STR_INIT("Connection"), STR_INIT("x-a, close")},
		{STR_INIT("X-B"), STR_INIT("2")},
		{STR_INIT("TE"), STR_INIT("trailers")},
		{STR_INIT("X-C"), STR_INIT("3")},
		{STR_INIT("x-a"), STR_INIT("4")},
		{STR_INIT("connection"), STR_INIT("connection, , X-C")},
		{STR_INIT("Keep-Alive"), STR_INIT("5")},
		{STR_INIT("X-D"), STR_INIT("6")},
	};
	struct http_headers h = {0};
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		http_header_add(&a, &h, lines[i][0], lines[i][1]);
	}
	http_strip_hop_by_hop(&h);
	assert_int_equal(h.n, 2);
	assert_str(h.v[0].name, STR("X-B"));
	assert_str(h.v[1].name, STR("X-D"));
	arena_fini(&a);
}

/* What says where a message goes and how to read it stays, whatever Connection claims. */
static void some_cannot_be_listed(void **state)
{
	static const char *const kept[] = {"Host",	    "Content-Type",	"content-length",
					   "Authorization", "Content-Encoding", "Cookie"};
	struct http_headers h = {0};
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		http_header_add(&a, &h, str_c(kept[i]), STR("1"));
	}
	http_header_add(&a, &h, STR("Connection"),
			STR("host, Content-type, Content-Length, authorization, x-a"));
	http_header_add(&a, &h, STR("Connection"), STR("content-encoding, cookie"));
	http_header_add(&a, &h, STR("X-A"), STR("1"));
	http_strip_hop_by_hop(&h);
	assert_int_equal(h.n, ARRAY_LEN(kept));
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_names_get_their_spelling),
		cmocka_unit_test(unknown_names_stay),
		cmocka_unit_test(hop_by_hop_names),
		cmocka_unit_test(stripping_follows_connection),
		cmocka_unit_test(some_cannot_be_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
