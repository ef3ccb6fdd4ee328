/* The answer side of an exchange. */
#include "http/chars.h"
#include "http/server_int.h"

#include <unistd.h>

/* The Date line changes once a second: formatted once per loop. */
struct str http_loop_date(struct http_loop *hl)
{
	uint64_t second = loop_now_ms(hl->loop) / 1000;

	if (second != hl->date_second || hl->date[0] == 0) {
		hl->date_second = second;
		clock_http_date(clock_wall_ms(), hl->date);
	}
	return str_of(hl->date, CLOCK_HTTP_DATE_LEN);
}

static bool goes_on(const struct exchange *x)
{
	return x->keep_alive && !x->answer_close &&
	       !atomic_load_explicit(&x->conn->owner->server->draining, memory_order_relaxed);
}

void answer_write_head(struct buf *out, struct exchange *x, int status,
		       const struct http_header *headers, size_t n)
{
	bool has_date = false;

	h1_write_status_line(out, status);
	h1_write_headers(out, headers, n);
	for (size_t i = 0; i < n && !has_date; i++) {
		has_date = TOKEN_IS(headers[i].name, "date");
	}
	if (!has_date) {
		h1_write_header(out, STR("Date"), http_loop_date(http_loop_of(x->loop)));
	}
	x->answer_close = !goes_on(x);
	if (x->answer_close) {
		h1_write_header(out, STR("Connection"), STR("close"));
	} else if (x->minor == 0) {
		h1_write_header(out, STR("Connection"), STR("keep-alive"));
	}
}

/* RFC 9110 6.4.1: answers that never have a body. */
bool answer_never_has_body(int status)
{
	return status < 200 || status == 204 || status == 304;
}

uint64_t answer_body_length(const struct exchange_answer *a)
{
	return a->kind == EXCHANGE_BODY_FILE ? a->file_size : a->body.n;
}

void answer_drop_body(const struct exchange_answer *a)
{
	if (a->kind == EXCHANGE_BODY_FILE) {
		(void)close(a->fd);
	}
	if (a->kind != EXCHANGE_BODY_STR && a->release) {
		a->release(a->arg);
	}
}

static void send_body(struct stream *s, const struct exchange_answer *a)
{
	switch (a->kind) {
	case EXCHANGE_BODY_STR:
		stream_write(s, a->body);
		break;
	case EXCHANGE_BODY_MEM:
		stream_write_mem(s, a->body, a->release, a->arg);
		break;
	case EXCHANGE_BODY_FILE:
		stream_write_file(s, a->fd, 0, a->file_size, a->release, a->arg);
		break;
	}
}

void exchange_reply(struct exchange *x, const struct exchange_answer *a)
{
	struct conn *c = x->conn;
	bool bare = answer_never_has_body(a->status);
	struct buf *out;

	ASSERT(!x->answer_begun);
	x->answer_begun = true;
	if (x->h2) {
		h2_exchange_reply(x, a);
		return;
	}
	out = stream_out(c->stream);
	/* A body that will not be read to its end costs the connection: conn_answered decides too.
	 */
	x->answer_close = a->close || conn_must_close_after(x);
	answer_write_head(out, x, a->status, a->headers, a->n_headers);
	if (!bare || (a->status == 304 && a->has_length)) {
		h1_write_header_u64(out, STR("Content-Length"),
				    a->has_length && (bare || x->method == HTTP_HEAD)
					    ? a->length
					    : answer_body_length(a));
	}
	h1_write_end(out);
	stream_flush(c->stream);
	if (bare || x->method == HTTP_HEAD) {
		answer_drop_body(a);
	} else {
		send_body(c->stream, a);
	}
	conn_answered(c);
}

void exchange_reply_status(struct exchange *x, int status)
{
	exchange_reply(x, &(struct exchange_answer){.status = status});
}

void exchange_reply_allow(struct exchange *x, struct str methods)
{
	struct http_header allow = {STR("Allow"), methods};

	exchange_reply(x,
		       &(struct exchange_answer){.status = 405, .headers = &allow, .n_headers = 1});
}

