/*
 * The request at the service: its tries, and what becomes of the answer.
 *
 * A try that fails before the answer began is followed by another one, where the method and the
 * body allow it; see proxy.c for the states.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/call_int.h"

/* ---- a streamed body ---- */

/*
 * Where its length is unknown it is not collected first: the client may wait for an answer to its
 * beginning before it sends the rest. So it is passed on as it comes, and while it is small also
 * kept, for another try. A service over HTTP/2 says of what it has not looked at, and any method
 * may be tried again then.
 */
static bool is_worth_keeping(const struct gw_call *c)
{
	return c->streams_body && exchange_request(c->x)->framing == HTTP_BODY_CHUNKED &&
	       c->entry->traits.request_buffering && c->tries_left > 0 &&
	       (c->entry->service->http2 ||
		http_method_is_idempotent(http_method_parse(c->method)));
}

static void forget_body(struct gw_call *c)
{
	c->keeps_body = false;
	buf_free(&c->kept_body);
}

static void keep_body(struct gw_call *c, struct str data)
{
	if (c->kept_body.n + data.n <= (size_t)c->gl->gateway->config->body_replay_max) {
		buf_put(&c->kept_body, data);
	} else {
		forget_body(c);
	}
}

void call_pass_body(struct gw_call *c, struct str data)
{
	if (c->keeps_body) {
		keep_body(c, data);
	}
	if (!c->call) {
		return;
	}
	http_call_write(c->call, data);
	if (http_call_pending(c->call) >= STREAM_HIGH_WATER) {
		exchange_pause_body(c->x);
	}
}

void call_end_body(struct gw_call *c)
{
	const struct http_headers *own;

	c->body_over = true;
	if (c->call) {
		own = call_own_trailers(c);
		http_call_finish_trailers(c->call, own ? own->v : NULL, own ? own->n : 0);
	}
}

/* No more of it until there is another try: whatever is passed on has somewhere to go. */
static void hold_body(struct gw_call *c)
{
	if (c->streams_body && c->body_asked && !c->body_over) {
		c->body_asked = false;
		exchange_pause_body(c->x);
	}
}

static void give_kept_body(struct gw_call *c)
{
	http_call_write(c->call, buf_str(&c->kept_body));
	if (c->body_over) {
		call_end_body(c);
	}
}

/* ---- the service's answer ---- */

static bool is_head(struct str method)
{
	return str_eq(method, STR("HEAD"));
}

static int64_t length_of(const struct gw_call *c, const struct http_response *r)
{
	if (is_head(c->method) && !is_head(exchange_request(c->x)->method_text)) {
		return 0; /* a plugin asked for no more */
	}
	if (r->framing == HTTP_BODY_LENGTH || r->has_content_length) {
		return (int64_t)r->content_length;
	}
	return r->framing == HTTP_BODY_NONE && (r->status == 204 || r->status == 304) ? 0 : -1;
}

static void take_head(struct gw_call *c, const struct http_response *r)
{
	c->facts.upstream_ms = (int32_t)(loop_now_ms(c->gl->loop) - c->upstream_start_ms);
	c->facts.upstream_status = r->status;
	c->status = r->status;
	c->from_service = true;
	forget_body(c);
	call_take_answer_head(c, r);
}

static void on_head(struct http_call *hc, const struct http_response *r)
{
	struct gw_call *c = http_call_user(hc);
	bool is_wanted;

	take_head(c, r);
	call_run_response_head(c);
	is_wanted = call_wants_answer_body(c);
	if (is_wanted && r->framing != HTTP_BODY_NONE) {
		call_enter(c, CALL_WHOLE);
		return;
	}
	call_enter(c, CALL_ANSWER);
	call_finish_answer_head(c);
	/* How long a body that does not come would be once it is edited, nobody knows. */
	c->answer_length = is_wanted ? -1 : length_of(c, r);
	exchange_start(c->x, c->status, c->answer.v, c->answer.n, c->answer_length);
}

static void collect(struct gw_call *c, struct str data)
{
	if (c->answer_body.n + data.n > (size_t)c->gl->gateway->config->body_memory_max) {
		call_fail_bad_answer(c);
	} else if (call_hold_bytes(c, data.n)) {
		buf_put(&c->answer_body, data);
	}
}

