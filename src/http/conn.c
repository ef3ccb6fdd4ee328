/*
 * One server connection: turns bytes into exchanges, one after the other.
 *
 *   IDLE --first byte--> HEAD --head complete--> dispatch
 *     ^                                            |-- no body --------------> ANSWER
 *     |                                            |-- body, role asks ------> BODY --end--> ANSWER
 *     |                                            '-- body, not asked yet --> HELD --asked--> BODY
 *     |                                                        (BODY <-> HELD while paused)
 *     +--- answered, request complete -------------------------------------- ANSWER
 *     +--- rest thrown away --- DISCARD <--- answered before the body's end --- HELD, BODY
 *   IDLE, HEAD --preface of HTTP/2--> H2
 *   any --gone, hijacked, refused--> CLOSED
 */
#include "base/mem.h"
#include "http/server_int.h"
#include "net/pipe_stream.h"
#include "net/proxy_protocol.h"

#include <unistd.h>

/* A client that keeps sending a body nobody wants is cut off beyond this. */
#define DISCARD_MAX ((uint64_t)256 << 10)
/* Pipelined requests waiting behind an unanswered one. */
#define PIPELINE_MAX ((size_t)64 << 10)

static const uint8_t conn_next[CONN_STATES] = {
	/* To itself: a drain begins. */
	[CONN_IDLE] = 1u << CONN_IDLE | 1u << CONN_HEAD | 1u << CONN_HELD | 1u << CONN_ANSWER |
		      1u << CONN_H2 | 1u << CONN_CLOSED,
	[CONN_HEAD] = 1u << CONN_HELD | 1u << CONN_ANSWER | 1u << CONN_H2 | 1u << CONN_CLOSED,
	[CONN_HELD] = 1u << CONN_BODY | 1u << CONN_DISCARD | 1u << CONN_CLOSED,
	[CONN_BODY] = 1u << CONN_HELD | 1u << CONN_ANSWER | 1u << CONN_DISCARD | 1u << CONN_CLOSED,
	[CONN_ANSWER] = 1u << CONN_IDLE | 1u << CONN_CLOSED,
	[CONN_DISCARD] = 1u << CONN_IDLE | 1u << CONN_CLOSED,
	[CONN_H2] = 1u << CONN_CLOSED,
	[CONN_CLOSED] = 0,
};

static void on_timeout(struct timer *t);

static void set_timer(struct conn *c, enum conn_state to)
{
	const struct http_limits *lim = &c->owner->server->limits;
	uint32_t ms = 0;

	switch (to) {
	case CONN_IDLE:
		ms = conn_is_draining(c) ? c->owner->server->drain_idle_ms : lim->idle_timeout_ms;
		break;
	case CONN_HEAD:
		ms = lim->head_timeout_ms;
		break;
	case CONN_BODY:
	case CONN_DISCARD:
		ms = lim->body_timeout_ms;
		break;
	case CONN_HELD:
	case CONN_ANSWER:
	case CONN_H2:
	case CONN_CLOSED:
	case CONN_STATES:
		break;
	}
	if (ms > 0) {
		timer_start(c->owner->loop, &c->timer, ms, on_timeout);
	} else {
		timer_pause(&c->timer);
	}
}

/* No atomic addition: nobody else writes. */
static void count_state(struct conn *c, enum conn_state s, int by)
{
	_Atomic uint32_t *n = &c->owner->in_state[s];

	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + (uint32_t)by,
			      memory_order_relaxed);
}

void conn_enter(struct conn *c, enum conn_state to)
{
	ASSERT(conn_next[c->state] & 1u << to);
	count_state(c, c->state, -1);
	count_state(c, to, 1);
	c->state = to;
	set_timer(c, to);
}

/* ---- the end of a connection ---- */

static void free_buried(struct grave *g)
{
	struct conn *c = container_of(g, struct conn, grave);

	mem_free(c->local);
	mem_free(c);
}

/* Unlinks and buries; the stream and the exchange must have been dealt with. */
static void bury(struct conn *c)
{
	struct server_loop *sl = c->owner;

	conn_enter(c, CONN_CLOSED);
	timer_stop(sl->loop, &c->timer);
	later_cancel(&c->again);
	list_remove(&c->node);
	loop_bury(sl->loop, &c->grave, free_buried);
}

/* Last of all: whoever sees no connection any more may rely on what its end has caused. */
static void count_out(struct conn *c)
{
	atomic_fetch_sub_explicit(&c->owner->connections, 1, memory_order_release);
}

