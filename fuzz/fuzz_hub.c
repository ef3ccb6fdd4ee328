/*
 * The hub protocol from a hostile connector: handshake, records, Deliver and
 * Acknowledge for a request that is under way (id 6f1c0000-…-0001). The first byte
 * of the input says where the rest is cut into two messages.
 */
#include "base/log.h"
#include "relay/hub.h"
#include "relay/request.h"
#include "relay/transport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct buf *on_begin(struct hub_conn *c)
{
	return c->link;
}

static void on_send(struct hub_conn *c)
{
	struct buf *b = c->link;

	/* What we say is whole records. */
	ASSERT(b->n > 0 && buf_head(b)[b->n - 1] == RECORDS_END);
	buf_clear(b);
}

static size_t on_pending(const struct hub_conn *c)
{
	return ((const struct buf *)c->link)->n;
}

static void on_close(struct hub_conn *c)
{
	(void)c;
}

static const struct transport_ops ops = {
	.kind = TRANSPORT_WS,
	.pings = true,
	.begin = on_begin,
	.send = on_send,
	.pending = on_pending,
	.close = on_close,
	.drop = on_close,
};

/* No facts are ever asked for: the tenant is made known below. */
static const struct tenant_store_ops no_store;

static struct relay *make_relay(struct loops *loops, const struct relay_config *config,
				struct blob_store *bodies)
{
	struct relay_deps deps = {.loops = loops,
				  .tenants = &no_store,
				  .bodies = bodies,
				  .connection_seen_ms = 60000};
	struct relay *r;

	ASSERT(relay_new(&deps, &(struct relay_config_epoch){.config = config}, &r, NULL) ==
	       ERR_OK);
	return r;
}

static struct hub_conn *connector(struct relay_loop *rl, struct buf *said)
{
	struct hub_visitor v = {.tenant_key = STR("T"), .client_id = STR("T")};
	struct hub_conn *c = hub_new(rl, &v);

	c->tenant->facts = TENANT_KNOWN;
	c->tenant->info = (struct tenant_info){.found = true, .name = STR("T")};
	c->tenant->fresh_until_ms = UINT64_MAX;
	hub_attach(c, &ops, said);
	return c;
}

static void add_request(struct relay_loop *rl)
{
	struct relay_request *r = request_new(rl);

	r->arena = &rl->arena;
	r->tenant_key = STR("T");
	ASSERT(guid_parse(STR("6f1c0000000000000000000000000001"), &r->id) == ERR_OK);
	request_own(r);
	request_enter(r, REQUEST_COLLECTING);
	request_arrive(r);
}

static void feed(struct relay_loop *rl, struct hub_conn *c, struct str part)
{
	struct str token = hub_token(c);

	/* Closed connections are buried, not freed, while the loop does not run. */
	if (hub_find(rl, token) == c && part.n > 0) {
		hub_feed(c, part);
	}
}

static void talk(struct relay_loop *rl, struct str in)
{
	struct buf said = {0};
	struct hub_conn *c = connector(rl, &said);
	size_t cut = in.n > 0 ? (uint8_t)in.p[0] : 0;

	in = str_skip(in, 1);
	add_request(rl);
	feed(rl, c, STR("{\"protocol\":\"json\",\"version\":1}\x1e"));
	feed(rl, c, str_slice(in, 0, cut));
	feed(rl, c, str_skip(in, cut));
	hub_close(c, HUB_COME_BACK);
	buf_free(&said);
}

static void end_requests(struct relay_loop *rl)
{
	struct map_entry e;
	size_t pos = 0;

	while (map_next(&rl->requests, &pos, &e)) {
		request_abort(e.value);
		pos = 0;
	}
	requests_free(rl);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct loop *loop = loop_new(0);
	struct loops loops = {.v = &loop, .n = 1};
	struct blob_store *bodies;
	struct relay_config config;
	struct arena a;

	arena_init(&a, 0);
	ASSERT(conf_apply(&a, &relay_conf, NULL, &config, NULL) == ERR_OK);
	ASSERT(blob_store_open(&(struct blob_config){.url = STR("memory")}, &bodies, NULL) ==
	       ERR_OK);
	struct relay *r = make_relay(&loops, &config, bodies);

	log_set_level(LOG_OFF);
	talk(&r->loops[0], str_of(data, n));
	end_requests(&r->loops[0]);
	ASSERT(r->loops[0].conns.n == 0);
	r->loops[0].stopped = true;
	loop_free(&loop);
	relay_free(&r);
	blob_store_close(&bodies);
	arena_fini(&a);
	return 0;
}