static void on_data(struct http_call *hc, struct str data)
{
	struct gw_call *c = http_call_user(hc);

	if (c->state == CALL_WHOLE) {
		collect(c, data);
		return;
	}
	c->facts.answer_bytes += data.n;
	exchange_write(c->x, data);
	if (exchange_pending(c->x) >= STREAM_HIGH_WATER) {
		http_call_pause(hc);
	}
}

static void on_answer_trailers(struct http_call *hc, const struct http_headers *trailers)
{
	struct gw_call *c = http_call_user(hc);

	c->answer_trailers = trailers;
}

/* Trailers of an answer to a HTTP/1 client go only if it asked for them; the server sees to it. */
static void finish_answer(struct exchange *x, const struct http_headers *trailers)
{
	exchange_finish_trailers(x, trailers ? trailers->v : NULL, trailers ? trailers->n : 0);
}

/* A whole answer on its way to the client, who may be slow: it counts as held until then. */
struct whole {
	struct buf text;
	struct body_share *bodies;
	size_t bytes_held;
};

static void on_whole_sent(void *arg)
{
	struct whole *w = arg;

	body_share_give(w->bodies, w->bytes_held);
	buf_free(&w->text);
	mem_free(w);
}

static struct whole *take_whole(struct gw_call *c)
{
	struct whole *w = MEM_NEW(struct whole);

	w->bodies = &c->gl->bodies;
	w->bytes_held = MIN(c->bytes_held, c->answer_body.n);
	c->bytes_held -= w->bytes_held;
	buf_move(&w->text, &c->answer_body);
	return w;
}

static void send_whole(struct exchange *x, const struct exchange_answer *a,
		       const struct http_headers *trailers)
{
	if (!trailers) {
		exchange_reply(x, a);
		return;
	}
	exchange_start(x, a->status, a->headers, a->n_headers, -1);
	exchange_write(x, a->body);
	a->release(a->arg);
	finish_answer(x, trailers);
}

static void reply_whole(struct gw_call *c)
{
	const struct http_headers *trailers;
	struct exchange_answer answer;
	struct exchange *x = c->x;
	struct whole *whole;
	struct hold *hold;

	call_run_response_body(c);
	if (c->answer_refused) {
		call_fail_bad_answer(c);
		return;
	}
	call_finish_answer_head(c);
	trailers = call_answer_trailers(c);
	whole = take_whole(c);
	c->facts.answer_bytes += whole->text.n;
	c->answer_length = trailers ? -1 : (int64_t)whole->text.n;
	answer = (struct exchange_answer){
		.status = c->status,
		.headers = c->answer.v,
		.n_headers = c->answer.n,
		.kind = EXCHANGE_BODY_MEM,
		.body = buf_str(&whole->text),
		.release = on_whole_sent,
		.arg = whole,
	};
	call_enter(c, CALL_DONE);
	call_log(c);
	hold = call_leave(c);
	send_whole(x, &answer, trailers);
	hold_put(hold);
}

static void on_end(struct http_call *hc)
{
	struct gw_call *c = http_call_user(hc);
	const struct http_headers *trailers;
	struct exchange *x = c->x;

	c->call = NULL;
	call_tell_balancer(c, BALANCER_STATUS, c->facts.upstream_status);
	if (c->state == CALL_WHOLE) {
		reply_whole(c);
		return;
	}
	trailers = call_answer_trailers(c);
	call_enter(c, CALL_DONE);
	call_log(c);
	hold_put(call_leave(c));
	finish_answer(x, trailers);
}

/* ---- tries ---- */

static void try_service(struct gw_call *c);

/*
 * What is said of the target. A service may cut an upload that it does not want, or that never
 * comes: while the client owes some of it, that is no failure. (No clock runs then, but where
 * the service takes nothing of what has come.) Nor is it one that a target has no certificate
 * for a name that the client chose, or reads what another client uploads beside.
 */
static enum balancer_outcome outcome_of(const struct gw_call *c, const struct http_call *hc,
					enum err why)
{
	enum balancer_outcome o = health_outcome(why);
	bool owes_body = c->sent && c->streams_body && !c->body_over;
	bool by_name = (c->entry->traits.preserve_host || c->host_set.n > 0) &&
		       http_call_was_unsecured(hc);

