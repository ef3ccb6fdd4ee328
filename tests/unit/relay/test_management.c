#include "unit.h"

#include "base/clock.h"
#include "base/mem.h"
#include "identity/secret_store.h"
#include "relay/management.h"
#include "relay/rest_server.h"

#include <stdatomic.h>

struct fixture {
	struct rest_server server;
	struct management role;
	atomic_int changes;
};

static void on_changed(void *arg, struct str normalized)
{
	struct fixture *fx = arg;

	assert_true(normalized.n > 0);
	atomic_fetch_add(&fx->changes, 1);
}

static int setup(void **state)
{
	struct fixture *fx = MEM_NEW(struct fixture);

	assert_int_equal(test_db_setup(state), 0);
	fx->server.db = *state;
	fx->role = (struct management){.tenant_changed = on_changed, .arg = fx};
	rest_server_start(&fx->server, &management_table, &fx->role);
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

static struct talk_answer ask(void **state, const char *method, const char *path, const char *key,
			      const char *body)
{
	struct fixture *fx = *state;

	return rest_ask(&fx->server, method, path, key, body);
}

static int status_of(void **state, const char *method, const char *path, const char *key,
		     const char *body)
{
	return ask(state, method, path, key, body).status;
}

static void assert_body(void **state, const char *path, const char *want)
{
	struct talk_answer a = ask(state, "GET", path, "r", NULL);

	assert_int_equal(a.status, 200);
	assert_str(a.body, str_c(want));
}

#define TENANTS "/management/tenants"

static void keys_are_checked(void **state)
{
	static const struct {
		const char *method, *path, *key;
		int status;
	} cases[] = {
		{"GET", TENANTS, NULL, 401},
		{"GET", TENANTS, "x", 401},
		{"GET", TENANTS, "R", 401},
		{"GET", TENANTS, "w", 403},
		{"GET", TENANTS, "r", 200},
		{"GET", TENANTS, "rw", 200},
		{"POST", TENANTS, "r", 403},
		{"PUT", TENANTS "/a", "r", 403},
		{"DELETE", TENANTS "/a", "r", 403},
		{"DELETE", TENANTS "/a", "w", 404},
		{"POST", TENANTS "/a/secrets", "r", 403},
		{"GET", TENANTS "/a/secrets", "w", 403},
		{"GET", TENANTS "/a/secrets", "rw", 404},
		{"PATCH", TENANTS, "rw", 405},
		{"GET", "/management/nothing", "rw", 404},
		{"GET", "/MANAGEMENT/Tenants", "r", 200},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct talk_answer a =
			ask(state, cases[i].method, cases[i].path, cases[i].key, NULL);

		assert_int_equal(a.status, cases[i].status);
		if (a.status != 200) {
			assert_int_equal(a.body.n, 0);
			assert_true(str_find(a.head, STR("WWW-Authenticate")) < 0);
		}
	}
}

static void a_tenant_lives(void **state)
{
	struct fixture *fx = *state;
	struct talk_answer a = ask(
		state, "POST", TENANTS, "w",
		"{\"id\":1,\"Name\":\"Branch1\",\"displayName\":\"Branch 1\",\"credentials\":[],"
		"\"keepAliveInterval\":\"00:00:20\"}");

	assert_int_equal(a.status, 202);
	assert_int_equal(a.body.n, 0);
	assert_true(str_find(a.head, STR("Location")) < 0);
	assert_body(state, TENANTS "/bRANCH1",
		    "{\"name\":\"Branch1\",\"displayName\":\"Branch 1\",\"description\":null,"
		    "\"requireAuthentication\":false,\"maximumConcurrentConnectorRequests\":0,"
		    "\"keepAliveInterval\":\"00:00:20\",\"enableTracing\":null,"
		    "\"reconnectMinimumDelay\":null,\"reconnectMaximumDelay\":null}");

	a = ask(state, "PUT", TENANTS "/branch1", "w",
		"{\"name\":\"other\",\"requireAuthentication\":true,"
		"\"maximumConcurrentConnectorRequests\":5,\"enableTracing\":true}");
	assert_int_equal(a.status, 202);
	assert_int_equal(a.body.n, 0);
	assert_body(state, TENANTS "/branch1",
		    "{\"name\":\"Branch1\",\"displayName\":null,\"description\":null,"
		    "\"requireAuthentication\":true,\"maximumConcurrentConnectorRequests\":5,"
		    "\"keepAliveInterval\":null,\"enableTracing\":true,"
		    "\"reconnectMinimumDelay\":null,\"reconnectMaximumDelay\":null}");

	assert_int_equal(status_of(state, "PUT", TENANTS "/branch1", "w", "{}"), 202);
	a = ask(state, "GET", TENANTS "/branch1", "r", NULL);
	assert_false(json_bool(json_get(a.json, STR("requireAuthentication"))));
	assert_true(json_bool(json_get(a.json, STR("enableTracing"))));

	assert_int_equal(status_of(state, "DELETE", TENANTS "/BRANCH1", "w", NULL), 204);
	assert_int_equal(status_of(state, "DELETE", TENANTS "/BRANCH1", "w", NULL), 404);
	assert_int_equal(status_of(state, "PUT", TENANTS "/branch1", "w", "{}"), 404);
	assert_int_equal(status_of(state, "GET", TENANTS "/branch1", "r", NULL), 404);
	assert_int_equal(atomic_load(&fx->changes), 4);
}

static void lists_are_pages(void **state)
{
	assert_body(state, TENANTS,
		    "{\"results\":[],\"totalCount\":0,\"offset\":0,\"pageSize\":10}");
	assert_int_equal(status_of(state, "POST", TENANTS, "w", "{\"name\":\"b\"}"), 202);
	assert_int_equal(status_of(state, "POST", TENANTS, "w", "{\"name\":\"A\"}"), 202);
	struct talk_answer a = ask(state, "GET", TENANTS "?skip=1&take=1", "r", NULL);
	const struct json *results = json_get(a.json, STR("results"));
	int64_t n = 0;

	assert_int_equal(results->n, 1);
	assert_str(json_str(json_get(results->child, STR("name"))), STR("b"));
	assert_true(json_int(json_get(a.json, STR("totalCount")), &n) && n == 2);
	assert_true(json_int(json_get(a.json, STR("offset")), &n) && n == 1);
	assert_true(json_int(json_get(a.json, STR("pageSize")), &n) && n == 1);
	a = ask(state, "GET", TENANTS "?take=100000", "r", NULL);
	assert_true(json_int(json_get(a.json, STR("pageSize")), &n) && n == 1000);
	assert_int_equal(status_of(state, "GET", TENANTS "?take=x", "r", NULL), 400);
	assert_int_equal(status_of(state, "GET", TENANTS "?skip=-1", "r", NULL), 400);
}

static void bad_input_is_refused(void **state)
{
	static const struct {
		const char *body;
		int status;
		const char *text;
	} cases[] = {
		{"{\"name\":\"A\"}", 409, "there is already a tenant \\\"A\\\""},
		{"{\"displayName\":\"x\"}", 400, "tenant.name: is required"},
		{"{\"name\":null}", 400, "tenant.name: is required"},
		{"{\"name\":\"a/b\"}", 400, "slash"},
		{"{\"name\":5}", 400, "tenant.name"},
		{"{\"name\":\"x\",\"keepAliveInterval\":\"soon\"}", 400, "keepAliveInterval"},
		{"{\"name\":\"x\",\"keepAliveInterval\":\"00:00:00\"}", 400, "keepAliveInterval"},
		{"{\"name\":\"x\",\"keepAliveInterval\":\"00:00:00.05\"}", 400,
		 "at least a second"},
		{"{\"name\":\"x\",\"reconnectMinimumDelay\":\"-00:00:01\"}", 400, "more than 0"},
		{"{\"name\":\"x\",\"requireAuthentication\":\"maybe\"}", 400,
		 "requireAuthentication"},
		{"{\"name\":\"x\",\"maximumConcurrentConnectorRequests\":99999999999}", 400,
		 "maximum"},
		{"{\"name\":\"x\",\"displayName\":\"a\\u0000b\"}", 400, "NUL"},
		{"{\"name\":", 400, ""},
		{"[]", 400, ""},
	};

	assert_int_equal(status_of(state, "POST", TENANTS, "w", "{\"name\":\"a\"}"), 202);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct talk_answer a = ask(state, "POST", TENANTS, "w", cases[i].body);

		assert_int_equal(a.status, cases[i].status);
		assert_true(str_find(a.body, str_c(cases[i].text)) >= 0);
	}
	assert_int_equal(status_of(state, "POST", TENANTS, "w", NULL), 415);
}

