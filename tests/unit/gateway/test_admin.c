#include "unit.h"

#include "admin_server.h"
#include "gateway/entity_tree.h"

#include <stdio.h>

static struct talk_answer ask(void **state, const char *method, const char *path,
			      const char *headers, const char *body)
{
	return admin_ask(*state, method, path, headers, body);
}

static struct talk_answer get(void **state, const char *path)
{
	return ask(state, "GET", path, "", NULL);
}

static struct talk_answer want(void **state, const char *method, const char *path, const char *body,
			       int status)
{
	const char *type = !body ? "" : body[0] == '{' ? AS_JSON : AS_FORM;
	struct talk_answer a = ask(state, method, path, type, body);

	if (a.status != status) {
		fail_msg("%s %s: %d %.*s", method, path, a.status, STR_ARG(a.body));
	}
	return a;
}

static struct str at(const struct json *v, const char *path)
{
	const struct json *found = tree_at(v, path);

	return found && found->type == JSON_NUMBER ? found->text : json_str(found);
}

static void assert_message(struct talk_answer a, const char *text)
{
	assert_str(at(a.json, "message"), str_c(text));
}

static void assert_head(struct talk_answer a, const char *line)
{
	if (str_find(a.head, str_c(line)) < 0) {
		fail_msg("%s is not in\n%.*s", line, STR_ARG(a.head));
	}
}

/* ---- every answer ---- */

static void all_answers_have_these_headers(void **state)
{
	static const char *const paths[] = {"/", "/services", "/services/x", "/nothing"};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct talk_answer a = get(state, paths[i]);

		assert_head(a, "\r\nServer: kong/3.10.0\r\n");
		assert_head(a, "\r\nX-Kong-Admin-Latency: ");
		assert_head(a, "\r\nAccess-Control-Allow-Origin: *\r\n");
		assert_head(a, "\r\nContent-Type: application/json; charset=utf-8\r\n");
	}
	assert_str(get(state, "/nothing").body, STR("{\"message\":\"Not found\"}"));
	assert_str(at(get(state, "/").json, "version"), STR("3.10.0"));
	assert_str(at(get(state, "/").json, "configuration.database"), STR("postgres"));
}

static void options_and_methods(void **state)
{
	struct talk_answer a = want(state, "OPTIONS", "/services/s", NULL, 204);

	assert_head(a, "\r\nAllow: DELETE, GET, HEAD, OPTIONS, PATCH, PUT\r\n");
	assert_head(a, "\r\nAccess-Control-Allow-Methods: DELETE, GET, HEAD, OPTIONS, PATCH, PUT");
	assert_head(a, "\r\nAccess-Control-Allow-Headers: Content-Type\r\n");
	a = ask(state, "OPTIONS", "/services/", "Access-Control-Request-Headers: X-A\r\n", NULL);
	assert_head(a, "\r\nAllow: GET, HEAD, OPTIONS, POST\r\n");
	assert_head(a, "\r\nAccess-Control-Allow-Headers: X-A\r\n");
	a = want(state, "DELETE", "/services", NULL, 405);
	assert_str(a.body, STR("{\"message\":\"Method not allowed\"}"));
	a = want(state, "HEAD", "/services", NULL, 200);
	assert_int_equal(a.body.n, 0);
	(void)want(state, "GET", "/targets", NULL, 404);
	(void)want(state, "OPTIONS", "/nothing", NULL, 404);
}

static void bodies_are_of_known_types(void **state)
{
	struct talk_answer a =
		ask(state, "POST", "/services", "Content-Type: text/xml\r\n", "<a/>");

	assert_int_equal(a.status, 415);
	assert_int_equal(a.body.n, 0);
	assert_int_equal(ask(state, "POST", "/services", "", "x").status, 415);
	a = ask(state, "POST", "/services", AS_JSON, "{\"name\":");
	assert_int_equal(a.status, 400);
	assert_str(a.body, STR("{\"message\":\"Cannot parse JSON body\"}"));
	a = ask(state, "POST", "/services", AS_JSON "Content-Type: text/plain\r\n", "{}");
	assert_int_equal(a.status, 400);
	assert_message(a, "Multiple Content-Type headers not allowed");
}

