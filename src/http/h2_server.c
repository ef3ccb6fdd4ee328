/*
 * Exchanges on the streams of a HTTP/2 connection.
 *
 * A stream has its exchange from its first header until the answer is complete or
 * the stream is reset; then the answer's rest flows alone. The states of a stream are
 * nghttp2's; what we add is in the flags of struct h2_stream.
 *
 * The head of a streamed answer waits until the end of the turn (s->head): when the
 * answer is finished by then, and has no body, it goes out as one HEADERS with
 * END_STREAM, which is what gRPC clients know as "trailers only".
 */
#include "base/mem.h"
#include "http/h2_fields.h"
#include "http/h2_int.h"
#include "http/server_int.h"

#include <unistd.h>

#define STREAMS_MAX 128
/* Between the announcement that no more is taken and the final GOAWAY, at most. */
#define DRAIN_NOTICE_MS 1000

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
#define PREFACE_LEN (sizeof(preface) - 1)

enum h2_preface h2_server_sniff(struct str in)
{
	size_t n = MIN(in.n, PREFACE_LEN);

	if (memcmp(in.p, preface, n) != 0) {
		return H2_PREFACE_NONE;
	}
	return n == PREFACE_LEN ? H2_PREFACE : H2_PREFACE_PART;
}

static const struct http_limits *limits_of(const struct h2_stream *s)
{
	return &((struct conn *)s->h2->owner)->owner->server->limits;
}

static struct blocks *blocks_of(const struct h2_stream *s)
{
	return loop_blocks(s->h2->loop);
}

/* ---- the end of an exchange ---- */

static void send_head(struct h2_stream *s, bool end)
{
	struct h2_nvs *head = s->head;

	s->head = NULL;
	if (!h2_submit_head(s, head, end)) {
		h2_reset(s, H2_INTERNAL_ERROR);
	}
}

/* They let go of each other; the stream may live on. */
static void part(struct exchange *x)
{
	struct h2_stream *s = x->h2;

	h2_nvs_free(&s->head);
	h2_stream_detach(s);
	x->h2 = NULL;
}

static void end_answered(struct exchange *x)
{
	struct h2_stream *s = x->h2;

	h2_earn(s->h2, 2);
	part(x);
	exchange_free(x);
}

void h2_exchange_cut(struct exchange *x)
{
	struct h2_stream *s = x->h2;

	x->h = NULL;
	if (s->head) {
		send_head(s, false);
	}
	if (x->answer_begun) {
		h2_stream_cut(s);
	} else {
		h2_reset(s, H2_INTERNAL_ERROR);
	}
	part(x);
	exchange_free(x);
}

/* An answer of the server itself, and the end of the exchange. */
void h2_exchange_refuse(struct exchange *x, int status)
{
	struct h2_stream *s = x->h2;
	struct h2_nvs *head;

	atomic_fetch_add_explicit(&x->conn->owner->bad_requests_total, 1, memory_order_relaxed);
	if (x->answer_begun) {
		h2_reset(s, H2_INTERNAL_ERROR);
	} else {
		head = h2_nvs_of_response(blocks_of(s), status, NULL, 0);
		h2_nvs_add_u64(head, STR("content-length"), 0);
		if (!h2_submit_head(s, head, true)) {
			h2_reset(s, H2_INTERNAL_ERROR);
		}
	}
	part(x);
	exchange_abort(x, status);
}

/* ---- the request ---- */

static void on_head_timeout(struct timer *t)
{
	struct h2_stream *s = container_of(t, struct h2_stream, in_timer);

	/* Its block is open: nothing else can come on this connection. */
	conn_close(s->h2->owner);
}

static void on_open(struct h2_stream *s)
{
	struct conn *c = s->h2->owner;

	if (!s->h2->draining) {
		timer_pause(&c->timer);
	}
	s->x = exchange_new(c);
	s->x->h2 = s;
	s->arena = &s->x->arena;
	timer_start(c->owner->loop, &s->in_timer, limits_of(s)->head_timeout_ms, on_head_timeout);
}

static void on_head(struct h2_stream *s, bool end)
{
	struct conn *c = s->h2->owner;
	const struct http_server *server = c->owner->server;
	struct exchange *x = s->x;
	int status;

	s->head_done = true;
	timer_pause(&s->in_timer);
	if (h2_parse_request(&x->arena, s->fields, end, &x->req, &status) != ERR_OK) {
		(void)h2_charge(s->h2, 1);
		h2_exchange_refuse(x, status);
		return;
	}
	exchange_begin(x);
	s->ended_in = end;
	s->told_end = x->body_done; /* by exchange_collect and exchange_stream */
	server->dispatch(x, server->role);
}

