/*
 * The answer of a call. An answer must end where its framing says: a byte behind
 * it is a fault of the peer, since it could pass for the answer to the next call.
 * That is noticed before the head is handed over, where it came with the head.
 */
#include "http/client_int.h"

#define INFORMATIONAL_MAX 16

/* ---- head ---- */

static struct str moved(struct str s, const char *from, const char *to, size_t n)
{
	if (s.p >= from && s.p <= from + n) {
		s.p = to + (s.p - from);
	}
	return s;
}

/* The strings of `r` point into the input; they shall live as long as the call. */
static void keep_head(struct http_call *c, struct http_response *r, const char *head, size_t n)
{
	char *copy = arena_alloc(&c->arena, n);

	memcpy(copy, head, n);
	r->reason = moved(r->reason, head, copy, n);
	for (size_t i = 0; i < r->headers.n; i++) {
		struct http_header *h = &r->headers.v[i];

		h->name = moved(h->name, head, copy, n);
		h->value = moved(h->value, head, copy, n);
	}
	c->response = *r;
}

/*
 * "Keep-Alive: timeout=5": we stop using the connection a little before the peer
 * closes it. Read from its first answer only.
 */
static void note_keep_alive(struct client_conn *k, const struct http_response *r)
{
	struct str rest = http_header_get(&r->headers, STR("keep-alive"));
	struct str part;
	uint64_t seconds;

	while (str_split(&rest, ',', &part)) {
		part = str_trim(part);
		if (str_starts_nocase(part, STR("timeout=")) &&
		    str_to_u64(str_skip(part, 8), &seconds) && seconds <= 3600) {
			uint32_t ms = (uint32_t)seconds * 1000;

			k->keep_ms = MAX(ms - MIN(ms / 2, 1000u), 1u);
		}
	}
}

static void on_silence(struct timer *t)
{
	http_call_fail(container_of(t, struct http_call, timer), ERR_TIMEOUT);
}

static void expect_body(struct http_call *c)
{
	if (c->idle_timeout_ms > 0) {
		timer_start(c->client->loop, &c->timer, c->idle_timeout_ms, on_silence);
	} else {
		timer_pause(&c->timer);
	}
}

/* Whether `extra` bytes behind the head cannot belong to this answer. */
static bool is_too_much(const struct http_response *r, size_t extra)
{
	return (r->framing == HTTP_BODY_NONE && extra > 0) ||
	       (r->framing == HTTP_BODY_LENGTH && extra > r->content_length);
}

static bool is_over(const struct http_call *c)
{
	return c->response.framing == HTTP_BODY_NONE ||
	       (c->response.framing == HTTP_BODY_LENGTH && c->left == 0);
}

void http_call_hand_over_head(struct http_call *c)
{
	http_call_enter(c, CALL_BODY);
	c->left = c->response.content_length;
	c->chunked.keep = &c->arena;
	expect_body(c);
	c->handler->on_head(c, &c->response);
}

static void hand_over_head(struct http_call *c)
{
	if (!c->conn->reused) {
		note_keep_alive(c->conn, &c->response);
	}
	http_call_hand_over_head(c);
	if (c->state == CALL_DONE) {
		return;
	}
	if (is_over(c)) {
		http_call_complete(c);
	} else if (c->paused) {
		stream_pause_read(c->conn->stream);
		timer_pause(&c->timer);
	}
}

static void hand_over_stream(struct http_call *c, struct str early)
{
	struct stream *s = client_conn_take_stream(c->conn);

	c->conn = NULL;
	http_call_bury(c);
	c->handler->on_upgrade(c, &c->response, s, early);
}

static bool skip_informational(struct http_call *c)
{
	c->scan = (struct h1_scan){0};
	if (++c->informational > INFORMATIONAL_MAX) {
		http_call_fail(c, ERR_PROTO);
		return false;
	}
	return true;
}

/* Returns the bytes used, 0 when the head is not complete (or the call failed). */
static size_t recv_head(struct http_call *c, struct str in)
{
	struct http_response r;
	const struct h1_limits *limits =
		c->origin->route.server ? &h1_limits_in_process : c->client->options.head;
	enum err e = h1_parse_response(&c->arena, in, limits, c->method, &c->scan, &r);
	size_t len = c->scan.head;

	if (e == ERR_AGAIN) {
		return 0;
	}
	if (e != ERR_OK) {
		http_call_fail(c, e);
		return 0;
	}
	if (r.status >= 100 && r.status < 200 && r.status != 101) {
		return skip_informational(c) ? len : 0;
	}
	if (r.status == 101 ? !c->upgrade : is_too_much(&r, in.n - len)) {
		http_call_fail(c, ERR_PROTO);
		return 0;
	}
	keep_head(c, &r, in.p, len);
	if (r.status == 101) {
		hand_over_stream(c, str_skip(in, len));
	} else {
		hand_over_head(c);
	}
	return len;
}

/* ---- body ---- */

void http_call_give(struct http_call *c, struct str data)
{
	if (data.n > 0) {
		expect_body(c);
		c->handler->on_data(c, data);
	}
}

static size_t recv_length(struct http_call *c, struct str in)
{
	if (in.n > c->left) {
		http_call_fail(c, ERR_PROTO);
		return 0;
	}
	c->left -= in.n;
	http_call_give(c, in);
	if (c->state == CALL_BODY && c->left == 0) {
		http_call_complete(c);
	}
	return in.n;
}

static void end_chunked(struct http_call *c)
{
	if (c->chunked.trailers.n > 0 && c->handler->on_trailers) {
		c->handler->on_trailers(c, &c->chunked.trailers);
	}
	if (c->state == CALL_BODY) {
		http_call_complete(c);
	}
}

static size_t recv_chunked(struct http_call *c, struct str in)
{
	size_t used;
	struct str data;
	enum err e = h1_chunked_next(&c->chunked, in, &used, &data);

	if (e != ERR_OK) {
		http_call_fail(c, e == ERR_LIMIT ? ERR_LIMIT : ERR_PROTO);
		return 0;
	}
	http_call_give(c, data);
	if (c->state == CALL_BODY && c->chunked.done) {
		if (used < in.n) {
			http_call_fail(c, ERR_PROTO);
		} else {
			end_chunked(c);
		}
	}
	return used;
}

/* Returns the bytes used; 0 when more are needed (or the call failed). */
static size_t recv_body(struct http_call *c, struct str in)
{
	switch (c->response.framing) {
	case HTTP_BODY_LENGTH:
		return recv_length(c, in);
	case HTTP_BODY_CHUNKED:
		return recv_chunked(c, in);
	case HTTP_BODY_CLOSE:
		http_call_give(c, in);
		return in.n;
	case HTTP_BODY_NONE:
		break;
	}
	return 0; /* was complete with its head */
}

size_t http_call_on_data(struct http_call *c, char *p, size_t n)
{
	struct str in = str_of(p, n);
	size_t step;

	do {
		step = c->state == CALL_HEAD ? recv_head(c, in) : recv_body(c, in);
		in = str_skip(in, step);
	} while (step > 0 && in.n > 0 && c->state != CALL_DONE &&
		 !(c->paused && c->state == CALL_BODY));
	/* Done: the connection is closed, idle (all used), or works for another call. */
	return c->state == CALL_DONE ? n : n - in.n;
}
