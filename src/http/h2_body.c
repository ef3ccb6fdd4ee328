/*
 * Streams of a HTTP/2 session and their bodies.
 *
 * In:   what comes while the owner does not want it is held, and its window is not
 *       given back, so a peer is at most H2_STREAM_WINDOW ahead on a stream and a client
 *       H2_CONN_WINDOW on the connection. A connection to a service is shared by clients,
 *       and its room is given back at once: who is slow must not stop the others.
 * Out:  bytes wait in the stream until nghttp2 may send them (windows, the state of
 *       the connection); they go from there into the connection's output in one copy.
 */
#include "base/mem.h"
#include "http/h2_fields.h"
#include "http/h2_int.h"
#include "http/h2_lib.h"

#include <unistd.h>

#define FRAME_HEAD 9
/* A client that goes on sending a body nobody wants is reset after so many bytes or so long. */
#define DISCARD_MAX ((size_t)H2_STREAM_WINDOW / 2)
#define LINGER_MS 5000

static void on_work(struct later *w);

/* ---- life ---- */

struct h2_stream *h2_stream_new(struct h2 *h, int32_t id)
{
	struct h2_stream *s = blocks_get(loop_blocks(h->loop), sizeof(*s));

	memset(s, 0, sizeof(*s));
	s->from = loop_blocks(h->loop);
	s->h2 = h;
	s->id = id;
	s->born_ms = loop_now_ms(h->loop);
	s->fd = -1;
	list_push(&h->streams, &s->node);
	h->n_streams++;
	return s;
}

/* The session may be gone by now. */
static void on_buried(struct grave *g)
{
	struct h2_stream *s = container_of(g, struct h2_stream, grave);

	blocks_put(s->from, s);
}

static uint64_t out_size(const struct h2_stream *s)
{
	return s->out.n + s->mem.n + s->file_left;
}

static void drop_output(struct h2_stream *s)
{
	s->h2->out_bytes -= s->out.n;
	buf_free(&s->out);
	s->mem = STR_NULL;
	if (s->release) {
		s->release(s->arg);
		s->release = NULL;
	}
	if (s->fd >= 0) {
		(void)close(s->fd);
		s->fd = -1;
	}
	s->file_left = 0;
}

/* For good: the stream is to be reset, or has ended. */
void h2_stream_drop_output(struct h2_stream *s)
{
	s->finished = false;
	drop_output(s);
}

static void give_connection_room(struct h2 *h, size_t n)
{
	(void)nghttp2_session_consume_connection(h->session, n);
	h2_send_later(h);
}

/* Bytes that nobody will look at any more. */
static void give_back(struct h2_stream *s, size_t n)
{
	struct h2 *h = s->h2;

	if (n == 0 || h->dead) {
		return;
	}
	if (h->is_server) {
		give_connection_room(h, n);
	}
	if (!s->closed) {
		(void)nghttp2_session_consume_stream(h->session, s->id, n);
	}
	h2_send_later(h);
}

void h2_stream_detach(struct h2_stream *s)
{
	size_t held = s->in.n;

	s->x = NULL;
	s->call = NULL;
	s->arena = NULL;
	s->fields = NULL;
	buf_free(&s->in);
	timer_pause(&s->in_timer);
	give_back(s, held);
}

void h2_stream_free(struct h2_stream *s)
{
	struct h2 *h = s->h2;

	s->closed = true;
	h2_stream_detach(s);
	drop_output(s);
	h2_nvs_free(&s->head);
	h2_nvs_free(&s->head_out);
	h2_nvs_free(&s->trailers);
	timer_stop(h->loop, &s->in_timer);
	timer_stop(h->loop, &s->out_timer);
	later_cancel(&s->work);
	list_remove(&s->node);
	h->n_streams--;
	loop_bury(h->loop, &s->grave, on_buried);
}

/* ---- in ---- */

static bool may_deliver(const struct h2_stream *s)
{
	return s->wanted && !s->paused && !s->closed && s->arena;
}

static void deliver_end(struct h2_stream *s)
{
	if (s->ended_in && !s->told_end && s->in.n == 0 && may_deliver(s)) {
		s->told_end = true;
		timer_pause(&s->in_timer);
		s->h2->events->on_end(s);
	}
}

