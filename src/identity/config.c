/* SPDX-License-Identifier: MIT */
#include "identity/config.h"

#define OFF(member) offsetof(struct identity_config, member)
#define MINUTE_MS (INT64_C(60) * 1000)
#define DAY_MS (MINUTE_MS * 60 * 24)

static const char *const algorithms[] = {"rs256", "es256", NULL};

static const struct conf_key keys[] = {
	{"listen", CONF_NODE, OFF(listen), ":5002", 0, 0, NULL, CONF_RELOAD,
	 "Addresses of the token issuer. Or {address, tls, http2, proxy_protocol}; certificates "
	 "can be reloaded."},
	{"issuer", CONF_STR, OFF(issuer), NULL, 0, 0, NULL, 0,
	 "Public http(s) URL of the issuer, which tokens carry; needed when others validate them."},
	{"algorithm", CONF_ENUM, OFF(algorithm), "rs256", 0, 0, algorithms, 0,
	 "Signature of the tokens."},
	{"token_lifetime", CONF_DURATION, OFF(token_lifetime_ms), "1h", 1000, DAY_MS, NULL, 0,
	 "Time for which a token is valid."},
	{"key_rotation", CONF_DURATION, OFF(key_rotation_ms), "90d", 0, DAY_MS * 3650, NULL, 0,
	 "Age at which a signing key gets a successor; 0 = never."},
	{"key_announcement", CONF_DURATION, OFF(key_announcement_ms), "1d", 0, DAY_MS * 30, NULL, 0,
	 "Time for which a new key is published before it signs."},
	{"key_passphrase", CONF_SECRET, OFF(key_passphrase), NULL, 0, 0, NULL, 0,
	 "Encrypts the private keys in the database; the same for all instances."},
	{"failures_max", CONF_INT, OFF(failures_max), "20", 1, 1000000, NULL, 0,
	 "Wrong secrets of one client from one address within failures_window; beyond: 429."},
	{"failures_window", CONF_DURATION, OFF(failures_window_ms), "1m", 1000, DAY_MS, NULL, 0,
	 "Time over which wrong secrets are counted."},
};

const struct conf_section identity_conf = {"identity", "OpenID Connect issuer of connector tokens.",
					   keys, ARRAY_LEN(keys)};
