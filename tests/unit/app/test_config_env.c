#include "config_fixture.h"

/* Loads `env` without any file. */
static enum err load(struct arena *a, const char *const *env, struct conf_node **root,
		     struct fault *f)
{
	const struct config_source source = {.env = env};

	return config_load(a, &source, tables, root, f);
}

static void overrides_keys(void **state)
{
	static const char *const env[] = {
		"PATH=/bin",
		"POSTHOUSE_RELAY__REQUEST_EXPIRATION=3s",
		"POSTHOUSE_RELAY__HOSTS=a, b,c",
		"POSTHOUSE_DATABASE=postgres://db/x",
		"POSTHOUSE_PORTAL_API__PORT=3001",
		"POSTHOUSE_RELAY__LISTEN=[{address: \"0.0.0.0:1\"}, x]",
		"POSTHOUSE_RELAY__SECRET=",
		NULL,
	};
	struct arena a;
	struct conf_node *root;
	struct relay relay;
	struct top top;
	struct api api;

	(void)state;
	arena_init(&a, 0);
	assert_ok(load(&a, env, &root, NULL));
	assert_ok(config_section(&a, root, &relay_section, &relay, NULL));
	assert_ok(config_section(&a, root, &top_section, &top, NULL));
	assert_ok(config_section(&a, root, &api_section, &api, NULL));
	assert_int_equal(relay.expiration_ms, 3000);
	assert_int_equal(relay.hosts.n, 3);
	assert_str(relay.hosts.v[1], STR("b"));
	assert_non_null(relay.secret.p);
	assert_int_equal(relay.listen->kind, CONF_NODE_LIST);
	assert_str(conf_text(conf_get(relay.listen->child, STR("address"))), STR("0.0.0.0:1"));
	assert_str(top.database, STR("postgres://db/x"));
	assert_int_equal(api.port, 3001);
	/* An override alone does not start a role. */
	assert_false(config_has(root, &relay_section));
	arena_fini(&a);
}

static void reaches_into_structures(void **state)
{
	static const char *const env[] = {
		"POSTHOUSE_RELAY__LISTEN__TLS__CERT=/c",
		"POSTHOUSE_RELAY__LISTEN__TLS__KEY=/k",
		NULL,
	};
	struct arena a;
	struct conf_node *root;

	(void)state;
	arena_init(&a, 0);
	assert_ok(load(&a, env, &root, NULL));
	const struct conf_node *tls =
		conf_get(conf_get(conf_get(root, STR("relay")), STR("listen")), STR("tls"));

	assert_str(conf_text(conf_get(tls, STR("cert"))), STR("/c"));
	assert_str(conf_text(conf_get(tls, STR("key"))), STR("/k"));
	arena_fini(&a);
}

static void leaves_foreign_variables_alone(void **state)
{
	static const char *const env[] = {
		"POSTHOUSE_ARENA=malloc",
		"POSTHOUSE_CLOCK_OFFSET=-2h",
		"POSTHOUSE_LOG_LEVEL=debug",
		"POSTHOUSE_PORT=tcp://10.0.0.1:5000",
		"POSTHOUSE_SERVICE_HOST=10.0.0.1",
		"POSTHOUSE_GATEWAY__ADMIN=x",
		"POSTHOUSE_=x",
		"POSTHOUSE_RELAY=x",
		"XPOSTHOUSE_RELAY__NONSENSE=x",
		"=x",
		"",
		NULL,
	};
	struct arena a;
	struct conf_node *root;

	(void)state;
	arena_init(&a, 0);
	assert_ok(load(&a, env, &root, NULL));
	assert_null(root->child);
	arena_fini(&a);
}

static void names_the_culprit(void **state)
{
	static const struct {
		const char *env, *why;
	} cases[] = {
		{"POSTHOUSE_RELAY__REQUEST_EXPIRTION=3s",
		 "POSTHOUSE_RELAY__REQUEST_EXPIRTION: relay.request_expirtion: unknown key "
		 "(did you mean \"request_expiration\"?)"},
		{"POSTHOUSE_RELAY__=3s", "POSTHOUSE_RELAY__: relay.: unknown key"},
		{"POSTHOUSE_RELAY__REQUEST_EXPIRATION=abc",
		 "POSTHOUSE_RELAY__REQUEST_EXPIRATION: relay.request_expiration: \"abc\" is not a "
		 "duration (try \"30s\")"},
		{"POSTHOUSE_RELAY__ON__X=1", "POSTHOUSE_RELAY__ON__X: on is a single value"},
		{"POSTHOUSE_RELAY__LISTEN=[&a x]",
		 "POSTHOUSE_RELAY__LISTEN:1: anchors and aliases are not supported"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *env[] = {cases[i].env, NULL};
		struct arena a;
		struct conf_node *root;
		struct fault f = {0};

		arena_init(&a, 0);
		assert_err(load(&a, env, &root, &f), ERR_INVALID);
		assert_string_equal(f.text, cases[i].why);
		arena_fini(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overrides_keys),
		cmocka_unit_test(reaches_into_structures),
		cmocka_unit_test(leaves_foreign_variables_alone),
		cmocka_unit_test(names_the_culprit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
