/*
 * One call.
 *
 *   WAITING -> CONNECTING -> HEAD -> BODY -> DONE      HEAD -> WAITING: sent again
 *      \________________________^                      each -> DONE: failed, canceled
 *
 * The request head is written once, at the start, and kept until the end, so that
 * it can be sent again. A finished call is buried and then kept for the next one,
 * with its buffers and its place in the timer heap: a call on a kept connection
 * allocates nothing.
 */
#include "base/log.h"
#include "base/mem.h"
#include "http/chars.h"
#include "http/client_int.h"
#include "http/h2_call.h"
#include "net/pipe_stream.h"

#include <stdio.h>
#include <unistd.h>

#define FREE_CALLS_MAX 64
#define WRITE_TIMEOUT_MS 60000
#define KEEP_BYTES ((size_t)8 << 10)

static const uint8_t call_next[CALL_STATES] = {
	[CALL_WAITING] = 1u << CALL_CONNECTING | 1u << CALL_HEAD | 1u << CALL_DONE,
	[CALL_CONNECTING] = 1u << CALL_HEAD | 1u << CALL_DONE,
	[CALL_HEAD] = 1u << CALL_BODY | 1u << CALL_WAITING | 1u << CALL_DONE,
	[CALL_BODY] = 1u << CALL_DONE,
};

void http_call_enter(struct http_call *c, enum call_state to)
{
	ASSERT(call_next[c->state] & 1u << to);
	c->state = (uint8_t)to;
}

/* ---- memory ---- */

static struct http_call *call_new(struct http_client *client)
{
	struct list_node *n = list_pop(&client->free_calls);
	struct http_call *c;

	if (n) {
		client->n_free_calls--;
		c = container_of(n, struct http_call, node);
	} else {
		c = MEM_NEW(struct http_call);
		arena_init(&c->arena, 0);
	}
	/* Kept: what arena, head buffer and timer hold. */
	struct arena arena = c->arena;
	struct buf head = c->head;
	struct timer timer = c->timer;

	*c = (struct http_call){.arena = arena, .head = head, .client = client, .fd = -1};
	c->timer = timer;
	return c;
}

void http_call_free(struct http_call *c)
{
	timer_stop(c->client->loop, &c->timer);
	buf_free(&c->head);
	arena_fini(&c->arena);
	mem_free(c);
}

static void on_buried(struct grave *g)
{
	struct http_call *c = container_of(g, struct http_call, grave);
	struct http_client *client = c->client;

	if (client->closed || client->n_free_calls >= FREE_CALLS_MAX || c->head.cap > KEEP_BYTES) {
		http_call_free(c);
	} else {
		arena_rewind(&c->arena, KEEP_BYTES);
		buf_clear(&c->head);
		list_push_front(&client->free_calls, &c->node);
		client->n_free_calls++;
	}
	http_client_unref(client);
}

/* ---- the request head ---- */

static void put_authority(struct buf *b, const struct uri *u)
{
	if (u->host_is_ipv6) {
		buf_putc(b, '[');
	}
	buf_put(b, u->host);
	if (u->host_is_ipv6) {
		buf_putc(b, ']');
	}
	if (u->port != (u->tls ? 443 : 80)) {
		buf_printf(b, ":%u", u->port);
	}
}

/* "http://host" before the target when it goes to a proxy (RFC 9112 3.2.2). */
static struct str request_target(struct http_call *c, const struct http_call_spec *s,
				 enum route_kind kind)
{
	struct str path = s->path_query.p ? s->path_query : s->uri.path;
	struct buf b = {0};
	struct str target;

	if (kind != ROUTE_PROXY && (s->path_query.p || !s->uri.query.p)) {
		return path;
	}
	if (kind == ROUTE_PROXY) {
		buf_puts(&b, "http://");
		put_authority(&b, &s->uri);
	}
	buf_put(&b, path);
	if (!s->path_query.p && s->uri.query.p) {
		buf_putc(&b, '?');
		buf_put(&b, s->uri.query);
	}
	target = str_dup(&c->arena, buf_str(&b));
	buf_free(&b);
	return target;
}

static void put_headers(struct buf *b, const struct http_call_spec *s)
{
	bool has_host = false;

	for (size_t i = 0; i < s->n_headers && !has_host; i++) {
		has_host = TOKEN_IS(s->headers[i].name, "host");
	}
	if (!has_host) {
		buf_puts(b, "Host: ");
		put_authority(b, &s->uri);
		buf_puts(b, "\r\n");
	}
	h1_write_headers(b, s->headers, s->n_headers);
}

