/* SPDX-License-Identifier: MIT */
/*
 * trust - see trust.h
 */
#include "identity/trust.h"

#include "base/mem.h"

#define METADATA_PATH "/.well-known/openid-configuration"
#define RETRY_FIRST_MS INT64_C(1000)

struct trust {
	atomic_uint refs;
	struct arena arena; /* the strings */
	struct str issuer;
	struct str token_endpoint;
	struct jwks *keys;
};

struct trust *trust_new(struct str issuer, struct str token_endpoint, struct jwks *keys)
{
	struct trust *t = MEM_NEW(struct trust);

	atomic_init(&t->refs, 1);
	arena_init(&t->arena, 0);
	t->issuer = str_dup(&t->arena, issuer);
	t->token_endpoint = str_dup(&t->arena, token_endpoint);
	t->keys = jwks_ref(keys);
	return t;
}

struct trust *trust_ref(struct trust *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

void trust_unref(struct trust **t)
{
	struct trust *gone = *t;

	*t = NULL;
	if (gone && atomic_fetch_sub_explicit(&gone->refs, 1, memory_order_acq_rel) == 1) {
		jwks_unref(&gone->keys);
		arena_fini(&gone->arena);
		mem_free(gone);
	}
}

struct str trust_issuer(const struct trust *t)
{
	return t->issuer;
}

struct str trust_token_endpoint(const struct trust *t)
{
	return t->token_endpoint;
}

const struct jwks *trust_keys(const struct trust *t)
{
	return t->keys;
}

static bool is_http(struct str url)
{
	return str_starts_nocase(url, STR("http://")) || str_starts_nocase(url, STR("https://"));
}

enum err key_source_init(struct key_source *s, struct str authority, struct fault *f)
{
	while (str_ends(authority, STR("/"))) {
		authority.n--;
	}
	if (!is_http(authority)) {
		return fault_set(f, ERR_INVALID, "authority '%.*s' must be an http or https URL",
				 STR_ARG(authority));
	}
	memset(s, 0, sizeof(*s));
	s->authority = authority;
	s->started_ms = INT64_MIN / 2;
	arena_init(&s->arena, 0);
	atomic_init(&s->missed, false);
	return ERR_OK;
}

void key_source_fini(struct key_source *s)
{
	trust_unref(&s->trust);
	arena_fini(&s->arena);
}

bool key_source_miss(struct key_source *s)
{
	return !atomic_exchange_explicit(&s->missed, true, memory_order_relaxed);
}

/* A miss brings the next fetch forward, but not closer than 15 s to the last. */
static void heed_miss(struct key_source *s)
{
	if (atomic_exchange_explicit(&s->missed, false, memory_order_relaxed)) {
		s->due_ms = MIN(s->due_ms, s->started_ms + TRUST_MISS_MS);
	}
}

/*
 * Every state has one successor and a way back to IDLE, see trust.h; a fetch in
 * flight must end before the next is asked for.
 */
static void enter(struct key_source *s, enum key_source_state state)
{
	ASSERT(state == KEY_SOURCE_IDLE || state == s->state + 1);
	s->state = state;
}

static enum key_fetch ask_metadata(struct key_source *s, int64_t now_ms, struct str *out_url)
{
	heed_miss(s);
	if (now_ms < s->due_ms) {
		return KEY_FETCH_NOTHING;
	}
	arena_reset(&s->arena);
	s->started_ms = now_ms;
	enter(s, KEY_SOURCE_METADATA);
	*out_url = str_fmt(&s->arena, "%.*s" METADATA_PATH, STR_ARG(s->authority));
	return KEY_FETCH_METADATA;
}

enum key_fetch key_source_next(struct key_source *s, int64_t now_ms, struct str *out_url)
{
	switch (s->state) {
	case KEY_SOURCE_IDLE:
		return ask_metadata(s, now_ms, out_url);
	case KEY_SOURCE_WANT_KEYS:
		enter(s, KEY_SOURCE_KEYS);
		*out_url = s->jwks_uri;
		return KEY_FETCH_KEYS;
	case KEY_SOURCE_METADATA:
	case KEY_SOURCE_KEYS:
		break;
	}
	return KEY_FETCH_NOTHING;
}

int64_t key_source_due(const struct key_source *s)
{
	switch (s->state) {
	case KEY_SOURCE_IDLE:
		return s->due_ms;
	case KEY_SOURCE_WANT_KEYS:
		return s->started_ms;
	case KEY_SOURCE_METADATA:
	case KEY_SOURCE_KEYS:
		break;
	}
	return INT64_MAX;
}

/* Keys over plain http would undo what https of the authority gives. */
static enum err check_metadata(const struct key_source *s, struct fault *f)
{
	if (s->issuer.n == 0) {
		return fault_set(f, ERR_INVALID, "the metadata of '%.*s' name no issuer",
				 STR_ARG(s->authority));
	}
	if (!is_http(s->jwks_uri)) {
		return fault_set(f, ERR_INVALID, "the metadata of '%.*s' have no http(s) jwks_uri",
				 STR_ARG(s->authority));
	}
	if (str_starts_nocase(s->authority, STR("https://")) &&
	    !str_starts_nocase(s->jwks_uri, STR("https://"))) {
		return fault_set(f, ERR_INVALID, "the jwks_uri of '%.*s' must be https",
				 STR_ARG(s->authority));
	}
	return ERR_OK;
}

static enum err feed_metadata(struct key_source *s, struct str document, struct fault *f)
{
	struct json *tree;

	if (document.n > TRUST_METADATA_MAX) {
		return fault_set(f, ERR_LIMIT, "the metadata of '%.*s' are longer than %zu bytes",
				 STR_ARG(s->authority), TRUST_METADATA_MAX);
	}
	/* The tree's strings may point into the document, which is the caller's. */
	document = str_dup(&s->arena, document);
	if (json_parse(&s->arena, document, &tree, NULL) != ERR_OK) {
		return fault_set(f, ERR_INVALID, "the metadata of '%.*s' are not valid JSON",
				 STR_ARG(s->authority));
	}
	s->issuer = json_str(json_get(tree, STR("issuer")));
	s->token_endpoint = json_str(json_get(tree, STR("token_endpoint")));
	s->jwks_uri = json_str(json_get(tree, STR("jwks_uri")));
	return check_metadata(s, f);
}

static enum err feed_keys(struct key_source *s, struct str document, int64_t now_ms,
			  struct fault *f)
{
	struct jwks *keys;

	TRY(jwks_parse(document, &keys, f));
	if (jwks_count(keys) == 0) {
		jwks_unref(&keys);
		return fault_set(f, ERR_INVALID, "the key set of '%.*s' has no usable key",
				 STR_ARG(s->authority));
	}
	trust_unref(&s->trust);
	s->trust = trust_new(s->issuer, s->token_endpoint, keys);
	jwks_unref(&keys);
	s->failures = 0;
	s->due_ms = now_ms + TRUST_REFRESH_MS;
	return ERR_OK;
}

enum err key_source_feed(struct key_source *s, struct str document, int64_t now_ms, struct fault *f)
{
	bool is_keys = s->state == KEY_SOURCE_KEYS;
	enum err e;

	ASSERT(is_keys || s->state == KEY_SOURCE_METADATA);
	e = is_keys ? feed_keys(s, document, now_ms, f) : feed_metadata(s, document, f);
	if (e != ERR_OK) {
		key_source_fail(s, now_ms);
		return e;
	}
	enter(s, is_keys ? KEY_SOURCE_IDLE : KEY_SOURCE_WANT_KEYS);
	return ERR_OK;
}

void key_source_fail(struct key_source *s, int64_t now_ms)
{
	int64_t pause_ms = RETRY_FIRST_MS << MIN(s->failures, 4U);

	s->failures++;
	s->due_ms = now_ms + MIN(pause_ms, TRUST_MISS_MS);
	enter(s, KEY_SOURCE_IDLE);
}

struct trust *key_source_trust(const struct key_source *s)
{
	return s->trust;
}
