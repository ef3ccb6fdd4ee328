/*
 * auth - what the authentication plugins share: `anonymous`, refusal
 *
 * Several on one route must all pass, unless they have `anonymous`: then one that passed is
 * enough, and one that failed leaves what another found (kong-gateway §12).
 */
#pragma once
#include "gateway/plugin.h"

/* Whether another plugin found a credential and this one need not look. */
bool auth_is_done(const struct gw_call *c, struct str anonymous);
/* Goes on as the anonymous consumer, or answers `message` with 401 and the challenge. */
enum plugin_verdict auth_fail(struct gw_call *c, struct str anonymous, struct str message,
			      struct str challenge);
/* `scheme`, or with a realm `scheme realm="x"`. */
struct str auth_challenge(struct arena *a, const char *scheme, struct str realm);

struct auth_login {
	struct str username, password;
};
/* "Basic dTpw" (RFC 7617); the username has no colon and is not empty. */
bool auth_read_basic(struct arena *a, struct str value, struct auth_login *out);
