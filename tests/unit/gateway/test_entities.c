#include "db_worker.h"

#include "base/clock.h"
#include "base/mem.h"
#include "gateway/entities.h"
#include "gateway/entity_keys.h"
#include "gateway/entity_poller.h"
#include "gateway/entity_schema.h"
#include "gateway/entity_store.h"
#include "gateway/entity_tree.h"
#include "store/engines.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a process on the database ---- */

struct told {
	unsigned calls, all, changes, deleted;
	struct guid last;
	int64_t expires_ms; /* of the last */
};

struct node {
	struct entities *es;
	struct told told;
};

struct fixture {
	struct test_db *db;
	struct node node;
	struct entity_call call;
};

static void on_changes(void *arg, const struct entity_change *v, size_t n, bool all)
{
	struct told *t = arg;

	t->calls++;
	t->all += all;
	t->changes += (unsigned)n;
	for (size_t i = 0; i < n; i++) {
		t->deleted += !v[i].item;
		t->last = v[i].id;
		t->expires_ms = v[i].item ? entity_expires(v[i].item->json).v : 0;
	}
}

static void node_start(struct node *n, bool memory)
{
	struct entities_config config = {
		.memory = memory, .on_changes = on_changes, .arg = &n->told};

	n->told = (struct told){0};
	n->es = entities_new(&config);
}

static int setup(void **state)
{
	struct fixture *fx = MEM_NEW(struct fixture);

	assert_int_equal(test_db_setup(state), 0);
	fx->db = *state;
	assert_ok(migrate(fx->db->db, &gateway_migrations, 1, NULL, NULL));
	fx->call = (struct entity_call){.arena = &fx->db->arena, .db = fx->db->db};
	node_start(&fx->node, false);
	assert_ok(entities_load(fx->node.es, fx->db->db));
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;
	void *db = fx->db;

	entities_free(&fx->node.es);
	mem_free(fx);
	return test_db_teardown(&db);
}

static const struct json *parse(struct fixture *fx, const char *text)
{
	struct json *v;

	assert_ok(json_parse(&fx->db->arena, str_c(text), &v, NULL));
	return v;
}

static const struct json *insert(struct fixture *fx, enum entity_kind kind, const char *text)
{
	const struct json *out = NULL;
	enum err e = entity_insert(fx->node.es, &fx->call, kind, parse(fx, text), &out);

	if (e != ERR_OK) {
		fail_msg("%s: %.*s %s", text, STR_ARG(fx->call.error.message), fx->db->fault.text);
	}
	return out;
}

static struct str text_of(const struct json *v, const char *name)
{
	return json_str(json_get(v, str_c(name)));
}

static const char *ref(struct fixture *fx, const char *format, const struct json *to)
{
	return str_cstr(&fx->db->arena,
			str_fmt(&fx->db->arena, format, STR_ARG(text_of(to, "id"))));
}

static void assert_refused(struct fixture *fx, enum err e, int code, int status,
			   const char *message)
{
	assert_int_not_equal(e, ERR_OK);
	assert_str(fx->call.error.message, str_c(message));
	assert_int_equal(fx->call.error.code, code);
	assert_int_equal(fx->call.error.status, status);
}

static enum err try_insert(struct fixture *fx, enum entity_kind kind, const char *text)
{
	const struct json *out = NULL;

	return entity_insert(fx->node.es, &fx->call, kind, parse(fx, text), &out);
}

static enum err try_delete(struct fixture *fx, enum entity_kind kind, const char *which)
{
	return entity_delete(fx->node.es, &fx->call, kind,
			     &(struct entity_target){.text = str_c(which)});
}

static enum err find(struct fixture *fx, enum entity_kind kind, const char *which)
{
	const struct json *out = NULL;

	return entity_find(fx->node.es, &fx->call, kind, str_c(which), &out);
}

/* ---- statements ---- */

static void statements_are_right(void **state)
{
	struct fixture *fx = *state;

	if (db_check(fx->db->db, &entity_statements) != ERR_OK) {
		fail_msg("%s", fx->db->fault.text);
	}
}

/* ---- one entity ---- */

static void an_entity_lives(void **state)
{
	struct fixture *fx = *state;
	struct entity_target s = {.text = STR("s")};
	const struct json *v = insert(fx, ENTITY_SERVICE, "{\"name\":\"s\",\"host\":\"h\"}");
	const struct json *again = NULL;

	assert_int_equal(fx->node.told.changes, 1);
	assert_str(text_of(v, "protocol"), STR("http"));
	assert_ok(entity_find(fx->node.es, &fx->call, ENTITY_SERVICE, STR("s"), &again));
	assert_true(tree_eq(v, again));
	assert_ok(entity_find(fx->node.es, &fx->call, ENTITY_SERVICE, text_of(v, "id"), &again));
	assert_true(tree_eq(v, again));

	assert_ok(entity_update(fx->node.es, &fx->call, ENTITY_SERVICE, &s,
				parse(fx, "{\"host\":\"i\",\"retries\":2}"), &again));
	assert_str(text_of(again, "host"), STR("i"));
	assert_str(text_of(again, "id"), text_of(v, "id"));
	/* PUT resets what it does not say. */
	assert_ok(entity_upsert(fx->node.es, &fx->call, ENTITY_SERVICE, &s,
				parse(fx, "{\"host\":\"j\",\"name\":\"other\"}"), &again));
	int64_t retries = 0;
	assert_true(json_int(json_get(again, STR("retries")), &retries) && retries == 5);
	assert_str(text_of(again, "name"), STR("s"));
	assert_str(text_of(again, "id"), text_of(v, "id"));
	assert_int_equal(fx->node.told.changes, 3);

	assert_ok(try_delete(fx, ENTITY_SERVICE, "s"));
	assert_int_equal(fx->node.told.deleted, 1);
	assert_err(find(fx, ENTITY_SERVICE, "s"), ERR_NOT_FOUND);
	assert_int_equal(fx->call.error.status, 0);
	assert_err(try_delete(fx, ENTITY_SERVICE, "s"), ERR_NOT_FOUND);
	assert_int_equal(fx->call.error.status, 0);
	assert_int_equal(fx->node.told.calls, 5);
}

