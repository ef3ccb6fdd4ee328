#include "gateway/declarative_live.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
	struct entities *es;
	struct declarative_live *live;
	unsigned told;
	size_t entities;
};

static void on_changes(void *arg, const struct entity_change *v, size_t n, bool all)
{
	struct fixture *fx = arg;

	(void)v;
	assert_true(all);
	fx->told++;
	fx->entities = n;
}

static struct fixture fixture;

static int set_up(void **state)
{
	struct entities_config config = {.memory = true, .on_changes = on_changes, .arg = &fixture};

	(void)state;
	fixture = (struct fixture){.es = entities_new(&config)};
	fixture.live = declarative_live_new(fixture.es);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	declarative_live_free(&fixture.live);
	entities_free(&fixture.es);
	return 0;
}

struct answer {
	int status;
	char body[4096];
};

static struct answer ask(struct task *t, enum err e)
{
	struct answer a = {.status = t->reply.status};

	assert_ok(e);
	assert_true(t->reply.body.n < sizeof(a.body));
	if (t->reply.body.n) {
		memcpy(a.body, buf_head(&t->reply.body), t->reply.body.n);
	}
	buf_free(&t->reply.body);
	arena_fini(&t->arena);
	return a;
}

static struct answer post(const char *type, const char *query, const char *body)
{
	struct task t = {.body = str_c(body)};

	arena_init(&t.arena, 0);
	t.request.query = str_c(query);
	if (type) {
		http_header_add(&t.arena, &t.request.headers, STR("content-type"), str_c(type));
	}
	return ask(&t, declarative_live_post(fixture.live, &t));
}

static struct answer get(void)
{
	struct task t = {0};

	arena_init(&t.arena, 0);
	return ask(&t, declarative_live_get(fixture.live, &t));
}

static void check_has(const char *text, const char *part)
{
	if (!strstr(text, part)) {
		fail_msg("%s\nhas no %s", text, part);
	}
}

#define YAML "_format_version: \"3.0\"\nservices:\n- name: s\n  host: h\n"

