/*
 * issuer_int - what the issuer's files share
 */
#pragma once
#include "identity/attempts.h"
#include "identity/issuer.h"
#include "identity/signing_keys.h"

#include <pthread.h>
#include <stdatomic.h>

/* Immutable but for the count. */
struct issuer_keys {
	atomic_uint refs;
	struct arena arena;
	struct str fingerprint; /* of the records it was made from */
	enum jwt_alg alg;
	struct str kid;
	struct key *signing;
	struct buf jwks; /* the document */
	struct trust *trust;
};

struct issuer {
	/* constant after init */
	struct arena arena; /* strings of the configuration */
	struct identity_config config;
	struct str name;
	struct str base; /* config.issuer without trailing slash; p NULL = of the request */
	struct attempts *attempts;
	pthread_mutex_t mutex;
	/* guarded by mutex */
	struct issuer_keys *keys;
};

/* NULL before the first refresh. */
struct issuer_keys *issuer_keys_get(struct issuer *i);
void issuer_keys_unref(struct issuer_keys **keys);
/* Ready, or ERR_UNAVAILABLE with a fault; the reference goes with the task. */
enum err issuer_keys_for_task(struct task *t, struct issuer_keys **out) MUST_USE;

task_fn issuer_get_metadata;
task_fn issuer_get_jwks;
task_fn issuer_post_token;
