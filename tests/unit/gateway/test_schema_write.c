/*
 * What /schemas answers, against files in schemas/: a client that fills in defaults from it
 * (decK) sees a difference on every run when one is missing.
 */
#include "entity_test.h"

#include <stdio.h>

static struct entity_test t;

static int setup(void **state)
{
	(void)state;
	entity_test_init(&t, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	entity_test_fini(&t);
	return 0;
}

static struct str file_text(const char *path)
{
	static char text[64 * 1024];
	FILE *f = fopen(path, "rb");

	if (!f) {
		fail_msg("cannot open %s", path);
	}
	size_t n = fread(text, 1, sizeof(text), f);

	(void)fclose(f);
	return str_dup(&t.arena, str_of(text, n));
}

static void assert_shows(struct str got, const char *name)
{
	struct str path = str_fmt(&t.arena, "tests/unit/gateway/schemas/%s.json", name);
	struct str want = file_text(str_cstr(&t.arena, path));
	struct json *a;
	struct json *b;

	assert_ok(json_parse(&t.arena, got, &a, NULL));
	assert_ok(json_parse(&t.arena, want, &b, NULL));
	if (!tree_eq(a, b)) {
		/* Too long for cmocka. */
		(void)fprintf(stderr, "%s.json differs from: %.*s\n", name, STR_ARG(got));
		fail();
	}
}

static void assert_kind(enum entity_kind kind)
{
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);

	schema_write(entity_defs[kind].schema, &w);
	assert_shows(str_dup(&t.arena, buf_str(&b)), entity_defs[kind].collection);
	buf_free(&b);
}

static void test_kinds(void **state)
{
	(void)state;
	assert_kind(ENTITY_SERVICE);
	assert_kind(ENTITY_ROUTE);
	assert_kind(ENTITY_CONSUMER);
	assert_kind(ENTITY_PLUGIN);
	assert_kind(ENTITY_UPSTREAM);
	assert_kind(ENTITY_KEY_AUTH);
}

/* Every kind is valid JSON whose fields are one-key objects with a type. */
static void test_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < ENTITY_KINDS; i++) {
		struct buf b = {0};
		struct json_writer w = json_writer_to(&b);
		struct json *v;

		schema_write(entity_defs[i].schema, &w);
		assert_ok(json_parse(&t.arena, buf_str(&b), &v, NULL));
		for (const struct json *c = json_get(v, STR("fields"))->child; c; c = c->next) {
			assert_int_equal(c->n, 1);
			assert_true(json_str(json_get(c->child, STR("type"))).n > 0);
		}
		assert_int_equal(json_get(v, STR("entity_checks"))->type, JSON_ARRAY);
		buf_free(&b);
	}
}

static const struct schema_field name = {.type = SCHEMA_STRING};
static const struct schema_field redis_fields[] = {{.name = "host", .type = SCHEMA_STRING}};
static const struct schema redis = {
	.name = "redis", .fields = redis_fields, .n = ARRAY_LEN(redis_fields)};
static const struct schema_field config_fields[] = {
	{.name = "key_names",
	 .type = SCHEMA_ARRAY,
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "[\"apikey\"]",
	 .elements = &name},
	{.name = "realm", .type = SCHEMA_STRING, .doc = "Shown to clients."},
	{.name = "redis", .type = SCHEMA_RECORD, .flags = SCHEMA_REQUIRED, .record = &redis},
	{.name = "redis_host", .type = SCHEMA_STRING, .alias_of = "redis.host"},
};
static const struct schema_rule config_rules[] = {
	{.kind = SCHEMA_AT_LEAST_ONE_OF, .fields = {"key_names", "realm"}},
};
static const struct schema config = {.name = "config",
				     .fields = config_fields,
				     .n = ARRAY_LEN(config_fields),
				     .rules = config_rules,
				     .n_rules = ARRAY_LEN(config_rules)};

static void test_plugin(void **state)
{
	struct entity_plugin p = {.config = &config, .no_consumer = true};
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);

	(void)state;
	entity_plugin_schema_write(&p, &w);
	assert_shows(str_dup(&t.arena, buf_str(&b)), "plugin");
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_plugin),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
