#include "unit.h"

#include "connector/config.h"

static struct arena arena;
static struct conf_node *root;
static struct connect_config config;
static struct fault fault;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 0);
	root = ARENA_NEW(&arena, struct conf_node);
	root->kind = CONF_NODE_MAP;
	config = (struct connect_config){0};
	fault = (struct fault){0};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	connect_config_fini(&config);
	arena_fini(&arena);
	return 0;
}

static enum err import(const char *const *env, const struct str *words, size_t n)
{
	const struct connect_original from = {env, words, n};
	bool any;

	return connect_config_import(&arena, root, &from, &any, &fault);
}

static enum err read_all(void)
{
	return connect_config_read(&arena, root, &config, &fault);
}

static void assert_fault(const char *part)
{
	if (str_find(str_c(fault.text), str_c(part)) < 0) {
		fail_msg("\"%s\" is not in \"%s\"", part, fault.text);
	}
}

static void options_are_enough(void **state)
{
	(void)state;
	connect_config_set(&arena, root, STR("server"), STR("http://relay:5000"), STR("x"));
	connect_config_set(&arena, root, STR("tenant"), STR("T"), STR("x"));
	connect_config_set(&arena, root, STR("secret"), STR("S"), STR("x"));
	connect_config_set_target(&arena, root, STR("Erp"), STR("http://10.0.0.5:8080/a"),
				  STR("x"));
	assert_ok(read_all());
	assert_str(config.server, STR("http://relay:5000/"));
	assert_int_equal(config.n_transports, 3);
	assert_int_equal(config.transports[0], LINK_WEBSOCKETS);
	assert_int_equal(config.connections, 1);
	const struct target *t = target_find(config.targets, STR("eRP"));

	assert_non_null(t);
	assert_str(t->id, STR("Erp"));
	assert_str(t->authority, STR("10.0.0.5:8080"));
	assert_int_equal(t->timeout_ms, TARGET_TIMEOUT_MS);
	assert_int_equal(target_find(config.targets, STR("$PING"))->type, TARGET_PING);
	assert_int_equal(target_find(config.targets, STR("$echo"))->type, TARGET_ECHO);
	assert_null(target_find(config.targets, STR("other")));
	assert_null(target_find(config.targets, STR("")));
}

static const char *const original[] = {
	"relayconnector__relayserverbaseuri=http://relay/base",
	"RelayConnector__TenantName=TestTenant1",
	"RelayConnector__TenantSecret=<Strong!Passw0rd>",
	"RelayConnector__UseHttpKeepAlive=False",
	"RelayConnector__Targets__httpbin__Type=RelayWebTarget",
	"RelayConnector__Targets__httpbin__Url=http://x",
	"RelayConnector__Targets__httpbin__Timeout=00:00:02",
	"RelayConnector__Targets__httpbin__Comment=any",
	"RelayConnector__Targets__all__Type=Thinktecture.Relay.Connector.Targets.RelayWebTarget",
	"RelayConnector__Targets__all__Url=http://y/z/",
	"RelayConnector__Targets__all__Options=followredirect",
	"RelayConnector__Targets__all__Timeout=never",
	"RelayConnectorX__Targets=1",
	"PATH=/bin",
	NULL,
};

static void variables_of_the_original(void **state)
{
	(void)state;
	const struct target *t;

	assert_ok(import(original, NULL, 0));
	assert_ok(read_all());
	assert_str(config.server, STR("http://relay/base/"));
	assert_str(config.tenant, STR("TestTenant1"));
	assert_str(config.secret, STR("<Strong!Passw0rd>"));
	assert_false(config.use_http_keep_alive);
	t = target_find(config.targets, STR("HTTPBIN"));
	assert_int_equal(t->timeout_ms, 2000);
	assert_false(t->follow_redirects);
	t = target_find(config.targets, STR("all"));
	assert_int_equal(t->timeout_ms, TARGET_TIMEOUT_MS);
	assert_true(t->follow_redirects);
	assert_str(t->uri.path, STR("/z/"));
	assert_int_equal(target_set_count(config.targets), 2);
}

static void words_of_the_command_line_win(void **state)
{
	(void)state;
	const struct str words[] = {STR("RelayConnector:TenantName=Other"),
				    STR("RelayConnector:Targets:httpbin:Url=http://w")};
	const struct str wrong[] = {STR("TenantName=Other")};

	assert_ok(import(original, words, 2));
	assert_ok(read_all());
	assert_str(config.tenant, STR("Other"));
	assert_str(target_find(config.targets, STR("httpbin"))->uri.host, STR("w"));
	assert_err(import(NULL, wrong, 1), ERR_INVALID);
}

