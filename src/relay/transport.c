/* /connector: which transport is meant, and posts from those that cannot send (RelayServer 5.2). */
#include "relay/transport.h"

#include "base/enc.h"
#include "relay/negotiate.h"

static const struct str no_such_connection = STR_INIT("No Connection with that ID");

/* -- reserving --------------------------------------------------------------------- */

struct hub_conn *transport_reserved(struct errand *e)
{
	struct hub_conn *c = e->rl->stopped ? NULL : hub_find(e->rl, e->token);

	return c && c->state == HUB_WAITING && c->is_reserved ? c : NULL;
}

static void on_new_conn(struct errand *e)
{
	struct hub_conn *c = e->link;

	e->link = NULL;
	c->is_reserved = true;
	e->token = str_dup(&e->arena, hub_token(c));
	e->resume_reserved(e);
}

/* NULL: answered. Of others' connections nobody hears that they exist. */
static struct hub_conn *find_own(struct errand *e)
{
	struct hub_conn *c = hub_find(e->rl, e->token);

	if (!c || !str_eq(c->visitor.tenant_key, e->visitor.tenant_key)) {
		errand_reply_text(e, 404, no_such_connection);
		return NULL;
	}
	return c;
}

void transport_reserve(struct errand *e, enum transport_kind kind, errand_fn *then)
{
	if (!e->token.p) {
		e->resume_reserved = then;
		negotiate_conn(e, on_new_conn);
		return;
	}
	struct hub_conn *c = find_own(e);

	if (!c) {
		return;
	}
	if (c->transport && c->transport->kind != kind) {
		errand_reply_text(e, 400, STR("Cannot change transports mid-connection"));
	} else if (c->transport || c->is_reserved) {
		errand_reply_text(e, 409, STR(""));
	} else {
		c->is_reserved = true;
		then(e);
	}
}

/* -- the endpoint ------------------------------------------------------------------- */

/* Any loop can tell where a token belongs: its last byte. */
static struct relay_loop *home_of_token(struct relay *r, struct str token)
{
	struct buf raw = {0};
	struct relay_loop *home = NULL;

	if (token.n == HUB_TOKEN_LEN && base64url_decode(&raw, token) == ERR_OK && raw.n == 16) {
		unsigned index = (uint8_t)buf_head(&raw)[15];

		home = index < r->n_loops ? &r->loops[index] : NULL;
	}
	buf_free(&raw);
	return home;
}

static struct str id_of(struct exchange *x)
{
	struct str id = STR_NULL;

	if (form_get_nocase(exchange_arena(x), exchange_request(x)->query, STR("id"), &id) !=
	    ERR_OK) {
		return STR_NULL;
	}
	return id.n > 0 ? id : STR_NULL;
}

/* Only a WebSocket may come without an id. NULL: answered. */
static struct errand *connector_errand(struct relay_loop *rl, struct exchange *x, bool needs_id,
				       struct relay_loop **out_home)
{
	struct hub_visitor v;

	if (!endpoint_visitor(rl, x, TOKEN_IN_QUERY_TOO, &v)) {
		return NULL;
	}
	struct str id = id_of(x);

	if (!id.p && needs_id) {
		exchange_reply_text(x, 400, STR("text/plain"), STR("Connection ID required"));
		return NULL;
	}
	*out_home = id.p ? home_of_token(rl->relay, id) : relay_home(rl->relay, v.tenant_key);
	if (!*out_home) {
		exchange_reply_text(x, 404, STR("text/plain"), no_such_connection);
		return NULL;
	}
	struct errand *e = errand_new(rl, x);

	errand_set_visitor(e, &v);
	e->token = str_dup(&e->arena, id);
	return e;
}

/* The poll stands at home: there it must be known that nobody is left to be answered. */
static void on_poll_abort(struct exchange *x, int status)
{
	struct relay_loop *rl = exchange_user(x);
	struct str id = id_of(x);
	struct relay_loop *home = home_of_token(rl->relay, id);

	(void)status;
	if (home) {
		struct errand *e = errand_new(rl, x);

		e->token = str_dup(&e->arena, id);
		errand_go(e, home, transport_poll_gone);
	}
}