static void abort_exchange(struct conn *c, int status)
{
	struct exchange *x = c->x;

	c->x = NULL;
	if (x) {
		exchange_abort(x, status);
	} else if (c->h2) {
		h2_server_gone(c);
	}
	count_out(c);
}

void conn_close(struct conn *c)
{
	struct stream *s = c->stream;

	bury(c);
	stream_close(s);
	abort_exchange(c, 0);
}

void conn_abort(struct conn *c)
{
	struct stream *s = c->stream;

	bury(c);
	stream_cut(s);
	abort_exchange(c, 0);
}

struct stream *conn_release_stream(struct conn *c)
{
	struct stream *s = c->stream;

	c->x = NULL;
	bury(c);
	count_out(c);
	return s;
}

void conn_refuse(struct conn *c, int status)
{
	struct buf *out = stream_out(c->stream);
	struct stream *s = c->stream;

	atomic_fetch_add_explicit(&c->owner->bad_requests_total, 1, memory_order_relaxed);
	if (!c->x || !c->x->answer_begun) {
		h1_write_status_line(out, status);
		h1_write_header(out, STR("Content-Length"), STR("0"));
		h1_write_header(out, STR("Connection"), STR("close"));
		h1_write_end(out);
		stream_flush(s);
	}
	bury(c);
	stream_close(s);
	abort_exchange(c, status);
}

static void on_timeout(struct timer *t)
{
	struct conn *c = container_of(t, struct conn, timer);

	if (c->state == CONN_IDLE || c->state == CONN_DISCARD) {
		conn_close(c);
	} else {
		conn_refuse(c, 408);
	}
}

/* ---- the head ---- */

static void rebase(struct str *s, const char *from, size_t n, const char *to)
{
	if (s->p >= from && s->p <= from + n) {
		s->p = to + (s->p - from);
	}
}

/* The parser's strings point into a passing buffer: keep the head in the arena. */
static void keep_head(struct exchange *x, const char *head, size_t n)
{
	struct http_request *r = &x->req;
	char *copy = arena_alloc(&x->arena, n);

	memcpy(copy, head, n);
	rebase(&r->method_text, head, n, copy);
	rebase(&r->target, head, n, copy);
	rebase(&r->path, head, n, copy);
	rebase(&r->query, head, n, copy);
	rebase(&r->authority, head, n, copy);
	for (size_t i = 0; i < r->headers.n; i++) {
		rebase(&r->headers.v[i].name, head, n, copy);
		rebase(&r->headers.v[i].value, head, n, copy);
	}
}

void exchange_begin(struct exchange *x)
{
	const struct http_request *r = &x->req;

	x->id = slots_put(&http_loop_of(x->loop)->exchanges, x);
	x->start_ms = loop_now_ms(x->loop);
	x->method = r->method;
	x->minor = r->minor;
	x->is_tls = x->conn->is_tls;
	x->in_process = x->conn->in_process;
	x->te_trailers = r->te_trailers;
	x->keep_alive = r->keep_alive;
	x->expect_continue = r->expect_continue;
	x->body_left = r->framing == HTTP_BODY_LENGTH ? r->content_length : 0;
	x->body_done = r->framing == HTTP_BODY_NONE ||
		       (r->framing == HTTP_BODY_LENGTH && r->content_length == 0);
	atomic_fetch_add_explicit(&x->conn->owner->requests_total, 1, memory_order_relaxed);
}

static void count_head(struct conn *c)
{
	uint64_t turn = loop_turn(c->owner->loop);

	c->heads = c->turn == turn ? c->heads + 1 : 1;
	c->turn = turn;
}

static void begin_exchange(struct conn *c, struct exchange *x)
{
	count_head(c);
	exchange_begin(x);
	c->x = x;
	x->chunked.keep = &x->arena;
	c->scan = (struct h1_scan){0};
	conn_enter(c, x->body_done ? CONN_ANSWER : CONN_HELD);
}

/* Returns the bytes taken; 0 = more are needed, or the connection is closed. */
static size_t take_head(struct conn *c, struct str in)
{
	const struct http_server *server = c->owner->server;
	struct exchange *x = exchange_new(c);
	int status = 400;
	const struct h1_limits *limits =
		c->in_process ? &h1_limits_in_process : &server->limits.head;
	enum err e = h1_parse_request(&x->arena, in, limits, &c->scan, &x->req, &status);

	if (e == ERR_OK && x->req.method == HTTP_CONNECT) {
		/* We are no tunnel. What follows was meant for one and is no request of ours. */
		e = ERR_PROTO;
		status = 501;
	}
	if (e == ERR_OK) {
		size_t used = c->scan.head;

		keep_head(x, in.p, used);
		begin_exchange(c, x);
		c->rest = str_skip(in, used);
		server->dispatch(x, server->role);
		return used;
	}
	exchange_free(x);
	if (e != ERR_AGAIN) {
		conn_refuse(c, status);
	} else if (c->state == CONN_IDLE) {
		conn_enter(c, CONN_HEAD);
	}
	return 0;
}

