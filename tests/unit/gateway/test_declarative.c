#include "gateway/declarative.h"
#include "gateway/tree.h"
#include "gateway/yaml_text.h"
#include "unit.h"

#include <stdio.h>

static struct arena arena;
static struct yaml_doc doc;
static struct declarative got;
static struct declarative_errors errors;

/* A plugin as any other; the list of those that are built is not this test's. */
static const struct schema_field key_name = {.type = SCHEMA_STRING};
static const struct schema_field plugin_fields[] = {
	{.name = "key_names",
	 .type = SCHEMA_ARRAY,
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "[\"apikey\"]",
	 .elements = &key_name},
	{.name = "hide_credentials",
	 .type = SCHEMA_BOOLEAN,
	 .flags = SCHEMA_REQUIRED,
	 .dflt = "false"},
	{.name = "realm", .type = SCHEMA_STRING},
	{.name = "minute", .type = SCHEMA_NUMBER},
};
static const struct schema plugin_schema = {
	.name = "any", .fields = plugin_fields, .n = ARRAY_LEN(plugin_fields)};

static bool find_plugin(struct str name, struct entity_plugin *out)
{
	*out = (struct entity_plugin){.config = &plugin_schema};
	return !str_eq(name, STR("nope"));
}

static int set_up(void **state)
{
	(void)state;
	entity_plugins_from(find_plugin);
	arena_init(&arena, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static enum err read_with(const char *yaml, const struct declarative_options *o)
{
	struct fault f = {0};

	if (yaml_parse(&arena, str_c(yaml), &doc, &f) != ERR_OK) {
		fail_msg("%s: %s", yaml, f.text);
	}
	return declarative_read(&arena, doc.root, o, &got, &errors);
}

static enum err read_yaml(const char *yaml)
{
	const struct declarative_options o = {.now_ms = 1700000000000};

	return read_with(yaml, &o);
}

static struct str text_of(const struct json *v)
{
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);

	json_put_tree(&w, v);
	struct str s = str_dup(&arena, buf_str(&b));

	buf_free(&b);
	return s;
}

static void must_read(const char *yaml)
{
	if (read_yaml(yaml) != ERR_OK) {
		fail_msg("%s\n%.*s", yaml, STR_ARG(text_of(errors.fields)));
	}
}

static const struct json *find(enum entity_kind kind, const char *field, const char *value)
{
	for (size_t i = 0; i < got.n; i++) {
		if (got.v[i].kind == kind &&
		    str_eq(json_str(json_get(got.v[i].json, str_c(field))), str_c(value))) {
			return got.v[i].json;
		}
	}
	fail_msg("no entity with %s %s", field, value);
	return NULL;
}

static struct str id_of(const struct json *v)
{
	return json_str(json_get(v, STR("id")));
}

static struct str ref_of(const struct json *v, const char *field)
{
	return id_of(json_get(v, str_c(field)));
}

#define V "_format_version: \"3.0\"\n"

static const char nested[] = V "services:\n"
			       "- name: s\n"
			       "  url: http://127.0.0.1:9000/base\n"
			       "  _comment: mine\n"
			       "  routes:\n"
			       "  - name: r\n"
			       "    paths: [/r]\n"
			       "    plugins:\n"
			       "    - name: key-auth\n"
			       "  plugins:\n"
			       "  - name: request-termination\n"
			       "consumers:\n"
			       "- username: jane\n"
			       "  acls: [{group: g}]\n"
			       "  keyauth_credentials: [{key: k}]\n"
			       "  basicauth_credentials: [{username: u, password: p}]\n"
			       "upstreams:\n"
			       "- name: up\n"
			       "  targets: [{target: \"a:80\"}, {target: b}]\n";

static void reads_nested_entities(void **state)
{
	(void)state;
	must_read(nested);
	assert_int_equal(got.n, 11);

	const struct json *s = find(ENTITY_SERVICE, "name", "s");
	const struct json *r = find(ENTITY_ROUTE, "name", "r");
	const struct json *jane = find(ENTITY_CONSUMER, "username", "jane");

	assert_str(json_str(json_get(s, STR("host"))), STR("127.0.0.1"));
	assert_null(json_get(s, STR("url")));
	assert_null(json_get(s, STR("_comment")));
	assert_str(ref_of(r, "service"), id_of(s));
	assert_str(ref_of(find(ENTITY_PLUGIN, "name", "key-auth"), "route"), id_of(r));
	assert_str(ref_of(find(ENTITY_PLUGIN, "name", "request-termination"), "service"), id_of(s));
	assert_str(ref_of(find(ENTITY_ACL, "group", "g"), "consumer"), id_of(jane));
	assert_str(ref_of(find(ENTITY_KEY_AUTH, "key", "k"), "consumer"), id_of(jane));
	assert_str(ref_of(find(ENTITY_TARGET, "target", "b:8000"), "upstream"),
		   id_of(find(ENTITY_UPSTREAM, "name", "up")));
	/* Hashed: 40 hex digits. */
	assert_int_equal(
		json_str(json_get(find(ENTITY_BASIC_AUTH, "username", "u"), STR("password"))).n,
		40);
	/* What is referenced comes first. */
	for (size_t i = 1; i < got.n; i++) {
		assert_true(got.v[i - 1].kind <= got.v[i].kind);
	}
}

/* The ids that Python's uuid.uuid5 gives for the same chain of names. */
static void ids_depend_on_names_only(void **state)
{
	struct str first, second;

	(void)state;
	must_read(V "services: [{name: s, host: h}]\nconsumers: [{username: jane}]\n");
	assert_str(id_of(find(ENTITY_SERVICE, "name", "s")),
		   STR("b268827a-8f7f-551f-8769-e6bceb2f3ec6"));
	assert_str(id_of(find(ENTITY_CONSUMER, "username", "jane")),
		   STR("8f48cd7b-ec85-5dd3-b198-cdd5031404c9"));

	must_read(V "services: [{name: t, host: h}, {name: s, host: other, retries: 1}]\n");
	assert_str(id_of(find(ENTITY_SERVICE, "name", "s")),
		   STR("b268827a-8f7f-551f-8769-e6bceb2f3ec6"));

	/* Without a name: by what it says, and equal ones are kept apart. */
	must_read(V "routes: [{paths: [/a]}, {paths: [/a]}, {paths: [/b]}]\n");
	assert_int_equal(got.n, 3);
	first = id_of(got.v[0].json);
	second = id_of(got.v[1].json);
	assert_false(str_eq(first, second));
	must_read(V "routes: [{paths: [/c]}, {paths: [/a]}, {paths: [/a]}]\n");
	assert_str(id_of(got.v[1].json), first);
	assert_str(id_of(got.v[2].json), second);

	must_read(V "routes: [{id: AAAAAAAA-0000-4000-8000-000000000001, paths: [/a]}]\n");
	assert_str(id_of(got.v[0].json), STR("aaaaaaaa-0000-4000-8000-000000000001"));
}

static bool find_jane(void *arg, enum entity_kind kind, struct str key, struct guid *out)
{
	(void)arg;
	if (kind != ENTITY_CONSUMER || !str_eq(key, STR("jane"))) {
		return false;
	}
	memset(out->b, 0x11, sizeof(out->b));
	return true;
}

static void existing_entities_keep_their_ids(void **state)
{
	struct declarative_options o = {.find = find_jane};

	(void)state;
	assert_ok(read_with(V "consumers: [{username: jane, acls: [{group: g}]}]\n", &o));
	assert_str(id_of(find(ENTITY_CONSUMER, "username", "jane")),
		   STR("11111111-1111-1111-1111-111111111111"));
	assert_str(ref_of(find(ENTITY_ACL, "group", "g"), "consumer"),
		   STR("11111111-1111-1111-1111-111111111111"));

	o = (struct declarative_options){.find_outside = find_jane};
	assert_ok(read_with(V "acls: [{group: g, consumer: jane}]\n", &o));
	assert_str(ref_of(find(ENTITY_ACL, "group", "g"), "consumer"),
		   STR("11111111-1111-1111-1111-111111111111"));
}

static void takes_references_in_every_form(void **state)
{
	(void)state;
	must_read(V
		  "services: [{id: aaaaaaaa-0000-4000-8000-000000000001, name: s, host: h}]\n"
		  "routes:\n"
		  "- {name: a, paths: [/a], service: s}\n"
		  "- {name: b, paths: [/b], service: {name: s}}\n"
		  "- {name: c, paths: [/c], service: {id: aaaaaaaa-0000-4000-8000-000000000001}}\n"
		  "- {name: d, paths: [/d], service: aaaaaaaa-0000-4000-8000-000000000001}\n"
		  "- {name: e, paths: [/e], service: null}\n");
	for (const char *name = "abcd"; *name; name++) {
		const char text[] = {*name, 0};

		assert_str(ref_of(find(ENTITY_ROUTE, "name", text), "service"),
			   STR("aaaaaaaa-0000-4000-8000-000000000001"));
	}
	assert_true(json_is_null(json_get(find(ENTITY_ROUTE, "name", "e"), STR("service"))));
}

static void understands_older_formats(void **state)
{
	(void)state;
	must_read("_format_version: \"1.1\"\n"
		  "routes: [{name: r, paths: [/plain-1.0_~%2F, '/re(\\d+)', '~/new']}]\n");
	assert_str(text_of(json_get(find(ENTITY_ROUTE, "name", "r"), STR("paths"))),
		   STR("[\"/plain-1.0_~%2F\",\"~/re(\\\\d+)\",\"~/new\"]"));

	must_read("_format_version: 2.1\n_transform: false\n_workspace: default\n"
		  "_info: {select_tags: [t], defaults: {}}\nx-mine: {a: 1}\nkeys: []\n"
		  "consumers: [{username: j, basicauth_credentials: [{username: u, password: "
		  "'0123456789012345678901234567890123456789'}]}]\n");
	assert_str(json_str(json_get(find(ENTITY_BASIC_AUTH, "username", "u"), STR("password"))),
		   STR("0123456789012345678901234567890123456789"));
	assert_str(text_of(got.select_tags), STR("[\"t\"]"));
}

static void shares_plugin_configs(void **state)
{
	(void)state;
	must_read(V "_plugin_configs: {limit: {key_names: [a], realm: x}}\n"
		    "plugins: [{name: key-auth, _config: limit, config: {key_names: [b]}}]\n");
	const struct json *config =
		json_get(find(ENTITY_PLUGIN, "name", "key-auth"), STR("config"));

	assert_str(text_of(json_get(config, STR("key_names"))), STR("[\"b\"]"));
	assert_str(json_str(json_get(config, STR("realm"))), STR("x"));
}

struct refusal {
	const char *yaml, *fields;
};

static const struct refusal refusals[] = {
	{"", "{\"@entity\":[\"expected a map of entities\"]}"},
	{"[]", "{\"@entity\":[\"expected a map of entities\"]}"},
	{"services: []", "{\"_format_version\":\"required field missing\"}"},
	{"_format_version: '4.0'", "{\"_format_version\":\"expected one of: 1.1, 2.1, 3.0\"}"},
	{"_format_version: '1.1'\n_transform: false",
	 "{\"_transform\":\"_transform: false is not supported in _format_version 1.1\"}"},
	{V "nope: []\nkeys: [{}]", "{\"nope\":\"unknown field\","
				   "\"keys\":\"entities of this kind are not supported\"}"},
	{V "services: {a: 1}", "{\"services\":\"expected an array\"}"},
	{V "services: [{name: s}]", "{\"services\":[{\"host\":\"required field missing\"}]}"},
	{V "services: [{host: h}, {host: h, port: 70000, x: 1}]",
	 "{\"services\":[null,{\"x\":\"unknown field\","
	 "\"port\":\"value should be between 0 and 65535\"}]}"},
	{V "services: [5]", "{\"services\":[\"expected a record\"]}"},
	{V "services: [{name: s, host: h, routes: [{paths: [/a]}, {paths: [b]}]}]",
	 "{\"services\":[{\"routes\":[null,{\"paths\":[\"should start with: / (fixed path) or ~/ "
	 "(regex path)\"]}]}]}"},
	{V "routes: [{paths: [/a], service: x}]",
	 "{\"routes\":[[\"invalid reference 'service: x' (no such entry in 'services')\"]]}"},
	{V "consumers: [{username: x}, {username: x}]",
	 "{\"consumers\":[null,\"uniqueness violation: 'consumers' entity with username set to 'x' "
	 "already declared\"]}"},
	{V "consumers: [{username: a, custom_id: x}, {username: b, custom_id: x}]",
	 "{\"consumers\":[null,\"uniqueness violation: 'consumers' entity with custom_id set to "
	 "'x' "
	 "already declared\"]}"},
	{V "plugins: [{name: nope}]", "{\"plugins\":[{\"name\":\"plugin 'nope' not enabled; add it "
				      "to the 'plugins' configuration "
				      "property\"}]}"},
	{V "plugins: [{name: key-auth, _config: x}]",
	 "{\"plugins\":[\"_config 'x' is not in '_plugin_configs'\"]}"},
	{V "services: [{name: s, host: h, routes: [{service: s, paths: [/a]}]}]",
	 "{\"services\":[{\"routes\":[\"service: is given by the nesting\"]}]}"},
};

static void refuses_in_kongs_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		if (read_yaml(refusals[i].yaml) != ERR_INVALID) {
			fail_msg("taken: %s", refusals[i].yaml);
		}
		if (!str_eq(text_of(errors.fields), str_c(refusals[i].fields))) {
			fail_msg("%s\n-> %.*s\nnot %s", refusals[i].yaml,
				 STR_ARG(text_of(errors.fields)), refusals[i].fields);
		}
	}
}

