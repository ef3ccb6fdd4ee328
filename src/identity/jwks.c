/* SPDX-License-Identifier: MIT */
/*
 * jwks - see jwks.h
 */
#include "identity/jwks.h"

#include "base/enc.h"
#include "base/mem.h"

#include <stdatomic.h>

struct jwk {
	struct str kid;	  /* p NULL = none */
	enum jwt_alg alg; /* JWT_ALG_NONE = any that fits the key */
	struct key *key;
};

struct jwks {
	atomic_uint refs;
	struct arena arena; /* key names */
	size_t n;
	struct jwk keys[JWKS_KEYS_MAX];
};

struct jwks *jwks_ref(struct jwks *set)
{
	atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
	return set;
}

void jwks_unref(struct jwks **set)
{
	struct jwks *s = *set;

	*set = NULL;
	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1) {
		return;
	}
	for (size_t i = 0; i < s->n; i++) {
		key_free(&s->keys[i].key);
	}
	arena_fini(&s->arena);
	mem_free(s);
}

size_t jwks_count(const struct jwks *set)
{
	return set->n;
}

/* A base64url number; numbers of zero length are no numbers. */
static enum err read_number(struct arena *a, const struct json *jwk, struct str name,
			    struct str *out)
{
	struct buf bytes = {0};
	enum err e = base64url_decode(&bytes, json_str(json_get(jwk, name)));

	*out = str_dup(a, buf_str(&bytes));
	buf_free(&bytes);
	return e == ERR_OK && out->n > 0 ? ERR_OK : ERR_INVALID;
}

static bool curve_of(struct str crv, enum key_kind *out)
{
	static const struct {
		struct str name;
		enum key_kind kind;
	} curves[] = {
		{STR_INIT("P-256"), KEY_P256},
		{STR_INIT("P-384"), KEY_P384},
		{STR_INIT("P-521"), KEY_P521},
	};

	for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
		if (str_eq(crv, curves[i].name)) {
			*out = curves[i].kind;
			return true;
		}
	}
	return false;
}

static enum err read_key(struct arena *a, const struct json *jwk, struct key **out)
{
	struct str kty = json_str(json_get(jwk, STR("kty")));
	struct str first, second;
	enum key_kind kind;

	if (str_eq(kty, STR("RSA"))) {
		TRY(read_number(a, jwk, STR("n"), &first));
		TRY(read_number(a, jwk, STR("e"), &second));
		return key_from_rsa(first, second, out, NULL);
	}
	if (!str_eq(kty, STR("EC")) || !curve_of(json_str(json_get(jwk, STR("crv"))), &kind)) {
		return ERR_INVALID;
	}
	TRY(read_number(a, jwk, STR("x"), &first));
	TRY(read_number(a, jwk, STR("y"), &second));
	return key_from_point(kind, first, second, out, NULL);
}

/* "use" and "key_ops" (RFC 7517 4.2, 4.3), where given, must allow verifying. */
static bool is_for_verifying(const struct json *jwk)
{
	const struct json *use = json_get(jwk, STR("use")), *ops = json_get(jwk, STR("key_ops"));

	if (use && !str_eq(json_str(use), STR("sig"))) {
		return false;
	}
	if (!ops) {
		return true;
	}
	for (const struct json *op = ops->child; op; op = op->next) {
		if (str_eq(json_str(op), STR("verify"))) {
			return true;
		}
	}
	return false;
}

/* False for keys to pass over. */
static bool read_jwk(struct arena *a, const struct json *jwk, struct jwk *out)
{
	const struct json *alg = json_get(jwk, STR("alg")), *kid = json_get(jwk, STR("kid"));

	if (jwk->type != JSON_OBJECT || !is_for_verifying(jwk) ||
	    (kid && (kid->type != JSON_STRING || kid->text.n > JWT_KID_MAX))) {
		return false;
	}
	out->kid = kid ? str_of(kid->text.p ? kid->text.p : "", kid->text.n) : STR_NULL;
	out->alg = jwt_alg_parse(json_str(alg));
	if ((alg && out->alg == JWT_ALG_NONE) || read_key(a, jwk, &out->key) != ERR_OK) {
		return false;
	}
	if (alg && !jwt_alg_fits(out->alg, key_kind(out->key))) {
		key_free(&out->key);
		return false;
	}
	return true;
}

