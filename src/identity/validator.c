/* SPDX-License-Identifier: MIT */
/*
 * validator - see validator.h
 *
 * The validator holds one reference to trust, a scratch arena for the token in
 * hand and the cache: a map from the SHA-256 of a token to an entry, and a list
 * of the entries, the least recently used first. An entry is one heap block plus
 * an arena for its strings. A cached token is still asked for its lifetime.
 */
#include "identity/validator.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "tls/crypto.h"

#define CONNECTOR_SCOPE STR("connector")
#define ISSUER_SHOWN 100 /* bytes of a wrong issuer in the refusal */

/* What a checked token stands for. */
struct verdict {
	struct principal principal;
	struct opt_i64 nbf_ms;
};

struct entry {
	struct list_node node;
	uint8_t digest[SHA256_LEN]; /* the key in the map */
	struct arena arena;
	struct verdict verdict;
};

struct validator {
	/* constant after init */
	struct str audience;
	int64_t skew_ms;
	size_t cache_max;
	/* owning loop */
	struct arena own; /* audience */
	struct trust *trust;
	struct arena scratch; /* one token */
	struct map cache;
	struct list by_use;
	struct validator_stats stats;
};

struct validator *validator_new(struct str audience, int64_t skew_ms, size_t cache_max)
{
	struct validator *v = MEM_NEW(struct validator);

	arena_init(&v->own, 0);
	arena_init(&v->scratch, 0);
	list_init(&v->by_use);
	v->audience = str_dup(&v->own, audience);
	v->skew_ms = skew_ms;
	v->cache_max = cache_max ? cache_max : VALIDATOR_CACHE_MAX;
	return v;
}

static struct str entry_key(const struct entry *e)
{
	return str_of(e->digest, sizeof(e->digest));
}

static void forget(struct validator *v, struct entry *e)
{
	(void)map_remove(&v->cache, entry_key(e));
	list_remove(&e->node);
	arena_fini(&e->arena);
	mem_free(e);
}

static struct entry *oldest(const struct validator *v)
{
	struct list_node *n = list_first(&v->by_use);

	return n ? container_of(n, struct entry, node) : NULL;
}

static void forget_all(struct validator *v)
{
	struct entry *e;

	while ((e = oldest(v))) {
		forget(v, e);
	}
}

void validator_free(struct validator **v)
{
	struct validator *gone = *v;

	if (!gone) {
		return;
	}
	*v = NULL;
	forget_all(gone);
	map_free(&gone->cache);
	trust_unref(&gone->trust);
	arena_fini(&gone->scratch);
	arena_fini(&gone->own);
	mem_free(gone);
}

void validator_set_trust(struct validator *v, struct trust *t)
{
	struct trust *old = v->trust;

	if (t == old) {
		return;
	}
	v->trust = t ? trust_ref(t) : NULL;
	trust_unref(&old);
	forget_all(v);
}

static void copy_principal(struct arena *a, const struct principal *from, struct principal *to)
{
	to->client_id = str_dup(a, from->client_id);
	to->name = str_dup(a, from->name);
	to->description = str_dup(a, from->description);
	to->issuer = str_dup(a, from->issuer);
	to->scopes = str_dup(a, from->scopes);
	to->expires_ms = from->expires_ms;
}

static void remember(struct validator *v, const uint8_t digest[SHA256_LEN],
		     const struct verdict *verdict)
{
	struct entry *e;

	if (v->cache.n >= v->cache_max) {
		forget(v, oldest(v));
	}
	e = MEM_NEW(struct entry);
	memcpy(e->digest, digest, sizeof(e->digest));
	arena_init(&e->arena, 0);
	e->verdict.nbf_ms = verdict->nbf_ms;
	copy_principal(&e->arena, &verdict->principal, &e->verdict.principal);
	(void)map_set(&v->cache, entry_key(e), e);
	list_push(&v->by_use, &e->node);
}

/* NULL when unknown. */
static const struct verdict *recall(struct validator *v, const uint8_t digest[SHA256_LEN])
{
	struct entry *e = map_get(&v->cache, str_of(digest, SHA256_LEN));

	if (!e) {
		return NULL;
	}
	list_remove(&e->node);
	list_push(&v->by_use, &e->node);
	return &e->verdict;
}

static enum err refuse_time(struct fault *f, const char *what, int64_t when_ms)
{
	char when[CLOCK_ISO_LEN + 1];

	clock_iso(when_ms, when);
	return fault_set(f, ERR_UNAUTHENTICATED, "The token %s '%s'", what, when);
}

static enum err check_lifetime(const struct validator *v, const struct verdict *verdict,
			       int64_t now_ms, struct fault *f)
{
	int64_t expires_ms = verdict->principal.expires_ms;

	if (now_ms >= expires_ms + v->skew_ms) {
		return refuse_time(f, "expired at", expires_ms);
	}
	if (verdict->nbf_ms.has && verdict->nbf_ms.v > now_ms + v->skew_ms) {
		return refuse_time(f, "is not valid before", verdict->nbf_ms.v);
	}
	return ERR_OK;
}

