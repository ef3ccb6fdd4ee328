/* Whether a plugin has a protocol in common with what it is bound to. */
#include "base/mem.h"
#include "db_worker.h"
#include "gateway/entities.h"
#include "gateway/entity_schema.h"
#include "store/engines.h"

struct fixture {
	struct test_db *db;
	struct entities *es;
	struct entity_call call;
};

static int setup(void **state)
{
	struct fixture *fx = MEM_NEW(struct fixture);

	assert_int_equal(test_db_setup(state), 0);
	fx->db = *state;
	assert_ok(migrate(fx->db->db, &gateway_migrations, 1, NULL, NULL));
	fx->call = (struct entity_call){.arena = &fx->db->arena, .db = fx->db->db};
	fx->es = entities_new(&(struct entities_config){0});
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;
	void *db = fx->db;

	entities_free(&fx->es);
	mem_free(fx);
	return test_db_teardown(&db);
}

static const struct json *parse(struct fixture *fx, const char *text)
{
	struct json *v;

	assert_ok(json_parse(fx->call.arena, str_c(text), &v, NULL));
	return v;
}

static enum err try_insert(struct fixture *fx, enum entity_kind kind, const char *text)
{
	const struct json *out = NULL;

	return entity_insert(fx->es, &fx->call, kind, parse(fx, text), &out);
}

static const struct json *insert(struct fixture *fx, enum entity_kind kind, const char *text)
{
	const struct json *out = NULL;

	assert_ok(entity_insert(fx->es, &fx->call, kind, parse(fx, text), &out));
	return out;
}

static const char *ref(struct fixture *fx, const char *format, const struct json *to)
{
	return str_cstr(fx->call.arena, str_fmt(fx->call.arena, format,
						STR_ARG(json_str(json_get(to, STR("id"))))));
}

static bool find_plugin(struct str name, struct entity_plugin *out)
{
	static const struct schema none = {.name = "none"};

	(void)name;
	*out = (struct entity_plugin){.config = &none};
	return true;
}

static enum err put_plugin(struct fixture *fx, const char *name, const char *format,
			   const struct json *to)
{
	const struct json *out;
	struct entity_target which = {.text = str_c(name)};

	return entity_upsert(fx->es, &fx->call, ENTITY_PLUGIN, &which,
			     parse(fx, ref(fx, format, to)), &out);
}

static void assert_protocols_refused(struct fixture *fx, enum err e, const char *text)
{
	assert_err(e, ERR_INVALID);
	assert_int_equal(fx->call.error.code, 2);
	assert_int_equal(fx->call.error.status, 400);
	assert_str(fx->call.error.message,
		   str_fmt(fx->call.arena, "schema violation (protocols: %s)", text));
	assert_str(json_str(json_get(fx->call.error.fields, STR("protocols"))), str_c(text));
}

#define NOT_THE_ROUTE_S "must match the associated route's protocols"
#define NOT_THE_SERVICE_S                                                                          \
	"must match the protocols of at least one route pointing to this Plugin's service"
#define OF_ROUTE "{\"name\":\"x\",\"route\":{\"id\":\"%.*s\"}"
#define OF_SERVICE "{\"name\":\"x\",\"service\":{\"id\":\"%.*s\"}"

