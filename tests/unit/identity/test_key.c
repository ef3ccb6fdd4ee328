/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "identity/key.h"

static const enum jwt_alg rsa_algs[] = {JWT_RS256, JWT_RS384, JWT_RS512,
					JWT_PS256, JWT_PS384, JWT_PS512};
static const struct {
	enum key_kind kind;
	enum jwt_alg alg;
	size_t signature_len;
} ec_cases[] = {
	{KEY_P256, JWT_ES256, 64},
	{KEY_P384, JWT_ES384, 96},
	{KEY_P521, JWT_ES512, 132},
};

static void assert_signs(const struct key *key, enum jwt_alg alg, size_t signature_len)
{
	struct buf sig = {0};

	key_sign(key, alg, STR("message"), &sig);
	assert_int_equal(sig.n, signature_len);
	assert_true(key_verify(key, alg, STR("message"), buf_str(&sig)));
	assert_false(key_verify(key, alg, STR("messagf"), buf_str(&sig)));
	assert_false(key_verify(key, alg, STR("message"), str_skip(buf_str(&sig), 1)));
	assert_false(key_verify(key, alg, STR("message"), STR_NULL));
	buf_head(&sig)[5] ^= 1;
	assert_false(key_verify(key, alg, STR("message"), buf_str(&sig)));
	buf_free(&sig);
}

static void test_algorithm_names(void **state)
{
	(void)state;
	for (int alg = JWT_RS256; alg <= JWT_ES512; alg++) {
		assert_int_equal(jwt_alg_parse(jwt_alg_name((enum jwt_alg)alg)), alg);
	}
	assert_int_equal(jwt_alg_parse(STR("none")), JWT_ALG_NONE);
	assert_int_equal(jwt_alg_parse(STR("NONE")), JWT_ALG_NONE);
	assert_int_equal(jwt_alg_parse(STR("HS256")), JWT_ALG_NONE);
	assert_int_equal(jwt_alg_parse(STR("rs256")), JWT_ALG_NONE);
	assert_int_equal(jwt_alg_parse(STR_NULL), JWT_ALG_NONE);
	assert_false(jwt_alg_fits(JWT_ALG_NONE, KEY_RSA));
}

static void test_rsa_signatures(void **state)
{
	struct key *key = key_generate(KEY_RSA);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rsa_algs); i++) {
		assert_signs(key, rsa_algs[i], KEY_RSA_BITS_MIN / 8);
	}
	key_free(&key);
	assert_null(key);
}

/* A number with a leading zero is still as long as the modulus. */
static void test_short_pss_signature(void **state)
{
	struct key *key = key_generate(KEY_RSA);
	struct buf sig = {0};

	(void)state;
	do {
		buf_clear(&sig);
		key_sign(key, JWT_PS256, STR("message"), &sig);
	} while (buf_str(&sig).p[0] != 0);
	assert_true(key_verify(key, JWT_PS256, STR("message"), buf_str(&sig)));
	assert_false(key_verify(key, JWT_PS256, STR("message"), str_skip(buf_str(&sig), 1)));
	buf_free(&sig);
	key_free(&key);
}

/* A signature is good for the algorithm that made it and for no other. */
static void test_algorithms_do_not_mix(void **state)
{
	struct key *key = key_generate(KEY_RSA);
	struct buf sig = {0};

	(void)state;
	key_sign(key, JWT_RS256, STR("message"), &sig);
	for (int alg = JWT_ALG_NONE; alg <= JWT_ES512; alg++) {
		assert_int_equal(key_verify(key, (enum jwt_alg)alg, STR("message"), buf_str(&sig)),
				 alg == JWT_RS256);
	}
	buf_free(&sig);
	key_free(&key);
}

static void test_ec_signatures(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ec_cases); i++) {
		struct key *key = key_generate(ec_cases[i].kind);

		assert_int_equal(key_kind(key), ec_cases[i].kind);
		assert_signs(key, ec_cases[i].alg, ec_cases[i].signature_len);
		key_free(&key);
	}
}

/* r = s = 0 must not pass (CVE-2022-21449 was that elsewhere). */
static void test_zero_ec_signature(void **state)
{
	struct key *key = key_generate(KEY_P256);
	char zeros[64] = {0};

	(void)state;
	assert_false(key_verify(key, JWT_ES256, STR("message"), str_of(zeros, sizeof(zeros))));
	key_free(&key);
}

static struct str rsa_number(struct arena *a, size_t n_bytes)
{
	char *p = arena_zalloc(a, n_bytes);

	memset(p, 0xc3, n_bytes);
	return str_of(p, n_bytes);
}

