/*
 * Calls on the streams of a shared connection.
 *
 * A client_conn in state SHARED has a session; each call on it has a stream. The
 * connection closes when it broke, when the peer said GOAWAY or it was retired and the
 * last stream has ended, or after having been quiet for the idle timeout. It is retired,
 * and calls go to another one, when nothing at all has come on it while an answer was
 * waited for, for it may be that nothing ever will; and before the peer takes the many
 * calls that clients gave up for a flood. Then a PING tells whether the peer lives.
 *
 * What one call does must not harm the others. No body begins where others have taken much of
 * the connection's window. A head that is larger than the peer takes fails alone; one that may be
 * has a connection alone, as many peers end that rather than refuse the stream.
 *
 * A stream that the peer did not process (REFUSED_STREAM, or above the last of a GOAWAY)
 * counts as never sent, and the call goes to another connection once, if its body is
 * still at hand.
 */
#include "base/mem.h"
#include "http/client_int.h"
#include "http/h2_call.h"
#include "http/h2_fields.h"
#include "http/h2_int.h"

/* A silent peer is asked whether it lives: seldom, for gRPC servers take more for abuse. */
#define PING_AFTER_MS 310000
#define PONG_WITHIN_MS 20000
#define INFORMATIONAL_MAX 16
#define GIVEN_UP_MAX 100
/* As much as all servers take, but for those that say that they take less. */
#define SAFE_HEAD ((size_t)8 << 10)

/* ---- the request ---- */

static struct str host_of(struct http_call *c, const struct http_call_spec *s)
{
	for (size_t i = 0; i < s->n_headers; i++) {
		if (str_eq_nocase(s->headers[i].name, STR("host"))) {
			return s->headers[i].value;
		}
	}
	return uri_authority(&c->arena, &s->uri);
}

static void add_length(struct h2_nvs *head, struct http_call *c, const struct http_call_spec *s)
{
	switch (s->body_kind) {
	case HTTP_CALL_NO_BODY:
		if (c->method == HTTP_POST || c->method == HTTP_PUT || c->method == HTTP_PATCH) {
			h2_nvs_add_u64(head, STR("content-length"), 0);
		}
		break;
	case HTTP_CALL_MEM:
		h2_nvs_add_u64(head, STR("content-length"), s->body.n);
		break;
	case HTTP_CALL_FILE:
	case HTTP_CALL_LENGTH:
		h2_nvs_add_u64(head, STR("content-length"), s->length);
		break;
	case HTTP_CALL_CHUNKED:
		break;
	}
}

enum err h2_call_prepare(struct http_call *c, const struct http_call_spec *s, struct str target)
{
	struct str host = host_of(c, s);
	struct h2_nvs *head;

	if (!http_is_request_line(s->method, target) || !http_is_field_value(host)) {
		return ERR_INVALID;
	}
	head = h2_nvs_new(loop_blocks(c->client->loop), s->n_headers + 5,
			  h2_text_bytes(s->headers, s->n_headers) + s->method.n + host.n +
				  target.n + 128);
	h2_nvs_add_pseudo(head, STR(":method"), s->method);
	h2_nvs_add_pseudo(head, STR(":scheme"), s->uri.tls ? STR("https") : STR("http"));
	h2_nvs_add_pseudo(head, STR(":authority"), host);
	h2_nvs_add_pseudo(head, STR(":path"), target);
	for (size_t i = 0; i < s->n_headers; i++) {
		if (!str_eq_nocase(s->headers[i].name, STR("host"))) {
			h2_nvs_add_all(head, &s->headers[i], 1);
		}
	}
	add_length(head, c, s);
	c->h2_head = head;
	c->h2_head_bytes = h2_nvs_list_bytes(head);
	c->mem_trailers = s->trailers;
	return ERR_OK;
}

static void give_body(struct http_call *c)
{
	struct h2_stream *s = c->h2;

	switch (c->body_kind) {
	case HTTP_CALL_NO_BODY:
		c->body_given = true;
		break;
	case HTTP_CALL_MEM:
		h2_stream_write_mem(s, c->body, NULL, NULL);
		if (c->mem_trailers) {
			c->h2_trailers = h2_nvs_of_trailers(loop_blocks(c->client->loop),
							    c->mem_trailers->v, c->mem_trailers->n);
		}
		c->body_given = true;
		break;
	case HTTP_CALL_FILE:
		h2_stream_write_file(s, c->fd, c->length, NULL, NULL);
		c->fd = -1;
		c->body_given = true;
		break;
	case HTTP_CALL_LENGTH:
	case HTTP_CALL_CHUNKED:
		h2_stream_write(s, buf_str(&c->early));
		buf_free(&c->early);
		break;
	}
	if (c->body_given && c->body_kind != HTTP_CALL_NO_BODY) {
		h2_stream_finish(s, c->h2_trailers);
		c->h2_trailers = NULL;
	}
}