/* The room of the connection is given back, that of the stream is not. */
static void discard(struct h2_stream *s, size_t n)
{
	if (s->h2->is_server) {
		give_connection_room(s->h2, n);
	}
	s->discarded += n;
	/* Not before the answer is out: a reset would overtake it. */
	if (s->lingering && s->discarded > DISCARD_MAX) {
		h2_reset(s, H2_NO_ERROR);
	}
}

static void on_linger_over(struct timer *t)
{
	h2_reset(container_of(t, struct h2_stream, in_timer), H2_NO_ERROR);
}

/* A reset overtakes a head, but needs no window as the next DATA would. */
void h2_stream_sent(struct h2_stream *s)
{
	if (s->cut && !s->head_out && out_size(s) == 0) {
		h2_reset(s, H2_INTERNAL_ERROR);
	}
}

void h2_stream_sent_end(struct h2_stream *s)
{
	timer_pause(&s->out_timer);
	if (!s->h2->is_server || s->ended_in) {
		return;
	}
	s->lingering = true;
	if (s->discarded > DISCARD_MAX) {
		h2_reset(s, H2_NO_ERROR);
	} else {
		timer_start(s->h2->loop, &s->in_timer, LINGER_MS, on_linger_over);
	}
}

void h2_stream_input(struct h2_stream *s, struct str data)
{
	if (!s->h2->is_server) {
		give_connection_room(s->h2, data.n);
	}
	if (!s->arena) {
		discard(s, data.n);
	} else if (s->in.n > 0 || !may_deliver(s)) {
		buf_put(&s->in, data);
	} else {
		give_back(s, data.n);
		s->h2->events->on_data(s, data);
	}
}

void h2_stream_input_end(struct h2_stream *s)
{
	s->ended_in = true;
	deliver_end(s);
}

void h2_stream_pause(struct h2_stream *s)
{
	s->paused = true;
}

void h2_stream_resume(struct h2_stream *s)
{
	s->wanted = true;
	s->paused = false;
	if (s->in.n > 0 || (s->ended_in && !s->told_end)) {
		loop_later(s->h2->loop, &s->work, on_work);
	}
}

static void deliver_held(struct h2_stream *s)
{
	struct buf held = {0};

	if (s->in.n == 0) {
		return;
	}
	buf_move(&held, &s->in);
	give_back(s, held.n);
	s->h2->events->on_data(s, buf_str(&held));
	buf_free(&held);
}

static void on_work(struct later *w)
{
	struct h2_stream *s = container_of(w, struct h2_stream, work);

	if (s->head && !s->closed) {
		struct h2_nvs *head = s->head;

		s->head = NULL;
		(void)h2_submit_head(s, head, false);
	}
	if (s->tell_drained) {
		s->tell_drained = false;
		if (s->arena && !s->closed) {
			s->h2->events->on_drained(s);
		}
	}
	if (may_deliver(s)) {
		deliver_held(s);
		deliver_end(s);
	}
}

void h2_stream_wake(struct h2_stream *s)
{
	loop_later(s->h2->loop, &s->work, on_work);
}

/* ---- out ---- */

static void on_stuck(struct timer *t)
{
	struct h2_stream *s = container_of(t, struct h2_stream, out_timer);

	s->h2->events->on_stuck(s);
}

static void watch_output(struct h2_stream *s)
{
	if (!timer_is_armed(&s->out_timer)) {
		timer_start(s->h2->loop, &s->out_timer,
			    stream_patience_ms(loop_now_ms(s->h2->loop), s->h2->write_timeout_ms,
					       s->write_by_ms),
			    on_stuck);
	}
}

static void output_ready(struct h2_stream *s)
{
	struct h2 *h = s->h2;

	if (s->head) {
		h2_stream_wake(s);
	}
	if (out_size(s) > 0) {
		watch_output(s);
	}
	if (s->deferred) {
		s->deferred = false;
		(void)nghttp2_session_resume_data(h->session, s->id);
	}
	h2_send_later(h);
}

void h2_stream_write(struct h2_stream *s, struct str data)
{
	struct h2 *h = s->h2;

	if (s->closed || h->dead || data.n == 0) {
		return;
	}
	buf_put(&s->out, data);
	h->out_bytes += data.n;
	if (s->out.n >= STREAM_HIGH_WATER || h->out_bytes >= H2_OUT_HIGH_WATER) {
		s->was_high = true;
	}
	output_ready(s);
}

