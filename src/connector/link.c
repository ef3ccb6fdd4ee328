/*
 * One connection to the server: getting it, keeping it alive, what comes over it.
 * See link_state in connector_int.h for its states.
 *
 * What is sent is kept in `sent` until the server is known to have it. One completion
 * at a time is asked for: since both directions are in order, it confirms all that was
 * sent before it, too. At a high rate that costs one small record for each round trip
 * instead of one for each response.
 */
#include "base/log.h"
#include "base/rand.h"
#include "connector/connector_int.h"

#define RECORD_BYTES_MAX ((size_t)4 << 20)
#define ANSWER_BYTES_MAX ((size_t)64 << 10)
/* A connection this old has proved itself. */
#define USEFUL_AFTER_MS 5000
/* A server that leaves this much unread gets nothing more for the moment. */
#define UNREAD_MAX ((size_t)4 << 20)

static const struct link_ops *const all_ops[LINK_KINDS] = {
	[LINK_WEBSOCKETS] = &link_ws_ops,
	[LINK_SERVER_SENT_EVENTS] = &link_sse_ops,
	[LINK_LONG_POLLING] = &link_poll_ops,
};

static const uint8_t link_next[LINK_STATES] = {
	[LINK_IDLE] = 1u << LINK_GRANT | 1u << LINK_STOPPED,
	[LINK_GRANT] =
		1u << LINK_NEGOTIATE | 1u << LINK_OPENING | 1u << LINK_IDLE | 1u << LINK_STOPPED,
	[LINK_NEGOTIATE] = 1u << LINK_OPENING | 1u << LINK_IDLE | 1u << LINK_STOPPED,
	[LINK_OPENING] =
		1u << LINK_GRANT | 1u << LINK_HANDSHAKE | 1u << LINK_IDLE | 1u << LINK_STOPPED,
	[LINK_HANDSHAKE] = 1u << LINK_OPEN | 1u << LINK_IDLE | 1u << LINK_STOPPED,
	[LINK_OPEN] = 1u << LINK_IDLE | 1u << LINK_STOPPED,
	[LINK_STOPPED] = 1u << LINK_STOPPED,
};

static void link_enter(struct link *l, enum link_state to)
{
	static const char *const names[LINK_STATES] = {"idle",	    "grant", "negotiate", "opening",
						       "handshake", "open",  "stopped"};

	ASSERT(link_next[l->state] & 1u << to);
	log_trace("connector", "link", LOG_INT("index", l->index),
		  LOG_CSTR("from", names[l->state]), LOG_CSTR("to", names[to]));
	l->state = to;
}

void link_init(struct link *l, struct connector *c, unsigned index)
{
	*l = (struct link){.c = c, .index = index};
	arena_init(&l->arena, 0);
	records_init(&l->records, RECORD_BYTES_MAX);
	backlog_init(&l->sent, (size_t)c->config.undelivered_max,
		     (size_t)c->config.undelivered_max_size);
}

/* ---- the end of an attempt or a connection ---- */

static void drop_transport(struct link *l)
{
	grant_cancel(&l->grant);
	if (l->negotiate) {
		http_fetch_cancel(l->negotiate);
		l->negotiate = NULL;
	}
	if (l->ops) {
		l->ops->abort(l);
		l->ops = NULL;
	}
	records_reset(&l->records);
	buf_free(&l->event);
	buf_free(&l->data);
}

void link_fini(struct link *l)
{
	drop_transport(l);
	/* One that was closing in order. */
	link_ws_ops.abort(l);
	link_poll_ops.abort(l);
	timer_stop(l->c->loop, &l->timer);
	later_cancel(&l->post.work);
	records_fini(&l->records);
	backlog_fini(&l->sent);
	arena_fini(&l->arena);
}

static void on_time_to_try(struct timer *t);

static void finish(struct link *l, enum link_end end)
{
	struct connector *c = l->c;
	bool was_open = l->state == LINK_OPEN;
	bool useful = was_open &&
		      (l->was_useful || loop_now_ms(c->loop) - l->opened_ms >= USEFUL_AFTER_MS);
	struct reconnect_plan plan =
		reconnect_next(&l->reconnect, end, useful, c->at.reconnect_min_ms,
			       c->at.reconnect_max_ms, rand_below);

	drop_transport(l);
	link_enter(l, plan.never ? LINK_STOPPED : LINK_IDLE);
	timer_pause(&l->timer);
	backlog_move(&l->sent, &c->backlog);
	l->awaited = 0;
	if (!plan.never && !c->draining) {
		timer_start(c->loop, &l->timer, plan.delay_ms, on_time_to_try);
	}
	if (was_open) {
		c->events.disconnected(c->events.arg);
		connector_flush(c);
	}
	if (plan.never) {
		log_error("connector", "the server closed the connection for good");
		c->events.ended(c->events.arg);
	}
}