static void on_body_timeout(struct timer *t)
{
	struct h2_stream *s = container_of(t, struct h2_stream, in_timer);

	h2_exchange_refuse(s->x, 408);
}

/* Once there is an answer the two may take their time for each other's turn. */
static void watch_body(struct h2_stream *s)
{
	if (s->x->answer_begun) {
		return;
	}
	timer_start(s->h2->loop, &s->in_timer, limits_of(s)->body_timeout_ms, on_body_timeout);
}

static void begin_body(struct exchange *x)
{
	struct h2_stream *s = x->h2;

	if (x->expect_continue && !x->answer_begun && !s->ended_in && s->in.n == 0) {
		h2_submit_informational(s, 100);
	}
	x->expect_continue = false;
	if (!s->ended_in) {
		watch_body(s);
	}
	h2_stream_resume(s);
}

void h2_exchange_accept(struct exchange *x)
{
	if (x->paused) {
		x->h2->wanted = true;
		h2_exchange_pause(x);
	} else {
		begin_body(x);
	}
}

void h2_exchange_pause(struct exchange *x)
{
	h2_stream_pause(x->h2);
	timer_pause(&x->h2->in_timer); /* the silence is ours */
}

void h2_exchange_resume(struct exchange *x)
{
	if (x->accepted) {
		begin_body(x);
	}
}

static void on_data(struct h2_stream *s, struct str data)
{
	struct exchange *x = s->x;

	if (!s->ended_in && exchange_earns_time(x, data.n)) {
		watch_body(s);
	}
	x->body_left -= MIN(x->body_left, data.n);
	x->body_seen += data.n;
	if (x->body_seen > x->body_max) {
		exchange_too_large(x);
	} else if (x->collecting) {
		exchange_keep(x, data);
	} else if (data.n > 0) {
		x->h->on_data(x, data);
	}
}

static void on_end(struct h2_stream *s)
{
	struct exchange *x = s->x;

	x->body_done = true;
	if (x->trailers && x->h->on_trailers) {
		x->h->on_trailers(x, x->trailers);
	}
	if (s->x == x && x->h->on_end) {
		x->h->on_end(x);
	}
}

static void on_trailers(struct h2_stream *s, const struct http_headers *trailers)
{
	s->x->trailers = trailers;
}

static void on_drained(struct h2_stream *s)
{
	struct exchange *x = s->x;

	if (x->h && x->h->on_drained && x->answer_begun) {
		x->h->on_drained(x);
	}
}

static void on_stuck(struct h2_stream *s)
{
	struct exchange *x = s->x;

	h2_reset(s, H2_CANCEL);
	if (x) {
		part(x);
		exchange_abort(x, 0);
	}
}

static void on_closed(struct h2_stream *s, uint32_t code)
{
	struct exchange *x = s->x;

	(void)code;
	if (x) {
		part(x);
		exchange_abort(x, 0);
	}
}

/* ---- the answer ---- */

static struct h2_nvs *make_head(struct exchange *x, int status, const struct http_header *v,
				size_t n)
{
	struct h2_nvs *head = h2_nvs_of_response(blocks_of(x->h2), status, v, n);
	bool has_date = false;

	for (size_t i = 0; i < n && !has_date; i++) {
		has_date = str_eq_nocase(v[i].name, STR("date"));
	}
	if (!has_date) {
		h2_nvs_add(head, STR("date"), http_loop_date(http_loop_of(x->loop)));
	}
	return head;
}

static void give_body(struct h2_stream *s, const struct exchange_answer *a)
{
	switch (a->kind) {
	case EXCHANGE_BODY_STR:
		h2_stream_write(s, a->body);
		break;
	case EXCHANGE_BODY_MEM:
		h2_stream_write_mem(s, a->body, a->release, a->arg);
		break;
	case EXCHANGE_BODY_FILE:
		h2_stream_write_file(s, a->fd, a->file_size, a->release, a->arg);
		break;
	}
}

void h2_exchange_reply(struct exchange *x, const struct exchange_answer *a)
{
	struct h2_stream *s = x->h2;
	bool never = answer_never_has_body(a->status);
	bool bare = never || x->method == HTTP_HEAD;
	uint64_t length = answer_body_length(a);
	struct h2_nvs *head = make_head(x, a->status, a->headers, a->n_headers);

	if (!never || (a->status == 304 && a->has_length)) {
		h2_nvs_add_u64(head, STR("content-length"),
			       a->has_length && bare ? a->length : length);
	}
	bare = bare || length == 0;
	if (!h2_submit_head(s, head, bare)) {
		h2_reset(s, H2_INTERNAL_ERROR);
	}
	if (bare) {
		answer_drop_body(a);
	} else {
		give_body(s, a);
		h2_stream_finish(s, NULL);
	}
	end_answered(x);
}