/* ---- entities ---- */

static void a_service_from_a_form(void **state)
{
	struct talk_answer a = want(state, "POST", "/services",
				    "name=s&url=http://127.0.0.1:9000/base&retries=3", 201);

	assert_str(at(a.json, "host"), STR("127.0.0.1"));
	assert_str(at(a.json, "port"), STR("9000"));
	assert_str(at(a.json, "path"), STR("/base"));
	assert_str(at(a.json, "retries"), STR("3"));
	assert_true(json_get(a.json, STR("tags"))->type == JSON_NULL);
	a = want(state, "POST", "/services", "name=s&url=http://h", 409);
	assert_str(at(a.json, "code"), STR("5"));
	assert_str(at(a.json, "name"), STR("unique constraint violation"));
	assert_message(a, "UNIQUE violation detected on '{name=\"s\"}'");
	a = want(state, "POST", "/services", "{\"x\":1}", 400);
	assert_str(at(a.json, "fields.host"), STR("required field missing"));
	assert_str(at(a.json, "fields.x"), STR("unknown field"));
	assert_message(a, "2 schema violations (host: required field missing; x: unknown field)");
}

static void put_patch_delete(void **state)
{
	struct talk_answer a =
		want(state, "PUT", "/services/n", "{\"host\":\"h\",\"retries\":1}", 200);

	assert_str(at(a.json, "name"), STR("n"));
	a = want(state, "PUT", "/services/n", "{\"host\":\"h\"}", 200);
	assert_str(at(a.json, "retries"), STR("5"));
	a = want(state, "PATCH", "/services/n", "{\"retries\":2}", 200);
	assert_str(at(a.json, "host"), STR("h"));
	a = want(state, "PATCH", "/services/absent", "{}", 404);
	assert_str(at(a.json, "code"), STR("6"));
	assert_message(get(state, "/services/absent"), "Not found");
	(void)want(state, "DELETE", "/services/absent", NULL, 204);
	a = want(state, "DELETE", "/services/n", NULL, 204);
	assert_int_equal(a.body.n, 0);
	(void)want(state, "GET", "/services/n", NULL, 404);
	a = want(state, "GET", "/certificates/x", NULL, 404);
	assert_message(a, "SNI not found");
	a = want(state, "GET", "/acls/x", NULL, 400);
	assert_message(a, "invalid primary key: '{id=\"x\"}'");
}

static void nested_paths(void **state)
{
	struct talk_answer a;
	struct str id;

	(void)want(state, "POST", "/services", "name=s&host=h", 201);
	(void)want(state, "POST", "/services", "name=t&host=h", 201);
	a = want(state, "POST", "/services/s/routes", "name=r&paths[]=/r", 201);
	id = at(a.json, "service.id");
	assert_str(at(get(state, "/services/s").json, "id"), id);
	a = want(state, "GET", "/services/s/routes", NULL, 200);
	assert_int_equal(json_get(a.json, STR("data"))->n, 1);
	assert_int_equal(json_get(get(state, "/services/t/routes").json, STR("data"))->n, 0);
	(void)want(state, "GET", "/services/s/routes/r", NULL, 200);
	(void)want(state, "GET", "/services/t/routes/r", NULL, 404);
	(void)want(state, "GET", "/services/none/routes", NULL, 404);
	(void)want(state, "PUT", "/services/t/routes/r", "paths[]=/r", 404);
	a = want(state, "GET", "/routes/r/service", NULL, 200);
	assert_str(at(a.json, "name"), STR("s"));
	a = want(state, "PATCH", "/routes/r/service", "retries=9", 200);
	assert_str(at(a.json, "retries"), STR("9"));
	(void)want(state, "DELETE", "/routes/r/service", NULL, 405);
	(void)want(state, "PATCH", "/routes/r", "{\"service\":null}", 200);
	(void)want(state, "GET", "/routes/r/service", NULL, 404);
	(void)want(state, "DELETE", "/routes/r/service", NULL, 404);
	a = want(state, "PUT", "/services/s/routes/q", "paths[]=/x", 200);
	assert_str(at(a.json, "service.id"), id);
	a = want(state, "DELETE", "/services/s", NULL, 400);
	assert_str(at(a.json, "fields.@referenced_by"), STR("routes"));

	a = want(state, "POST", "/services/s/routes", "{\"protocols\":[\"http\"]}", 400);
	assert_true(str_find(a.body, STR("must set one of")) > 0);
	a = want(state, "POST", "/services/s/routes", "paths[]=r", 400);
	assert_true(str_find(a.body, STR("should start with: / (fixed path) or ~/ (regex path)")) >
		    0);
}