/* An attempt came to nothing. */
static void fail(struct link *l, struct fault *f)
{
	connector_trouble(l->c, "cannot connect", f);
	finish(l, LINK_END_FAILED);
}

static void end_open(struct link *l, enum link_end end, const char *why)
{
	log_warn("connector", "connection lost", LOG_CSTR("why", why), LOG_INT("link", l->index));
	finish(l, end);
}

/* ---- getting it ---- */

static void try_transport(struct link *l, struct str authorization)
{
	const struct connect_config *config = &l->c->config;

	link_enter(l, LINK_OPENING);
	timer_pause(&l->timer);
	records_reset(&l->records);
	l->polled = false;
	l->ops = all_ops[config->transports[l->next_transport]];
	l->ops->open(l, authorization);
}

static bool skip_to_offered(struct link *l)
{
	const struct connect_config *config = &l->c->config;

	while (l->next_transport < config->n_transports &&
	       !l->negotiation.offers[config->transports[l->next_transport]]) {
		l->next_transport++;
	}
	return l->next_transport < config->n_transports;
}

static void on_grant_again(struct grant_wait *w, enum err e, struct str authorization)
{
	struct link *l = container_of(w, struct link, grant);
	struct fault f = {0};

	if (e != ERR_OK) {
		(void)fault_set(&f, e, "no access token");
		fail(l, &f);
		return;
	}
	try_transport(l, authorization);
}

static enum err read_negotiation(struct link *l, const struct http_fetch_result *r, struct fault *f)
{
	if (r->err != ERR_OK) {
		return fault_set(f, r->err, "negotiate: %s", err_name(r->err));
	}
	if (r->status == 401) {
		grant_refuse(&l->c->grant);
	}
	if (r->status != 200) {
		return fault_set(f, ERR_DENIED, "negotiate: the server answered %d", r->status);
	}
	TRY(negotiation_parse(&l->arena, r->body, &l->negotiation, f));
	l->query = str_fmt(&l->arena, "id=%.*s", STR_ARG(l->negotiation.id));
	if (!skip_to_offered(l)) {
		return fault_set(f, ERR_UNAVAILABLE,
				 "negotiate: the server offers none of our transports");
	}
	return ERR_OK;
}

static void on_negotiated(void *arg, const struct http_fetch_result *r)
{
	struct link *l = arg;
	struct fault f = {0};

	l->negotiate = NULL;
	if (read_negotiation(l, r, &f) != ERR_OK) {
		fail(l, &f);
		return;
	}
	grant_get(&l->c->grant, &l->grant, on_grant_again);
}

struct http_call_spec link_call(struct link *l, struct arena *a, struct str method,
				struct str authorization, struct http_header extra,
				struct http_header headers[LINK_HEADERS])
{
	const struct uri *at = &l->c->at.connector;
	size_t n = 0;

	headers[n++] = (struct http_header){STR("User-Agent"), STR(CONNECTOR_AGENT)};
	headers[n++] = (struct http_header){STR("X-Requested-With"), STR("XMLHttpRequest")};
	if (authorization.n > 0) {
		headers[n++] = (struct http_header){STR("Authorization"), authorization};
	}
	if (extra.value.p) {
		headers[n++] = extra;
	}
	return (struct http_call_spec){
		.uri = *at,
		.method = method,
		.path_query = str_fmt(a, "%.*s?%.*s", STR_ARG(at->path), STR_ARG(l->query)),
		.headers = headers,
		.n_headers = n,
		.timeout_ms = LINK_TIMEOUT_MS,
		.fd = -1,
	};
}

static void negotiate(struct link *l, struct str authorization)
{
	struct http_header headers[LINK_HEADERS];
	struct http_call_spec spec = link_call(l, &l->arena, STR("POST"), authorization,
					       (struct http_header){0}, headers);

	spec.path_query = str_fmt(&l->arena, "%.*s/negotiate?negotiateVersion=1",
				  STR_ARG(l->c->at.connector.path));
	spec.idle_timeout_ms = LINK_TIMEOUT_MS;
	link_enter(l, LINK_NEGOTIATE);
	l->negotiate = http_fetch_start(l->c->http, &spec, ANSWER_BYTES_MAX, on_negotiated, l);
}

static void on_grant(struct grant_wait *w, enum err e, struct str authorization)
{
	struct link *l = container_of(w, struct link, grant);
	struct fault f = {0};

	if (e != ERR_OK) {
		(void)fault_set(&f, e, "no access token");
		fail(l, &f);
	} else if (l->c->config.negotiate) {
		negotiate(l, authorization);
	} else {
		try_transport(l, authorization);
	}
}