static void put_creates_with_its_name_or_id(void **state)
{
	struct fixture *fx = *state;
	const char *id = "5a078780-5d4c-4aae-984a-bdc6f52113d8";
	const struct json *v = NULL;

	assert_ok(entity_upsert(fx->node.es, &fx->call, ENTITY_SERVICE,
				&(struct entity_target){.text = STR("n")},
				parse(fx, "{\"host\":\"h\"}"), &v));
	assert_str(text_of(v, "name"), STR("n"));
	assert_ok(entity_upsert(fx->node.es, &fx->call, ENTITY_SERVICE,
				&(struct entity_target){.text = str_c(id)},
				parse(fx, "{\"host\":\"h\"}"), &v));
	assert_str(text_of(v, "id"), str_c(id));
}

/* ---- refusals, in the words of Kong ---- */

#define NO_ID "5a078780-5d4c-4aae-984a-bdc6f52113d9"

static void uniqueness_is_kept(void **state)
{
	struct fixture *fx = *state;
	const struct json *v = insert(fx, ENTITY_SERVICE, "{\"name\":\"s\",\"host\":\"h\"}");
	const struct json *c = insert(fx, ENTITY_CONSUMER, "{\"username\":\"c\"}");
	const char *acl = ref(fx, "{\"consumer\":{\"id\":\"%.*s\"},\"group\":\"g\"}", c);

	assert_refused(fx, try_insert(fx, ENTITY_SERVICE, "{\"name\":\"s\",\"host\":\"h\"}"), 5,
		       409, "UNIQUE violation detected on '{name=\"s\"}'");
	assert_str(json_str(json_get(fx->call.error.fields, STR("name"))), STR("s"));
	assert_refused(
		fx, try_insert(fx, ENTITY_SERVICE, ref(fx, "{\"id\":\"%.*s\",\"host\":\"h\"}", v)),
		3, 400, ref(fx, "primary key violation on key '{id=\"%.*s\"}'", v));
	(void)insert(fx, ENTITY_ACL, acl);
	assert_refused(fx, try_insert(fx, ENTITY_ACL, acl), 5, 409,
		       ref(fx,
			   "UNIQUE violation detected on"
			   " '{consumer={id=\"%.*s\"},group=\"g\"}'",
			   c));
	/* Renaming frees the name. */
	assert_ok(entity_update(fx->node.es, &fx->call, ENTITY_SERVICE,
				&(struct entity_target){.text = STR("s")},
				parse(fx, "{\"name\":\"t\"}"), &v));
	(void)insert(fx, ENTITY_SERVICE, "{\"name\":\"s\",\"host\":\"h\"}");
	assert_refused(fx,
		       entity_update(fx->node.es, &fx->call, ENTITY_SERVICE,
				     &(struct entity_target){.text = STR("t")},
				     parse(fx, "{\"name\":\"s\"}"), &v),
		       5, 409, "UNIQUE violation detected on '{name=\"s\"}'");
	assert_int_equal(fx->node.told.changes, 5);
}

static void references_are_kept(void **state)
{
	struct fixture *fx = *state;
	const struct json *s = insert(fx, ENTITY_SERVICE, "{\"name\":\"s\",\"host\":\"h\"}");
	const struct json *v;

	assert_refused(fx,
		       try_insert(fx, ENTITY_ROUTE,
				  "{\"paths\":[\"/\"],\"service\":{\"id\":\"" NO_ID "\"}}"),
		       4, 400,
		       "the foreign key '{id=\"" NO_ID
		       "\"}' does not reference an existing 'services' entity.");
	assert_refused(
		fx,
		try_insert(fx, ENTITY_ROUTE, "{\"paths\":[\"/\"],\"service\":{\"name\":\"x\"}}"),
		13, 400,
		"foreign key unresolved (service.name: the foreign key cannot be resolved"
		" with '{name=\"x\"}' for an existing 'services' entity)");
	v = insert(fx, ENTITY_ROUTE,
		   "{\"name\":\"r\",\"paths\":[\"/\"],\"service\":{\"name\":\"s\"}}");
	assert_str(text_of(json_get(v, STR("service")), "id"), text_of(s, "id"));
	assert_refused(fx, try_delete(fx, ENTITY_SERVICE, "s"), 4, 400,
		       "an existing 'routes' entity references this 'services' entity");
	assert_str(json_str(json_get(fx->call.error.fields, STR("@referenced_by"))), STR("routes"));
	assert_ok(try_delete(fx, ENTITY_ROUTE, "r"));
	assert_ok(try_delete(fx, ENTITY_SERVICE, "s"));
}

