/*
 * The body of a request that was left with the server: fetched, and handed to the
 * target as it comes. The target starts when the server has begun to answer.
 */
#include "connector/connector_int.h"

static void on_grant(struct grant_wait *w, enum err err, struct str authorization);

/* Our token is no longer good: once more with a new one. */
static void retry(struct trip *e)
{
	e->fetch_retried = true;
	grant_refuse(&e->c->grant);
	grant_get(&e->c->grant, &e->fetch_grant, on_grant);
}

static void on_head(struct http_call *call, const struct http_response *r)
{
	struct trip *e = http_call_user(call);
	bool is_other_size =
		r->framing == HTTP_BODY_LENGTH && r->content_length != (uint64_t)e->q.body_size;

	if (r->status == 401 && !e->fetch_retried) {
		http_call_cancel(call);
		e->fetch = NULL;
		retry(e);
	} else if (r->status != 200 || is_other_size) {
		trip_fail(e, 502);
	} else {
		e->fetch_begun = true;
		e->ops->start(e);
	}
}

static void on_data(struct http_call *call, struct str data)
{
	struct trip *e = http_call_user(call);

	e->fetched += data.n;
	if (e->fetched > (uint64_t)e->q.body_size) {
		trip_fail(e, 502);
	} else {
		e->ops->on_body(e, data);
	}
}

static void on_end(struct http_call *call)
{
	struct trip *e = http_call_user(call);

	e->fetch = NULL;
	e->fetch_done = true;
	if (e->fetched != (uint64_t)e->q.body_size) {
		trip_fail(e, 502);
		return;
	}
	if (e->q.ack_mode == WIRE_ACK_RECEIVED) {
		trip_acknowledge(e);
	}
	e->ops->on_body_end(e);
}

static void on_fail(struct http_call *call, enum err why)
{
	struct trip *e = http_call_user(call);

	(void)why;
	e->fetch = NULL;
	trip_fail(e, 502);
}

static const struct http_call_handler handler = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_fail = on_fail,
};

static void on_grant(struct grant_wait *w, enum err err, struct str authorization)
{
	struct trip *e = container_of(w, struct trip, fetch_grant);
	struct http_header headers[2];

	if (err != ERR_OK) {
		trip_fail(e, 502);
		return;
	}
	struct http_call_spec spec = trip_server_call(
		e, &e->c->at.request,
		e->q.ack_mode == WIRE_ACK_DISABLED ? STR("?delete=true") : STR("?delete=false"),
		authorization, headers);

	spec.method = STR("GET");
	e->fetch = http_call_start(e->c->http, &spec, &handler, e);
}

void trip_fetch(struct trip *e)
{
	grant_get(&e->c->grant, &e->fetch_grant, on_grant);
}

void trip_fetch_cancel(struct trip *e)
{
	grant_cancel(&e->fetch_grant);
	if (e->fetch) {
		http_call_cancel(e->fetch);
		e->fetch = NULL;
	}
}

void trip_fetch_pause(struct trip *e)
{
	if (e->fetch) {
		http_call_pause(e->fetch);
	}
}

void trip_fetch_resume(struct trip *e)
{
	if (e->fetch) {
		http_call_resume(e->fetch);
	}
}
