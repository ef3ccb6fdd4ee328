#include "config_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A directory with posthouse.yaml and the file "secret". */
static char dir[64];
static const char *const no_env[] = {NULL};

static const char *path_of(const char *name)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/posthouse-test-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	(void)unlink(path_of("posthouse.yaml"));
	(void)unlink(path_of("secret"));
	return rmdir(dir);
}

static enum err load(struct arena *a, const char *yaml, const char *const *env,
		     struct conf_node **root, struct fault *f)
{
	struct config_source source = {.env = env};

	write_file("posthouse.yaml", yaml);
	source.path_or_url = str_dup(a, str_c(path_of("posthouse.yaml")));
	return config_load(a, &source, tables, root, f);
}

static void loads_files_with_references(void **state)
{
	static const char *const env[] = {"RELAY_HOSTS=a,b", "POSTHOUSE_RELAY__ON=no", NULL};
	struct arena a;
	struct fault f = {0};
	struct conf_node *root;
	struct relay relay;
	struct top top;

	(void)state;
	arena_init(&a, 0);
	write_file("secret", "two\nlines\r\n\n");
	if (load(&a,
		 "relay:\n  hosts: {env: RELAY_HOSTS}\n  secret: {file: secret}\n  on: yes\n"
		 "  listen: [{address: x, key: {env: RELAY_HOSTS}}]\n",
		 env, &root, &f) != ERR_OK) {
		fail_msg("%s", f.text);
	}
	assert_ok(config_section(&a, root, &relay_section, &relay, NULL));
	assert_int_equal(relay.hosts.n, 2);
	assert_str(relay.secret, STR("two\nlines"));
	assert_false(relay.on);
	assert_str(conf_text(conf_get(relay.listen->child, STR("key"))), STR("a,b"));
	assert_true(config_has(root, &relay_section));
	assert_false(config_has(root, &api_section));
	assert_ok(config_section(&a, root, &top_section, &top, NULL));
	assert_str(top.database, STR("sqlite:posthouse.db"));
	arena_fini(&a);
}

static void an_empty_section_is_given(void **state)
{
	struct arena a;
	struct conf_node *root;

	(void)state;
	arena_init(&a, 0);
	assert_ok(load(&a, "relay:\n", no_env, &root, NULL));
	assert_true(config_has(root, &relay_section));
	arena_fini(&a);
}

static void names_the_culprit(void **state)
{
	static const struct {
		const char *yaml, *why;
	} cases[] = {
		{"\nrelay:\n  request_expiration: abc\n",
		 ":3: relay.request_expiration: \"abc\" is not a duration (try \"30s\")"},
		{"relay: x\n", ":1: relay: must be a map of keys"},
		{"relay:\n  mod: fast\n", ":2: relay.mod: unknown key (did you mean \"mode\"?)"},
		{"databse: x\n",
		 ":1: databse: unknown section or key (did you mean \"database\"?)"},
		{"rely: {}\n", ":1: rely: unknown section or key (did you mean \"relay\"?)"},
		{"weather: {}\n", ":1: weather: unknown section or key"},
		{"database: [x]\n", ":1: database: must be a single value"},
		{"a: 0\nportal-api: {}\n", ":1: a: unknown section or key"},
		{"portal-api: {}\n", ":1: portal-api.port: is required"},
		{"relay:\n  secret: {env: NOT_SET}\n",
		 ":2: secret: environment variable NOT_SET is not set"},
		{"relay:\n  secret: {file: /nonexistent/secret}\n",
		 ":2: secret: cannot read file \"/nonexistent/secret\": No such file or directory"},
		{"relay:\n  secret: {file: /tmp}\n",
		 ":2: secret: cannot read file \"/tmp\": Is a directory"},
		{"relay:\n  secret: {fil: x}\n", ":2: relay.secret: must be a single value"},
		{"env: NAME\n", ":1: env: unknown section or key"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a;
		struct fault f = {0};
		struct conf_node *root = NULL;

		arena_init(&a, 0);
		assert_err(load(&a, cases[i].yaml, no_env, &root, &f), ERR_INVALID);
		assert_string_equal(
			f.text,
			str_cstr(&a, str_fmt(&a, "%s%s", path_of("posthouse.yaml"), cases[i].why)));
		assert_null(root);
		arena_fini(&a);
	}
}

static void unreadable_files(void **state)
{
	struct arena a;
	struct fault f = {0};
	struct conf_node *root;
	struct config_source source = {STR("/nonexistent/posthouse.yaml"), NULL, no_env};

	(void)state;
	arena_init(&a, 0);
	assert_err(config_load(&a, &source, tables, &root, &f), ERR_NOT_FOUND);
	assert_string_equal(
		f.text, "/nonexistent/posthouse.yaml: cannot be read: No such file or directory");
	f = (struct fault){0};
	source.path_or_url = STR("https://example.org/c.yaml");
	assert_err(config_load(&a, &source, tables, &root, &f), ERR_INVALID);
	assert_string_equal(f.text, "https://example.org/c.yaml: URLs are not supported here");
	arena_fini(&a);
}

static enum err fetch_fixed(struct arena *a, struct str url, struct str *out_text, struct fault *f)
{
	(void)a;
	if (str_ends(url, STR("down"))) {
		return fault_set(f, ERR_UNAVAILABLE, "%.*s: refused", STR_ARG(url));
	}
	*out_text = STR("relay:\n  body_max: 1\n  on: perhaps\n");
	return ERR_OK;
}

static void urls_are_fetched(void **state)
{
	struct arena a;
	struct fault f = {0};
	struct conf_node *root;
	struct config_source source = {STR("HTTPS://example.org/c"), fetch_fixed, no_env};

	(void)state;
	arena_init(&a, 0);
	assert_err(config_load(&a, &source, tables, &root, &f), ERR_INVALID);
	assert_string_equal(f.text, "HTTPS://example.org/c:3: relay.on: \"perhaps\" is not a truth "
				    "value (try \"true\" or \"false\")");
	f = (struct fault){0};
	source.path_or_url = STR("http://example.org/down");
	assert_err(config_load(&a, &source, tables, &root, &f), ERR_UNAVAILABLE);
	arena_fini(&a);
}

static void files_of_other_programs_are_read_unchecked(void **state)
{
	struct arena a;
	struct conf_node *root;
	struct config_source source = {.env = no_env};

	(void)state;
	arena_init(&a, 0);
	write_file("posthouse.yaml",
		   "{\"Serilog\": {}, \"RelayConnector\": {\"TenantName\": \"Branch1\"}}");
	source.path_or_url = str_c(path_of("posthouse.yaml"));
	assert_ok(config_read(&a, &source, &root, NULL));
	assert_str(conf_text(conf_get_nocase(conf_get_nocase(root, STR("relayconnector")),
					     STR("tenantname"))),
		   STR("Branch1"));
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_files_with_references),
		cmocka_unit_test(an_empty_section_is_given),
		cmocka_unit_test(names_the_culprit),
		cmocka_unit_test(unreadable_files),
		cmocka_unit_test(urls_are_fetched),
		cmocka_unit_test(files_of_other_programs_are_read_unchecked),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