	if (o == BALANCER_TIMEOUT) {
		return http_call_was_crowded_out(hc) ? BALANCER_ABORTED : o;
	}
	return o == BALANCER_TCP_FAILURE && (owes_body || by_name || http_call_was_refused(hc))
		       ? BALANCER_ABORTED
		       : o;
}

enum balancer_outcome call_cut_outcome(const struct gw_call *c)
{
	return c->facts.upstream_status < 400 ? BALANCER_ABORTED : BALANCER_STATUS;
}

static void tell_failure(struct gw_call *c, const struct http_call *hc, enum err why)
{
	if (c->facts.upstream_status > 0) {
		call_tell_balancer(c, call_cut_outcome(c), c->facts.upstream_status);
	} else {
		call_tell_balancer(c, outcome_of(c, hc, why), HEALTH_BAD_ANSWER);
	}
}

/* An answer that was refused would come again, and what we have not got another target has not. */
static bool is_worth_another_try(enum err why)
{
	enum balancer_outcome o = health_outcome(why);

	return o == BALANCER_TCP_FAILURE || o == BALANCER_TIMEOUT;
}

/* What a service may have acted on is not sent twice (RFC 9110 9.2.2). */
static bool may_try_again(const struct gw_call *c, enum err why)
{
	return is_worth_another_try(why) && c->tries_left > 0 &&
	       (!c->streams_body || !c->body_asked || c->keeps_body) &&
	       (!c->sent || http_method_is_idempotent(http_method_parse(c->method)));
}

/* It was never sent, and that is nobody's doing but ours. */
static void fail_unsent(struct gw_call *c, enum err why)
{
	if (gw_loop_may_warn(c->gl, &c->gl->warn_of_requests_at_ms)) {
		log_warn("gateway", "a request cannot be sent to its service",
			 LOG_STR("service", c->entry->service->pub.host),
			 LOG_STR("request", call_request_id(c)), LOG_CSTR("why", err_name(why)));
	}
	if (why == ERR_EXHAUSTED) {
		call_fail(c, 503, STR("The gateway has no connection left for this request"));
	} else {
		call_fail(c, 500, STR("An unexpected error occurred"));
	}
}

static void fail(struct gw_call *c, const struct http_call *hc, enum err why)
{
	if (http_call_was_too_large(hc)) {
		call_fail(c, 431, STR("Request header or cookie too large"));
	} else if (why == ERR_TIMEOUT) {
		call_fail(c, 504, STR("The upstream server is timing out"));
	} else if (why == ERR_EXHAUSTED || why == ERR_INVALID) {
		fail_unsent(c, why);
	} else {
		call_fail_bad_answer(c);
	}
}

static void on_fail(struct http_call *hc, enum err why)
{
	struct gw_call *c = http_call_user(hc);
	struct exchange *x = c->x;

	c->call = NULL;
	tell_failure(c, hc, why);
	if (c->state == CALL_ANSWER) {
		call_enter(c, CALL_DONE);
		call_log(c);
		hold_put(call_leave(c));
		exchange_cut(x);
		return;
	}
	c->sent = c->sent && http_call_was_sent(hc);
	if (c->state == CALL_UPSTREAM && may_try_again(c, why)) {
		c->tries_left--;
		hold_body(c);
		try_service(c);
		return;
	}
	fail(c, hc, why);
}

static void on_sent(struct http_call *hc)
{
	struct gw_call *c = http_call_user(hc);

	c->sent = true;
	if (c->streams_body && !c->body_asked) {
		c->body_asked = true;
		exchange_resume_body(c->x);
	}
}

static void on_writable(struct http_call *hc)
{
	struct gw_call *c = http_call_user(hc);

	if (c->streams_body) {
		exchange_resume_body(c->x);
	}
}

/* The client asked for nothing else, and is told nothing else. */
static bool is_websocket(const struct http_response *r)
{
	return str_eq_nocase(http_header_get(&r->headers, STR("upgrade")), STR("websocket"));
}

/* The service's call ends before the tunnel does, which logs what its answer said. */
static void own_answer_head(struct gw_call *c)
{
	for (size_t i = 0; i < c->answer.n; i++) {
		struct http_header *h = &c->answer.v[i];

		h->name = str_dup(c->arena, h->name);
		h->value = str_dup(c->arena, h->value);
	}
}

static void on_upgrade(struct http_call *hc, const struct http_response *r, struct stream *s,
		       struct str early)
{
	struct gw_call *c = http_call_user(hc);

