/*
 * key - asymmetric keys and the JOSE signature algorithms (RFC 7518 3)
 *
 * The only file of identity that names OpenSSL. A key knows its kind; every
 * algorithm fits exactly one kind, so a token cannot talk a verifier into using
 * an RSA key as anything else (algorithm confusion). HMAC and "none" do not
 * exist here at all.
 *
 * Ownership  key_free; keys are immutable after they are made.
 * Threads    any, concurrently.
 * Failure    material from outside gives ERR_INVALID with a text; it never
 *            aborts. Private parts are never formatted but by key_pem.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

#define KEY_RSA_BITS_MIN 2048
#define KEY_RSA_BITS_MAX 8192 /* larger ones only make verification slow */

enum key_kind { KEY_RSA, KEY_P256, KEY_P384, KEY_P521 };

enum jwt_alg {
	JWT_ALG_NONE, /* unknown, or not stated: never verifies anything */
	JWT_RS256,
	JWT_RS384,
	JWT_RS512,
	JWT_PS256,
	JWT_PS384,
	JWT_PS512,
	JWT_ES256,
	JWT_ES384,
	JWT_ES512,
};

/* "RS256"; exact, as RFC 7515 4.1.1 demands. JWT_ALG_NONE for all others. */
enum jwt_alg jwt_alg_parse(struct str name);
struct str jwt_alg_name(enum jwt_alg alg);
/* False for JWT_ALG_NONE. */
bool jwt_alg_fits(enum jwt_alg alg, enum key_kind kind);

struct key;

void key_free(struct key **key);
enum key_kind key_kind(const struct key *key);
bool key_is_private(const struct key *key);

/* Public keys from big-endian numbers, as in a JWK (RFC 7518 6). */
enum err key_from_rsa(struct str n, struct str e, struct key **out, struct fault *f) MUST_USE;
/* `kind` is one of the curves; a point that is not on it is refused. */
enum err key_from_point(enum key_kind kind, struct str x, struct str y, struct key **out,
			struct fault *f) MUST_USE;
/* RSA keys get KEY_RSA_BITS_MIN bits and cost tens of milliseconds or more. */
struct key *key_generate(enum key_kind kind);

/*
 * PKCS#8 PEM. A passphrase (p NULL = none) encrypts it with AES-256. Reading
 * accepts both forms; a wrong or missing passphrase is ERR_INVALID.
 */
struct str key_pem(const struct key *key, struct str passphrase, struct arena *a);
enum err key_from_pem(struct str pem, struct str passphrase, struct key **out,
		      struct fault *f) MUST_USE;

/* Base64url SHA-256 of the canonical public JWK (RFC 7638). */
struct str key_thumbprint(const struct key *key, struct arena *a);
/* The public members "kty" and "n","e" or "crv","x","y", into an open object. */
void key_write_public(const struct key *key, struct json_writer *w);

/* Raw JOSE signatures: for EC r and s side by side. The algorithm must fit. */
void key_sign(const struct key *key, enum jwt_alg alg, struct str data, struct buf *out);
/* False as well when the algorithm does not fit the key. */
bool key_verify(const struct key *key, enum jwt_alg alg, struct str data, struct str signature);