static void one_mistake_is_one_error(void **state)
{
	(void)state;
	/* The service is not valid, but its route's reference to it is. */
	assert_err(read_yaml(V "services: [{name: s, port: 99999, host: h}]\n"
			       "routes: [{paths: [/a], service: s}]\n"),
		   ERR_INVALID);
	assert_int_equal(errors.n, 1);
	assert_str(errors.v[0].where, STR("service 's'"));
	assert_str(errors.v[0].field, STR("port"));
}

static void flattens_errors(void **state)
{
	(void)state;
	assert_err(read_yaml(V "nope: 1\n"
			       "services:\n"
			       "- name: s\n"
			       "  tags: [t]\n"
			       "  routes: [{name: r, id: aaaaaaaa-0000-4000-8000-000000000001, "
			       "paths: [x]}]\n"
			       "plugins: [{name: key-auth, config: {key_names: 5}}]\n"
			       "routes: [{paths: [/a], service: x}]\n"),
		   ERR_INVALID);
	assert_str(text_of(errors.leftovers), STR("{\"nope\":\"unknown field\"}"));
	assert_str(declarative_message(&arena, errors.leftovers),
		   STR("declarative config is invalid: {nope=\"unknown field\"}"));

	const struct json *v = errors.flattened->child;

	assert_str(
		text_of(v),
		STR("{\"entity_type\":\"service\",\"entity_name\":\"s\",\"entity_tags\":[\"t\"],"
		    "\"entity\":{\"name\":\"s\",\"tags\":[\"t\"]},\"errors\":[{\"type\":\"field\","
		    "\"field\":\"host\",\"message\":\"required field missing\"}]}"));
	v = v->next;
	assert_str(json_str(json_get(v, STR("entity_id"))),
		   STR("aaaaaaaa-0000-4000-8000-000000000001"));
	assert_str(
		text_of(json_get(v, STR("errors"))),
		STR("[{\"type\":\"field\",\"field\":\"paths\",\"messages\":[\"should start with: / "
		    "(fixed path) or ~/ (regex path)\"]}]"));
	v = v->next;
	assert_str(text_of(json_get(v, STR("errors"))),
		   STR("[{\"type\":\"field\",\"field\":\"config.key_names\",\"message\":"
		       "\"expected an array\"}]"));
	v = v->next;
	assert_str(
		text_of(json_get(v, STR("errors"))),
		STR("[{\"type\":\"entity\",\"message\":\"invalid reference 'service: x' (no such "
		    "entry in 'services')\"}]"));
	assert_null(v->next);
}