static void consumers_and_credentials(void **state)
{
	struct talk_answer a;

	(void)want(state, "POST", "/consumers", "username=c&custom_id=42", 201);
	a = want(state, "GET", "/consumers?custom_id=42", NULL, 200);
	assert_str(at(json_get(a.json, STR("data"))->child, "username"), STR("c"));
	a = want(state, "GET", "/consumers?custom_id=", NULL, 400);
	assert_message(a, "custom_id must be an unempty string");
	assert_int_equal(json_get(get(state, "/consumers?custom_id=1").json, STR("data"))->n, 0);
	a = want(state, "POST", "/consumers/c/key-auth", "", 201);
	assert_int_equal(at(a.json, "key").n, 32);
	(void)want(state, "POST", "/consumers/c/acls", "group=g", 201);
	(void)want(state, "GET", "/consumers/c/acls/g", NULL, 200);
	a = want(state, "POST", "/consumers/c/acls", "group=g", 409);
	(void)want(state, "DELETE", "/consumers/c/acls/g", NULL, 204);
	(void)want(state, "GET", "/consumers/c/acls/g", NULL, 404);
	a = want(state, "PUT", "/consumers/c/key-auth/secret", "ttl=100", 200);
	assert_str(at(a.json, "key"), STR("secret"));
	assert_true(at(a.json, "ttl").n > 0);
	(void)want(state, "GET", "/key-auths/secret/consumer", NULL, 200);
	a = want(state, "POST", "/consumers/c/basic-auth", "username=u&password=p", 201);
	assert_int_equal(at(a.json, "password").n, 40);
}

static void pages_link_to_each_other(void **state)
{
	struct admin_server *s = *state;
	struct talk_answer a;
	struct str next = STR("/consumers?size=100&tags=t");
	size_t n = 0, pages = 0;

	for (int i = 0; i < 250; i++) {
		char body[64];

		snprintf(body, sizeof(body), "username=u%d&tags[]=t", i);
		(void)want(state, "POST", "/consumers", body, 201);
	}
	assert_int_equal(atomic_load(&s->changes), 250);
	do {
		a = want(state, "GET", str_cstr(&s->arena, next), NULL, 200);
		n += json_get(a.json, STR("data"))->n;
		pages++;
		next = at(a.json, "next");
		if (next.n > 0) {
			assert_true(str_find(next, STR("size=100")) > 0);
			assert_true(str_find(next, STR("tags=t")) > 0);
			assert_true(str_find(next, at(a.json, "offset")) > 0);
		}
	} while (next.n > 0);
	assert_int_equal(n, 250);
	assert_int_equal(pages, 3);
	assert_true(json_get(a.json, STR("next"))->type == JSON_NULL);
	assert_null(json_get(a.json, STR("offset")));
}

