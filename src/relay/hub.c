/* Life of a connector's connection: see the diagram in hub.h. Its records: hub_msg.c. */
#include "relay/hub.h"

#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

enum { ARENA_KEPT = 16384 };

static const uint8_t next_states[HUB_STATES] = {
	[HUB_WAITING] = 1u << HUB_HANDSHAKE | 1u << HUB_CLOSED,
	[HUB_HANDSHAKE] = 1u << HUB_JOINING | 1u << HUB_CLOSED,
	[HUB_JOINING] = 1u << HUB_OPEN | 1u << HUB_CLOSED,
	[HUB_OPEN] = 1u << HUB_CLOSED,
};

static void enter(struct hub_conn *c, enum hub_state to)
{
	static const char *const names[HUB_STATES] = {"waiting", "handshake", "joining", "open",
						      "closed"};

	ASSERT(next_states[c->state] & 1u << to);
	log_debug("relay", "connection", LOG_STR("id", str_of(c->id, sizeof(c->id))),
		  LOG_STR("tenant", c->visitor.tenant_key), LOG_CSTR("from", names[c->state]),
		  LOG_CSTR("to", names[to]));
	c->state = to;
}

/* -- names ------------------------------------------------------------------------ */

static void random_name(char out[HUB_TOKEN_LEN], uint8_t last)
{
	uint8_t raw[16];
	struct buf b = {0};

	rand_bytes(raw, sizeof(raw));
	raw[15] = last;
	base64url_encode(&b, str_of(raw, sizeof(raw)));
	ASSERT(b.n == HUB_TOKEN_LEN);
	memcpy(out, buf_head(&b), HUB_TOKEN_LEN);
	buf_free(&b);
}

struct str hub_token(const struct hub_conn *c)
{
	return str_of(c->token, sizeof(c->token));
}

struct hub_conn *hub_find(struct relay_loop *rl, struct str token)
{
	return map_get(&rl->conns, token);
}

/* -- timer -------------------------------------------------------------------------- */

static void on_timer(struct timer *t);

static void arm(struct hub_conn *c, uint64_t delay_ms)
{
	timer_start(c->rl->loop, &c->timer, delay_ms, on_timer);
}

static int64_t keep_alive_of(const struct hub_conn *c)
{
	const struct opt_i64 *own = &c->tenant->info.keep_alive_interval_ms;
	int64_t all = c->rl->epoch->config->keep_alive_interval_ms;

	return own->has && own->v > 0 ? own->v : all;
}

/*
 * Every known client pings right after the handshake. One that never did may be
 * different, or its first ping was lost on a link that only looks alive: it gets twice the time.
 */
static uint64_t silence_end_ms(const struct hub_conn *c)
{
	return c->last_heard_ms + (c->peer_pings ? 2 : 4) * (uint64_t)c->keep_alive_ms;
}

static void arm_next(struct hub_conn *c, uint64_t now)
{
	uint64_t due = c->next_seen_ms;

	if (c->transport->pings) {
		due = MIN(due, MIN(c->next_ping_ms, silence_end_ms(c)));
	}
	arm(c, due > now ? due - now : 1);
}

static void send_ping(struct hub_conn *c)
{
	buf_puts(c->transport->begin(c), "{\"type\":6}\x1e");
	hub_say(c);
}

static void keep_alive(struct hub_conn *c, uint64_t now)
{
	if (now >= silence_end_ms(c)) {
		log_info("relay", "connector is silent, dropped",
			 LOG_STR("tenant", c->visitor.tenant_key));
		hub_close(c, HUB_SILENT);
		return;
	}
	if (now >= c->next_ping_ms) {
		c->next_ping_ms = now + (uint64_t)c->keep_alive_ms;
		tenant_refresh(c->tenant);
		send_ping(c);
	}
}

