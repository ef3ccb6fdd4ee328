/*
 * The body of a request that was left with the server: fetched, and handed to the
 * target as it comes. The target starts when the server has begun to answer.
 *
 * A fetch that fails is tried again for as long as the server may wait. A target that had a part of
 * the body is left and begun again in those modes in which the server would do that had it lost the
 * connection; over one that stands it sends nothing twice.
 */
#include "base/log.h"
#include "base/rand.h"
#include "connector/connector_int.h"

#define PAUSE_MIN_MS 250u
#define PAUSES_DOUBLED 4u /* then they stay as they are */

static void on_grant(struct grant_wait *w, enum err err, struct str authorization);

/* ---- what becomes of a failure ---- */

/* It may yet be done by somebody: it was not done here. */
static void end_unfetched(struct trip *e)
{
	e->is_unfetched = true;
	if (e->q.discard && !trip_is_sent_again(e)) {
		log_warn("connector", "the body of a request without a client cannot be fetched",
			 LOG_STR("target", e->q.target));
	}
	trip_fail(e, 502);
}

static bool may_begin_again(const struct trip *e)
{
	if (trip_is_sent_again(e)) {
		return false; /* or two would do it */
	}
	return !e->fetch_begun || (e->q.ack_mode != WIRE_ACK_DISABLED && !e->acknowledged);
}

static void leave_target(struct trip *e)
{
	e->ops->cancel(e);
	trip_reply_reset(e);
	buf_clear(&e->body);
	e->headers = (struct http_headers){0};
	e->redirects = 0;
	e->fetched = 0;
	e->fetch_begun = false;
}

static void on_pause_over(struct timer *t)
{
	struct trip *e = container_of(t, struct trip, fetch_timer);

	if (may_begin_again(e)) {
		trip_fetch(e);
	} else {
		end_unfetched(e);
	}
}

static uint64_t next_pause_ms(struct trip *e)
{
	uint32_t ms = PAUSE_MIN_MS << MIN(e->fetch_pauses, PAUSES_DOUBLED);

	e->fetch_pauses++;
	return ms - ms / 4 + rand_below(ms / 2);
}

static void again(struct trip *e)
{
	struct loop *l = e->c->loop;
	uint64_t pause_ms = next_pause_ms(e);

	trip_fetch_cancel(e);
	if (!may_begin_again(e) || loop_now_ms(l) + pause_ms >= e->expires_ms) {
		end_unfetched(e);
		return;
	}
	log_debug("connector", "the body of a request will be fetched again",
		  LOG_STR("target", e->q.target));
	if (e->fetch_begun) {
		leave_target(e);
	}
	e->fetch_retried = false;
	timer_start(l, &e->fetch_timer, pause_ms, on_pause_over);
}

static void refused(struct trip *e, int status)
{
	if (status == 404 || status == 410) {
		trip_fail(e, 502); /* over, or taken by another */
	} else if (status >= 500 || status == 408 || status == 429) {
		again(e);
	} else {
		end_unfetched(e);
	}
}

/* ---- the fetch ---- */

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
	} else if (r->status != 200) {
		refused(e, r->status);
	} else if (is_other_size) {
		end_unfetched(e);
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
		end_unfetched(e);
	} else {
		e->ops->on_body(e, data);
	}
}

static void on_end(struct http_call *call)
{
	struct trip *e = http_call_user(call);

	e->fetch = NULL;
	if (e->fetched != (uint64_t)e->q.body_size) {
		again(e);
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
	again(e);
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
		again(e);
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
	timer_stop(e->c->loop, &e->fetch_timer);
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