	if (!is_websocket(r)) {
		stream_abort(s);
		on_fail(hc, ERR_PROTO);
		return;
	}
	c->call = NULL;
	take_head(c, r);
	own_answer_head(c);
	call_run_response_head(c);
	call_finish_answer_head(c);
	call_enter(c, CALL_TUNNEL);
	tunnel_start(c, s, early);
}

static const struct http_call_handler upstream_events = {
	.on_head = on_head,
	.on_data = on_data,
	.on_trailers = on_answer_trailers,
	.on_end = on_end,
	.on_fail = on_fail,
	.on_sent = on_sent,
	.on_writable = on_writable,
	.on_upgrade = on_upgrade,
};

static void note_try(struct gw_call *c)
{
	struct call_try *t;

	if (c->facts.n_tries == GW_TRIES_MAX) {
		return;
	}
	if (c->facts.n_tries < 2) { /* one is the rule */
		size_t room = c->facts.n_tries == 0 ? 1 : GW_TRIES_MAX;
		struct call_try *first = c->tries;

		c->facts.tries = c->tries = arena_alloc(c->arena, room * sizeof(*c->tries));
		if (first) {
			c->tries[0] = *first;
		}
	}
	t = &c->tries[c->facts.n_tries++];
	*t = (struct call_try){.port = c->peer.uri.port, .start_wall_ms = clock_wall_ms()};
	if (c->peer.addr) {
		(void)addr_format_ip(c->peer.addr, t->ip);
	}
}

static struct str path_query(struct gw_call *c)
{
	struct str p = c->upstream_path, q = c->upstream_query;
	char *at;

	if (!q.p) {
		return p;
	}
	at = arena_alloc(c->arena, p.n + 1 + q.n);
	memcpy(at, p.p, p.n);
	at[p.n] = '?';
	memcpy(at + p.n + 1, q.p, q.n);
	return str_of(at, p.n + 1 + q.n);
}

static void choose_body(struct gw_call *c, struct http_call_spec *spec)
{
	const struct http_request *r = exchange_request(c->x);

	if (c->has_body) {
		spec->body_kind = c->body.n > 0 || r->framing != HTTP_BODY_NONE ? HTTP_CALL_MEM
										: HTTP_CALL_NO_BODY;
		spec->body = c->body;
		spec->trailers = call_own_trailers(c);
	} else if (!c->streams_body) {
		spec->body_kind = HTTP_CALL_NO_BODY;
	} else if (r->framing == HTTP_BODY_LENGTH) {
		spec->body_kind = HTTP_CALL_LENGTH;
		spec->length = r->content_length;
	} else {
		spec->body_kind = HTTP_CALL_CHUNKED;
	}
}

static void try_service(struct gw_call *c)
{
	const struct service *s = c->entry->service;
	struct http_call_spec spec;

	if (call_pick_peer(c) != ERR_OK) {
		return;
	}
	note_try(c);
	c->sent = false;
	c->upstream_start_ms = loop_now_ms(c->gl->loop);
	spec = (struct http_call_spec){
		.uri = c->peer.uri,
		.method = c->method,
		.path_query = path_query(c),
		.headers = c->headers.v,
		.n_headers = c->headers.n,
		.connect_timeout_ms = s->connect_ms,
		.write_timeout_ms = s->write_ms,
		.answer_timeout_ms = s->read_ms,
		.idle_timeout_ms = s->read_ms,
		.upgrade = c->upgrade,
		.tls = c->peer.tls,
		.sni = c->peer.sni,
		.version = s->http2 ? HTTP_CALL_H2 : HTTP_CALL_AUTO,
		.peer = c->peer.addr,
		.server = c->peer.server,
		.speaks_for = c->client,
		.direct = true,
	};
	c->facts.upstream_uri = spec.path_query;
	choose_body(c, &spec);
	c->call = http_call_start(c->gl->client, &spec, &upstream_events, c);
	if (c->keeps_body) {
		give_kept_body(c);
	}
}

void call_retry_target(struct gw_call *c)
{
	try_service(c);
}

void call_go_upstream(struct gw_call *c)
{
	call_enter(c, CALL_UPSTREAM);
	call_start_balance(c);
	call_prepare_headers(c);
	c->tries_left = c->entry->service->retries;
	c->keeps_body = is_worth_keeping(c);
	try_service(c);
}
