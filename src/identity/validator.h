/*
 * validator - is this bearer token good, and who is it
 *
 * Checks in this order: form, key and signature, issuer, audience, lifetime (with
 * skew). Tokens that passed are remembered by their SHA-256, so a connector that
 * fetches a thousand bodies costs one signature check a token. The memory is
 * bounded, the least recently used goes first, and it is emptied when the keys change.
 *
 * Model      one validator a loop; all of them share one snapshot of trust.
 * Ownership  a principal lives in the caller's arena.
 * Threads    the owning loop.
 * Failure    ERR_UNAUTHENTICATED: 401; the fault's text is fit for error_description
 *            ERR_AGAIN: 401 as well, but keys may have rotated: tell the key
 *                source (key_source_miss) and, if the request can wait, check again
 *                when a new snapshot is there
 *            ERR_UNAVAILABLE: no keys yet: 503
 *            ERR_DENIED (policies only): 403
 */
#pragma once
#include "identity/trust.h"

#define VALIDATOR_SKEW_MS INT64_C(300000)
#define VALIDATOR_CACHE_MAX 4096

struct principal {
	struct str client_id;	/* p NULL when the token has none */
	struct str name;	/* client_name */
	struct str description; /* client_description */
	struct str issuer;
	struct str scopes;  /* words with blanks between */
	int64_t expires_ms; /* wall time, without skew */
};

struct validator;

/* `audience` must be in the token's "aud". `cache_max` 0 = VALIDATOR_CACHE_MAX. */
struct validator *validator_new(struct str audience, int64_t skew_ms, size_t cache_max);
/* NULL-safe, sets *v to NULL. */
void validator_free(struct validator **v);
/* Takes a reference of its own; NULL = believe nobody. The one it has changes nothing. */
void validator_set_trust(struct validator *v, struct trust *t);

enum err validator_check(struct validator *v, struct str token, int64_t now_ms, struct arena *a,
			 struct principal *out, struct fault *f) MUST_USE;

struct validator_stats {
	uint64_t checked, cached, refused;
	size_t cache_size;
};
void validator_stats(const struct validator *v, struct validator_stats *out);

bool principal_has_scope(const struct principal *p, struct str scope);
/* The connector policy: a client_id, and scope "connector". ERR_DENIED otherwise. */
enum err policy_connector(const struct principal *p, struct fault *f) MUST_USE;

/*
 * The token in the value of an Authorization header; false when there is none of
 * scheme Bearer (RFC 6750 2.1). It points into the value.
 */
bool bearer_from_header(struct str value, struct str *out_token);
/*
 * Appends the value of WWW-Authenticate for a 401 (RFC 6750 3): "Bearer" alone when no token was
 * sent, else with error and, if the text is not empty, error_description.
 */
void bearer_challenge(struct buf *out, bool had_token, struct str description);