static void put_event(struct hub_conn *c, enum relay_event_kind kind)
{
	relay_event_put(&c->rl->events,
			&(struct relay_event){.kind = kind,
					      .wall_ms = clock_wall_ms(),
					      .tenant = c->visitor.tenant_key,
					      .connection_id = str_of(c->id, sizeof(c->id)),
					      .remote_ip = c->visitor.remote_ip});
}

/* Quiet or not: statistics close what is not seen for long. */
static void tell_seen(struct hub_conn *c, uint64_t now)
{
	if (now >= c->next_seen_ms) {
		c->next_seen_ms = now + (uint64_t)c->rl->relay->deps.connection_seen_ms;
		if (c->state == HUB_OPEN) {
			put_event(c, RELAY_EVENT_SEEN);
		}
	}
}

static void on_due(struct hub_conn *c)
{
	uint64_t now = loop_now_ms(c->rl->loop);

	if (c->transport->pings) {
		keep_alive(c, now);
	}
	if (c->state != HUB_CLOSED) {
		tell_seen(c, now);
		arm_next(c, now);
	}
}

static void start_keep_alive(struct hub_conn *c)
{
	uint64_t now = loop_now_ms(c->rl->loop);

	c->keep_alive_ms = keep_alive_of(c);
	c->next_ping_ms = now + (uint64_t)c->keep_alive_ms;
	arm_next(c, now);
}

static void refuse_handshake(struct hub_conn *c, const char *error)
{
	struct json_writer w = json_writer_to(c->transport->begin(c));

	json_begin_object(&w);
	json_key(&w, STR("error"));
	json_put_str(&w, str_c(error));
	json_end_object(&w);
	buf_putc(w.out, RECORDS_END);
	c->transport->send(c);
	hub_close(c, HUB_SILENT);
}

static void on_timer(struct timer *t)
{
	struct hub_conn *c = container_of(t, struct hub_conn, timer);

	switch (c->state) {
	case HUB_WAITING:
		hub_close(c, HUB_SILENT);
		break;
	case HUB_HANDSHAKE:
		refuse_handshake(c, "Handshake was canceled.");
		break;
	case HUB_JOINING:
	case HUB_OPEN:
		on_due(c);
		break;
	case HUB_CLOSED:
	case HUB_STATES:
		break;
	}
}

/* -- beginning ------------------------------------------------------------------------ */

struct hub_conn *hub_new(struct relay_loop *rl, const struct hub_visitor *v)
{
	struct hub_conn *c = MEM_NEW(struct hub_conn);
	struct arena *a = &c->arena;

	arena_init(a, 0);
	c->rl = rl;
	c->visitor = (struct hub_visitor){
		str_dup(a, v->tenant_key), str_dup(a, v->client_id), str_dup(a, v->client_name),
		str_dup(a, v->client_description), str_dup(a, v->remote_ip)};
	random_name(c->id, (uint8_t)rl->index);
	random_name(c->token, (uint8_t)rl->index);
	list_init(&c->in_flight);
	records_init(&c->records, (size_t)rl->epoch->config->message_max);
	c->tenant = tenant_get(rl, c->visitor.tenant_key);
	tenant_use(c->tenant);
	(void)map_set(&rl->conns, hub_token(c), c);
	list_push(&rl->all_conns, &c->all);
	arm(c, HUB_ATTACH_MS);
	return c;
}

void hub_attach(struct hub_conn *c, const struct transport_ops *t, void *link)
{
	c->transport = t;
	c->link = link;
	c->last_heard_ms = loop_now_ms(c->rl->loop);
	enter(c, HUB_HANDSHAKE);
	arm(c, (uint64_t)c->rl->epoch->config->handshake_timeout_ms);
}