/* Their owner tells it, beside what else is wrong with it. */
static void flattens_lists_that_are_none(void **state)
{
	(void)state;
	assert_err(read_yaml(V "services:\n"
			       "- {name: a, host: h, routes: x, plugins: 5}\n"
			       "- {name: b, routes: [{name: r, paths: [/a], plugins: x}]}\n"
			       "upstreams: [{name: u, targets: 1}]\n"),
		   ERR_INVALID);
	assert_str(text_of(errors.leftovers), STR("{}"));
	assert_int_equal(errors.n, 5);

	const struct json *v = errors.flattened->child;

	assert_str(
		text_of(v),
		STR("{\"entity_type\":\"service\",\"entity_name\":\"a\",\"entity\":{\"name\":\"a\","
		    "\"host\":\"h\"},\"errors\":[{\"type\":\"field\",\"field\":\"routes\","
		    "\"message\":"
		    "\"expected an array\"},{\"type\":\"field\",\"field\":\"plugins\",\"message\":"
		    "\"expected an array\"}]}"));
	v = v->next;
	assert_str(text_of(json_get(v, STR("errors"))),
		   STR("[{\"type\":\"field\",\"field\":\"host\",\"message\":"
		       "\"required field missing\"}]"));
	v = v->next;
	assert_str(json_str(json_get(v, STR("entity_name"))), STR("r"));
	assert_str(text_of(json_get(v, STR("errors"))),
		   STR("[{\"type\":\"field\",\"field\":\"plugins\",\"message\":"
		       "\"expected an array\"}]"));
	v = v->next;
	assert_str(json_str(json_get(v, STR("entity_type"))), STR("upstream"));
	assert_null(v->next);
}

