/* The long polling transport: the server answers a GET when it has something to say. */
#include "connector/connector_int.h"

/* The server ends a poll after 90 s. */
#define POLL_TIMEOUT_MS 120000

static void poll_again(struct link *l);

static void on_head(struct http_call *call, const struct http_response *r)
{
	struct link *l = http_call_user(call);

	if (r->status != 200) {
		l->polled = false; /* there is nothing to delete any more */
		http_call_cancel(call);
		link_get_lost(l, r->status == 204 ? ERR_CLOSED : ERR_DENIED,
			      r->status == 204 ? 0 : r->status);
	}
}

static void on_data(struct http_call *call, struct str data)
{
	link_feed(http_call_user(call), data);
}

/* The first poll is answered at once and says that the connection is there. */
static void on_end(struct http_call *call)
{
	struct link *l = http_call_user(call);

	l->get = NULL;
	link_heard(l);
	if (!l->polled) {
		l->polled = true;
		link_opened(l);
	}
	poll_again(l);
}

static const struct http_call_handler handler = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_fail = link_get_failed,
};

static void start_poll(struct link *l, struct str authorization)
{
	struct http_header headers[LINK_HEADERS];
	struct arena a;

	arena_init(&a, 0);
	struct http_call_spec spec =
		link_call(l, &a, STR("GET"), authorization, (struct http_header){0}, headers);

	spec.path_query = str_fmt(&a, "%.*s&_=%llu", STR_ARG(spec.path_query),
				  (unsigned long long)loop_now_ms(l->c->loop));
	spec.timeout_ms = l->polled ? POLL_TIMEOUT_MS : LINK_TIMEOUT_MS;
	spec.idle_timeout_ms = LINK_TIMEOUT_MS;
	l->get = http_call_start(l->c->http, &spec, &handler, l);
	arena_fini(&a);
}

static void on_poll_grant(struct grant_wait *w, enum err e, struct str authorization)
{
	struct link *l = container_of(w, struct link, grant);

	if (e != ERR_OK) {
		link_lost(l, e, 0);
	} else {
		start_poll(l, authorization);
	}
}

static void poll_again(struct link *l)
{
	if (l->state == LINK_HANDSHAKE || l->state == LINK_OPEN) {
		grant_get(&l->c->grant, &l->grant, on_poll_grant);
	}
}

static void on_deleted(void *arg, const struct http_fetch_result *r)
{
	struct link *l = arg;

	(void)r;
	l->post.fetch = NULL;
	if (l->get) {
		http_call_cancel(l->get);
		l->get = NULL;
	}
}

static struct http_fetch *start_delete(struct link *l, struct str authorization, http_fetch_fn *fn)
{
	struct http_header headers[LINK_HEADERS];
	struct arena a;

	arena_init(&a, 0);
	struct http_call_spec spec =
		link_call(l, &a, STR("DELETE"), authorization, (struct http_header){0}, headers);

	spec.idle_timeout_ms = LINK_TIMEOUT_MS;
	struct http_fetch *fetch = http_fetch_start(l->c->http, &spec, 4096, fn, l);

	arena_fini(&a);
	return fetch;
}

static void on_delete_grant(struct grant_wait *w, enum err e, struct str authorization)
{
	struct link *l = container_of(w, struct link, post.grant);

	if (e != ERR_OK) {
		link_poll_ops.abort(l);
		return;
	}
	l->polled = false;
	l->post.fetch = start_delete(l, authorization, on_deleted);
}

static void poll_delete(struct link *l)
{
	grant_get(&l->c->grant, &l->post.grant, on_delete_grant);
}

/* The server is told when the last post was answered. */
static void poll_close(struct link *l)
{
	l->post.when_sent = poll_delete;
	link_post_send(l);
}

/* The link may be gone. */
static void on_told(void *arg, const struct http_fetch_result *r)
{
	(void)arg;
	(void)r;
}

/*
 * The server cannot see that nobody will poll again, and would go on to send requests
 * this way: it is told, without waiting for its answer.
 */
static void tell_gone(struct link *l)
{
	(void)start_delete(l, l->c->grant.authorization, on_told);
}

static void poll_abort(struct link *l)
{
	if (l->polled && !l->c->closed) {
		tell_gone(l);
	}
	l->polled = false;
	link_post_abort(l);
}

const struct link_ops link_poll_ops = {
	.name = "LongPolling",
	.pings = false,
	.open = start_poll,
	.begin = link_post_begin,
	.send = link_post_send,
	.pending = link_post_pending,
	.close = poll_close,
	.abort = poll_abort,
};
