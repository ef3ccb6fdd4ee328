/*
 * A request through the gateway.
 *
 *   NEW --plugins want the body--> BODY --collected--> (access) --> UPSTREAM
 *    '--------- (access) ------------------------------------------^   |  | try again
 *                                                       UPSTREAM <-----'--'
 *   UPSTREAM --head--> ANSWER --end--> DONE
 *      |   '--head, plugins want the body--> WHOLE --end--> DONE
 *      '--101--> TUNNEL
 *   any --answered by us, client gone--> DONE
 *
 * The call stands in the exchange's arena, so whatever ends the exchange ends it: the log phase
 * runs just before that. A body that is small is collected first, so that another try can send
 * it again; a larger one is streamed, and what was passed on cannot be tried again.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "gateway/call_int.h"

static const uint8_t call_next[CALL_STATES] = {
	[CALL_NEW] = 1u << CALL_BODY | 1u << CALL_UPSTREAM | 1u << CALL_DONE,
	[CALL_BODY] = 1u << CALL_UPSTREAM | 1u << CALL_DONE,
	[CALL_UPSTREAM] =
		1u << CALL_ANSWER | 1u << CALL_WHOLE | 1u << CALL_TUNNEL | 1u << CALL_DONE,
	[CALL_ANSWER] = 1u << CALL_DONE,
	[CALL_WHOLE] = 1u << CALL_DONE,
	[CALL_TUNNEL] = 1u << CALL_DONE,
};

void call_enter(struct gw_call *c, enum call_state to)
{
	ASSERT(call_next[c->state] & 1u << to);
	c->state = to;
}

/* ---- epochs on a loop ---- */

static void let_go(struct hold *h)
{
	if (h->calls == 0 && !h->current) {
		epoch_unref(&h->epoch);
		mem_free(h);
	}
}

/* On each loop, while the applying thread waits. */
void gw_loop_take_epoch(struct gw_loop *gl, struct epoch *e)
{
	struct hold *old = gl->hold;

	gl->hold = MEM_NEW(struct hold);
	gl->hold->epoch = epoch_ref(e);
	gl->hold->current = true;
	if (old) {
		old->current = false;
		let_go(old);
	}
}

void gw_loop_drop_epoch(struct gw_loop *gl)
{
	if (gl->hold) {
		gl->hold->current = false;
		let_go(gl->hold);
		gl->hold = NULL;
	}
}

/* ---- the end ---- */

struct hold *call_leave(struct gw_call *c)
{
	if (c->balance) {
		balancer_wait_cancel(&c->balance->waiter);
		call_tell_balancer(c, BALANCER_ABORTED, 0);
	}
	if (c->call) {
		http_call_cancel(c->call);
		c->call = NULL;
	}
	buf_free(&c->answer_body);
	list_remove(&c->node);
	atomic_fetch_sub_explicit(&c->gl->active, 1, memory_order_relaxed);
	return c->hold;
}

void hold_put(struct hold *h)
{
	h->calls--;
	let_go(h);
}

/* As in HTTP/1.1, whatever it came as. */
static uint64_t head_bytes(size_t first_line, const struct http_headers *h)
{
	uint64_t n = first_line + 2;

	for (size_t i = 0; i < h->n; i++) {
		n += h->v[i].name.n + h->v[i].value.n + 4;
	}
	return n;
}

static uint64_t line_bytes(size_t name, size_t value)
{
	return name + value + sizeof(": \r\n") - 1;
}

/* What the server adds to an answer: when it was made, and how it ends. */
static uint64_t added_bytes(const struct gw_call *c)
{
	uint64_t n = 0;

	if (!http_header_get(&c->answer, STR("date")).p) {
		n += line_bytes(sizeof("Date") - 1, CLOCK_HTTP_DATE_LEN);
	}
	if (c->status < 200 || c->status == 204 || c->status == 304) {
		return n;
	}
	if (c->answer_length < 0) {
		return n + line_bytes(sizeof("Transfer-Encoding") - 1, sizeof("chunked") - 1);
	}
	size_t digits = 1;
	for (int64_t v = c->answer_length; v > 9; v /= 10) {
		digits++;
	}
	return n + line_bytes(sizeof("Content-Length") - 1, digits);
}

