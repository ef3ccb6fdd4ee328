/* The tables of the plugins against the schema engine: defaults, texts, what compiles. */
#include "base/json.h"
#include "gateway/plugin.h"
#include "loop/loop.h"
#include "unit.h"

static struct loops loops;
static struct plugin_host host = {.loops = &loops};

struct a_case {
	const char *plugin, *config;
	const char *fault; /* NULL = fits */
};

static const struct a_case cases[] = {
	{"key-auth", "{}", NULL},
	{"key-auth", "{\"key_names\":[\"a b\"]}",
	 "schema violation (key_names.1: bad header name 'a b', allowed characters are A-Z, a-z, "
	 "0-9, '_', and '-')"},
	{"basic-auth", "{}", NULL},
	{"correlation-id", "{}", NULL},
	{"correlation-id", "{\"generator\":\"tracker\"}",
	 "schema violation (generator: 'tracker' is not built; use 'uuid#counter')"},
	{"cors", "{}", NULL},
	{"cors", "{\"origins\":[\"https://a\\\\.b\",\"c.d\"]}", NULL},
	{"cors", "{\"origins\":[\"(\"]}",
	 "schema violation (origins.1: invalid regex: '(' (PCRE returned: missing closing "
	 "parenthesis))"},
	{"acl", "{\"allow\":[\"b\",\"a\"]}", NULL},
	{"acl", "{}",
	 "schema violation (at least one of these fields must be non-empty: 'allow', 'deny')"},
	{"acl", "{\"allow\":[\"b\"],\"deny\":[\"a\"]}",
	 "schema violation (only one or none of these fields must be set: 'allow', 'deny')"},
	{"ip-restriction", "{\"deny\":[\"10.0.0.0/8\",\"::1\"]}", NULL},
	{"ip-restriction", "{\"allow\":[\"10.0.0.0/8\",\"x\"]}",
	 "schema violation (allow.2: invalid ip or cidr range: 'x')"},
	{"request-size-limiting", "{}", NULL},
	{"rate-limiting", "{\"minute\":2,\"redis_host\":\"x\"}", NULL},
	{"rate-limiting", "{\"minute\":1,\"second\":2}",
	 "schema violation (The limit for minute(1.0) cannot be lower than the limit for "
	 "second(2.0))"},
	{"rate-limiting", "{\"minute\":2,\"policy\":\"redis\"}",
	 "schema violation (policy: policy 'redis' is not built yet; use 'local')"},
	{"rate-limiting", "{\"minute\":2,\"limit_by\":\"header\"}",
	 "2 schema violations (failed conditional validation given value of field 'limit_by'; "
	 "header_name: required field missing)"},
	{"request-transformer", "{}", NULL},
	{"request-transformer",
	 "{\"replace\":{\"uri\":\"/x/$(uri_captures[1])\"},"
	 "\"add\":{\"headers\":[\"x:$(headers.a or 'b')\"]}}",
	 NULL},
	{"request-transformer", "{\"http_method\":\"get\",\"add\":{\"headers\":[\"x\"]}}",
	 "2 schema violations (add.headers.1: invalid value: x; http_method: invalid value: get)"},
	{"response-transformer", "{\"add\":{\"json\":[\"a:1\"],\"json_types\":[\"number\"]}}",
	 NULL},
	{"response-transformer", "{\"add\":{\"json\":[\"a:x\"],\"json_types\":[\"number\"]}}",
	 "schema violation (add.json: 'x' is no number)"},
	{"request-transformer", "{\"append\":{\"querystring\":[\"x:$(os.exit)\"]}}",
	 "schema violation (append.querystring.1: value '$(os.exit)' is not understood: only "
	 "headers, query_params, uri_captures and shared, with 'or')"},
	{"request-transformer", "{\"replace\":{\"uri\":\"/$(\"}}",
	 "schema violation (replace.uri: value '$(' is not understood: only "
	 "headers, query_params, uri_captures and shared, with 'or')"},
	{"redirect", "{\"location\":\"https://a.b/c\"}", NULL},
	{"redirect", "{}", "schema violation (location: required field missing)"},
	{"prometheus", "{}", NULL},
	{"file-log", "{\"path\":\"/nowhere\",\"custom_fields_by_lua\":{\"a\":\"return 1\"}}", NULL},
	{"file-log", "{\"path\":\"/tmp/a*b\"}", "schema violation (path: not a valid filename)"},
	{"http-log",
	 "{\"http_endpoint\":\"http://a.b/c\",\"headers\":{\"x\":\"y\"},"
	 "\"queue\":{\"max_bytes\":5}}",
	 NULL},
	{"http-log",
	 "{\"http_endpoint\":\"http://a.b/c\",\"headers\":{\"host\":\"y\"},"
	 "\"queue\":{\"concurrency_limit\":-1}}",
	 "2 schema violations (headers.host: cannot contain 'Host' header; "
	 "queue.concurrency_limit: -1 is not built; use 1)"},
	{"request-termination", "{}", NULL},
	{"request-termination", "{\"message\":\"a\",\"body\":\"b\"}",
	 "schema violation (only one or none of these fields must be set: 'message', 'body')"},
};

static void compile(struct arena *a, const struct plugin *p, const struct json *config)
{
	struct plugin_instance *i = ARENA_NEW(a, struct plugin_instance);

	i->plugin = p;
	i->arena = a;
	i->host = &host;
	i->state = plugin_host_state(&host, p);
	i->config = arena_zalloc(a, p->config_size);
	schema_decode(a, p->config, config, i->config);
	if (p->compile) {
		assert_ok(p->compile(&host, i, NULL));
	}
	if (p->release) {
		p->release(&host, i);
	}
}

static void check(const struct a_case *k)
{
	const struct plugin *p = plugin_find(str_c(k->plugin));
	const struct json *out = NULL, *errors = NULL;
	struct schema_input in = {.op = SCHEMA_INSERT};
	struct json *value;
	struct arena a;

	assert_non_null(p);
	arena_init(&a, 0);
	assert_ok(json_parse(&a, str_c(k->config), &value, NULL));
	in.value = value;
	if (schema_process(&a, p->config, &in, &out, &errors) == ERR_OK) {
		assert_null(k->fault);
		compile(&a, p, out);
	} else {
		assert_non_null(k->fault);
		assert_str(schema_errors_text(&a, errors), str_c(k->fault));
	}
	arena_fini(&a);
}

static void test_configurations(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		check(&cases[i]);
	}
}

static void test_order_and_pages(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_plugins; i++) {
		assert_true(i == 0 || plugins[i - 1]->priority > plugins[i]->priority);
		assert_non_null(plugins[i]->doc);
		assert_non_null(plugins[i]->example);
		for (size_t f = 0; f < plugins[i]->config->n; f++) {
			assert_non_null(plugins[i]->config->fields[f].doc);
		}
	}
	assert_true(plugin_is_known_elsewhere(STR("jwt")));
	assert_false(plugin_is_known_elsewhere(STR("acl")));
	assert_false(plugin_is_known_elsewhere(STR("nope")));
}

static int setup(void **state)
{
	(void)state;
	return loops_start(&loops, 2, NULL) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	loops_join(&loops);
	loops_free(&loops);
	plugin_host_fini(&host);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_configurations),
		cmocka_unit_test(test_order_and_pages),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