/* ---- the body ---- */

/* The body is over, also if the role paused it with its last piece. */
static void enter_answer(struct conn *c)
{
	if (c->state == CONN_HELD) {
		conn_enter(c, CONN_BODY);
	}
	if (c->state != CONN_ANSWER) {
		conn_enter(c, CONN_ANSWER);
	}
}

static void body_complete(struct conn *c)
{
	struct exchange *x = c->x;

	x->body_done = true;
	enter_answer(c);
	if (x->chunked.trailers.n > 0 && x->h->on_trailers) {
		x->h->on_trailers(x, &x->chunked.trailers);
	}
	if (c->x == x && x->h->on_end) {
		x->h->on_end(x);
	}
}

/* False when the exchange has ended meanwhile. */
static bool body_piece(struct conn *c, struct str data)
{
	struct exchange *x = c->x;

	if (exchange_earns_time(x, data.n)) {
		set_timer(c, CONN_BODY);
	}
	x->body_seen += data.n;
	if (x->body_seen > x->body_max) {
		exchange_too_large(x);
		return false;
	}
	if (x->collecting) {
		exchange_keep(x, data);
	} else if (data.n > 0) {
		x->h->on_data(x, data);
	}
	return c->x == x && (c->state == CONN_BODY || c->state == CONN_HELD);
}

static size_t body_plain(struct conn *c, struct str in)
{
	struct exchange *x = c->x;
	size_t n = (size_t)MIN(in.n, x->body_left);

	x->body_left -= n;
	c->rest = str_skip(in, n);
	if (body_piece(c, str_slice(in, 0, n)) && x->body_left == 0) {
		body_complete(c);
	}
	return n;
}

static size_t body_chunked(struct conn *c, struct str in)
{
	struct exchange *x = c->x;
	struct str data;
	size_t used;

	if (h1_chunked_next(&x->chunked, in, &used, &data) != ERR_OK) {
		conn_refuse(c, 400);
		return 0;
	}
	c->rest = str_skip(in, used);
	if (used > 0 && body_piece(c, data) && x->chunked.done) {
		body_complete(c);
	}
	return used;
}

static size_t take_body(struct conn *c, struct str in)
{
	return c->x->req.framing == HTTP_BODY_CHUNKED ? body_chunked(c, in) : body_plain(c, in);
}

bool conn_is_draining(const struct conn *c)
{
	return atomic_load_explicit(&c->owner->server->draining, memory_order_relaxed);
}

/* The answer is out, but the client still sends: read on without keeping it. */
static size_t discard_body(struct conn *c, struct str in)
{
	struct exchange *x = c->x;
	struct str data = {0};
	size_t used = (size_t)MIN(in.n, x->body_left);
	bool done;

	if (x->req.framing == HTTP_BODY_CHUNKED) {
		if (h1_chunked_next(&x->chunked, in, &used, &data) != ERR_OK) {
			conn_close(c);
			return 0;
		}
		done = x->chunked.done;
	} else {
		x->body_left -= used;
		done = x->body_left == 0;
	}
	c->discarded += used;
	if (c->discarded > DISCARD_MAX || (done && conn_is_draining(c))) {
		conn_close(c);
	} else if (done) {
		c->x = NULL;
		exchange_free(x);
		conn_enter(c, CONN_IDLE);
	}
	return used;
}

/* ---- bytes ---- */

/* True: it is HTTP/1. Otherwise more bytes are needed, or it is HTTP/2 now. */
static bool take_preface(struct conn *c, struct str in)
{
	switch (h2_server_sniff(in)) {
	case H2_PREFACE:
		c->may_h2 = false;
		conn_enter(c, CONN_H2);
		h2_server_start(c);
		return false;
	case H2_PREFACE_PART:
		if (c->state == CONN_IDLE) {
			conn_enter(c, CONN_HEAD);
		}
		return false;
	case H2_PREFACE_NONE:
		break;
	}
	c->may_h2 = false;
	return true;
}

static void on_again(struct later *w)
{
	stream_resume_read(container_of(w, struct conn, again)->stream);
}