static void complete_facts(struct gw_call *c)
{
	const struct http_request *r = exchange_request(c->x);

	c->facts.status = c->status;
	c->facts.total_ms = (uint32_t)(loop_now_ms(c->gl->loop) - c->start_ms);
	c->facts.request_bytes += head_bytes(
		r->method_text.n + r->target.n + sizeof("  HTTP/1.1\r\n") - 1, &r->headers);
	c->facts.answer_bytes +=
		head_bytes(sizeof("HTTP/1.1 200 \r\n") - 1 + http_reason(c->status).n, &c->answer) +
		added_bytes(c);
}

static bool runs(const struct gw_call *c, const struct plugin_instance *p)
{
	return p && !p->broken && p->protocols & c->protocol;
}

void call_log(struct gw_call *c)
{
	bool is_first = true;

	if (c->logged) {
		return;
	}
	c->logged = true;
	for (size_t i = 0; i < c->n_plugins; i++) {
		const struct plugin_instance *p = c->plugins[i];

		if (runs(c, p) && p->plugin->log) {
			if (is_first) {
				is_first = false;
				complete_facts(c);
			}
			p->plugin->log(c, p);
		}
	}
}

static void on_abort(struct exchange *x, int status)
{
	struct gw_call *c = exchange_user(x);

	if (c->state != CALL_DONE) {
		c->status = status > 0 ? status : 499;
		call_enter(c, CALL_DONE);
		call_log(c);
		hold_put(call_leave(c));
	}
}

/* ---- phases ---- */

static bool rewrite(struct gw_call *c)
{
	for (size_t i = 0; i < c->n_plugins; i++) {
		const struct plugin_instance *p = c->plugins[i];

		if (runs(c, p) && p->global && p->plugin->rewrite &&
		    p->plugin->rewrite(c, p) == PLUGIN_ANSWERED) {
			return false;
		}
	}
	return true;
}

/* Authentication may change the array behind `i`, never its length. */
static bool run_access(struct gw_call *c)
{
	for (size_t i = 0; i < c->n_plugins; i++) {
		const struct plugin_instance *p = c->plugins[i];

		if (p && p->broken && p->protocols & c->protocol) {
			call_error(c, 500, STR("An unexpected error occurred"));
			return false;
		}
		if (runs(c, p) && p->plugin->access && p->plugin->access(c, p) == PLUGIN_ANSWERED) {
			return false;
		}
	}
	return true;
}

/* What plugins said earlier is part of the head that those of lower priority edit. */
void call_run_response_head(struct gw_call *c)
{
	for (size_t i = 0; i < c->extra.n; i++) {
		http_header_add(c->arena, &c->answer, c->extra.v[i].name, c->extra.v[i].value);
	}
	if (c->extra.n > 0) {
		c->added = c->extra;
		c->extra = (struct http_headers){0};
	}
	for (size_t i = 0; i < c->n_plugins; i++) {
		const struct plugin_instance *p = c->plugins[i];

		if (runs(c, p) && p->plugin->response_head) {
			p->plugin->response_head(c, p);
		}
	}
}

bool call_is_edited(const struct gw_call *c, enum plugin_side to, struct str name)
{
	for (size_t i = 0; i < c->n_plugins; i++) {
		const struct plugin_instance *p = c->plugins[i];

		if (runs(c, p) && p->plugin->edits && p->plugin->edits(p, to, name)) {
			return true;
		}
	}
	return false;
}

void call_run_response_body(struct gw_call *c)
{
	for (size_t i = 0; i < c->n_plugins; i++) {
		const struct plugin_instance *p = c->plugins[i];

		if (runs(c, p) && p->plugin->response_body) {
			p->plugin->response_body(c, p);
		}
	}
}

