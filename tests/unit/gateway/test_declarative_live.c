#include "gateway/declarative_live.h"

#include "gateway/compile.h"
#include "gateway/declarative.h"
#include "gateway/plugin_entities.h"
#include "gateway/tree.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
	struct entities *es;
	struct declarative_live *live;
	unsigned told;
	size_t entities;
	struct entity_change last;
	size_t changes; /* last time */
};

static void on_changes(void *arg, const struct entity_change *v, size_t n, bool all)
{
	struct fixture *fx = arg;

	assert_int_equal(all, fx->told == 0);
	assert_true(all || n > 0);
	fx->told++;
	fx->entities = all ? n : fx->entities;
	fx->changes = n;
	if (n > 0) {
		fx->last = v[n - 1];
	}
}

static struct fixture fixture;

static int set_up(void **state)
{
	struct entities_config config = {.memory = true, .on_changes = on_changes, .arg = &fixture};

	(void)state;
	plugin_entities_enable();
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
	char body[16384];
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
		assert_int_equal(fixture.told, 1); /* it is the same each time */
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
	assert_int_equal(fixture.told, 1);
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

/* ---- what stays ---- */

/* Of every kind that others refer to, that a secret is made for, or that data planes hang on. */
#define LARGE(tag, target)                                                                         \
	"_format_version: '3.0'\n"                                                                 \
	"services:\n- name: s\n  host: up\n  routes:\n"                                            \
	"  - {name: r, paths: [/r], tags: [" tag "]}\n"                                            \
	"  - {paths: [/nameless]}\n"                                                               \
	"  plugins: [{name: key-auth}]\n"                                                          \
	"upstreams: [{name: up, targets: [{target: '" target "'}]}]\n"                             \
	"consumers:\n- username: u\n  acls: [{group: g}]\n"                                        \
	"  keyauth_credentials: [{key: k}]\n"                                                      \
	"  basicauth_credentials: [{username: n, password: p}]\n"                                  \
	"vaults: [{name: env, prefix: vault, config: {prefix: X_}}]\n"

enum { LARGE_N = 11 };

static void post_large(const char *body)
{
	struct answer a = post("text/yaml", "", body);

	if (a.status != 201) {
		fail_msg("%d %s", a.status, a.body);
	}
}

static struct entity_item *item_named(enum entity_kind kind, const char *name)
{
	struct guid id = declarative_id(kind, str_c(name));
	struct entity_item *item = entities_item(fixture.es, kind, &id);

	assert_non_null(item);
	return item;
}

static bool stays(enum entity_kind kind, const char *name, struct entity_item **former)
{
	struct entity_item *now = item_named(kind, name);
	bool same = now == *former;

	entity_item_unref(former);
	entity_item_unref(&now);
	return same;
}

static void what_is_said_again_stays(void **state)
{
	struct entity_item *service, *route, *consumer;

	(void)state;
	post_large(LARGE("one", "10.0.0.1:80"));
	assert_int_equal(fixture.entities, LARGE_N);
	service = item_named(ENTITY_SERVICE, "s");
	route = item_named(ENTITY_ROUTE, "r");
	consumer = item_named(ENTITY_CONSUMER, "u");
	post_large(LARGE("two", "10.0.0.1:80"));
	assert_int_equal(fixture.told, 2);
	assert_int_equal(fixture.changes, 1);
	assert_int_equal(fixture.last.kind, ENTITY_ROUTE);
	assert_true(stays(ENTITY_SERVICE, "s", &service));
	assert_true(stays(ENTITY_CONSUMER, "u", &consumer));
	assert_false(stays(ENTITY_ROUTE, "r", &route));
	post_large(LARGE("two", "10.0.0.2:80")); /* one target goes, one comes */
	assert_int_equal(fixture.told, 3);
	assert_int_equal(fixture.changes, 2);
	assert_int_equal(fixture.last.kind, ENTITY_TARGET);
	post_large("_format_version: '3.0'\n");
	assert_int_equal(fixture.changes, LARGE_N);
	assert_null(fixture.last.item);
}

static void check_times(int64_t created, int64_t updated_min, int64_t updated_max)
{
	struct entity_item *s = item_named(ENTITY_SERVICE, "s");
	int64_t n;

	assert_true(json_int(json_get(s->json, STR("created_at")), &n));
	assert_int_equal(n, created);
	assert_true(json_int(json_get(s->json, STR("updated_at")), &n));
	assert_in_range(n, updated_min, updated_max);
	entity_item_unref(&s);
}

#define ONE "_format_version: '3.0'\nservices:\n- name: s\n"

/* As if that was long ago. */
static void set_updated(int64_t at)
{
	struct entity_item *former = item_named(ENTITY_SERVICE, "s"), *item;
	struct arena a;
	struct json *doc;

	arena_init(&a, 0);
	doc = tree_shallow(&a, former->json);
	tree_set(&a, doc, STR("updated_at"), tree_int(&a, at));
	item = entity_item_new(former->kind, &former->id, doc);
	item->undated = former->undated;
	entities_replace(fixture.es, &item, 1);
	entity_item_unref(&former);
	entity_item_unref(&item);
	arena_fini(&a);
}

static void times_stay_with_what_stays(void **state)
{
	(void)state;
	post_large(ONE "  host: h\n  created_at: 5\n");
	post_large(ONE "  host: h\n");
	set_updated(6);
	check_times(5, 6, 6);
	check_has(post("text/yaml", "", ONE "  host: h\n  updated_at: 9\n").body,
		  "\"created_at\":5,\"updated_at\":6");
	check_times(5, 6, 6);
	post_large(ONE "  host: other\n");
	check_times(5, 10, INT64_MAX);
	post_large(ONE "  host: other\n  created_at: 3\n");
	check_times(3, 10, INT64_MAX);
}

static int64_t rank_of_route(void)
{
	struct entity_item *r = item_named(ENTITY_ROUTE, "r"), *copy;
	struct fault f = {0};
	int64_t rank;

	copy = entity_item_new(r->kind, &r->id, r->json);
	copy->undated = r->undated;
	assert_ok(route_compile(copy, &f));
	rank = ((const struct route *)copy->compiled)->rule.created_at;
	entity_item_unref(&copy);
	entity_item_unref(&r);
	return rank;
}

/* Else two nodes with the same file, or one before and after a restart, would differ. */
static void a_file_alone_ranks_its_routes(void **state)
{
	(void)state;
	post_large("_format_version: '3.0'\nroutes:\n- {name: r, paths: [/r]}\n");
	assert_int_equal(rank_of_route(), INT64_MAX);
	post_large("_format_version: '3.0'\nroutes:\n- {name: r, paths: [/r], created_at: 5}\n");
	assert_int_equal(rank_of_route(), 5);
	/* It was made then, and nothing else differs. */
	post_large("_format_version: '3.0'\nroutes:\n- {name: r, paths: [/r]}\n");
	assert_int_equal(rank_of_route(), INT64_MAX);
}

/* What failed for reasons of its surroundings is tried again. */
static void what_did_not_work_is_made_anew(void **state)
{
	struct entity_item *s;

	(void)state;
	post_large(ONE "  host: h\n");
	s = item_named(ENTITY_SERVICE, "s");
	s->unusable = true;
	post_large(ONE "  host: h\n");
	assert_int_equal(fixture.changes, 1);
	assert_false(stays(ENTITY_SERVICE, "s", &s));
}

/* ---- from one process to the next ---- */

/* Another process that has what this one saved. */
static void restart_with(struct str saved, struct fault *f, enum err want)
{
	assert_int_equal(tear_down(NULL), 0);
	assert_int_equal(set_up(NULL), 0);
	assert_err(declarative_live_restore(fixture.live, saved, f), want);
}

/* Of all kinds but those of certificates, with ids and times that are not in it. */
static const char everything[] =
	"_format_version: \"3.0\"\n"
	"_transform: false\n"
	"services:\n"
	"- {name: s, host: h, tags: [a, b], created_at: 1000}\n"
	"routes:\n"
	"- {service: s, paths: [/unnamed, '~/x(?<y>z)'], headers: {x-y: ['null', '1', 'on']}}\n"
	"consumers:\n"
	"- username: jane\n"
	"  custom_id: '007'\n"
	"  acls: [{group: g}]\n"
	"  basicauth_credentials: [{username: j, password: "
	"a94a8fe5ccb19ba61c4c0873d391e987982fbbd3}]\n"
	"  keyauth_credentials: [{key: k}]\n"
	"plugins:\n"
	"- {name: key-auth, service: s, config: {key_names: [k]}}\n"
	"- {name: rate-limiting, consumer: jane, config: {minute: 5, policy: local}, "
	"instance_name: i}\n"
	"upstreams:\n"
	"- {name: u, targets: [{target: '127.0.0.1:1', weight: 3}]}\n"
	"vaults:\n"
	"- {name: env, prefix: mine, config: {prefix: P_}}\n";

static void what_is_saved_is_all_that_there_is(void **state)
{
	struct answer before, after;
	struct buf saved = {0};
	struct fault f = {0};
	struct str hash;
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	before = post("text/yaml", "", everything);
	assert_int_equal(before.status, 201);
	before = get();
	hash = declarative_live_hash(fixture.live, &a);
	assert_ok(declarative_live_save(fixture.live, &saved));
	restart_with(buf_str(&saved), &f, ERR_OK);
	after = get();
	assert_string_equal(before.body, after.body);
	assert_str(declarative_live_hash(fixture.live, &a), hash);
	assert_int_equal(post("text/yaml", "check_hash=1", everything).status, 304);
	buf_free(&saved);
	arena_fini(&a);
}

static void what_is_restored_was_not_changed(void **state)
{
	static const char saved[] =
		"{\"hash\":\"0123456789abcdef0123456789abcdef\",\"undated\":[],\"config\":"
		"{\"_format_version\":\"3.0\",\"services\":[{\"name\":\"s\",\"host\":\"h\","
		"\"created_at\":1000,\"updated_at\":2000}]}}";
	struct fault f = {0};

	(void)state;
	assert_ok(declarative_live_restore(fixture.live, str_c(saved), &f));
	check_has(get().body, "created_at: 1000\\n  updated_at: 2000\\n");
	post_large(ONE "  host: other\n  created_at: 1000\n  updated_at: 2000\n");
	assert_null(strstr(get().body, "updated_at: 2000"));
}

static void what_ranks_no_routes_does_not_afterwards(void **state)
{
	static const char *const routes[] = {
		"_format_version: '3.0'\nroutes:\n- {name: r, paths: [/r]}\n",
		"_format_version: '3.0'\nroutes:\n- {name: r, paths: [/r], created_at: 5}\n",
		"_format_version: '3.0'\n" /* with the id of the route, which is one of its kind */
		"services: [{name: s, host: h, id: %.36s}]\n"
		"routes:\n- {name: r, paths: [/r], created_at: 5}\n",
	};
	struct guid id = declarative_id(ENTITY_ROUTE, STR("r"));
	char id_text[GUID_D_LEN], text[512];

	(void)state;
	guid_d(&id, id_text);
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		struct buf saved = {0};
		struct fault f = {0};
		int64_t rank;

		(void)snprintf(text, sizeof(text), routes[i], id_text);
		post_large(text);
		rank = rank_of_route();
		assert_ok(declarative_live_save(fixture.live, &saved));
		restart_with(buf_str(&saved), &f, ERR_OK);
		assert_int_equal(rank_of_route(), rank);
		post_large(text);
		assert_int_equal(fixture.told, 1);
		buf_free(&saved);
	}
}