static void takes_every_form_of_post(void **state)
{
	static const struct {
		const char *type, *body;
	} cases[] = {
		{"text/yaml", YAML},
		{"application/yaml", YAML},
		{NULL, YAML},
		{"application/json; charset=utf-8",
		 "{\"config\":\"_format_version: '3.0'\\nservices:\\n- {name: s, host: h}\"}"},
		{"application/json",
		 "{\"_format_version\":\"3.0\",\"services\":[{\"name\":\"s\",\"host\":\"h\"}]}"},
		{"application/x-www-form-urlencoded",
		 "config=_format_version%3A+%223.0%22%0Aservices%3A+%5B%7Bname%3A+s%2C+host%3A+h%7D"
		 "%5D"},
		{"multipart/form-data; boundary=XX",
		 "--XX\r\nContent-Disposition: form-data; name=\"config\"; filename=\"k.yml\"\r\n"
		 "Content-Type: text/yaml\r\n\r\n" YAML "\r\n--XX--\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct answer a = post(cases[i].type, "", cases[i].body);

		if (a.status != 201) {
			fail_msg("%s: %d %s", cases[i].type, a.status, a.body);
		}
		check_has(a.body, "{\"services\":{\"");
		assert_int_equal(fixture.told, i + 1);
		assert_int_equal(fixture.entities, 1);
	}
	check_has(get().body, "{\"config\":\"_format_version: \\\"3.0\\\"\\n_transform: false\\n"
			      "services:\\n- id: ");
}

static int64_t ttl_in(const char *body, const char *key)
{
	char name[32];
	const char *at;

	(void)snprintf(name, sizeof(name), "key: %s\\n", key);
	check_has(body, name);
	at = strstr(strstr(body, name), "ttl: ");
	assert_non_null(at);
	return strtoll(at + 5, NULL, 10);
}

/* The file has what was left when it was written, beside the created_at of the beginning. */
static void a_ttl_counts_from_the_loading(void **state)
{
	struct answer a;

	(void)state;
	a = post("text/yaml", "",
		 "_format_version: \"3.0\"\nconsumers:\n- username: u\n  keyauth_credentials:\n"
		 "  - {key: old, ttl: 1000, created_at: 1}\n"
		 "  - {key: short, ttl: 1}\n");
	assert_int_equal(a.status, 201);
	a = get();
	assert_in_range(ttl_in(a.body, "old"), 998, 1000);
	assert_in_range(ttl_in(a.body, "short"), 1, 1);
	(void)usleep(1100000);
	a = get();
	assert_null(strstr(a.body, "short"));
	assert_in_range(ttl_in(a.body, "old"), 997, 999);
	a = post("application/json", "", a.body);
	assert_int_equal(a.status, 201);
	assert_in_range(ttl_in(get().body, "old"), 997, 999);
}

static void the_same_content_is_304_when_asked(void **state)
{
	const struct str zeros = STR("00000000000000000000000000000000");
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	assert_str(declarative_live_hash(fixture.live, &a), zeros);
	assert_int_equal(post("text/yaml", "check_hash=1", YAML).status, 201);
	assert_int_equal(post("text/yaml", "check_hash=1", YAML).status, 304);
	assert_int_equal(fixture.told, 1);
	assert_int_equal(post("text/yaml", "", YAML).status, 201);
	assert_int_equal(post("text/yaml", "check_hash=1", YAML "#\n").status, 201);
	assert_int_equal(fixture.told, 3);
	assert_int_equal(declarative_live_hash(fixture.live, &a).n, 32);
	assert_false(str_eq(declarative_live_hash(fixture.live, &a), zeros));
	/* As at the start: there is nothing. */
	assert_int_equal(post("text/yaml", "", "_format_version: \"3.0\"\n").status, 201);
	assert_str(declarative_live_hash(fixture.live, &a), zeros);
	arena_fini(&a);
}

static void what_is_wrong_changes_nothing(void **state)
{
	static const struct {
		const char *type, *query, *body, *want;
	} cases[] = {
		{"text/yaml", "", "", "{\"message\":\"expected a declarative configuration\"}"},
		{"application/json", "", "",
		 "{\"message\":\"expected a declarative configuration\"}"},
		{"application/x-www-form-urlencoded", "", "other=1",
		 "{\"message\":\"expected a declarative configuration\"}"},
		{"application/json", "", "{", "{\"message\":\"Cannot parse JSON body\"}"},
		{"text/yaml", "", "a: 1\na: 2",
		 "{\"error\":\"failed parsing declarative configuration: line 2: key 'a' is given "
		 "twice (first in line 1)\"}"},
		{"text/yaml", "", "_format_version: '3.0'\nservices: [{name: s}]",
		 "{\"code\":14,\"name\":\"invalid declarative configuration\",\"message\":"
		 "\"declarative config is invalid: {services={{host=\\\"required field "
		 "missing\\\"}}}"
		 "\",\"fields\":{\"services\":[{\"host\":\"required field missing\"}]}}"},
		{"text/yaml", "flatten_errors=1", "_format_version: '3.0'\nservices: [{name: s}]",
		 "{\"code\":14,\"name\":\"invalid declarative configuration\",\"message\":"
		 "\"declarative config is invalid: {}\",\"fields\":{},\"flattened_errors\":"
		 "[{\"entity_type\":\"service\",\"entity_name\":\"s\",\"entity\":{\"name\":\"s\"},"
		 "\"errors\":[{\"type\":\"field\",\"field\":\"host\",\"message\":"
		 "\"required field missing\"}]}]}"},
	};

	(void)state;
	assert_int_equal(post("text/yaml", "", YAML).status, 201);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct answer a = post(cases[i].type, cases[i].query, cases[i].body);

		assert_int_equal(a.status, 400);
		check_has(a.body, cases[i].want);
	}
	assert_int_equal(fixture.told, 1);
	check_has(get().body, "name: s");
}

static void the_start_names_the_first_error(void **state)
{
	struct fault f = {0};

	(void)state;
	assert_ok(declarative_live_load(fixture.live, STR(YAML), STR("kong.yml"), &f));
	assert_int_equal(fixture.entities, 1);
	assert_err(declarative_live_load(fixture.live,
					 STR("_format_version: '3.0'\nservices:\n- port: x\n"),
					 STR("kong.yml"), &f),
		   ERR_INVALID);
	assert_string_equal(f.text, "kong.yml:3: service 1: host: required field missing (and 1 "
				    "more)");
	f = (struct fault){0};
	assert_err(declarative_live_load(fixture.live, STR("a: ["), STR("kong.yml"), &f),
		   ERR_INVALID);
	assert_true(strncmp(f.text, "kong.yml: line ", 15) == 0);
	assert_int_equal(fixture.told, 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(takes_every_form_of_post),		  TEST(a_ttl_counts_from_the_loading),
		TEST(the_same_content_is_304_when_asked), TEST(what_is_wrong_changes_nothing),
		TEST(the_start_names_the_first_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