static void put_framing(struct buf *b, const struct http_call_spec *s, enum http_method method)
{
	switch (s->body_kind) {
	case HTTP_CALL_NO_BODY:
		/* Where a body is usual, say that there is none (RFC 9110 8.6). */
		if (method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH) {
			h1_write_header_u64(b, STR("Content-Length"), 0);
		}
		break;
	case HTTP_CALL_MEM:
		h1_write_header_u64(b, STR("Content-Length"), s->body.n);
		break;
	case HTTP_CALL_FILE:
	case HTTP_CALL_LENGTH:
		h1_write_header_u64(b, STR("Content-Length"), s->length);
		break;
	case HTTP_CALL_CHUNKED:
		h1_write_header(b, STR("Transfer-Encoding"), STR("chunked"));
		break;
	}
}

static enum err write_head(struct http_call *c, const struct http_call_spec *s,
			   const struct client_route *r)
{
	struct buf *b = &c->head;

	TRY(h1_write_request_line(b, s->method, request_target(c, s, r->kind)));
	put_headers(b, s);
	put_framing(b, s, c->method);
	if (r->kind == ROUTE_PROXY && r->proxy->authorization.n > 0) {
		h1_write_header(b, STR("Proxy-Authorization"), r->proxy->authorization);
	}
	if (s->upgrade) {
		h1_write_header(b, STR("Connection"), STR("Upgrade"));
	} else if (s->close) {
		h1_write_header(b, STR("Connection"), STR("close"));
	}
	h1_write_end(b);
	return ERR_OK;
}

/* ---- start ---- */

/* CONNECT always names the port. */
static struct str tunnel_target(struct http_call *c, const struct uri *u)
{
	return str_fmt(&c->arena, u->host_is_ipv6 ? "[%.*s]:%u" : "%.*s:%u", STR_ARG(u->host),
		       u->port);
}

static void add_protocols(const struct http_call *c, const struct http_call_spec *s,
			  struct client_route *out)
{
	out->h2 = s->version == HTTP_CALL_H2 && !s->server;
	if (s->uri.tls && !s->server) {
		out->tls = s->tls ? s->tls : http_client_default_tls(c->client, s->version);
		out->sni = s->sni.n > 0 ? s->sni : s->uri.host;
	}
}

static enum err choose_route(struct http_call *c, const struct http_call_spec *s,
			     struct client_route *out)
{
	const struct http_proxy *proxy = s->direct || s->peer || s->server
						 ? NULL
						 : http_proxy_for(c->client->proxies, &s->uri);

	*out = (struct client_route){
		.host = s->uri.host, .port = s->uri.port, .peer = s->peer, .server = s->server};
	if (!proxy) {
		add_protocols(c, s, out);
		return ERR_OK;
	}
	if (!proxy->usable) {
		return ERR_UNAVAILABLE;
	}
	bool tunnel = s->upgrade || s->uri.tls || s->version == HTTP_CALL_H2;

	*out = (struct client_route){.kind = tunnel ? ROUTE_TUNNEL : ROUTE_PROXY,
				     .proxy = proxy,
				     .host = proxy->host,
				     .port = proxy->port};
	if (tunnel) {
		out->tunnel = tunnel_target(c, &s->uri);
	}
	add_protocols(c, s, out);
	return ERR_OK;
}

static void on_timeout(struct timer *t)
{
	struct http_call *c = container_of(t, struct http_call, timer);

	h2_call_overdue(c);
	http_call_fail(c, ERR_TIMEOUT);
}

static enum err prepare(struct http_call *c, const struct http_call_spec *s)
{
	struct client_route route;

	TRY(choose_route(c, s, &route));
	if (route.h2 && s->upgrade) {
		return ERR_INVALID;
	}
	if (route.h2) {
		TRY(h2_call_prepare(c, s, request_target(c, s, ROUTE_DIRECT)));
	} else {
		TRY(write_head(c, s, &route));
	}
	c->origin = client_origin_get(c->client, &route);
	return c->origin ? ERR_OK : ERR_INVALID;
}

static void copy_spec(struct http_call *c, const struct http_call_spec *s)
{
	c->method = http_method_parse(s->method);
	c->body_kind = s->body_kind;
	c->body = s->body_kind == HTTP_CALL_MEM ? s->body : STR_NULL;
	c->fd = s->body_kind == HTTP_CALL_FILE ? s->fd : -1;
	c->length = s->length;
	c->speaks_for = s->speaks_for;
	c->answer_timeout_ms = s->answer_timeout_ms;
	c->idle_timeout_ms = s->idle_timeout_ms;
	c->connect_timeout_ms = s->connect_timeout_ms;
	c->write_timeout_ms = s->write_timeout_ms ? s->write_timeout_ms : WRITE_TIMEOUT_MS;
	c->close = s->close;
	c->upgrade = s->upgrade;
}