static void a_ttl_goes_on(void **state)
{
	struct buf saved = {0};
	struct fault f = {0};

	(void)state;
	assert_int_equal(post("text/yaml", "",
			      "_format_version: \"3.0\"\nconsumers:\n- username: u\n"
			      "  keyauth_credentials: [{key: old, ttl: 1000, created_at: 1}]\n")
				 .status,
			 201);
	assert_ok(declarative_live_save(fixture.live, &saved));
	restart_with(buf_str(&saved), &f, ERR_OK);
	assert_in_range(ttl_in(get().body, "old"), 990, 999);
	buf_free(&saved);
}

static void what_is_saved_may_be_nothing(void **state)
{
	struct buf saved = {0};
	struct fault f = {0};

	(void)state;
	assert_ok(declarative_live_save(fixture.live, &saved));
	restart_with(buf_str(&saved), &f, ERR_OK);
	assert_int_equal(fixture.entities, 0);
	buf_free(&saved);
}

static void what_was_not_saved_is_not_restored(void **state)
{
	static const struct {
		const char *saved, *why;
	} cases[] = {
		{"", "what the former process left: "},
		{"{\"hash\":\"00000000000000000000000000000000\"",
		 "what the former process left: "},
		{"{\"hash\":\"00000000000000000000000000000000\"}",
		 "what the former process left is not whole"},
		{"{\"hash\":\"0\",\"undated\":[],\"config\":{\"_format_version\":\"3.0\"}}",
		 "what the former process left is not whole"},
		{"{\"hash\":\"00000000000000000000000000000000\",\"undated\":[],\"config\":"
		 "{\"_format_version\":\"3.0\",\"services\":[{\"name\":\"s\"}]}}",
		 "what the former process left:1: service 's': host: required field missing"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fault f = {0};

		restart_with(str_c(cases[i].saved), &f, ERR_INVALID);
		check_has(f.text, cases[i].why);
		assert_int_equal(fixture.told, 0);
	}
}

static void nothing_is_posted_while_it_is_held(void **state)
{
	(void)state;
	declarative_live_hold(fixture.live);
	assert_string_equal(
		post("text/yaml", "", YAML).body,
		"{\"message\":\"a new process is starting, nothing is loaded meanwhile\"}");
	assert_int_equal(post("text/yaml", "", YAML).status, 503);
	assert_int_equal(get().status, 200);
	assert_int_equal(fixture.told, 0);
	declarative_live_release(fixture.live);
	assert_int_equal(post("text/yaml", "", YAML).status, 201);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(takes_every_form_of_post),
		TEST(a_ttl_counts_from_the_loading),
		TEST(the_same_content_is_304_when_asked),
		TEST(what_is_wrong_changes_nothing),
		TEST(the_start_names_the_first_error),
		TEST(what_is_said_again_stays),
		TEST(times_stay_with_what_stays),
		TEST(a_file_alone_ranks_its_routes),
		TEST(what_did_not_work_is_made_anew),
		TEST(what_is_saved_is_all_that_there_is),
		TEST(what_is_restored_was_not_changed),
		TEST(what_ranks_no_routes_does_not_afterwards),
		TEST(a_ttl_goes_on),
		TEST(what_is_saved_may_be_nothing),
		TEST(what_was_not_saved_is_not_restored),
		TEST(nothing_is_posted_while_it_is_held),
	};

	plugin_entities_enable();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