static void what_is_missing_is_named(void **state)
{
	struct fixture *fx = *state;
	const struct json *v;

	assert_refused(fx,
		       entity_update(fx->node.es, &fx->call, ENTITY_SERVICE,
				     &(struct entity_target){.text = STR("x")}, parse(fx, "{}"),
				     &v),
		       6, 404, "could not find the entity with '{name=\"x\"}'");
	assert_refused(fx,
		       entity_update(fx->node.es, &fx->call, ENTITY_SERVICE,
				     &(struct entity_target){.text = STR(NO_ID)}, parse(fx, "{}"),
				     &v),
		       6, 404, "could not find the entity with primary key '{id=\"" NO_ID "\"}'");
	assert_refused(fx, find(fx, ENTITY_CERTIFICATE, "x"), 1, 400,
		       "invalid primary key: '{id=\"x\"}'");
	assert_refused(fx, try_insert(fx, ENTITY_SERVICE, "{}"), 2, 400,
		       "schema violation (host: required field missing)");
}

static void what_belongs_goes_along(void **state)
{
	struct fixture *fx = *state;
	const struct json *c = insert(fx, ENTITY_CONSUMER, "{\"username\":\"c\"}");
	const struct json *d = insert(fx, ENTITY_CONSUMER, "{\"username\":\"d\"}");

	for (int i = 0; i < 3; i++) {
		(void)insert(fx, ENTITY_KEY_AUTH, ref(fx, "{\"consumer\":{\"id\":\"%.*s\"}}", c));
	}
	(void)insert(fx, ENTITY_ACL,
		     ref(fx, "{\"group\":\"g\",\"consumer\":{\"id\":\"%.*s\"}}", c));
	(void)insert(fx, ENTITY_ACL,
		     ref(fx, "{\"group\":\"g\",\"consumer\":{\"id\":\"%.*s\"}}", d));
	unsigned calls = fx->node.told.calls;
	assert_ok(try_delete(fx, ENTITY_CONSUMER, "c"));
	assert_int_equal(fx->node.told.deleted, 5);
	assert_int_equal(fx->node.told.calls, calls + 1);
	struct entity_page page;
	assert_ok(entity_list(fx->node.es, &fx->call, ENTITY_KEY_AUTH,
			      &(struct entity_query){.size = 10}, &page));
	assert_int_equal(page.n, 0);
	assert_ok(entity_list(fx->node.es, &fx->call, ENTITY_ACL,
			      &(struct entity_query){.size = 10}, &page));
	assert_int_equal(page.n, 1);
}

/* ---- lists ---- */

enum { MANY = 250 };

static void make_many(struct fixture *fx)
{
	struct entities *es = fx->node.es;

	for (int i = 0; i < MANY; i++) {
		char text[96];
		const struct json *out;

		snprintf(text, sizeof(text), "{\"username\":\"u%d\",\"tags\":[\"%s\",\"t%d\"]}", i,
			 i % 2 ? "odd" : "even", i % 5);
		assert_ok(entity_insert(es, &fx->call, ENTITY_CONSUMER,
					parse(fx, str_cstr(&fx->db->arena, str_c(text))), &out));
	}
}

static size_t count(struct fixture *fx, const char *tags)
{
	struct entity_query q = {.size = 60, .tags = str_c(tags)};
	struct entity_page page;
	size_t n = 0;

	do {
		assert_ok(entity_list(fx->node.es, &fx->call, ENTITY_CONSUMER, &q, &page));
		n += page.n;
		q.offset = page.offset;
	} while (q.offset.p);
	return n;
}

static void pages_hold_all_in_order(void **state)
{
	struct fixture *fx = *state;
	struct entity_query q = {.size = 100};
	struct entity_page page;
	struct str last = STR("");
	size_t pages = 0, n = 0;

	make_many(fx);
	do {
		assert_ok(entity_list(fx->node.es, &fx->call, ENTITY_CONSUMER, &q, &page));
		for (size_t i = 0; i < page.n; i++) {
			struct str id = text_of(page.v[i], "id");

			assert_true(str_cmp(last, id) < 0);
			last = id;
		}
		n += page.n;
		pages++;
		q.offset = page.offset;
	} while (q.offset.p);
	assert_int_equal(n, MANY);
	assert_int_equal(pages, 3);

	assert_int_equal(count(fx, "odd"), 125);
	assert_int_equal(count(fx, "odd,t1"), 25);
	assert_int_equal(count(fx, "t1/t2"), 100);
	assert_int_equal(count(fx, "odd,odd"), 125);
	assert_int_equal(count(fx, "nobody"), 0);
}