static void wrong_queries(void **state)
{
	static const struct {
		const char *path, *code, *message;
	} cases[] = {
		{"/consumers?size=0", "9", "size must be an integer between 1 and 1000"},
		{"/consumers?size=1.5", "9", "size must be an integer between 1 and 1000"},
		{"/consumers?size=x", "9", "size must be a number"},
		{"/consumers?offset=%25", "7", "'%' is not a valid offset: bad base64 encoding"},
		{"/consumers?tags=a,b/c", "11", "invalid option (tags: invalid filter syntax)"},
		{"/consumers?tags=", "11", "invalid option (tags: cannot be null)"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct talk_answer a = want(state, "GET", cases[i].path, NULL, 400);

		assert_str(at(a.json, "code"), str_c(cases[i].code));
		assert_message(a, cases[i].message);
	}
}

/* ---- plugins and schemas ---- */

static void plugins_are_checked(void **state)
{
	struct talk_answer a = want(state, "POST", "/plugins", "name=nope", 400);

	assert_str(at(a.json, "fields.name"),
		   STR("plugin 'nope' not enabled; add it to the 'plugins' configuration"
		       " property"));
	a = want(state, "POST", "/plugins", "name=knob", 400);
	assert_str(at(a.json, "fields.config.level"), STR("required field missing"));
	a = want(state, "POST", "/plugins", "name=knob&config.level=3", 201);
	assert_str(at(a.json, "config.mode"), STR("soft"));
	a = want(state, "POST", "/plugins", "name=knob&config.level=3", 409);
	assert_message(a, "UNIQUE violation detected on"
			  " '{consumer=null,name=\"knob\",route=null,service=null}'");
	a = get(state, "/");
	assert_str(at(a.json, "plugins.available_on_server.knob.priority"), STR("7"));
	assert_str(json_str(tree_at(a.json, "plugins.enabled_in_cluster")->child), STR("knob"));
	assert_str(get(state, "/plugins/enabled").body, STR("{\"enabled_plugins\":[\"knob\"]}"));
}

static void schemas_are_shown(void **state)
{
	struct talk_answer a = get(state, "/schemas/services");

	assert_true(json_get(a.json, STR("fields"))->n > 10);
	assert_message(want(state, "GET", "/schemas/x", NULL, 404), "No entity named 'x'");
	assert_message(want(state, "GET", "/schemas/plugins/x", NULL, 404), "No plugin named 'x'");
	a = want(state, "GET", "/schemas/plugins/knob", NULL, 200);
	assert_true(str_find(a.body, STR("\"mode\"")) > 0);
	(void)want(state, "GET", "/plugins/schema/knob", NULL, 200);
	a = want(state, "POST", "/schemas/services/validate", "{\"host\":\"h\"}", 200);
	assert_message(a, "schema validation successful");
	a = want(state, "POST", "/schemas/services/validate", "{}", 400);
	assert_str(at(a.json, "code"), STR("2"));
	(void)want(state, "POST", "/schemas/plugins/validate",
		   "{\"name\":\"knob\",\"config\":{\"level\":1}}", 200);
	(void)want(state, "POST", "/schemas/plugins/validate",
		   "{\"name\":\"knob\",\"config\":{\"level\":\"1\"}}", 400);
}

/* ---- targets ---- */

static void targets_of_upstreams(void **state)
{
	struct talk_answer a;

	(void)want(state, "POST", "/upstreams", "name=u", 201);
	a = want(state, "POST", "/upstreams/u/targets", "target=127.0.0.1:1", 201);
	(void)want(state, "POST", "/upstreams/u/targets", "target=127.0.0.1:1", 409);
	(void)want(state, "POST", "/upstreams/u/targets", "target=a.local", 201);
	a = want(state, "GET", "/upstreams/u/targets", NULL, 200);
	assert_str(at(json_get(a.json, STR("data"))->child, "target"), STR("a.local:8000"));
	a = want(state, "GET", "/upstreams/u/targets/all?size=1", NULL, 200);
	assert_int_equal(json_get(a.json, STR("data"))->n, 1);
	assert_true(at(a.json, "offset").n > 0);
	(void)want(state, "GET", "/upstreams/u/targets/a.local", NULL, 200);
	a = want(state, "PATCH", "/upstreams/u/targets/127.0.0.1:1", "weight=7", 200);
	assert_str(at(a.json, "weight"), STR("7"));
	(void)want(state, "PUT", "/upstreams/u/targets/10.0.0.1:1", "target=10.0.0.1:1", 404);
	(void)want(state, "DELETE", "/upstreams/u/targets/10.0.0.1:1", NULL, 404);
	(void)want(state, "PUT", "/upstreams/u/targets/127.0.0.1:1/unhealthy", NULL, 204);
	(void)want(state, "PUT", "/upstreams/u/targets/10.0.0.1:1/unhealthy", NULL, 404);
	(void)want(state, "PUT", "/upstreams/u/targets/127.0.0.1:1/9.9.9.9:1/unhealthy", NULL, 404);
	a = want(state, "GET", "/upstreams/u/health", NULL, 200);
	assert_int_equal(json_get(a.json, STR("data"))->n, 2);
	a = want(state, "GET", "/upstreams/u/health?balancer_health=1", NULL, 200);
	assert_str(at(tree_at(a.json, "data.details.hosts")->child, "nodeWeight"), STR("100"));
	(void)want(state, "DELETE", "/upstreams/u/targets/127.0.0.1:1", NULL, 204);
	(void)want(state, "DELETE", "/upstreams/u", NULL, 204);
}

/* Made for these tests: openssl req -x509 -newkey ec, CN=a.test, 100 years. As JSON strings. */
#define CERT                                                                                       \
	"-----BEGIN CERTIFICATE-----\\n"                                                           \
	"MIIBdzCCAR+gAwIBAgIUfso38AbH7ADuMzTVowiNb/X0kZ8wCgYIKoZIzj0EAwIw\\n"                      \
	"ETEPMA0GA1UEAwwGYS50ZXN0MCAXDTI2MTEyODE3MjIxOFoYDzIxMjYxMTA0MTcy\\n"                      \
	"MjE4WjARMQ8wDQYDVQQDDAZhLnRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\\n"                      \
	"AAROcn27OmAapNz1vUAN7s1ORMN/K7w/8btlJf/8acqvne5r+8q6rpTeK8oFca+z\\n"                      \
	"0IFsbX5mzcFgPQMZLRGfhHC1o1MwUTAdBgNVHQ4EFgQURtdmwSQYTlE+B+l6zmcJ\\n"                      \
	"G6cz0AYwHwYDVR0jBBgwFoAURtdmwSQYTlE+B+l6zmcJG6cz0AYwDwYDVR0TAQH/\\n"                      \
	"BAUwAwEB/zAKBggqhkjOPQQDAgNGADBDAh8ZQyMR0VSGwy1mtDfD6EB6Lq4d3r5k\\n"                      \
	"nFwFuVQSpmgrAiBO58MwtKldCRS6O+vI5acGqUH0eYyrjO+N8oW7dPFpPg==\\n"                          \
	"-----END CERTIFICATE-----\\n"
#define KEY                                                                                        \
	"-----BEGIN PRIVATE KEY-----\\n"                                                           \
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgBg5rdsGivNw+u8l6\\n"                      \
	"R6WKlK5GomJwzlcxIAL5KUriUjyhRANCAAROcn27OmAapNz1vUAN7s1ORMN/K7w/\\n"                      \
	"8btlJf/8acqvne5r+8q6rpTeK8oFca+z0IFsbX5mzcFgPQMZLRGfhHC1\\n"                              \
	"-----END PRIVATE KEY-----\\n"
#define PAIR "{\"cert\":\"" CERT "\",\"key\":\"" KEY "\""

static void certificates_have_snis(void **state)
{
	struct talk_answer a = want(state, "POST", "/certificates",
				    PAIR ",\"snis\":[\"a.test\",\"b.test\"]}", 201);
	struct str id = at(a.json, "id");

	assert_int_equal(json_get(a.json, STR("snis"))->n, 2);
	assert_str(at(get(state, "/certificates/a.test").json, "id"), id);
	a = want(state, "POST", "/certificates", PAIR ",\"snis\":[\"a.test\"]}", 400);
	assert_true(str_find(a.body, STR("a.test already associated with existing certificate")) >
		    0);
	a = want(state, "POST", "/certificates", PAIR ",\"snis\":[\"c.test\",\"c.test\"]}", 400);
	assert_str(at(a.json, "fields.snis"), STR("c.test is duplicated"));
	/* All or nothing. */
	assert_int_equal(json_get(get(state, "/certificates").json, STR("data"))->n, 1);
	a = want(state, "PATCH", "/certificates/b.test", "{\"snis\":[\"a.test\"]}", 200);
	assert_int_equal(json_get(a.json, STR("snis"))->n, 1);
	a = want(state, "PUT", "/certificates/d.test", PAIR "}", 200);
	assert_str(json_str(json_get(a.json, STR("snis"))->child), STR("d.test"));
	(void)want(state, "PATCH", "/certificates/no.test", "{}", 404);
	(void)want(state, "GET", "/snis/a.test/certificate", NULL, 404);
	(void)want(state, "GET", "/certificates/no.test", NULL, 404);
	(void)want(state, "DELETE", "/certificates/a.test", NULL, 204);
	assert_int_equal(json_get(get(state, "/snis").json, STR("data"))->n, 1);
	(void)want(state, "POST", "/upstreams", "{\"name\":\"u\"}", 201);
}

/* More than a page holds. */
static void certificates_have_many_snis(void **state)
{
	enum { MANY = 1100 };
	struct buf body = {0};
	struct talk_answer a;

	buf_puts(&body, PAIR ",\"snis\":[");
	for (int i = 0; i < MANY; i++) {
		buf_printf(&body, "\"h%d.test\",", i);
	}
	buf_puts(&body, "\"last.test\"]}");
	buf_putc(&body, '\0');
	a = want(state, "POST", "/certificates", buf_head(&body), 201);
	assert_int_equal(json_get(a.json, STR("snis"))->n, MANY + 1);
	a = get(state, "/certificates/last.test");
	assert_int_equal(json_get(a.json, STR("snis"))->n, MANY + 1);
	a = want(state, "PATCH", "/certificates/last.test", "{\"snis\":[\"last.test\",\"x.test\"]}",
		 200);
	assert_int_equal(json_get(a.json, STR("snis"))->n, 2);
	assert_int_equal(json_get(get(state, "/snis?size=1000").json, STR("data"))->n, 2);
	buf_free(&body);
}

/* ---- keys ---- */

static void keys_are_asked_for_when_there_are_some(void **state)
{
	static const struct {
		const char *method, *key;
		int status;
	} cases[] = {
		{"GET", "", 401},
		{"GET", "Api-Key: x\r\n", 401},
		{"GET", "Api-Key: r\r\n", 200},
		{"POST", "Api-Key: r\r\n", 403},
		{"POST", "Api-Key: rw\r\n", 400},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(
			ask(state, cases[i].method, "/services", cases[i].key, NULL).status,
			cases[i].status);
	}
}

/* ---- the rest ---- */

static void what_there_is_is_listed(void **state)
{
	struct talk_answer a = get(state, "/endpoints");
	const struct json *data = json_get(a.json, STR("data"));
	struct str last = STR("");

	for (const struct json *e = data->child; e; e = e->next) {
		assert_true(str_cmp(last, json_str(e)) < 0);
		last = json_str(e);
	}
	assert_true(str_find(a.body, STR("\"/acls/{acls}\"")) > 0);
	assert_true(str_find(a.body, STR("\"/consumers/{consumers}/key-auth\"")) > 0);
	(void)want(state, "POST", "/consumers", "username=c&tags[]=x", 201);
	(void)want(state, "GET", "/tags/%00", NULL, 400);
	(void)want(state, "GET", "/consumers/%00%ff", NULL, 404);
	(void)want(state, "GET", "/consumers/%ff", NULL, 404);
	a = want(state, "GET", "/tags/x", NULL, 200);
	assert_str(at(json_get(a.json, STR("data"))->child, "entity_name"), STR("consumers"));
	a = want(state, "GET", "/status", NULL, 200);
	assert_true(json_bool(tree_at(a.json, "database.reachable")));
	assert_message(get(state, "/debug/node/log-level"), "log level: notice");
	(void)want(state, "PUT", "/debug/node/log-level/loud", NULL, 400);
	a = want(state, "GET", "/config", NULL, 400);
	assert_message(a, "this endpoint is only available when Kong is configured to not use a"
			  " database");
	(void)want(state, "DELETE", "/cache", NULL, 204);
	assert_message(want(state, "GET", "/cache/x", NULL, 404), "Not found");
	assert_message(want(state, "DELETE", "/proxy-cache", NULL, 404), "Not found");
	assert_message(want(state, "GET", "/proxy-cache/x", NULL, 404), "Not found");
	a = want(state, "GET", "/schemas/vaults/env", NULL, 200);
	assert_int_equal(json_get(a.json, STR("fields"))->n, 1);
	assert_non_null(json_get(json_get(a.json, STR("fields"))->child, STR("config")));
	(void)want(state, "GET", "/timers", NULL, 200);
}

static void without_a_database_nothing_is_written(void **state)
{
	struct talk_answer a = want(state, "POST", "/services", "host=h", 405);

	assert_str(at(a.json, "code"), STR("12"));
	assert_message(a, "cannot create 'services' entities when not using a database");
	a = ask(state, "POST", "/config", "Content-Type: text/yaml\r\n", "a: b");
	assert_int_equal(a.status, 201);
	assert_str(a.body, STR("a: b"));
	(void)want(state, "PUT", "/services/x", "host=h", 405);
	(void)want(state, "PATCH", "/services/x", "host=h", 405);
	a = want(state, "DELETE", "/services/x", NULL, 405);
	assert_message(a, "cannot remove 'services' entities when not using a database");
	a = want(state, "GET", "/services", NULL, 200);
	assert_str(a.body, STR("{\"data\":[],\"next\":null}"));
	assert_str(at(get(state, "/").json, "configuration.database"), STR("off"));
	assert_str(at(get(state, "/status").json, "configuration_hash"),
		   STR("00000000000000000000000000000000"));
}

/* ---- what the status listener has of it ---- */

static void status_alone_is_open(void **state)
{
	static const char *const paths[] = {"/status", "/status/ready", "/upstreams/u/health"};
	static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE", "TRACE"};
	struct admin_server *s = *state;
	struct talk_answer a = want(state, "GET", "/status", NULL, 200);

	assert_true(json_bool(tree_at(a.json, "database.reachable")));
	assert_null(json_get(a.json, STR("configuration_hash")));
	assert_message(want(state, "GET", "/status/ready", NULL, 200), "ready");
	assert_head(a, "\r\nServer: kong/3.10.0\r\n");
	assert_true(str_find(a.head, STR("Access-Control-")) < 0);
	a = want(state, "HEAD", "/status/ready", NULL, 200);
	assert_int_equal(a.body.n, 0);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		for (size_t k = 0; k < ARRAY_LEN(methods); k++) {
			a = want(state, methods[k], paths[i], NULL, 405);
			assert_head(a, "\r\nAllow: GET, HEAD, OPTIONS\r\n");
			assert_message(a, "Method not allowed");
		}
		a = want(state, "OPTIONS", paths[i], NULL, 204);
		assert_head(a, "\r\nAllow: GET, HEAD, OPTIONS\r\n");
		assert_true(str_find(a.head, STR("Access-Control-")) < 0);
	}
	assert_message(want(state, "GET", "/upstreams/u/health", NULL, 404), "Not found");
	assert_int_equal(s->changes, 0);
}

