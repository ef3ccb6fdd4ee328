/*
 * One request: waits for its turn, gets its body, runs its target, gives a response.
 *
 * Trips are kept for reuse with the memory that they hold, so that an ordinary
 * request allocates nothing. One that is done is buried: code that called something
 * that may have ended it only has to look at its state.
 */
#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "base/mem.h"
#include "connector/connector_int.h"

#define SPARE_MAX 1024
#define KEEP_BYTES ((size_t)16 << 10)
#define KEEP_BUF_BYTES ((size_t)32 << 10)

/* ---- memory ---- */

struct trip *trip_get(struct connector *c)
{
	struct list_node *n = list_pop(&c->spare);
	struct trip *e;

	if (n) {
		c->n_spare--;
		return container_of(n, struct trip, node);
	}
	e = MEM_NEW(struct trip);
	e->c = c;
	arena_init(&e->arena, 0);
	return e;
}

/* Whoever calls a trip back later is one of these: of memory that is used again there is none. */
static bool is_awaited(const struct trip *e)
{
	return e->fetch || e->call || e->reply.call || timer_is_armed(&e->fetch_timer) ||
	       list_is_linked(&e->fetch_grant.node) || list_is_linked(&e->reply.grant.node) ||
	       list_is_linked(&e->reply.overtime) || list_is_linked(&e->echo_work.node);
}

void trip_free(struct trip *e)
{
	ASSERT(!is_awaited(e));
	timer_stop(e->c->loop, &e->reply.timer);
	target_set_unref(&e->targets);
	buf_free(&e->body);
	buf_free(&e->reply.data);
	arena_fini(&e->arena);
	mem_free(e);
}

static void trim(struct buf *b)
{
	if (b->cap > KEEP_BUF_BYTES) {
		buf_free(b);
	}
	buf_clear(b);
}

void trip_put_back(struct trip *e)
{
	struct connector *c = e->c;

	if (c->closed || c->n_spare >= SPARE_MAX) {
		trip_free(e);
		return;
	}
	ASSERT(!is_awaited(e));
	trim(&e->body);
	trim(&e->reply.data);
	arena_rewind(&e->arena, KEEP_BYTES);
	/* All but what is kept starts from zero; a timer keeps its place in the heap. */
	struct arena arena = e->arena;
	struct buf body = e->body, data = e->reply.data;
	struct timer timer = e->reply.timer;

	*e = (struct trip){.c = c, .arena = arena, .body = body};
	e->reply.data = data;
	e->reply.timer = timer;
	list_push_front(&c->spare, &e->node);
	c->n_spare++;
}

static void on_buried(struct grave *g)
{
	struct trip *e = container_of(g, struct trip, grave);

	target_set_unref(&e->targets);
	trip_put_back(e);
}

/* ---- acknowledgement (RelayServer 9.1) ---- */

void trip_acknowledge(struct trip *e)
{
	struct connector *c = e->c;

	if (e->acknowledged) {
		return;
	}
	e->acknowledged = true;
	wire_write_acknowledge(connector_invoke_begin(c, e->link), &e->q.origin_id, &e->q.id,
			       e->is_outsourced);
	connector_invoke_end(c, e->expires_ms);
}

bool trip_is_sent_again(const struct trip *e)
{
	return e->q.ack_mode != WIRE_ACK_DISABLED && !e->acknowledged &&
	       !link_is_same(e->link, e->link_n_opened);
}

/* ---- the end ---- */

/* What was not acknowledged may be sent again for good reason. */
static void leave_known(struct trip *e)
{
	if (e->is_known && e->acknowledged) {
		known_finish(&e->c->known, &e->q.id);
	} else if (e->is_known) {
		known_forget(&e->c->known, &e->q.id);
	}
}

static void leave_list(struct trip *e)
{
	struct connector *c = e->c;

	leave_known(e);
	list_remove(&e->node);
	if (e->state == TRIP_WAITING) {
		c->n_waiting--;
	} else if (e->state == TRIP_RUNNING) {
		c->n_running--;
	}
}

static void on_room(struct later *w)
{
	trip_run_waiting(container_of(w, struct connector, work));
}

/* Nothing calls it back afterwards. */
static void give_up(struct trip *e)
{
	if (e->ops) {
		e->ops->cancel(e);
	}
	trip_fetch_cancel(e);
	trip_reply_cancel(e);
}

/* A target may have answered while its request was still coming. */
void trip_end(struct trip *e)
{
	struct connector *c = e->c;

	ASSERT(e->state != TRIP_DONE);
	give_up(e);
	leave_list(e);
	e->state = TRIP_DONE;
	if (c->n_waiting > 0) {
		loop_later(c->loop, &c->work, on_room);
	}
	loop_bury(c->loop, &e->grave, on_buried);
}

void trip_fail(struct trip *e, int status)
{
	if (e->state == TRIP_DONE) {
		return;
	}
	log_debug("connector", "request failed", LOG_STR("target", e->q.target),
		  LOG_INT("status", status));
	give_up(e);
	trip_reply_failure(e, status);
}

void trip_cancel(struct trip *e)
{
	give_up(e);
	leave_list(e);
	e->state = TRIP_DONE;
	trip_free(e);
}

/* ---- the start ---- */

static const struct trip_ops *const ops_by_type[] = {
	[TARGET_WEB] = &trip_web_ops,
	[TARGET_PING] = &trip_ping_ops,
	[TARGET_ECHO] = &trip_echo_ops,
};

