/*
 * signing_keys - the issuer's own keys and when they change
 *
 * A record is what the store keeps of one key. For each algorithm the records,
 * by age, are: retired ones (published until `retire_at`, then deleted), the
 * active one that signs, and perhaps the next, which is published for a while
 * before it signs, so that every validator has seen it.
 *
 *	created --announce--> active ... successor created --announce--> retired --hold--> deleted
 *
 * signing_plan looks at records and the clock and says what to do; it changes
 * nothing, so it can be run again after a lost race.
 *
 * Threads  any.
 */
#pragma once
#include "identity/key.h"

#define SIGNING_RECORDS_MAX 32

struct signing_record {
	struct str kid;		     /* RFC 7638 thumbprint */
	struct str alg;		     /* "RS256" */
	struct str pem;		     /* PKCS#8, perhaps encrypted */
	int64_t created_ms;	     /* wall time */
	struct opt_i64 retire_at_ms; /* set once a successor exists */
};

struct signing_policy {
	int64_t rotate_ms;   /* age at which a successor is made; 0 = never */
	int64_t announce_ms; /* published before it signs */
	int64_t hold_ms;     /* published after it signed last: at least token life and skew */
};
/* 90 days, 24 hours, 25 hours. */
extern const struct signing_policy signing_policy_default;

struct signing_plan {
	ptrdiff_t active; /* index of the record that signs; -1 = none: create first */
	ptrdiff_t newest; /* its successor, or itself; -1 = none */
	bool create;	  /* make a key; the newest (if any) is then retired at: */
	int64_t retire_newest_at_ms;
};

/* For one algorithm; records of others are passed over. */
void signing_plan_for(enum jwt_alg alg, const struct signing_record *records, size_t n,
		      int64_t now_ms, const struct signing_policy *policy,
		      struct signing_plan *out);
/* Whether a record is of no use any more and may be deleted. */
bool signing_is_over(const struct signing_record *record, int64_t now_ms);

/* Makes a key (RS256 or ES256) and its record; strings in the arena. */
void signing_create(struct arena *a, enum jwt_alg alg, int64_t now_ms, struct str passphrase,
		    struct signing_record *out);
/* The key of a record. ERR_INVALID when the text or the passphrase is wrong or the parts disagree.
 */
enum err signing_load(const struct signing_record *record, struct str passphrase, struct key **out,
		      struct fault *f) MUST_USE;