struct http_call *http_call_start(struct http_client *client, const struct http_call_spec *s,
				  const struct http_call_handler *h, void *user)
{
	struct http_call *c = call_new(client);
	enum err e;

	c->handler = h;
	c->user = user;
	c->starting = true;
	http_client_ref(client);
	client->stats.calls_total++;
	list_push(&client->calls, &c->node);
	copy_spec(c, s);
	e = prepare(c, s);
	if (e != ERR_OK) {
		http_call_fail(c, e);
	} else {
		if (s->timeout_ms > 0) {
			timer_start(client->loop, &c->timer, s->timeout_ms, on_timeout);
		}
		client_pool_dispatch(c);
	}
	c->starting = false;
	return c;
}

void *http_call_user(const struct http_call *c)
{
	return c->user;
}

/* ---- the end ---- */

/* Gives up the connection or the place in the queue for one. */
static void let_go(struct http_call *c)
{
	h2_call_let_go(c);
	if (c->conn) {
		client_conn_close(c->conn);
		c->conn = NULL;
	}
	if (list_is_linked(&c->wait)) {
		list_remove(&c->wait);
		c->client->stats.waiting--;
		client_origin_kick(c->origin);
	}
}

void http_call_bury(struct http_call *c)
{
	http_call_enter(c, CALL_DONE);
	timer_pause(&c->timer);
	later_cancel(&c->failing);
	list_remove(&c->node);
	buf_free(&c->early);
	h2_call_fini(c);
	if (c->fd >= 0) {
		(void)close(c->fd);
		c->fd = -1;
	}
	loop_bury(c->client->loop, &c->grave, on_buried);
}

static void on_failed_at_start(struct later *w)
{
	struct http_call *c = container_of(w, struct http_call, failing);

	http_call_fail(c, (enum err)c->fail_with);
}

void http_call_fail(struct http_call *c, enum err why)
{
	let_go(c);
	if (c->starting) {
		c->fail_with = (uint8_t)why;
		timer_pause(&c->timer);
		loop_next_turn(c->client->loop, &c->failing, on_failed_at_start);
		return;
	}
	c->client->stats.failed_total++;
	http_call_bury(c);
	c->handler->on_fail(c, why);
}

static bool may_keep(const struct http_call *c)
{
	return c->response.keep_alive && c->response.framing != HTTP_BODY_CLOSE && !c->close &&
	       c->body_given;
}

void http_call_complete(struct http_call *c)
{
	struct client_conn *k = c->conn;

	c->conn = NULL;
	if (k) {
		client_pool_release(k, may_keep(c));
	}
	http_call_bury(c);
	c->handler->on_end(c);
}

void http_call_cancel(struct http_call *c)
{
	if (c->state != CALL_DONE) {
		let_go(c);
		http_call_bury(c);
	}
}

/*
 * A proxy must not repeat a request that is not idempotent (RFC 9110 9.2.2): the
 * peer may have acted on it before it closed.
 */
bool http_call_is_replayable(const struct http_call *c)
{
	return http_method_is_idempotent(c->method) &&
	       (c->body_kind == HTTP_CALL_NO_BODY || c->body_kind == HTTP_CALL_MEM);
}

static void send_again(struct http_call *c)
{
	c->retried = true;
	c->refused = false;
	http_call_enter(c, CALL_WAITING);
	client_pool_dispatch(c);
}

void http_call_on_gone(struct http_call *c, enum err why, bool unanswered)
{
	if (c->state == CALL_BODY && c->response.framing == HTTP_BODY_CLOSE && why == ERR_CLOSED) {
		http_call_complete(c);
		return;
	}
	if (c->state == CALL_HEAD && unanswered && !c->retried && why != ERR_TIMEOUT &&
	    http_call_is_replayable(c)) {
		send_again(c);
		return;
	}
	if (why == ERR_CLOSED) {
		why = c->state == CALL_BODY ? ERR_PROTO : ERR_IO;
	}
	http_call_fail(c, why);
}

/* Whatever its method: the peer has not acted on it (RFC 9113 8.7). */
void http_call_on_refused(struct http_call *c)
{
	c->sent = false;
	c->refused = true;
	if (c->state == CALL_HEAD && !c->retried &&
	    (c->body_kind == HTTP_CALL_NO_BODY || c->body_kind == HTTP_CALL_MEM)) {
		send_again(c);
	} else {
		http_call_fail(c, ERR_UNAVAILABLE);
	}
}

/* ---- sending ---- */

/* All of the request is with the stream: the answer is due. */
static void expect_answer(struct http_call *c)
{
	if (c->answer_timeout_ms > 0) {
		timer_start(c->client->loop, &c->timer, c->answer_timeout_ms, on_timeout);
	}
}

void http_call_was_given(struct http_call *c)
{
	if (c->body_given) {
		expect_answer(c);
	}
	if (c->handler->on_sent) {
		c->handler->on_sent(c);
	}
}

