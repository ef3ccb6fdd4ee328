#include "unit.h"

#include "base/conf.h"
#include "base/json.h"

struct role {
	struct str name;
	struct str secret;
	bool on;
	int64_t port;
	int64_t wait_ms;
	int64_t size;
	int mode;
	struct conf_strs hosts;
	const struct conf_node *targets;
};

static const char *const modes[] = {"text", "json", NULL};
#define K(n, t, m, ...)                                                                            \
	{                                                                                          \
		n, t, offsetof(struct role, m), __VA_ARGS__                                        \
	}
static const struct conf_key role_keys[] = {
	K("name", CONF_STR, name, NULL),
	K("secret", CONF_SECRET, secret, NULL),
	K("on", CONF_BOOL, on, "true"),
	K("port", CONF_INT, port, "5000", 1, 65535),
	K("request_expiration", CONF_DURATION, wait_ms, "2m", 1000, 0),
	K("body_max", CONF_SIZE, size, "16KiB", 1024, 1048576),
	K("mode", CONF_ENUM, mode, "json", .choices = modes),
	K("hosts", CONF_STRS, hosts, "a, b"),
	K("targets", CONF_NODE, targets, NULL),
};
static const struct conf_section role_section = {"relay", "", role_keys, ARRAY_LEN(role_keys)};
static const struct conf_section top_section = {"", "", role_keys, ARRAY_LEN(role_keys)};

static struct conf_node *node(struct arena *a, int kind, const char *key, const char *text)
{
	struct conf_node *n = ARENA_NEW(a, struct conf_node);

	n->kind = kind;
	n->key = str_c(key);
	n->text = str_c(text);
	n->source = STR("posthouse.yaml");
	n->line = 12;
	return n;
}

/* A map with the one member key: text. */
static struct conf_node *map_of(struct arena *a, const char *key, const char *text)
{
	struct conf_node *m = node(a, CONF_NODE_MAP, "relay", NULL);

	m->child = node(a, CONF_NODE_SCALAR, key, text);
	return m;
}

static enum err apply(struct arena *a, const char *key, const char *text, struct role *r,
		      struct fault *f)
{
	memset(r, 0x55, sizeof(*r));
	return conf_apply(a, &role_section, map_of(a, key, text), r, f);
}

static void defaults(void **state)
{
	struct arena a;
	struct role r;

	(void)state;
	arena_init(&a, 0);
	memset(&r, 0x55, sizeof(r));
	assert_ok(conf_apply(&a, &role_section, NULL, &r, NULL));
	assert_null(r.name.p);
	assert_true(r.on);
	assert_int_equal(r.port, 5000);
	assert_int_equal(r.wait_ms, 120000);
	assert_int_equal(r.size, 16384);
	assert_int_equal(r.mode, 1);
	assert_int_equal(r.hosts.n, 2);
	assert_str(r.hosts.v[1], STR("b"));
	assert_null(r.targets);
	/* "relay:" alone is the section with its defaults. */
	assert_ok(
		conf_apply(&a, &role_section, node(&a, CONF_NODE_SCALAR, "relay", NULL), &r, NULL));
	assert_ok(apply(&a, "port", NULL, &r, NULL));
	assert_int_equal(r.port, 5000);
	arena_fini(&a);
}

static void values(void **state)
{
	struct arena a;
	struct role r;

	(void)state;
	arena_init(&a, 0);
	assert_ok(apply(&a, "name", "x", &r, NULL));
	assert_str(r.name, STR("x"));
	assert_ok(apply(&a, "name", "", &r, NULL));
	assert_non_null(r.name.p);
	assert_ok(apply(&a, "on", "Off", &r, NULL));
	assert_false(r.on);
	assert_ok(apply(&a, "port", "65535", &r, NULL));
	assert_int_equal(r.port, 65535);
	assert_ok(apply(&a, "request_expiration", "30s", &r, NULL));
	assert_int_equal(r.wait_ms, 30000);
	assert_ok(apply(&a, "request_expiration", "1.00:00:30", &r, NULL));
	assert_int_equal(r.wait_ms, 86430000);
	assert_ok(apply(&a, "body_max", "1MiB", &r, NULL));
	assert_int_equal(r.size, 1048576);
	assert_ok(apply(&a, "mode", "TEXT", &r, NULL));
	assert_int_equal(r.mode, 0);
	assert_ok(apply(&a, "hosts", "", &r, NULL));
	assert_int_equal(r.hosts.n, 0);
	assert_ok(apply(&a, "targets", "any", &r, NULL));
	assert_str(conf_text(r.targets), STR("any"));
	arena_fini(&a);
}