static const struct exchange_handler poll_handler = {.on_abort = on_poll_abort};

static void endpoint_get(struct relay_loop *rl, struct exchange *x)
{
	const struct http_request *q = exchange_request(x);
	struct str accept = http_header_get(&q->headers, STR("Accept"));
	bool events = str_find(accept, STR("text/event-stream")) >= 0;
	struct relay_loop *home;
	struct errand *e;

	/* Nothing is reserved yet: the client goes on with another transport. */
	if (events && q->major == 2) {
		exchange_reply_text(x, 406, STR("text/plain"),
				    STR("Server-Sent Events need HTTP/1.1"));
		return;
	}
	if (http_request_has_body(q)) {
		exchange_reply_text(x, 400, STR("text/plain"), STR("A body is not expected"));
		return;
	}
	e = connector_errand(rl, x, !q->upgrade_websocket, &home);
	if (!e) {
		return;
	}
	if (q->upgrade_websocket) {
		errand_go(e, home, transport_ws);
	} else if (events) {
		errand_go(e, home, transport_sse);
	} else {
		exchange_set_user(x, rl);
		exchange_collect(x, 0, &poll_handler);
		errand_go(e, home, transport_poll);
	}
}

/* -- posts ----------------------------------------------------------------------------- */

static void on_post_home(struct errand *e)
{
	struct hub_conn *c = find_own(e);

	if (!c) {
		return;
	}
	if (c->transport && c->transport->kind == TRANSPORT_WS) {
		errand_reply_text(e, 405,
				  STR("POST requests are not allowed for WebSocket connections."));
		return;
	}
	if (!c->transport) {
		errand_reply_text(e, 404, no_such_connection);
		return;
	}
	struct buf data = {0};

	buf_move(&data, &e->data);
	hub_feed(c, buf_str(&data));
	buf_free(&data);
	errand_reply(e, 200, STR("text/plain"));
}

static void on_post_end(struct exchange *x)
{
	struct relay_loop *rl = exchange_user(x);
	struct relay_loop *home;
	struct errand *e = connector_errand(rl, x, true, &home);

	if (e) {
		buf_put(&e->data, exchange_body(x));
		errand_go(e, home, on_post_home);
	}
}

static const struct exchange_handler post_handler = {.on_end = on_post_end};

static void endpoint_post(struct relay_loop *rl, struct exchange *x)
{
	struct hub_visitor v;

	/* Before a byte of the body; again at its end, which costs a look into the cache. */
	if (endpoint_visitor(rl, x, TOKEN_IN_QUERY_TOO, &v)) {
		exchange_set_user(x, rl);
		exchange_collect(x, (size_t)rl->epoch->config->message_max, &post_handler);
	}
}

/* -- delete ------------------------------------------------------------------------------ */

static void on_delete_home(struct errand *e)
{
	struct hub_conn *c = find_own(e);

	if (!c) {
		return;
	}
	if (!c->transport || c->transport->kind != TRANSPORT_POLL) {
		errand_reply_text(
			e, 400, STR("Cannot terminate this connection using the DELETE endpoint."));
		return;
	}
	hub_close(c, HUB_SILENT);
	errand_reply_text(e, 202, STR(""));
}

static void endpoint_delete(struct relay_loop *rl, struct exchange *x)
{
	struct relay_loop *home;
	struct errand *e = connector_errand(rl, x, true, &home);

	if (e) {
		errand_go(e, home, on_delete_home);
	}
}

void endpoint_connector(struct relay_loop *rl, struct exchange *x)
{
	enum http_method m = exchange_request(x)->method;

	if (m == HTTP_GET) {
		endpoint_get(rl, x);
	} else if (m == HTTP_POST) {
		endpoint_post(rl, x);
	} else if (m == HTTP_DELETE) {
		endpoint_delete(rl, x);
	} else {
		exchange_reply_allow(x, STR("GET, POST, DELETE"));
	}
}