static void wrong_queries_are_refused(void **state)
{
	struct fixture *fx = *state;
	struct entity_page page;
	static const struct {
		struct entity_query q;
		int code;
		const char *message;
	} cases[] = {
		{{.size = 0}, 9, "size must be an integer between 1 and 1000"},
		{{.size = 1001}, 9, "size must be an integer between 1 and 1000"},
		{{.size = 1, .offset = STR_INIT("%")},
		 7,
		 "'%' is not a valid offset: bad base64 encoding"},
		{{.size = 1, .offset = STR_INIT("YWJj")},
		 7,
		 "'YWJj' is not a valid offset: bad offset value"},
		{{.size = 1, .tags = STR_INIT("a,b/c")},
		 11,
		 "invalid option (tags: invalid filter syntax)"},
		{{.size = 1, .tags = STR_INIT("")}, 11, "invalid option (tags: cannot be null)"},
		{{.size = 1, .tags = STR_INIT("1,2,3,4,5,6")},
		 11,
		 "invalid option (tags: cannot query more than 5 tags)"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_refused(
			fx,
			entity_list(fx->node.es, &fx->call, ENTITY_CONSUMER, &cases[i].q, &page),
			cases[i].code, 400, cases[i].message);
	}
}

static void what_is_owned_is_listed_and_found(void **state)
{
	struct fixture *fx = *state;
	const struct json *c = insert(fx, ENTITY_CONSUMER, "{\"username\":\"c\"}");
	const struct json *d = insert(fx, ENTITY_CONSUMER, "{\"username\":\"d\"}"), *v;
	struct entity_query q = {.size = 10, .owner = {.field = "consumer"}};
	struct entity_page page;

	(void)insert(fx, ENTITY_ACL,
		     ref(fx, "{\"group\":\"g\",\"consumer\":{\"id\":\"%.*s\"}}", c));
	(void)insert(
		fx, ENTITY_ACL,
		ref(fx, "{\"group\":\"h\",\"tags\":[\"x\"],\"consumer\":{\"id\":\"%.*s\"}}", c));
	(void)insert(fx, ENTITY_ACL,
		     ref(fx, "{\"group\":\"g\",\"consumer\":{\"id\":\"%.*s\"}}", d));
	assert_true(tree_id(c, &q.owner.id));
	assert_ok(entity_list(fx->node.es, &fx->call, ENTITY_ACL, &q, &page));
	assert_int_equal(page.n, 2);
	q.tags = STR("x");
	assert_ok(entity_list(fx->node.es, &fx->call, ENTITY_ACL, &q, &page));
	assert_int_equal(page.n, 1);
	assert_ok(entity_find_owned(fx->node.es, &fx->call, ENTITY_ACL, &q.owner, STR("h"), &v));
	assert_true(tree_id(d, &q.owner.id));
	assert_err(entity_find_owned(fx->node.es, &fx->call, ENTITY_ACL, &q.owner, STR("h"), &v),
		   ERR_NOT_FOUND);
	assert_err(entity_find_owned(fx->node.es, &fx->call, ENTITY_ACL, &q.owner,
				     text_of(page.v[0], "id"), &v),
		   ERR_NOT_FOUND);
}

static void tags_are_listed(void **state)
{
	struct fixture *fx = *state;
	struct entity_query q = {.size = 2};
	struct entity_tag_page page;

	(void)insert(fx, ENTITY_CONSUMER, "{\"username\":\"c\",\"tags\":[\"b\",\"a\"]}");
	(void)insert(fx, ENTITY_SERVICE, "{\"host\":\"h\",\"tags\":[\"a\"]}");
	assert_ok(entity_tags(fx->node.es, &fx->call, STR_NULL, &q, &page));
	assert_int_equal(page.data->n, 2);
	assert_str(text_of(page.data->child, "tag"), STR("a"));
	assert_str(text_of(page.data->child, "entity_name"), STR("consumers"));
	q.offset = page.offset;
	assert_ok(entity_tags(fx->node.es, &fx->call, STR_NULL, &q, &page));
	assert_int_equal(page.data->n, 1);
	assert_str(text_of(page.data->child, "tag"), STR("b"));
	assert_null(page.offset.p);
	q.offset = STR_NULL;
	assert_ok(entity_tags(fx->node.es, &fx->call, STR("a"), &q, &page));
	assert_int_equal(page.data->n, 2);
	assert_null(page.offset.p);
}

/* ---- time ---- */

/* Only the ttl and the time of the write decide over the end, and what is shown may be written. */
static void the_client_s_times_do_not_prolong_a_ttl(void **state)
{
	static const char *const created[] = {"null", "1", "4102444800", "1000000000000000"};
	struct fixture *fx = *state;
	const struct json *c = insert(fx, ENTITY_CONSUMER, "{\"username\":\"c\"}"), *v;

	for (size_t i = 0; i < ARRAY_LEN(created); i++) {
		struct str text = str_fmt(&fx->db->arena,
					  "{\"key\":\"k%zu\",\"ttl\":100,\"created_at\":%s,"
					  "\"consumer\":{\"id\":\"%%.*s\"}}",
					  i, created[i]);
		struct entity_target which = {.text = str_fmt(&fx->db->arena, "k%zu", i)};

		v = insert(fx, ENTITY_KEY_AUTH, ref(fx, str_cstr(&fx->db->arena, text), c));
		assert_str(json_get(v, STR("ttl"))->text, STR("99"));
		assert_null(json_get(v, STR("expires_ms")));
		assert_ok(entity_update(fx->node.es, &fx->call, ENTITY_KEY_AUTH, &which,
					parse(fx, "{\"created_at\":4102444800}"), &v));
		assert_str(json_get(v, STR("ttl"))->text, STR("99"));
		assert_in_range(fx->node.told.expires_ms, clock_wall_ms() + 90000,
				clock_wall_ms() + 100000);
	}
}

static void a_ttl_is_shown_as_what_is_left(void **state)
{
	struct fixture *fx = *state;
	static const struct {
		int64_t left_ms;
		const char *shown;
	} cases[] = {{1, "1"}, {1000, "1"}, {2000, "1"}, {2001, "2"}, {100000, "99"}};
	const struct json *doc = parse(fx, "{\"ttl\":5,\"created_at\":1}");

	assert_int_equal(entity_expires(doc).v, 6000);
	assert_false(entity_is_expired(doc, 5999));
	assert_true(entity_is_expired(doc, 6000));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct json *v = entity_expiring(&fx->db->arena, doc, 50000);

		v = entity_ttl_left(&fx->db->arena, v, 50000 - cases[i].left_ms);
		assert_str(json_get(v, STR("ttl"))->text, str_c(cases[i].shown));
	}
	/* As it was stored of a client's null and of its last second in the calendar. */
	assert_int_equal(entity_expires(parse(fx, "{\"ttl\":1700000000,\"created_at\":null}")).v,
			 1700000000000);
	assert_true(
		entity_expires(parse(fx, "{\"ttl\":1,\"created_at\":9223372036854775807}")).has);
	assert_false(entity_expires(parse(fx, "{\"ttl\":0,\"created_at\":1}")).has);
}