static void attempt(struct link *l)
{
	link_enter(l, LINK_GRANT);
	l->negotiation = (struct negotiation){0}; /* of the former attempt, and its query */
	l->query = STR_NULL;
	arena_reset(&l->arena);
	grant_get(&l->c->grant, &l->grant, on_grant);
}

static void on_time_to_try(struct timer *t)
{
	struct link *l = container_of(t, struct link, timer);

	l->next_transport = 0;
	attempt(l);
}

void link_start(struct link *l, uint64_t delay_ms)
{
	timer_start(l->c->loop, &l->timer, delay_ms, on_time_to_try);
}

/* ---- the transport ---- */

static void on_no_handshake(struct timer *t)
{
	struct link *l = container_of(t, struct link, timer);
	struct fault f = {0};

	(void)fault_set(&f, ERR_TIMEOUT, "handshake: no answer");
	fail(l, &f);
}

void link_opened(struct link *l)
{
	link_enter(l, LINK_HANDSHAKE);
	timer_start(l->c->loop, &l->timer, (uint64_t)l->c->at.handshake_timeout_ms,
		    on_no_handshake);
	wire_write_handshake(l->ops->begin(l));
	l->ops->send(l);
}

static void try_next_transport(struct link *l, struct fault *f)
{
	const struct connect_config *config = &l->c->config;

	if (++l->next_transport < config->n_transports && config->negotiate) {
		connector_trouble(l->c, "trying the next transport", f);
		drop_transport(l);
		attempt(l);
	} else {
		fail(l, f);
	}
}

void link_lost(struct link *l, enum err why, int status)
{
	struct fault f = {0};

	if (status == 401) {
		grant_refuse(&l->c->grant);
	}
	if (status) {
		(void)fault_set(&f, why, "%s: the server answered %d", l->ops ? l->ops->name : "",
				status);
	} else {
		(void)fault_set(&f, why, "%s: %s", l->ops ? l->ops->name : "", err_name(why));
	}
	switch (l->state) {
	case LINK_OPENING:
		try_next_transport(l, &f);
		break;
	case LINK_HANDSHAKE:
		fail(l, &f);
		break;
	case LINK_OPEN:
		end_open(l, LINK_END_LOST, f.text);
		break;
	case LINK_IDLE:
	case LINK_GRANT:
	case LINK_NEGOTIATE:
	case LINK_STOPPED:
	case LINK_STATES:
		break;
	}
}

/* ---- the heartbeat ---- */

static void send_ping(struct link *l)
{
	wire_write_ping(l->ops->begin(l));
	l->ops->send(l);
	l->sent_ms = loop_now_ms(l->c->loop);
}

static void on_heartbeat(struct timer *t);

static void schedule_heartbeat(struct link *l)
{
	uint64_t every = (uint64_t)l->c->at.keep_alive_ms, now = loop_now_ms(l->c->loop);
	uint64_t due = MIN(l->sent_ms + every, l->heard_ms + 2 * every);

	if (l->ops->pings) {
		timer_start(l->c->loop, &l->timer, due > now ? due - now : 1, on_heartbeat);
	} else {
		timer_pause(&l->timer);
	}
}

/* A server that sends nothing for two intervals is gone, whatever TCP says. */
static void on_heartbeat(struct timer *t)
{
	struct link *l = container_of(t, struct link, timer);
	uint64_t every = (uint64_t)l->c->at.keep_alive_ms, now = loop_now_ms(l->c->loop);

	if (now >= l->heard_ms + 2 * every) {
		end_open(l, LINK_END_LOST, "the server is silent");
		return;
	}
	if (now >= l->sent_ms + every) {
		send_ping(l);
	}
	schedule_heartbeat(l);
}

void link_heard(struct link *l)
{
	l->heard_ms = loop_now_ms(l->c->loop);
}

/* ---- records ---- */

static void on_accepted(struct link *l)
{
	struct connector *c = l->c;

	link_enter(l, LINK_OPEN);
	l->n_opened++;
	l->opened_ms = l->heard_ms = loop_now_ms(c->loop);
	l->was_useful = false;
	if (l->ops->pings) {
		send_ping(l);
	}
	schedule_heartbeat(l);
	c->told_trouble = false;
	c->events.connected(c->events.arg, l->ops->name);
	connector_flush(c);
}

static void on_handshake(struct link *l, struct str record)
{
	struct fault f = {0};
	struct str error;

	if (wire_parse_handshake(&l->arena, record, &error) != ERR_OK) {
		(void)fault_set(&f, ERR_PROTO, "handshake: no proper answer");
		fail(l, &f);
	} else if (error.p) {
		(void)fault_set(&f, ERR_DENIED, "handshake: %.*s", STR_ARG(error));
		fail(l, &f);
	} else {
		on_accepted(l);
	}
}

