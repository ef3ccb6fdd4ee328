/* SPDX-License-Identifier: MIT */
/*
 * The issuer's handlers, called as the dispatcher would call them on a worker.
 */
#include "base/clock.h"
#include "base/enc.h"
#include "identity/issuer.h"
#include "identity/secret.h"
#include "identity/validator.h"
#include "tenants.h"

#define GRANT "grant_type=client_credentials"
#define FORM "application/x-www-form-urlencoded"
#define SECRET "<Strong!Passw0rd>"

struct scene {
	struct test_db *db;
	struct identity_config config;
	struct arena arena;
	struct issuer *issuer;
	struct task task;
};

static void read_config(struct scene *s, const char *issuer_url, int algorithm)
{
	assert_ok(conf_apply(&s->arena, &identity_conf, NULL, &s->config, NULL));
	s->config.issuer = str_c(issuer_url);
	s->config.algorithm = algorithm;
	s->config.failures_max = 3;
}

static void add_secret(struct test_db *t, struct str plain)
{
	struct client_secret row = {
		.id = guid_new(),
		.value = secret_hash_random(&t->arena, plain),
		.created_ms = clock_wall_ms(),
	};

	assert_ok(client_secret_add(t->db, STR("BRANCH1"), &row));
}

static void open_scene(struct scene *s, struct test_db *t, const char *issuer_url, int algorithm)
{
	memset(s, 0, sizeof(*s));
	s->db = t;
	arena_init(&s->arena, 0);
	create_tenants(t);
	add_secret(t, STR(SECRET));
	read_config(s, issuer_url, algorithm);
	assert_ok(issuer_new(&s->config, &s->issuer, NULL));
	assert_ok(issuer_refresh(s->issuer, t->db, clock_wall_ms()));
}

static void end_task(struct scene *s)
{
	buf_free(&s->task.reply.body);
	arena_fini(&s->task.arena);
	memset(&s->task, 0, sizeof(s->task));
}

static void close_scene(struct scene *s)
{
	end_task(s);
	issuer_free(&s->issuer);
	assert_null(s->issuer);
	arena_fini(&s->arena);
}

static const struct rest_route *route_of(const char *path)
{
	for (size_t i = 0; i < issuer_table.n; i++) {
		if (strcmp(issuer_table.routes[i].path, path) == 0) {
			return &issuer_table.routes[i];
		}
	}
	fail_msg("no route %s", path);
	return NULL;
}

static enum err call(struct scene *s, const char *path, struct str authorization,
		     const char *content_type, struct str body)
{
	struct task *t = &s->task;

	end_task(s);
	arena_init(&t->arena, 0);
	t->role = s->issuer;
	t->db = s->db->db;
	t->peer_ip = STR("10.0.0.1");
	t->base_url = STR("http://relay.example:5002");
	t->body = body;
	if (authorization.p) {
		http_header_add(&t->arena, &t->request.headers, STR("authorization"),
				authorization);
	}
	if (content_type) {
		http_header_add(&t->arena, &t->request.headers, STR("Content-Type"),
				str_c(content_type));
	}
	return route_of(path)->handler(t);
}

static enum err ask_token(struct scene *s, struct str authorization, const char *form)
{
	return call(s, "/connect/token", authorization, FORM, str_c(form));
}

static const struct json *answer(struct scene *s, int status)
{
	struct json *tree;

	assert_int_equal(s->task.reply.status, status);
	assert_ok(json_parse(&s->task.arena, buf_str(&s->task.reply.body), &tree, NULL));
	return tree;
}

static struct str text_of(const struct json *tree, const char *name)
{
	return json_str(json_get(tree, str_c(name)));
}

static struct str header_of(struct scene *s, const char *name)
{
	return http_header_get(&s->task.reply.headers, str_c(name));
}

static struct str basic(struct scene *s, struct str pair)
{
	struct buf value = {0};
	struct str out;

	buf_puts(&value, "Basic ");
	base64_encode(&value, pair);
	out = str_dup(&s->arena, buf_str(&value));
	buf_free(&value);
	return out;
}

/* What the relay of the same process would say to the token. */
static void check_token(struct scene *s, struct str token, struct principal *out)
{
	struct validator *v = validator_new(ISSUER_AUDIENCE, 0, 0);
	struct trust *trust = issuer_trust(s->issuer);

	validator_set_trust(v, trust);
	assert_ok(validator_check(v, token, clock_wall_ms(), &s->arena, out, NULL));
	assert_ok(policy_connector(out, NULL));
	trust_unref(&trust);
	validator_free(&v);
}