/* All else of the Admin API is a 404, whatever the method, the key and the spelling. */
static void nothing_else_is_behind_status(void **state)
{
	static const char *const paths[] = {
		"/",
		"/services",
		"/config",
		"/upstreams",
		"/upstreams/u",
		"/upstreams/u/targets",
		"/upstreams/u/targets/t/unhealthy",
		"/endpoints",
		"/debug/node/log-level",
		"/debug/node/log-level/debug",
		"/schemas/services",
		"/cache",
		"//services",
		"//status",
		"/status//ready",
		"/status/../services",
		"/status/%2e%2e/services",
		"/status%2f..%2fservices",
		"/status/ready/services",
		"/upstreams/u/health/../../services",
		"/upstreams//health",
		"/upstreams/u/health/services",
		"/status;/services",
	};
	static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		for (size_t k = 0; k < ARRAY_LEN(methods); k++) {
			struct talk_answer a =
				ask(state, methods[k], paths[i], "Api-Key: rw\r\n" AS_JSON, "{}");

			if (a.status != 404) {
				fail_msg("%s %s: %d", methods[k], paths[i], a.status);
			}
		}
	}
}

static void not_ready_without_a_database(void **state)
{
	struct admin_server *s = *state;
	struct talk_answer a;

	db_fail_after(s->db->pool, 1);
	a = want(state, "GET", "/status/ready", NULL, 503);
	db_fail_after(s->db->pool, 0);
	assert_message(a, "failed to connect to database");
	db_fail_after(s->db->pool, 1);
	a = want(state, "GET", "/status", NULL, 200);
	db_fail_after(s->db->pool, 0);
	assert_false(json_bool(tree_at(a.json, "database.reachable")));
	assert_message(want(state, "GET", "/status/ready", NULL, 200), "ready");
}