static void lists(void **state)
{
	struct arena a;
	struct role r;

	(void)state;
	arena_init(&a, 0);
	struct conf_node *m = map_of(&a, "hosts", NULL);

	m->child->kind = CONF_NODE_LIST;
	m->child->child = node(&a, CONF_NODE_SCALAR, NULL, "one,two");
	m->child->child->next = node(&a, CONF_NODE_SCALAR, NULL, "three");
	assert_ok(conf_apply(&a, &role_section, m, &r, NULL));
	assert_int_equal(r.hosts.n, 2);
	assert_str(r.hosts.v[0], STR("one,two"));

	struct fault f = {0};

	m->child->child->kind = CONF_NODE_LIST;
	assert_err(conf_apply(&a, &role_section, m, &r, &f), ERR_INVALID);
	assert_string_equal(f.text,
			    "posthouse.yaml:12: relay.hosts: must be a list of plain values");
	f = (struct fault){0};
	m->child->kind = CONF_NODE_MAP;
	assert_err(conf_apply(&a, &role_section, m, &r, &f), ERR_INVALID);
	assert_string_equal(f.text, "posthouse.yaml:12: relay.hosts: must be a list");
	f = (struct fault){0};
	m->child->key = STR("port");
	assert_err(conf_apply(&a, &role_section, m, &r, &f), ERR_INVALID);
	assert_string_equal(f.text, "posthouse.yaml:12: relay.port: must be a single value");
	f = (struct fault){0};
	m->kind = CONF_NODE_LIST;
	assert_err(conf_apply(&a, &role_section, m, &r, &f), ERR_INVALID);
	assert_string_equal(f.text, "posthouse.yaml:12: relay: must be a map of keys");
	arena_fini(&a);
}

static void names_the_culprit(void **state)
{
	static const struct {
		const char *key, *text, *why;
	} cases[] = {
		{"request_expiration", "abc", "\"abc\" is not a duration (try \"30s\")"},
		{"request_expiration", "30", "\"30\" is not a duration (try \"30s\")"},
		{"request_expiration", "", "\"\" is not a duration (try \"30s\")"},
		{"request_expiration", "0", "\"0\" must be at least 1s"},
		{"on", "maybe", "\"maybe\" is not a truth value (try \"true\" or \"false\")"},
		{"port", "http", "\"http\" is not a whole number"},
		{"port", "0", "\"0\" must lie between 1 and 65535"},
		{"port", "70000", "\"70000\" must lie between 1 and 65535"},
		{"body_max", "1GiB", "\"1GiB\" must lie between 1KiB and 1MiB"},
		{"body_max", "much", "\"much\" is not a size (try \"16KiB\")"},
		{"mode", "xml", "\"xml\" is none of: text, json"},
		{"port", "0123456789012345678901234567890123456789012345678901234567890123456789x",
		 "\"012345678901234567890123456789012345678901234567890123456789...\" "
		 "is not a whole number"},
		{"request_expirtion", "3s", "unknown key (did you mean \"request_expiration\"?)"},
		{"bodymax", "3s", "unknown key (did you mean \"body_max\"?)"},
		{"weather", "3s", "unknown key"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a;
		struct fault f = {0};
		struct role r;

		arena_init(&a, 0);
		assert_err(apply(&a, cases[i].key, cases[i].text, &r, &f), ERR_INVALID);
		assert_string_equal(f.text,
				    str_cstr(&a, str_fmt(&a, "posthouse.yaml:12: relay.%s: %s",
							 cases[i].key, cases[i].why)));
		arena_fini(&a);
	}
}

static void required_and_top_level(void **state)
{
	static const struct conf_key keys[] = {
		{"secret", CONF_SECRET, offsetof(struct role, secret), .flags = CONF_REQUIRED}};
	static const struct conf_section section = {"identity", "", keys, 1};
	struct arena a;
	struct fault f = {0};
	struct role r;

	(void)state;
	arena_init(&a, 0);
	assert_err(conf_apply(&a, &section, NULL, &r, &f), ERR_INVALID);
	assert_string_equal(f.text, "identity.secret: is required");
	f = (struct fault){0};
	assert_err(conf_apply(&a, &section, map_of(&a, "secret", NULL), &r, &f), ERR_INVALID);
	assert_string_equal(f.text, "posthouse.yaml:12: identity.secret: is required");
	/* Other sections stand beside the keys of "". */
	f = (struct fault){0};
	assert_ok(conf_apply(&a, &top_section, map_of(&a, "gateway", "x"), &r, &f));
	assert_err(conf_apply(&a, &top_section, map_of(&a, "port", "x"), &r, &f), ERR_INVALID);
	assert_string_equal(f.text, "posthouse.yaml:12: port: \"x\" is not a whole number");
	arena_fini(&a);
}

static void single_values(void **state)
{
	static const struct conf_key key = {"timeout", CONF_DURATION, 4096, "5s", 0, 60000};
	static const struct conf_key token = {.name = "token", .type = CONF_INT};
	struct arena a;
	struct fault f = {0};
	int64_t ms = 1;

	(void)state;
	arena_init(&a, 0);
	assert_ok(conf_value(&a, &key, NULL, &ms, &f));
	assert_int_equal(ms, 5000);
	assert_ok(conf_value(&a, &key, node(&a, CONF_NODE_SCALAR, "t", "1m"), &ms, &f));
	assert_int_equal(ms, 60000);
	assert_err(conf_value(&a, &key, node(&a, CONF_NODE_SCALAR, "t", "2m"), &ms, &f),
		   ERR_INVALID);
	assert_string_equal(f.text,
			    "posthouse.yaml:12: timeout: \"2m\" must lie between 0s and 1m");
	assert_int_equal(ms, 60000);

	struct conf_node *env = node(&a, CONF_NODE_SCALAR, "t", "x");

	env->source = STR("POSTHOUSE_RELAY__TOKEN");
	env->line = 0;
	f = (struct fault){0};
	assert_err(conf_value(&a, &token, env, &ms, &f), ERR_INVALID);
	assert_string_equal(f.text, "POSTHOUSE_RELAY__TOKEN: token: \"x\" is not a whole number");
	arena_fini(&a);
}

static void assert_told(const struct role *r, const struct conf_alias *aliases, size_t n,
			const char *json)
{
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);

	json_begin_object(&w);
	conf_put_json(&w, &role_section, r, aliases, n);
	json_end_object(&w);
	assert_str(buf_str(&b), str_c(json));
	buf_free(&b);
}

