/* Hub connections over Server-Sent Events: one event a record; the peer sends by POST. */
#include "relay/transport.h"

static const struct str head = STR_INIT("HTTP/1.1 200 OK\r\n"
					"Content-Type: text/event-stream\r\n"
					"Cache-Control: no-cache,no-store\r\n"
					"Pragma: no-cache\r\n"
					"Content-Encoding: identity\r\n"
					"X-Accel-Buffering: no\r\n"
					"Connection: close\r\n"
					"\r\n"
					":\r\n");

static struct buf *on_begin(struct hub_conn *c)
{
	struct buf *out = stream_out(c->link);

	buf_puts(out, "data: ");
	return out;
}

static void on_send(struct hub_conn *c)
{
	/* Records are JSON without raw line ends, so an event is one line. */
	buf_puts(stream_out(c->link), "\r\n\r\n");
	stream_flush(c->link);
}

static size_t on_pending(const struct hub_conn *c)
{
	return stream_pending(c->link);
}

static size_t on_orphan_data(struct stream *s, char *p, size_t n)
{
	(void)s;
	(void)p;
	return n;
}

static void on_orphan_close(struct stream *s, enum err why)
{
	(void)s;
	(void)why;
}

static const struct stream_handler orphan_handler = {
	.on_data = on_orphan_data,
	.on_close = on_orphan_close,
};

static void on_close_wanted(struct hub_conn *c)
{
	struct stream *s = c->link;

	stream_set_handler(s, &orphan_handler, NULL);
	stream_close(s);
}

static void on_drop_wanted(struct hub_conn *c)
{
	stream_abort(c->link);
}

static const struct transport_ops sse_ops = {
	.kind = TRANSPORT_SSE,
	.pings = true,
	.begin = on_begin,
	.send = on_send,
	.pending = on_pending,
	.close = on_close_wanted,
	.drop = on_drop_wanted,
};

static void on_drained(struct stream *s)
{
	hub_drained(s->user);
}

static void on_close(struct stream *s, enum err why)
{
	(void)why;
	hub_lost(s->user);
}

/* What the peer sends on an event stream has no meaning. */
static const struct stream_handler handler = {
	.on_data = on_orphan_data,
	.on_drained = on_drained,
	.on_close = on_close,
};

static void drop_stream(void *link)
{
	stream_abort(link);
}

static void on_moved_home(struct errand *e)
{
	struct hub_conn *c = transport_reserved(e);
	struct stream *s = e->link;

	e->link = NULL;
	if (!s->loop) {
		stream_attach(s, e->rl->loop);
	}
	if (c) {
		stream_set_handler(s, &handler, c);
		stream_write(s, head);
		hub_attach(c, &sse_ops, s);
	} else {
		stream_abort(s);
	}
	errand_free(e);
}

static void on_accept(struct errand *e)
{
	struct exchange *x = errand_exchange(e);
	struct str early;

	if (!x) {
		errand_free(e);
		return;
	}
	struct stream *s = exchange_hijack(x, &early);

	stream_set_handler(s, &orphan_handler, NULL);
	exchange_release(x);
	e->link = s;
	e->drop_link = drop_stream;
	if (e->home != e->rl) {
		stream_detach(s);
	}
	errand_go(e, e->home, on_moved_home);
}

static void on_reserved(struct errand *e)
{
	e->home = e->rl;
	errand_go_back(e, on_accept);
}

void transport_sse(struct errand *e)
{
	transport_reserve(e, TRANSPORT_SSE, on_reserved);
}