static void on_joined(struct tenant_waiter *w, struct tenant *t)
{
	struct hub_conn *c = container_of(w, struct hub_conn, waiter);

	if (c->rl->draining) {
		hub_close(c, HUB_COME_BACK);
		return;
	}
	if (!tenant_exists(t)) {
		log_info("relay", "connector of unknown tenant dropped",
			 LOG_STR("tenant", c->visitor.tenant_key));
		hub_close(c, HUB_SILENT);
		return;
	}
	c->limit = t->info.max_concurrent <= 65535 ? t->info.max_concurrent : 0;
	enter(c, HUB_OPEN);
	log_info("relay", "connector connected", LOG_STR("tenant", t->info.name),
		 LOG_STR("from", c->visitor.remote_ip));
	put_event(c, RELAY_EVENT_CONNECTED);
	start_keep_alive(c);
	hub_configure(c);
	tenant_add_conn(t, c);
	tenant_pump(t);
}

/* Those that came together do not all write at once for ever. */
static uint64_t first_seen_ms(const struct hub_conn *c)
{
	int64_t every = c->rl->relay->deps.connection_seen_ms;

	return loop_now_ms(c->rl->loop) + 1 + rand_below((uint32_t)MIN(every, UINT32_MAX));
}

static void join(struct hub_conn *c)
{
	buf_puts(c->transport->begin(c), "{}\x1e");
	c->transport->send(c);
	enter(c, HUB_JOINING);
	c->next_seen_ms = first_seen_ms(c);
	start_keep_alive(c);
	c->waiter.fn = on_joined;
	if (c->rl->epoch->config->enable_automatic_tenant_creation) {
		struct tenant_visit v = {c->visitor.client_id, c->visitor.client_name,
					 c->visitor.client_description};

		tenant_visit(c->tenant, &v, &c->waiter);
	} else {
		tenant_wait(c->tenant, &c->waiter);
	}
}

static void on_handshake(struct hub_conn *c, struct str record)
{
	const char *error = NULL;

	if (hub_check_handshake(&c->rl->arena, record, &error) != ERR_OK) {
		error = "An error occurred while parsing the handshake request.";
	}
	if (error) {
		refuse_handshake(c, error);
	} else {
		join(c);
	}
}

/* -- talking ---------------------------------------------------------------------------- */

void hub_heard(struct hub_conn *c)
{
	c->last_heard_ms = loop_now_ms(c->rl->loop);
}

void hub_feed(struct hub_conn *c, struct str data)
{
	struct str record;
	enum err e = ERR_OK;

	hub_heard(c);
	records_feed(&c->records, data);
	while (c->state != HUB_CLOSED && (e = records_next(&c->records, &record)) == ERR_OK) {
		arena_rewind(&c->rl->arena, ARENA_KEPT);
		if (c->state == HUB_HANDSHAKE) {
			on_handshake(c, record);
		} else if (hub_handle_record(c, record) != ERR_OK) {
			hub_close(c, HUB_BROKEN);
		}
	}
	if (e == ERR_LIMIT && c->state != HUB_CLOSED) {
		hub_close(c, HUB_BROKEN);
	}
}

void hub_drained(struct hub_conn *c)
{
	if (c->state == HUB_OPEN) {
		tenant_settle_conn(c->tenant, c);
	}
}

bool hub_is_working(const struct hub_conn *c)
{
	return c->state == HUB_OPEN && (c->n_in_flight > 0 || c->tenant->n_loose > 0);
}

bool hub_can_take(const struct hub_conn *c)
{
	return c->state == HUB_OPEN && !c->is_leaving && (c->limit == 0 || c->counted < c->limit) &&
	       (!c->transport->is_there || c->transport->is_there(c)) &&
	       c->transport->pending(c) < HUB_BACKLOG_MAX;
}

enum err hub_send_request(struct hub_conn *c, struct relay_request *r)
{
	if (!hub_can_take(c)) {
		return ERR_UNAVAILABLE;
	}
	hub_write_request(c, r, c->transport->begin(c));
	c->transport->send(c);
	r->conn_seq = ++c->n_sent;
	c->n_delivered = c->n_sent;
	return ERR_OK;
}

