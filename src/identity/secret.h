/*
 * secret - client secrets: making, hashing for storage, comparing
 *
 * Secrets that we make have 256 random bits, so a plain SHA-256 protects them
 * as well as anything could, and checking costs a microsecond. Secrets that a
 * person chose may be weak: they are stored with PBKDF2, so that whoever steals
 * the table pays about 0.2 s a guess (OWASP's 600,000 rounds of HMAC-SHA-256), and so
 * does the token endpoint, on a RUN_SLOW worker.
 *
 * Stored forms
 *   44 characters      base64 of SHA-256, also what IdentityServer wrote
 *   88 characters      base64 of SHA-512, IdentityServer's other form
 *   $pbkdf2-sha256$i=600000$SALT$HASH    base64url without padding
 * Anything else never matches: a secret stored in plain is no secret.
 *
 * Threads  any; secret_hash_chosen and secret_matches on workers only.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define SECRET_NEW_LEN 43 /* base64url of 32 bytes */
#define SECRET_LEN_MIN 8  /* of a chosen one */
#define SECRET_LEN_MAX 256
#define SECRET_ROUNDS 600000
#define SECRET_ROUNDS_MAX 2000000 /* a stored form that asks for more never matches */

/* Random, of characters that need no escaping in a URL, a form or a shell. */
struct str secret_new(struct arena *a);
/* A person's choice: ERR_INVALID when it is too short, too long or holds control characters. */
enum err secret_check_chosen(struct str secret, struct fault *f) MUST_USE;

/* For what secret_new made. */
struct str secret_hash_random(struct arena *a, struct str secret);
/* For everything else; slow. */
struct str secret_hash_chosen(struct arena *a, struct str secret);
/* Time depends on the stored form and the secret's length, not on where they differ. */
bool secret_matches(struct str stored, struct str secret);
