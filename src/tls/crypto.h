/*
 * crypto - digests, MAC, key derivation and constant time comparison
 *
 * A thin, typed skin over OpenSSL's EVP, so that no other room names an
 * EVP_* function for a hash. Everything is one-shot over borrowed bytes.
 *
 * Threads  any.
 * Failure  the algorithms are part of every OpenSSL 3 provider; one that cannot
 *          compute SHA-256 is a broken machine, and these functions abort.
 */
#pragma once
#include "base/str.h"

#define MD5_LEN 16
#define SHA1_LEN 20
#define SHA256_LEN 32
#define SHA512_LEN 64

/* To notice that a text is another one (Kong's configuration hash), not for security. */
void crypto_md5(struct str in, uint8_t out[MD5_LEN]);
/*
 * For Sec-WebSocket-Accept (RFC 6455 4.2.2), ids from names (RFC 9562 5.5) and what Kong stores;
 * broken for anything else.
 */
void crypto_sha1(struct str in, uint8_t out[SHA1_LEN]);
void crypto_sha256(struct str in, uint8_t out[SHA256_LEN]);
void crypto_sha512(struct str in, uint8_t out[SHA512_LEN]);
void crypto_hmac_sha256(struct str key, struct str in, uint8_t out[SHA256_LEN]);

/*
 * PBKDF2 (RFC 8018 5.2) with HMAC-SHA-256: makes guessing a weak secret dear.
 * Costs about 0.3 microseconds an iteration: RUN_SLOW pools only.
 */
void crypto_pbkdf2_sha256(struct str secret, struct str salt, unsigned iterations,
			  uint8_t out[SHA256_LEN]);

/* Whether `n` bytes are equal, in a time that depends on `n` only. */
bool crypto_eq(const void *a, const void *b, size_t n);