void h2_exchange_start(struct exchange *x, int status, const struct http_header *v, size_t n,
		       int64_t length)
{
	struct h2_stream *s = x->h2;

	timer_pause(&s->in_timer);
	s->head = make_head(x, status, v, n);
	if (length >= 0 && !answer_never_has_body(status)) {
		h2_nvs_add_u64(s->head, STR("content-length"), (uint64_t)length);
	}
	h2_stream_wake(s);
}

void h2_exchange_write(struct exchange *x, struct str data)
{
	h2_stream_write(x->h2, data);
}

void h2_exchange_finish(struct exchange *x, const struct http_header *trailers, size_t n)
{
	struct h2_stream *s = x->h2;
	struct h2_nvs *tail = h2_nvs_of_trailers(blocks_of(s), trailers, n);

	if (s->head) {
		send_head(s, !tail && h2_stream_pending(s) == 0);
	}
	h2_stream_finish(s, tail);
	end_answered(x);
}

void h2_exchange_take_by(struct exchange *x, uint64_t loop_ms)
{
	x->h2->write_by_ms = loop_ms;
}

size_t h2_exchange_pending(const struct exchange *x)
{
	return h2_stream_pending(x->h2);
}

/* ---- the connection ---- */

static size_t on_bytes(struct stream *s, char *p, size_t n)
{
	struct conn *c = s->user;

	return h2_on_data(c->h2, p, n);
}

static void on_eof(struct stream *s)
{
	conn_close(s->user);
}

static void on_room(struct stream *s)
{
	h2_on_drained(((struct conn *)s->user)->h2);
}

static const struct stream_handler conn_handler = {
	.on_data = on_bytes,
	.on_eof = on_eof,
	.on_drained = on_room,
	.on_close = conn_on_stream_close,
};

static void on_idle_too_long(struct timer *t)
{
	struct conn *c = container_of(t, struct conn, timer);

	h2_end(c->h2, H2_NO_ERROR);
}

static void watch_idle(struct conn *c)
{
	timer_start(c->owner->loop, &c->timer, c->owner->server->limits.idle_timeout_ms,
		    on_idle_too_long);
}

static void on_quiet(struct h2 *h)
{
	if (h->drain_final) {
		h2_end(h, H2_NO_ERROR);
	} else if (!h->draining) {
		watch_idle(h->owner);
	}
}

static void on_over(struct h2 *h)
{
	struct conn *c = h->owner;

	if (h->kill == H2_ENHANCE_YOUR_CALM) {
		atomic_fetch_add_explicit(&c->owner->floods_total, 1, memory_order_relaxed);
	}
	conn_close(c);
}

/* ---- drain: a notice, a round trip, then the last stream that is served ---- */

static void drain_for_good(struct h2 *h)
{
	struct conn *c = h->owner;

	if (h->drain_final) {
		return;
	}
	h->drain_final = true;
	timer_pause(&c->timer);
	if (h->n_streams == 0) {
		h2_end(h, H2_NO_ERROR);
	} else {
		h2_goaway(h);
	}
}

static void on_notice_over(struct timer *t)
{
	drain_for_good(container_of(t, struct conn, timer)->h2);
}

static void on_control(struct h2 *h, bool pong)
{
	if (pong && h->draining) {
		drain_for_good(h);
	}
}

void h2_server_drain(struct conn *c)
{
	struct h2 *h = c->h2;

	if (h->draining) {
		return;
	}
	h->draining = true;
	h2_goaway_notice(h);
	h2_ping(h);
	timer_start(c->owner->loop, &c->timer, DRAIN_NOTICE_MS, on_notice_over);
}

void h2_server_gone(struct conn *c)
{
	h2_free(&c->h2);
}

static const struct h2_events events = {
	.on_open = on_open,
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

void h2_server_start(struct conn *c)
{
	const struct http_limits *lim = &c->owner->server->limits;

	c->h2 = h2_new(&(struct h2_options){
		.events = &events,
		.owner = c,
		.loop = c->owner->loop,
		.stream = c->stream,
		.limits = lim->head,
		.write_timeout_ms = lim->write_timeout_ms,
		.is_server = true,
		.streams_max = STREAMS_MAX,
	});
	stream_set_handler(c->stream, &conn_handler, c);
	h2_read_later(c->h2);
	watch_idle(c);
	if (conn_is_draining(c)) {
		h2_server_drain(c);
	}
}