static void targets_without_or_with_a_wrong_type(void **state)
{
	(void)state;
	const struct str untyped[] = {STR("RelayConnector:Targets:a:Url=http://w"),
				      STR("RelayConnector:Targets:b:Url=http://w")};
	const struct str mistyped[] = {STR("RelayConnector:Targets:a:Type=Mine, Assembly"),
				       STR("RelayConnector:Targets:b:Type=RelayWebTarget")};

	assert_err(import(NULL, untyped, 2), ERR_INVALID);
	assert_fault("The following targets have no \"Type\" provided: \"a\", \"b\"");
	assert_int_equal(teardown(NULL), 0);
	assert_int_equal(setup(NULL), 0);
	assert_err(import(NULL, mistyped, 2), ERR_INVALID);
	assert_fault("The following targets have an invalid type provided: \"a\"");
}

static void set_required(void)
{
	connect_config_set(&arena, root, STR("server"), STR("http://r"), STR("x"));
	connect_config_set(&arena, root, STR("tenant"), STR("T"), STR("x"));
	connect_config_set(&arena, root, STR("secret"), STR("S"), STR("x"));
}

static void what_is_wrong_is_named(void **state)
{
	(void)state;
	static const struct {
		const char *key, *value, *says;
	} cases[] = {
		{"server", "relay:5000", "connect.server"},
		{"server_ca", "/nowhere/ca.pem", "connect.server_ca: cannot read /nowhere/ca.pem"},
		{"server_ca", "-----BEGIN CERTIFICATE-----", "connect.server_ca: invalid certif"},
		{"transports", "carrier_pigeon", "connect.transports"},
		{"transports", "", "connect.transports"},
		{"connections", "0", "connect.connections"},
		{"conections", "2", "conections"},
		{"targets", "x", "connect.targets"},
		{"max_concurrent", "-1", "connect.max_concurrent"},
	};

	assert_err(read_all(), ERR_INVALID);
	assert_fault("connect.server");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(teardown(NULL), 0);
		assert_int_equal(setup(NULL), 0);
		set_required();
		connect_config_set(&arena, root, str_c(cases[i].key), str_c(cases[i].value),
				   STR("x"));
		assert_err(read_all(), ERR_INVALID);
		assert_fault(cases[i].says);
	}
}

static void targets_that_are_wrong(void **state)
{
	(void)state;
	static const struct {
		const char *id, *url, *says;
	} cases[] = {
		{"a", "", "needs a url"},
		{"a", "ftp://x", "connect.targets.a.url"},
		{"", "http://x", "a name has"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(teardown(NULL), 0);
		assert_int_equal(setup(NULL), 0);
		set_required();
		connect_config_set_target(&arena, root, str_c(cases[i].id), str_c(cases[i].url),
					  STR("x"));
		assert_err(read_all(), ERR_INVALID);
		assert_fault(cases[i].says);
	}
}

/* {ID: {type: …, catch_all: …}} */
static struct conf_node *target_map(const char *const *texts, size_t n)
{
	struct conf_node *map = ARENA_NEW(&arena, struct conf_node), **tail = &map->child;

	map->kind = CONF_NODE_MAP;
	for (size_t i = 0; i + 1 < n; i += 2) {
		struct conf_node *c = ARENA_NEW(&arena, struct conf_node);

		c->key = str_c(texts[i]);
		c->text = str_c(texts[i + 1]);
		*tail = c;
		tail = &c->next;
	}
	return map;
}

static void names_differ_in_more_than_case(void **state)
{
	(void)state;
	const char *const texts[] = {"web", "http://a", "Web", "http://b"};
	struct target_set *set;

	assert_err(target_set_new(target_map(texts, 4), &set, &fault), ERR_INVALID);
	assert_fault("there twice");
}

static void a_catch_all_takes_the_rest(void **state)
{
	(void)state;
	const char *const texts[] = {"web", "http://a", TARGET_CATCH_ALL, "http://b"};
	struct target_set *set;
	char long_id[TARGET_ID_MAX + 50];

	memset(long_id, 'x', sizeof(long_id));
	assert_ok(target_set_new(target_map(texts, 4), &set, &fault));
	assert_str(target_find(set, STR("web"))->uri.host, STR("a"));
	assert_str(target_find(set, STR("other"))->uri.host, STR("b"));
	assert_str(target_find(set, STR(""))->uri.host, STR("b"));
	assert_str(target_find(set, str_of(long_id, sizeof(long_id)))->uri.host, STR("b"));
	assert_int_equal(target_find(set, STR("$ping"))->type, TARGET_PING);
	target_set_unref(&set);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(options_are_enough),
		TEST(variables_of_the_original),
		TEST(words_of_the_command_line_win),
		TEST(targets_without_or_with_a_wrong_type),
		TEST(what_is_wrong_is_named),
		TEST(targets_that_are_wrong),
		TEST(names_differ_in_more_than_case),
		TEST(a_catch_all_takes_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
