/*
 * Whether a request that has waited here is still wanted. Its client may have left or been answered
 * 408, and tried again: it must not be done now. A GET of where its response is to be brought: the
 * server that sent it, if it is one of ours, says 410 when nobody waits for that. Whatever else
 * comes of it means nothing: the original knows no such question, and another process no answer.
 */
#include "connector/connector_int.h"

/* A request that lived so short a time ago is not asked for. */
#define FRESH_MS 1000
#define PATIENCE_MS 5000

/* One whose body is with the server hears it there, and nobody waits for what is discarded. */
bool trip_is_doubtful(const struct trip *e)
{
	return !e->q.discard && !e->is_outsourced &&
	       loop_now_ms(e->c->loop) >= e->wanted_ms + FRESH_MS;
}

static void take_for_wanted(struct trip *e)
{
	e->wanted_ms = loop_now_ms(e->c->loop);
	if (e->state == TRIP_RUNNING) {
		trip_start(e);
	}
}

static void on_head(struct http_call *call, const struct http_response *h)
{
	struct trip *e = http_call_user(call);

	if (h->status == 410) {
		trip_fail(e, 502);
	} else if (h->status == 401) {
		grant_refuse(&e->c->grant);
	}
}

static void on_data(struct http_call *call, struct str data)
{
	(void)call;
	(void)data;
}

static void on_end(struct http_call *call)
{
	struct trip *e = http_call_user(call);

	e->reply.call = NULL;
	take_for_wanted(e);
}

static void on_fail(struct http_call *call, enum err why)
{
	(void)why;
	on_end(call);
}

static const struct http_call_handler handler = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_fail = on_fail,
};

static void on_grant(struct grant_wait *w, enum err err, struct str authorization)
{
	struct trip *e = container_of(w, struct trip, reply.grant);
	struct http_header headers[2];

	if (err != ERR_OK) {
		take_for_wanted(e);
		return;
	}
	struct http_call_spec spec = trip_server_call(
		e, &e->c->at.response,
		str_fmt(&e->arena, "?origin=%.*s", STR_ARG(guid_d_str(&e->arena, &e->q.origin_id))),
		authorization, headers);

	spec.method = STR("GET");
	spec.timeout_ms = MIN(spec.timeout_ms, PATIENCE_MS);
	e->reply.call = http_call_start(e->c->http, &spec, &handler, e);
}

void trip_ask(struct trip *e)
{
	if (!e->reply.call && !list_is_linked(&e->reply.grant.node)) {
		grant_get(&e->c->grant, &e->reply.grant, on_grant);
	}
}
