#include "gateway/declarative_plan.h"
#include "gateway/yaml_text.h"
#include "unit.h"

#include <stdio.h>

static struct arena arena;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

#define V "_format_version: \"3.0\"\n"

static struct declarative read_as(const char *yaml, const struct declarative_options *o)
{
	struct declarative_errors errors;
	struct declarative d;
	struct yaml_doc doc;

	assert_ok(yaml_parse(&arena, str_c(yaml), &doc, NULL));
	assert_ok(declarative_read(&arena, doc.root, o, &d, &errors));
	return d;
}

static struct declarative read_yaml(const char *yaml)
{
	return read_as(yaml, &(struct declarative_options){.now_ms = 1700000000000});
}

static struct str described(const struct declarative_plan *p)
{
	struct buf b = {0};

	for (size_t i = 0; i < p->n; i++) {
		declarative_describe(&arena, &p->v[i], &b);
	}
	struct str s = b.n ? str_dup(&arena, buf_str(&b)) : STR("");

	buf_free(&b);
	return s;
}

static struct str plan(const char *now, const char *wanted, const struct json *tags)
{
	struct declarative n = read_yaml(now), w;
	struct declarative_plan p;
	const struct declarative_options o = {
		.now_ms = 1800000000000,
		.find = declarative_index_find,
		.find_outside = declarative_index_find_outside,
		.find_arg = declarative_index_new(&arena, &n),
	};

	w = read_as(wanted, &o);
	declarative_add_tags(&arena, &w, tags);
	declarative_plan(&arena, &n, &w, tags, &p);
	assert_int_equal(p.n, p.created + p.updated + p.deleted);
	return described(&p);
}

static void nothing_to_do_is_an_empty_plan(void **state)
{
	static const char file[] = V "services: [{name: s, host: h, routes: [{paths: [/a]}]}]\n"
				     "consumers: [{username: j, keyauth_credentials: [{key: k, "
				     "ttl: 5}]}]\n";

	(void)state;
	assert_str(plan(file, file, NULL), STR(""));
}

static void existing_ids_are_found_by_name(void **state)
{
	(void)state;
	assert_str(plan(V
			"services: [{id: aaaaaaaa-0000-4000-8000-000000000001, name: s, host: h}]",
			V "services: [{name: s, host: i, retries: 1, routes: [{name: r, paths: "
			  "[/a]}]}]",
			NULL),
		   STR("update service 's'\n"
		       "  retries: 5 -> 1\n"
		       "  host: \"h\" -> \"i\"\n"
		       "create route 'r'\n"));
}

static void what_is_in_the_way_goes_first(void **state)
{
	(void)state;
	/* The name is taken by an entity that goes. */
	assert_str(plan(V "services: [{id: aaaaaaaa-0000-4000-8000-000000000001, name: s, host: h, "
			  "routes: [{name: r, paths: [/a]}]}]",
			V
			"services: [{id: aaaaaaaa-0000-4000-8000-000000000002, name: s, host: h}]",
			NULL),
		   STR("delete route 'r'\n"
		       "delete service 's'\n"
		       "create service 's'\n"));
}

static void what_is_still_referred_to_goes_last(void **state)
{
	(void)state;
	assert_str(plan(V "services: [{name: old, host: h, routes: [{name: r, paths: [/a]}]}]",
			V "services: [{name: new, host: h, routes: [{name: r, paths: [/a]}]}]",
			NULL),
		   STR("create service 'new'\n"
		       "update route 'r'\n"
		       "  service: {\"id\":\"83f05d56-83f6-5c6e-9f51-8c3c44f7547e\"} -> "
		       "{\"id\":\"ba3a71f2-2650-528f-a46a-ed52bda5fef4\"}\n"
		       "delete service 'old'\n"));
}

static void tags_bound_what_is_deleted(void **state)
{
	struct json *tags;

	(void)state;
	assert_ok(json_parse(&arena, STR("[\"t\"]"), &tags, NULL));
	assert_str(plan(V "services: [{name: a, host: h, tags: [t]}, {name: b, host: h}]",
			V "services: [{name: c, host: h}]\nroutes: [{name: r, paths: [/], service: "
			  "b}]",
			tags),
		   STR("delete service 'a'\n"
		       "create service 'c'\n"
		       "create route 'r'\n"));
	assert_str(
		plan(V "services: [{name: c, host: h}]", V "services: [{name: c, host: h}]", tags),
		STR("update service 'c'\n"
		    "  tags: null -> [\"t\"]\n"));
}

static void a_tag_that_is_given_twice_is_one(void **state)
{
	struct json *twice;

	(void)state;
	assert_ok(json_parse(&arena, STR("[\"t\",\"u\",\"t\"]"), &twice, NULL));
	assert_str(plan(V "services: [{name: c, host: h, tags: [u, t]}]",
			V "services: [{name: c, host: h, tags: [u]}]", twice),
		   STR(""));
	assert_str(plan(V, V "services: [{name: c, host: h}]", twice), STR("create service 'c'\n"));
}

static bool takes_from_others(const char *tags_now, const char *select)
{
	char text[128];
	struct declarative n, w;
	struct declarative_plan p;
	struct json *tags = NULL;

	(void)snprintf(text, sizeof(text), V "services: [{name: s, host: h, tags: %s}]", tags_now);
	n = read_yaml(text);
	w = read_yaml(V "services: [{name: s, host: i}]");
	if (select) {
		assert_ok(json_parse(&arena, str_c(select), &tags, NULL));
		declarative_add_tags(&arena, &w, tags);
	}
	declarative_plan(&arena, &n, &w, tags, &p);
	return p.of_others != NULL;
}

static void what_has_other_tags_is_told(void **state)
{
	(void)state;
	assert_true(takes_from_others("[other]", "[\"t\"]"));
	assert_true(takes_from_others("[t]", "[\"t\",\"u\"]"));
	assert_false(takes_from_others("[other, t]", "[\"t\"]"));
	assert_false(takes_from_others("[]", "[\"t\"]"));
	assert_false(takes_from_others("null", "[\"t\"]"));
	assert_false(takes_from_others("[other]", NULL));
}

static void secrets_are_not_shown(void **state)
{
	(void)state;
	assert_str(plan(V "consumers: [{username: j, keyauth_credentials: [{id: "
			  "aaaaaaaa-0000-4000-8000-000000000001, key: hush}]}]",
			V "consumers: [{username: j, keyauth_credentials: [{id: "
			  "aaaaaaaa-0000-4000-8000-000000000001, key: hush2}]}]",
			NULL),
		   STR("update keyauth_credential aaaaaaaa-0000-4000-8000-000000000001\n"
		       "  key: (secret) -> (secret)\n"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_to_do_is_an_empty_plan), TEST(existing_ids_are_found_by_name),
		TEST(what_is_in_the_way_goes_first),  TEST(what_is_still_referred_to_goes_last),
		TEST(tags_bound_what_is_deleted),     TEST(what_has_other_tags_is_told),
		TEST(secrets_are_not_shown),	      TEST(a_tag_that_is_given_twice_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
