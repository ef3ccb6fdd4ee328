/* SPDX-License-Identifier: MIT */
/*
 * issuer - life, keys and metadata; the token endpoint is in issuer_token.c
 */
#include "identity/issuer.h"

#include "base/mem.h"
#include "identity/issuer_int.h"
#include "identity/key_store.h"
#include "identity/secret.h"

/* Validators may keep keys that long without asking; far below the announcement. */
#define CACHE_FOR_MINUTES STR("public, max-age=300")
/* A token may be used for its life and the skew of validators. */
#define HOLD_EXTRA_MS (2 * INT64_C(300000))

static const enum jwt_alg published_algs[] = {JWT_RS256, JWT_ES256};

/* ---- keys in hand ---- */

void issuer_keys_unref(struct issuer_keys **keys)
{
	struct issuer_keys *k = *keys;

	*keys = NULL;
	if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) > 1) {
		return;
	}
	key_free(&k->signing);
	trust_unref(&k->trust);
	buf_free(&k->jwks);
	arena_fini(&k->arena);
	mem_free(k);
}

struct issuer_keys *issuer_keys_get(struct issuer *i)
{
	struct issuer_keys *k;

	(void)pthread_mutex_lock(&i->mutex);
	k = i->keys;
	if (k) {
		atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
	}
	(void)pthread_mutex_unlock(&i->mutex);
	return k;
}

static void on_task_end(void *keys)
{
	struct issuer_keys *k = keys;

	issuer_keys_unref(&k);
}

enum err issuer_keys_for_task(struct task *t, struct issuer_keys **out)
{
	struct issuer_keys *k = issuer_keys_get(t->role);

	if (!k) {
		(void)fault_set(&t->fault, ERR_UNAVAILABLE, "the signing keys are not loaded yet");
		return ERR_UNAVAILABLE;
	}
	arena_defer(&t->arena, on_task_end, k);
	*out = k;
	return ERR_OK;
}

static void put_keys(struct issuer *i, struct issuer_keys *fresh)
{
	struct issuer_keys *old;

	(void)pthread_mutex_lock(&i->mutex);
	old = i->keys;
	i->keys = fresh;
	(void)pthread_mutex_unlock(&i->mutex);
	issuer_keys_unref(&old);
}

/* ---- from records to keys ---- */

static enum jwt_alg signing_alg(const struct issuer *i)
{
	return i->config.algorithm == IDENTITY_ES256 ? JWT_ES256 : JWT_RS256;
}

static struct signing_policy policy_of(const struct issuer *i)
{
	return (struct signing_policy){
		.rotate_ms = i->config.key_rotation_ms,
		.announce_ms = i->config.key_announcement_ms,
		.hold_ms = i->config.token_lifetime_ms + HOLD_EXTRA_MS,
	};
}

static struct str endpoint(struct arena *a, struct str base, const char *path)
{
	return str_fmt(a, "%.*s%s", STR_ARG(base), path);
}

/* What decides whether the keys in hand are still right: all names, and which one signs. */
static struct str fingerprint_of(struct arena *a, const struct db_rows *rows, struct str active)
{
	const struct signing_record *r = rows->v;
	struct buf text = {0};
	struct str out;

	buf_put(&text, active);
	for (size_t i = 0; i < rows->n; i++) {
		buf_putc(&text, ' ');
		buf_put(&text, r[i].kid);
	}
	out = str_dup(a, buf_str(&text));
	buf_free(&text);
	return out;
}

/* Loads every record; the keys are in `loaded`, in the order of the records. */
static enum err load_all(const struct issuer *i, const struct db_rows *rows, struct key **loaded,
			 struct fault *f)
{
	const struct signing_record *r = rows->v;

	for (size_t k = 0; k < rows->n; k++) {
		TRY(signing_load(&r[k], i->config.key_passphrase, &loaded[k], f));
	}
	return ERR_OK;
}

static void write_jwks(const struct db_rows *rows, struct key *const *loaded, struct buf *out)
{
	struct jwks_entry entries[SIGNING_RECORDS_MAX];
	const struct signing_record *r = rows->v;

	for (size_t k = 0; k < rows->n; k++) {
		entries[k] = (struct jwks_entry){r[k].kid, jwt_alg_parse(r[k].alg), loaded[k]};
	}
	jwks_write(entries, rows->n, out);
}