static void on_completion(struct link *l, const struct wire_record *r)
{
	if (r->invocation_id != 0 && r->invocation_id == l->leaving) {
		l->has_left = true;
		return;
	}
	if (r->error.p) {
		log_warn("connector", "the server could not take a message",
			 LOG_STR("error", r->error));
	}
	if (r->invocation_id != 0 && r->invocation_id == l->awaited) {
		l->awaited = 0;
		backlog_confirm(&l->sent, r->invocation_id);
	}
}

static void on_close_record(struct link *l, const struct wire_record *r)
{
	if (r->allow_reconnect) {
		end_open(l, LINK_END_COME_BACK, "the server asks to come back");
	} else if (r->error.p) {
		log_warn("connector", "the server closes with an error",
			 LOG_STR("error", r->error));
		end_open(l, LINK_END_ERROR, "closed with an error");
	} else {
		finish(l, LINK_END_FOR_GOOD);
	}
}

/* True when the trip was used up. */
static bool on_record(struct link *l, struct trip *e, const struct wire_record *r)
{
	switch (r->kind) {
	case WIRE_REQUEST:
		e->q = r->request;
		trip_take(e, l);
		return true;
	case WIRE_CONFIGURE:
		connector_configure(l->c, &r->configure);
		schedule_heartbeat(l);
		break;
	case WIRE_COMPLETION:
		on_completion(l, r);
		break;
	case WIRE_CLOSE:
		on_close_record(l, r);
		break;
	case WIRE_INVALID:
		log_warn("connector", "the server sent something that cannot be understood");
		break;
	case WIRE_PING:
	case WIRE_OTHER:
		break;
	}
	return false;
}

/* A record is read into the memory of a trip, which is what nearly all become. */
static void take_record(struct link *l, struct str record)
{
	struct trip *e = trip_get(l->c);
	struct wire_record r;

	if (wire_parse(&e->arena, str_dup(&e->arena, record), &r) != ERR_OK) {
		trip_put_back(e);
		end_open(l, LINK_END_ERROR, "the server sent no proper record");
		return;
	}
	l->was_useful = true;
	if (!on_record(l, e, &r)) {
		trip_put_back(e);
	}
}

void link_feed(struct link *l, struct str data)
{
	struct str record;
	enum err e = ERR_OK;

	link_heard(l);
	records_feed(&l->records, data);
	while ((l->state == LINK_HANDSHAKE || l->state == LINK_OPEN) &&
	       (e = records_next(&l->records, &record)) == ERR_OK) {
		if (l->state == LINK_HANDSHAKE) {
			on_handshake(l, record);
		} else {
			take_record(l, record);
		}
	}
	if (e == ERR_LIMIT) {
		link_lost(l, ERR_LIMIT, 0);
	}
}

/* ---- sending ---- */

bool link_is_open(const struct link *l)
{
	return l->state == LINK_OPEN;
}

bool link_is_same(const struct link *l, unsigned n_opened)
{
	return link_is_open(l) && l->n_opened == n_opened;
}

bool link_can_send(const struct link *l)
{
	return l->state == LINK_OPEN && l->ops->pending(l) < UNREAD_MAX;
}

void link_drained(struct link *l)
{
	connector_flush(l->c);
}

void link_refused(struct link *l, struct str record)
{
	log_error("connector", "the server refuses a message as too large: it is given up",
		  LOG_INT("bytes", record.n), LOG_INT("link", l->index));
	backlog_expire(&l->sent, record);
	/* It may have been the one that was to be confirmed. */
	l->awaited = 0;
}

struct buf *link_invoke_begin(struct link *l)
{
	l->out = l->ops->begin(l);
	return l->out;
}

void link_invoke_end(struct link *l, size_t start, uint64_t expires_ms)
{
	struct backlog_entry e = {
		.seq = ++l->seq,
		.expires_ms = expires_ms,
		.text = str_of(buf_head(l->out) + start, l->out->n - start),
	};
	uint64_t ask = l->awaited ? 0 : l->seq;

	backlog_put(&l->sent, &e);
	if (ask) {
		l->awaited = ask;
	}
	wire_write_end(l->out, ask);
	l->ops->send(l);
	l->sent_ms = loop_now_ms(l->c->loop);
}

void link_leave(struct link *l)
{
	l->leaving = ++l->seq;
	wire_write_leave(link_invoke_begin(l));
	wire_write_end(l->out, l->leaving);
	l->ops->send(l);
}

void link_stop(struct link *l)
{
	bool was_open = l->state == LINK_OPEN;

	timer_pause(&l->timer);
	if (was_open) {
		wire_write_close(l->ops->begin(l));
		l->ops->send(l);
		l->ops->close(l);
		l->ops = NULL;
	}
	link_enter(l, LINK_STOPPED);
	drop_transport(l);
	if (was_open) {
		l->c->events.disconnected(l->c->events.arg);
	}
}