static void test_rsa_refusals(void **state)
{
	struct key *key = NULL;
	struct arena a;
	struct str good, even;

	(void)state;
	arena_init(&a, 0);
	good = rsa_number(&a, 256);
	even = rsa_number(&a, 256);
	((char *)even.p)[255] = 0;
	assert_err(key_from_rsa(rsa_number(&a, 255), STR("\1\0\1"), &key, NULL), ERR_INVALID);
	assert_err(key_from_rsa(rsa_number(&a, 1025), STR("\1\0\1"), &key, NULL), ERR_INVALID);
	assert_err(key_from_rsa(even, STR("\1\0\1"), &key, NULL), ERR_INVALID);
	assert_err(key_from_rsa(STR_NULL, STR("\1\0\1"), &key, NULL), ERR_INVALID);
	assert_err(key_from_rsa(good, STR_NULL, &key, NULL), ERR_INVALID);
	assert_err(key_from_rsa(good, STR("\1"), &key, NULL), ERR_INVALID);
	assert_err(key_from_rsa(good, STR("\4"), &key, NULL), ERR_INVALID);
	assert_err(key_from_rsa(good, STR("\1\1\1\1\1"), &key, NULL), ERR_INVALID);
	assert_null(key);
	assert_ok(key_from_rsa(good, STR("\0\1\0\1"), &key, NULL));
	assert_false(key_is_private(key));
	key_free(&key);
	arena_fini(&a);
}

static void test_point_refusals(void **state)
{
	struct key *key = NULL;
	struct fault f = {0};
	struct str x, y;
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	x = unbase64url(&a, STR(RFC_ES256_X));
	y = unbase64url(&a, STR(RFC_ES256_Y));
	assert_err(key_from_point(KEY_P256, y, x, &key, &f), ERR_INVALID);
	assert_string_equal(f.text, "not a point on P-256");
	assert_err(key_from_point(KEY_P256, str_skip(x, 1), y, &key, NULL), ERR_INVALID);
	assert_err(key_from_point(KEY_P256, x, STR_NULL, &key, NULL), ERR_INVALID);
	assert_err(key_from_point(KEY_P384, x, y, &key, NULL), ERR_INVALID);
	assert_null(key);
	assert_ok(key_from_point(KEY_P256, x, y, &key, NULL));
	key_free(&key);
	arena_fini(&a);
}

/* RFC 7638 3.1. */
static void test_thumbprint(void **state)
{
	struct key *key;
	struct arena a;
	struct str n;

	(void)state;
	arena_init(&a, 0);
	n = unbase64url(
		&a,
		STR("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhD"
		    "R1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6C"
		    "f0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1"
		    "n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1"
		    "jF44-csFCur-kEgU8awapJzKnqDKgw"));
	assert_ok(key_from_rsa(n, STR("\1\0\1"), &key, NULL));
	assert_str(key_thumbprint(key, &a), STR("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"));
	key_free(&key);
	arena_fini(&a);
}

static void assert_same_key(struct arena *a, const struct key *one, const struct key *two)
{
	assert_str(key_thumbprint(two, a), key_thumbprint(one, a));
	assert_true(key_is_private(two));
}

static void test_pem_round_trip(void **state)
{
	static const enum key_kind kinds[] = {KEY_RSA, KEY_P256, KEY_P384, KEY_P521};
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct key *key = key_generate(kinds[i]), *again;
		struct str plain = key_pem(key, STR_NULL, &a);
		struct str sealed = key_pem(key, STR("open sesame"), &a);

		assert_true(str_starts(plain, STR("-----BEGIN PRIVATE KEY-----")));
		assert_true(str_starts(sealed, STR("-----BEGIN ENCRYPTED PRIVATE KEY-----")));
		assert_ok(key_from_pem(plain, STR_NULL, &again, NULL));
		assert_same_key(&a, key, again);
		key_free(&again);
		assert_ok(key_from_pem(sealed, STR("open sesame"), &again, NULL));
		assert_same_key(&a, key, again);
		key_free(&again);
		assert_err(key_from_pem(sealed, STR("open says me"), &again, NULL), ERR_INVALID);
		assert_err(key_from_pem(sealed, STR_NULL, &again, NULL), ERR_INVALID);
		key_free(&key);
	}
	arena_fini(&a);
}

static void test_pem_refusals(void **state)
{
	static const char ed25519[] =
		"-----BEGIN PRIVATE KEY-----\n"
		"MC4CAQAwBQYDK2VwBCIEIEFMEZrmlYxczXKFxIlNvNGR5JQvDhTkLovJYxwQd3ua\n"
		"-----END PRIVATE KEY-----\n";
	struct fault f = {0};
	struct key *key;

	(void)state;
	assert_err(key_from_pem(STR(""), STR_NULL, &key, NULL), ERR_INVALID);
	assert_err(key_from_pem(STR("-----BEGIN PRIVATE KEY-----"), STR_NULL, &key, NULL),
		   ERR_INVALID);
	assert_err(key_from_pem(str_c(ed25519), STR_NULL, &key, &f), ERR_INVALID);
	assert_true(str_starts(str_c(f.text), STR("private key must be RSA")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_algorithm_names),
		cmocka_unit_test(test_rsa_signatures),
		cmocka_unit_test(test_short_pss_signature),
		cmocka_unit_test(test_algorithms_do_not_mix),
		cmocka_unit_test(test_ec_signatures),
		cmocka_unit_test(test_zero_ec_signature),
		cmocka_unit_test(test_rsa_refusals),
		cmocka_unit_test(test_point_refusals),
		cmocka_unit_test(test_thumbprint),
		cmocka_unit_test(test_pem_round_trip),
		cmocka_unit_test(test_pem_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
