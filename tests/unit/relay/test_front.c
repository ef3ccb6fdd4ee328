#include "unit.h"

#include "relay/front.h"

struct front_case {
	const char *path;
	enum err err;
	enum front_kind kind;
	const char *tenant, *target, *url;
};

static const struct front_case cases[] = {
	{"/relay/T1/web", ERR_OK, FRONT_RELAY, "T1", "web", ""},
	{"/relay/T1/web/", ERR_OK, FRONT_RELAY, "T1", "web", ""},
	{"/RELAY/t1/$PING", ERR_OK, FRONT_RELAY, "t1", "$PING", ""},
	{"/queue/T/x/a", ERR_OK, FRONT_QUEUE, "T", "x", "a"},
	{"/trace/T/x/a", ERR_OK, FRONT_TRACE, "T", "x", "a"},
	{"/relay", ERR_OK, FRONT_RELAY, "", "", ""},
	{"/relay/", ERR_OK, FRONT_RELAY, "", "", ""},
	{"/relay/T", ERR_OK, FRONT_RELAY, "T", "", ""},
	{"/relay/T/x/a/?b=1", ERR_OK, FRONT_RELAY, "T", "x", "a/?b=1"},
	{"/relay/T/x?b=1", ERR_OK, FRONT_RELAY, "T", "x", "?b=1"},
	{"/relay/T/x?", ERR_OK, FRONT_RELAY, "T", "x", "?"},
	{"/relay/T/web/a%20b%2Fc?x=%26", ERR_OK, FRONT_RELAY, "T", "web", "a%20b%2Fc?x=%26"},
	{"/relay/B%20ranch/%24ping", ERR_OK, FRONT_RELAY, "B ranch", "$ping", ""},
	{"/relayX/T/x", ERR_OK, FRONT_NONE, "", "", ""},
	{"/", ERR_OK, FRONT_NONE, "", "", ""},
	{"*", ERR_OK, FRONT_NONE, "", "", ""},
	{"", ERR_OK, FRONT_NONE, "", "", ""},
	{"/.well-known/RelayServer-Configuration", ERR_OK, FRONT_DISCOVERY, "", "", ""},
	{"/.well-known/relayserver-configuration?x", ERR_OK, FRONT_DISCOVERY, "", "", ""},
	{"/connector", ERR_OK, FRONT_CONNECTOR, "", "", ""},
	{"/connector/", ERR_OK, FRONT_NONE, "", "", ""},
	{"/Connector/Negotiate?negotiateVersion=1", ERR_OK, FRONT_NEGOTIATE, "", "", ""},
	{"/health/ready", ERR_OK, FRONT_HEALTH_READY, "", "", ""},
	{"/health/check", ERR_OK, FRONT_HEALTH_CHECK, "", "", ""},
	{"/body/request/6f1c0000000000000000000000000001", ERR_OK, FRONT_BODY_REQUEST, "", "", ""},
	{"/body/response/6F1C0000-0000-0000-0000-000000000001", ERR_OK, FRONT_BODY_RESPONSE, "", "",
	 ""},
	{"/body/response/nonsense", ERR_OK, FRONT_NONE, "", "", ""},
	{"/body/other/6f1c0000000000000000000000000001", ERR_OK, FRONT_NONE, "", "", ""},
	{"/body/request/6f1c0000000000000000000000000001/x", ERR_OK, FRONT_NONE, "", "", ""},
	{"/acknowledge/6f1c0000000000000000000000000001/6f1c0000000000000000000000000002", ERR_OK,
	 FRONT_ACKNOWLEDGE, "", "", ""},
	{"/acknowledge/6f1c0000000000000000000000000001", ERR_OK, FRONT_NONE, "", "", ""},
	/* What would leave the base address of the target. */
	{"/relay/T1/web//evil", ERR_INVALID, FRONT_RELAY, "", "", ""},
	{"/relay/T1/web/http://127.0.0.1:1/", ERR_INVALID, FRONT_RELAY, "", "", ""},
	{"/relay/T1/web/../x", ERR_INVALID, FRONT_RELAY, "", "", ""},
	{"/relay/T1/web/%2e%2E/x", ERR_INVALID, FRONT_RELAY, "", "", ""},
	{"/relay/T1/web/a/..;/x", ERR_INVALID, FRONT_RELAY, "", "", ""},
	{"/relay/T1/web/\\evil", ERR_INVALID, FRONT_RELAY, "", "", ""},
	{"/relay/T%0a/web", ERR_INVALID, FRONT_RELAY, "", "", ""},
	{"/relay/T%zz/web", ERR_INVALID, FRONT_RELAY, "", "", ""},
};

static void test_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct front_case *c = &cases[i];
		struct arena a;
		struct front f;

		arena_init(&a, 0);
		enum err e = front_parse(&a, str_c(c->path), &f);

		if (e != c->err || f.kind != c->kind) {
			fail_msg("%s: err %d, kind %d", c->path, e, (int)f.kind);
		}
		if (e == ERR_OK) {
			assert_str(f.tenant, str_c(c->tenant));
			assert_str(f.target, str_c(c->target));
			assert_str(f.url, str_c(c->url));
		}
		arena_fini(&a);
	}
}

/* No prefix of a path may read beyond its end. */
static void test_truncations(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str whole = str_c(cases[i].path);

		for (size_t n = 0; n <= whole.n; n++) {
			struct arena a;
			struct front f;

			arena_init(&a, 0);
			char *copy = arena_alloc(&a, n + 1);

			memcpy(copy, whole.p, n);
			(void)!front_parse(&a, str_of(copy, n), &f);
			arena_fini(&a);
		}
	}
}

static void test_ids(void **state)
{
	struct arena a;
	struct front f;
	struct guid want;

	(void)state;
	arena_init(&a, 0);
	assert_ok(guid_parse(STR("6f1c0000000000000000000000000002"), &want));
	assert_ok(front_parse(&a,
			      STR("/acknowledge/6f1c0000-0000-0000-0000-000000000001/"
				  "6f1c0000000000000000000000000002"),
			      &f));
	assert_true(guid_eq(&f.request, &want));
	want.b[15] = 1;
	assert_true(guid_eq(&f.origin, &want));
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_truncations),
		cmocka_unit_test(test_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
