/*
 * endpoints - what the server says about itself: discovery and negotiation, read
 *
 * Pure functions over the texts that the server sent; all of it is checked, since
 * a wrong server must not make a connector crash or call somewhere strange.
 */
#pragma once
#include "base/json.h"
#include "connector/config.h"
#include "http/uri.h"

#define DISCOVERY_PATH ".well-known/relayserver-configuration"
#define DISCOVERY_BYTES_MAX ((size_t)64 << 10)

struct endpoints {
	struct str server_version;
	bool has_token; /* the server wants authentication */
	struct uri token;
	struct uri connector;
	struct str acknowledge; /* URL, for RelayServer-AcknowledgeUrl */
	struct uri request;
	struct uri response;
	int64_t timeout_ms; /* of transfers of bodies; how long responses are worth keeping */
	int64_t reconnect_min_ms;
	int64_t reconnect_max_ms;
	int64_t handshake_timeout_ms;
	int64_t keep_alive_ms;
};

/*
 * A discovery document. Strings are copied into `a`. Times that are missing or make no
 * sense get the original's defaults.
 */
enum err endpoints_parse(struct arena *a, struct str text, struct endpoints *out,
			 struct fault *f) MUST_USE;

/* Sets both delays unless they contradict each other; null keeps one. */
void endpoints_set_delays(struct endpoints *e, struct opt_i64 min_ms, struct opt_i64 max_ms);

struct negotiation {
	struct str id; /* for `id=`, escaped */
	bool offers[LINK_KINDS];
};
/* `f` has the server's words when it refused. Strings are copied into `a`. */
enum err negotiation_parse(struct arena *a, struct str text, struct negotiation *out,
			   struct fault *f) MUST_USE;

struct token_answer {
	struct str authorization; /* "Bearer …", in `a` */
	int64_t lifetime_ms;	  /* how long to use it; INT64_MAX = for ever */
};
enum err token_answer_parse(struct arena *a, struct str text, struct token_answer *out,
			    struct fault *f) MUST_USE;
/* "Basic …" of form-encoded name and secret (RFC 6749 2.3.1). */
struct str token_basic(struct arena *a, struct str name, struct str secret);
