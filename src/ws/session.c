/*
 * Life of a session, sending, closing.
 *
 *   OPEN -> CLOSING -> ENDED       ws_close; the peer's Close, the deadline or a break
 *      \_______________^           the peer's Close (echoed), a fault of the peer, a break
 *
 * ENDED buries the session. Its memory, with what the reason of a Close points
 * into, lasts until the end of the turn.
 */
#include "ws/session.h"

#include "base/mem.h"
#include "ws/session_int.h"

#define CLOSE_TIMEOUT_MS 5000
#define REASON_MAX 123

/* What a session costs while it is quiet, beside its stream. */
_Static_assert(sizeof(struct ws) <= 200, "an idle session is small");

static const uint8_t session_next[SESSION_STATES] = {
	[SESSION_OPEN] = 1u << SESSION_CLOSING | 1u << SESSION_ENDED,
	[SESSION_CLOSING] = 1u << SESSION_ENDED,
};

static void session_enter(struct ws *w, enum ws_state to)
{
	ASSERT(session_next[w->state] & 1u << to);
	w->state = (uint8_t)to;
}

/* ---- the end ---- */

static void early_free(struct ws *w)
{
	if (w->early) {
		later_cancel(&w->early->show);
		buf_free(&w->early->bytes);
		mem_free(w->early);
		w->early = NULL;
	}
}

static void on_buried(struct grave *g)
{
	struct ws *w = container_of(g, struct ws, grave);

	ws_rx_free(&w->rx);
	early_free(w);
	mem_free(w);
}

/* Nothing comes from the session any more; returns its stream, NULL when that ended first. */
static struct stream *end(struct ws *w)
{
	struct stream *s = w->stream;

	session_enter(w, SESSION_ENDED);
	w->stream = NULL;
	timer_stop(w->loop, &w->timer);
	if (w->early) {
		later_cancel(&w->early->show);
	}
	loop_bury(w->loop, &w->grave, on_buried);
	return s;
}

static void end_in_order(struct ws *w, unsigned code, struct str reason)
{
	struct stream *s = end(w);

	/* First, since `reason` may stand in the stream's input. */
	w->handler->on_close(w, code, reason);
	stream_close(s);
}

void ws_abort(struct ws *w)
{
	if (w->state == SESSION_ENDED) {
		return;
	}
	if (!w->loop) { /* lost between two loops */
		session_enter(w, SESSION_ENDED);
		stream_abort(w->stream);
		on_buried(&w->grave);
		return;
	}
	stream_abort(end(w));
}

/* ---- closing ---- */

static void write_close(struct ws *w, unsigned code, struct str reason)
{
	char payload[2 + REASON_MAX] = {(char)(code >> 8), (char)code};
	size_t n = MIN(reason.n, (size_t)REASON_MAX);

	/* Cut between characters: the reason is UTF-8. */
	while (n > 0 && n < reason.n && ((uint8_t)reason.p[n] & 0xc0) == 0x80) {
		n--;
	}
	if (n > 0) {
		memcpy(payload + 2, reason.p, n);
	}
	ws_send_control(w, WS_CLOSE, code == WS_CLOSE_NONE ? STR_NULL : str_of(payload, 2 + n));
}

void ws_send_control(struct ws *w, enum ws_opcode op, struct str payload)
{
	ws_frame_write(stream_out(w->stream), (enum ws_role)w->role, op, payload);
	stream_flush(w->stream);
}

void ws_fail(struct ws *w, unsigned code)
{
	if (w->state == SESSION_OPEN) {
		write_close(w, code, STR_NULL);
	}
	end_in_order(w, code, STR_NULL);
}

/* Its content is checked like that of any frame (RFC 6455 5.5.1, 7.4). */
void ws_on_close_frame(struct ws *w, struct str payload)
{
	unsigned code = WS_CLOSE_NONE;
	struct str reason = str_skip(payload, 2);

	if (payload.n >= 2) {
		code = (unsigned)((uint8_t)payload.p[0] << 8 | (uint8_t)payload.p[1]);
	}
	if (payload.n == 1 || (payload.n >= 2 && !ws_close_code_is_valid(code))) {
		ws_fail(w, WS_CLOSE_PROTOCOL);
	} else if (!utf8_is_valid(reason)) {
		ws_fail(w, WS_CLOSE_INVALID_DATA);
	} else {
		if (w->state == SESSION_OPEN) {
			write_close(w, code, STR_NULL);
		}
		end_in_order(w, code, reason);
	}
}

static void on_close_timeout(struct timer *t)
{
	struct ws *w = container_of(t, struct ws, timer);
	struct stream *s = end(w);

	stream_abort(s);
	w->handler->on_close(w, WS_CLOSE_ABNORMAL, STR_NULL);
}

