/* SPDX-License-Identifier: MIT */
/*
 * signing_keys - see signing_keys.h
 */
#include "identity/signing_keys.h"

#define HOUR_MS (INT64_C(3600) * 1000)

const struct signing_policy signing_policy_default = {
	.rotate_ms = HOUR_MS * 24 * 90,
	.announce_ms = 24 * HOUR_MS,
	.hold_ms = 25 * HOUR_MS,
};

static bool is_of(const struct signing_record *r, enum jwt_alg alg)
{
	return jwt_alg_parse(r->alg) == alg;
}

/* By age; the name decides between twins, so that all instances agree. */
static bool is_newer(const struct signing_record *a, const struct signing_record *b)
{
	if (a->created_ms != b->created_ms) {
		return a->created_ms > b->created_ms;
	}
	return str_cmp(a->kid, b->kid) > 0;
}

static bool is_announced(const struct signing_record *r, int64_t now_ms,
			 const struct signing_policy *policy)
{
	return r->created_ms + policy->announce_ms <= now_ms;
}

void signing_plan_for(enum jwt_alg alg, const struct signing_record *records, size_t n,
		      int64_t now_ms, const struct signing_policy *policy, struct signing_plan *out)
{
	ptrdiff_t active = -1, newest = -1, oldest = -1;

	for (size_t i = 0; i < n; i++) {
		const struct signing_record *r = &records[i];

		if (!is_of(r, alg) || signing_is_over(r, now_ms)) {
			continue;
		}
		if (newest < 0 || is_newer(r, &records[newest])) {
			newest = (ptrdiff_t)i;
		}
		if (oldest < 0 || is_newer(&records[oldest], r)) {
			oldest = (ptrdiff_t)i;
		}
		if (is_announced(r, now_ms, policy) &&
		    (active < 0 || is_newer(r, &records[active]))) {
			active = (ptrdiff_t)i;
		}
	}
	/* The very first key signs at once: nobody knows an older one. */
	out->active = active >= 0 ? active : oldest;
	out->newest = newest;
	out->create = newest < 0 || (policy->rotate_ms > 0 &&
				     records[newest].created_ms + policy->rotate_ms <= now_ms);
	out->retire_newest_at_ms = now_ms + policy->announce_ms + policy->hold_ms;
}

bool signing_is_over(const struct signing_record *record, int64_t now_ms)
{
	return record->retire_at_ms.has && record->retire_at_ms.v <= now_ms;
}

void signing_create(struct arena *a, enum jwt_alg alg, int64_t now_ms, struct str passphrase,
		    struct signing_record *out)
{
	struct key *key;

	ASSERT(alg == JWT_RS256 || alg == JWT_ES256);
	key = key_generate(alg == JWT_RS256 ? KEY_RSA : KEY_P256);
	*out = (struct signing_record){
		.kid = key_thumbprint(key, a),
		.alg = jwt_alg_name(alg),
		.pem = key_pem(key, passphrase, a),
		.created_ms = now_ms,
	};
	key_free(&key);
}

static bool is_named_right(const struct key *key, struct str kid)
{
	struct arena scratch;
	bool same;

	arena_init(&scratch, 0);
	same = str_eq(key_thumbprint(key, &scratch), kid);
	arena_fini(&scratch);
	return same;
}

enum err signing_load(const struct signing_record *record, struct str passphrase, struct key **out,
		      struct fault *f)
{
	struct key *key;

	TRY(key_from_pem(record->pem, passphrase, &key, f));
	if (!jwt_alg_fits(jwt_alg_parse(record->alg), key_kind(key)) ||
	    !is_named_right(key, record->kid)) {
		key_free(&key);
		return fault_set(f, ERR_INVALID, "signing key '%.*s' does not match its record",
				 STR_ARG(record->kid));
	}
	*out = key;
	return ERR_OK;
}
