/*
 * The role: its loops from beginning to end, and what it hands out.
 *
 * Who holds whom: struct relay holds one struct relay_loop for each loop, and the
 * authority; a relay_loop holds its tenants, requests and connections (see
 * tenant.h, request.h, hub.h) and a reference to the current epoch.
 */
#include "relay/authority.h"
#include "relay/client.h"
#include "relay/endpoint.h"
#include "relay/forwarded.h"
#include "relay/transport.h"

#include "base/log.h"
#include "base/mem.h"

#include <unistd.h>

#define AUDIENCE STR("relayserver")

enum { LOOPS_MAX = 256 };

/* -- dispatch ------------------------------------------------------------------------ */

static void dispatch_get(struct relay_loop *rl, struct exchange *x,
			 void (*fn)(struct relay_loop *rl, struct exchange *x))
{
	enum http_method m = exchange_request(x)->method;

	if (m == HTTP_GET || m == HTTP_HEAD) {
		fn(rl, x);
	} else {
		exchange_reply_allow(x, STR("GET, HEAD"));
	}
}

static void endpoint_check(struct relay_loop *rl, struct exchange *x)
{
	(void)rl;
	exchange_reply_text(x, 200, STR("text/plain"), STR("ok"));
}

/* Path and query as they came, without the authority of an absolute target. */
static struct str path_and_query(const struct http_request *q)
{
	const char *end = q->query.p ? q->query.p + q->query.n : q->path.p + q->path.n;

	return str_of(q->path.p, (size_t)(end - q->path.p));
}

void relay_dispatch(struct exchange *x, void *relay)
{
	struct relay_loop *rl = relay_loop_of(relay, exchange_loop(x));
	struct front front;

	if (front_parse(exchange_arena(x), path_and_query(exchange_request(x)), &front) != ERR_OK) {
		relay_count(rl, RELAY_REFUSED, 1);
		exchange_reply_status(x, 400);
		return;
	}
	switch (front.kind) {
	case FRONT_NONE:
		exchange_reply_status(x, 404);
		break;
	case FRONT_RELAY:
	case FRONT_QUEUE:
	case FRONT_TRACE:
		client_begin(rl, x, &front);
		break;
	case FRONT_DISCOVERY:
		dispatch_get(rl, x, endpoint_discovery);
		break;
	case FRONT_ACKNOWLEDGE:
		endpoint_acknowledge(rl, x, &front);
		break;
	case FRONT_BODY_REQUEST:
		endpoint_body_request(rl, x, &front.request);
		break;
	case FRONT_BODY_RESPONSE:
		endpoint_body_response(rl, x, &front.request);
		break;
	case FRONT_NEGOTIATE:
		endpoint_negotiate(rl, x);
		break;
	case FRONT_CONNECTOR:
		endpoint_connector(rl, x);
		break;
	case FRONT_HEALTH_READY:
		dispatch_get(rl, x, endpoint_ready);
		break;
	case FRONT_HEALTH_CHECK:
		dispatch_get(rl, x, endpoint_check);
		break;
	}
}

/* A gateway of this process has found out already whom it speaks for. */
const struct addr *relay_client_addr(struct exchange *x, void *relay)
{
	const struct relay_loop *rl = relay_loop_of(relay, exchange_loop(x));
	const struct addr *peer = exchange_peer(x);

	return exchange_is_in_process(x)
		       ? peer
		       : forwarded_client(exchange_arena(x), peer, rl->epoch->trusted,
					  exchange_headers(x));
}

/* -- between loops ---------------------------------------------------------------------- */

void relay_hop(struct relay_loop *to, struct msg *m)
{
	if (loop_current() == to->loop) {
		m->run(m, to->loop);
	} else {
		loop_post(to->loop, m);
	}
}

struct guid relay_request_id(const struct relay_loop *home)
{
	struct guid id = guid_new();

	id.b[15] = (uint8_t)home->index;
	return id;
}

struct relay_loop *relay_request_home(struct relay *r, const struct guid *id)
{
	return id->b[15] < r->n_loops ? &r->loops[id->b[15]] : NULL;
}

/* -- beginning ---------------------------------------------------------------------------- */