static void issue_and_check(struct test_db *t, const char *issuer_url, int algorithm)
{
	const struct json *tree;
	struct principal p;
	struct scene s;
	int64_t expires_s;

	open_scene(&s, t, issuer_url, algorithm);
	assert_ok(ask_token(&s, basic(&s, STR("branch1:%3CStrong%21Passw0rd%3E")),
			    GRANT "&scope=connector"));
	tree = answer(&s, 200);
	assert_str(text_of(tree, "token_type"), STR("Bearer"));
	assert_str(text_of(tree, "scope"), STR("connector"));
	assert_true(json_int(json_get(tree, STR("expires_in")), &expires_s));
	assert_int_equal(expires_s, 3600);
	assert_str(header_of(&s, "Cache-Control"), STR("no-store"));
	check_token(&s, text_of(tree, "access_token"), &p);
	/* As the tenant is spelled, not as the client spelled it. */
	assert_str(p.client_id, STR("Branch1"));
	assert_str(p.name, STR("Branch 1"));
	assert_null(p.description.p);
	assert_str(p.issuer, issuer_url ? str_c(issuer_url) : ISSUER_DEFAULT_NAME);
	close_scene(&s);
}

static void test_rs256_token(void **state)
{
	issue_and_check(*state, NULL, IDENTITY_RS256);
}

static void test_es256_token(void **state)
{
	issue_and_check(*state, "https://id.example/", IDENTITY_ES256);
}

static void test_body_credentials(void **state)
{
	struct principal p;
	struct scene s;

	open_scene(&s, *state, NULL, IDENTITY_ES256);
	assert_ok(ask_token(&s, STR_NULL,
			    GRANT "&client_id=BRANCH1&client_secret=%3CStrong%21Passw0rd%3E"));
	check_token(&s, text_of(answer(&s, 200), "access_token"), &p);
	assert_str(p.client_id, STR("Branch1"));
	close_scene(&s);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *form;
		int status;
		const char *error;
	} cases[] = {
		{"", 400, "invalid_request"},
		{GRANT, 401, "invalid_client"},
		{GRANT "&client_id=Branch1", 401, "invalid_client"},
		{GRANT "&client_id=nobody&client_secret=x", 401, "invalid_client"},
		{GRANT "&client_id=other&client_secret=" SECRET, 401, "invalid_client"},
		{GRANT "&client_id=Branch1&client_secret=wrong", 401, "invalid_client"},
		{"grant_type=password&client_id=Branch1&client_secret=" SECRET, 400,
		 "unsupported_grant_type"},
		{"grant_type=authorization_code&client_id=Branch1&client_secret=" SECRET, 400,
		 "unsupported_grant_type"},
		{GRANT "&client_id=Branch1&client_secret=" SECRET "&scope=admin", 400,
		 "invalid_scope"},
		{GRANT "&client_id=Branch1&client_secret=" SECRET "&scope=connector+admin", 400,
		 "invalid_scope"},
		{GRANT "&" GRANT "&client_id=Branch1&client_secret=" SECRET, 400,
		 "invalid_request"},
	};
	struct scene s;

	open_scene(&s, *state, NULL, IDENTITY_ES256);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct json *tree;

		assert_ok(ask_token(&s, STR_NULL, cases[i].form));
		tree = answer(&s, cases[i].status);
		assert_str(text_of(tree, "error"), str_c(cases[i].error));
		assert_true(text_of(tree, "error_description").n > 0);
		assert_null(json_get(tree, STR("access_token")));
		assert_str(header_of(&s, "Cache-Control"), STR("no-store"));
		assert_null(header_of(&s, "WWW-Authenticate").p);
	}
	close_scene(&s);
}

static void test_refused_basic(void **state)
{
	struct scene s;

	open_scene(&s, *state, NULL, IDENTITY_ES256);
	assert_ok(ask_token(&s, basic(&s, STR("Branch1:wrong")), GRANT));
	assert_str(text_of(answer(&s, 401), "error"), STR("invalid_client"));
	assert_str(header_of(&s, "WWW-Authenticate"),
		   STR("Basic realm=\"posthouse\", charset=\"UTF-8\""));
	close_scene(&s);
}

