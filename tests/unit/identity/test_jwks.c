/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "identity/jwks.h"

#define RSA_JWK(members) "{\"kty\":\"RSA\",\"n\":\"" RFC_RS256_N "\",\"e\":\"AQAB\"" members "}"
#define EC_JWK(members)                                                                            \
	"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_ES256_X "\",\"y\":\"" RFC_ES256_Y         \
	"\"" members "}"
#define SET(keys) "{\"keys\":[" keys "]}"

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

static size_t usable_keys(const char *document)
{
	struct jwks *set;
	size_t n;

	assert_ok(jwks_parse(str_c(document), &set, NULL));
	n = jwks_count(set);
	jwks_unref(&set);
	assert_null(set);
	return n;
}

static enum err verify(const char *document, struct str token)
{
	struct jwks *set;
	struct jwt jwt;
	enum err e;

	assert_ok(jwks_parse(str_c(document), &set, NULL));
	assert_ok(jwt_parse(&arena, token, &jwt, NULL));
	e = jwks_verify(set, &jwt);
	jwks_unref(&set);
	return e;
}

static void test_usable(void **state)
{
	(void)state;
	assert_int_equal(usable_keys(SET("")), 0);
	assert_int_equal(usable_keys(SET(RSA_JWK("") "," EC_JWK(""))), 2);
	assert_int_equal(usable_keys(SET(RSA_JWK(",\"use\":\"sig\",\"alg\":\"PS512\","
						 "\"key_ops\":[\"sign\",\"verify\"]"))),
			 1);
	assert_int_equal(usable_keys("{\"extra\":{\"keys\":1},\"keys\":[" EC_JWK("") "]}"), 1);
}

static void test_passed_over(void **state)
{
	static const char *const cases[] = {
		"1",
		"\"RSA\"",
		"[]",
		"{}",
		"{\"kty\":\"oct\",\"k\":\"c2VjcmV0\",\"alg\":\"HS256\"}",
		"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_"
		"7TyWQHOg7hcvPapiMlrwIaaP"
		"cHURo\"}",
		"{\"kty\":\"rsa\",\"n\":\"" RFC_RS256_N "\",\"e\":\"AQAB\"}",
		"{\"kty\":\"RSA\",\"n\":\"" RFC_RS256_N "\"}",
		"{\"kty\":\"RSA\",\"n\":\"" RFC_RS256_N "\",\"e\":\"AQ\"}",
		"{\"kty\":\"RSA\",\"n\":\"" RFC_RS256_N "\",\"e\":65537}",
		"{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
		"{\"kty\":\"RSA\",\"n\":\"!\",\"e\":\"AQAB\"}",
		"{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" RFC_ES256_X
		"\",\"y\":\"" RFC_ES256_Y "\"}",
		"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_ES256_Y "\",\"y\":\"" RFC_ES256_X
		"\"}",
		"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_ES256_X "\"}",
		RSA_JWK(",\"use\":\"enc\""),
		RSA_JWK(",\"use\":null"),
		RSA_JWK(",\"key_ops\":[\"encrypt\"]"),
		RSA_JWK(",\"key_ops\":\"verify\""),
		RSA_JWK(",\"alg\":\"RSA-OAEP\""),
		RSA_JWK(",\"alg\":\"ES256\""),
		RSA_JWK(",\"alg\":\"HS256\""),
		RSA_JWK(",\"alg\":\"none\""),
		RSA_JWK(",\"kid\":1"),
		EC_JWK(",\"alg\":\"ES384\""),
		EC_JWK(",\"alg\":\"RS256\""),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str text = str_fmt(&arena, SET("%s"), cases[i]);

		assert_int_equal(usable_keys(str_cstr(&arena, text)), 0);
	}
}

static void test_refused_documents(void **state)
{
	static const char *const cases[] = {
		"",
		"{}",
		"[]",
		"{\"keys\":{}}",
		"{\"keys\":null}",
		"{\"Keys\":[]}",
		SET(RSA_JWK(",\"kty\":\"oct\"")),
		SET("") "x",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct jwks *set = NULL;
		struct fault f = {0};

		assert_err(jwks_parse(str_c(cases[i]), &set, &f), ERR_INVALID);
		assert_null(set);
		assert_true(f.text[0] != '\0');
	}
}

static void test_limits(void **state)
{
	struct buf text = {0};
	struct jwks *set;

	(void)state;
	buf_puts(&text, "{\"keys\":[1");
	for (int i = 0; i < JWKS_KEYS_MAX; i++) {
		buf_puts(&text, ",1");
	}
	buf_puts(&text, "]}");
	assert_err(jwks_parse(buf_str(&text), &set, NULL), ERR_LIMIT);
	while (text.n <= JWKS_TEXT_MAX) {
		buf_putc(&text, ' ');
	}
	assert_err(jwks_parse(buf_str(&text), &set, NULL), ERR_LIMIT);
	buf_free(&text);
}

static void test_every_truncation(void **state)
{
	struct str text = STR(SET(EC_JWK(",\"kid\":\"k\"")));
	struct jwks *set;

	(void)state;
	for (size_t n = 0; n < text.n; n++) {
		assert_err(jwks_parse(str_slice(text, 0, n), &set, NULL), ERR_INVALID);
	}
}

