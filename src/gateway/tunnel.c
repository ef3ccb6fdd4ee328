/*
 * After 101: two streams, what comes out of one goes into the other.
 *
 * An end that closes lets the other one flush and close. Reading from one pauses while the
 * other takes nothing. The call is over when the tunnel is: its exchange is released then.
 */
#include "base/mem.h"
#include "gateway/call_int.h"
#include "http/h1.h"
#include "net/pipe_stream.h"

#define WRITE_TIMEOUT_MS 60000

struct tunnel_end {
	struct tunnel *tunnel;
	struct tunnel_end *other;
	struct stream *stream; /* NULL = closed */
};

struct tunnel {
	struct list_node node;
	struct gw_call *call;
	struct gw_loop *gl;
	struct tunnel_end client, service;
	struct timer silence;
	uint32_t silence_ms; /* the longest */
	struct grave grave;
};

static void on_buried(struct grave *g)
{
	mem_free(container_of(g, struct tunnel, grave));
}

static void finish(struct tunnel *t)
{
	struct gw_call *c = t->call;
	struct exchange *x = c->x;

	timer_stop(t->gl->loop, &t->silence);
	list_remove(&t->node);
	call_enter(c, CALL_DONE);
	call_log(c);
	hold_put(call_leave(c));
	exchange_release(x);
	loop_bury(t->gl->loop, &t->grave, on_buried);
}

static void end_gone(struct tunnel_end *e)
{
	struct stream *other = e->other->stream;

	e->stream = NULL;
	e->other->stream = NULL;
	if (other) {
		stream_close(other);
	}
	finish(e->tunnel);
}

/* ---- silence ---- */

static void on_silence(struct timer *timer);

/* An armed timer is only told a later time: this may be done for each read. */
static void watch(struct tunnel *t)
{
	timer_start(t->gl->loop, &t->silence, t->silence_ms, on_silence);
}

static void on_silence(struct timer *timer)
{
	struct tunnel *t = container_of(timer, struct tunnel, silence);
	struct stream *client = t->client.stream, *service = t->service.stream;

	/* An end may be silent because we do not read it: the write timeout of the other counts. */
	if (stream_pending(client) > 0 || stream_pending(service) > 0) {
		watch(t);
		return;
	}
	stream_close(client);
	stream_close(service);
	finish(t);
}

/* ---- streams ---- */

static size_t on_data(struct stream *s, char *p, size_t n)
{
	struct tunnel_end *e = s->user;
	struct stream *to = e->other->stream;

	if (e == &e->tunnel->client) {
		e->tunnel->call->facts.request_bytes += n;
	} else {
		e->tunnel->call->facts.answer_bytes += n;
	}
	watch(e->tunnel);
	stream_write(to, str_of(p, n));
	if (stream_pending(to) >= STREAM_HIGH_WATER) {
		stream_pause_read(s);
	}
	return n;
}

static void on_drained(struct stream *s)
{
	struct tunnel_end *e = s->user;

	watch(e->tunnel);
	stream_resume_read(e->other->stream);
}

static void on_close(struct stream *s, enum err why)
{
	(void)why;
	end_gone(s->user);
}

static void on_eof(struct stream *s)
{
	struct tunnel_end *e = s->user;

	stream_close(s);
	end_gone(e);
}

static const struct stream_handler events = {
	.on_data = on_data,
	.on_eof = on_eof,
	.on_drained = on_drained,
	.on_close = on_close,
};

static void join(struct tunnel_end *e, struct tunnel_end *other, struct tunnel *t, struct stream *s,
		 bool in_process)
{
	e->tunnel = t;
	e->other = other;
	e->stream = s;
	s->write_timeout_ms = in_process ? PIPE_STREAM_PATIENCE_MS : WRITE_TIMEOUT_MS;
	stream_set_handler(s, &events, e);
}

static void write_head(struct gw_call *c, struct stream *s)
{
	struct buf *out = stream_out(s);

	h1_write_status_line(out, c->status);
	h1_write_headers(out, c->answer.v, c->answer.n);
	h1_write_header(out, STR("Connection"), STR("Upgrade"));
	h1_write_header(out, STR("Upgrade"), STR("websocket"));
	h1_write_end(out);
	stream_flush(s);
}

void tunnel_start(struct gw_call *c, struct stream *service, struct str early)
{
	struct tunnel *t = MEM_NEW(struct tunnel);
	struct str sent_already;
	struct stream *client = exchange_hijack(c->x, &sent_already);

	t->call = c;
	t->gl = c->gl;
	t->silence_ms = c->entry->service->read_ms;
	list_push(&c->gl->tunnels, &t->node);
	join(&t->client, &t->service, t, client, exchange_is_in_process(c->x));
	join(&t->service, &t->client, t, service, c->peer.server != NULL);
	watch(t);
	write_head(c, client);
	stream_write(client, early);
	stream_write(service, sent_already);
	stream_resume_read(client);
	stream_resume_read(service);
}

void tunnel_stop_all(struct gw_loop *gl)
{
	struct list_node *n;

	while ((n = list_first(&gl->tunnels))) {
		struct tunnel *t = container_of(n, struct tunnel, node);

		stream_abort(t->client.stream);
		stream_abort(t->service.stream);
		finish(t);
	}
}
