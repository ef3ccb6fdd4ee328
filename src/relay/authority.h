/*
 * authority - fetches the metadata and keys of an outside issuer, for all loops
 *
 * One per role, on one loop; a new snapshot of trust travels to the others as a
 * message (relay_set_trust).
 *
 * Threads  authority_miss: any. start, stop: its loop.
 */
#pragma once
#include "identity/trust.h"
#include "relay/relay_int.h"

struct authority;

/* ERR_INVALID: not a URL. */
enum err authority_new(struct relay_loop *rl, struct str url, struct authority **out,
		       struct fault *f) MUST_USE;
void authority_start(struct authority *a);
void authority_stop(struct authority *a);
/* After authority_stop. NULL-safe. */
void authority_free(struct authority **a);
/* A token named an unknown key. NULL-safe. */
void authority_miss(struct authority *a);
