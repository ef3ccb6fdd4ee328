/* Life of a request: see the diagram in request.h. What it passes on its way in: request_admit.c.
 */
#include "relay/request.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "relay/client.h"
#include "relay/hub.h"
#include "relay/request_int.h"

enum { FREE_MAX = 1024 };

/* When we drain, for a body that a connector is about to fetch. */
#define DRAIN_FETCH_MS 2000

#define TO(state) (1u << REQUEST_##state)
#define TO_AN_END (TO(ANSWERED) | TO(EXPIRED) | TO(ABORTED) | TO(FAILED))

static const uint16_t next_states[REQUEST_STATES] = {
	[REQUEST_NEW] = TO(COLLECTING) | TO_AN_END,
	[REQUEST_COLLECTING] = TO(TENANT) | TO_AN_END,
	[REQUEST_TENANT] = TO(QUEUED) | TO_AN_END,
	[REQUEST_QUEUED] = TO(SENT) | TO(ACKED) | TO_AN_END,
	[REQUEST_SENT] = TO(QUEUED) | TO(ACKED) | TO_AN_END,
	[REQUEST_ACKED] = TO_AN_END,
};

static const char *const state_names[REQUEST_STATES] = {
	"new",	 "collecting", "tenant",  "queued",  "sent",
	"acked", "answered",   "expired", "aborted", "failed",
};

void request_enter(struct relay_request *r, enum request_state to)
{
	ASSERT(next_states[r->state] & 1u << to);
	if (log_is_on(LOG_TRACE)) {
		char id[GUID_N_LEN];

		guid_n(&r->id, id);
		log_write(LOG_TRACE, "relay", "request",
			  (struct log_field[]){LOG_STR("id", str_of(id, sizeof(id))),
					       LOG_CSTR("from", state_names[r->state]),
					       LOG_CSTR("to", state_names[to])},
			  3);
	}
	r->state = to;
}

/* -- memory -------------------------------------------------------------------- */

/* A recycled request keeps its place in the heap of timers: starting it again is free. */
struct relay_request *request_new(struct relay_loop *rl)
{
	struct list_node *n = list_pop(&rl->free_requests);
	struct relay_request *r;

	if (n) {
		r = container_of(n, struct relay_request, node);
		struct timer timer = r->timer;

		*r = (struct relay_request){.timer = timer};
		rl->n_free_requests--;
	} else {
		r = MEM_NEW(struct relay_request);
	}
	r->rl = rl;
	return r;
}

static void request_put(struct relay_request *r)
{
	struct relay_loop *rl = r->rl;

	if (r->arena == &r->own) {
		arena_fini(&r->own);
	}
	buf_free(&r->body);
	if (rl->n_free_requests >= FREE_MAX || rl->stopped) {
		timer_stop(rl->loop, &r->timer);
		mem_free(r);
		return;
	}
	timer_pause(&r->timer);
	list_push_front(&rl->free_requests, &r->node);
	rl->n_free_requests++;
}

void requests_free(struct relay_loop *rl)
{
	struct list_node *n;

	while ((n = list_pop(&rl->free_requests))) {
		struct relay_request *r = container_of(n, struct relay_request, node);

		timer_stop(rl->loop, &r->timer);
		mem_free(r);
	}
	rl->n_free_requests = 0;
}

void request_own(struct relay_request *r)
{
	if (r->arena == &r->own) {
		return;
	}
	struct arena *a = &r->own;
	struct http_header *v;

	arena_init(a, 0);
	v = ARENA_NEW_ARRAY(a, struct http_header, r->headers.n + 1);
	for (size_t i = 0; i < r->headers.n; i++) {
		v[i].name = str_dup(a, r->headers.v[i].name);
		v[i].value = str_dup(a, r->headers.v[i].value);
	}
	r->headers = (struct http_headers){v, r->headers.n, r->headers.n + 1};
	r->tenant_key = str_dup(a, r->tenant_key);
	r->target = str_dup(a, r->target);
	r->url = str_dup(a, r->url);
	r->method = str_dup(a, r->method);
	r->token = str_dup(a, r->token);
	r->arena = a;
}