void exchange_reply_text(struct exchange *x, int status, struct str content_type, struct str body)
{
	struct http_header type = {STR("Content-Type"), content_type};

	exchange_reply(x,
		       &(struct exchange_answer){
			       .status = status, .headers = &type, .n_headers = 1, .body = body});
}

/* ---- streamed answers ---- */

void exchange_start(struct exchange *x, int status, const struct http_header *headers, size_t n,
		    int64_t length)
{
	struct buf *out;

	ASSERT(!x->answer_begun);
	x->answer_begun = true;
	x->answer_bare = x->method == HTTP_HEAD || answer_never_has_body(status);
	x->answer_measured = length >= 0 && !x->answer_bare;
	x->answer_left = x->answer_measured ? (uint64_t)length : 0;
	if (x->h2) {
		h2_exchange_start(x, status, headers, n, length);
		return;
	}
	out = stream_out(x->conn->stream);
	x->answer_chunked = length < 0 && x->minor >= 1 && !answer_never_has_body(status);
	x->answer_close = (length < 0 && x->minor == 0) || (!x->body_done && x->expect_continue);
	answer_write_head(out, x, status, headers, n);
	if (x->answer_chunked) {
		h1_write_header(out, STR("Transfer-Encoding"), STR("chunked"));
	} else if (length >= 0 && !answer_never_has_body(status)) {
		h1_write_header_u64(out, STR("Content-Length"), (uint64_t)length);
	}
	h1_write_end(out);
	/* One that ends with the connection (RFC 9112 6.3). */
	if (length < 0 && !x->answer_chunked && !x->answer_bare) {
		stream_open_ended(x->conn->stream);
	}
	stream_flush(x->conn->stream);
}

void exchange_write(struct exchange *x, struct str data)
{
	struct stream *s;

	ASSERT(x->answer_begun);
	if (x->answer_bare || data.n == 0) {
		return;
	}
	if (x->answer_measured) {
		x->answer_wrong = x->answer_wrong || data.n > x->answer_left;
		if (x->answer_wrong) {
			return;
		}
		x->answer_left -= data.n;
	}
	if (x->h2) {
		h2_exchange_write(x, data);
		return;
	}
	s = x->conn->stream;
	if (x->answer_chunked) {
		h1_write_chunk_head(stream_out(s), data.n);
		stream_write(s, data);
		stream_write(s, STR("\r\n"));
	} else {
		stream_write(s, data);
	}
}

/* The last chunk, and trailers if the client takes them. */
static void end_chunks(struct exchange *x, const struct http_header *v, size_t n)
{
	struct buf *out = stream_out(x->conn->stream);

	buf_puts(out, "0\r\n");
	for (size_t i = 0; i < n && x->te_trailers; i++) {
		h1_write_header(out, v[i].name, v[i].value);
	}
	h1_write_end(out);
	stream_flush(x->conn->stream);
}

void exchange_finish(struct exchange *x)
{
	exchange_finish_trailers(x, NULL, 0);
}

void exchange_finish_trailers(struct exchange *x, const struct http_header *v, size_t n)
{
	ASSERT(x->answer_begun);
	if (x->answer_wrong || x->answer_left > 0) {
		exchange_cut(x);
		return;
	}
	if (x->h2) {
		h2_exchange_finish(x, v, n);
		return;
	}
	stream_complete(x->conn->stream);
	if (x->answer_chunked && x->method != HTTP_HEAD) {
		end_chunks(x, v, n);
	}
	conn_answered(x->conn);
}

void exchange_cut(struct exchange *x)
{
	struct conn *c = x->conn;

	x->h = NULL; /* the role knows */
	if (x->h2) {
		h2_exchange_cut(x);
		return;
	}
	if (x->answer_wrong) { /* all that was announced may be out */
		stream_open_ended(c->stream);
	}
	conn_abort(c);
}

void exchange_take_by(struct exchange *x, uint64_t loop_ms)
{
	if (x->h2) {
		h2_exchange_take_by(x, loop_ms);
	} else if (x->conn) {
		x->conn->stream->write_by_ms = loop_ms;
	}
}

size_t exchange_pending(const struct exchange *x)
{
	if (x->h2) {
		return h2_exchange_pending(x);
	}
	return x->conn ? stream_pending(x->conn->stream) : 0;
}
