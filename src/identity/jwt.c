/* SPDX-License-Identifier: MIT */
/*
 * jwt - see jwt.h
 */
#include "identity/jwt.h"

#include "base/enc.h"

#define HEADER_TEXT_MAX (size_t)4096	 /* encoded; ours has 70 bytes */
#define TIME_MAX_S INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

/* Decodes base64url as JOSE has it: no padding (RFC 7515 2). */
static enum err decode_part(struct arena *a, struct str part, const char *what, struct str *out,
			    struct fault *f)
{
	struct buf bytes = {0};

	if (str_index(part, '=') >= 0 || base64url_decode(&bytes, part) != ERR_OK) {
		buf_free(&bytes);
		return fault_set(f, ERR_INVALID, "The token's %s is not base64url", what);
	}
	*out = str_dup(a, buf_str(&bytes));
	buf_free(&bytes);
	return ERR_OK;
}

static enum err parse_object(struct arena *a, struct str text, const char *what, struct json **out,
			     struct fault *f)
{
	if (json_parse(a, text, out, NULL) != ERR_OK || (*out)->type != JSON_OBJECT) {
		return fault_set(f, ERR_INVALID, "The token's %s is not a JSON object", what);
	}
	return ERR_OK;
}

static enum err read_kid(const struct json *header, struct str *out, struct fault *f)
{
	const struct json *kid = json_get(header, STR("kid"));

	*out = STR_NULL;
	if (!kid) {
		return ERR_OK;
	}
	if (kid->type != JSON_STRING || kid->text.n > JWT_KID_MAX) {
		return fault_set(f, ERR_INVALID, "The token's key identifier is invalid");
	}
	*out = kid->text.p ? kid->text : STR("");
	return ERR_OK;
}

static enum err read_header(struct arena *a, struct str part, struct jwt *out, struct fault *f)
{
	struct json *header;
	struct str text = STR_NULL;

	if (part.n > HEADER_TEXT_MAX) {
		return fault_set(f, ERR_LIMIT, "The token's header is too long");
	}
	TRY(decode_part(a, part, "header", &text, f));
	TRY(parse_object(a, text, "header", &header, f));
	if (json_get(header, STR("crit"))) {
		return fault_set(f, ERR_INVALID, "The token demands an unknown extension");
	}
	out->alg = jwt_alg_parse(json_str(json_get(header, STR("alg"))));
	if (out->alg == JWT_ALG_NONE) {
		return fault_set(f, ERR_INVALID, "The signature algorithm is not accepted");
	}
	return read_kid(header, &out->kid, f);
}

/* Splits "a.b.c"; exactly three parts, none of them empty. */
static bool split_parts(struct str token, struct str part[3])
{
	ptrdiff_t first = str_index(token, '.'), last = str_rindex(token, '.');

	if (first <= 0 || last <= first + 1) {
		return false;
	}
	part[0] = str_slice(token, 0, (size_t)first);
	part[1] = str_slice(token, (size_t)first + 1, (size_t)(last - first) - 1);
	part[2] = str_skip(token, (size_t)last + 1);
	return part[2].n > 0 && str_index(part[1], '.') < 0;
}

enum err jwt_parse(struct arena *a, struct str token, struct jwt *out, struct fault *f)
{
	struct str part[3];
	struct jwt jwt = {0};

	if (token.n > JWT_LEN_MAX) {
		return fault_set(f, ERR_LIMIT, "The token is longer than %zu bytes", JWT_LEN_MAX);
	}
	if (!split_parts(token, part)) {
		return fault_set(f, ERR_INVALID, "The token does not have three parts");
	}
	TRY(read_header(a, part[0], &jwt, f));
	TRY(decode_part(a, part[1], "payload", &jwt.payload, f));
	TRY(decode_part(a, part[2], "signature", &jwt.signature, f));
	jwt.signed_part = str_of(token.p, part[0].n + 1 + part[1].n);
	*out = jwt;
	return ERR_OK;
}

bool jwt_verify(const struct jwt *jwt, const struct key *key)
{
	return key_verify(key, jwt->alg, jwt->signed_part, jwt->signature);
}