/* ---- the service's answer ---- */

static int64_t length_of(const struct http_response *r)
{
	if (r->framing == HTTP_BODY_LENGTH || r->has_content_length) {
		return (int64_t)r->content_length;
	}
	return r->framing == HTTP_BODY_NONE && (r->status == 204 || r->status == 304) ? 0 : -1;
}

static void on_head(struct http_call *hc, const struct http_response *r)
{
	struct gw_call *c = http_call_user(hc);

	c->facts.upstream_ms = (int32_t)(loop_now_ms(c->gl->loop) - c->upstream_start_ms);
	c->facts.upstream_status = r->status;
	c->status = r->status;
	c->from_service = true;
	call_take_answer_head(c, r);
	if (c->needs & PLUGIN_NEEDS_ANSWER_BODY && r->framing != HTTP_BODY_NONE) {
		call_enter(c, CALL_WHOLE);
		return;
	}
	call_enter(c, CALL_ANSWER);
	call_run_response_head(c);
	call_finish_answer_head(c);
	c->answer_length = length_of(r);
	exchange_start(c->x, c->status, c->answer.v, c->answer.n, c->answer_length);
}

static void collect(struct gw_call *c, struct str data)
{
	if (c->answer_body.n + data.n <= (size_t)c->gl->gateway->config->body_memory_max) {
		buf_put(&c->answer_body, data);
		return;
	}
	http_call_cancel(c->call);
	c->call = NULL;
	c->from_service = false;
	call_fail(c, 502, STR("An invalid response was received from the upstream server"));
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

static void on_drained(struct exchange *x)
{
	struct gw_call *c = exchange_user(x);

	if (c->call) {
		http_call_resume(c->call);
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

static void send_whole(struct exchange *x, const struct exchange_answer *a,
		       const struct http_headers *trailers)
{
	if (!trailers) {
		exchange_reply(x, a);
		return;
	}
	exchange_start(x, a->status, a->headers, a->n_headers, -1);
	exchange_write(x, a->body);
	finish_answer(x, trailers);
}

static void reply_whole(struct gw_call *c)
{
	const struct http_headers *trailers;
	struct exchange_answer answer;
	struct exchange *x = c->x;
	struct hold *hold;
	struct str body;

	call_run_response_head(c);
	call_run_response_body(c);
	call_finish_answer_head(c);
	trailers = call_answer_trailers(c);
	body = buf_str(&c->answer_body);
	c->facts.answer_bytes += body.n;
	c->answer_length = trailers ? -1 : (int64_t)body.n;
	answer = (struct exchange_answer){
		.status = c->status,
		.headers = c->answer.v,
		.n_headers = c->answer.n,
		.body = str_dup(c->arena, body),
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

static bool is_idempotent(const struct gw_call *c)
{
	switch (http_method_parse(c->method)) {
	case HTTP_GET:
	case HTTP_HEAD:
	case HTTP_PUT:
	case HTTP_DELETE:
	case HTTP_OPTIONS:
	case HTTP_TRACE:
		return true;
	case HTTP_POST:
	case HTTP_PATCH:
	case HTTP_CONNECT:
	case HTTP_OTHER:
		break;
	}
	return false;
}

/* What a service may have acted on is not sent twice (RFC 9110 9.2.2). */
static bool may_try_again(const struct gw_call *c)
{
	return c->tries_left > 0 && (!c->streams_body || !c->body_asked) &&
	       (!c->sent || is_idempotent(c));
}

static void on_fail(struct http_call *hc, enum err why)
{
	struct gw_call *c = http_call_user(hc);
	struct exchange *x = c->x;

	c->call = NULL;
	call_tell_balancer(c, why == ERR_TIMEOUT ? BALANCER_TIMEOUT : BALANCER_TCP_FAILURE, 0);
	if (c->state == CALL_ANSWER) {
		call_enter(c, CALL_DONE);
		call_log(c);
		hold_put(call_leave(c));
		exchange_cut(x);
		return;
	}
	if (c->state == CALL_UPSTREAM && may_try_again(c)) {
		c->tries_left--;
		try_service(c);
		return;
	}
	c->from_service = false;
	if (why == ERR_TIMEOUT) {
		call_fail(c, 504, STR("The upstream server is timing out"));
	} else {
		call_fail(c, 502, STR("An invalid response was received from the upstream server"));
	}
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

static void on_upgrade(struct http_call *hc, const struct http_response *r, struct stream *s,
		       struct str early)
{
	struct gw_call *c = http_call_user(hc);

	c->call = NULL;
	c->facts.upstream_ms = (int32_t)(loop_now_ms(c->gl->loop) - c->upstream_start_ms);
	c->facts.upstream_status = r->status;
	c->status = r->status;
	c->from_service = true;
	call_take_answer_head(c, r);
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
		spec->trailers = c->trailers;
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
		.tls = c->entry->tls,
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
}

void call_retry_target(struct gw_call *c)
{
	try_service(c);
}

static void go_upstream(struct gw_call *c)
{
	call_enter(c, CALL_UPSTREAM);
	call_prepare_headers(c);
	c->tries_left = c->entry->service->retries;
	try_service(c);
}

/* ---- the client's body ---- */

static void on_body_data(struct exchange *x, struct str data)
{
	struct gw_call *c = exchange_user(x);

	c->facts.request_bytes += data.n;
	if (!c->call) {
		return;
	}
	http_call_write(c->call, data);
	if (http_call_pending(c->call) >= STREAM_HIGH_WATER) {
		exchange_pause_body(x);
	}
}

static void on_body_trailers(struct exchange *x, const struct http_headers *trailers)
{
	struct gw_call *c = exchange_user(x);

	c->trailers = call_own_trailers(c, trailers);
}

static void on_body_end(struct exchange *x)
{
	struct gw_call *c = exchange_user(x);

	if (c->call && c->streams_body) {
		http_call_finish_trailers(c->call, c->trailers ? c->trailers->v : NULL,
					  c->trailers ? c->trailers->n : 0);
	}
}

/* Only request-size-limiting sets a limit of its own, and has words of its own. */
static void on_too_large(struct exchange *x)
{
	struct gw_call *c = exchange_user(x);

	c->from_service = false;
	call_fail(c, 413,
		  c->body_max < UINT64_MAX ? STR("Request size limit exceeded")
					   : STR("Payload too large"));
}

/* Also while there is no body: tells when the client goes. */
static const struct exchange_handler streaming = {
	.on_data = on_body_data,
	.on_too_large = on_too_large,
	.on_trailers = on_body_trailers,
	.on_end = on_body_end,
	.on_drained = on_drained,
	.on_abort = on_abort,
};

static void proceed(struct gw_call *c);

static struct gw_call *take_body(struct exchange *x)
{
	struct gw_call *c = exchange_user(x);

	c->body = exchange_body(x);
	c->has_body = true;
	c->facts.request_bytes += c->body.n;
	c->facts.receive_ms = (uint32_t)(loop_now_ms(c->gl->loop) - c->start_ms);
	return c;
}

/* Plugins want it. */
static void on_collected(struct exchange *x)
{
	proceed(take_body(x));
}

static const struct exchange_handler collecting = {
	.on_too_large = on_too_large,
	.on_trailers = on_body_trailers,
	.on_end = on_collected,
	.on_drained = on_drained,
	.on_abort = on_abort,
};

/* Plugins have had their turn: it is collected for another try. */
static void on_collected_late(struct exchange *x)
{
	go_upstream(take_body(x));
}

static const struct exchange_handler collecting_late = {
	.on_too_large = on_too_large,
	.on_trailers = on_body_trailers,
	.on_end = on_collected_late,
	.on_drained = on_drained,
	.on_abort = on_abort,
};

static bool has_body(const struct http_request *r)
{
	return r->framing == HTTP_BODY_CHUNKED ||
	       (r->framing == HTTP_BODY_LENGTH && r->content_length > 0);
}

/* After access: the body is in memory, or small enough to be, or it is streamed. */
static void send_on(struct gw_call *c)
{
	const struct http_request *r = exchange_request(c->x);

	if (c->has_body) {
		go_upstream(c);
	} else if (!has_body(r)) {
		exchange_stream(c->x, 0, &streaming);
		go_upstream(c);
	} else if (c->entry->route->request_buffering && r->framing == HTTP_BODY_LENGTH &&
		   r->content_length <= (uint64_t)c->gl->gateway->config->body_replay_max) {
		call_enter(c, CALL_BODY);
		exchange_collect(c->x, (size_t)r->content_length, &collecting_late);
	} else {
		c->streams_body = true;
		exchange_pause_body(c->x);
		exchange_stream(c->x, c->body_max, &streaming);
		go_upstream(c);
	}
}

/* ---- the beginning ---- */

static void proceed(struct gw_call *c)
{
	if (!run_access(c)) {
		return;
	}
	if (!c->entry->service) {
		call_error(c, 503, STR("no Service found with those values"));
		return;
	}
	send_on(c);
}

/* What a trusted proxy before us took as HTTPS counts as HTTPS. */
static unsigned protocol_of(const struct gw_call *c)
{
	struct str type = http_header_get(&exchange_request(c->x)->headers, STR("content-type"));
	bool grpc = str_starts_nocase(type, STR("application/grpc"));

	if (exchange_is_tls(c->x) ||
	    str_eq_nocase(call_forwarded(c, STR("X-Forwarded-Proto")), STR("https"))) {
		return grpc ? GW_GRPCS : GW_HTTPS;
	}
	return grpc ? GW_GRPC : GW_HTTP;
}

static void redirect_to_https(struct gw_call *c)
{
	const struct http_request *r = exchange_request(c->x);
	struct str told = call_forwarded(c, STR("X-Forwarded-Host"));
	struct str host = told.n > 0 ? told : r->authority;
	ptrdiff_t colon = str_rindex(host, ':');

	if (colon >= 0 && str_index(host, ']') < colon) {
		host = str_slice(host, 0, (size_t)colon);
	}
	call_add_answer_header(
		c, STR("Location"),
		str_fmt(c->arena, "https://%.*s%.*s", STR_ARG(host), STR_ARG(r->target)));
	call_answer(c, &(struct call_answer){.status = c->entry->route->redirect_status});
}

/* A route for https alone that was reached without it, and the like. */
static bool protocol_fits(struct gw_call *c)
{
	unsigned allowed = c->entry->route->protocols;
	bool secure = c->protocol & (GW_HTTPS | GW_GRPCS);

	if (allowed & (GW_GRPC | GW_GRPCS) && !(allowed & (GW_HTTP | GW_HTTPS))) {
		return call_grpc_fits(c);
	}
	if (secure ? allowed & GW_HTTPS : allowed & GW_HTTP) {
		return true;
	}
	if (secure) {
		return true; /* TLS where plain was asked for is no harm */
	}
	if (c->entry->route->redirect_status != 426) {
		redirect_to_https(c);
		return false;
	}
	call_add_answer_header(c, STR("Connection"), STR("Upgrade"));
	call_add_answer_header(c, STR("Upgrade"), STR("TLS/1.2, HTTP/1.1"));
	call_error(c, 426, STR("Please use HTTPS protocol"));
	return false;
}

static void find_route(struct gw_call *c)
{
	const struct http_request *r = exchange_request(c->x);
	struct router_input in = {
		.method = r->method_text,
		.host = r->authority,
		.path = c->path,
		.port = addr_port(exchange_local(c->x)),
		.tls = exchange_is_tls(c->x),
		.headers = &r->headers,
	};
	const struct routing *routing = c->hold->epoch->routing;
	struct tls_info info;

	if (in.tls && exchange_tls_info(c->x, &info)) {
		in.sni = info.sni;
	}
	if (router_match(routing->router, c->arena, &in, &c->match)) {
		c->entry = routing_entry(routing, c->match.rule);
	}
}

static void use_plan(struct gw_call *c, const struct plan *p)
{
	c->plan = p;
	c->plugins = p->v;
	c->n_plugins = p->n;
	c->needs = p->needs;
}

static void start_route(struct gw_call *c)
{
	const struct http_request *r = exchange_request(c->x);
	const struct route *route = c->entry->route;
	const struct service *s = c->entry->service;

	use_plan(c, c->entry->plan);
	if (!rewrite(c) || !protocol_fits(c)) {
		return;
	}
	if (route->strip_path && !path_may_strip(c->arena, c->path, c->match.matched)) {
		call_error(c, 400, STR("Bad request"));
		return;
	}
	c->upstream_path = path_escape(
		c->arena, path_upstream(c->arena, s ? s->path : STR("/"), c->path, c->match.matched,
					route->strip_path, route->path_handling));
	c->upstream_query = r->query;
	if (c->needs & PLUGIN_NEEDS_BODY && has_body(r)) {
		call_enter(c, CALL_BODY);
		exchange_collect(c->x, (size_t)c->gl->gateway->config->body_memory_max,
				 &collecting);
		return;
	}
	proceed(c);
}

static struct gw_call *call_new(struct exchange *x, struct gw_loop *gl)
{
	struct arena *a = exchange_arena(x);
	struct gw_call *c = ARENA_NEW(a, struct gw_call);

	c->x = x;
	c->gl = gl;
	c->arena = a;
	c->hold = gl->hold;
	c->hold->calls++;
	c->method = exchange_request(x)->method_text;
	c->protocol = protocol_of(c);
	c->start_ms = exchange_start_ms(x);
	c->facts.upstream_ms = -1;
	c->body_max = UINT64_MAX;
	list_push(&gl->calls, &c->node);
	atomic_fetch_add_explicit(&gl->active, 1, memory_order_relaxed);
	exchange_set_user(x, c);
	return c;
}

static void make_request_id(struct gw_call *c)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t b[16];

	rand_bytes(b, sizeof(b));
	for (size_t i = 0; i < sizeof(b); i++) {
		c->request_id[2 * i] = hex[b[i] >> 4];
		c->request_id[2 * i + 1] = hex[b[i] & 15];
	}
}

void gateway_dispatch(struct exchange *x, void *arg)
{
	struct gateway *g = arg;
	struct gw_loop *gl = &g->per_loop[loop_index(exchange_loop(x))];
	struct gw_call *c;

	if (!gl->hold) { /* the process ends */
		exchange_reply(x, &(struct exchange_answer){.status = 503, .close = true});
		return;
	}
	c = call_new(x, gl);
	make_request_id(c);
	call_find_client(c);
	if (call_is_loop(c)) {
		use_plan(c, gl->hold->epoch->routing->global);
		call_fail(c, 508, STR("Loop detected"));
		return;
	}
	if (!path_normalize(c->arena, exchange_request(x)->path, &c->path)) {
		use_plan(c, gl->hold->epoch->routing->global);
		call_fail(c, 400, STR("Bad request"));
		return;
	}
	find_route(c);
	if (c->match.gave_up) {
		/* The route that was looked for may guard what the next one does not. */
		c->entry = NULL;
		use_plan(c, gl->hold->epoch->routing->global);
		call_error(c, 400, STR("Bad request"));
		return;
	}
	if (c->entry) {
		start_route(c);
		return;
	}
	use_plan(c, gl->hold->epoch->routing->global);
	if (rewrite(c)) {
		call_error(c, 404, STR("no Route matched with those values"));
	}
}