static void remove_blob(struct relay_request *r, enum blob_kind kind)
{
	if (blob_remove(r->rl->relay->deps.bodies, (struct blob_key){kind, r->id}) != ERR_OK) {
		log_warn("relay", "stored body not removed");
	}
}

static void drop_request_body(struct relay_request *r)
{
	body_count_unref(&r->stored, r->rl);
	blob_abort(&r->writer);
	if (r->is_stored) {
		r->is_stored = false;
		remove_blob(r, BLOB_REQUEST);
	}
}

static void drop_bodies(struct relay_request *r)
{
	drop_request_body(r);
	body_count_unref(&r->response, r->rl);
	if (r->has_response) {
		r->has_response = false;
		remove_blob(r, BLOB_RESPONSE);
	}
}

void request_discard(struct relay_request *r)
{
	drop_bodies(r);
	upload_watch_cut(&r->uploads);
	relay_epoch_unref(&r->epoch);
	request_put(r);
}

/* -- deadline ------------------------------------------------------------------ */

static void on_expired(struct timer *t)
{
	struct relay_request *r = container_of(t, struct relay_request, timer);

	request_fail(r, REQUEST_EXPIRED, 408, RELAY_EXPIRED);
}

void request_arm(struct relay_request *r)
{
	uint64_t now = loop_now_ms(r->rl->loop);

	if (r->deadline_ms == 0) {
		timer_pause(&r->timer);
		return;
	}
	timer_start(r->rl->loop, &r->timer, r->deadline_ms > now ? r->deadline_ms - now : 1,
		    on_expired);
}

/*
 * A /queue request in mode Disabled ends when its stored body is fetched, which may be long after
 * it was sent, and over another connection. A connector that refuses it does so before it asks for
 * the body, and only ours says so: what stays is bounded, see tenant_enqueue.
 */
static bool awaits_fetch(const struct relay_request *r)
{
	return r->is_discard && r->ack == ACK_DISABLED && r->state == REQUEST_SENT;
}

void request_drain(struct relay_request *r)
{
	uint64_t due = loop_now_ms(r->rl->loop) + DRAIN_FETCH_MS;

	if (awaits_fetch(r) && due < r->deadline_ms) {
		r->deadline_ms = due;
		request_arm(r);
	}
}

/* -- the connection ------------------------------------------------------------- */

struct relay_request *request_find(struct relay_loop *rl, const struct guid *id)
{
	return map_get(&rl->requests, guid_bytes(id));
}

static void uncount(struct relay_request *r)
{
	if (r->is_counted) {
		r->is_counted = false;
		r->conn->counted--;
	}
}

static void join_conn(struct relay_request *r, struct hub_conn *c)
{
	r->conn = c;
	list_push(&c->in_flight, &r->node);
	c->n_in_flight++;
	c->tenant->n_loose--;
}

static void part_from_conn(struct relay_request *r)
{
	struct hub_conn *c = r->conn;

	uncount(r);
	list_remove(&r->node);
	c->n_in_flight--;
	c->tenant->n_loose++;
	r->conn = NULL;
}

/* Takes it off its connection, which may take another one then. */
static void leave_conn(struct relay_request *r)
{
	struct hub_conn *c = r->conn;

	if (!c) {
		return;
	}
	part_from_conn(r);
	if (c->state == HUB_OPEN) {
		tenant_settle_conn(c->tenant, c);
	}
}

void request_sent(struct relay_request *r, struct hub_conn *c)
{
	request_enter(r, REQUEST_SENT);
	if (r->sent++ > 0) {
		relay_count(r->rl, COUNT_REDELIVERED, 1);
	}
	if (r->is_discard && r->ack == ACK_DISABLED && !r->is_stored) {
		request_finish(r, REQUEST_ANSWERED, RELAY_SUCCEEDED,
			       &(struct answer){.status = 202});
		return;
	}
	join_conn(r, c);
	if (r->ack != ACK_DISABLED && c->limit > 0) {
		r->is_counted = true;
		c->counted++;
	}
}