static void reports_with_lines(void **state)
{
	struct buf b = {0};

	(void)state;
	assert_err(read_yaml(V "services:\n"
			       "- name: s\n"
			       "  host: h\n"
			       "  port: 70000\n"
			       "  routes:\n"
			       "  - paths:\n"
			       "    - /a\n"
			       "    - b\n"
			       "consumers:\n"
			       "- username: x\n"
			       "- username: x\n"
			       "nope: 1\n"),
		   ERR_INVALID);
	declarative_report(&errors, &doc, STR("kong.yml"), &b);
	assert_str(
		buf_str(&b),
		STR("kong.yml:5: service 's': port: value should be between 0 and 65535\n"
		    "kong.yml:9: service 's', route 1: paths.2: should start with: / (fixed path) "
		    "or ~/ (regex path)\n"
		    "kong.yml:12: consumer 'x': uniqueness violation: 'consumers' entity with "
		    "username set to 'x' already declared\n"
		    "kong.yml:13: nope: unknown field\n"));
	buf_free(&b);
}

static void says_it_as_a_lua_table(void **state)
{
	(void)state;
	assert_err(read_yaml(V "services: [{host: h}, {}]\n"), ERR_INVALID);
	assert_str(declarative_message(&arena, errors.fields),
		   STR("declarative config is invalid: "
		       "{services={[2]={host=\"required field missing\"}}}"));
}