static void watch_peer(struct client_conn *k);
static void on_silence(struct timer *t);

bool h2_call_has_large_head(const struct http_call *c)
{
	return c->h2_head_bytes > SAFE_HEAD;
}

static bool may_end_connection(const struct client_conn *k, const struct http_call *c)
{
	return h2_call_has_large_head(c) && h2_head_max(k->h2) == UINT32_MAX;
}

static void fail_as_too_large(struct http_call *c)
{
	c->too_large = true;
	http_call_fail(c, ERR_INVALID);
}

bool h2_call_send(struct client_conn *k, struct http_call *c)
{
	struct h2_stream *s;

	if (c->h2_head_bytes > h2_head_max(k->h2)) {
		fail_as_too_large(c);
		return true;
	}
	s = h2_open(k->h2, c->h2_head, c->body_kind == HTTP_CALL_NO_BODY);
	if (!s) {
		return false;
	}
	if (k->h2->n_streams == 1) {
		watch_peer(k);
		k->alone = may_end_connection(k, c);
	}
	c->heard_bytes = k->stream->bytes_in;
	s->call = c;
	s->arena = &c->arena;
	s->wanted = true;
	s->paused = c->paused;
	s->reused = k->reused;
	k->reused = true;
	c->conn = NULL;
	c->h2 = s;
	c->sent = true;
	http_call_enter(c, CALL_HEAD);
	give_body(c);
	http_call_was_given(c);
	return true;
}

void h2_call_write(struct http_call *c, struct str data)
{
	if (c->h2) {
		h2_stream_write(c->h2, data);
	} else if (!c->whole) {
		buf_put(&c->early, data);
	}
}

void h2_call_finish(struct http_call *c, const struct http_header *v, size_t n)
{
	struct h2_nvs *trailers = h2_nvs_of_trailers(loop_blocks(c->client->loop), v, n);

	c->body_given = true;
	if (c->h2) {
		h2_stream_finish(c->h2, trailers);
	} else {
		c->h2_trailers = trailers;
	}
}

size_t h2_call_pending(const struct http_call *c)
{
	return h2_stream_pending(c->h2);
}

void h2_call_pause(struct http_call *c)
{
	if (c->h2) {
		h2_stream_pause(c->h2);
	}
}

static void on_rest_due(struct later *w);

void h2_call_resume(struct http_call *c)
{
	if (c->h2) {
		h2_stream_resume(c->h2);
	} else if (c->whole) {
		loop_later(c->client->loop, &c->rest_due, on_rest_due);
	}
}

/* ---- the end ---- */

static void part(struct http_call *c)
{
	struct h2_stream *s = c->h2;

	c->h2 = NULL;
	h2_stream_detach(s);
}

/* Soon asked whether it lives: who reads nothing does not take our resets either. */
static void retire(struct client_conn *k)
{
	if (!k->retired && k->stream) {
		k->retired = true;
		k->pinged = false;
		k->seen_bytes = k->stream->bytes_in;
		timer_start(k->loop, &k->timer, PONG_WITHIN_MS, on_silence);
	}
}

/* A body in memory is not ours any longer. */
static void give_up(struct h2_stream *s)
{
	struct client_conn *k = s->h2->owner;

	if (++k->given_up >= GIVEN_UP_MAX) {
		retire(k);
	}
	h2_stream_drop_output(s);
	h2_reset(s, H2_CANCEL);
}

void h2_call_let_go(struct http_call *c)
{
	struct h2_stream *s = c->h2;

	if (s) {
		part(c);
		give_up(s);
	}
}

void h2_call_overdue(struct http_call *c)
{
	struct client_conn *k = c->h2 ? c->h2->h2->owner : NULL;

	if (!k) {
		return;
	}
	if (k->stream && k->stream->bytes_in == c->heard_bytes) {
		retire(k);
	}
	c->crowded_out = h2_call_pending(c) > 0 && h2_is_crowded_out(c->h2);
}