static enum err make_trust(const struct issuer *i, struct issuer_keys *k, struct fault *f)
{
	struct str token_endpoint = STR_NULL;
	struct jwks *set;

	if (i->base.p) {
		token_endpoint = endpoint(&k->arena, i->base, ISSUER_TOKEN_PATH);
	}
	TRY(jwks_parse(buf_str(&k->jwks), &set, f));
	k->trust = trust_new(i->name, token_endpoint, set);
	jwks_unref(&set);
	return ERR_OK;
}

static enum err keys_make(const struct issuer *i, const struct db_rows *rows, ptrdiff_t active,
			  struct issuer_keys *k, struct fault *f)
{
	struct key *loaded[SIGNING_RECORDS_MAX] = {NULL};
	const struct signing_record *r = rows->v;
	enum err e = load_all(i, rows, loaded, f);

	if (e == ERR_OK) {
		k->alg = signing_alg(i);
		k->kid = str_dup(&k->arena, r[active].kid);
		k->fingerprint = fingerprint_of(&k->arena, rows, k->kid);
		write_jwks(rows, loaded, &k->jwks);
		k->signing = loaded[active];
		loaded[active] = NULL;
		e = make_trust(i, k, f);
	}
	for (size_t n = 0; n < rows->n; n++) {
		key_free(&loaded[n]);
	}
	return e;
}

/* Whether the keys in hand are made of these records. */
static bool is_current(struct issuer *i, struct arena *a, const struct db_rows *rows,
		       ptrdiff_t active)
{
	const struct signing_record *r = rows->v;
	struct issuer_keys *k = issuer_keys_get(i);
	bool same = k && str_eq(k->fingerprint, fingerprint_of(a, rows, r[active].kid));

	issuer_keys_unref(&k);
	return same;
}

enum err issuer_refresh(struct issuer *i, struct db *db, int64_t now_ms)
{
	struct signing_policy policy = policy_of(i);
	struct key_rotation rotation = {published_algs, ARRAY_LEN(published_algs), &policy,
					i->config.key_passphrase, now_ms};
	struct signing_plan plan;
	struct issuer_keys *k;
	struct db_rows rows;
	enum err e;

	TRY(key_store_rotate(db, &rotation, &rows));
	signing_plan_for(signing_alg(i), rows.v, rows.n, now_ms, &policy, &plan);
	ASSERT(plan.active >= 0);
	if (is_current(i, db_arena(db), &rows, plan.active)) {
		return ERR_OK;
	}
	k = MEM_NEW(struct issuer_keys);
	atomic_init(&k->refs, 1);
	arena_init(&k->arena, 0);
	e = keys_make(i, &rows, plan.active, k, db_fault(db));
	if (e != ERR_OK) {
		issuer_keys_unref(&k);
		return e;
	}
	put_keys(i, k);
	return ERR_OK;
}

struct trust *issuer_trust(struct issuer *i)
{
	struct issuer_keys *k = issuer_keys_get(i);
	struct trust *t = k ? trust_ref(k->trust) : NULL;

	issuer_keys_unref(&k);
	return t;
}

/* ---- life ---- */

static bool is_http(struct str url)
{
	return str_starts_nocase(url, STR("http://")) || str_starts_nocase(url, STR("https://"));
}

enum err issuer_check(const struct identity_config *config, struct fault *f)
{
	if (config->issuer.p && !is_http(config->issuer)) {
		return fault_set(f, ERR_INVALID, "identity.issuer must be an http or https URL");
	}
	if (config->key_passphrase.p && config->key_passphrase.n < SECRET_LEN_MIN) {
		return fault_set(f, ERR_INVALID,
				 "identity.key_passphrase must have %d characters or more",
				 SECRET_LEN_MIN);
	}
	return ERR_OK;
}

enum err issuer_new(const struct identity_config *config, struct issuer **out, struct fault *f)
{
	struct issuer *i;