static void wait_again(struct relay_request *r)
{
	request_enter(r, REQUEST_QUEUED);
	tenant_requeue(r->tenant, r);
	if (r->rl->draining && r->is_discard) {
		log_warn("relay", "a /queue request is lost", LOG_STR("tenant", r->tenant_key),
			 LOG_STR("target", r->target));
		request_fail(r, REQUEST_FAILED, 503, RELAY_FAILED);
	}
}

void request_conn_lost(struct relay_request *r)
{
	bool was_seen = r->conn_seq <= r->conn->n_delivered;

	part_from_conn(r);
	if (r->state == REQUEST_SENT && (r->ack != ACK_DISABLED || !was_seen)) {
		wait_again(r);
	} else if (awaits_fetch(r)) {
		list_push(&r->tenant->abandoned, &r->node);
	}
}

void request_acknowledge(struct relay_request *r, bool remove_body)
{
	if (r->state != REQUEST_SENT && r->state != REQUEST_QUEUED) {
		return;
	}
	if (r->state == REQUEST_QUEUED) {
		tenant_dequeue(r->tenant, r);
	}
	request_enter(r, REQUEST_ACKED);
	if (remove_body) {
		drop_request_body(r);
	}
	if (r->is_discard) {
		request_finish(r, REQUEST_ANSWERED, RELAY_SUCCEEDED,
			       &(struct answer){.status = 202});
		return;
	}
	if (r->is_counted) {
		uncount(r);
		tenant_settle_conn(r->tenant, r->conn);
	}
}

void request_response_stored(struct relay_request *r, struct body_count **count)
{
	r->was_replaced = r->was_replaced || r->has_response;
	body_count_unref(&r->response, r->rl);
	r->response = *count;
	*count = NULL;
	r->has_response = true;
	relay_count(r->rl, COUNT_BODIES, 1);
}

void request_body_taken(struct relay_request *r)
{
	drop_request_body(r);
	if (awaits_fetch(r)) {
		request_finish(r, REQUEST_ANSWERED, RELAY_SUCCEEDED,
			       &(struct answer){.status = 202});
	}
}

/*
 * Who has acknowledged it is at work. Somebody else got it as well when a connection was lost, and
 * will say that it failed for want of the body: that is not its answer. Which of two failures is
 * whose does not matter, the last one counts.
 */
void request_body_refused(struct relay_request *r)
{
	if (r->state == REQUEST_ACKED && r->sent > 1) {
		r->refused++;
	}
}

/* -- the end --------------------------------------------------------------------- */

static void log_event(struct relay_request *r, enum relay_outcome outcome, const struct answer *an)
{
	static const unsigned flags[RELAY_OUTCOMES] = {
		[RELAY_SUCCEEDED] = REQUEST_LOG_SUCCEEDED, [RELAY_ABORTED] = REQUEST_LOG_ABORTED,
		[RELAY_FAILED] = REQUEST_LOG_FAILED,	   [RELAY_EXPIRED] = REQUEST_LOG_EXPIRED,
		[RELAY_ERRORED] = REQUEST_LOG_ERRORED,	   [RELAY_REFUSED] = 0};
	int64_t duration = (int64_t)(loop_now_ms(r->rl->loop) - r->start_ms);
	struct relay_event e = {
		.kind = RELAY_EVENT_REQUEST,
		.tenant = r->tenant_key,
		.request_id = r->id,
		.target = r->target,
		.url = r->url,
		.method = r->method,
		.duration_ms = duration,
		.request_bytes = r->body_size,
		.outcome = flags[outcome],
	};

	if (!(r->rl->epoch->log_flags & flags[outcome])) {
		return;
	}
	e.wall_ms = clock_wall_ms() - duration;
	if (outcome == RELAY_SUCCEEDED && an) {
		e.status = (struct opt_i64){true, an->status};
		e.response_bytes = (struct opt_i64){true, (int64_t)an->body_size};
	}
	relay_event_put(&r->rl->events, &e);
}