static void begin_clock(struct trip *e)
{
	e->q.trace = e->q.trace || e->c->trace;
	if (e->q.trace) {
		e->start_wall_ms = clock_wall_ms();
		e->start_ns = clock_mono_ns();
	}
}

void trip_start(struct trip *e)
{
	e->target = target_find(e->targets, e->q.target);
	if (!e->target) {
		trip_fail(e, 404);
		return;
	}
	if (!http_is_token(e->q.method) ||
	    (e->q.body.n > 0 && base64_decode(&e->body, e->q.body) != ERR_OK)) {
		trip_fail(e, 400);
		return;
	}
	begin_clock(e);
	e->ops = ops_by_type[e->target->type];
	if (e->is_outsourced) {
		trip_fetch(e);
		return;
	}
	if (e->q.ack_mode == WIRE_ACK_RECEIVED) {
		trip_acknowledge(e);
	}
	e->ops->start(e);
}

static void enter_running(struct trip *e)
{
	struct connector *c = e->c;

	e->state = TRIP_RUNNING;
	list_push(&c->running, &e->node);
	c->n_running++;
}

static bool may_run(const struct connector *c)
{
	int64_t max = c->config.max_concurrent;

	return max == 0 || c->n_running < max;
}

static bool is_full(const struct connector *c)
{
	return c->n_running + c->n_waiting >= c->config.requests_max;
}

/* In mode Manual the target acknowledges where it was told to, maybe not where this came from. */
static bool is_same(const struct trip *first, const struct trip *e)
{
	return first->q.ack_mode != WIRE_ACK_MANUAL ||
	       guid_eq(&first->q.ack_origin_id, &e->q.ack_origin_id);
}

/*
 * One that is here already: the server lost the connection that brought it before it heard of it.
 * It hears of it where it has sent it now, since another process of it may know it only there.
 */
static bool is_copy(struct trip *e)
{
	struct known *k = &e->c->known;
	struct trip *first = known_runner(k, &e->q.id);

	if (first ? !is_same(first, e) : !known_is_done(k, &e->q.id)) {
		return false;
	}
	if (first) {
		first->link = e->link;
		first->link_n_opened = e->link_n_opened;
	}
	if (!first || first->acknowledged) {
		trip_acknowledge(e);
	}
	return true;
}

/* True: it is not to be done. */
static bool meet(struct trip *e)
{
	struct known *k = &e->c->known;

	if (e->q.ack_mode == WIRE_ACK_DISABLED) {
		return false;
	}
	if (is_copy(e)) {
		log_debug("connector", "request is here already", LOG_STR("target", e->q.target));
		return true;
	}
	if (!known_runner(k, &e->q.id)) {
		e->is_known = true;
		known_begin(k, &e->q.id, e);
	}
	return false;
}

void trip_take(struct trip *e, struct link *from)
{
	struct connector *c = e->c;

	e->link = from;
	e->link_n_opened = from->n_opened;
	e->is_outsourced = !e->q.body.p && e->q.body_size > 0;
	e->expires_ms = loop_now_ms(c->loop) + (uint64_t)c->at.timeout_ms;
	e->wanted_ms = loop_now_ms(c->loop);
	if (meet(e)) {
		trip_put_back(e);
		return;
	}
	bool is_refused = connector_refuses(c, from);

	e->targets = target_set_ref(c->targets);
	if (!is_refused && (is_full(c) || !may_run(c))) {
		trip_reply_make_place(c);
	}
	if (is_refused || is_full(c)) {
		enter_running(e);
		trip_fail(e, 503);
	} else if (may_run(c) && c->n_waiting == 0) {
		enter_running(e);
		trip_start(e);
	} else {
		e->state = TRIP_WAITING;
		list_push(&c->waiting, &e->node);
		c->n_waiting++;
	}
}

/* Of those whose turn comes next it is known by then: no place stands empty while they are asked
 * for. */
static void look_ahead(struct connector *c)
{
	int64_t n = c->config.max_concurrent;

	LIST_EACH (&c->waiting, it) {
		struct trip *e = container_of(it, struct trip, node);

		if (n-- == 0) {
			return;
		}
		if (trip_is_doubtful(e)) {
			trip_ask(e);
		}
	}
}

void trip_run_waiting(struct connector *c)
{
	while (c->n_waiting > 0 && may_run(c)) {
		struct trip *e = container_of(list_pop(&c->waiting), struct trip, node);

		c->n_waiting--;
		enter_running(e);
		if (trip_is_doubtful(e)) {
			trip_ask(e);
		} else {
			trip_start(e);
		}
	}
	look_ahead(c);
}

/* ---- transfers to and from the server ---- */

struct http_call_spec trip_server_call(struct trip *e, const struct uri *base, struct str suffix,
				       struct str authorization, struct http_header *headers)
{
	char id[GUID_N_LEN];
	size_t n = 0;

	guid_n(&e->q.id, id);
	headers[n++] = (struct http_header){STR("User-Agent"), STR(CONNECTOR_AGENT)};
	if (authorization.n > 0) {
		headers[n++] = (struct http_header){STR("Authorization"), authorization};
	}
	return (struct http_call_spec){
		.uri = *base,
		.path_query = str_fmt(&e->arena, "%.*s/%.*s%.*s", STR_ARG(base->path), GUID_N_LEN,
				      id, STR_ARG(suffix)),
		.headers = headers,
		.n_headers = n,
		.timeout_ms = (uint32_t)e->c->at.timeout_ms,
		.idle_timeout_ms = (uint32_t)e->c->at.timeout_ms,
		.close = !e->c->config.use_http_keep_alive,
		.fd = -1,
	};
}