static void what_has_expired_is_gone(void **state)
{
	struct fixture *fx = *state;
	const struct json *c = insert(fx, ENTITY_CONSUMER, "{\"username\":\"c\"}"), *v;
	const char *text = ref(fx, "{\"key\":\"k\",\"ttl\":100,\"consumer\":{\"id\":\"%.*s\"}}", c);
	int64_t ttl = 0;

	v = insert(fx, ENTITY_KEY_AUTH, text);
	assert_true(json_int(json_get(v, STR("ttl")), &ttl));
	assert_in_range(ttl, 98, 100);
	assert_ok(find(fx, ENTITY_KEY_AUTH, "k"));
	assert_refused(fx,
		       try_insert(fx, ENTITY_KEY_AUTH,
				  ref(fx, "{\"ttl\":-1,\"consumer\":{\"id\":\"%.*s\"}}", c)),
		       11, 400, "invalid option (ttl: must be an integer between 0 and 100000000)");
	test_db_script(fx->db, fx->db->engine == TEST_SQLITE
				       ? "UPDATE gateway_entities SET expires_at = 1 WHERE kind ="
					 " 'key-auths'"
				       : "UPDATE gateway_entities SET expires_at = 'epoch' WHERE"
					 " kind = 'key-auths'");
	assert_err(find(fx, ENTITY_KEY_AUTH, "k"), ERR_NOT_FOUND);
	/* Its key is free at once. */
	(void)insert(fx, ENTITY_KEY_AUTH, text);
	assert_int_equal(fx->node.told.deleted, 1);
	test_db_script(fx->db, fx->db->engine == TEST_SQLITE
				       ? "UPDATE gateway_entities SET expires_at = 1 WHERE kind ="
					 " 'key-auths'"
				       : "UPDATE gateway_entities SET expires_at = 'epoch' WHERE"
					 " kind = 'key-auths'");
	assert_ok(entities_upkeep(fx->node.es, fx->db->db));
	assert_int_equal(fx->node.told.deleted, 2);
}

/* ---- other processes ---- */

static void others_learn_of_changes(void **state)
{
	struct fixture *fx = *state;
	struct db *db = test_db_session(fx->db);
	struct node other;

	node_start(&other, false);
	assert_false(entities_is_reachable(other.es));
	(void)insert(fx, ENTITY_CONSUMER, "{\"username\":\"a\"}");
	assert_ok(entities_load(other.es, db));
	assert_true(entities_is_reachable(other.es));
	assert_int_equal(other.told.all, 1);
	assert_int_equal(other.told.changes, 1);
	(void)insert(fx, ENTITY_CONSUMER, "{\"username\":\"b\"}");
	(void)insert(fx, ENTITY_CONSUMER, "{\"username\":\"c\"}");
	assert_ok(try_delete(fx, ENTITY_CONSUMER, "c"));
	assert_ok(entities_poll(other.es, db));
	assert_int_equal(other.told.all, 1);
	assert_int_equal(other.told.changes, 3);
	assert_int_equal(other.told.deleted, 1);
	assert_ok(entities_poll(other.es, db));
	assert_int_equal(other.told.calls, 2);

	db_fail_after(fx->db->pool, 1);
	assert_err(entities_poll(other.es, db), ERR_UNAVAILABLE);
	assert_false(entities_is_reachable(other.es));
	db_fail_after(fx->db->pool, 0);
	assert_ok(entities_poll(other.es, db));
	assert_true(entities_is_reachable(other.es));

	/* What it missed was forgotten meanwhile: everything is read anew. */
	(void)insert(fx, ENTITY_CONSUMER, "{\"username\":\"d\"}");
	(void)insert(fx, ENTITY_CONSUMER, "{\"username\":\"e\"}");
	assert_ok(entity_store_trim(fx->db->db, INT64_C(4000000000000)));
	assert_ok(entities_poll(other.es, db));
	assert_int_equal(other.told.all, 2);
	assert_int_equal(other.told.changes, 3 + 4);
	entities_free(&other.es);
	db_put(&db);
}