static void unregister(struct relay_request *r)
{
	if (!r->is_registered) {
		return;
	}
	r->is_registered = false;
	(void)map_remove(&r->rl->requests, guid_bytes(&r->id));
	relay_count(r->rl, COUNT_IN_FLIGHT, -1);
	if (r->tenant) {
		list_remove(&r->waiter.node);
		r->tenant->n_loose--;
		tenant_release(r->tenant);
		tenant_unuse(r->tenant);
		r->tenant = NULL;
	}
}

void request_finish(struct relay_request *r, enum request_state as, enum relay_outcome outcome,
		    const struct answer *an)
{
	if (r->state == REQUEST_QUEUED && r->tenant && list_is_linked(&r->node)) {
		tenant_dequeue(r->tenant, r);
	}
	request_enter(r, as);
	relay_count(r->rl, outcome, 1);
	log_event(r, outcome, an);
	leave_conn(r);
	list_remove(&r->node);
	tenant_unkeep(r->tenant, r);
	unregister(r);
	request_discard(r);
}

void request_end(struct relay_request *r, enum request_state as, enum relay_outcome outcome,
		 const struct answer *an)
{
	/*
	 * The request goes first: its strings may live in the exchange, which the answer ends.
	 * Texts of the answer are those of its rules, which may have been replaced meanwhile.
	 */
	struct relay_loop *rl = r->rl;
	struct relay_client *local = r->client;
	struct exchange_id remote = r->client_id;
	struct relay_epoch *rules = r->epoch ? relay_epoch_ref(r->epoch) : NULL;

	r->client = NULL;
	r->client_id.id.gen = 0;
	request_finish(r, as, outcome, an);
	if (local) {
		client_answer(local, an);
	} else if (remote.id.gen != 0) {
		client_post_answer(remote, rl->relay, an);
	} else {
		answer_drop(rl, an);
	}
	relay_epoch_unref(&rules);
}

void request_fail(struct relay_request *r, enum request_state as, int status,
		  enum relay_outcome outcome)
{
	request_end(r, as, outcome, &(struct answer){.status = status});
}

void request_abort(struct relay_request *r)
{
	r->client = NULL;
	r->client_id.id.gen = 0;
	request_finish(r, REQUEST_ABORTED, RELAY_ABORTED, NULL);
}

/* That of whose body it is comes, too. */
static bool is_of_another_body(const struct relay_request *r, const struct answer *an)
{
	return an->kind == ANSWER_STORED && r->was_replaced &&
	       an->body_size != body_count_bytes(r->response);
}

void request_answer(struct relay_request *r, const struct answer *answer, bool failed)
{
	struct answer an = *answer;
	struct arena *a = &r->rl->arena;

	if (failed && r->refused > 0) {
		r->refused--;
		return;
	}
	if (is_of_another_body(r, &an)) {
		return;
	}
	if (an.kind == ANSWER_STORED && !r->has_response) {
		an = (struct answer){.status = 502};
		failed = true;
	}
	if (an.kind == ANSWER_STORED) {
		r->has_response = false; /* goes with the answer */
		an.count = r->response;
		an.body_size = body_count_bytes(an.count); /* whatever the connector says */
		r->response = NULL;
	}
	if (failed) {
		log_debug("relay", "target failed", LOG_STR("tenant", r->tenant_key),
			  LOG_STR("target", r->target), LOG_INT("status", an.status));
	}
	if (r->epoch) {
		interceptors_response(&r->epoch->rules, r->matched, a, &an.headers);
	}
	if (r->is_trace) {
		answer_add_trace(&an, a, r->rl->relay, &r->id);
	}
	relay_count(r->rl, COUNT_RESPONSE_BYTES, (int64_t)an.body_size);
	request_end(r, REQUEST_ANSWERED, RELAY_SUCCEEDED, &an);
}
