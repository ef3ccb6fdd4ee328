#define PCRE2_CODE_UNIT_WIDTH 8
#include "gateway/plugins/origins.h"

#include <pcre2.h>

enum { MATCH_STEPS = 10000, MATCH_DEPTH = 1000, ORIGIN_MAX = 1024 };

struct origin {
	struct str literal; /* canonical; p NULL = a regex */
	pcre2_code *re;
};

struct origins {
	const struct origin *v;
	size_t n;
	pcre2_match_context *limits;
};

bool origins_is_literal(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = ascii_lower(s.p[i]);

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == ':' ||
		      c == '/' || c == '-')) {
			return false;
		}
	}
	return s.n > 0;
}

static struct str default_port(struct str origin)
{
	if (str_starts(origin, STR("https://"))) {
		return STR(":443");
	}
	return str_starts(origin, STR("http://")) ? STR(":80") : STR_NULL;
}

/* Lower case, without a default port and a slash at the end. */
static struct str canonical(struct arena *a, struct str s)
{
	struct str lower = str_lower(a, s), port;

	if (str_ends(lower, STR("/"))) {
		lower = str_slice(lower, 0, lower.n - 1);
	}
	port = default_port(lower);
	if (port.n > 0 && str_ends(lower, port)) {
		lower = str_slice(lower, 0, lower.n - port.n);
	}
	return lower;
}

/* A literal without a scheme is any scheme's host. */
static struct str host_of(struct str origin)
{
	ptrdiff_t at = str_find(origin, STR("://"));

	return at < 0 ? origin : str_skip(origin, (size_t)at + 3);
}

static void free_re(void *re)
{
	pcre2_code_free(re);
}

static void free_limits(void *limits)
{
	pcre2_match_context_free(limits);
}

static enum err make_regex(struct arena *a, struct str text, struct origin *out, struct fault *f)
{
	PCRE2_SIZE at;
	int code;
	PCRE2_UCHAR why[128];

	out->re = pcre2_compile((PCRE2_SPTR)text.p, text.n,
				PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_UTF |
					PCRE2_NEVER_BACKSLASH_C,
				&code, &at, NULL);
	if (!out->re) {
		(void)pcre2_get_error_message(code, why, sizeof(why));
		return fault_set(f, ERR_INVALID, "invalid regex: '%.*s' (PCRE returned: %s)",
				 STR_ARG(text), (const char *)why);
	}
	arena_defer(a, free_re, out->re);
	(void)pcre2_jit_compile(out->re, PCRE2_JIT_COMPLETE);
	return ERR_OK;
}

enum err origins_make(struct arena *a, const struct str *v, size_t n, const struct origins **out,
		      struct fault *f)
{
	struct origins *o = ARENA_NEW(a, struct origins);
	struct origin *items = ARENA_NEW_ARRAY(a, struct origin, n + 1);

	for (size_t i = 0; i < n; i++) {
		if (origins_is_literal(v[i])) {
			items[i].literal = canonical(a, v[i]);
		} else {
			TRY(make_regex(a, v[i], &items[i], f));
		}
	}
	o->limits = pcre2_match_context_create(NULL);
	ASSERT(o->limits != NULL);
	arena_defer(a, free_limits, o->limits);
	(void)pcre2_set_match_limit(o->limits, MATCH_STEPS);
	(void)pcre2_set_depth_limit(o->limits, MATCH_DEPTH);
	o->v = items;
	o->n = n;
	*out = o;
	return ERR_OK;
}

static bool matches(const struct origins *o, const struct origin *item, pcre2_match_data *md,
		    struct str s)
{
	return pcre2_match(item->re, (PCRE2_SPTR)s.p, s.n, 0, 0, md, o->limits) >= 0;
}

bool origins_has(const struct origins *o, struct arena *a, struct str origin)
{
	struct str short_form, long_form;
	pcre2_match_data *md = NULL;
	bool found = false;

	if (origin.n == 0 || origin.n > ORIGIN_MAX) {
		return false;
	}
	short_form = canonical(a, origin);
	long_form = str_fmt(a, "%.*s%.*s", STR_ARG(short_form), STR_ARG(default_port(short_form)));
	for (size_t i = 0; i < o->n && !found; i++) {
		if (o->v[i].literal.p) {
			found = str_eq(o->v[i].literal, short_form) ||
				str_eq(o->v[i].literal, host_of(short_form));
			continue;
		}
		if (!md) {
			md = pcre2_match_data_create(1, NULL);
			ASSERT(md != NULL);
		}
		found = matches(o, &o->v[i], md, short_form) || matches(o, &o->v[i], md, long_form);
	}
	pcre2_match_data_free(md);
	return found;
}