/* NumericDate (RFC 7519 2): seconds, perhaps with a fraction, which is cut off. */
static enum err read_time(const struct json *claims, struct str name, struct opt_i64 *out,
			  struct fault *f)
{
	const struct json *v = json_get(claims, name);
	struct str seconds;
	uint64_t s;

	*out = (struct opt_i64){0};
	if (!v) {
		return ERR_OK;
	}
	seconds = v->text;
	if (str_index(seconds, '.') >= 0) {
		seconds = str_slice(seconds, 0, (size_t)str_index(seconds, '.'));
	}
	if (v->type != JSON_NUMBER || str_index(v->text, 'e') >= 0 ||
	    str_index(v->text, 'E') >= 0 || !str_to_u64(seconds, &s) || s > (uint64_t)TIME_MAX_S) {
		return fault_set(f, ERR_INVALID, "The token's claim '%.*s' is not a time",
				 STR_ARG(name));
	}
	*out = (struct opt_i64){true, (int64_t)s * 1000};
	return ERR_OK;
}

enum err jwt_claims(struct arena *a, const struct jwt *jwt, struct jwt_claims *out, struct fault *f)
{
	struct jwt_claims claims = {0};
	struct json *tree;

	TRY(parse_object(a, jwt->payload, "payload", &tree, f));
	claims.tree = tree;
	claims.iss = json_str(json_get(tree, STR("iss")));
	claims.sub = json_str(json_get(tree, STR("sub")));
	claims.client_id = json_str(json_get(tree, STR("client_id")));
	claims.client_name = json_str(json_get(tree, STR("client_name")));
	claims.client_description = json_str(json_get(tree, STR("client_description")));
	TRY(read_time(tree, STR("exp"), &claims.exp_ms, f));
	TRY(read_time(tree, STR("nbf"), &claims.nbf_ms, f));
	TRY(read_time(tree, STR("iat"), &claims.iat_ms, f));
	*out = claims;
	return ERR_OK;
}

bool jwt_claims_has_audience(const struct jwt_claims *claims, struct str audience)
{
	const struct json *aud = json_get(claims->tree, STR("aud"));

	if (!aud) {
		return false;
	}
	if (aud->type == JSON_ARRAY) {
		for (const struct json *v = aud->child; v; v = v->next) {
			if (v->type == JSON_STRING && str_eq(v->text, audience)) {
				return true;
			}
		}
		return false;
	}
	return aud->type == JSON_STRING && str_eq(aud->text, audience);
}

struct str jwt_claims_scopes(struct arena *a, const struct jwt_claims *claims)
{
	const struct json *scope = json_get(claims->tree, STR("scope"));
	struct buf words = {0};
	struct str out;

	if (!scope || scope->type != JSON_ARRAY) {
		return json_str(scope);
	}
	for (const struct json *v = scope->child; v; v = v->next) {
		buf_put(&words, json_str(v));
		buf_putc(&words, ' ');
	}
	out = str_dup(a, buf_str(&words));
	buf_free(&words);
	return out;
}

struct str jwt_sign(struct arena *a, const struct key *key, enum jwt_alg alg, struct str kid,
		    struct str claims)
{
	struct buf header = {0}, token = {0}, signature = {0};
	struct json_writer w = json_writer_to(&header);
	struct str out;

	json_begin_object(&w);
	json_key(&w, STR("alg"));
	json_put_str(&w, jwt_alg_name(alg));
	json_key(&w, STR("kid"));
	json_put_str(&w, kid);
	json_key(&w, STR("typ"));
	json_put_str(&w, STR("at+jwt"));
	json_end_object(&w);

	base64url_encode(&token, buf_str(&header));
	buf_putc(&token, '.');
	base64url_encode(&token, claims);
	key_sign(key, alg, buf_str(&token), &signature);
	buf_putc(&token, '.');
	base64url_encode(&token, buf_str(&signature));

	out = str_dup(a, buf_str(&token));
	buf_free(&header);
	buf_free(&token);
	buf_free(&signature);
	return out;
}
