/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "identity/jwt.h"

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

static void test_rfc_rs256(void **state)
{
	struct jwt_claims claims;
	struct key *key;
	struct jwt jwt;

	(void)state;
	assert_ok(key_from_rsa(unbase64url(&arena, STR(RFC_RS256_N)), STR("\1\0\1"), &key, NULL));
	assert_ok(jwt_parse(&arena, STR(RFC_RS256_TOKEN), &jwt, NULL));
	assert_int_equal(jwt.alg, JWT_RS256);
	assert_null(jwt.kid.p);
	assert_true(jwt_verify(&jwt, key));
	assert_ok(jwt_claims(&arena, &jwt, &claims, NULL));
	assert_str(claims.iss, STR("joe"));
	assert_true(claims.exp_ms.has);
	assert_int_equal(claims.exp_ms.v, INT64_C(1300819380000));
	assert_false(claims.nbf_ms.has);
	key_free(&key);
}

static void test_rfc_es256(void **state)
{
	struct key *key;
	struct jwt jwt;

	(void)state;
	assert_ok(key_from_point(KEY_P256, unbase64url(&arena, STR(RFC_ES256_X)),
				 unbase64url(&arena, STR(RFC_ES256_Y)), &key, NULL));
	assert_ok(jwt_parse(&arena, STR(RFC_ES256_TOKEN), &jwt, NULL));
	assert_int_equal(jwt.alg, JWT_ES256);
	assert_true(jwt_verify(&jwt, key));
	key_free(&key);
}

/* A token cut anywhere is refused or, where base64url still decodes, does not verify. */
static void test_every_truncation(void **state)
{
	struct str token = STR(RFC_ES256_TOKEN);
	struct key *key;

	(void)state;
	assert_ok(key_from_point(KEY_P256, unbase64url(&arena, STR(RFC_ES256_X)),
				 unbase64url(&arena, STR(RFC_ES256_Y)), &key, NULL));
	for (size_t n = 0; n < token.n; n++) {
		struct jwt jwt;

		if (jwt_parse(&arena, str_slice(token, 0, n), &jwt, NULL) == ERR_OK) {
			assert_false(jwt_verify(&jwt, key));
		}
	}
	key_free(&key);
}

/* One changed character anywhere: refused, or does not verify. */
static void test_every_change(void **state)
{
	struct str token = str_dup(&arena, STR(RFC_ES256_TOKEN));
	struct key *key;

	(void)state;
	assert_ok(key_from_point(KEY_P256, unbase64url(&arena, STR(RFC_ES256_X)),
				 unbase64url(&arena, STR(RFC_ES256_Y)), &key, NULL));
	for (size_t i = 0; i < token.n; i++) {
		char *p = (char *)token.p + i, was = *p;
		struct jwt jwt;

		*p = was == 'A' ? 'B' : 'A';
		if (jwt_parse(&arena, token, &jwt, NULL) == ERR_OK) {
			assert_false(jwt_verify(&jwt, key));
		}
		*p = was;
	}
	key_free(&key);
}

static void test_refused_headers(void **state)
{
	static const struct {
		const char *header;
		const char *text;
	} cases[] = {
		{"{\"alg\":\"none\"}", "The signature algorithm is not accepted"},
		{"{\"alg\":\"None\"}", "The signature algorithm is not accepted"},
		{"{\"alg\":\"HS256\"}", "The signature algorithm is not accepted"},
		{"{\"alg\":\"rs256\"}", "The signature algorithm is not accepted"},
		{"{\"alg\":\"RS256\\u0000\"}", "The signature algorithm is not accepted"},
		{"{\"alg\":\"EdDSA\"}", "The signature algorithm is not accepted"},
		{"{\"alg\":[\"RS256\"]}", "The signature algorithm is not accepted"},
		{"{\"alg\":null}", "The signature algorithm is not accepted"},
		{"{\"typ\":\"JWT\"}", "The signature algorithm is not accepted"},
		{"{\"ALG\":\"RS256\"}", "The signature algorithm is not accepted"},
		{"{\"alg\":\"RS256\",\"alg\":\"none\"}", "The token's header is not a JSON object"},
		{"{\"alg\":\"RS256\",\"crit\":[\"b64\"],\"b64\":false}",
		 "The token demands an unknown extension"},
		{"{\"alg\":\"RS256\",\"crit\":[]}", "The token demands an unknown extension"},
		{"{\"alg\":\"RS256\",\"kid\":7}", "The token's key identifier is invalid"},
		{"[\"RS256\"]", "The token's header is not a JSON object"},
		{"\"RS256\"", "The token's header is not a JSON object"},
		{"{\"alg\":\"RS256\"", "The token's header is not a JSON object"},
		{"{\"alg\":\"RS256\"} x", "The token's header is not a JSON object"},
		{"\xff", "The token's header is not a JSON object"},
	};
	struct key *key = key_generate(KEY_P256);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str token = forge(&arena, str_c(cases[i].header), STR("{}"), key, JWT_ES256);
		struct fault f = {0};
		struct jwt jwt;

		assert_err(jwt_parse(&arena, token, &jwt, &f), ERR_INVALID);
		assert_string_equal(f.text, cases[i].text);
	}
	key_free(&key);
}