static void a_plugin_shares_a_protocol_with_its_route(void **state)
{
	struct fixture *fx = *state;
	const struct entity_target p = {.text = STR("p")};
	const struct json *r = insert(
		fx, ENTITY_ROUTE, "{\"name\":\"r\",\"paths\":[\"/\"],\"protocols\":[\"https\"]}");
	const struct json *t = insert(fx, ENTITY_ROUTE,
				      "{\"name\":\"t\",\"protocols\":[\"tcp\"],"
				      "\"destinations\":[{\"port\":9}]}");
	const struct json *out;

	assert_protocols_refused(
		fx,
		try_insert(fx, ENTITY_PLUGIN, ref(fx, OF_ROUTE ",\"protocols\":[\"http\"]}", r)),
		NOT_THE_ROUTE_S);
	assert_protocols_refused(
		fx, put_plugin(fx, "p", OF_ROUTE ",\"protocols\":[\"grpc\",\"http\"]}", r),
		NOT_THE_ROUTE_S);
	assert_ok(put_plugin(fx, "p", OF_ROUTE ",\"protocols\":[\"http\",\"https\"]}", r));
	assert_ok(put_plugin(fx, "p", OF_ROUTE "}", r));

	/* Other protocols, and another route. */
	assert_protocols_refused(fx,
				 entity_update(fx->es, &fx->call, ENTITY_PLUGIN, &p,
					       parse(fx, "{\"protocols\":[\"http\"]}"), &out),
				 NOT_THE_ROUTE_S);
	assert_protocols_refused(fx,
				 entity_update(fx->es, &fx->call, ENTITY_PLUGIN, &p,
					       parse(fx, "{\"route\":{\"name\":\"t\"}}"), &out),
				 NOT_THE_ROUTE_S);
	assert_ok(entity_update(fx->es, &fx->call, ENTITY_PLUGIN, &p,
				parse(fx, "{\"protocols\":[\"https\"]}"), &out));

	/* Those that a plugin has by default are compared by changes alone. */
	assert_ok(put_plugin(fx, "q", OF_ROUTE "}", t));
	assert_protocols_refused(fx,
				 entity_update(fx->es, &fx->call, ENTITY_PLUGIN,
					       &(struct entity_target){.text = STR("q")},
					       parse(fx, "{\"enabled\":false}"), &out),
				 NOT_THE_ROUTE_S);

	/* Nor is a plugin looked at when its route changes. */
	assert_ok(entity_update(fx->es, &fx->call, ENTITY_ROUTE,
				&(struct entity_target){.text = STR("r")},
				parse(fx, "{\"protocols\":[\"http\"]}"), &out));
}

static void a_plugin_shares_a_protocol_with_a_route_of_its_service(void **state)
{
	struct fixture *fx = *state;
	const struct json *s = insert(fx, ENTITY_SERVICE, "{\"name\":\"s\",\"host\":\"h\"}");

	/* No route yet. */
	assert_ok(put_plugin(fx, "p", OF_SERVICE ",\"protocols\":[\"http\"]}", s));
	/* More than are looked at in one go. */
	for (int i = 0; i < 100; i++) {
		(void)insert(fx, ENTITY_ROUTE,
			     "{\"paths\":[\"/\"],\"protocols\":[\"grpc\"],"
			     "\"service\":{\"name\":\"s\"}}");
	}
	(void)insert(fx, ENTITY_ROUTE, "{\"paths\":[\"/\"],\"protocols\":[\"http\"]}");
	assert_protocols_refused(fx,
				 put_plugin(fx, "p", OF_SERVICE ",\"protocols\":[\"http\"]}", s),
				 NOT_THE_SERVICE_S);
	assert_ok(put_plugin(fx, "p", OF_SERVICE ",\"protocols\":[\"http\",\"grpc\"]}", s));
	(void)insert(fx, ENTITY_ROUTE,
		     "{\"id\":\"ffffffff-0000-4000-8000-000000000000\",\"paths\":[\"/\"],"
		     "\"protocols\":[\"http\"],\"service\":{\"name\":\"s\"}}");
	assert_ok(put_plugin(fx, "p", OF_SERVICE ",\"protocols\":[\"http\"]}", s));
}

#define ON(engine, test)                                                                           \
	{                                                                                          \
#test " (" #engine ")", test, setup, teardown, (void *)(uintptr_t)TEST_##engine    \
	}
#define BOTH(test) ON(SQLITE, test), ON(PGSQL, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_plugin_shares_a_protocol_with_its_route),
		BOTH(a_plugin_shares_a_protocol_with_a_route_of_its_service),
	};

	entity_plugins_from(find_plugin);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
