/*
 * router - which rule (a route's matching half) a request belongs to
 *
 * A rule matches when every attribute that it sets matches, by any of its values. Among
 * those that match the highest priority wins: number of attributes set, hosts without
 * wildcard, number of headers, regex path, regex_priority, length of the prefix; then the
 * older rule, then the lower id. A rule with several paths counts as one rule for each
 * length of prefix and one for its regexes.
 *
 *   methods  equal
 *   hosts    exact, "*.a.b" (longer hosts), "a.*"; with ":port" the port too. Case and one
 *            dot at the end do not matter, as in DNS
 *   paths    a prefix, not only of whole segments, or "~" and a regex anchored at the start
 *   headers  every name present, with any of its values, ignoring case; "~*" and a regex
 *   snis     as hosts; do not count on a connection without TLS
 *
 * Immutable and shared by all loops. Matching a prefix allocates nothing; a regex takes
 * its captures from the arena. The regexes of one match share a number of steps. The one that
 * uses them up, and whatever comes after it, gives up: its rule does not match, which
 * router_regex_limits counts and the match tells.
 *
 * Threads  any; the rules are borrowed and must outlive the router.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/guid.h"
#include "base/str.h"
#include "http/message.h"

struct router;

struct router_strs {
	const struct str *v;
	size_t n;
};

struct router_header {
	struct str name;
	struct router_strs values; /* "~*re" = case-insensitive regex, found anywhere */
};

/* As in the entity; empty = not set. */
struct router_rule {
	struct guid id;
	int64_t created_at;
	struct router_strs methods, hosts, paths, snis;
	const struct router_header *headers;
	size_t n_headers;
	int64_t regex_priority;
};

struct router_input {
	struct str method;
	struct str host; /* as sent, may have ":port" */
	struct str path; /* of path_normalize */
	struct str sni;
	uint16_t port; /* of the listener, when the host has none */
	bool tls;
	const struct http_headers *headers;
};

struct router_capture {
	struct str name;  /* p NULL: by number only */
	struct str value; /* p NULL: the group took no part */
};

struct router_match {
	size_t rule;	/* index into the rules */
	size_t matched; /* bytes of the path that prefix or regex took */
	bool by_regex;
	bool gave_up; /* a regex that would have come first hit its limit */
	const struct router_capture *captures; /* by group number; [0] is all that matched */
	size_t n_captures;
};

/* ERR_INVALID on a bad regex; the fault says which. */
enum err router_new(const struct router_rule *const *rules, size_t n, struct router **out,
		    struct fault *f) MUST_USE;
/* The same, sharing with `old` (NULL: none) the regexes that both have: compiling is slow. */
enum err router_renew(const struct router *old, const struct router_rule *const *rules, size_t n,
		      struct router **out, struct fault *f) MUST_USE;
/*
 * `below` without the rules that `gone` has a bit for, and with `rules`, whose indexes go on
 * behind its own. Costs what `rules` cost, so a few changes of many rules are cheap; a match looks
 * at both. `below` (not made by this itself) and `gone` (ROUTER_GONE_WORDS) are borrowed.
 */
struct router_layer {
	const struct router *below;
	const uint64_t *gone;
	const struct router *old; /* as in router_renew */
};
#define ROUTER_GONE_WORDS(n) (((n) + 63) / 64)
enum err router_over(const struct router_layer *layer, const struct router_rule *const *rules,
		     size_t n, struct router **out, struct fault *f) MUST_USE;
void router_free(struct router **r);

/* False: no rule matches; `out` then holds `gave_up` only. */
bool router_match(const struct router *r, struct arena *a, const struct router_input *in,
		  struct router_match *out);

/* For the Admin API; `pattern` without "~". "invalid regex: 'x' (PCRE returned: ...)". */
enum err router_check_regex(struct str pattern, struct fault *f) MUST_USE;
/* How many times a regex gave up, since the start of the process. */
uint64_t router_regex_limits(void);
