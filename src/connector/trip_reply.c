/*
 * The response of a request, from the target to the server.
 *
 * Up to 16 KiB it is gathered and travels inside Deliver, also where the target did
 * not say how long it is. What is larger is streamed to the server's response
 * endpoint while it comes, and Deliver follows when the server has it all. A target
 * that is faster than the server is paused.
 *
 * Nobody tells us that a request is over, but an upload for it is refused, or cut while it
 * runs. So while an answer is gathered for longer than transfers may take we ask with uploads that
 * bring nothing and never end: an event stream then ends with its request. Only a 404 counts;
 * whatever else becomes of them (408, since they are silent), the answer goes on to be gathered.
 *
 * An answer that is discarded is read for the sake of the target, which may still be at work: for
 * that time in any case, beyond it as long as no other request needs its place, and in
 * all DISCARD_TIMES as long. Its bytes do not count. Beyond that time it is acknowledged, since a
 * place that is needed may be one at the server, which we do not see.
 */
#include "base/clock.h"
#include "connector/connector_int.h"

/* Of an upload, as long as no more was sent: then a refused token costs nothing. */
#define REPLAY_BYTES_MAX ((size_t)256 << 10)
#define DISCARD_TIMES 10

static void on_grant(struct grant_wait *w, enum err err, struct str authorization);

/* ---- Deliver ---- */

static void add(struct trip *e, struct str name, struct str value)
{
	http_header_set(&e->arena, &e->reply.headers, name, value);
}

/* "0:00:00.0123456": [d:]h:mm:ss[.fffffff] */
static struct str duration_text(struct arena *a, uint64_t ns)
{
	unsigned long long ticks = ns / 100, s = ticks / 10000000;
	struct str day = s >= 86400 ? str_fmt(a, "%llu:", s / 86400) : STR_NULL;

	return str_fmt(a, "%.*s%llu:%02llu:%02llu.%07llu", STR_ARG(day), s / 3600 % 24, s / 60 % 60,
		       s % 60, ticks % 10000000);
}

static void add_trace(struct trip *e, uint64_t ns)
{
	static const struct guid none;
	char date[CLOCK_HTTP_DATE_LEN + 1];
	struct arena *a = &e->arena;

	clock_http_date(e->start_wall_ms, date);
	add(e, STR("RelayServer-Connector-MachineName"), e->c->machine);
	add(e, STR("RelayServer-Connector-Version"), STR(CONNECTOR_VERSION));
	add(e, STR("RelayServer-RequestId"), guid_d_str(a, &e->q.id));
	add(e, STR("RelayServer-RequestOriginId"), guid_d_str(a, &e->q.origin_id));
	if (!guid_eq(&e->q.ack_origin_id, &none)) {
		add(e, STR("RelayServer-AcknowledgeOriginId"), guid_d_str(a, &e->q.ack_origin_id));
	}
	add(e, STR("RelayServer-TargetStart"), str_dup(a, str_c(date)));
	add(e, STR("RelayServer-TargetDuration"), duration_text(a, ns));
}

/* The server may forget its copy of the request now. */
static void acknowledge_end(struct trip *e)
{
	if (e->is_unfetched && e->q.ack_mode != WIRE_ACK_DISABLED) {
		return;
	}
	switch (e->q.ack_mode) {
	case WIRE_ACK_RECEIVED:
	case WIRE_ACK_FINISHED:
		trip_acknowledge(e);
		break;
	case WIRE_ACK_MANUAL:
		/* Nobody else knows of it. */
		if (!e->reached_target) {
			trip_acknowledge(e);
		}
		break;
	case WIRE_ACK_DISABLED:
		/* The server waits for the fetch of a body that was not to be had, or not wanted.
		 */
		if (e->q.discard && e->is_outsourced && !e->fetch_begun) {
			trip_acknowledge(e);
		}
		break;
	default:
		break;
	}
}

static void deliver(struct trip *e, struct wire_response *w)
{
	struct connector *c = e->c;
	/* Ours must not be the first answer. */
	bool is_left_to_others = e->is_unfetched && trip_is_sent_again(e);

	acknowledge_end(e);
	if (e->q.discard || is_left_to_others) {
		trip_end(e);
		return;
	}
	w->id = e->q.id;
	w->origin_id = e->q.origin_id;
	if (e->q.trace && e->start_ns) {
		uint64_t ns = clock_mono_ns() - e->start_ns;

		add_trace(e, ns);
		w->timed = true;
		w->start_wall_ms = e->start_wall_ms;
		w->duration_ms = (int64_t)(ns / 1000000);
	}
	w->headers = &e->reply.headers;
	wire_write_deliver(connector_invoke_begin(c, e->link), w);
	connector_invoke_end(c, e->expires_ms);
	trip_end(e);
}

