/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "identity/validator.h"

#define ISSUER "https://idp.example/realms/r"
#define NOW_S INT64_C(1700000000)
#define NOW_MS (NOW_S * 1000)
#define SKEW_S 300

static struct arena arena;
static struct key *key, *stranger;
static struct trust *trust;
static struct validator *validator;

static struct trust *trust_in(const struct key *k, struct str kid)
{
	struct jwks_entry entry = {kid, JWT_ES256, k};
	struct buf text = {0};
	struct jwks *keys;
	struct trust *t;

	jwks_write(&entry, 1, &text);
	assert_ok(jwks_parse(buf_str(&text), &keys, NULL));
	t = trust_new(STR(ISSUER), STR_NULL, keys);
	jwks_unref(&keys);
	buf_free(&text);
	return t;
}

static int group_set_up(void **state)
{
	(void)state;
	key = key_generate(KEY_P256);
	stranger = key_generate(KEY_P256);
	trust = trust_in(key, STR("k1"));
	return 0;
}

static int group_tear_down(void **state)
{
	(void)state;
	key_free(&key);
	key_free(&stranger);
	trust_unref(&trust);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, 0);
	validator = validator_new(STR("relayserver"), VALIDATOR_SKEW_MS, 3);
	validator_set_trust(validator, trust);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	validator_free(&validator);
	arena_fini(&arena);
	return 0;
}

static struct str token_of(const char *claims)
{
	return jwt_sign(&arena, key, JWT_ES256, STR("k1"), str_c(claims));
}

/* A good token of `client`, valid from NOW_S for an hour. */
static struct str token_for(const char *client)
{
	struct str claims =
		str_fmt(&arena,
			"{\"iss\":\"" ISSUER "\",\"aud\":\"relayserver\",\"client_id\":\"%s\","
			"\"client_name\":\"Name\",\"client_description\":\"Text\","
			"\"scope\":\"openid connector\",\"nbf\":%lld,\"exp\":%lld}",
			client, (long long)NOW_S, (long long)NOW_S + 3600);

	return token_of(str_cstr(&arena, claims));
}

static enum err check_at(struct str token, int64_t now_s, struct fault *f)
{
	struct principal p;

	return validator_check(validator, token, now_s * 1000, &arena, &p, f);
}

static struct validator_stats stats(void)
{
	struct validator_stats s;

	validator_stats(validator, &s);
	return s;
}

static void test_good_token(void **state)
{
	struct principal p;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_ok(
			validator_check(validator, token_for("branch1"), NOW_MS, &arena, &p, NULL));
		assert_str(p.client_id, STR("branch1"));
		assert_str(p.name, STR("Name"));
		assert_str(p.description, STR("Text"));
		assert_str(p.issuer, STR(ISSUER));
		assert_true(principal_has_scope(&p, STR("connector")));
		assert_int_equal(p.expires_ms, (NOW_S + 3600) * 1000);
		assert_ok(policy_connector(&p, NULL));
	}
}