static void test_media_type(void **state)
{
	struct scene s;

	open_scene(&s, *state, NULL, IDENTITY_ES256);
	assert_ok(call(&s, "/connect/token", STR_NULL, "application/json", STR("{}")));
	assert_str(text_of(answer(&s, 400), "error"), STR("invalid_request"));
	assert_ok(call(&s, "/connect/token", STR_NULL, NULL, STR(GRANT)));
	assert_str(text_of(answer(&s, 400), "error"), STR("invalid_request"));
	assert_ok(call(&s, "/connect/token", STR_NULL, "Application/X-WWW-Form-Urlencoded; x=y",
		       STR(GRANT "&client_id=branch1&client_secret=" SECRET)));
	(void)answer(&s, 200);
	close_scene(&s);
}

static void test_too_many_failures(void **state)
{
	const char *good = GRANT "&client_id=branch1&client_secret=" SECRET;
	struct scene s;

	open_scene(&s, *state, NULL, IDENTITY_ES256);
	for (int i = 0; i < 3; i++) {
		assert_ok(ask_token(&s, STR_NULL, GRANT "&client_id=branch1&client_secret=x"));
		(void)answer(&s, 401);
	}
	/* Now even the right secret has to wait, however the name is spelled. */
	assert_ok(ask_token(&s, STR_NULL, good));
	assert_str(text_of(answer(&s, 429), "error"), STR("slow_down"));
	assert_true(header_of(&s, "Retry-After").n > 0);
	assert_ok(ask_token(&s, STR_NULL, GRANT "&client_id=BRANCH1&client_secret=x"));
	(void)answer(&s, 429);
	close_scene(&s);
}

static void test_chosen_secret(void **state)
{
	struct test_db *t = *state;
	struct client_secret row = {.id = guid_new(), .created_ms = clock_wall_ms()};
	struct scene s;

	open_scene(&s, t, NULL, IDENTITY_ES256);
	row.value = secret_hash_chosen(&t->arena, STR("correct horse"));
	assert_ok(client_secret_add(t->db, STR("BRANCH1"), &row));
	assert_ok(ask_token(&s, STR_NULL, GRANT "&client_id=branch1&client_secret=correct+horse"));
	(void)answer(&s, 200);
	close_scene(&s);
}

static void test_metadata(void **state)
{
	const struct json *tree;
	struct scene s;

	open_scene(&s, *state, NULL, IDENTITY_ES256);
	assert_ok(call(&s, "/.well-known/openid-configuration", STR_NULL, NULL, STR_NULL));
	tree = answer(&s, 200);
	assert_str(text_of(tree, "issuer"), ISSUER_DEFAULT_NAME);
	assert_str(text_of(tree, "token_endpoint"), STR("http://relay.example:5002/connect/token"));
	assert_str(text_of(tree, "jwks_uri"),
		   STR("http://relay.example:5002/.well-known/jwks.json"));
	close_scene(&s);
}

static void test_metadata_of_named_issuer(void **state)
{
	const struct json *tree;
	struct trust *trust;
	struct scene s;

	open_scene(&s, *state, "https://id.example/", IDENTITY_ES256);
	assert_ok(call(&s, "/.well-known/openid-configuration", STR_NULL, NULL, STR_NULL));
	tree = answer(&s, 200);
	assert_str(text_of(tree, "issuer"), STR("https://id.example/"));
	assert_str(text_of(tree, "token_endpoint"), STR("https://id.example/connect/token"));
	trust = issuer_trust(s.issuer);
	assert_str(trust_token_endpoint(trust), STR("https://id.example/connect/token"));
	trust_unref(&trust);
	close_scene(&s);
}

/* Our documents feed our own fetcher. */
static void test_documents_feed_a_key_source(void **state)
{
	struct key_source source;
	struct str url;
	struct scene s;

	open_scene(&s, *state, NULL, IDENTITY_RS256);
	assert_ok(key_source_init(&source, STR("http://relay.example:5002"), NULL));
	assert_int_equal(key_source_next(&source, 0, &url), KEY_FETCH_METADATA);
	assert_ok(call(&s, "/.well-known/openid-configuration", STR_NULL, NULL, STR_NULL));
	assert_ok(key_source_feed(&source, buf_str(&s.task.reply.body), 0, NULL));
	assert_int_equal(key_source_next(&source, 0, &url), KEY_FETCH_KEYS);
	assert_true(str_ends(url, STR("/.well-known/jwks.json")));
	assert_ok(call(&s, "/.well-known/jwks.json", STR_NULL, NULL, STR_NULL));
	assert_int_equal(str_find(buf_str(&s.task.reply.body), STR("\"d\"")), -1);
	assert_ok(key_source_feed(&source, buf_str(&s.task.reply.body), 0, NULL));
	assert_int_equal(jwks_count(trust_keys(key_source_trust(&source))), 2);
	key_source_fini(&source);
	close_scene(&s);
}