static void not_ready_at_the_end(void **state)
{
	struct admin_server *s = *state;

	atomic_store(&s->draining, true);
	assert_message(want(state, "GET", "/status/ready", NULL, 503), "shutting down");
	(void)want(state, "GET", "/status", NULL, 200);
}

static void not_ready_without_a_configuration(void **state)
{
	static const char hash[] = "00000000000000000000000000000001";
	struct admin_server *s = *state;
	struct talk_answer a = want(state, "GET", "/status/ready", NULL, 503);

	assert_message(a, "no configuration available (empty configuration present)");
	atomic_store(&s->hash, hash);
	db_fail_after(s->db->pool, 1); /* nobody needs it */
	assert_message(want(state, "GET", "/status/ready", NULL, 200), "ready");
	db_fail_after(s->db->pool, 0);
	assert_str(at(get(state, "/status").json, "configuration_hash"), str_c(hash));
}

#define ON(engine, test)                                                                           \
	{                                                                                          \
#test " (" #engine ")", test, admin_server_setup, admin_server_teardown,           \
			(void *)(uintptr_t)TEST_##engine                                           \
	}

#define STATUS(engine, test)                                                                       \
	{                                                                                          \
#test " (" #engine ")", test, admin_server_setup_status, admin_server_teardown,    \
			(void *)(uintptr_t)TEST_##engine                                           \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(SQLITE, all_answers_have_these_headers),
		ON(SQLITE, options_and_methods),
		ON(SQLITE, bodies_are_of_known_types),
		ON(SQLITE, a_service_from_a_form),
		ON(PGSQL, a_service_from_a_form),
		ON(SQLITE, put_patch_delete),
		ON(SQLITE, nested_paths),
		ON(PGSQL, nested_paths),
		ON(SQLITE, consumers_and_credentials),
		ON(SQLITE, pages_link_to_each_other),
		ON(SQLITE, wrong_queries),
		ON(SQLITE, plugins_are_checked),
		ON(SQLITE, schemas_are_shown),
		ON(SQLITE, targets_of_upstreams),
		ON(PGSQL, targets_of_upstreams),
		ON(SQLITE, certificates_have_snis),
		ON(SQLITE, certificates_have_many_snis),
		{"keys_are_asked_for_when_there_are_some", keys_are_asked_for_when_there_are_some,
		 admin_server_setup_keys, admin_server_teardown, (void *)(uintptr_t)TEST_SQLITE},
		ON(SQLITE, what_there_is_is_listed),
		ON(PGSQL, what_there_is_is_listed),
		{"without_a_database_nothing_is_written", without_a_database_nothing_is_written,
		 admin_server_setup_memory, admin_server_teardown, (void *)(uintptr_t)TEST_SQLITE},
		STATUS(SQLITE, status_alone_is_open),
		STATUS(SQLITE, nothing_else_is_behind_status),
		STATUS(SQLITE, not_ready_without_a_database),
		STATUS(PGSQL, not_ready_without_a_database),
		STATUS(SQLITE, not_ready_at_the_end),
		{"not_ready_without_a_configuration", not_ready_without_a_configuration,
		 admin_server_setup_status_memory, admin_server_teardown,
		 (void *)(uintptr_t)TEST_SQLITE},
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