/* ---- writing ---- */

static struct str written(const struct declarative *d, unsigned flags)
{
	struct buf b = {0};

	yaml_write(&b, declarative_write(&arena, d->v, d->n, flags));
	struct str s = str_dup(&arena, buf_str(&b));

	buf_free(&b);
	return s;
}

static void writes_what_was_meant(void **state)
{
	(void)state;
	must_read(V "services:\n"
		    "- name: s\n"
		    "  host: h\n"
		    "  path: null\n"
		    "  routes:\n"
		    "  - {name: r, paths: [/r], strip_path: false, methods: [GET]}\n"
		    "plugins:\n"
		    "- {name: key-auth, service: s, config: {hide_credentials: true}}\n"
		    "- {name: request-termination, service: s, route: r}\n");
	assert_str(written(&got, 0), STR("_format_version: \"3.0\"\n"
					 "services:\n"
					 "- name: s\n"
					 "  host: h\n"
					 "  routes:\n"
					 "  - name: r\n"
					 "    strip_path: false\n"
					 "    methods:\n"
					 "    - GET\n"
					 "    paths:\n"
					 "    - /r\n"
					 "  plugins:\n"
					 "  - name: key-auth\n"
					 "    config:\n"
					 "      hide_credentials: true\n"
					 "plugins:\n"
					 "- name: request-termination\n"
					 "  route: r\n"
					 "  service: s\n"));
}

