/* SPDX-License-Identifier: MIT */
#include "tls/crypto.h"
#include "unit.h"

#include <stdio.h>

static void assert_hex(const uint8_t *got, size_t n, const char *want)
{
	char hex[2 * SHA512_LEN + 1];

	for (size_t i = 0; i < n; i++) {
		(void)snprintf(hex + 2 * i, 3, "%02x", got[i]);
	}
	assert_string_equal(hex, want);
}

/* RFC 1321 A.5 */
static void test_md5(void **state)
{
	uint8_t out[MD5_LEN];

	(void)state;
	crypto_md5(STR(""), out);
	assert_hex(out, MD5_LEN, "d41d8cd98f00b204e9800998ecf8427e");
	crypto_md5(STR("message digest"), out);
	assert_hex(out, MD5_LEN, "f96b697d7cb7938d525a2f31aaf161d0");
}

/* FIPS 180-4 examples. */
static void test_sha(void **state)
{
	uint8_t out[SHA512_LEN];

	(void)state;
	crypto_sha1(STR("abc"), out);
	assert_hex(out, SHA1_LEN, "a9993e364706816aba3e25717850c26c9cd0d89d");
	crypto_sha256(STR("abc"), out);
	assert_hex(out, SHA256_LEN,
		   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	crypto_sha512(STR("abc"), out);
	assert_hex(out, SHA512_LEN,
		   "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		   "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

static void test_sha_of_nothing(void **state)
{
	uint8_t out[SHA256_LEN];

	(void)state;
	crypto_sha256(STR_NULL, out);
	assert_hex(out, SHA256_LEN,
		   "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* RFC 4231 4.3. */
static void test_hmac(void **state)
{
	uint8_t out[SHA256_LEN];

	(void)state;
	crypto_hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), out);
	assert_hex(out, SHA256_LEN,
		   "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	crypto_hmac_sha256(STR_NULL, STR_NULL, out);
	assert_hex(out, SHA256_LEN,
		   "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* RFC 7914 11. */
static void test_pbkdf2(void **state)
{
	uint8_t out[SHA256_LEN];

	(void)state;
	crypto_pbkdf2_sha256(STR("passwd"), STR("salt"), 1, out);
	assert_hex(out, SHA256_LEN,
		   "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
	crypto_pbkdf2_sha256(STR("Password"), STR("NaCl"), 80000, out);
	assert_hex(out, SHA256_LEN,
		   "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
}

static void test_eq(void **state)
{
	(void)state;
	assert_true(crypto_eq("abc", "abc", 3));
	assert_false(crypto_eq("abc", "abd", 3));
	assert_true(crypto_eq(NULL, NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_md5),
		cmocka_unit_test(test_sha),
		cmocka_unit_test(test_sha_of_nothing),
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_pbkdf2),
		cmocka_unit_test(test_eq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
