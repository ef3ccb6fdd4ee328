/*
 * From bytes to messages. A message whose one frame lies whole in the input is
 * unmasked there and handed over where it lies; anything else is gathered in a
 * struct ws_rx, which exists from the first missing byte to the end of the message.
 */
#include "base/mem.h"
#include "ws/session_int.h"

void ws_rx_free(struct ws_rx **rx)
{
	if (*rx) {
		buf_free(&(*rx)->message);
		mem_free(*rx);
		*rx = NULL;
	}
}

static bool is_control(enum ws_opcode op)
{
	return op >= WS_CLOSE;
}

static void unmask(const struct ws_frame *f, char *p, size_t n, uint64_t offset)
{
	if (f->masked) {
		ws_mask((uint8_t *)p, n, f->mask, (size_t)(offset & 3));
	}
}

/* ---- rules ---- */

/* Its place among fragments, and its size before a byte of it is kept. */
static bool check_frame(struct ws *w, const struct ws_frame *f)
{
	bool in_message = w->rx && w->rx->in_message;
	size_t have = in_message ? w->rx->message.n : 0;

	if (is_control(f->opcode)) {
		return true;
	}
	if ((f->opcode == WS_CONT) != in_message) {
		ws_fail(w, WS_CLOSE_PROTOCOL);
		return false;
	}
	if (f->n > w->message_max - have) {
		ws_fail(w, WS_CLOSE_TOO_BIG);
		return false;
	}
	return true;
}

static void deliver(struct ws *w, enum ws_opcode type, struct str data)
{
	if (w->state == SESSION_OPEN) {
		w->handler->on_message(w, type, data);
	}
}

static void on_control(struct ws *w, enum ws_opcode op, struct str payload)
{
	if (op == WS_CLOSE) {
		ws_on_close_frame(w, payload);
	} else if (op == WS_PING && w->state == SESSION_OPEN &&
		   stream_pending(w->stream) <= STREAM_HIGH_WATER) {
		/* Who sends pings but reads no pongs gets none (RFC 6455 5.5.3 allows it). */
		ws_send_control(w, WS_PONG, payload);
	}
}

/* ---- whole frames ---- */

static void gather(struct ws *w)
{
	w->rx = MEM_NEW(struct ws_rx);
}

/* Returns bytes used; 0 with w->rx set when it must be gathered. */
static size_t feed_whole(struct ws *w, char *p, size_t n)
{
	struct ws_frame f;
	enum err e = ws_frame_parse(str_of(p, n), (enum ws_role)w->role, &f);
	struct str payload;

	if (e == ERR_PROTO) {
		ws_fail(w, WS_CLOSE_PROTOCOL);
		return n;
	}
	if (e != ERR_OK || !f.fin || f.n > n - f.head_len) {
		gather(w);
		return 0;
	}
	if (!check_frame(w, &f)) {
		return n;
	}
	unmask(&f, p + f.head_len, (size_t)f.n, 0);
	payload = str_of(p + f.head_len, (size_t)f.n);
	if (is_control(f.opcode)) {
		on_control(w, f.opcode, payload);
	} else if (f.opcode == WS_TEXT && !utf8_is_valid(payload)) {
		ws_fail(w, WS_CLOSE_INVALID_DATA);
	} else {
		deliver(w, f.opcode, payload);
	}
	return f.head_len + (size_t)f.n;
}

/* ---- pieces ---- */

static void message_end(struct ws *w)
{
	struct ws_rx *rx = w->rx;
	struct buf message = {0};
	enum ws_opcode type = rx->type;

	if (type == WS_TEXT && !utf8_is_complete(&rx->utf8)) {
		ws_fail(w, WS_CLOSE_INVALID_DATA);
		return;
	}
	buf_move(&message, &rx->message);
	ws_rx_free(&w->rx);
	deliver(w, type, buf_str(&message));
	buf_free(&message);
}

static void frame_end(struct ws *w)
{
	struct ws_rx *rx = w->rx;

	rx->in_frame = false;
	if (!is_control(rx->frame.opcode)) {
		if (rx->frame.fin) {
			message_end(w);
		}
		return;
	}
	on_control(w, rx->frame.opcode, str_of(rx->control, (size_t)rx->frame.n));
	if (w->state != SESSION_ENDED && !rx->in_message) {
		ws_rx_free(&w->rx);
	}
}

static void frame_begin(struct ws *w, const struct ws_frame *f)
{
	struct ws_rx *rx = w->rx;

	rx->frame = *f;
	rx->in_frame = true;
	rx->got = 0;
	rx->head_n = 0;
	if (!is_control(f->opcode) && f->opcode != WS_CONT) {
		rx->in_message = true;
		rx->type = f->opcode;
		rx->utf8 = (struct utf8_state){0};
	}
	if (f->n == 0) {
		frame_end(w);
	}
}

static size_t feed_head(struct ws *w, const char *p, size_t n)
{
	struct ws_rx *rx = w->rx;
	size_t take = MIN(n, (size_t)(WS_HEAD_MAX - rx->head_n));
	struct ws_frame f;
	enum err e;
	size_t used;

	memcpy(rx->head + rx->head_n, p, take);
	e = ws_frame_parse(str_of(rx->head, rx->head_n + take), (enum ws_role)w->role, &f);
	if (e == ERR_AGAIN) {
		rx->head_n = (uint8_t)(rx->head_n + take);
		return take;
	}
	if (e != ERR_OK) {
		ws_fail(w, WS_CLOSE_PROTOCOL);
		return n;
	}
	used = f.head_len - rx->head_n;
	if (!check_frame(w, &f)) {
		return n;
	}
	frame_begin(w, &f);
	return used;
}

static size_t feed_payload(struct ws *w, char *p, size_t n)
{
	struct ws_rx *rx = w->rx;
	size_t take = (size_t)MIN((uint64_t)n, rx->frame.n - rx->got);

	unmask(&rx->frame, p, take, rx->got);
	if (is_control(rx->frame.opcode)) {
		memcpy(rx->control + rx->got, p, take);
	} else if (rx->type == WS_TEXT && !utf8_feed(&rx->utf8, str_of(p, take))) {
		ws_fail(w, WS_CLOSE_INVALID_DATA);
		return n;
	} else {
		buf_append(&rx->message, p, take);
	}
	rx->got += take;
	if (rx->got == rx->frame.n) {
		frame_end(w);
	}
	return take;
}

size_t ws_feed(struct ws *w, char *p, size_t n)
{
	size_t used = 0;

	while (used < n && w->state != SESSION_ENDED && !w->paused) {
		if (!w->rx) {
			used += feed_whole(w, p + used, n - used);
		} else if (!w->rx->in_frame) {
			used += feed_head(w, p + used, n - used);
		} else {
			used += feed_payload(w, p + used, n - used);
		}
	}
	return used;
}
