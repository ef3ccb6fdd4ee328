#include "relay_fixture.h"

static void test_handshake(void **state)
{
	struct fake_link *l = connect_to(*state, "T1");

	assert_str(said(l), STR("{}\n"));
	assert_int_equal(l->conn->state, HUB_OPEN);
}

/* Every cut of the byte sequence gives the same conversation. */
static void test_split_records(void **state)
{
	static const char talk[] = "{\"protocol\":\"json\",\"version\":1}\n"
				   "{\"type\":6}\n"
				   "{\"type\":1,\"target\":\"Foo\",\"arguments\":[],"
				   "\"invocationId\":\"7\"}\n";

	for (size_t cut = 1; cut < sizeof(talk) - 1; cut++) {
		struct relay_fixture *x = *state;
		char first[sizeof(talk)] = {0}, second[sizeof(talk)] = {0};

		memcpy(first, talk, cut);
		memcpy(second, talk + cut, sizeof(talk) - 1 - cut);
		struct fake_link *l = attach(x, "T1");

		say(l, first);
		say(l, second);
		settle(x);
		assert_int_equal(l->conn->state, HUB_OPEN);
		assert_true(str_starts(said(l), STR("{}\n")));
		hub_lost(l->conn);
		buf_free(&l->said);
		mem_free(l);
		x->n_links--;
	}
}

static void test_handshake_errors(void **state)
{
	static const char *const cases[][2] = {
		{"{\"protocol\":\"messagepack\",\"version\":1}\n",
		 "{\"error\":\"The protocol 'messagepack' is not supported.\"}\n"},
		{"{\"protocol\":\"json\",\"version\":2}\n",
		 "{\"error\":\"The server does not support version 2 of the 'json' protocol.\"}\n"},
		{"nonsense\n", NULL},
		{"{}\n", NULL},
		{"\n", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fake_link *l = attach(*state, "T1");

		say(l, cases[i][0]);
		assert_true(l->closed);
		assert_true(str_starts(said(l), STR("{\"error\":\"")));
		if (cases[i][1]) {
			assert_str(said(l), str_c(cases[i][1]));
		}
	}
}

static void test_unknown_tenant(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *l = attach(x, "NOBODY");

	say(l, "{\"protocol\":\"json\",\"version\":1}\n");
	settle(x);
	assert_true(l->closed);
	assert_str(said(l), STR("{}\n"));
}

static void test_automatic_creation(void **state)
{
	struct relay_fixture *x = *state;

	x->config.enable_automatic_tenant_creation = true;
	struct fake_link *l = connect_to(x, "NOBODY");

	assert_int_equal(l->conn->state, HUB_OPEN);
	assert_str(fake_created, STR("new"));
}

static void test_database_down(void **state)
{
	struct relay_fixture *x = *state;

	fake_result = ERR_UNAVAILABLE;
	struct fake_link *l = attach(x, "T1");

	say(l, "{\"protocol\":\"json\",\"version\":1}\n");
	settle(x);
	assert_true(l->closed);
}

static void test_configure(void **state)
{
	struct fake_link *l = connect_to(*state, "CONFIGURED");

	assert_str(said(l), STR("{}\n{\"type\":1,\"target\":\"Configure\",\"arguments\":[{"
				"\"tenantName\":\"CONFIGURED\",\"keepAliveInterval\":\"00:00:20\","
				"\"enableTracing\":true,\"reconnectMinimumDelay\":null,"
				"\"reconnectMaximumDelay\":null}]}\n"));
	assert_int_equal(l->conn->keep_alive_ms, 20000);
}

struct talk {
	const char *in, *out;
};

static void test_records(void **state)
{
	static const struct talk cases[] = {
		{"{\"type\":1,\"target\":\"Foo\",\"arguments\":[],\"invocationId\":\"7\"}\n",
		 "{\"type\":3,\"invocationId\":\"7\",\"error\":\"Failed to invoke 'Foo' due to an "
		 "error on the server. HubException: Method does not exist.\"}\n"},
		{"{\"type\":1,\"target\":\"Foo\",\"arguments\":[]}\n", ""},
		{"{\"type\":1,\"target\":\"Deliver\",\"arguments\":[],\"invocationId\":\"1\"}\n",
		 "{\"type\":3,\"invocationId\":\"1\",\"error\":\"Failed to invoke 'Deliver' due to "
		 "an error on the server.\"}\n"},
		{"{\"arguments\":[{\"requestId\":\"6f1c0000-0000-0000-0000-000000000001\","
		 "\"httpStatusCode\":200}],\"invocationId\":\"0\",\"target\":\"dELIVER\","
		 "\"type\":1}\n",
		 "{\"type\":3,\"invocationId\":\"0\",\"result\":null}\n"},
		{"{\"type\":1,\"target\":\"acknowledge\",\"arguments\":[{\"originId\":null,"
		 "\"requestId\":\"6f1c0000-0000-0000-0000-000000000001\","
		 "\"removeRequestBodyContent\":true}],\"invocationId\":\"2\"}\n",
		 "{\"type\":3,\"invocationId\":\"2\",\"result\":null}\n"},
		{"{\"type\":6}\n", ""},
		{"{\"type\":99}\n", ""},
		{"{\"type\":3,\"invocationId\":\"1\",\"result\":null}\n{\"type\":6}\n", ""},
	};
	struct relay_fixture *x = *state;
	struct fake_link *l = connect_to(x, "T1");

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		unsay(l);
		say(l, cases[i].in);
		assert_str(said(l), str_c(cases[i].out));
		assert_false(l->closed);
	}
}