void http_call_send(struct http_call *c)
{
	struct stream *s = c->conn->stream;

	http_call_enter(c, CALL_HEAD);
	if (c->origin->route.server) {
		pipe_stream_set_name(s, c->speaks_for);
	}
	c->sent = true;
	c->conn->got_bytes = false;
	s->write_timeout_ms = c->write_timeout_ms;
	c->scan = (struct h1_scan){0};
	buf_put(stream_out(s), buf_str(&c->head));
	switch (c->body_kind) {
	case HTTP_CALL_NO_BODY:
		c->body_given = true;
		break;
	case HTTP_CALL_MEM:
		stream_write_mem(s, c->body, NULL, NULL);
		c->body_given = true;
		break;
	case HTTP_CALL_FILE:
		stream_write_file(s, c->fd, 0, c->length, NULL, NULL);
		c->fd = -1;
		c->body_given = true;
		break;
	case HTTP_CALL_LENGTH:
	case HTTP_CALL_CHUNKED:
		/* Not stream_write: who saw a lot of it waits for on_drained, sent at once or not.
		 */
		buf_put(stream_out(s), buf_str(&c->early));
		buf_free(&c->early);
		break;
	}
	stream_flush(s);
	http_call_was_given(c);
}

static bool is_streamed(const struct http_call *c)
{
	return c->body_kind == HTTP_CALL_LENGTH || c->body_kind == HTTP_CALL_CHUNKED;
}

/* Where body bytes go: the stream, or memory until there is one. */
static struct buf *body_out(struct http_call *c)
{
	return c->state >= CALL_HEAD ? stream_out(c->conn->stream) : &c->early;
}

static void put_body(struct http_call *c, struct str data)
{
	if (c->state >= CALL_HEAD) {
		stream_write(c->conn->stream, data);
	} else {
		buf_put(&c->early, data);
	}
}

void http_call_write(struct http_call *c, struct str data)
{
	if (c->state == CALL_DONE || data.n == 0) {
		return;
	}
	ASSERT(is_streamed(c) && !c->body_given);
	if (c->h2_head) {
		ASSERT(c->body_kind == HTTP_CALL_CHUNKED || data.n <= c->length);
		c->length -= c->body_kind == HTTP_CALL_LENGTH ? data.n : 0;
		h2_call_write(c, data);
		return;
	}
	if (c->body_kind == HTTP_CALL_CHUNKED) {
		h1_write_chunk_head(body_out(c), data.n);
		put_body(c, data);
		put_body(c, STR("\r\n"));
	} else {
		ASSERT(data.n <= c->length);
		c->length -= data.n;
		put_body(c, data);
	}
}

void http_call_finish(struct http_call *c)
{
	http_call_finish_trailers(c, NULL, 0);
}

/* No HTTP/1 server is known to want trailers. */
void http_call_finish_trailers(struct http_call *c, const struct http_header *v, size_t n)
{
	if (c->state == CALL_DONE || c->body_given) {
		return;
	}
	ASSERT(is_streamed(c) && (c->body_kind == HTTP_CALL_CHUNKED || c->length == 0));
	if (c->h2_head) {
		h2_call_finish(c, v, n);
	} else if (c->body_kind == HTTP_CALL_CHUNKED) {
		put_body(c, STR("0\r\n\r\n"));
	}
	c->body_given = true;
	if (c->state == CALL_HEAD) {
		expect_answer(c);
	}
}

bool http_call_was_sent(const struct http_call *c)
{
	return c->sent;
}

bool http_call_was_refused(const struct http_call *c)
{
	return c->refused;
}

bool http_call_was_unsecured(const struct http_call *c)
{
	return c->unsecured;
}

bool http_call_was_crowded_out(const struct http_call *c)
{
	return c->crowded_out;
}

bool http_call_was_too_large(const struct http_call *c)
{
	return c->too_large;
}

size_t http_call_pending(const struct http_call *c)
{
	if (c->h2) {
		return h2_call_pending(c);
	}
	return c->conn && c->conn->stream && c->state >= CALL_HEAD ? stream_pending(c->conn->stream)
								   : c->early.n;
}

/* ---- reading ---- */

void http_call_pause(struct http_call *c)
{
	if (c->state == CALL_DONE || c->paused) {
		return;
	}
	c->paused = true;
	h2_call_pause(c);
	if (c->state == CALL_BODY) {
		if (c->conn) {
			stream_pause_read(c->conn->stream);
		}
		timer_pause(&c->timer); /* the silence is ours */
	}
}

void http_call_resume(struct http_call *c)
{
	if (c->state == CALL_DONE || !c->paused) {
		return;
	}
	c->paused = false;
	h2_call_resume(c);
	if (c->state == CALL_BODY) {
		if (c->idle_timeout_ms > 0) {
			timer_start(c->client->loop, &c->timer, c->idle_timeout_ms, on_timeout);
		}
		if (c->conn) {
			stream_resume_read(c->conn->stream);
		}
	}
}
