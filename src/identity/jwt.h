/*
 * jwt - compact JSON web signatures (RFC 7515) and token claims (RFC 7519)
 *
 * Reading has two steps on purpose: jwt_parse reads what is needed to choose a
 * key, and jwt_claims reads what the token says. Call the second only after the
 * signature was verified: unverified claims are a stranger's words.
 *
 * Refused: more than JWT_LEN_MAX bytes, padding or blanks in base64url, headers
 * that are no JSON object or name a member twice, "none", HMAC and unknown
 * algorithms, "crit" (we understand no extension), encrypted tokens. Key
 * material and addresses of it in the header (jwk, jku, x5c, x5u) are ignored.
 *
 * Ownership  results live in the arena and point into the token as well.
 * Threads    any.
 * Failure    ERR_INVALID (or ERR_LIMIT) with a text fit for error_description.
 */
#pragma once
#include "identity/key.h"

#define JWT_LEN_MAX (size_t)(16 * 1024)
#define JWT_KID_MAX 256

struct jwt {
	enum jwt_alg alg;	/* never JWT_ALG_NONE */
	struct str kid;		/* p NULL = the token names no key */
	struct str signed_part; /* header and payload as received, with the dot */
	struct str signature;	/* decoded */
	struct str payload;	/* decoded, not yet looked at */
};

struct jwt_claims {
	const struct json *tree; /* all of them; an object */
	struct str iss;		 /* all strings: p NULL when absent or no string */
	struct str sub;
	struct str client_id;
	struct str client_name;
	struct str client_description;
	struct opt_i64 exp_ms; /* wall time */
	struct opt_i64 nbf_ms;
	struct opt_i64 iat_ms;
};

enum err jwt_parse(struct arena *a, struct str token, struct jwt *out, struct fault *f) MUST_USE;
/* False unless `key` made the signature with the algorithm that the token names. */
bool jwt_verify(const struct jwt *jwt, const struct key *key);

enum err jwt_claims(struct arena *a, const struct jwt *jwt, struct jwt_claims *out,
		    struct fault *f) MUST_USE;
/* "aud" is the string, or an array that holds it. Case matters. */
bool jwt_claims_has_audience(const struct jwt_claims *claims, struct str audience);
/* Words with blanks between, from "scope": a string of words, or an array of such strings. */
struct str jwt_claims_scopes(struct arena *a, const struct jwt_claims *claims);

/* A signed token over `claims` (JSON text), in the arena. The key is private and fits. */
struct str jwt_sign(struct arena *a, const struct key *key, enum jwt_alg alg, struct str kid,
		    struct str claims);