struct watched {
	struct entities *es;
	sem_t told;
	atomic_uint items;
};

static void on_watched(void *arg, const struct entity_change *v UNUSED, size_t n, bool all UNUSED)
{
	struct watched *w = arg;

	atomic_fetch_add(&w->items, (unsigned)n);
	(void)sem_post(&w->told);
}

static void a_poller_tells_what_others_wrote(void **state)
{
	struct fixture *fx = *state;
	struct pool_ops ops = {db_worker_init, db_worker_fini, fx->db->pool};
	struct watched w = {0};
	struct loops loops = {0};
	struct pool *pool = pool_new("test", 1, 10, &ops);
	struct entity_poller *poller;

	assert_int_equal(sem_init(&w.told, 0, 0), 0);
	assert_ok(loops_start(&loops, 1, NULL));
	w.es = entities_new(&(struct entities_config){.on_changes = on_watched, .arg = &w});
	poller = entity_poller_start(&(struct entity_poller_deps){
		.loop = loops.v[0], .pool = pool, .entities = w.es, .interval_ms = 20});
	(void)sem_wait(&w.told); /* all that there was: nothing */
	(void)insert(fx, ENTITY_CONSUMER, "{\"username\":\"a\"}");
	while (atomic_load(&w.items) < 1) {
		(void)sem_wait(&w.told);
	}
	entity_poller_stop(&poller);
	pool_free(&pool);
	loops_join(&loops);
	loops_free(&loops);
	entities_free(&w.es);
	(void)sem_destroy(&w.told);
}

/* A pool of one worker that takes no jobs until it is let go. */
struct jam {
	struct job blocker, filler;
	sem_t begun, go;
};

static void run_blocker(struct job *j, void *worker UNUSED)
{
	struct jam *jam = container_of(j, struct jam, blocker);

	(void)sem_post(&jam->begun);
	(void)sem_wait(&jam->go);
}

static void run_filler(struct job *j UNUSED, void *worker UNUSED)
{
}

static void on_jam_done(struct job *j UNUSED)
{
}

static void jam_begin(struct jam *jam, struct pool *pool)
{
	assert_int_equal(sem_init(&jam->begun, 0, 0), 0);
	assert_int_equal(sem_init(&jam->go, 0, 0), 0);
	jam->blocker = (struct job){.run = run_blocker, .done = on_jam_done};
	jam->filler = (struct job){.run = run_filler, .done = on_jam_done};
	assert_ok(pool_submit(pool, &jam->blocker));
	(void)sem_wait(&jam->begun);
	assert_ok(pool_submit(pool, &jam->filler));
}

static void jam_free(struct jam *jam)
{
	(void)sem_destroy(&jam->begun);
	(void)sem_destroy(&jam->go);
}

static bool is_refused(struct pool *pool, uint64_t times)
{
	struct pool_stats stats;

	for (int patience = 0; patience < 10000; patience++) {
		pool_stats(pool, &stats);
		if (stats.refused >= times) {
			return true;
		}
		(void)usleep(1000);
	}
	return false;
}