static bool same_config(const struct tenant_info *a, const struct tenant_info *b)
{
	return a->has_config == b->has_config &&
	       a->keep_alive_interval_ms.has == b->keep_alive_interval_ms.has &&
	       a->keep_alive_interval_ms.v == b->keep_alive_interval_ms.v &&
	       a->enable_tracing.has == b->enable_tracing.has &&
	       a->enable_tracing.v == b->enable_tracing.v &&
	       a->reconnect_minimum_delay_ms.has == b->reconnect_minimum_delay_ms.has &&
	       a->reconnect_minimum_delay_ms.v == b->reconnect_minimum_delay_ms.v &&
	       a->reconnect_maximum_delay_ms.has == b->reconnect_maximum_delay_ms.has &&
	       a->reconnect_maximum_delay_ms.v == b->reconnect_maximum_delay_ms.v;
}

void hub_configure(struct hub_conn *c)
{
	const struct tenant_info *info = &c->tenant->info;

	if (c->state != HUB_OPEN || same_config(&c->configured, info)) {
		return;
	}
	c->configured = *info;
	c->configured.name = STR_NULL; /* dies with the facts */
	if (info->has_config) {
		hub_write_configure(c, c->transport->begin(c));
		c->transport->send(c);
	}
	start_keep_alive(c);
}

/* -- the end ------------------------------------------------------------------------------ */

static void conn_free(struct grave *g)
{
	struct hub_conn *c = container_of(g, struct hub_conn, grave);

	records_fini(&c->records);
	arena_fini(&c->arena);
	mem_free(c);
}

static void lose_requests(struct hub_conn *c)
{
	/* Backwards: each goes to the front of the queue, so their order stays. */
	while (!list_is_empty(&c->in_flight)) {
		request_conn_lost(container_of(c->in_flight.head.prev, struct relay_request, node));
	}
}

void hub_lost(struct hub_conn *c)
{
	struct tenant *t = c->tenant;
	bool was_open = c->state == HUB_OPEN;

	if (c->state == HUB_CLOSED) {
		return;
	}
	enter(c, HUB_CLOSED);
	c->transport = NULL;
	timer_stop(c->rl->loop, &c->timer);
	list_remove(&c->waiter.node);
	list_remove(&c->all);
	(void)map_remove(&c->rl->conns, hub_token(c));
	if (was_open) {
		put_event(c, RELAY_EVENT_DISCONNECTED);
		tenant_remove_conn(t, c);
		lose_requests(c);
		tenant_pump(t);
	}
	c->tenant = NULL;
	tenant_unuse(t);
	loop_bury(c->rl->loop, &c->grave, conn_free);
}

static const char *goodbye_record(enum hub_goodbye how)
{
	switch (how) {
	case HUB_SILENT:
		break;
	case HUB_COME_BACK:
		return "{\"type\":7,\"allowReconnect\":true}\x1e";
	case HUB_BROKEN:
		return "{\"type\":7,\"error\":\"Connection closed with an error.\"}\x1e";
	}
	return "";
}

void hub_say(struct hub_conn *c)
{
	const struct transport_ops *t = c->transport;

	t->send(c);
	if (t->pending(c) <= HUB_UNREAD_MAX) {
		return;
	}
	log_warn("relay", "connector does not read, dropped",
		 LOG_STR("tenant", c->visitor.tenant_key));
	c->transport = NULL;
	t->drop(c);
	hub_lost(c);
}

void hub_close(struct hub_conn *c, enum hub_goodbye how)
{
	const struct transport_ops *t = c->transport;
	struct str record = str_c(goodbye_record(how));

	if (c->state == HUB_CLOSED) {
		return;
	}
	if (t) {
		if (record.n > 0 && c->state != HUB_HANDSHAKE) {
			buf_put(t->begin(c), record);
			t->send(c);
		}
		c->transport = NULL;
		t->close(c);
	}
	hub_lost(c);
}