/* ---- secrets ---- */

static void check_secret(struct fixture *fx, struct str secret, enum err want)
{
	struct client client;

	assert_err(
		client_authenticate(fx->server.db->db, STR("A"), secret, clock_wall_ms(), &client),
		want);
	test_db_new_task(fx->server.db);
}

static void a_secret_is_shown_once(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(status_of(state, "POST", TENANTS, "w", "{\"name\":\"a\"}"), 202);
	struct talk_answer made = ask(state, "POST", TENANTS "/a/secrets", "w", NULL);
	struct str secret = json_str(json_get(made.json, STR("secret")));
	struct str id = json_str(json_get(made.json, STR("id")));

	assert_int_equal(made.status, 201);
	assert_int_equal(secret.n, 43);
	assert_true(str_find(made.head, STR("no-store")) > 0);
	check_secret(fx, secret, ERR_OK);

	struct talk_answer list = ask(state, "GET", TENANTS "/a/secrets", "r", NULL);
	const struct json *results = json_get(list.json, STR("results"));
	assert_int_equal(results->n, 1);
	assert_str(json_str(json_get(results->child, STR("id"))), id);
	assert_null(json_get(results->child, STR("secret")));
	assert_true(str_find(list.body, secret) < 0);

	const char *path =
		str_cstr(&fx->server.arena,
			 str_fmt(&fx->server.arena, TENANTS "/a/secrets/%.*s", STR_ARG(id)));
	assert_int_equal(status_of(state, "DELETE", path, "w", NULL), 204);
	assert_int_equal(status_of(state, "DELETE", path, "w", NULL), 404);
	assert_int_equal(status_of(state, "DELETE", TENANTS "/a/secrets/5", "w", NULL), 404);
	check_secret(fx, secret, ERR_UNAUTHENTICATED);
}