	TRY(issuer_check(config, f));
	i = MEM_NEW(struct issuer);
	arena_init(&i->arena, 0);
	i->config = *config;
	i->config.issuer = str_dup(&i->arena, config->issuer);
	i->config.key_passphrase = str_dup(&i->arena, config->key_passphrase);
	i->name = config->issuer.p ? i->config.issuer : ISSUER_DEFAULT_NAME;
	i->base = i->config.issuer;
	while (str_ends(i->base, STR("/"))) {
		i->base.n--;
	}
	i->attempts = attempts_new((unsigned)config->failures_max, config->failures_window_ms,
				   ATTEMPTS_KEYS_MAX);
	(void)pthread_mutex_init(&i->mutex, NULL);
	*out = i;
	return ERR_OK;
}

void issuer_free(struct issuer **i)
{
	struct issuer *gone = *i;

	if (!gone) {
		return;
	}
	*i = NULL;
	issuer_keys_unref(&gone->keys);
	attempts_free(&gone->attempts);
	arena_fini(&gone->arena);
	(void)pthread_mutex_destroy(&gone->mutex);
	mem_free(gone);
}

/* ---- documents ---- */

static void put_text(struct json_writer *w, const char *name, struct str value)
{
	json_key(w, str_c(name));
	json_put_str(w, value);
}

static void put_list(struct json_writer *w, const char *name, const char *const *values)
{
	json_key(w, str_c(name));
	json_begin_array(w);
	for (; *values; values++) {
		json_put_str(w, str_c(*values));
	}
	json_end_array(w);
}

/* OpenID Connect Discovery 1.0, section 3, as far as client credentials go. */
enum err issuer_get_metadata(struct task *t)
{
	static const char *const grants[] = {"client_credentials", NULL};
	static const char *const methods[] = {"client_secret_basic", "client_secret_post", NULL};
	static const char *const scopes[] = {"connector", NULL};
	static const char *const subjects[] = {"public", NULL};
	static const char *const algs[] = {"RS256", "ES256", NULL};
	static const char *const none[] = {NULL};
	const struct issuer *i = t->role;
	struct str base = i->base.p ? i->base : t->base_url;
	struct json_writer w = task_reply_writer(t, 200);

	json_begin_object(&w);
	put_text(&w, "issuer", i->name);
	put_text(&w, "token_endpoint", endpoint(&t->arena, base, ISSUER_TOKEN_PATH));
	put_text(&w, "jwks_uri", endpoint(&t->arena, base, "/.well-known/jwks.json"));
	put_list(&w, "grant_types_supported", grants);
	put_list(&w, "token_endpoint_auth_methods_supported", methods);
	put_list(&w, "scopes_supported", scopes);
	put_list(&w, "response_types_supported", none);
	put_list(&w, "subject_types_supported", subjects);
	put_list(&w, "id_token_signing_alg_values_supported", algs);
	json_end_object(&w);
	http_header_add(&t->arena, &t->reply.headers, STR("Cache-Control"), CACHE_FOR_MINUTES);
	return ERR_OK;
}

enum err issuer_get_jwks(struct task *t)
{
	struct issuer_keys *keys;

	TRY(issuer_keys_for_task(t, &keys));
	http_header_add(&t->arena, &t->reply.headers, STR("Cache-Control"), CACHE_FOR_MINUTES);
	return task_reply_text(t, 200, STR("application/jwk-set+json"), buf_str(&keys->jwks));
}

static const struct rest_route routes[] = {
	{"GET", "/.well-known/openid-configuration", issuer_get_metadata, REST_DB, REST_OPEN, 0,
	 "OpenID Connect metadata of the issuer.", NULL, NULL},
	{"GET", "/.well-known/jwks.json", issuer_get_jwks, REST_DB, REST_OPEN, 0,
	 "Public keys of the issuer.", NULL, NULL},
	{"POST", ISSUER_TOKEN_PATH, issuer_post_token, REST_SLOW, REST_OPEN, 8192,
	 "Access token for a client's credentials.", NULL, NULL},
};

const struct rest_table issuer_table = {"identity", routes, ARRAY_LEN(routes)};
