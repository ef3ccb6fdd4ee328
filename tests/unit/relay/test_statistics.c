#include "unit.h"

#include "base/mem.h"
#include "relay/config.h"
#include "relay/event_store.h"
#include "relay/rest_server.h"
#include "relay/statistics.h"
#include "relay/tenant_store.h"

#define NOW 1795213863000LL /* 2026-11-20T22:31:03Z */

struct fixture {
	struct rest_server server;
	struct statistics role;
	struct guid origin;
};

static void fill(struct fixture *fx)
{
	struct test_db *t = fx->server.db;
	struct tenant_row row = {.normalized = STR("T1"), .name = STR("t1")};
	struct event_writer w;
	struct relay_event e[3] = {
		{.kind = RELAY_EVENT_CONNECTED,
		 .wall_ms = NOW,
		 .tenant = STR("T1"),
		 .connection_id = STR("c1"),
		 .remote_ip = STR("192.0.2.7")},
		{.kind = RELAY_EVENT_REQUEST,
		 .wall_ms = NOW,
		 .tenant = STR("T1"),
		 .request_id = guid_new(),
		 .target = STR("web"),
		 .url = STR("a?b"),
		 .method = STR("GET"),
		 .duration_ms = 7,
		 .outcome = REQUEST_LOG_SUCCEEDED,
		 .status = {true, 200},
		 .response_bytes = {true, 56}},
		{.kind = RELAY_EVENT_REQUEST,
		 .wall_ms = NOW + 1000,
		 .tenant = STR("T1"),
		 .request_id = guid_new(),
		 .target = STR("erp"),
		 .url = STR(""),
		 .method = STR("POST"),
		 .duration_ms = 3000,
		 .request_bytes = 12,
		 .outcome = REQUEST_LOG_EXPIRED},
	};

	assert_ok(tenant_store_insert(t->db, &row));
	fx->origin = guid_new();
	event_writer_init(&w, &fx->origin);
	db_end_task(t->db);
	w.ops.write(&w.ops, t->db, e, ARRAY_LEN(e));
	test_db_new_task(t);
}

static int setup(void **state)
{
	struct fixture *fx = MEM_NEW(struct fixture);

	assert_int_equal(test_db_setup(state), 0);
	fx->server.db = *state;
	rest_server_start(&fx->server, &statistics_table, &fx->role);
	fill(fx);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;
	void *db = fx->server.db;

	rest_server_stop(&fx->server);
	mem_free(fx);
	return test_db_teardown(&db);
}

static struct talk_answer ask(void **state, const char *path)
{
	struct fixture *fx = *state;

	return rest_ask(&fx->server, "GET", path, "r", NULL);
}

static size_t count(void **state, const char *path)
{
	struct talk_answer a = ask(state, path);

	assert_int_equal(a.status, 200);
	return json_get(a.json, STR("results"))->n;
}

static struct str first(void **state, const char *path, const char *member)
{
	struct talk_answer a = ask(state, path);

	assert_int_equal(a.status, 200);
	return json_str(json_get(json_get(a.json, STR("results"))->child, str_c(member)));
}

static void keys_are_checked(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(rest_ask(&fx->server, "GET", "/statistics/origins", NULL, NULL).status,
			 401);
	assert_int_equal(rest_ask(&fx->server, "GET", "/statistics/origins", "w", NULL).status,
			 403);
	assert_int_equal(rest_ask(&fx->server, "POST", "/statistics/origins", "rw", "{}").status,
			 405);
}

static void requests_are_listed(void **state)
{
	static const struct {
		const char *query;
		size_t n;
	} cases[] = {
		{"", 2},
		{"?tenant=T1", 2},
		{"?tenant=t1&target=WEB", 1},
		{"?tenant=other", 0},
		{"?outcome=Expired", 1},
		{"?outcome=failed", 0},
		{"?from=2026-11-20T22:31:04Z", 1},
		{"?to=2026-11-20T22:31:04Z", 1},
		{"?from=2026-11-20T22:31:03Z&to=2026-11-20T22:31:05%2B00:00", 2},
		{"?take=1", 1},
		{"?skip=2", 0},
		{"?tenant=", 2},
	};
	struct fixture *fx = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str path =
			str_fmt(&fx->server.arena, "/statistics/requests%s", cases[i].query);

		assert_int_equal(count(state, str_cstr(&fx->server.arena, path)), cases[i].n);
	}
	assert_str(first(state, "/statistics/requests", "outcome"), STR("expired"));
	assert_str(first(state, "/statistics/requests?target=web", "requestUrl"), STR("a?b"));
	assert_str(first(state, "/statistics/requests?target=web", "requestDate"),
		   STR("2026-11-20T22:31:03.000Z"));
}

static void bad_filters_are_refused(void **state)
{
	static const char *const paths[] = {
		"/statistics/requests?from=yesterday", "/statistics/requests?outcome=odd",
		"/statistics/requests?skip=x",	       "/statistics/connections?active=perhaps",
		"/statistics/connections?originId=5",  "/statistics/requests?target=%zz",
	};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct talk_answer a = ask(state, paths[i]);

		assert_int_equal(a.status, 400);
		assert_true(a.body.n > 0);
	}
}

static void connections_and_origins_are_listed(void **state)
{
	struct fixture *fx = *state;
	struct arena *a = &fx->server.arena;
	struct str id = guid_d_str(a, &fx->origin);
	const char *of_origin = str_cstr(
		a, str_fmt(a, "/statistics/connections?active=true&originId=%.*s", STR_ARG(id)));

	assert_str(first(state, of_origin, "remoteIpAddress"), STR("192.0.2.7"));
	assert_str(first(state, of_origin, "tenantName"), STR("t1"));
	assert_int_equal(count(state, "/statistics/connections?active=false"), 0);
	assert_str(first(state, "/statistics/origins", "id"), id);
}

static void a_tenant_is_summed_up(void **state)
{
	struct talk_answer a = ask(state, "/statistics/tenants/T1/summary");

	assert_int_equal(a.status, 200);
	assert_str(a.body,
		   STR("{\"requests\":2,\"succeeded\":1,\"aborted\":0,\"failed\":0,\"expired\":1,"
		       "\"errored\":0,\"requestBytes\":12,\"responseBytes\":56,"
		       "\"durationAverage\":7,\"durationP95\":7,\"durationMaximum\":7,"
		       "\"activeConnections\":1}"));
	a = ask(state, "/statistics/tenants/t1/summary?from=2027-01-01T00:00:00Z");
	assert_true(str_find(a.body, STR("\"durationP95\":null")) > 0);
	assert_int_equal(ask(state, "/statistics/tenants/nobody/summary").status, 404);
}

static void the_interface_describes_itself(void **state)
{
	assert_non_null(
		json_get(ask(state, "/docs/StatisticsApi/openapi.json").json, STR("paths")));
	assert_true(str_find(ask(state, "/").body, STR("/statistics/requests")) > 0);
}

#define WITH_SERVER(test)                                                                          \
	{#test " (sqlite)", test, setup, teardown, (void *)(uintptr_t)TEST_SQLITE},                \
	{                                                                                          \
#test " (pgsql)", test, setup, teardown, (void *)(uintptr_t)TEST_PGSQL             \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(keys_are_checked),
		WITH_SERVER(requests_are_listed),
		WITH_SERVER(bad_filters_are_refused),
		WITH_SERVER(connections_and_origins_are_listed),
		WITH_SERVER(a_tenant_is_summed_up),
		WITH_SERVER(the_interface_describes_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