static void a_secret_may_be_chosen_and_may_end(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(status_of(state, "POST", TENANTS, "w", "{\"name\":\"a\"}"), 202);
	struct talk_answer a = ask(state, "POST", TENANTS "/a/secrets", "w",
				   "{\"secret\":\"<Strong!Passw0rd>\","
				   "\"expiration\":\"2999-01-01T00:00:00Z\"}");
	assert_int_equal(a.status, 201);
	assert_true(str_find(a.body, STR("2999-01-01T00:00:00")) > 0);
	check_secret(fx, STR("<Strong!Passw0rd>"), ERR_OK);
	assert_int_equal(
		status_of(state, "POST", TENANTS "/a/secrets", "w", "{\"secret\":\"short\"}"), 400);
	assert_int_equal(status_of(state, "POST", TENANTS "/a/secrets", "w",
				   "{\"expiration\":\"2001-01-01T00:00:00Z\"}"),
			 400);
	assert_int_equal(status_of(state, "POST", TENANTS "/b/secrets", "w", NULL), 404);
}

static void secrets_are_limited(void **state)
{
	assert_int_equal(status_of(state, "POST", TENANTS, "w", "{\"name\":\"a\"}"), 202);
	for (int i = 0; i < CLIENT_SECRETS_MAX; i++) {
		assert_int_equal(status_of(state, "POST", TENANTS "/a/secrets", "w", NULL), 201);
	}
	assert_int_equal(status_of(state, "POST", TENANTS "/a/secrets", "w", NULL), 409);
}

/* ---- documents ---- */

static void the_interface_describes_itself(void **state)
{
	struct talk_answer a = ask(state, "GET", "/docs/ManagementApi/openapi.json", NULL, NULL);

	assert_int_equal(a.status, 200);
	assert_non_null(json_get(json_get(a.json, STR("paths")),
				 STR("/management/tenants/{name}/secrets")));
	a = ask(state, "GET", "/", NULL, NULL);
	assert_int_equal(a.status, 200);
	assert_true(str_find(a.head, STR("text/html")) > 0);
	assert_true(str_find(a.body, STR("GET /management/tenants/{name}")) > 0);
}

static void trouble_is_503(void **state)
{
	struct fixture *fx = *state;

	db_fail_after(fx->server.db->pool, 1);
	assert_int_equal(status_of(state, "GET", TENANTS "/a", "r", NULL), 503);
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
		WITH_SERVER(a_tenant_lives),
		WITH_SERVER(lists_are_pages),
		WITH_SERVER(bad_input_is_refused),
		WITH_SERVER(a_secret_is_shown_once),
		WITH_SERVER(a_secret_may_be_chosen_and_may_end),
		WITH_SERVER(secrets_are_limited),
		WITH_SERVER(the_interface_describes_itself),
		WITH_SERVER(trouble_is_503),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
