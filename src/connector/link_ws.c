/* The WebSocket transport: records in text frames. */
#include "connector/connector_int.h"

#define MESSAGE_BYTES_MAX ((size_t)16 << 20)
#define WRITE_TIMEOUT_MS 60000

static void on_message(struct ws *w, enum ws_opcode type, struct str data)
{
	(void)type;
	link_feed(ws_user(w), data);
}

static void on_alive(struct ws *w)
{
	link_heard(ws_user(w));
}

static void on_drained(struct ws *w)
{
	link_drained(ws_user(w));
}

static void on_close(struct ws *w, unsigned code, struct str reason)
{
	struct link *l = ws_user(w);

	(void)reason;
	l->ws = NULL;
	link_lost(l, code == WS_CLOSE_ABNORMAL ? ERR_IO : ERR_CLOSED, 0);
}

static const struct ws_handler handler = {
	.on_message = on_message,
	.on_alive = on_alive,
	.on_drained = on_drained,
	.on_close = on_close,
};

static void on_connected(void *user, struct ws *w, enum err err, int status)
{
	struct link *l = user;

	l->ws_connect = NULL;
	l->ws = w;
	if (w) {
		link_opened(l);
	} else {
		link_lost(l, err, status);
	}
}

static void ws_open(struct link *l, struct str authorization)
{
	struct http_header headers[] = {
		{STR("User-Agent"), STR(CONNECTOR_AGENT)},
		{STR("Authorization"), authorization},
	};
	struct ws_connect_spec spec = {
		.uri = l->c->at.connector,
		.headers = headers,
		.n_headers = authorization.n > 0 ? 2 : 1,
		.timeout_ms = LINK_TIMEOUT_MS,
		.options = {MESSAGE_BYTES_MAX, WRITE_TIMEOUT_MS},
		.handler = &handler,
	};

	spec.uri.query = l->query;
	l->ws_connect = ws_connect(l->c->http, &spec, on_connected, l);
}

static struct buf *ws_begin(struct link *l)
{
	return ws_send_begin(l->ws, &l->ws_mark);
}

static void ws_finish(struct link *l)
{
	ws_send_end(l->ws, l->ws_mark, WS_TEXT);
}

static size_t ws_unsent(const struct link *l)
{
	return l->ws ? ws_pending(l->ws) : 0;
}

/* The session stays ours until on_close, which finds the link stopped. */
static void ws_end(struct link *l)
{
	ws_close(l->ws, WS_CLOSE_NORMAL, STR_NULL);
}

static void ws_kill(struct link *l)
{
	if (l->ws_connect) {
		ws_connect_cancel(l->ws_connect);
		l->ws_connect = NULL;
	}
	if (l->ws) {
		struct ws *w = l->ws;

		l->ws = NULL;
		ws_abort(w);
	}
}

const struct link_ops link_ws_ops = {
	.name = "WebSockets",
	.pings = true,
	.open = ws_open,
	.begin = ws_begin,
	.send = ws_finish,
	.pending = ws_unsent,
	.close = ws_end,
	.abort = ws_kill,
};