/* To who watches the files, the last commit is long ago. */
static void age_files(const struct test_db *db)
{
	static const struct timespec long_ago[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
	static const char *const names[] = {"test.db", "test.db-wal"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[128];

		(void)snprintf(path, sizeof(path), "%s/%s", db->dir, names[i]);
		assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
	}
}

/* The watch tells its news once: a poll that the pool refuses must not use them up. */
static void a_poller_reads_what_it_owes(void **state)
{
	struct fixture *fx = *state;
	struct pool_ops ops = {db_worker_init, db_worker_fini, fx->db->pool};
	struct watched w = {0};
	struct loops loops = {0};
	struct jam jam;
	struct pool *pool = pool_new("test", 1, 1, &ops);
	struct entity_poller *poller;
	bool insists;

	assert_int_equal(sem_init(&w.told, 0, 0), 0);
	assert_ok(loops_start(&loops, 1, NULL));
	w.es = entities_new(&(struct entities_config){.on_changes = on_watched, .arg = &w});
	(void)insert(fx, ENTITY_CONSUMER, "{\"username\":\"a\"}");
	jam_begin(&jam, pool);
	age_files(fx->db);
	poller = entity_poller_start(&(struct entity_poller_deps){.loop = loops.v[0],
								  .pool = pool,
								  .entities = w.es,
								  .database = fx->db->pool,
								  .interval_ms = 20});
	insists = is_refused(pool, 10); /* far more often than the watch has news */
	(void)sem_post(&jam.go);
	if (insists) {
		(void)sem_wait(&w.told);
	}
	entity_poller_stop(&poller);
	pool_free(&pool);
	jam_free(&jam);
	loops_join(&loops);
	loops_free(&loops);
	entities_free(&w.es);
	(void)sem_destroy(&w.told);
	assert_true(insists);
	assert_int_equal(atomic_load(&w.items), 1);
}

struct racer {
	struct fixture *fx;
	struct node node; /* a process of its own */
	pthread_t thread;
	unsigned won, lost;
};

enum { RACES = 40 };

static void *race(void *arg)
{
	struct racer *r = arg;
	struct arena a;
	struct fault f = {0};
	struct db *db = NULL;

	arena_init(&a, 0);
	assert_ok(db_get(r->fx->db->pool, 5000, &db, NULL));
	db_begin_task(db, &(struct db_task){.arena = &a, .fault = &f});
	assert_ok(entities_load(r->node.es, db));
	for (int i = 0; i < RACES; i++) {
		struct entity_call c = {.arena = &a, .db = db};
		struct str text = str_fmt(&a, "{\"username\":\"u%d\",\"tags\":[\"t\"]}", i);
		const struct json *out;
		struct json *in;

		assert_ok(json_parse(&a, text, &in, NULL));
		enum err e = entity_insert(r->node.es, &c, ENTITY_CONSUMER, in, &out);
		while (e == ERR_CONFLICT && c.error.status == 0) { /* more races than retries */
			f = (struct fault){0};
			e = entity_insert(r->node.es, &c, ENTITY_CONSUMER, in, &out);
		}
		r->won += e == ERR_OK;
		r->lost += e == ERR_CONFLICT && c.error.code == 5;
	}
	db_end_task(db);
	db_put(&db);
	arena_fini(&a);
	return NULL;
}

static void of_two_writers_one_wins(void **state)
{
	struct fixture *fx = *state;
	struct racer r[2] = {{.fx = fx}, {.fx = fx}};

	for (size_t i = 0; i < 2; i++) {
		node_start(&r[i].node, false);
		assert_int_equal(pthread_create(&r[i].thread, NULL, race, &r[i]), 0);
	}
	for (size_t i = 0; i < 2; i++) {
		pthread_join(r[i].thread, NULL);
	}
	assert_int_equal(r[0].won + r[1].won, RACES);
	assert_int_equal(r[0].lost + r[1].lost, RACES);
	assert_int_equal(count(fx, "t"), RACES);
	/* Each has been told of all, in some number of steps. */
	assert_ok(entities_poll(fx->node.es, fx->db->db));
	assert_int_equal(fx->node.told.changes, RACES);
	for (size_t i = 0; i < 2; i++) {
		assert_ok(entities_poll(r[i].node.es, fx->db->db));
		assert_int_equal(r[i].node.told.changes, RACES);
		entities_free(&r[i].node.es);
	}
}

/* ---- failures ---- */

static void a_write_happens_whole_or_not(void **state)
{
	struct fixture *fx = *state;
	const struct json *c = insert(fx, ENTITY_CONSUMER, "{\"username\":\"c\"}"), *out;
	const struct json *in = parse(
		fx,
		ref(fx, "{\"group\":\"g\",\"tags\":[\"t\"],\"consumer\":{\"id\":\"%.*s\"}}", c));
	struct entity_page page;
	unsigned n;
	enum err e = ERR_INTERNAL;

	for (n = 1; e != ERR_OK && n < 50; n++) {
		test_db_new_task(fx->db);
		db_fail_after(fx->db->pool, n);
		e = entity_insert(fx->node.es, &fx->call, ENTITY_ACL, in, &out);
		db_fail_after(fx->db->pool, 0);
		test_db_new_task(fx->db);
		assert_ok(entity_list(fx->node.es, &fx->call, ENTITY_ACL,
				      &(struct entity_query){.size = 10}, &page));
		assert_int_equal(page.n, e == ERR_OK);
	}
	assert_in_range(n, 6, 40);
	/* The write stands though reading it back failed; the poll tells it, once. */
	assert_ok(entities_poll(fx->node.es, fx->db->db));
	assert_int_equal(fx->node.told.changes, 2);
}

/* ---- without a database ---- */

static struct entity_item *item(struct fixture *fx, enum entity_kind kind, const char *text)
{
	const struct json *v = parse(fx, text);
	struct guid id;

	assert_true(tree_id(v, &id));
	return entity_item_new(kind, &id, v);
}

static void a_set_is_read_and_not_written(void **state)
{
	struct fixture *fx = *state;
	struct entity_call c = {.arena = &fx->db->arena};
	struct entity_item *items[] = {
		item(fx, ENTITY_CONSUMER,
		     "{\"id\":\"00000000-0000-4000-8000-000000000002\",\"username\":\"b\","
		     "\"tags\":[\"x\"]}"),
		item(fx, ENTITY_CONSUMER,
		     "{\"id\":\"00000000-0000-4000-8000-000000000001\",\"username\":\"a\"}"),
	};
	struct entity_page page;
	const struct json *v;
	struct node memory;

	node_start(&memory, true);
	assert_err(entity_find(memory.es, &c, ENTITY_CONSUMER, STR("a"), &v), ERR_NOT_FOUND);
	entities_replace(memory.es, items, 2);
	assert_int_equal(memory.told.all, 1);
	assert_int_equal(memory.told.changes, 2);
	assert_ok(entity_find(memory.es, &c, ENTITY_CONSUMER, STR("a"), &v));
	assert_ok(entity_find(memory.es, &c, ENTITY_CONSUMER,
			      STR("00000000-0000-4000-8000-000000000002"), &v));
	assert_str(text_of(v, "username"), STR("b"));
	assert_ok(entity_list(memory.es, &c, ENTITY_CONSUMER, &(struct entity_query){.size = 1},
			      &page));
	assert_str(text_of(page.v[0], "username"), STR("a"));
	assert_non_null(page.offset.p);
	assert_ok(entity_list(memory.es, &c, ENTITY_CONSUMER,
			      &(struct entity_query){.size = 1, .tags = STR("x")}, &page));
	assert_str(text_of(page.v[0], "username"), STR("b"));
	assert_null(page.offset.p);

	assert_err(entity_insert(memory.es, &c, ENTITY_SERVICE, parse(fx, "{}"), &v), ERR_INVALID);
	assert_int_equal(c.error.code, 12);
	assert_int_equal(c.error.status, 405);
	assert_str(c.error.message,
		   STR("cannot create 'services' entities when not using a database"));
	/* What differs is told, and nothing if nothing does. */
	entities_replace(memory.es, items, 2);
	assert_int_equal(memory.told.calls, 1);
	entities_replace(memory.es, items + 1, 1);
	assert_int_equal(memory.told.all, 1);
	assert_int_equal(memory.told.changes, 3);
	assert_int_equal(memory.told.deleted, 1);
	assert_true(guid_eq(&memory.told.last, &items[0]->id));
	entities_replace(memory.es, items, 1);
	assert_int_equal(memory.told.changes, 5);
	assert_int_equal(memory.told.deleted, 2);
	entities_replace(memory.es, NULL, 0);
	assert_err(entity_find(memory.es, &c, ENTITY_CONSUMER, STR("a"), &v), ERR_NOT_FOUND);
	entity_item_unref(&items[0]);
	entity_item_unref(&items[1]);
	entities_free(&memory.es);
}

/* Rows of gateway_entities that this transaction has read by an index. */
static const struct stmt rows_read = {
	.name = "test_rows_read",
	.sql = "SELECT idx_tup_fetch FROM pg_stat_xact_user_tables"
	       " WHERE relname = 'gateway_entities'",
	.cols = "i",
};

enum { KEYS = 100 };

static enum err put_and_find(struct db *db, void *out_read)
{
	for (uint8_t i = 0; i < KEYS; i++) {
		struct guid id = {.b = {i}};
		struct entity_key key = {.field = STR("username"),
					 .value = str_fmt(db_arena(db), "=u%d", i)};
		struct entity_row row;

		TRY(entity_store_insert(db, ENTITY_CONSUMER, &id, STR("{}"), (struct opt_i64){0}));
		TRY(entity_store_put_key(db, ENTITY_CONSUMER, &id, &key));
		TRY(entity_store_by_key(db, ENTITY_CONSUMER, &key, 0, &row));
		assert_true(guid_eq(&row.id, &id));
	}
	return db_int(db, &rows_read, DB_NO_ARGS, out_read);
}

/* However little PostgreSQL knows of the tables, as while a large file is loaded. */
static void a_key_is_found_without_its_kind_being_read(void **state)
{
	struct fixture *fx = *state;
	int64_t n = 0;

	assert_ok(db_retry(fx->db->db, put_and_find, &n));
	assert_in_range(n, KEYS, 4 * KEYS);
}

#define ON(engine, test)                                                                           \
	{                                                                                          \
#test " (" #engine ")", test, setup, teardown, (void *)(uintptr_t)TEST_##engine    \
	}
#define BOTH(test) ON(SQLITE, test), ON(PGSQL, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(statements_are_right),
		BOTH(an_entity_lives),
		BOTH(put_creates_with_its_name_or_id),
		BOTH(uniqueness_is_kept),
		BOTH(references_are_kept),
		BOTH(what_is_missing_is_named),
		BOTH(what_belongs_goes_along),
		BOTH(pages_hold_all_in_order),
		BOTH(wrong_queries_are_refused),
		BOTH(what_is_owned_is_listed_and_found),
		BOTH(tags_are_listed),
		BOTH(the_client_s_times_do_not_prolong_a_ttl),
		BOTH(a_ttl_is_shown_as_what_is_left),
		BOTH(what_has_expired_is_gone),
		BOTH(others_learn_of_changes),
		BOTH(of_two_writers_one_wins),
		BOTH(a_poller_tells_what_others_wrote),
		ON(SQLITE, a_poller_reads_what_it_owes),
		BOTH(a_write_happens_whole_or_not),
		ON(PGSQL, a_key_is_found_without_its_kind_being_read),
		ON(SQLITE, a_set_is_read_and_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
