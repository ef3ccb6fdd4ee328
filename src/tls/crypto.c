/* SPDX-License-Identifier: MIT */
#include "tls/crypto.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

static void digest(const EVP_MD *md, struct str in, uint8_t *out, size_t out_len)
{
	unsigned n = 0;

	ASSERT(EVP_Digest(in.p ? in.p : "", in.n, out, &n, md, NULL) == 1);
	ASSERT(n == out_len);
}

void crypto_md5(struct str in, uint8_t out[MD5_LEN])
{
	digest(EVP_md5(), in, out, MD5_LEN);
}

void crypto_sha1(struct str in, uint8_t out[SHA1_LEN])
{
	digest(EVP_sha1(), in, out, SHA1_LEN);
}

void crypto_sha256(struct str in, uint8_t out[SHA256_LEN])
{
	digest(EVP_sha256(), in, out, SHA256_LEN);
}

void crypto_sha512(struct str in, uint8_t out[SHA512_LEN])
{
	digest(EVP_sha512(), in, out, SHA512_LEN);
}

void crypto_hmac_sha256(struct str key, struct str in, uint8_t out[SHA256_LEN])
{
	size_t n = 0;

	ASSERT(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key.p ? key.p : "", key.n,
			 (const unsigned char *)(in.p ? in.p : ""), in.n, out, SHA256_LEN, &n));
	ASSERT(n == SHA256_LEN);
}

void crypto_pbkdf2_sha256(struct str secret, struct str salt, unsigned iterations,
			  uint8_t out[SHA256_LEN])
{
	ASSERT(secret.n <= INT_MAX && salt.n <= INT_MAX && iterations - 1 < INT_MAX);
	ASSERT(PKCS5_PBKDF2_HMAC(secret.p ? secret.p : "", (int)secret.n,
				 (const unsigned char *)(salt.p ? salt.p : ""), (int)salt.n,
				 (int)iterations, EVP_sha256(), SHA256_LEN, out) == 1);
}

bool crypto_eq(const void *a, const void *b, size_t n)
{
	return n == 0 || CRYPTO_memcmp(a, b, n) == 0;
}
