/*
 * token - an access token for a tenant, for tests and operation
 *
 * With --server as a connector gets it: discovery, then the token endpoint. Without, signed
 * here with the key from the database, which needs no secret.
 */
#include "app/cli/cli.h"
#include "app/fetch.h"
#include "base/clock.h"
#include "base/enc.h"
#include "http/client.h"
#include "identity/issuer.h"
#include "identity/key_store.h"
#include "identity/secret_store.h"
#include "relay/tenant_store.h"

#include <stdio.h>

#define ANSWER_MAX ((size_t)64 << 10)
#define TIMEOUT_MS 15000

struct token_options {
	struct cli_options common;
	struct str server, tenant, secret, lifetime;
};

#define AT(member) offsetof(struct token_options, member)
static const struct option options[] = {
	CLI_OPTIONS,
	{"tenant", "NAME", "whose token", AT(tenant), false},
	{"server", "URL", "ask this server, as a connector does", AT(server), false},
	{"secret", "SECRET", "the tenant's, with --server", AT(secret), false},
	{"lifetime", "DURATION", "without --server; default: as configured", AT(lifetime), false},
};
#undef AT

struct token {
	struct str text;
	struct opt_i64 expires_in; /* seconds */
};

static const struct json_field token_fields[] = {
	{"access_token", JSON_F_STR, offsetof(struct token, text), JSON_REQUIRED, 0, 0},
	{"expires_in", JSON_F_OPT_I64, offsetof(struct token, expires_in), 0, 0, 0},
};
static const struct json_shape token_shape = {"token", token_fields, ARRAY_LEN(token_fields)};

/* ---- from a server ---- */

struct asking {
	struct cli *c;
	struct loop *loop;
	struct str url;
	struct str answer;
	enum err err;
};

static void on_answer(void *arg, const struct http_fetch_result *r)
{
	struct asking *q = arg;
	struct fault *f = &q->c->fault;

	if (r->err != ERR_OK) {
		q->err = fault_set(f, ERR_UNAVAILABLE, "%.*s: %s", STR_ARG(q->url),
				   err_name(r->err));
	} else if (r->status == 401 || r->status == 400) {
		q->err = fault_set(f, ERR_DENIED, "%.*s refused: is the secret right? %.*s",
				   STR_ARG(q->url), STR_ARG(cli_printable(&q->c->arena, r->body)));
	} else if (r->status != 200) {
		q->err = fault_set(f, ERR_UNAVAILABLE, "%.*s answered %d", STR_ARG(q->url),
				   r->status);
	} else {
		q->answer = str_dup(&q->c->arena, r->body);
		q->err = ERR_OK;
	}
	loop_stop(q->loop);
}

static enum err post_form(struct cli *c, struct str url, struct str form, struct str *out)
{
	static const struct http_header type = {STR_INIT("Content-Type"),
						STR_INIT("application/x-www-form-urlencoded")};
	struct asking q = {.c = c, .loop = loop_new(0), .url = url};
	struct http_call_spec spec = {
		.method = STR("POST"),
		.headers = &type,
		.n_headers = 1,
		.body_kind = HTTP_CALL_MEM,
		.body = form,
		.fd = -1,
		.timeout_ms = TIMEOUT_MS,
		.idle_timeout_ms = TIMEOUT_MS,
		.close = true,
	};

	q.err = uri_parse(url, &spec.uri, &c->fault);
	if (q.err == ERR_OK) {
		(void)http_fetch_start(http_client_of(q.loop), &spec, ANSWER_MAX, on_answer, &q);
		loop_run(q.loop);
		http_loop_fini(q.loop);
	}
	loop_free(&q.loop);
	*out = q.answer;
	return q.err;
}

static enum err token_endpoint(struct cli *c, struct str server, struct str *out)
{
	struct str base =
		str_ends(server, STR("/")) ? server : str_fmt(&c->arena, "%.*s/", STR_ARG(server));
	struct str url =
		str_fmt(&c->arena, "%.*s.well-known/relayserver-configuration", STR_ARG(base));
	struct str text;
	struct json *doc;

	TRY(fetch_text(&c->arena, url, &text, &c->fault));
	TRY(json_parse(&c->arena, text, &doc, &c->fault));
	*out = json_str(json_get(doc, STR("authorizationTokenEndpoint")));
	if (out->n == 0) {
		return fault_set(&c->fault, ERR_UNAVAILABLE, "%.*s names no token endpoint",
				 STR_ARG(url));
	}
	return ERR_OK;
}

static void put_form(struct buf *b, const char *name, struct str value)
{
	buf_printf(b, "%s%s=", b->n > 0 ? "&" : "", name);
	percent_encode(b, value);
}

static enum err ask_server(struct cli *c, const struct token_options *o, struct token *out)
{
	struct buf form = {0};
	struct str endpoint, text;
	struct json *answer;
	enum err e;

