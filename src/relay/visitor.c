/* Who calls a connector endpoint: the token and the connector policy (RelayServer 4.1, 4.2). */
#include "base/clock.h"
#include "base/enc.h"
#include "relay/authority.h"
#include "relay/endpoint.h"

static struct str token_of(struct exchange *x, enum token_place place)
{
	const struct http_request *q = exchange_request(x);
	struct str header = http_header_get(&q->headers, STR("Authorization"));
	struct str token = STR_NULL;

	/* A browser cannot set headers on a WebSocket: its token wins. */
	if (place == TOKEN_IN_QUERY_TOO &&
	    form_get_nocase(exchange_arena(x), q->query, STR("access_token"), &token) == ERR_OK &&
	    token.n > 0) {
		return token;
	}
	return header.p && bearer_from_header(header, &token) ? token : STR_NULL;
}

static void challenge(struct exchange *x, bool had_token, const struct fault *f)
{
	struct buf b = {0};

	bearer_challenge(&b, had_token, str_c(f->text));
	struct http_header h = {STR("WWW-Authenticate"), str_dup(exchange_arena(x), buf_str(&b))};

	buf_free(&b);
	exchange_reply(x, &(struct exchange_answer){.status = 401, .headers = &h, .n_headers = 1});
}

/* False: answered. */
static bool check(struct relay_loop *rl, struct exchange *x, struct str token,
		  struct principal *out)
{
	struct fault f = {0};
	enum err e = ERR_UNAUTHENTICATED;

	if (token.p) {
		e = validator_check(rl->validator, token, clock_wall_ms(), exchange_arena(x), out,
				    &f);
	}
	if (e == ERR_AGAIN) {
		authority_miss(rl->relay->authority);
	}
	if (e == ERR_OK) {
		e = policy_connector(out, &f);
	}
	if (e == ERR_OK) {
		return true;
	}
	if (e == ERR_DENIED || e == ERR_UNAVAILABLE) {
		exchange_reply_status(x, e == ERR_DENIED ? 403 : 503);
	} else {
		challenge(x, token.p != NULL, &f);
	}
	return false;
}

bool endpoint_visitor(struct relay_loop *rl, struct exchange *x, enum token_place place,
		      struct hub_visitor *out)
{
	struct arena *a = exchange_arena(x);
	struct principal who;
	char ip[ADDR_TEXT_MAX];

	if (!check(rl, x, token_of(x, place), &who)) {
		return false;
	}
	*out = (struct hub_visitor){
		.tenant_key = tenant_normalize(a, who.client_id),
		.client_id = who.client_id,
		.client_name = who.name,
		.client_description = who.description,
		.remote_ip =
			str_dup(a, str_of(ip, addr_format_ip(relay_client_addr(x, rl->relay), ip))),
	};
	if (!out->tenant_key.p) {
		exchange_reply_status(x, 403);
		return false;
	}
	return true;
}
