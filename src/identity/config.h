/*
 * config - the keys of section `identity` and their values
 *
 * Read-only after the start.
 */
#pragma once
#include "base/conf.h"

enum { IDENTITY_RS256, IDENTITY_ES256 };

struct identity_config {
	const struct conf_node *listen; /* app/listen.h */
	struct str issuer;		/* name in tokens, and base of the published addresses */
	int algorithm;			/* IDENTITY_RS256 or IDENTITY_ES256 */
	int64_t token_lifetime_ms;
	int64_t key_rotation_ms; /* 0 = never */
	int64_t key_announcement_ms;
	struct str key_passphrase; /* p NULL = private keys stand unencrypted in the database */
	int64_t failures_max;
	int64_t failures_window_ms;
};

extern const struct conf_section identity_conf;