static void test_refusals(void **state)
{
	static const struct {
		const char *claims, *text;
	} cases[] = {
		{"{\"iss\":\"https://evil\",\"aud\":\"relayserver\",\"exp\":1700000100}",
		 "The issuer 'https://evil' is invalid"},
		{"{\"iss\":\"" ISSUER "/\",\"aud\":\"relayserver\",\"exp\":1700000100}",
		 "The issuer '" ISSUER "/' is invalid"},
		{"{\"aud\":\"relayserver\",\"exp\":1700000100}", "The issuer '' is invalid"},
		{"{\"iss\":[\"" ISSUER "\"],\"aud\":\"relayserver\",\"exp\":1700000100}",
		 "The issuer '' is invalid"},
		{"{\"iss\":\"" ISSUER "\",\"exp\":1700000100}", "The audience is invalid"},
		{"{\"iss\":\"" ISSUER "\",\"aud\":\"other\",\"exp\":1700000100}",
		 "The audience is invalid"},
		{"{\"iss\":\"" ISSUER "\",\"aud\":[],\"exp\":1700000100}",
		 "The audience is invalid"},
		{"{\"iss\":\"" ISSUER "\",\"aud\":\"relayserver\"}", "The token has no expiration"},
		{"{\"iss\":\"" ISSUER "\",\"aud\":\"relayserver\",\"exp\":1699999700}",
		 "The token expired at '2023-11-14T22:08:20.000Z'"},
		{"{\"iss\":\"" ISSUER
		 "\",\"aud\":\"relayserver\",\"exp\":1700009999,\"nbf\":1700000301}",
		 "The token is not valid before '2023-11-14T22:18:21.000Z'"},
		{"{\"iss\":\"" ISSUER "\",\"aud\":\"relayserver\",\"exp\":\"soon\"}",
		 "The token's claim 'exp' is not a time"},
		{"[]", "The token's payload is not a JSON object"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fault f = {0};

		assert_err(check_at(token_of(cases[i].claims), NOW_S, &f), ERR_UNAUTHENTICATED);
		assert_int_equal(f.code, ERR_UNAUTHENTICATED);
		assert_string_equal(f.text, cases[i].text);
	}
	assert_int_equal(stats().cache_size, 0);
	assert_int_equal(stats().refused, ARRAY_LEN(cases));
}

static void test_malformed_tokens(void **state)
{
	static const char *const cases[] = {
		"",
		"x",
		"a.b.c",
		"eyJhbGciOiJub25lIn0.e30.",
		"eyJhbGciOiJub25lIn0.e30.AA",
		"eyJhbGciOiJIUzI1NiJ9.e30.AA",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fault f = {0};

		assert_err(check_at(str_c(cases[i]), NOW_S, &f), ERR_UNAUTHENTICATED);
		assert_true(f.text[0] != '\0');
	}
}

static void test_wrong_signature(void **state)
{
	struct fault f = {0};

	(void)state;
	assert_err(check_at(jwt_sign(&arena, stranger, JWT_ES256, STR("k1"), STR("{}")), NOW_S, &f),
		   ERR_UNAUTHENTICATED);
	assert_string_equal(f.text, "The signature is invalid");
}

static void test_unknown_key(void **state)
{
	struct fault f = {0};

	(void)state;
	assert_err(check_at(jwt_sign(&arena, stranger, JWT_ES256, STR("k2"), STR("{}")), NOW_S, &f),
		   ERR_AGAIN);
	assert_int_equal(f.code, ERR_AGAIN);
	assert_string_equal(f.text, "The signature key was not found");
}

static void test_no_keys_yet(void **state)
{
	(void)state;
	validator_set_trust(validator, NULL);
	assert_err(check_at(token_for("branch1"), NOW_S, NULL), ERR_UNAVAILABLE);
}

static void test_skew(void **state)
{
	struct str token = token_for("branch1");

	(void)state;
	assert_err(check_at(token, NOW_S - SKEW_S - 1, NULL), ERR_UNAUTHENTICATED);
	assert_ok(check_at(token, NOW_S - SKEW_S, NULL));
	assert_ok(check_at(token, NOW_S + 3600 + SKEW_S - 1, NULL));
	assert_err(check_at(token, NOW_S + 3600 + SKEW_S, NULL), ERR_UNAUTHENTICATED);
}

static void test_cache_hits(void **state)
{
	struct str token = token_for("branch1");

	(void)state;
	assert_ok(check_at(token, NOW_S, NULL));
	assert_ok(check_at(token, NOW_S, NULL));
	assert_ok(check_at(token, NOW_S, NULL));
	assert_int_equal(stats().checked, 3);
	assert_int_equal(stats().cached, 2);
	/* A remembered token still ages. */
	assert_err(check_at(token, NOW_S + 4000, NULL), ERR_UNAUTHENTICATED);
	assert_int_equal(stats().cached, 3);
}

static void test_cache_is_bounded(void **state)
{
	struct str first = token_for("b0");

	(void)state;
	assert_ok(check_at(first, NOW_S, NULL));
	for (int i = 1; i <= 9; i++) {
		char client[8] = {'b', (char)('0' + i)};

		assert_ok(check_at(token_for(client), NOW_S, NULL));
		assert_ok(check_at(first, NOW_S, NULL));
		assert_true(stats().cache_size <= 3);
	}
	/* Used all the time, so it never left. */
	assert_int_equal(stats().cached, 9);
}

static void test_new_trust_empties_cache(void **state)
{
	struct str token = token_for("branch1");
	struct trust *other = trust_in(stranger, STR("k2"));

	(void)state;
	assert_ok(check_at(token, NOW_S, NULL));
	validator_set_trust(validator, trust);
	assert_int_equal(stats().cache_size, 1);
	validator_set_trust(validator, other);
	assert_int_equal(stats().cache_size, 0);
	assert_err(check_at(token, NOW_S, NULL), ERR_AGAIN);
	validator_set_trust(validator, other);
	trust_unref(&other);
	assert_err(check_at(token, NOW_S, NULL), ERR_AGAIN);
}

static void test_connector_policy(void **state)
{
	static const struct {
		struct principal p;
		enum err want;
	} cases[] = {
		{{.client_id = STR_INIT("b"), .scopes = STR_INIT("connector")}, ERR_OK},
		{{.client_id = STR_INIT("b"), .scopes = STR_INIT("a  connector b")}, ERR_OK},
		{{.client_id = STR_INIT("b"), .scopes = STR_INIT("Connector")}, ERR_DENIED},
		{{.client_id = STR_INIT("b"), .scopes = STR_INIT("connectors")}, ERR_DENIED},
		{{.client_id = STR_INIT("b")}, ERR_DENIED},
		{{.scopes = STR_INIT("connector")}, ERR_DENIED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fault f = {0};

		assert_err(policy_connector(&cases[i].p, &f), cases[i].want);
		assert_int_equal(f.code, cases[i].want);
	}
}

static void test_bearer_header(void **state)
{
	static const struct {
		const char *value, *token;
	} cases[] = {
		{"Bearer abc", "abc"}, {"bearer  abc ", "abc"}, {"Bearer", NULL},
		{"Bearer ", NULL},     {"Basic abc", NULL},	{"", NULL},
		{"Bearerabc", NULL},   {" Bearer abc", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str token;

		assert_int_equal(bearer_from_header(str_c(cases[i].value), &token),
				 cases[i].token != NULL);
		if (cases[i].token) {
			assert_str(token, str_c(cases[i].token));
		}
	}
}

static void test_challenge(void **state)
{
	struct buf out = {0};

	(void)state;
	bearer_challenge(&out, false, STR("ignored"));
	assert_str(buf_str(&out), STR("Bearer"));
	buf_clear(&out);
	bearer_challenge(&out, true, STR_NULL);
	assert_str(buf_str(&out), STR("Bearer error=\"invalid_token\""));
	buf_clear(&out);
	bearer_challenge(&out, true, STR("a \"b\\\r\nX: \xc3\xa4"));
	assert_str(buf_str(&out), STR("Bearer error=\"invalid_token\", "
				      "error_description=\"a ?b???X: ??\""));
	buf_free(&out);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_good_token),
		TEST(test_refusals),
		TEST(test_malformed_tokens),
		TEST(test_wrong_signature),
		TEST(test_unknown_key),
		TEST(test_no_keys_yet),
		TEST(test_skew),
		TEST(test_cache_hits),
		TEST(test_cache_is_bounded),
		TEST(test_new_trust_empties_cache),
		cmocka_unit_test(test_connector_policy),
		cmocka_unit_test(test_bearer_header),
		cmocka_unit_test(test_challenge),
	};

	return cmocka_run_group_tests(tests, group_set_up, group_tear_down);
}
