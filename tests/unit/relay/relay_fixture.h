/*
 * relay_fixture - a relay of one loop, run by the test itself, with tenants from a table
 *
 * Connections use a transport that only remembers: what the hub says is in
 * `said` of each link, records separated by line ends instead of 0x1E.
 */
#pragma once
#include "loop_gate.h"

#include "base/mem.h"
#include "relay/hub.h"

struct fake_tenant {
	const char *key;
	struct tenant_info info;
};

struct fake_link {
	struct buf said;
	struct hub_conn *conn;
	size_t pending;
	bool closed; /* by the hub */
};

#define LINKS_MAX 16

struct relay_fixture {
	struct fake_link *links[LINKS_MAX];
	size_t n_links;
	struct loop_gate gate;
	struct loop *loop; /* gate.loop */
	struct pool *pool;
	struct blob_store *bodies;
	struct relay_config config;
	struct arena arena;
	struct relay *relay;
	struct relay_loop *rl;
};

static struct fake_tenant fake_tenants[] = {
	{"T1", {.found = true, .name = STR_INIT("t1")}},
	{"LIMITED", {.found = true, .name = STR_INIT("Limited"), .max_concurrent = 1}},
	{"CONFIGURED",
	 {.found = true,
	  .name = STR_INIT("Configured"),
	  .has_config = true,
	  .keep_alive_interval_ms = {true, 20000},
	  .enable_tracing = {true, true}}},
	{"CLOSED", {.found = true, .name = STR_INIT("Closed"), .require_authentication = true}},
};
static enum err fake_result;
static struct str fake_created; /* of the last visit; in static memory */

static enum err fake_load(void *worker, struct str normalized, const struct tenant_visit *visit,
			  struct arena *a, struct tenant_info *out)
{
	(void)worker;
	(void)a;
	*out = (struct tenant_info){0};
	for (size_t i = 0; i < ARRAY_LEN(fake_tenants); i++) {
		if (str_eq(normalized, str_c(fake_tenants[i].key))) {
			*out = fake_tenants[i].info;
		}
	}
	if (!out->found && visit) {
		fake_created = STR("new");
		*out = (struct tenant_info){.found = true, .name = STR("new")};
	}
	return fake_result;
}

static const struct tenant_store_ops fake_ops = {fake_load};

/* Turns until `done` says so. */
static inline void run_until(struct relay_fixture *x, bool (*done)(void *arg), void *arg)
{
	gate_until(&x->gate, done, arg);
}

static bool is_quiet(void *arg)
{
	struct relay_fixture *x = arg;
	struct pool_stats s;
	struct map_entry e;

	pool_stats(x->pool, &s);
	for (size_t pos = 0; map_next(&x->rl->tenants, &pos, &e);) {
		struct tenant *t = e.value;

		if (t->loading || !list_is_empty(&t->asking) || !list_is_empty(&t->visiting)) {
			return false;
		}
	}
	return s.busy == 0 && s.queued == 0;
}

/* Until the database was asked and everybody heard the answer. */
static inline void settle(struct relay_fixture *x)
{
	run_until(x, is_quiet, x);
}

/* -- the fixture ---------------------------------------------------------------------------- */

static inline int relay_setup(void **state)
{
	struct relay_fixture *x = MEM_NEW(struct relay_fixture);
	struct fault f = {0};

	fake_result = ERR_OK;
	fake_created = STR_NULL;
	arena_init(&x->arena, 0);
	assert_ok(conf_apply(&x->arena, &relay_conf, NULL, &x->config, &f));
	gate_start(&x->gate);
	x->loop = x->gate.loop;
	x->pool = pool_new("test", 1, 100, NULL);
	assert_ok(blob_store_open(&(struct blob_config){.url = STR("memory")}, &x->bodies, &f));
	struct relay_deps deps = {.loops = &x->gate.loops,
				  .db_pool = x->pool,
				  .tenants = &fake_ops,
				  .bodies = x->bodies,
				  .origin = guid_new(),
				  .connection_seen_ms = 60000};

	assert_ok(relay_new(&deps, &(struct relay_config_epoch){.config = &x->config}, &x->relay,
			    &f));
	x->rl = &x->relay->loops[0];
	*state = x;
	return 0;
}

static inline int relay_teardown(void **state)
{
	struct relay_fixture *x = *state;

	gate_open(&x->gate, NULL, NULL);
	relay_stop(x->relay);
	pool_free(&x->pool);
	loops_join(&x->gate.loops);
	loops_free(&x->gate.loops);
	relay_free(&x->relay);
	blob_store_close(&x->bodies);
	arena_fini(&x->arena);
	for (size_t i = 0; i < x->n_links; i++) {
		buf_free(&x->links[i]->said);
		mem_free(x->links[i]);
	}
	mem_free(x);
	return 0;
}

/* -- connections ------------------------------------------------------------------------------ */

static struct buf *fake_begin(struct hub_conn *c)
{
	return &((struct fake_link *)c->link)->said;
}

static void fake_send(struct hub_conn *c)
{
	struct buf *b = &((struct fake_link *)c->link)->said;
	char *p = buf_head(b);

	for (size_t i = 0; i < b->n; i++) {
		p[i] = p[i] == RECORDS_END ? '\n' : p[i];
	}
}

static size_t fake_pending(const struct hub_conn *c)
{
	return ((const struct fake_link *)c->link)->pending;
}

static void fake_close(struct hub_conn *c)
{
	((struct fake_link *)c->link)->closed = true;
}

static const struct transport_ops fake_transport = {
	.kind = TRANSPORT_WS,
	.pings = true,
	.begin = fake_begin,
	.send = fake_send,
	.pending = fake_pending,
	.close = fake_close,
	.drop = fake_close,
};

static inline void say(struct fake_link *l, const char *records)
{
	struct buf b = {0};

	for (const char *p = records; *p; p++) {
		buf_putc(&b, *p == '\n' ? RECORDS_END : *p);
	}
	hub_feed(l->conn, buf_str(&b));
	buf_free(&b);
}

static inline struct fake_link *attach(struct relay_fixture *x, const char *tenant)
{
	struct fake_link *l = MEM_NEW(struct fake_link);
	struct hub_visitor v = {.tenant_key = str_c(tenant),
				.client_id = str_c(tenant),
				.remote_ip = STR("127.0.0.1")};

	assert_true(x->n_links < LINKS_MAX);
	x->links[x->n_links++] = l;
	l->conn = hub_new(x->rl, &v);
	hub_attach(l->conn, &fake_transport, l);
	return l;
}

/* Attached, through the handshake, registered. */
static inline struct fake_link *connect_to(struct relay_fixture *x, const char *tenant)
{
	struct fake_link *l = attach(x, tenant);

	say(l, "{\"protocol\":\"json\",\"version\":1}\n");
	settle(x);
	return l;
}

/* relay_drain waits for the loop, which stands at the gate. */
static inline void drain(struct relay_fixture *x)
{
	gate_open(&x->gate, NULL, NULL);
	relay_drain(x->relay);
	loop_post(x->loop, &x->gate.msg);
	gate_wait(&x->gate);
}

static inline struct str said(const struct fake_link *l)
{
	return buf_str(&l->said);
}

static inline void unsay(struct fake_link *l)
{
	buf_clear(&l->said);
}