static void test_malformed(void **state)
{
	static const char *const cases[] = {"x\n",
					    "[]\n",
					    "{}\n",
					    "{\"type\":\"x\"}\n",
					    "\n",
					    "{\"type\":1,\"type\":1}\n",
					    "{\"type\":1,\"target\":7,\"arguments\":[]}\n",
					    "{\"type\":1,\"target\":\"x\"}\n"};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fake_link *l = connect_to(*state, "T1");

		unsay(l);
		say(l, cases[i]);
		assert_true(l->closed);
		assert_str(said(l),
			   STR("{\"type\":7,\"error\":\"Connection closed with an error.\"}\n"));
	}
}

static void test_too_long(void **state)
{
	struct relay_fixture *x = *state;

	x->config.message_max = 1 << 20;
	struct fake_link *l = connect_to(x, "T1");
	size_t n = (1 << 20) + 1;
	char *p = mem_alloc(n);

	memset(p, ' ', n);
	hub_feed(l->conn, str_of(p, n / 2));
	assert_false(l->closed);
	hub_feed(l->conn, str_of(p, n - n / 2));
	assert_true(l->closed);
	mem_free(p);
}

static void test_client_closes(void **state)
{
	struct fake_link *l = connect_to(*state, "T1");

	unsay(l);
	say(l, "{\"type\":7}\n{\"type\":6}\n");
	assert_true(l->closed);
	assert_str(said(l), STR(""));
}

/* Each answer is small, but nobody reads them. */
static void test_asks_without_reading(void **state)
{
	static const char ask[] =
		"{\"type\":1,\"target\":\"x\",\"arguments\":[],\"invocationId\":\"1\"}\n"
		"{\"type\":6}\n";
	struct fake_link *l = connect_to(*state, "T1");

	l->pending = HUB_UNREAD_MAX;
	say(l, ask);
	assert_false(l->closed);
	l->pending++;
	say(l, ask);
	assert_true(l->closed);
}

static bool has_said(void *arg)
{
	return ((struct fake_link *)arg)->said.n > 0;
}

static bool is_closed(void *arg)
{
	return ((struct fake_link *)arg)->closed;
}

static void test_keep_alive(void **state)
{
	struct relay_fixture *x = *state;

	x->config.keep_alive_interval_ms = 20;
	struct fake_link *l = connect_to(x, "T1");

	unsay(l);
	run_until(x, has_said, l);
	assert_str(said(l), STR("{\"type\":6}\n"));
	say(l, "{\"type\":6}\n");
	uint64_t from = l->conn->last_heard_ms;

	run_until(x, is_closed, l);
	assert_true(loop_now_ms(x->loop) - from >= 40);
}