static void deliver_reply(struct trip *e)
{
	struct trip_reply *r = &e->reply;
	struct wire_response w = {
		.status = r->status,
		.body_size = r->n,
		.body = r->is_upload ? STR_NULL : buf_str(&r->data),
	};

	deliver(e, &w);
}

void trip_reply_failure(struct trip *e, int status)
{
	struct wire_response w = {.status = status, .failed = true};

	e->reply.headers = (struct http_headers){0};
	deliver(e, &w);
}

/* ---- upload ---- */

static void pause_target(struct trip *e)
{
	if (!e->reply.is_paused) {
		e->reply.is_paused = true;
		e->ops->pause(e);
	}
}

static void resume_target(struct trip *e)
{
	if (e->reply.is_paused) {
		e->reply.is_paused = false;
		e->ops->resume(e);
	}
}

/* Our token is no longer good; nothing is lost as long as all can be sent again. */
static void retry(struct trip *e)
{
	struct trip_reply *r = &e->reply;

	http_call_cancel(r->call);
	r->call = NULL;
	r->retried = true;
	grant_refuse(&e->c->grant);
	pause_target(e);
	grant_get(&e->c->grant, &r->grant, on_grant);
}

static void on_head(struct http_call *call, const struct http_response *h)
{
	struct trip *e = http_call_user(call);
	struct trip_reply *r = &e->reply;

	if (h->status >= 200 && h->status <= 299) {
		r->is_taken = true;
	} else if (h->status == 401 && r->can_replay && !r->retried) {
		retry(e);
	} else {
		trip_fail(e, 502);
	}
}

static void on_data(struct http_call *call, struct str data)
{
	(void)call; /* the number of bytes */
	(void)data;
}

/* Where the length is known, the server has it all before the target says that it ended. */
static bool is_complete(const struct trip_reply *r)
{
	return r->ended || (r->length >= 0 && r->n == (uint64_t)r->length);
}

static void on_end(struct http_call *call)
{
	struct trip *e = http_call_user(call);

	e->reply.call = NULL;
	if (e->reply.is_taken && is_complete(&e->reply)) {
		deliver_reply(e);
	} else {
		trip_fail(e, 502);
	}
}

static void on_fail(struct http_call *call, enum err why)
{
	struct trip *e = http_call_user(call);

	(void)why;
	e->reply.call = NULL;
	trip_fail(e, 502);
}

static void on_writable(struct http_call *call)
{
	resume_target(http_call_user(call));
}

static const struct http_call_handler handler = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_fail = on_fail,
	.on_writable = on_writable,
};

static void start_upload(struct trip *e, struct str authorization)
{
	struct trip_reply *r = &e->reply;
	struct http_header headers[2];
	struct http_call_spec spec =
		trip_server_call(e, &e->c->at.response, STR_NULL, authorization, headers);

	spec.method = STR("POST");
	spec.body_kind = r->length < 0 ? HTTP_CALL_CHUNKED : HTTP_CALL_LENGTH;
	spec.length = r->length < 0 ? 0 : (uint64_t)r->length;
	r->call = http_call_start(e->c->http, &spec, &handler, e);
	http_call_write(r->call, buf_str(&r->data));
	if (r->ended) {
		http_call_finish(r->call);
	} else {
		resume_target(e);
	}
}

static void on_grant(struct grant_wait *w, enum err err, struct str authorization)
{
	struct trip *e = container_of(w, struct trip, reply.grant);

	if (err != ERR_OK) {
		trip_fail(e, 502);
	} else {
		start_upload(e, authorization);
	}
}

/* Deliver comes long after the target's answer is gone. */
static void keep_headers(struct trip *e)
{
	struct http_headers *h = &e->reply.headers;

	for (size_t i = 0; i < h->n; i++) {
		h->v[i].name = str_dup(&e->arena, h->v[i].name);
		h->v[i].value = str_dup(&e->arena, h->v[i].value);
	}
}

static void open_upload(struct trip *e)
{
	struct trip_reply *r = &e->reply;

	trip_reply_cancel(e); /* asks no more */
	keep_headers(e);
	r->is_upload = true;
	r->can_replay = true;
	pause_target(e);
	grant_get(&e->c->grant, &r->grant, on_grant);
}

static void upload_data(struct trip *e, struct str data)
{
	struct trip_reply *r = &e->reply;

	if (r->can_replay && (!r->call || r->data.n + data.n <= REPLAY_BYTES_MAX)) {
		buf_put(&r->data, data);
	} else if (r->can_replay) {
		r->can_replay = false;
		buf_free(&r->data);
	}
	if (r->call) {
		http_call_write(r->call, data);
		if (http_call_pending(r->call) > STREAM_HIGH_WATER) {
			pause_target(e);
		}
	}
}

/* ---- an answer that takes its time ---- */

static void on_slow(struct timer *t);