static void test_verify_without_kid(void **state)
{
	(void)state;
	assert_ok(verify(SET(EC_JWK(",\"kid\":\"a\"") "," RSA_JWK(",\"kid\":\"b\"")),
			 STR(RFC_RS256_TOKEN)));
	assert_ok(verify(SET(EC_JWK("") "," RSA_JWK("")), STR(RFC_ES256_TOKEN)));
	assert_err(verify(SET(EC_JWK("")), STR(RFC_RS256_TOKEN)), ERR_NOT_FOUND);
	assert_err(verify(SET(""), STR(RFC_RS256_TOKEN)), ERR_NOT_FOUND);
}

static void test_verify_pins_algorithm(void **state)
{
	(void)state;
	assert_ok(verify(SET(RSA_JWK(",\"alg\":\"RS256\"")), STR(RFC_RS256_TOKEN)));
	assert_err(verify(SET(RSA_JWK(",\"alg\":\"PS256\"")), STR(RFC_RS256_TOKEN)), ERR_NOT_FOUND);
	assert_err(verify(SET(RSA_JWK(",\"alg\":\"RS512\"")), STR(RFC_RS256_TOKEN)), ERR_NOT_FOUND);
}

/* A document with the keys, in order, named by `kids` (NULL = no name). */
static struct str set_of(struct key *const *keys, const char *const *kids, size_t n)
{
	struct buf text = {0};
	struct json_writer w = json_writer_to(&text);
	struct str out;

	json_begin_object(&w);
	json_key(&w, STR("keys"));
	json_begin_array(&w);
	for (size_t i = 0; i < n; i++) {
		json_begin_object(&w);
		key_write_public(keys[i], &w);
		if (kids[i]) {
			json_key(&w, STR("kid"));
			json_put_str(&w, str_c(kids[i]));
		}
		json_end_object(&w);
	}
	json_end_array(&w);
	json_end_object(&w);
	buf_putc(&text, '\0');
	out = str_dup(&arena, buf_str(&text));
	buf_free(&text);
	return out;
}

static void test_verify_by_kid(void **state)
{
	struct key *keys[] = {key_generate(KEY_P256), key_generate(KEY_P256)};
	static const char *const named[] = {"one", "two"}, *const half[] = {"one", NULL};
	struct str by_two = jwt_sign(&arena, keys[1], JWT_ES256, STR("two"), STR("{}"));
	struct str lying = jwt_sign(&arena, keys[1], JWT_ES256, STR("one"), STR("{}"));
	struct str strange = jwt_sign(&arena, keys[1], JWT_ES256, STR("three"), STR("{}"));

	(void)state;
	assert_ok(verify(set_of(keys, named, 2).p, by_two));
	assert_err(verify(set_of(keys, named, 2).p, lying), ERR_UNAUTHENTICATED);
	assert_err(verify(set_of(keys, named, 2).p, strange), ERR_NOT_FOUND);
	/* A key without a name may be meant by any name. */
	assert_ok(verify(set_of(keys, half, 2).p, strange));
	assert_err(verify(set_of(keys, half, 1).p, by_two), ERR_NOT_FOUND);
	key_free(&keys[0]);
	key_free(&keys[1]);
}

static void test_verify_tries_are_bounded(void **state)
{
	static const char *const kids[JWKS_TRIES_MAX + 1] = {NULL};
	struct key *keys[JWKS_TRIES_MAX + 1];
	struct str token;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		keys[i] = key_generate(KEY_P256);
	}
	token = forge(&arena, STR("{\"alg\":\"ES256\"}"), STR("{}"), keys[JWKS_TRIES_MAX],
		      JWT_ES256);
	assert_err(verify(set_of(keys, kids, JWKS_TRIES_MAX + 1).p, token), ERR_NOT_FOUND);
	assert_ok(verify(set_of(keys + 1, kids, JWKS_TRIES_MAX).p, token));
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		key_free(&keys[i]);
	}
}

static void test_write(void **state)
{
	struct key *rsa = key_generate(KEY_RSA), *ec = key_generate(KEY_P521);
	struct jwks_entry entries[] = {{STR("r"), JWT_RS256, rsa}, {STR("e"), JWT_ES512, ec}};
	struct buf text = {0};

	(void)state;
	jwks_write(entries, ARRAY_LEN(entries), &text);
	assert_int_equal(str_find(buf_str(&text), STR("\"d\"")), -1);
	buf_putc(&text, '\0');
	assert_ok(verify(text.p, jwt_sign(&arena, rsa, JWT_RS256, STR("r"), STR("{}"))));
	assert_ok(verify(text.p, jwt_sign(&arena, ec, JWT_ES512, STR("e"), STR("{}"))));
	/* alg is pinned by what we publish */
	assert_err(verify(text.p, jwt_sign(&arena, rsa, JWT_PS256, STR("r"), STR("{}"))),
		   ERR_NOT_FOUND);
	buf_free(&text);
	key_free(&rsa);
	key_free(&ec);
}

static void test_counting(void **state)
{
	struct jwks *set, *second;

	(void)state;
	assert_ok(jwks_parse(STR(SET(EC_JWK(""))), &set, NULL));
	second = jwks_ref(set);
	jwks_unref(&set);
	assert_null(set);
	assert_int_equal(jwks_count(second), 1);
	jwks_unref(&second);
	jwks_unref(&second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usable),
		cmocka_unit_test(test_passed_over),
		cmocka_unit_test(test_refused_documents),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_verify_without_kid),
		cmocka_unit_test(test_verify_pins_algorithm),
		cmocka_unit_test(test_verify_by_kid),
		cmocka_unit_test(test_verify_tries_are_bounded),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_counting),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