void h2_call_fini(struct http_call *c)
{
	h2_nvs_free(&c->h2_head);
	h2_nvs_free(&c->h2_trailers);
	later_cancel(&c->rest_due);
	buf_free(&c->rest);
}

static void tell_trailers(struct http_call *c)
{
	if (c->trailers && c->handler->on_trailers) {
		c->handler->on_trailers(c, c->trailers);
	}
}

static void complete(struct http_call *c)
{
	struct h2_stream *s = c->h2;
	bool all_sent = s->finished && h2_stream_pending(s) == 0;

	h2_earn(s->h2, 4);
	part(c);
	if (!all_sent) {
		give_up(s);
	}
	http_call_complete(c);
}

static void on_rest_due(struct later *w)
{
	struct http_call *c = container_of(w, struct http_call, rest_due);
	struct buf rest = {0};

	if (c->paused) {
		return;
	}
	buf_move(&rest, &c->rest);
	http_call_give(c, buf_str(&rest));
	buf_free(&rest);
	if (c->state != CALL_DONE && !c->paused) {
		tell_trailers(c);
		if (c->state != CALL_DONE) {
			http_call_complete(c);
		}
	}
}

/* A stream ends when its peer has said all, not when the call has taken it. */
static void keep_rest(struct http_call *c)
{
	struct h2_stream *s = c->h2;

	h2_earn(s->h2, 4);
	buf_put(&c->rest, buf_str(&s->in));
	c->whole = true;
	part(c);
	h2_stream_drop_output(s);
	h2_call_resume(c);
}

static enum err reason(const struct h2_stream *s, uint32_t code)
{
	const struct client_conn *k = s->h2->owner;

	if (s->h2->dead) {
		return k->why;
	}
	return s->refused || code == H2_NO_ERROR || code == H2_PROTOCOL_ERROR ? ERR_PROTO : ERR_IO;
}

/* Before the answer, for one of the reasons that servers give who mean a head. */
static bool is_for_its_head(const struct h2_stream *s, uint32_t code)
{
	uint32_t said = s->h2->goaway_code != H2_NO_ERROR ? s->h2->goaway_code : code;

	return h2_call_has_large_head(s->call) && !s->head_done && !s->refused &&
	       (said == H2_PROTOCOL_ERROR || said == H2_ENHANCE_YOUR_CALM);
}

static void on_closed(struct h2_stream *s, uint32_t code)
{
	struct client_conn *k = s->h2->owner;
	struct http_call *c = s->call;
	bool reused = s->reused, too_large;
	enum err why = reason(s, code);

	if (k->origin) {
		client_origin_kick(k->origin);
	}
	if (!c) {
		return;
	}
	if (s->ended_in) {
		keep_rest(c);
		return;
	}
	too_large = is_for_its_head(s, code);
	part(c);
	h2_stream_drop_output(s);
	if (too_large) {
		fail_as_too_large(c);
	} else if (code == H2_REFUSED_STREAM) {
		http_call_on_refused(c);
	} else {
		http_call_on_gone(c, why, s->h2->dead && reused);
	}
}

/* ---- the answer ---- */

static void on_head(struct h2_stream *s, bool end)
{
	struct http_call *c = s->call;
	struct http_response r;
	enum err e = h2_parse_response(s->fields, c->method, end, &r);

	if (e == ERR_OK && r.status < 200 &&
	    (r.status == 101 || end || ++c->informational > INFORMATIONAL_MAX)) {
		e = ERR_PROTO;
	}
	if (e != ERR_OK) {
		http_call_fail(c, e);
		return;
	}
	if (r.status < 200) {
		return;
	}
	s->head_done = true;
	s->told_end = end;
	c->response = r;
	http_call_hand_over_head(c);
	if (c->h2 != s) {
		return;
	}
	if (end) {
		s->ended_in = true;
		complete(c);
	} else if (c->paused) {
		timer_pause(&c->timer);
	}
}

static void on_data(struct h2_stream *s, struct str data)
{
	http_call_give(s->call, data);
}

static void on_trailers(struct h2_stream *s, const struct http_headers *trailers)
{
	s->call->trailers = trailers;
}

static void on_end(struct h2_stream *s)
{
	struct http_call *c = s->call;

	tell_trailers(c);
	if (c->h2 == s) {
		complete(c);
	}
}

