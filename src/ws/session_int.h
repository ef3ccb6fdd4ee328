/*
 * session_int - what session.c, session_recv.c and handshake.c share
 *
 * A session holds its stream, and while bytes of a frame or message are missing a
 * struct ws_rx with what has come so far. Between messages it is struct ws alone.
 */
#pragma once
#include "base/utf8.h"
#include "ws/session.h"

enum ws_state {
	SESSION_OPEN,
	SESSION_CLOSING, /* we sent Close and wait for the peer's */
	SESSION_ENDED,
	SESSION_STATES,
};

struct ws {
	struct stream *stream; /* NULL when ended */
	struct loop *loop;     /* NULL while detached */
	const struct ws_handler *handler;
	void *user;
	struct ws_rx *rx;	/* NULL between messages */
	struct ws_early *early; /* NULL when there is none (any more) */
	size_t message_max;
	struct timer timer; /* of the closing handshake */
	struct grave grave;
	uint8_t role;  /* enum ws_role */
	uint8_t state; /* enum ws_state */
	bool paused;
};

/* A frame or message that has not come in one piece. */
struct ws_rx {
	struct ws_frame frame;
	uint64_t got; /* payload bytes of it, when in_frame */
	uint8_t head[WS_HEAD_MAX];
	uint8_t head_n;
	bool in_frame;
	bool in_message;
	enum ws_opcode type;
	struct utf8_state utf8;
	struct buf message;
	uint8_t control[125];
};

/* Bytes that came behind the handshake: they are shown at the end of the turn. */
struct ws_early {
	struct later show;
	struct buf bytes;
	struct ws *session;
};

/* Takes the stream; `early` is copied. */
struct ws *ws_start(struct stream *s, enum ws_role role, const struct ws_options *o,
		    const struct ws_handler *h, void *user, struct str early);

/*
 * Returns how many bytes were used: all, unless reading was paused. Messages go to
 * the handler, so the session may have ended when it returns.
 */
size_t ws_feed(struct ws *w, char *p, size_t n);
void ws_rx_free(struct ws_rx **rx);

/* The peer broke a rule: says so with `code` and ends. */
void ws_fail(struct ws *w, unsigned code);
/* A Close frame came. */
void ws_on_close_frame(struct ws *w, struct str payload);
void ws_send_control(struct ws *w, enum ws_opcode op, struct str payload);
