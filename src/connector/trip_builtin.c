/* Targets inside the connector: ping and echo, to try out a relay without a service. */
#include "connector/connector_int.h"

/* Beyond the body that came: a byte must not become a gigabyte at the server. */
#define ECHO_MORE_MAX ((uint64_t)4 << 20)
/* To repeat a body it has to be in memory. */
#define ECHO_REPEAT_MAX ((int64_t)16 << 20)
#define ECHO_STEP ((size_t)64 << 10)
/* Steps of one turn of the loop. */
#define ECHO_STEPS_MAX 16

static void ignore(struct trip *e)
{
	(void)e;
}

static void ignore_body(struct trip *e, struct str data)
{
	(void)e;
	(void)data;
}

/* ---- ping ---- */

static void ping_start(struct trip *e)
{
	static struct http_header type = {STR_INIT("Content-Type"), STR_INIT("text/plain")};
	const struct http_headers headers = {&type, 1, 1};

	if (!str_eq(e->q.method, STR("GET"))) {
		trip_fail(e, 404);
		return;
	}
	trip_reply_begin(e, 200, &headers, 4);
	trip_reply_data(e, STR("PONG"));
	trip_reply_end(e);
}

const struct trip_ops trip_ping_ops = {
	.start = ping_start,
	.on_body = ignore_body,
	.on_body_end = ignore,
	.pause = ignore,
	.resume = ignore,
	.cancel = ignore,
};

/* ---- echo ---- */

static uint64_t body_size(const struct trip *e)
{
	return e->is_outsourced ? (uint64_t)e->q.body_size : e->body.n;
}

/* "5" and "5?x": the body repeated or cut to that many bytes. */
static uint64_t wanted(const struct trip *e)
{
	ptrdiff_t q = str_index(e->q.url, '?');
	uint64_t n;

	if (str_to_u64(q < 0 ? e->q.url : str_slice(e->q.url, 0, (size_t)q), &n)) {
		return n;
	}
	return body_size(e);
}

static bool must_gather(const struct trip *e)
{
	return e->is_outsourced && e->echo_n > (uint64_t)e->q.body_size;
}

/* Whole repetitions, so that a short body does not go in short pieces. */
static void repeat_body(struct trip *e)
{
	size_t n = e->body.n;
	size_t most = (size_t)MIN(e->echo_n, (uint64_t)ECHO_STEP);

	if (n > most / 2) {
		return;
	}
	/* All at once: what is being repeated does not move. */
	(void)buf_reserve(&e->body, most - n);
	while (e->body.n + n <= most) {
		buf_put(&e->body, str_slice(buf_str(&e->body), 0, n));
	}
}

static void echo_pump(struct later *w)
{
	struct trip *e = container_of(w, struct trip, echo_work);

	for (int i = 0; i < ECHO_STEPS_MAX && e->state == TRIP_RUNNING && e->echo_left > 0 &&
			!e->reply.is_paused;
	     i++) {
		size_t at = (size_t)((e->echo_n - e->echo_left) % e->body.n);
		struct str piece = str_slice(buf_str(&e->body), at,
					     (size_t)MIN(e->echo_left, (uint64_t)ECHO_STEP));

		e->echo_left -= piece.n;
		trip_reply_data(e, piece);
	}
	if (e->state != TRIP_RUNNING || e->reply.ended) {
		return;
	}
	if (e->echo_left == 0) {
		trip_reply_end(e);
	} else if (!e->reply.is_paused) {
		loop_next_turn(e->c->loop, &e->echo_work, echo_pump);
	}
}

static void echo_begin(struct trip *e)
{
	e->echo_left = e->echo_n;
	trip_reply_begin(e, 200, NULL, (int64_t)e->echo_n);
}

/* All of the body is there. */
static void echo_memory(struct trip *e)
{
	repeat_body(e);
	echo_begin(e);
	echo_pump(&e->echo_work);
}

static void echo_start(struct trip *e)
{
	if (!str_eq(e->q.method, STR("POST")) || body_size(e) == 0 || e->q.discard) {
		trip_reply_begin(e, 204, NULL, 0);
		trip_reply_end(e);
		return;
	}
	e->echo_n = wanted(e);
	if (e->echo_n > body_size(e) + ECHO_MORE_MAX ||
	    (must_gather(e) && e->q.body_size > ECHO_REPEAT_MAX)) {
		trip_fail(e, 400);
		return;
	}
	if (must_gather(e)) {
		return;
	}
	if (e->is_outsourced) {
		echo_begin(e);
	} else {
		echo_memory(e);
	}
}

static void echo_on_body(struct trip *e, struct str data)
{
	if (must_gather(e)) {
		buf_put(&e->body, data);
		return;
	}
	data = str_slice(data, 0, (size_t)MIN(e->echo_left, (uint64_t)data.n));
	e->echo_left -= data.n;
	if (data.n > 0) {
		trip_reply_data(e, data);
	}
	if (e->state == TRIP_RUNNING && e->echo_left == 0 &&
	    e->fetched < (uint64_t)e->q.body_size) {
		/* Nobody wants the rest. */
		trip_fetch_cancel(e);
		trip_reply_end(e);
	}
}

static void echo_on_body_end(struct trip *e)
{
	if (must_gather(e)) {
		e->is_outsourced = false;
		echo_memory(e);
	} else {
		trip_reply_end(e);
	}
}

static void echo_pause(struct trip *e)
{
	trip_fetch_pause(e);
}

static void echo_resume(struct trip *e)
{
	if (e->is_outsourced) {
		trip_fetch_resume(e);
	} else {
		loop_later(e->c->loop, &e->echo_work, echo_pump);
	}
}

static void echo_cancel(struct trip *e)
{
	later_cancel(&e->echo_work);
}

const struct trip_ops trip_echo_ops = {
	.start = echo_start,
	.on_body = echo_on_body,
	.on_body_end = echo_on_body_end,
	.pause = echo_pause,
	.resume = echo_resume,
	.cancel = echo_cancel,
};