	if (o->secret.n == 0) {
		return fault_set(&c->fault, ERR_INVALID, "--server needs --secret, the tenant's");
	}
	TRY(token_endpoint(c, o->server, &endpoint));
	put_form(&form, "grant_type", STR("client_credentials"));
	put_form(&form, "scope", ISSUER_SCOPE);
	put_form(&form, "client_id", o->tenant);
	put_form(&form, "client_secret", o->secret);
	e = post_form(c, endpoint, buf_str(&form), &text);
	buf_free(&form);
	TRY(e);
	TRY(json_parse(&c->arena, text, &answer, &c->fault));
	return json_decode(&token_shape, answer, out, &c->fault);
}

/* ---- signed here ---- */

static enum err signing_key(struct cli *c, enum jwt_alg alg, struct key **out, struct str *kid)
{
	const struct identity_config *config = &c->settings->identity;
	struct db_rows rows;
	struct signing_plan plan;
	int64_t now = clock_wall_ms();

	TRY(key_store_list(c->db, &rows));
	signing_plan_for(alg, rows.v, rows.n, now, &signing_policy_default, &plan);
	if (plan.active < 0) {
		return fault_set(&c->fault, ERR_NOT_FOUND,
				 "the database has no signing key yet: start the server once");
	}
	const struct signing_record *record = (const struct signing_record *)rows.v + plan.active;
	*kid = record->kid;
	return signing_load(record, config->key_passphrase, out, &c->fault);
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

static void write_claims(struct cli *c, const struct client *client, int64_t life_ms,
			 struct buf *out)
{
	struct str issuer = c->settings->identity.issuer;
	struct json_writer w = json_writer_to(out);
	int64_t now = clock_wall_ms();

	json_begin_object(&w);
	put_text(&w, "iss", issuer.n > 0 ? issuer : ISSUER_DEFAULT_NAME);
	put_text(&w, "sub", client->name);
	put_text(&w, "aud", ISSUER_AUDIENCE);
	put_text(&w, "client_id", client->name);
	put_text(&w, "scope", ISSUER_SCOPE);
	put_int(&w, "iat", now / 1000);
	put_int(&w, "nbf", now / 1000);
	put_int(&w, "exp", (now + life_ms) / 1000);
	json_end_object(&w);
}

static enum err read_lifetime(struct cli *c, struct str text, int64_t *out)
{
	*out = c->settings->identity.token_lifetime_ms;
	if (text.p && (duration_parse(text, out) != ERR_OK || *out < 1000)) {
		return fault_set(&c->fault, ERR_INVALID, "--lifetime is a duration like 5m");
	}
	return ERR_OK;
}

static enum err sign_here(struct cli *c, const struct token_options *o, struct token *out)
{
	enum jwt_alg alg =
		c->settings->identity.algorithm == IDENTITY_ES256 ? JWT_ES256 : JWT_RS256;
	struct buf claims = {0};
	struct client client;
	struct key *key = NULL;
	int64_t life_ms;
	struct str kid = STR_NULL;

	TRY(read_lifetime(c, o->lifetime, &life_ms));
	TRY(client_find(c->db, client_normalize(&c->arena, o->tenant), &client));
	TRY(signing_key(c, alg, &key, &kid));
	write_claims(c, &client, life_ms, &claims);
	out->text = jwt_sign(&c->arena, key, alg, kid, buf_str(&claims));
	out->expires_in = (struct opt_i64){true, life_ms / 1000};
	buf_free(&claims);
	key_free(&key);
	return ERR_OK;
}

/* ---- the command ---- */

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	struct token_options *o = opts;
	struct token token = {0};
	struct cli c;
	enum err e;

	(void)args;
	(void)n_args;
	if (o->tenant.n == 0) {
		return command_usage_error(cmd, "--tenant says whose token");
	}
	e = o->server.n > 0 ? cli_open_settings(&c, &o->common) : cli_open(&c, &o->common);
	if (e == ERR_OK) {
		e = o->server.n > 0 ? ask_server(&c, o, &token) : sign_here(&c, o, &token);
	}
	if (e != ERR_OK) {
		return cli_failed(&c, e);
	}
	if (o->common.json) {
		cli_print_object(&token_shape, &token);
	} else {
		printf("%.*s\n", STR_ARG(token.text));
	}
	cli_close(&c);
	return EXIT_DONE;
}

const struct command token_command = {
	.name = "token",
	.doc = "Print an access token for a tenant.",
	.more = "posthouse token --server http://relay:5000 --tenant T --secret S\n"
		"    asks the server, as a connector does: a way to try a secret\n"
		"posthouse token --tenant T\n"
		"    signs one with the key in the configured database; its issuer is\n"
		"    identity.issuer",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct token_options),
	.run = run,
};