static struct jwks *jwks_of(struct arena *scratch, const struct json *keys)
{
	struct jwks *set = MEM_NEW(struct jwks);

	atomic_init(&set->refs, 1);
	arena_init(&set->arena, 0);
	for (const struct json *v = keys->child; v; v = v->next) {
		struct jwk *key = &set->keys[set->n];

		if (read_jwk(scratch, v, key)) {
			key->kid = str_dup(&set->arena, key->kid);
			set->n++;
		}
	}
	return set;
}

static enum err parse(struct arena *scratch, struct str text, struct jwks **out, struct fault *f)
{
	const struct json *keys;
	struct json *tree;

	if (json_parse(scratch, text, &tree, NULL) != ERR_OK) {
		return fault_set(f, ERR_INVALID, "the key set is not valid JSON");
	}
	keys = json_get(tree, STR("keys"));
	if (!keys || keys->type != JSON_ARRAY) {
		return fault_set(f, ERR_INVALID, "the key set has no array 'keys'");
	}
	if (keys->n > JWKS_KEYS_MAX) {
		return fault_set(f, ERR_LIMIT, "the key set has more than %d keys", JWKS_KEYS_MAX);
	}
	*out = jwks_of(scratch, keys);
	return ERR_OK;
}

enum err jwks_parse(struct str text, struct jwks **out, struct fault *f)
{
	struct arena scratch;
	enum err e;

	if (text.n > JWKS_TEXT_MAX) {
		return fault_set(f, ERR_LIMIT, "the key set is longer than %zu bytes",
				 JWKS_TEXT_MAX);
	}
	arena_init(&scratch, 0);
	e = parse(&scratch, text, out, f);
	arena_fini(&scratch);
	return e;
}

static bool qualifies(const struct jwk *key, const struct jwt *jwt)
{
	if (jwt->kid.p && key->kid.p && !str_eq(jwt->kid, key->kid)) {
		return false;
	}
	return (key->alg == JWT_ALG_NONE || key->alg == jwt->alg) &&
	       jwt_alg_fits(jwt->alg, key_kind(key->key));
}

enum err jwks_verify(const struct jwks *set, const struct jwt *jwt)
{
	enum err refusal = ERR_NOT_FOUND;
	size_t tries = 0;

	for (size_t i = 0; i < set->n && tries < JWKS_TRIES_MAX; i++) {
		const struct jwk *key = &set->keys[i];

		if (!qualifies(key, jwt)) {
			continue;
		}
		if (jwt_verify(jwt, key->key)) {
			return ERR_OK;
		}
		if (jwt->kid.p && key->kid.p) {
			refusal = ERR_UNAUTHENTICATED;
		}
		tries++;
	}
	return refusal;
}

void jwks_write(const struct jwks_entry *entries, size_t n, struct buf *out)
{
	struct json_writer w = json_writer_to(out);

	json_begin_object(&w);
	json_key(&w, STR("keys"));
	json_begin_array(&w);
	for (size_t i = 0; i < n; i++) {
		json_begin_object(&w);
		key_write_public(entries[i].key, &w);
		json_key(&w, STR("use"));
		json_put_str(&w, STR("sig"));
		json_key(&w, STR("alg"));
		json_put_str(&w, jwt_alg_name(entries[i].alg));
		json_key(&w, STR("kid"));
		json_put_str(&w, entries[i].kid);
		json_end_object(&w);
	}
	json_end_array(&w);
	json_end_object(&w);
}