static void check_reads_back(unsigned flags)
{
	struct declarative before = got;
	struct str yaml = written(&before, flags);

	must_read(str_cstr(&arena, yaml));
	assert_int_equal(got.n, before.n);
	for (size_t i = 0; i < before.n; i++) {
		size_t at = 0;

		while (at < got.n && !guid_eq(&got.v[at].id, &before.v[i].id)) {
			at++;
		}
		if (at == got.n || !tree_eq(got.v[at].json, before.v[i].json)) {
			fail_msg("%.*s\n-> %.*s\nis not %.*s", STR_ARG(yaml),
				 STR_ARG(at < got.n ? text_of(got.v[at].json) : STR("nothing")),
				 STR_ARG(text_of(before.v[i].json)));
		}
	}
}

static void reads_back_what_it_wrote(void **state)
{
	static const unsigned flags[] = {
		0,
		DECLARATIVE_WITH_IDS,
		DECLARATIVE_WITH_DEFAULTS,
		DECLARATIVE_WITH_IDS | DECLARATIVE_WITH_DEFAULTS | DECLARATIVE_WITH_TIMES |
			DECLARATIVE_FLAT,
	};
	static const char *const files[] = {
		nested,
		V "routes: [{paths: [/a]}, {paths: [/a]}, {hosts: [x.y], strip_path: false}]\n",
		V
		"services: [{name: s, host: h, protocol: https, retries: 0, tls_verify: false}]\n",
		V "upstreams: [{name: u, hash_on: header, hash_on_header: X-A, healthchecks: "
		  "{active: {healthy: {interval: 5}}}}]\n",
		V "plugins: [{name: prometheus}, {name: rate-limiting, config: {minute: 5}}, "
		  "{name: request-termination, consumer: j, enabled: false}]\nconsumers: "
		  "[{username: j}]\n",
		V,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		for (size_t k = 0; k < ARRAY_LEN(flags); k++) {
			must_read(files[i]);
			check_reads_back(flags[k]);
		}
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reads_nested_entities),
		TEST(ids_depend_on_names_only),
		TEST(existing_entities_keep_their_ids),
		TEST(takes_references_in_every_form),
		TEST(understands_older_formats),
		TEST(shares_plugin_configs),
		TEST(refuses_in_kongs_words),
		TEST(one_mistake_is_one_error),
		TEST(flattens_errors),
		TEST(flattens_lists_that_are_none),
		TEST(reports_with_lines),
		TEST(says_it_as_a_lua_table),
		TEST(writes_what_was_meant),
		TEST(reads_back_what_it_wrote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
