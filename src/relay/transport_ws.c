/* Hub connections over WebSockets: one text message a record; pings of both layers count as life.
 */
#include "relay/transport.h"
#include "ws/session.h"

enum { WRITE_TIMEOUT_MS = 60000 };

static struct buf *on_begin(struct hub_conn *c)
{
	return ws_send_begin(c->link, &c->mark);
}

static void on_send(struct hub_conn *c)
{
	ws_send_end(c->link, c->mark, WS_TEXT);
}

static size_t on_pending(const struct hub_conn *c)
{
	return ws_pending(c->link);
}

static void on_end_message(struct ws *w, enum ws_opcode type, struct str data)
{
	(void)w;
	(void)type;
	(void)data;
}

static void on_end_close(struct ws *w, unsigned code, struct str reason)
{
	(void)w;
	(void)code;
	(void)reason;
}

/* Of a session that no connection belongs to: being moved, or closing. */
static const struct ws_handler orphan_handler = {
	.on_message = on_end_message,
	.on_close = on_end_close,
};

static void on_close_wanted(struct hub_conn *c)
{
	struct ws *w = c->link;

	ws_set_user(w, &orphan_handler, NULL);
	ws_close(w, WS_CLOSE_NORMAL, STR_NULL);
}

static void on_drop_wanted(struct hub_conn *c)
{
	struct ws *w = c->link;

	ws_set_user(w, &orphan_handler, NULL);
	ws_abort(w);
}

static const struct transport_ops ws_ops = {
	.kind = TRANSPORT_WS,
	.pings = true,
	.begin = on_begin,
	.send = on_send,
	.pending = on_pending,
	.close = on_close_wanted,
	.drop = on_drop_wanted,
};

static void on_message(struct ws *w, enum ws_opcode type, struct str data)
{
	(void)type;
	hub_feed(ws_user(w), data);
}

static void on_alive(struct ws *w)
{
	hub_heard(ws_user(w));
}

static void on_drained(struct ws *w)
{
	hub_drained(ws_user(w));
}

static void on_close(struct ws *w, unsigned code, struct str reason)
{
	(void)code;
	(void)reason;
	hub_lost(ws_user(w));
}

static const struct ws_handler handler = {
	.on_message = on_message,
	.on_alive = on_alive,
	.on_drained = on_drained,
	.on_close = on_close,
};

static void drop_session(void *link)
{
	ws_abort(link);
}

static void on_moved_home(struct errand *e)
{
	struct hub_conn *c = transport_reserved(e);
	struct ws *w = e->link;

	e->link = NULL;
	if (!ws_loop(w)) {
		ws_attach(w, e->rl->loop);
	}
	if (c) {
		ws_set_user(w, &handler, c);
		hub_attach(c, &ws_ops, w);
	} else {
		ws_abort(w);
	}
	errand_free(e);
}

static void on_accept(struct errand *e)
{
	struct exchange *x = errand_exchange(e);
	struct relay_loop *home = e->home;
	struct ws_options o = {
		.message_max = (size_t)e->rl->epoch->config->message_max,
		.write_timeout_ms = WRITE_TIMEOUT_MS,
	};

	/* Without a session the reserved connection ends by itself, soon. */
	struct ws *w = x ? ws_accept(x, &o, &orphan_handler, NULL) : NULL;

	if (!w) {
		errand_free(e);
		return;
	}
	e->link = w;
	e->drop_link = drop_session;
	if (home != e->rl) {
		ws_detach(w);
	}
	errand_go(e, home, on_moved_home);
}

static void on_reserved(struct errand *e)
{
	e->home = e->rl;
	errand_go_back(e, on_accept);
}

void transport_ws(struct errand *e)
{
	transport_reserve(e, TRANSPORT_WS, on_reserved);
}