static void watch(struct trip *e)
{
	timer_start(e->c->loop, &e->reply.timer, (uint64_t)e->c->at.timeout_ms, on_slow);
}

/* Any answer is the last of the call: a server that takes it before its end is told no more. */
static void on_asked_head(struct http_call *call, const struct http_response *h)
{
	struct trip *e = http_call_user(call);
	struct trip_reply *r = &e->reply;

	if (h->status == 404) {
		trip_fail(e, 502);
		return;
	}
	if (h->status == 401) {
		grant_refuse(&e->c->grant);
	}
	http_call_cancel(r->call);
	r->call = NULL;
	watch(e);
}

static void on_asked_end(struct http_call *call)
{
	(void)call;
	ASSERT(false); /* cancelled with its head */
}

static void on_asked_fail(struct http_call *call, enum err why)
{
	struct trip *e = http_call_user(call);

	(void)why;
	e->reply.call = NULL;
	watch(e);
}

static const struct http_call_handler asked_handler = {
	.on_head = on_asked_head,
	.on_data = on_data,
	.on_end = on_asked_end,
	.on_fail = on_asked_fail,
};

/* An upload without an end leaves nothing at the server. */
static void on_ask_grant(struct grant_wait *w, enum err err, struct str authorization)
{
	struct trip *e = container_of(w, struct trip, reply.grant);
	struct http_header headers[2];

	if (err != ERR_OK) {
		watch(e);
		return;
	}
	struct http_call_spec spec =
		trip_server_call(e, &e->c->at.response, STR_NULL, authorization, headers);

	spec.method = STR("POST");
	spec.body_kind = HTTP_CALL_CHUNKED;
	e->reply.call = http_call_start(e->c->http, &spec, &asked_handler, e);
}

static void on_overdue(struct timer *t)
{
	deliver_reply(container_of(t, struct trip, reply.timer));
}

static void enter_overtime(struct trip *e)
{
	struct connector *c = e->c;

	acknowledge_end(e);
	if (c->n_waiting > 0) {
		deliver_reply(e);
		return;
	}
	list_push(&c->overtime, &e->reply.overtime);
	timer_start(c->loop, &e->reply.timer, (DISCARD_TIMES - 1) * (uint64_t)c->at.timeout_ms,
		    on_overdue);
}

void trip_reply_make_place(struct connector *c)
{
	struct list_node *first = list_first(&c->overtime);

	if (first) {
		deliver_reply(container_of(first, struct trip, reply.overtime));
	}
}

static void on_slow(struct timer *t)
{
	struct trip *e = container_of(t, struct trip, reply.timer);

	if (e->q.discard) {
		enter_overtime(e);
	} else {
		grant_get(&e->c->grant, &e->reply.grant, on_ask_grant);
	}
}

/* ---- what the target gives ---- */

static void copy_headers(struct trip *e, const struct http_headers *from)
{
	struct http_headers *h = &e->reply.headers;

	if (from && from->n > 0) {
		h->v = ARENA_NEW_ARRAY(&e->arena, struct http_header, from->n);
		memcpy(h->v, from->v, from->n * sizeof(*h->v));
		h->n = h->cap = from->n;
		http_strip_hop_by_hop(h);
	}
}

void trip_reply_begin(struct trip *e, int status, const struct http_headers *headers,
		      int64_t length)
{
	struct trip_reply *r = &e->reply;

	r->status = status;
	r->length = length;
	copy_headers(e, headers);
	if (length > TRIP_INLINE_MAX && !e->q.discard) {
		open_upload(e);
	} else {
		watch(e);
	}
}

void trip_reply_data(struct trip *e, struct str data)
{
	struct trip_reply *r = &e->reply;

	if (e->q.discard) {
		return;
	}
	r->n += data.n;
	if (r->is_upload) {
		upload_data(e, data);
		return;
	}
	buf_put(&r->data, data);
	if (r->data.n > TRIP_INLINE_MAX) {
		open_upload(e);
	}
}

void trip_reply_end(struct trip *e)
{
	struct trip_reply *r = &e->reply;

	r->ended = true;
	if (!r->is_upload) {
		deliver_reply(e);
	} else if (r->call) {
		http_call_finish(r->call);
	}
}

void trip_reply_cancel(struct trip *e)
{
	struct trip_reply *r = &e->reply;

	timer_pause(&r->timer);
	list_remove(&r->overtime);
	grant_cancel(&r->grant);
	if (r->call) {
		http_call_cancel(r->call);
		r->call = NULL;
	}
}

void trip_reply_reset(struct trip *e)
{
	trip_reply_cancel(e);
	struct buf data = e->reply.data;
	struct timer timer = e->reply.timer;

	buf_clear(&data);
	e->reply = (struct trip_reply){.data = data, .timer = timer};
}