static void on_drained(struct h2_stream *s)
{
	struct http_call *c = s->call;

	if (c->handler->on_writable && !c->body_given) {
		c->handler->on_writable(c);
	}
}

static void on_stuck(struct h2_stream *s)
{
	if (s->call) {
		h2_call_overdue(s->call);
		http_call_fail(s->call, ERR_TIMEOUT);
	} else {
		h2_reset(s, H2_CANCEL);
	}
}

/* ---- the connection ---- */

static void on_idle_too_long(struct timer *t)
{
	h2_end(container_of(t, struct client_conn, timer)->h2, H2_NO_ERROR);
}

static void on_silence(struct timer *t)
{
	struct client_conn *k = container_of(t, struct client_conn, timer);

	if (k->stream->bytes_in != k->seen_bytes) {
		watch_peer(k);
	} else if (k->pinged) {
		k->why = ERR_TIMEOUT;
		client_conn_close(k);
	} else {
		k->pinged = true;
		h2_ping(k->h2);
		timer_start(k->loop, &k->timer, PONG_WITHIN_MS, on_silence);
	}
}

static void watch_peer(struct client_conn *k)
{
	k->pinged = false;
	k->seen_bytes = k->stream->bytes_in;
	timer_start(k->loop, &k->timer, PING_AFTER_MS, on_silence);
}

static void on_quiet(struct h2 *h)
{
	struct client_conn *k = h->owner;

	if (h->goaway_last >= 0 || k->retired) {
		h2_end(h, H2_NO_ERROR);
	} else {
		timer_start(k->loop, &k->timer, k->client->options.idle_timeout_ms,
			    on_idle_too_long);
	}
}

static void on_control(struct h2 *h, bool pong)
{
	struct client_conn *k = h->owner;

	if (pong) {
		return;
	}
	if (h->goaway_last >= 0 && h->n_streams == 0) {
		h2_end(h, H2_NO_ERROR);
	}
	if (h->got_settings) {
		k->origin->streams_at_first = MAX(MIN(h2_streams_max(h), STREAMS_AT_FIRST), 1);
	}
	client_origin_kick(k->origin);
}

static void on_over(struct h2 *h)
{
	struct client_conn *k = h->owner;

	k->why = ERR_PROTO; /* with calls on it: the peer broke the rules */
	client_conn_close(k);
}

static const struct h2_events events = {
	.on_head = on_head,
	.on_trailers = on_trailers,
	.on_data = on_data,
	.on_end = on_end,
	.on_drained = on_drained,
	.on_stuck = on_stuck,
	.on_closed = on_closed,
	.on_quiet = on_quiet,
	.on_control = on_control,
	.on_over = on_over,
};

static size_t on_bytes(struct stream *s, char *p, size_t n)
{
	struct client_conn *k = s->user;

	return h2_on_data(k->h2, p, n);
}

static void on_room(struct stream *s)
{
	h2_on_drained(((struct client_conn *)s->user)->h2);
}

static void on_stream_close(struct stream *s, enum err why)
{
	struct client_conn *k = s->user;

	k->stream = NULL; /* frees itself */
	k->why = why;
	client_conn_close(k);
}

static const struct stream_handler shared_events = {
	.on_data = on_bytes,
	.on_drained = on_room,
	.on_close = on_stream_close,
};

void h2_client_start(struct client_conn *k, uint32_t write_timeout_ms)
{
	k->h2 = h2_new(&(struct h2_options){
		.events = &events,
		.owner = k,
		.loop = k->loop,
		.stream = k->stream,
		.limits = *k->client->options.head,
		.write_timeout_ms = write_timeout_ms,
		.streams_max = 0,
	});
	k->why = ERR_CLOSED;
	stream_set_handler(k->stream, &shared_events, k);
	watch_peer(k);
}

void h2_client_gone(struct client_conn *k)
{
	h2_free(&k->h2);
}

bool h2_client_has_room(const struct client_conn *k)
{
	return k->h2 && !k->retired && h2_may_open(k->h2, k->origin->streams_at_first);
}

bool h2_client_has_room_for(const struct client_conn *k, const struct http_call *c)
{
	if (k->h2->n_streams > 0 && (k->alone || may_end_connection(k, c))) {
		return false;
	}
	return k->h2->n_streams == 0 || c->body_kind == HTTP_CALL_NO_BODY ||
	       h2_has_body_room(k->h2);
}
