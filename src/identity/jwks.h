/*
 * jwks - immutable sets of public keys (RFC 7517)
 *
 * Read from an issuer's document. Keys that we cannot use are passed over, as
 * RFC 7517 5 asks: other kinds and curves, "use" other than "sig", "key_ops"
 * without "verify", an "alg" that does not fit, RSA below 2048 bits. A document
 * that is no key set is refused, one with too many keys as well.
 *
 * Ownership  counted: jwks_ref and jwks_unref; a set never changes.
 * Threads    any, concurrently, without a lock.
 */
#pragma once
#include "identity/jwt.h"

#define JWKS_TEXT_MAX (size_t)(256 * 1024)
#define JWKS_KEYS_MAX 64
/* Keys tried for one token, so that a token without "kid" stays cheap to refuse. */
#define JWKS_TRIES_MAX 8

struct jwks;

enum err jwks_parse(struct str text, struct jwks **out, struct fault *f) MUST_USE;
struct jwks *jwks_ref(struct jwks *set);
/* NULL-safe, sets *set to NULL. */
void jwks_unref(struct jwks **set);
size_t jwks_count(const struct jwks *set);

/*
 * Looks for a key that made the token's signature. A token with "kid" is tried
 * with the keys of that name and those without one; a token without, with all.
 * ERR_UNAUTHENTICATED: the key that it names did not make the signature.
 * ERR_NOT_FOUND: no key made it, and none has its name: perhaps the set is old.
 */
enum err jwks_verify(const struct jwks *set, const struct jwt *jwt) MUST_USE;

/* What an issuer publishes. */
struct jwks_entry {
	struct str kid;
	enum jwt_alg alg;
	const struct key *key;
};
/* Appends a document with the public parts. */
void jwks_write(const struct jwks_entry *entries, size_t n, struct buf *out);