void h2_stream_write_mem(struct h2_stream *s, struct str data, void (*release)(void *arg),
			 void *arg)
{
	if (s->closed || s->h2->dead || data.n == 0) {
		if (release) {
			release(arg);
		}
		return;
	}
	s->mem = data;
	s->release = release;
	s->arg = arg;
	output_ready(s);
}

void h2_stream_write_file(struct h2_stream *s, int fd, uint64_t n, void (*release)(void *arg),
			  void *arg)
{
	if (s->closed || s->h2->dead || n == 0) {
		(void)close(fd);
		if (release) {
			release(arg);
		}
		return;
	}
	s->fd = fd;
	s->file_left = n;
	s->release = release;
	s->arg = arg;
	output_ready(s);
}

void h2_stream_finish(struct h2_stream *s, struct h2_nvs *trailers)
{
	s->finished = true;
	s->trailers = trailers;
	if (!s->closed && !s->h2->dead) {
		watch_output(s); /* nghttp2 sends the end, too, only when a window is open */
	}
	output_ready(s);
}

void h2_stream_cut(struct h2_stream *s)
{
	s->cut = true;
	h2_stream_sent(s);
}

size_t h2_stream_pending(const struct h2_stream *s)
{
	size_t n = (size_t)MIN(out_size(s), SIZE_MAX / 2);

	return s->was_high ? MAX(n, STREAM_HIGH_WATER) : n;
}

/* nghttp2 asks how much it may send; the bytes follow in h2_send_data. */
/* NOLINTNEXTLINE(readability-function-size): parameters are nghttp2's */
ssize_t h2_read_output(struct nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
		       uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct h2_stream *s = source->ptr;
	uint64_t have = out_size(s);
	size_t n = (size_t)MIN(have, (uint64_t)length);

	(void)buf;
	(void)user;
	if (n == 0 && !s->finished) {
		s->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	if (n > 0) {
		*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	}
	if (n == have && s->finished) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (s->trailers &&
		    nghttp2_submit_trailer(session, id, s->trailers->v, s->trailers->n) == 0) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		}
	}
	return (ssize_t)n;
}

static bool read_file(struct h2_stream *s, char *to, size_t n)
{
	while (n > 0) {
		ssize_t got = pread(s->fd, to, n, s->offset);

		if (got <= 0) {
			return false;
		}
		to += got;
		n -= (size_t)got;
		s->offset += got;
		s->file_left -= (uint64_t)got;
	}
	return true;
}

static bool move_output(struct h2_stream *s, char *to, size_t n)
{
	size_t part = MIN(n, s->out.n);

	if (part > 0) {
		memcpy(to, buf_head(&s->out), part);
		buf_consume(&s->out, part);
		s->h2->out_bytes -= part;
		to += part;
		n -= part;
	}
	part = MIN(n, s->mem.n);
	if (part > 0) {
		memcpy(to, s->mem.p, part);
		s->mem = str_skip(s->mem, part);
		to += part;
		n -= part;
	}
	return read_file(s, to, n);
}

int h2_send_data(struct nghttp2_session *session, nghttp2_frame *frame, const uint8_t *framehd,
		 size_t length, nghttp2_data_source *source, void *user)
{
	struct h2_stream *s = source->ptr;
	struct h2 *h = user;
	struct buf *out;
	char *p;

	(void)session;
	(void)frame;
	if (stream_pending(h->stream) >= STREAM_HIGH_WATER) {
		return NGHTTP2_ERR_WOULDBLOCK;
	}
	out = stream_out(h->stream);
	p = buf_reserve(out, FRAME_HEAD + length);
	memcpy(p, framehd, FRAME_HEAD);
	if (!move_output(s, p + FRAME_HEAD, length)) {
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* the file is cut: so is the body */
	}
	buf_commit(out, FRAME_HEAD + length);
	h2_earn(h, 2);
	h->owed.connection += length;
	h->owed.streams += length;
	timer_pause(&s->out_timer);
	if (out_size(s) > 0 || s->finished) {
		watch_output(s);
	}
	if (out_size(s) > 0) {
		return 0;
	}
	drop_output(s);
	if (s->was_high) {
		s->was_high = false;
		s->tell_drained = true;
		h2_stream_wake(s);
	}
	return 0;
}
