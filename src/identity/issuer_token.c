/* SPDX-License-Identifier: MIT */
/*
 * issuer_token - POST /connect/token (RFC 6749 4.4, 5)
 */
#include "base/clock.h"
#include "identity/credentials.h"
#include "identity/issuer_int.h"
#include "identity/secret_store.h"

/* RFC 6749 5.1: answers with tokens or about credentials are not to be kept. */
static void forbid_caching(struct task *t)
{
	http_header_add(&t->arena, &t->reply.headers, STR("Cache-Control"), STR("no-store"));
	http_header_add(&t->arena, &t->reply.headers, STR("Pragma"), STR("no-cache"));
}

static void write_refusal(struct task *t, int status, struct str error, const char *text)
{
	struct json_writer w = task_reply_writer(t, status);

	json_begin_object(&w);
	json_key(&w, STR("error"));
	json_put_str(&w, error);
	json_key(&w, STR("error_description"));
	json_put_str(&w, str_c(text));
	json_end_object(&w);
	forbid_caching(t);
}

static enum err refuse(struct task *t, const struct token_request *r, enum oauth_error error,
		       const char *text)
{
	int status = oauth_error_status(error);

	write_refusal(t, status, oauth_error_name(error), text);
	if (status == 401 && r->by_header) {
		http_header_add(&t->arena, &t->reply.headers, STR("WWW-Authenticate"),
				STR("Basic realm=\"posthouse\", charset=\"UTF-8\""));
	}
	return ERR_OK;
}

/* "slow_down" is RFC 8628's word; RFC 6749 has none. */
static enum err refuse_for_now(struct task *t, int64_t wait_ms)
{
	write_refusal(t, 429, STR("slow_down"), "Too many wrong secrets; wait.");
	http_header_add(&t->arena, &t->reply.headers, STR("Retry-After"),
			str_fmt(&t->arena, "%lld", (long long)((wait_ms + 999) / 1000)));
	return ERR_OK;
}

static bool is_form(const struct task *t)
{
	struct str type = http_header_get(&t->request.headers, STR("Content-Type"));
	ptrdiff_t semicolon = str_index(type, ';');

	if (semicolon >= 0) {
		type = str_slice(type, 0, (size_t)semicolon);
	}
	return str_eq_nocase(str_trim(type), STR("application/x-www-form-urlencoded"));
}

/* Asking for nothing means the one scope there is. */
static bool is_scope_known(struct str scope)
{
	struct str word;

	while (str_split(&scope, ' ', &word)) {
		if (word.n > 0 && !str_eq(word, ISSUER_SCOPE)) {
			return false;
		}
	}
	return true;
}

static void put_text(struct json_writer *w, const char *name, struct str value)
{
	json_key(w, str_c(name));
	json_put_str(w, value);
}

static void put_int(struct json_writer *w, const char *name, int64_t value)
{
	json_key(w, str_c(name));
	json_put_int(w, value);
}

static void write_claims(struct task *t, const struct client *c, int64_t now_ms, struct buf *out)
{
	const struct issuer *i = t->role;
	struct json_writer w = json_writer_to(out);
	struct guid id = guid_new();

	json_begin_object(&w);
	put_text(&w, "iss", i->name);
	put_text(&w, "sub", c->name);
	put_text(&w, "aud", ISSUER_AUDIENCE);
	put_text(&w, "client_id", c->name);
	put_text(&w, "client_name", c->display_name.n ? c->display_name : c->name);
	if (c->description.n) {
		put_text(&w, "client_description", c->description);
	}
	put_text(&w, "scope", ISSUER_SCOPE);
	put_int(&w, "iat", now_ms / 1000);
	put_int(&w, "nbf", now_ms / 1000);
	put_int(&w, "exp", (now_ms + i->config.token_lifetime_ms) / 1000);
	put_text(&w, "jti", guid_d_str(&t->arena, &id));
	json_end_object(&w);
}

static enum err reply_token(struct task *t, const struct client *c, int64_t now_ms)
{
	const struct issuer *i = t->role;
	struct issuer_keys *keys;
	struct json_writer w;
	struct buf claims = {0};
	struct str token;

	TRY(issuer_keys_for_task(t, &keys));
	write_claims(t, c, now_ms, &claims);
	token = jwt_sign(&t->arena, keys->signing, keys->alg, keys->kid, buf_str(&claims));
	buf_free(&claims);
	w = task_reply_writer(t, 200);
	json_begin_object(&w);
	put_text(&w, "access_token", token);
	put_text(&w, "token_type", STR("Bearer"));
	put_int(&w, "expires_in", i->config.token_lifetime_ms / 1000);
	put_text(&w, "scope", ISSUER_SCOPE);
	json_end_object(&w);
	forbid_caching(t);
	return ERR_OK;
}

/* The secret is right: a token. Wrong: counted, and after too many of them 429. */
static enum err authenticate(struct task *t, const struct token_request *r)
{
	struct attempts *attempts = ((struct issuer *)t->role)->attempts;
	struct str name = client_normalize(&t->arena, r->client_id);
	struct str who = str_fmt(&t->arena, "%.*s %.*s", STR_ARG(t->peer_ip), STR_ARG(name));
	int64_t mono_ms = (int64_t)clock_mono_ms(), now_ms = clock_wall_ms();
	int64_t wait_ms = attempts_wait_ms(attempts, who, mono_ms);
	struct client client;
	enum err e;

	if (wait_ms > 0) {
		return refuse_for_now(t, wait_ms);
	}
	e = client_authenticate(t->db, name, r->client_secret, now_ms, &client);
	if (e == ERR_UNAUTHENTICATED) {
		attempts_failed(attempts, who, mono_ms);
		return refuse(t, r, OAUTH_INVALID_CLIENT, "Client unknown or secret wrong.");
	}
	TRY(e);
	attempts_succeeded(attempts, who);
	return reply_token(t, &client, now_ms);
}

enum err issuer_post_token(struct task *t)
{
	struct str authorization = http_header_get(&t->request.headers, STR("Authorization"));
	struct oauth_refusal refusal;
	struct token_request r = {0};

	if (!is_form(t)) {
		return refuse(t, &r, OAUTH_INVALID_REQUEST,
			      "Send application/x-www-form-urlencoded.");
	}
	if (token_request_parse(&t->arena, authorization, t->body, &r, &refusal) != ERR_OK) {
		return refuse(t, &r, refusal.error, refusal.text);
	}
	if (!str_eq(r.grant_type, STR("client_credentials"))) {
		return refuse(t, &r, OAUTH_UNSUPPORTED_GRANT_TYPE,
			      "Only client_credentials is served.");
	}
	if (!is_scope_known(r.scope)) {
		return refuse(t, &r, OAUTH_INVALID_SCOPE, "Only the scope connector is known.");
	}
	return authenticate(t, &r);
}