static void loop_init(struct relay_loop *rl, struct relay *r, unsigned i, struct relay_epoch *e)
{
	rl->relay = r;
	rl->loop = r->deps.loops->v[i];
	rl->index = i;
	rl->epoch = relay_epoch_ref(e);
	rl->validator = validator_new(AUDIENCE, VALIDATOR_SKEW_MS, 0);
	list_init(&rl->tenants_idle);
	list_init(&rl->all_conns);
	list_init(&rl->free_requests);
	arena_init(&rl->arena, 0);
	relay_event_log_init(&rl->events, rl->loop, r->deps.db_pool, r->deps.events,
			     &rl->counters[COUNT_EVENTS_DROPPED]);
}

static void on_start_authority(struct loop *l, void *arg)
{
	(void)l;
	authority_start(arg);
}

enum err relay_new(const struct relay_deps *deps, const struct relay_config_epoch *epoch,
		   struct relay **out, struct fault *f)
{
	struct relay_epoch *e;
	struct relay *r;
	enum err result;

	TRY(relay_epoch_new(epoch, &e, f));
	ASSERT(deps->connection_seen_ms > 0);
	ASSERT(deps->loops->n > 0 && deps->loops->n <= LOOPS_MAX);
	r = MEM_NEW(struct relay);
	r->deps = *deps;
	r->n_loops = deps->loops->n;
	r->loops = MEM_NEW_ARRAY(struct relay_loop, r->n_loops);
	guid_d(&deps->origin, r->origin_d);
	(void)gethostname(r->host_name, sizeof(r->host_name) - 1);
	for (unsigned i = 0; i < r->n_loops; i++) {
		loop_init(&r->loops[i], r, i, e);
	}
	struct str authority = e->config->authority;

	result = authority.n == 0 ? ERR_OK
				  : authority_new(&r->loops[0], authority, &r->authority, f);
	relay_epoch_unref(&e);
	if (result != ERR_OK) {
		relay_free(&r);
		return result;
	}
	if (r->authority) {
		loop_call(r->loops[0].loop, on_start_authority, r->authority);
	}
	*out = r;
	return ERR_OK;
}

/* -- news for all loops --------------------------------------------------------------------- */

struct news {
	struct msg msg;
	struct relay_loop *rl;
	struct relay_epoch *epoch;
	struct trust *trust;
};

static void news_free(struct msg *m)
{
	struct news *n = container_of(m, struct news, msg);

	relay_epoch_unref(&n->epoch);
	trust_unref(&n->trust);
	mem_free(n);
}

static void on_news(struct msg *m, struct loop *l)
{
	struct news *n = container_of(m, struct news, msg);
	struct relay_loop *rl = n->rl;

	(void)l;
	if (n->epoch) {
		relay_epoch_unref(&rl->epoch);
		rl->epoch = relay_epoch_ref(n->epoch);
	}
	if (n->trust) {
		trust_unref(&rl->trust);
		rl->trust = trust_ref(n->trust);
		validator_set_trust(rl->validator, n->trust);
		atomic_store(&rl->has_trust, true);
		discovery_unpark(rl);
	}
	news_free(m);
}

static void tell_all(struct relay *r, struct relay_epoch *e, struct trust *t)
{
	for (unsigned i = 0; i < r->n_loops; i++) {
		struct news *n = MEM_NEW(struct news);

		n->msg = (struct msg){.run = on_news, .drop = news_free};
		n->rl = &r->loops[i];
		n->epoch = e ? relay_epoch_ref(e) : NULL;
		n->trust = t ? trust_ref(t) : NULL;
		loop_post(n->rl->loop, &n->msg);
	}
}

enum err relay_reload(struct relay *r, const struct relay_config_epoch *epoch, struct fault *f)
{
	struct relay_epoch *e;

	TRY(relay_epoch_new(epoch, &e, f));
	tell_all(r, e, NULL);
	relay_epoch_unref(&e);
	return ERR_OK;
}

void relay_set_trust(struct relay *r, struct trust *t)
{
	tell_all(r, NULL, t);
}

/* -- news for one tenant --------------------------------------------------------------------- */

struct tenant_news {
	struct msg msg;
	struct relay_loop *home;
	struct str key; /* in the same allocation */
};

static void on_tenant_news_dropped(struct msg *m)
{
	mem_free(container_of(m, struct tenant_news, msg));
}

static void on_tenant_news(struct msg *m, struct loop *l)
{
	struct tenant_news *n = container_of(m, struct tenant_news, msg);
	struct tenant *t = tenant_peek(n->home, n->key);

	(void)l;
	if (t) {
		tenant_changed(t);
	}
	mem_free(n);
}