static void test_refused_forms(void **state)
{
	static const char *const cases[] = {
		"",
		".",
		"..",
		"...",
		"a.b",
		"eyJhbGciOiJFUzI1NiJ9." RFC_PAYLOAD,
		"eyJhbGciOiJFUzI1NiJ9." RFC_PAYLOAD ".",
		"." RFC_PAYLOAD "." RFC_ES256_SIGNATURE,
		"eyJhbGciOiJFUzI1NiJ9.." RFC_ES256_SIGNATURE,
		RFC_ES256_TOKEN ".",
		RFC_ES256_TOKEN ".x",
		RFC_ES256_TOKEN "=",
		RFC_ES256_TOKEN "==",
		RFC_ES256_TOKEN "\n",
		" " RFC_ES256_TOKEN,
		"eyJhbGciOiJFUzI1NiJ9." RFC_PAYLOAD ".a b",
		"eyJhbGciOiJFUzI1NiJ9." RFC_PAYLOAD ".a+b/",
		/* bits that encode nothing are set: another spelling of the same bytes */
		"eyJhbGciOiJFUzI1NiJ9." RFC_PAYLOAD
		".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-"
		"Kg6NU1R",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct jwt jwt;

		assert_err(jwt_parse(&arena, str_c(cases[i]), &jwt, NULL), ERR_INVALID);
	}
}

static void test_limits(void **state)
{
	struct buf token = {0};
	struct jwt jwt;

	(void)state;
	for (size_t i = 0; i <= JWT_LEN_MAX; i++) {
		buf_putc(&token, 'A');
	}
	assert_err(jwt_parse(&arena, buf_str(&token), &jwt, NULL), ERR_LIMIT);
	buf_head(&token)[5000] = '.';
	buf_head(&token)[5010] = '.';
	assert_err(jwt_parse(&arena, str_slice(buf_str(&token), 0, 5020), &jwt, NULL), ERR_LIMIT);
	buf_free(&token);
}

/* The public key's text as the secret of an HMAC is the classic confusion; there is no HMAC. */
static void test_key_of_another_kind(void **state)
{
	struct key *rsa = key_generate(KEY_RSA), *ec = key_generate(KEY_P256);
	struct jwt jwt;

	(void)state;
	assert_ok(jwt_parse(&arena,
			    forge(&arena, STR("{\"alg\":\"RS256\"}"), STR("{}"), ec, JWT_ES256),
			    &jwt, NULL));
	assert_false(jwt_verify(&jwt, ec));
	assert_false(jwt_verify(&jwt, rsa));
	assert_ok(jwt_parse(&arena,
			    forge(&arena, STR("{\"alg\":\"ES256\"}"), STR("{}"), rsa, JWT_RS256),
			    &jwt, NULL));
	assert_false(jwt_verify(&jwt, rsa));
	assert_false(jwt_verify(&jwt, ec));
	key_free(&rsa);
	key_free(&ec);
}

static enum err claims_of(const char *payload, struct jwt_claims *out)
{
	struct jwt jwt = {.payload = str_c(payload)};

	return jwt_claims(&arena, &jwt, out, NULL);
}

