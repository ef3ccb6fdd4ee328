/*
 * router_dumb - the router's contract in the plainest code, to compare it with
 *
 * Looks at every rule and each of its paths, one after the other, and keeps the best.
 * Shares nothing with src/gateway/router*.c: it compiles its own regexes and compares
 * priorities part by part.
 */
#pragma once
#include "gateway/router.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct dumb_rank {
	int64_t part[7]; /* more is better */
};

static inline bool dumb_regex(struct str pattern, struct str subject, uint32_t options, size_t *n)
{
	int code;
	PCRE2_SIZE at;
	pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n,
				       options | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF |
					       PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C,
				       &code, &at, NULL);
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	bool yes;

	ASSERT(re && data);
	yes = pcre2_match(re, (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, 0, 0, data,
			  NULL) >= 0 &&
	      (!(options & PCRE2_ANCHORED) || pcre2_get_startchar(data) == 0);
	*n = yes ? pcre2_get_ovector_pointer(data)[1] : 0;
	pcre2_match_data_free(data);
	pcre2_code_free(re);
	return yes;
}

static inline struct str dumb_undot(struct str s)
{
	return s.n > 1 && s.p[s.n - 1] == '.' ? str_slice(s, 0, s.n - 1) : s;
}

static inline bool dumb_name(struct str pattern, struct str name)
{
	struct str rest;

	if (pattern.n > 0 && pattern.p[0] == '*') {
		rest = str_skip(pattern, 1);
		return name.n > rest.n && str_eq_nocase(str_skip(name, name.n - rest.n), rest);
	}
	if (pattern.n > 0 && pattern.p[pattern.n - 1] == '*') {
		rest = str_slice(pattern, 0, pattern.n - 1);
		return name.n > rest.n && str_eq_nocase(str_slice(name, 0, rest.n), rest);
	}
	return str_eq_nocase(pattern, name);
}

/* "name:port" in two; the callers use no IPv6 and no odd ports. */
static inline struct str dumb_host(struct str s, uint64_t *port)
{
	ptrdiff_t colon = str_index(s, ':');

	if (colon >= 0) {
		(void)str_to_u64(str_skip(s, (size_t)colon + 1), port);
		s = str_slice(s, 0, (size_t)colon);
	}
	return dumb_undot(s);
}

static inline bool dumb_hosts(const struct router_rule *rule, const struct router_input *in)
{
	uint64_t port = in->port;
	struct str name = dumb_host(in->host, &port);

	for (size_t i = 0; i < rule->hosts.n; i++) {
		uint64_t want = port;
		struct str pattern = dumb_host(rule->hosts.v[i], &want);

		if (want == port && name.n > 0 && dumb_name(pattern, name)) {
			return true;
		}
	}
	return rule->hosts.n == 0;
}

static inline bool dumb_methods(const struct router_rule *rule, const struct router_input *in)
{
	for (size_t i = 0; i < rule->methods.n; i++) {
		if (str_eq(rule->methods.v[i], in->method)) {
			return true;
		}
	}
	return rule->methods.n == 0;
}

static inline bool dumb_snis(const struct router_rule *rule, const struct router_input *in)
{
	for (size_t i = 0; i < rule->snis.n; i++) {
		if (dumb_name(dumb_undot(rule->snis.v[i]), dumb_undot(in->sni))) {
			return true;
		}
	}
	return rule->snis.n == 0 || !in->tls;
}

static inline bool dumb_header(const struct router_header *h, const struct http_headers *all)
{
	for (size_t i = 0; all && i < all->n; i++) {
		if (!str_eq_nocase(all->v[i].name, h->name)) {
			continue;
		}
		for (size_t k = 0; k < h->values.n; k++) {
			struct str v = h->values.v[k], got = all->v[i].value;
			size_t n;

			if (str_starts(v, STR("~*"))
				    ? dumb_regex(str_skip(v, 2), got, PCRE2_CASELESS, &n)
				    : str_eq_nocase(v, got)) {
				return true;
			}
		}
	}
	return false;
}

static inline bool dumb_fits(const struct router_rule *rule, const struct router_input *in)
{
	for (size_t i = 0; i < rule->n_headers; i++) {
		if (!dumb_header(&rule->headers[i], in->headers)) {
			return false;
		}
	}
	return dumb_hosts(rule, in) && dumb_methods(rule, in) && dumb_snis(rule, in);
}

static inline bool dumb_path(struct str path, struct str subject, size_t *n)
{
	if (path.n > 0 && path.p[0] == '~') {
		return dumb_regex(str_skip(path, 1), subject, PCRE2_ANCHORED, n);
	}
	*n = path.n;
	return str_starts(subject, path);
}

static inline struct dumb_rank dumb_rank(const struct router_rule *rule, struct str path)
{
	bool regex = path.n > 0 && path.p[0] == '~', plain = rule->hosts.n > 0;

	for (size_t i = 0; i < rule->hosts.n; i++) {
		plain = plain && str_index(rule->hosts.v[i], '*') < 0;
	}
	return (struct dumb_rank){{
		(rule->methods.n > 0) + (rule->hosts.n > 0) + (rule->n_headers > 0) +
			(rule->snis.n > 0) + (rule->paths.n > 0),
		plain,
		(int64_t)rule->n_headers,
		regex,
		regex ? rule->regex_priority : 0,
		regex ? 0 : (int64_t)path.n,
		-rule->created_at,
	}};
}

/* More than 0: the first is better. */
static inline int dumb_cmp(const struct dumb_rank *a, const struct guid *a_id,
			   const struct dumb_rank *b, const struct guid *b_id)
{
	for (size_t i = 0; i < ARRAY_LEN(a->part); i++) {
		if (a->part[i] != b->part[i]) {
			return a->part[i] > b->part[i] ? 1 : -1;
		}
	}
	return memcmp(b_id->b, a_id->b, sizeof(a_id->b));
}

static inline bool dumb_match(const struct router_rule *const *rules, size_t n,
			      const struct router_input *in, struct router_match *out)
{
	struct dumb_rank best = {0};
	bool found = false;

	for (size_t i = 0; i < n; i++) {
		const struct router_rule *rule = rules[i];

		for (size_t k = 0; k < MAX(rule->paths.n, 1) && dumb_fits(rule, in); k++) {
			struct str path = rule->paths.n > 0 ? rule->paths.v[k] : STR("");
			struct dumb_rank rank = dumb_rank(rule, path);
			size_t matched;

			if (dumb_path(path, in->path, &matched) &&
			    (!found ||
			     dumb_cmp(&rank, &rule->id, &best, &rules[out->rule]->id) > 0)) {
				found = true;
				best = rank;
				*out = (struct router_match){
					.rule = i,
					.matched = matched,
					.by_regex = str_starts(path, STR("~")),
				};
			}
		}
	}
	return found;
}
