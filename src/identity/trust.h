/*
 * trust - whom we believe: an issuer's name, addresses and keys, and their upkeep
 *
 * `struct trust` is an immutable, counted snapshot. Every loop holds a reference
 * of its own (validator_set_trust), so checking a token takes no lock and no
 * atomic operation; a new snapshot travels to the loops as a message.
 *
 * `struct key_source` decides when to fetch what, and turns the documents into
 * snapshots. It does no I/O: the owner asks key_source_next what to fetch, and
 * feeds what came. Metadata first, then keys, then quiet until
 *   - the routine refresh (12 h) is due,
 *   - a loop missed a key (key_source_miss), at most every 15 s,
 *   - or a failed fetch is to be repeated: 1 s, 2 s, 4 s … 15 s.
 * A failed refresh keeps the snapshot that is there.
 *
 *	IDLE --due--> METADATA --fed--> WANT_KEYS --asked--> KEYS --fed--> IDLE
 *	                  \--------------- failed -------------/-----------^
 *
 * Threads  trust: any. key_source: one owner, but for key_source_miss.
 */
#pragma once
#include "identity/jwks.h"

#include <stdatomic.h>

#define TRUST_METADATA_MAX (size_t)(64 * 1024)
#define TRUST_REFRESH_MS (INT64_C(12) * 3600 * 1000)
#define TRUST_MISS_MS INT64_C(15000)

struct trust;

/* For an issuer in this process, and for tests; takes a reference of its own to `keys`. */
struct trust *trust_new(struct str issuer, struct str token_endpoint, struct jwks *keys);
struct trust *trust_ref(struct trust *t);
/* NULL-safe, sets *t to NULL. */
void trust_unref(struct trust **t);
struct str trust_issuer(const struct trust *t);
/* p NULL when the metadata names none. */
struct str trust_token_endpoint(const struct trust *t);
const struct jwks *trust_keys(const struct trust *t);

enum key_source_state {
	KEY_SOURCE_IDLE,
	KEY_SOURCE_METADATA,  /* asked for */
	KEY_SOURCE_WANT_KEYS, /* metadata is there */
	KEY_SOURCE_KEYS,      /* asked for */
};

enum key_fetch { KEY_FETCH_NOTHING, KEY_FETCH_METADATA, KEY_FETCH_KEYS };

struct key_source {
	/* constant after init */
	struct str authority; /* without trailing slash; borrowed */
	/* owner only */
	struct arena arena; /* of the fetch that runs */
	enum key_source_state state;
	struct str issuer, token_endpoint, jwks_uri; /* of the fetch that runs */
	struct trust *trust;			     /* NULL until the first success */
	int64_t started_ms;			     /* last fetch; mono */
	int64_t due_ms;				     /* next fetch; mono */
	unsigned failures;			     /* in a row */
	/* any thread */
	atomic_bool missed;
};

/* `authority` is http(s)://…; ERR_INVALID otherwise. The first fetch is due at once. */
enum err key_source_init(struct key_source *s, struct str authority, struct fault *f) MUST_USE;
void key_source_fini(struct key_source *s);

/*
 * A token named a key that the snapshot lacks. True when the owner should look
 * (key_source_next) soon: this is the first miss since it last looked.
 */
bool key_source_miss(struct key_source *s);

/*
 * What to fetch now; `out_url` lives until the document is fed or failed. The
 * caller follows no redirects and reads at most TRUST_METADATA_MAX or JWKS_TEXT_MAX bytes.
 */
enum key_fetch key_source_next(struct key_source *s, int64_t now_ms, struct str *out_url);
/* When to ask next, if no key is missed before; INT64_MAX while a fetch runs. */
int64_t key_source_due(const struct key_source *s);
/*
 * The document that was asked for. On ERR_OK ask key_source_next again: either
 * the keys are to be fetched, or a new snapshot is there. A bad document counts as failed.
 */
enum err key_source_feed(struct key_source *s, struct str document, int64_t now_ms,
			 struct fault *f) MUST_USE;
void key_source_fail(struct key_source *s, int64_t now_ms);
/* The newest snapshot, borrowed; NULL before the first. */
struct trust *key_source_trust(const struct key_source *s);