static enum err check_signature(const struct validator *v, const struct jwt *jwt, struct fault *f)
{
	enum err e = jwks_verify(trust_keys(v->trust), jwt);

	if (e == ERR_NOT_FOUND) {
		return fault_set(f, ERR_AGAIN, "The signature key was not found");
	}
	return e == ERR_OK ? ERR_OK : fault_set(f, e, "The signature is invalid");
}

/* What the token claims, except for its lifetime; called with a verified token. */
static enum err read_verdict(struct validator *v, const struct jwt *jwt, struct verdict *out,
			     struct fault *f)
{
	struct jwt_claims claims;

	TRY(jwt_claims(&v->scratch, jwt, &claims, f));
	if (!claims.iss.p || !str_eq(claims.iss, trust_issuer(v->trust))) {
		return fault_set(f, ERR_UNAUTHENTICATED, "The issuer '%.*s' is invalid",
				 STR_ARG(str_slice(claims.iss, 0, ISSUER_SHOWN)));
	}
	if (!jwt_claims_has_audience(&claims, v->audience)) {
		return fault_set(f, ERR_UNAUTHENTICATED, "The audience is invalid");
	}
	if (!claims.exp_ms.has) {
		return fault_set(f, ERR_UNAUTHENTICATED, "The token has no expiration");
	}
	*out = (struct verdict){
		.principal = {.client_id = claims.client_id,
			      .name = claims.client_name,
			      .description = claims.client_description,
			      .issuer = claims.iss,
			      .scopes = jwt_claims_scopes(&v->scratch, &claims),
			      .expires_ms = claims.exp_ms.v},
		.nbf_ms = claims.nbf_ms,
	};
	return ERR_OK;
}

static enum err check_new(struct validator *v, struct str token, int64_t now_ms,
			  struct verdict *out, struct fault *f)
{
	struct jwt jwt;

	TRY(jwt_parse(&v->scratch, token, &jwt, f));
	TRY(check_signature(v, &jwt, f));
	TRY(read_verdict(v, &jwt, out, f));
	return check_lifetime(v, out, now_ms, f);
}

/* Whatever is wrong with a token, its bearer is nobody. */
static enum err as_refusal(struct validator *v, enum err e, struct fault *f)
{
	v->stats.refused++;
	if (e != ERR_AGAIN) {
		e = ERR_UNAUTHENTICATED;
	}
	if (f) {
		f->code = e;
	}
	return e;
}

enum err validator_check(struct validator *v, struct str token, int64_t now_ms, struct arena *a,
			 struct principal *out, struct fault *f)
{
	uint8_t digest[SHA256_LEN];
	const struct verdict *known;
	struct verdict fresh = {0};
	enum err e;

	if (!v->trust) {
		return fault_set(f, ERR_UNAVAILABLE, "The keys of the issuer are not known yet");
	}
	v->stats.checked++;
	crypto_sha256(token, digest);
	known = recall(v, digest);
	if (known) {
		v->stats.cached++;
		e = check_lifetime(v, known, now_ms, f);
	} else {
		e = check_new(v, token, now_ms, &fresh, f);
	}
	if (e == ERR_OK) {
		copy_principal(a, known ? &known->principal : &fresh.principal, out);
	}
	if (e == ERR_OK && !known) {
		remember(v, digest, &fresh);
	}
	arena_reset(&v->scratch);
	return e == ERR_OK ? ERR_OK : as_refusal(v, e, f);
}

void validator_stats(const struct validator *v, struct validator_stats *out)
{
	*out = v->stats;
	out->cache_size = v->cache.n;
}

bool principal_has_scope(const struct principal *p, struct str scope)
{
	struct str rest = p->scopes, word;

	while (str_split(&rest, ' ', &word)) {
		if (str_eq(word, scope)) {
			return true;
		}
	}
	return false;
}

enum err policy_connector(const struct principal *p, struct fault *f)
{
	if (p->client_id.n == 0) {
		return fault_set(f, ERR_DENIED, "The token has no client_id");
	}
	if (!principal_has_scope(p, CONNECTOR_SCOPE)) {
		return fault_set(f, ERR_DENIED, "The token lacks the scope 'connector'");
	}
	return ERR_OK;
}

bool bearer_from_header(struct str value, struct str *out_token)
{
	struct str token;

	if (!str_starts_nocase(value, STR("Bearer "))) {
		return false;
	}
	token = str_trim(str_skip(value, 7));
	if (token.n == 0) {
		return false;
	}
	*out_token = token;
	return true;
}

/* What RFC 6750 3 allows within the quotes. */
static char printable(char c)
{
	return c >= 0x20 && c <= 0x7e && c != '"' && c != '\\' ? c : '?';
}

void bearer_challenge(struct buf *out, bool had_token, struct str description)
{
	buf_puts(out, "Bearer");
	if (!had_token) {
		return;
	}
	buf_puts(out, " error=\"invalid_token\"");
	if (description.n == 0) {
		return;
	}
	buf_puts(out, ", error_description=\"");
	for (size_t i = 0; i < description.n; i++) {
		buf_putc(out, printable(description.p[i]));
	}
	buf_putc(out, '"');
}