void relay_tenant_changed(struct relay *r, struct str normalized)
{
	struct tenant_news *n = mem_alloc(sizeof(*n) + normalized.n);

	n->msg = (struct msg){.run = on_tenant_news, .drop = on_tenant_news_dropped};
	n->home = relay_home(r, normalized);
	memcpy(n + 1, normalized.p, normalized.n);
	n->key = str_of(n + 1, normalized.n);
	loop_post(n->home->loop, &n->msg);
}

/* -- the end ------------------------------------------------------------------------------------
 */

/* Connectors without work leave; the others when they have none left: tenant_release. */
static void close_idle_conns(struct relay_loop *rl)
{
	LIST_EACH (&rl->all_conns, n) {
		struct hub_conn *c = container_of(n, struct hub_conn, all);

		if (!hub_is_working(c)) {
			hub_close(c, HUB_COME_BACK);
		}
	}
}

/* Requests that nobody waits for and no connector has: they would only hold us up. */
static void drop_waiting(struct relay_loop *rl)
{
	struct map_entry e;
	size_t pos = 0, dropped = 0;

	while (map_next(&rl->requests, &pos, &e)) {
		const struct relay_request *r = e.value;

		if (r->is_discard && r->state == REQUEST_QUEUED) {
			request_fail(e.value, REQUEST_FAILED, 503, RELAY_FAILED);
			dropped++;
		} else {
			request_drain(e.value);
		}
	}
	if (dropped > 0) {
		log_warn("relay", "waiting /queue requests are lost", LOG_INT("requests", dropped));
	}
}

static void on_drain(struct loop *l, void *arg)
{
	struct relay_loop *rl = relay_loop_of(arg, l);

	rl->draining = true;
	drop_waiting(rl);
	close_idle_conns(rl);
}

void relay_drain(struct relay *r)
{
	atomic_store(&r->draining, true);
	for (unsigned i = 0; i < r->n_loops; i++) {
		loop_call(r->loops[i].loop, on_drain, r);
	}
}

static void fail_all_requests(struct relay_loop *rl)
{
	struct map_entry e;
	size_t pos = 0;

	while (map_next(&rl->requests, &pos, &e)) {
		request_fail(e.value, REQUEST_FAILED, 503, RELAY_FAILED);
		pos = 0; /* an end may bring others about */
	}
	map_free(&rl->requests);
}

static void on_stop(struct loop *l, void *arg)
{
	struct relay_loop *rl = relay_loop_of(arg, l);

	rl->draining = true;
	if (rl->relay->authority && rl->index == 0) {
		authority_stop(rl->relay->authority);
	}
	discovery_unpark(rl);
	timer_stop(rl->loop, &rl->parked_timer);
	tenants_wake_all(rl);
	while (!list_is_empty(&rl->all_conns)) {
		hub_close(container_of(list_first(&rl->all_conns), struct hub_conn, all),
			  HUB_COME_BACK);
	}
	fail_all_requests(rl);
	relay_event_log_close(&rl->events);
	rl->stopped = true;
	polls_free(rl);
	requests_free(rl);
}

void relay_stop(struct relay *r)
{
	relay_drain(r);
	for (unsigned i = 0; i < r->n_loops; i++) {
		loop_call(r->loops[i].loop, on_stop, r);
	}
}

static void loop_fini(struct relay_loop *rl)
{
	tenants_free(rl);
	map_free(&rl->requests);
	map_free(&rl->conns);
	map_free(&rl->polls);
	arena_fini(&rl->arena);
	buf_free(&rl->scratch);
	validator_free(&rl->validator);
	trust_unref(&rl->trust);
	relay_epoch_unref(&rl->epoch);
}

void relay_free(struct relay **r)
{
	struct relay *it = *r;

	if (!it) {
		return;
	}
	for (unsigned i = 0; i < it->n_loops; i++) {
		loop_fini(&it->loops[i]);
	}
	authority_free(&it->authority);
	mem_free(it->loops);
	mem_free(it);
	*r = NULL;
}

bool relay_ready(const struct relay *r)
{
	bool ready = !atomic_load(&r->draining);

	for (unsigned i = 0; i < r->n_loops; i++) {
		ready = ready && atomic_load(&r->loops[i].has_trust);
	}
	return ready;
}