void ws_close(struct ws *w, unsigned code, struct str reason)
{
	if (w->state != SESSION_OPEN) {
		return;
	}
	write_close(w, code, reason);
	session_enter(w, SESSION_CLOSING);
	timer_start(w->loop, &w->timer, CLOSE_TIMEOUT_MS, on_close_timeout);
	ws_resume_read(w); /* or the peer's Close would not be seen */
}

/* ---- the stream ---- */

static void tell_alive(struct ws *w)
{
	if (w->handler->on_alive) {
		w->handler->on_alive(w);
	}
}

static size_t on_data(struct stream *s, char *p, size_t n)
{
	struct ws *w = s->user;
	size_t used;

	tell_alive(w);
	used = ws_feed(w, p, n);
	return w->state == SESSION_ENDED ? n : used;
}

static void on_drained(struct stream *s)
{
	struct ws *w = s->user;

	if (w->handler->on_drained) {
		w->handler->on_drained(w);
	}
}

static void on_close(struct stream *s, enum err why)
{
	struct ws *w = s->user;

	(void)why;
	(void)end(w); /* the stream frees itself */
	w->handler->on_close(w, WS_CLOSE_ABNORMAL, STR_NULL);
}

static const struct stream_handler stream_events = {
	.on_data = on_data,
	.on_drained = on_drained,
	.on_close = on_close,
};

/* ---- the beginning ---- */

static void show_early(struct later *l)
{
	struct ws_early *e = container_of(l, struct ws_early, show);
	struct ws *w = e->session;

	tell_alive(w);
	buf_consume(&e->bytes, ws_feed(w, buf_head(&e->bytes), e->bytes.n));
	if (w->state != SESSION_ENDED && e->bytes.n == 0) {
		early_free(w);
		if (!w->paused) {
			stream_resume_read(w->stream);
		}
	}
}

struct ws *ws_start(struct stream *s, enum ws_role role, const struct ws_options *o,
		    const struct ws_handler *h, void *user, struct str early)
{
	struct ws *w = MEM_NEW(struct ws);

	w->stream = s;
	w->loop = s->loop;
	w->handler = h;
	w->user = user;
	w->message_max = o->message_max;
	w->role = (uint8_t)role;
	s->write_timeout_ms = o->write_timeout_ms;
	stream_set_handler(s, &stream_events, w);
	if (early.n > 0) {
		w->early = MEM_NEW(struct ws_early);
		w->early->session = w;
		buf_put(&w->early->bytes, early);
		stream_pause_read(s);
		loop_later(w->loop, &w->early->show, show_early);
	}
	return w;
}

void ws_set_user(struct ws *w, const struct ws_handler *h, void *user)
{
	w->handler = h;
	w->user = user;
}

void *ws_user(const struct ws *w)
{
	return w->user;
}

struct loop *ws_loop(const struct ws *w)
{
	return w->loop;
}

/* ---- sending ---- */

void ws_send(struct ws *w, enum ws_opcode type, struct str data)
{
	if (w->state == SESSION_OPEN) {
		ws_send_control(w, type, data);
	}
}

struct buf *ws_send_begin(struct ws *w, size_t *out_mark)
{
	struct buf *out;

	ASSERT(w->stream);
	out = stream_out(w->stream);
	*out_mark = ws_frame_begin(out);
	return out;
}

void ws_send_end(struct ws *w, size_t mark, enum ws_opcode type)
{
	struct buf *out = stream_out(w->stream);

	if (w->state == SESSION_OPEN) {
		ws_frame_finish(out, mark, (enum ws_role)w->role, type);
	} else {
		out->n = mark; /* nothing may follow our Close */
	}
	stream_flush(w->stream);
}

size_t ws_pending(const struct ws *w)
{
	return w->stream ? stream_pending(w->stream) : 0;
}

/* ---- reading, moving ---- */

void ws_pause_read(struct ws *w)
{
	if (w->state == SESSION_OPEN) {
		w->paused = true;
		stream_pause_read(w->stream);
	}
}

void ws_resume_read(struct ws *w)
{
	if (w->state == SESSION_ENDED) {
		return;
	}
	w->paused = false;
	if (w->early) {
		loop_later(w->loop, &w->early->show, show_early);
	} else {
		stream_resume_read(w->stream);
	}
}

void ws_detach(struct ws *w)
{
	ASSERT(w->stream && w->loop);
	timer_stop(w->loop, &w->timer);
	if (w->early) {
		later_cancel(&w->early->show);
	}
	stream_detach(w->stream);
	w->loop = NULL;
}

void ws_attach(struct ws *w, struct loop *l)
{
	ASSERT(w->stream && !w->loop);
	w->loop = l;
	stream_attach(w->stream, l);
	if (w->state == SESSION_CLOSING) {
		timer_start(l, &w->timer, CLOSE_TIMEOUT_MS, on_close_timeout);
	}
	if (w->early && !w->paused) {
		loop_later(l, &w->early->show, show_early);
	}
}