/* True: enough was begun in this turn, the next request waits for the next one. */
static bool has_had_its_turn(struct conn *c)
{
	struct loop *l = c->owner->loop;

	if (c->heads < HTTP_HEADS_PER_TURN || c->turn != loop_turn(l)) {
		return false;
	}
	stream_pause_read(c->stream);
	loop_next_turn(l, &c->again, on_again);
	return true;
}

static size_t take(struct conn *c, struct str in)
{
	switch (c->state) {
	case CONN_IDLE:
	case CONN_HEAD:
		if (has_had_its_turn(c)) {
			return 0;
		}
		if (stream_pending(c->stream) > STREAM_HIGH_WATER) {
			c->wait_drain = true;
			stream_pause_read(c->stream);
			return 0;
		}
		if (c->may_h2 && !take_preface(c, in)) {
			return 0;
		}
		return take_head(c, in);
	case CONN_BODY:
		ASSERT(c->x);
		return take_body(c, in);
	case CONN_DISCARD:
		ASSERT(c->x);
		return discard_body(c, in);
	case CONN_HELD:
		stream_pause_read(c->stream);
		return 0;
	case CONN_ANSWER:
		if (in.n > PIPELINE_MAX) {
			stream_pause_read(c->stream);
		}
		return 0;
	case CONN_H2:
	case CONN_CLOSED:
	case CONN_STATES:
		break;
	}
	return 0;
}

static size_t on_data(struct stream *s, char *p, size_t n)
{
	struct conn *c = s->user;
	struct str in = str_of(p, n);

	c->in_on_data = true;
	while (in.n > 0 && c->state != CONN_CLOSED) {
		size_t used = take(c, in);

		in = str_skip(in, used);
		if (used == 0) {
			break;
		}
	}
	c->in_on_data = false;
	return c->state == CONN_CLOSED ? n : n - in.n;
}

static void on_eof(struct stream *s)
{
	struct conn *c = s->user;

	if (c->state == CONN_HEAD) {
		conn_refuse(c, 400);
	} else {
		conn_close(c);
	}
}

static void on_drained(struct stream *s)
{
	struct conn *c = s->user;

	if (c->wait_drain) {
		c->wait_drain = false;
		stream_resume_read(s);
	}
	if (c->x && c->x->h && c->x->h->on_drained && c->x->answer_begun) {
		c->x->h->on_drained(c->x);
	}
}

void conn_on_stream_close(struct stream *s, enum err why)
{
	struct conn *c = s->user;

	(void)why;
	bury(c);
	abort_exchange(c, 0);
}

static const struct stream_handler conn_handler = {
	.on_data = on_data,
	.on_eof = on_eof,
	.on_drained = on_drained,
	.on_close = conn_on_stream_close,
};

/* ---- called by exchanges ---- */

void conn_resume_body(struct conn *c)
{
	struct exchange *x = c->x;

	if (x->body_done || x->paused || c->state != CONN_HELD) {
		return;
	}
	if (x->expect_continue && !x->answer_begun) {
		x->expect_continue = false;
		stream_write(c->stream, STR("HTTP/1.1 100 Continue\r\n\r\n"));
	}
	conn_enter(c, CONN_BODY);
	if (!c->in_on_data) {
		stream_resume_read(c->stream);
	} else {
		c->stream->read_paused = false;
	}
}

/* Bytes of the body may follow; false also while its last piece is with the role. */
static bool is_body_left(const struct exchange *x)
{
	if (x->body_done) {
		return false;
	}
	return x->req.framing == HTTP_BODY_CHUNKED ? !x->chunked.done : x->body_left > 0;
}

bool conn_must_close_after(const struct exchange *x)
{
	if (!is_body_left(x)) {
		return false;
	}
	/* Nobody said "continue": the client may never send the body. */
	return x->expect_continue ||
	       (x->req.framing == HTTP_BODY_LENGTH && x->body_left > DISCARD_MAX);
}

/* The drain began after the answer did, and no other request is waited for. */
static bool is_drained_now(const struct conn *c)
{
	return conn_is_draining(c) && c->owner->server->drain_idle_ms == 0;
}

void conn_answered(struct conn *c)
{
	struct exchange *x = c->x;
	bool body_left = is_body_left(x);

	if (x->answer_close || conn_must_close_after(x) || (!body_left && is_drained_now(c))) {
		struct stream *s = c->stream;
		/* "Connection: close" of the client: this was its last request (RFC 9112 9.6). */
		bool was_last = !x->keep_alive && !body_left;

		c->x = NULL;
		exchange_free(x);
		bury(c);
		if (was_last) {
			stream_close_last(s);
		} else {
			stream_close(s);
		}
		count_out(c);
		return;
	}
	if (body_left) {
		x->h = NULL;
		buf_free(&x->body);
		slots_remove(&http_loop_of(x->loop)->exchanges, x->id);
		x->id = (struct slot_id){0};
		c->discarded = 0;
		conn_enter(c, CONN_DISCARD);
	} else {
		c->x = NULL;
		exchange_free(x);
		enter_answer(c);
		conn_enter(c, CONN_IDLE);
	}
	if (!c->in_on_data) {
		stream_resume_read(c->stream);
	} else {
		c->stream->read_paused = false;
	}
}