static void told_in_json(void **state)
{
	static const struct conf_alias aliases[] = {{"request_expiration", "expires"},
						    {"hosts", NULL}};
	struct str hosts[] = {STR("a"), STR("b\"c")};
	struct role r = {
		.name = STR("n"),
		.secret = STR("hidden"),
		.on = true,
		.port = 5000,
		.wait_ms = 120000,
		.size = 16384,
		.mode = 1,
		.hosts = {hosts, 2},
	};

	(void)state;
	assert_told(&r, NULL, 0,
		    "{\"name\":\"n\",\"secret\":\"******\",\"on\":true,\"port\":5000,"
		    "\"request_expiration\":120,\"body_max\":16384,\"mode\":\"json\","
		    "\"hosts\":[\"a\",\"b\\\"c\"]}");
	r.name = r.secret = STR_NULL;
	r.wait_ms = 1250;
	assert_told(&r, aliases, ARRAY_LEN(aliases),
		    "{\"on\":true,\"port\":5000,\"expires\":1.25,\"body_max\":16384,"
		    "\"mode\":\"json\"}");
}

static void tree(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	const struct conf_node *m = map_of(&a, "Targets", "x");

	assert_null(conf_get(m, STR("targets")));
	assert_ptr_equal(conf_get(m, STR("Targets")), m->child);
	assert_ptr_equal(conf_get_nocase(m, STR("targets")), m->child);
	assert_null(conf_get_nocase(m, STR("target")));
	assert_null(conf_get(m->child, STR("x")));
	assert_null(conf_get(NULL, STR("x")));
	assert_null(conf_get_nocase(NULL, STR("x")));
	assert_null(conf_text(m).p);
	assert_null(conf_text(NULL).p);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(values),
		cmocka_unit_test(lists),
		cmocka_unit_test(names_the_culprit),
		cmocka_unit_test(required_and_top_level),
		cmocka_unit_test(single_values),
		cmocka_unit_test(told_in_json),
		cmocka_unit_test(tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
