/*
 * issuer - the OpenID Connect issuer: keys in hand, and its endpoints
 *
 *	GET  /.well-known/openid-configuration   metadata
 *	GET  /.well-known/jwks.json              public keys
 *	POST /connect/token                      client credentials -> access token
 *
 * The keys in hand are an immutable, counted set made from the table SigningKeys
 * by issuer_refresh; endpoints take a reference for the time of a request. A role in the
 * same process believes issuer_trust and needs no fetching.
 *
 * Life     issuer_new, issuer_refresh (once before listening, then every minute on a
 *          worker, which also rotates), issuer_free after the workers were joined.
 * Threads  any; refresh and endpoints on workers.
 */
#pragma once
#include "http/rest.h"
#include "identity/config.h"
#include "identity/trust.h"

#define ISSUER_AUDIENCE STR("relayserver")
#define ISSUER_SCOPE STR("connector")
#define ISSUER_TOKEN_PATH "/connect/token"
/* Name of an issuer that was not given one: good within this process and its cluster. */
#define ISSUER_DEFAULT_NAME STR("http://localhost:5002")
#define ISSUER_REFRESH_MS 60000

struct issuer;
struct db;

/* ERR_INVALID names the key that is wrong. */
enum err issuer_check(const struct identity_config *config, struct fault *f) MUST_USE;
/* The configuration is copied; it is checked first. */
enum err issuer_new(const struct identity_config *config, struct issuer **out,
		    struct fault *f) MUST_USE;
/* NULL-safe, sets *i to NULL. */
void issuer_free(struct issuer **i);

/*
 * Brings the keys in hand up to date with the database, making and rotating them when due.
 * On failure those in hand stay. `db` has a task without a transaction.
 */
enum err issuer_refresh(struct issuer *i, struct db *db, int64_t now_ms) MUST_USE;

/* A reference that the caller gives back; NULL before the first refresh. Changes with the keys. */
struct trust *issuer_trust(struct issuer *i);

/* For a struct rest whose role is the issuer. */
extern const struct rest_table issuer_table;