/* Without a first ping it takes longer, but it does not take forever. */
static void test_never_pings(void **state)
{
	struct relay_fixture *x = *state;

	x->config.keep_alive_interval_ms = 10;
	struct fake_link *l = connect_to(x, "T1");
	uint64_t from = l->conn->last_heard_ms;

	run_until(x, is_closed, l);
	assert_true(loop_now_ms(x->loop) - from >= 40);
}

/* ---- what statistics hear ---- */

struct recorder {
	struct relay_event_ops ops;
	size_t n[RELAY_EVENT_SEEN + 1]; /* of each kind */
};

static size_t record(const struct relay_event_ops *ops, void *worker, const struct relay_event *v,
		     size_t n)
{
	struct recorder *rec = (struct recorder *)(uintptr_t)ops;

	(void)worker;
	for (size_t i = 0; i < n; i++) {
		rec->n[v[i].kind]++;
	}
	return 0;
}

struct moment {
	const struct hub_conn *conn;
	uint64_t seen_ms;
};

static bool is_seen_anew(void *arg)
{
	const struct moment *m = arg;

	return m->conn->next_seen_ms != m->seen_ms;
}

static void check_that_it_is_seen(struct relay_fixture *x, const struct transport_ops *transport)
{
	struct recorder rec = {.ops = {record}};

	x->rl->events.ops = &rec.ops;
	x->relay->deps.connection_seen_ms = 10;
	x->config.keep_alive_interval_ms = 3600 * 1000;
	struct fake_link *l = attach(x, "T1");

	l->conn->transport = transport;
	say(l, "{\"protocol\":\"json\",\"version\":1}\n");
	settle(x);
	for (int i = 0; i < 3; i++) {
		struct moment m = {l->conn, l->conn->next_seen_ms};

		run_until(x, is_seen_anew, &m);
	}
	relay_event_flush(&x->rl->events);
	settle(x);
	x->rl->events.ops = NULL;
	assert_int_equal(rec.n[RELAY_EVENT_CONNECTED], 1);
	assert_true(rec.n[RELAY_EVENT_SEEN] >= 3);
	assert_int_equal(rec.n[RELAY_EVENT_DISCONNECTED], 0);
}

static void test_is_seen_when_quiet(void **state)
{
	check_that_it_is_seen(*state, &fake_transport);
}

static void test_is_seen_without_pings(void **state)
{
	static struct transport_ops polls;

	polls = fake_transport;
	polls.pings = false;
	check_that_it_is_seen(*state, &polls);
}

static void test_handshake_timeout(void **state)
{
	struct relay_fixture *x = *state;

	x->config.handshake_timeout_ms = 10;
	struct fake_link *l = attach(x, "T1");

	run_until(x, is_closed, l);
	assert_str(said(l), STR("{\"error\":\"Handshake was canceled.\"}\n"));
}

static void test_drain_says_come_back(void **state)
{
	struct relay_fixture *x = *state;
	struct fake_link *l = connect_to(x, "T1");

	unsay(l);
	drain(x);
	assert_true(l->closed);
	assert_str(said(l), STR("{\"type\":7,\"allowReconnect\":true}\n"));
}

#define RELAY_TEST(fn) cmocka_unit_test_setup_teardown(fn, relay_setup, relay_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RELAY_TEST(test_handshake),	     RELAY_TEST(test_split_records),
		RELAY_TEST(test_handshake_errors),   RELAY_TEST(test_unknown_tenant),
		RELAY_TEST(test_automatic_creation), RELAY_TEST(test_database_down),
		RELAY_TEST(test_configure),	     RELAY_TEST(test_records),
		RELAY_TEST(test_malformed),	     RELAY_TEST(test_too_long),
		RELAY_TEST(test_client_closes),	     RELAY_TEST(test_asks_without_reading),
		RELAY_TEST(test_keep_alive),	     RELAY_TEST(test_never_pings),
		RELAY_TEST(test_is_seen_when_quiet), RELAY_TEST(test_is_seen_without_pings),
		RELAY_TEST(test_handshake_timeout),  RELAY_TEST(test_drain_says_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