/* ---- the beginning ---- */

static const char plain_on_tls[] = "HTTP/1.1 400 Bad Request\r\n"
				   "Content-Type: text/plain\r\n"
				   "Content-Length: 32\r\n"
				   "Connection: close\r\n\r\n"
				   "plain HTTP request to HTTPS port";

static void on_plain(struct stream *s)
{
	struct conn *c = s->user;

	atomic_fetch_add_explicit(&c->owner->bad_requests_total, 1, memory_order_relaxed);
	stream_write(s, str_of(plain_on_tls, sizeof(plain_on_tls) - 1));
	conn_close(c);
}

/* Under TLS if the listener has it; the loop cannot lose the context within the turn. */
static void begin_tls(struct conn *c)
{
	struct tls_server *tls = atomic_load_explicit(&c->listener->tls, memory_order_acquire);

	if (tls) {
		c->is_tls = true;
		c->may_h2 = tls_server_alpn(tls) & TLS_ALPN_H2;
		tls_stream_accept(c->stream,
				  &(struct tls_accept){
					  .server = tls,
					  .timeout_ms = c->owner->server->limits.head_timeout_ms,
					  .on_plain = on_plain,
				  });
	}
}

static void on_proxy_header(struct stream *s, const struct proxy_header *h)
{
	struct conn *c = s->user;

	if (!h->is_local) {
		memcpy(&c->peer, &h->source.sa, sizeof(c->peer));
		c->local = MEM_NEW(union peer);
		memcpy(c->local, &h->destination.sa, sizeof(*c->local));
	}
	begin_tls(c);
}

static const char overloaded[] =
	"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

static void refuse_overloaded(struct stream *s, bool tls)
{
	/* Without TLS: a handshake is what we cannot afford. */
	if (!tls) {
		stream_write(s, str_of(overloaded, sizeof(overloaded) - 1));
	}
	stream_close(s);
}

/* No part of http_server_active: how long a role keeps what it took is its own affair. */
static bool is_full(const struct server_loop *sl)
{
	uint32_t n = atomic_load_explicit(&sl->connections, memory_order_relaxed) + sl->hijacked;

	return n >= sl->server->limits.connections_max;
}

/* Counts it; NULL: one too many, it was refused. */
static struct conn *conn_begin(struct server_loop *sl, struct stream *s, bool tls)
{
	const struct http_limits *lim = &sl->server->limits;
	struct conn *c;

	atomic_fetch_add_explicit(&sl->connections_total, 1, memory_order_relaxed);
	if (is_full(sl)) {
		refuse_overloaded(s, tls);
		return NULL;
	}
	c = MEM_NEW(struct conn);
	c->owner = sl;
	c->stream = s;
	stream_set_handler(s, &conn_handler, c);
	s->write_timeout_ms = lim->write_timeout_ms;
	list_push(&sl->conns, &c->node);
	atomic_fetch_add_explicit(&sl->connections, 1, memory_order_relaxed);
	count_state(c, CONN_IDLE, 1);
	set_timer(c, CONN_IDLE);
	return c;
}

void conn_accept(struct loop *l, int fd, const struct addr *peer, void *http_listener)
{
	const struct http_listener *hl = http_listener;
	struct server_loop *sl = &hl->server->per_loop[loop_index(l)];
	struct stream *s = stream_new(l, fd, &conn_handler, NULL);
	struct conn *c = conn_begin(sl, s, atomic_load(&hl->tls));

	if (!c) {
		return;
	}
	c->listener = hl;
	memcpy(&c->peer, &peer->sa, MIN(sizeof(c->peer), peer->len));
	c->may_h2 = atomic_load_explicit(&hl->http2, memory_order_relaxed);
	if (hl->proxy_protocol) {
		stream_expect_proxy(c->stream, sl->server->limits.head_timeout_ms, on_proxy_header);
	} else {
		begin_tls(c);
	}
}

void conn_join(struct server_loop *sl, struct stream *s)
{
	struct conn *c = conn_begin(sl, s, false);

	if (c) {
		c->in_process = true;
		s->write_timeout_ms = PIPE_STREAM_PATIENCE_MS;
	}
}
