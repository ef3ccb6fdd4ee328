#include "unit.h"

#include "connector/endpoints.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static const char document[] =
	"{\"serverVersion\":\"3.1.0+abc\",\"authorizationServer\":\"http://idp/\","
	"\"authorizationTokenEndpoint\":\"http://idp/connect/token\","
	"\"connectorEndpoint\":\"http://relay:5000/base/connector/\","
	"\"acknowledgeEndpoint\":\"http://relay:5000/acknowledge\","
	"\"requestEndpoint\":\"http://relay:5000/body/request\","
	"\"responseEndpoint\":\"http://relay:5000/body/response\","
	"\"endpointTimeout\":\"00:01:00\",\"reconnectMinimumDelay\":\"00:00:05\","
	"\"reconnectMaximumDelay\":\"00:00:10\",\"handshakeTimeout\":\"00:00:07\","
	"\"keepAliveInterval\":\"00:00:09\"}";

static void discovery_is_read(void **state)
{
	(void)state;
	struct endpoints e;

	assert_ok(endpoints_parse(&arena, STR(document), &e, NULL));
	assert_true(e.has_token);
	assert_str(e.token.host, STR("idp"));
	assert_str(e.connector.path, STR("/base/connector"));
	assert_int_equal(e.connector.port, 5000);
	assert_str(e.acknowledge, STR("http://relay:5000/acknowledge"));
	assert_int_equal(e.timeout_ms, 60000);
	assert_int_equal(e.reconnect_min_ms, 5000);
	assert_int_equal(e.reconnect_max_ms, 10000);
	assert_int_equal(e.handshake_timeout_ms, 7000);
	assert_int_equal(e.keep_alive_ms, 9000);
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	struct endpoints e;

	for (size_t n = 0; n < sizeof(document) - 1; n++) {
		assert_err(endpoints_parse(&arena, str_of(document, n), &e, NULL), ERR_PROTO);
	}
}

/* The document with one piece of text in place of another. */
static struct str with(const char *from, const char *to)
{
	struct str s = STR(document);
	size_t at = (size_t)str_find(s, str_c(from));

	return str_fmt(&arena, "%.*s%s%s", (int)at, s.p, to, s.p + at + strlen(from));
}

static void defaults_and_refusals(void **state)
{
	(void)state;
	struct endpoints e;
	struct fault f = {0};

	assert_ok(endpoints_parse(&arena, with("00:00:09", "soon"), &e, NULL));
	assert_int_equal(e.keep_alive_ms, 15000);
	assert_ok(endpoints_parse(&arena, with("00:00:05", "00:00:11"), &e, NULL));
	assert_int_equal(e.reconnect_min_ms, 30000);
	assert_ok(endpoints_parse(&arena, with("http://idp/connect/token", ""), &e, NULL));
	assert_false(e.has_token);
	assert_err(
		endpoints_parse(&arena, with("http://relay:5000/body/request", "nowhere"), &e, &f),
		ERR_PROTO);
	assert_true(str_find(str_c(f.text), STR("requestEndpoint")) >= 0);
	assert_ok(endpoints_parse(&arena, with("http://relay:5000/base", "https://relay/base"), &e,
				  NULL));
	assert_true(e.connector.tls);
}

static void delays_that_contradict_are_ignored(void **state)
{
	(void)state;
	struct endpoints e;

	assert_ok(endpoints_parse(&arena, STR(document), &e, NULL));
	endpoints_set_delays(&e, (struct opt_i64){true, 20000}, (struct opt_i64){0});
	assert_int_equal(e.reconnect_min_ms, 5000);
	endpoints_set_delays(&e, (struct opt_i64){true, 1000}, (struct opt_i64){true, 2000});
	assert_int_equal(e.reconnect_min_ms, 1000);
	assert_int_equal(e.reconnect_max_ms, 2000);
}

static void negotiations(void **state)
{
	(void)state;
	struct negotiation n;
	struct fault f = {0};

	assert_ok(negotiation_parse(
		&arena,
		STR("{\"negotiateVersion\":1,\"connectionId\":\"a\",\"connectionToken\":\"b/+\","
		    "\"availableTransports\":[{\"transport\":\"WebSockets\"},"
		    "{\"transport\":\"LongPolling\",\"transferFormats\":[\"Text\"]},7]}"),
		&n, NULL));
	assert_str(n.id, STR("b%2F%2B"));
	assert_true(n.offers[LINK_WEBSOCKETS] && n.offers[LINK_LONG_POLLING]);
	assert_false(n.offers[LINK_SERVER_SENT_EVENTS]);
	assert_ok(negotiation_parse(&arena, STR("{\"connectionId\":\"a\"}"), &n, NULL));
	assert_str(n.id, STR("a"));
	assert_err(negotiation_parse(&arena, STR("{\"error\":\"no\"}"), &n, &f), ERR_DENIED);
	assert_true(str_find(str_c(f.text), STR("no")) >= 0);
	assert_err(negotiation_parse(&arena, STR("{}"), &n, NULL), ERR_PROTO);
	assert_err(negotiation_parse(&arena, STR("x"), &n, NULL), ERR_PROTO);
}

static void tokens(void **state)
{
	(void)state;
	struct token_answer t;

	assert_ok(token_answer_parse(
		&arena,
		STR("{\"access_token\":\"abc\",\"token_type\":\"Bearer\",\"expires_in\":300}"), &t,
		NULL));
	assert_str(t.authorization, STR("Bearer abc"));
	assert_int_equal(t.lifetime_ms, 240000);
	assert_ok(token_answer_parse(&arena, STR("{\"access_token\":\"abc\"}"), &t, NULL));
	assert_true(t.lifetime_ms == INT64_MAX);
	assert_ok(token_answer_parse(&arena, STR("{\"access_token\":\"abc\",\"expires_in\":1}"), &t,
				     NULL));
	assert_true(t.lifetime_ms < 0);
	assert_err(token_answer_parse(&arena, STR("{\"access_token\":\"a\\r\\nb\"}"), &t, NULL),
		   ERR_PROTO);
	assert_err(token_answer_parse(&arena,
				      STR("{\"access_token\":\"a\",\"token_type\":\"mac\"}"), &t,
				      NULL),
		   ERR_PROTO);
	assert_err(token_answer_parse(&arena, STR("{}"), &t, NULL), ERR_PROTO);
}

/* The secret of the original's samples. */
static void basic_is_form_encoded(void **state)
{
	(void)state;
	assert_str(token_basic(&arena, STR("TestTenant1"), STR("<Strong!Passw0rd>")),
		   STR("Basic VGVzdFRlbmFudDE6JTNDU3Ryb25nJTIxUGFzc3cwcmQlM0U="));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(discovery_is_read),     TEST(every_truncation_is_refused),
		TEST(defaults_and_refusals), TEST(delays_that_contradict_are_ignored),
		TEST(negotiations),	     TEST(tokens),
		TEST(basic_is_form_encoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
