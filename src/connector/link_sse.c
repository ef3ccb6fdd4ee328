/* The server-sent events transport: an event stream down, posts up. */
#include "connector/connector_int.h"

#define EVENT_BYTES_MAX ((size_t)16 << 20)

static void on_head(struct http_call *call, const struct http_response *r)
{
	struct link *l = http_call_user(call);

	if (r->status == 200) {
		link_opened(l);
		return;
	}
	http_call_cancel(call);
	link_get_lost(l, ERR_DENIED, r->status);
}

/* "data: text": the lines of an event are one text, and an empty line ends it. */
static void take_line(struct link *l, struct str line)
{
	if (str_ends(line, STR("\r"))) {
		line.n--;
	}
	if (line.n == 0) {
		struct buf data = {0};

		buf_move(&data, &l->data);
		if (data.n > 0) {
			link_feed(l, buf_str(&data));
		}
		buf_free(&data);
	} else if (str_starts(line, STR("data:"))) {
		line = str_skip(line, 5);
		line = str_starts(line, STR(" ")) ? str_skip(line, 1) : line;
		if (l->data.n > 0) {
			buf_putc(&l->data, '\n');
		}
		buf_put(&l->data, line);
	}
}

static void on_data(struct http_call *call, struct str data)
{
	struct link *l = http_call_user(call);
	ptrdiff_t end;

	link_heard(l);
	while (l->get == call && (end = str_index(data, '\n')) >= 0) {
		struct str line = str_slice(data, 0, (size_t)end);
		struct buf whole = {0};

		data = str_skip(data, (size_t)end + 1);
		if (l->event.n > 0) {
			buf_put(&l->event, line);
			buf_move(&whole, &l->event);
			line = buf_str(&whole);
		}
		take_line(l, line);
		buf_free(&whole);
	}
	if (l->get != call) {
		return;
	}
	if (l->event.n + l->data.n + data.n > EVENT_BYTES_MAX) {
		link_lost(l, ERR_LIMIT, 0);
	} else if (data.n > 0) {
		buf_put(&l->event, data);
	}
}

static void on_end(struct http_call *call)
{
	link_get_lost(http_call_user(call), ERR_CLOSED, 0);
}

static const struct http_call_handler handler = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_fail = link_get_failed,
};

static void sse_open(struct link *l, struct str authorization)
{
	struct http_header headers[LINK_HEADERS];
	struct http_call_spec spec =
		link_call(l, &l->arena, STR("GET"), authorization,
			  (struct http_header){STR("Accept"), STR("text/event-stream")}, headers);

	l->get = http_call_start(l->c->http, &spec, &handler, l);
}

/* The stream ends when the last post was answered. */
static void sse_close(struct link *l)
{
	l->post.when_sent = link_post_abort;
	link_post_send(l);
}

const struct link_ops link_sse_ops = {
	.name = "ServerSentEvents",
	.pings = true,
	.open = sse_open,
	.begin = link_post_begin,
	.send = link_post_send,
	.pending = link_post_pending,
	.close = sse_close,
	.abort = link_post_abort,
};