/* A new key is published at once, and signs after its announcement; old tokens stay good. */
static void test_rotation(void **state)
{
	struct trust *first, *second;
	struct test_db *t = *state;
	int64_t later_ms;
	struct scene s;

	open_scene(&s, t, NULL, IDENTITY_ES256);
	first = issuer_trust(s.issuer);
	assert_ok(issuer_refresh(s.issuer, t->db, clock_wall_ms()));
	second = issuer_trust(s.issuer);
	assert_ptr_equal(first, second);
	trust_unref(&second);

	later_ms = clock_wall_ms() + s.config.key_rotation_ms;
	assert_ok(issuer_refresh(s.issuer, t->db, later_ms));
	second = issuer_trust(s.issuer);
	assert_ptr_not_equal(first, second);
	assert_int_equal(jwks_count(trust_keys(first)), 2);
	assert_int_equal(jwks_count(trust_keys(second)), 4);
	trust_unref(&first);
	trust_unref(&second);
	close_scene(&s);
}

static void test_before_the_first_refresh(void **state)
{
	struct scene s;

	open_scene(&s, *state, NULL, IDENTITY_ES256);
	issuer_free(&s.issuer);
	assert_ok(issuer_new(&s.config, &s.issuer, NULL));
	assert_null(issuer_trust(s.issuer));
	assert_err(call(&s, "/.well-known/jwks.json", STR_NULL, NULL, STR_NULL), ERR_UNAVAILABLE);
	assert_err(ask_token(&s, STR_NULL, GRANT "&client_id=branch1&client_secret=" SECRET),
		   ERR_UNAVAILABLE);
	close_scene(&s);
}

/* The issuer starts again with another passphrase. */
static enum err restart(struct scene *s, struct str passphrase)
{
	issuer_free(&s->issuer);
	s->config.key_passphrase = passphrase;
	assert_ok(issuer_new(&s->config, &s->issuer, NULL));
	test_db_new_task(s->db);
	return issuer_refresh(s->issuer, s->db->db, clock_wall_ms());
}

static void test_passphrase(void **state)
{
	struct scene s;

	open_scene(&s, *state, NULL, IDENTITY_ES256);
	/* Keys that stand there unencrypted are read all the same. */
	assert_ok(restart(&s, STR("12345678")));
	test_db_script(s.db, "DELETE FROM \"SigningKeys\"");
	assert_ok(restart(&s, STR("12345678")));
	assert_ok(restart(&s, STR("12345678")));
	assert_err(restart(&s, STR("87654321")), ERR_INVALID);
	assert_null(issuer_trust(s.issuer));
	assert_err(restart(&s, STR_NULL), ERR_INVALID);
	close_scene(&s);
}

static void test_refused_config(void **state)
{
	struct issuer *issuer = NULL;
	struct scene s = {0};

	(void)state;
	arena_init(&s.arena, 0);
	read_config(&s, "id.example", IDENTITY_RS256);
	assert_err(issuer_new(&s.config, &issuer, NULL), ERR_INVALID);
	read_config(&s, NULL, IDENTITY_RS256);
	s.config.key_passphrase = STR("short");
	assert_err(issuer_new(&s.config, &issuer, NULL), ERR_INVALID);
	assert_null(issuer);
	arena_fini(&s.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_ENGINES(test_rs256_token),
		ON_SQLITE(test_es256_token),
		ON_SQLITE(test_body_credentials),
		ON_SQLITE(test_refusals),
		ON_SQLITE(test_refused_basic),
		ON_SQLITE(test_media_type),
		ON_SQLITE(test_too_many_failures),
		ON_SQLITE(test_chosen_secret),
		ON_SQLITE(test_metadata),
		ON_SQLITE(test_metadata_of_named_issuer),
		ON_SQLITE(test_documents_feed_a_key_source),
		BOTH_ENGINES(test_rotation),
		ON_SQLITE(test_before_the_first_refresh),
		ON_SQLITE(test_passphrase),
		cmocka_unit_test(test_refused_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