static void test_claims(void **state)
{
	struct jwt_claims c;

	(void)state;
	assert_ok(claims_of("{\"iss\":\"https://idp/\",\"sub\":\"s\",\"client_id\":\"branch1\","
			    "\"client_name\":\"Branch \\u00e4\",\"client_description\":\"d\","
			    "\"exp\":1700000000,\"nbf\":1600000000.75,\"iat\":0}",
			    &c));
	assert_str(c.iss, STR("https://idp/"));
	assert_str(c.sub, STR("s"));
	assert_str(c.client_id, STR("branch1"));
	assert_str(c.client_name, STR("Branch \xc3\xa4"));
	assert_str(c.client_description, STR("d"));
	assert_int_equal(c.exp_ms.v, INT64_C(1700000000000));
	assert_int_equal(c.nbf_ms.v, INT64_C(1600000000000));
	assert_true(c.iat_ms.has);
	assert_ok(claims_of("{\"client_id\":5}", &c));
	assert_null(c.client_id.p);
}

static void test_refused_claims(void **state)
{
	static const char *const cases[] = {
		"",
		"[]",
		"null",
		"{\"exp\":\"1700000000\"}",
		"{\"exp\":-1}",
		"{\"exp\":1e10}",
		"{\"exp\":1E10}",
		"{\"exp\":99999999999999}",
		"{\"exp\":253402300800}",
		"{\"exp\":null}",
		"{\"nbf\":true}",
		"{\"iat\":[]}",
		"{\"exp\":1,\"exp\":1700000000}",
	};
	struct jwt_claims c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_err(claims_of(cases[i], &c), ERR_INVALID);
	}
}

static void test_audience(void **state)
{
	static const struct {
		const char *payload;
		bool has;
	} cases[] = {
		{"{\"aud\":\"relayserver\"}", true},
		{"{\"aud\":[\"a\",\"relayserver\"]}", true},
		{"{\"aud\":[\"relayserver2\"]}", false},
		{"{\"aud\":\"RelayServer\"}", false},
		{"{\"aud\":[[\"relayserver\"]]}", false},
		{"{\"aud\":{\"relayserver\":\"relayserver\"}}", false},
		{"{\"aud\":[]}", false},
		{"{\"aud\":1}", false},
		{"{}", false},
	};
	struct jwt_claims c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_ok(claims_of(cases[i].payload, &c));
		assert_int_equal(jwt_claims_has_audience(&c, STR("relayserver")), cases[i].has);
	}
}

static void test_scopes(void **state)
{
	static const struct {
		const char *payload, *want;
	} cases[] = {
		{"{\"scope\":\"a b\"}", "a b"},
		{"{\"scope\":[\"a\",\"b c\"]}", "a b c "},
		{"{\"scope\":[\"a\",1]}", "a  "},
		{"{\"scope\":[]}", ""},
		{"{\"scope\":{\"a\":\"b\"}}", ""},
		{"{\"scope\":7}", ""},
		{"{}", ""},
	};
	struct jwt_claims c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_ok(claims_of(cases[i].payload, &c));
		assert_str(jwt_claims_scopes(&arena, &c), str_c(cases[i].want));
	}
}

static void test_sign(void **state)
{
	static const struct {
		enum key_kind kind;
		enum jwt_alg alg;
	} cases[] = {{KEY_RSA, JWT_RS256}, {KEY_P256, JWT_ES256}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct key *key = key_generate(cases[i].kind);
		struct str token =
			jwt_sign(&arena, key, cases[i].alg, STR("k1"), STR("{\"iss\":\"me\"}"));
		struct jwt_claims claims;
		struct jwt jwt;

		assert_ok(jwt_parse(&arena, token, &jwt, NULL));
		assert_int_equal(jwt.alg, cases[i].alg);
		assert_str(jwt.kid, STR("k1"));
		assert_true(jwt_verify(&jwt, key));
		assert_ok(jwt_claims(&arena, &jwt, &claims, NULL));
		assert_str(claims.iss, STR("me"));
		key_free(&key);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc_rs256),
		cmocka_unit_test(test_rfc_es256),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_change),
		cmocka_unit_test(test_refused_headers),
		cmocka_unit_test(test_refused_forms),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_key_of_another_kind),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_refused_claims),
		cmocka_unit_test(test_audience),
		cmocka_unit_test(test_scopes),
		cmocka_unit_test(test_sign),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
