/* The role: what loops share, how a new epoch reaches them, start and end. */
#include "gateway/gateway.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/admin.h"
#include "gateway/call_int.h"
#include "gateway/certificates.h"
#include "net/dns_cache.h"

#include <malloc.h>
#include <unistd.h>

/* ---- configuration ---- */

static enum err parse_trusted(struct gateway *g, struct fault *f)
{
	const struct conf_strs *v = &g->config->trusted_ips;

	g->trusted = MEM_NEW_ARRAY(struct addr_net, v->n + 1);
	for (size_t i = 0; i < v->n; i++) {
		if (str_eq(v->v[i], STR("unix:"))) {
			continue; /* Kong's word for peers of UNIX sockets, which we have not */
		}
		if (addr_net_parse(v->v[i], &g->trusted[g->n_trusted++]) != ERR_OK) {
			return fault_set(f, ERR_INVALID,
					 "gateway.trusted_ips: '%.*s' is not a network",
					 STR_ARG(v->v[i]));
		}
	}
	return ERR_OK;
}

static enum err parse_tell(struct gateway *g, struct fault *f)
{
	static const struct {
		const char *name;
		unsigned flags;
	} names[] = {
		{"server_tokens", GW_TELL_SERVER},
		{"latency_tokens", GW_TELL_LATENCY},
		{"x-kong-request-id", GW_TELL_REQUEST_ID},
		{"x-kong-upstream-status", GW_TELL_UPSTREAM_STATUS},
		{"off", 0},
	};
	const struct conf_strs *v = &g->config->headers;

	for (size_t i = 0; i < v->n; i++) {
		size_t k = 0;

		while (k < ARRAY_LEN(names) && !str_eq_nocase(v->v[i], str_c(names[k].name))) {
			k++;
		}
		if (k == ARRAY_LEN(names)) {
			return fault_set(f, ERR_INVALID,
					 "gateway.headers: '%.*s' is none of server_tokens, "
					 "latency_tokens, X-Kong-Request-Id, "
					 "X-Kong-Upstream-Status, off",
					 STR_ARG(v->v[i]));
		}
		g->tell |= names[k].flags;
	}
	return ERR_OK;
}

static enum err parse_config(struct gateway *g, struct fault *f)
{
	TRY(gateway_dns_options(&g->texts, g->config, &g->dns, f));
	TRY(parse_trusted(g, f));
	TRY(parse_tell(g, f));
	TRY(gateway_role_tls_new(g->config, &g->role_tls, f));
	return gateway_role_urls_read(&g->texts, g->config, &g->role_urls, f);
}

/* ---- loops ---- */

/* Then the loop's resolver stays as it is: configuring it forgets what others asked. */
static bool has_default_names(const struct dns_options *o)
{
	const struct dns_options *d = &dns_options_default;

	return o->servers.n == 0 && str_eq(o->hosts_file, d->hosts_file) &&
	       o->n_order == d->n_order && memcmp(o->order, d->order, sizeof(o->order)) == 0 &&
	       o->valid_ttl_ms == d->valid_ttl_ms && o->stale_ttl_ms == d->stale_ttl_ms &&
	       o->not_found_ttl_ms == d->not_found_ttl_ms && o->error_ttl_ms == d->error_ttl_ms &&
	       o->cache_max == d->cache_max;
}

static void start_loop(struct loop *l, void *arg)
{
	struct gw_loop *gl = arg;
	struct http_client_options o = http_client_options_default;

	o.idle_timeout_ms = (uint32_t)gl->gateway->config->keepalive_idle_ms;
	o.pool_per_origin = (uint32_t)gl->gateway->config->keepalive_pool_size;
	o.proxy_from_env = false;
	gl->loop = l;
	list_init(&gl->calls);
	list_init(&gl->tunnels);
	gl->client = http_client_new(l, &o);
	if (gl->gateway->dns_result == ERR_OK && !has_default_names(&gl->gateway->dns)) {
		gl->gateway->dns_result = dns_configure(l, &gl->gateway->dns);
	}
}

static void on_each_loop(struct gateway *g, void (*fn)(struct loop *l, void *arg))
{
	for (unsigned i = 0; g->per_loop && i < g->deps.loops->n; i++) {
		loop_call(g->deps.loops->v[i], fn, &g->per_loop[i]);
	}
}

static void take_epoch(struct loop *l, void *arg)
{
	struct gw_loop *gl = arg;

	(void)l;
	gw_loop_take_epoch(gl, gl->gateway->epoch);
}

void gateway_changes(void *arg, const struct entity_change *v, size_t n, bool all)
{
	struct gateway *g = arg;
	struct epoch *old = g->epoch;

	g->epoch = builder_apply(g->builder, v, n, all);
	on_each_loop(g, take_epoch);
	epoch_unref(&old);
}

/* ---- life ---- */

/* Without anything that runs. */
static enum err configure(const struct gateway_config *config, struct gateway **out,
			  struct fault *f)
{
	struct gateway *g = MEM_NEW(struct gateway);
	enum err e;

	g->config = config;
	arena_init(&g->texts, 0);
	e = parse_config(g, f);
	if (e != ERR_OK) {
		gateway_free(&g);
		return e;
	}
	*out = g;
	return ERR_OK;
}

enum err gateway_check(const struct gateway_config *config, struct fault *f)
{
	struct gateway *g;

	TRY(configure(config, &g, f));
	gateway_free(&g);
	return ERR_OK;
}

enum err gateway_new(const struct gateway_deps *deps, struct gateway **out, struct fault *f)
{
	struct gateway *g;
	struct tls_cert *dflt = NULL;
	enum err e;

	TRY(configure(deps->config, &g, f));
	g->deps = *deps;
	e = certificates_default(&dflt, f);
	if (e != ERR_OK) {
		gateway_free(&g);
		return e;
	}
	g->node_id = guid_new();
	g->builder =
		builder_new(&(struct plugin_host){.loops = deps->loops, .slow = deps->slow}, dflt);
	tls_cert_unref(&dflt);
	g->per_loop = MEM_NEW_ARRAY(struct gw_loop, deps->loops->n);
	body_budget_init(&g->bodies,
			 (size_t)MAX(g->config->body_memory_total, g->config->body_memory_max),
			 deps->loops->n);
	for (unsigned i = 0; i < deps->loops->n; i++) {
		g->per_loop[i].gateway = g;
		g->per_loop[i].bodies.of = &g->bodies;
	}
	on_each_loop(g, start_loop);
	if (g->dns_result != ERR_OK) {
		gateway_stop(g);
		gateway_joined(g);
		gateway_free(&g);
		return fault_set(f, ERR_INVALID, "gateway.dns_resolver: the resolver refuses it");
	}
	gateway_changes(g, NULL, 0, true);
	*out = g;
	return ERR_OK;
}

const struct tls_cert *gateway_pick_certificate(void *arg, struct str sni, bool or_default)
{
	const struct gateway *g = arg;
	const struct gw_loop *gl = &g->per_loop[loop_index(loop_current())];
	const struct tls_sni_map *names = gl->hold ? gl->hold->epoch->names : NULL;

	if (!names) {
		return NULL;
	}
	return or_default ? tls_sni_map_get(names, sni) : tls_sni_map_find(names, sni);
}

struct balancer_set *gateway_balancers(struct gateway *g)
{
	return builder_balancers(g->builder);
}

struct guid gateway_node_id(const struct gateway *g)
{
	return g->node_id;
}

unsigned gateway_active(const struct gateway *g)
{
	unsigned n = 0;

	for (unsigned i = 0; i < g->deps.loops->n; i++) {
		n += atomic_load_explicit(&g->per_loop[i].active, memory_order_relaxed);
	}
	return n;
}

/* How long records for elsewhere may hold up the end. */
#define FLUSH_MS 5000

static void flush_loop(struct loop *l, void *arg)
{
	struct gw_loop *gl = arg;
	const struct plugin_host *h = builder_plugin_host(gl->gateway->builder);

	gl->is_flushed = true;
	for (size_t i = 0; i < n_plugins; i++) {
		void *state = plugin_host_state_at(h, i);

		if (plugins[i]->flush && state) {
			gl->is_flushed = plugins[i]->flush(state, l) && gl->is_flushed;
		}
	}
}

bool gateway_flush(struct gateway *g)
{
	uint64_t now = clock_mono_ms();
	bool done = true;

	if (g->flush_until_ms == 0) {
		g->flush_until_ms = now + FLUSH_MS;
	}
	on_each_loop(g, flush_loop);
	for (unsigned i = 0; i < g->deps.loops->n; i++) {
		done = done && g->per_loop[i].is_flushed;
	}
	return done || now >= g->flush_until_ms;
}

void gateway_reopen(struct gateway *g)
{
	const struct plugin_host *h = builder_plugin_host(g->builder);

	for (size_t i = 0; i < n_plugins; i++) {
		void *state = plugin_host_state_at(h, i);

		if (plugins[i]->reopen && state) {
			plugins[i]->reopen(state);
		}
	}
}

/* The server has ended its exchanges before; what is left has no client any more. */
static void stop_loop(struct loop *l, void *arg)
{
	struct gw_loop *gl = arg;

	(void)l;
	tunnel_stop_all(gl);
	while (!list_is_empty(&gl->calls)) {
		struct gw_call *c = container_of(list_first(&gl->calls), struct gw_call, node);

		struct exchange *x = c->x;

		hold_put(call_leave(c));
		exchange_cut(x);
	}
	http_client_free(&gl->client);
	gw_loop_drop_epoch(gl);
}

void gateway_stop(struct gateway *g)
{
	on_each_loop(g, stop_loop);
}

void gateway_joined(struct gateway *g)
{
	epoch_unref(&g->epoch);
	builder_joined(g->builder);
}

void gateway_free(struct gateway **gp)
{
	struct gateway *g = *gp;

	*gp = NULL;
	if (!g) {
		return;
	}
	epoch_unref(&g->epoch);
	builder_free(&g->builder);
	mem_free(g->per_loop);
	mem_free(g->trusted);
	tls_client_unref(&g->role_tls);
	arena_fini(&g->texts);
	mem_free(g);
}

/* ---- metrics: by the names of Kong, whose dashboards ask for them ---- */

static void put_connections(struct buf *out, const char *node, const struct admin_counters *n)
{
	const struct {
		const char *state;
		uint64_t v;
	} rows[] = {
		{"accepted", n->accepted}, {"active", n->active},   {"handled", n->handled},
		{"reading", n->reading},   {"writing", n->writing}, {"waiting", n->waiting},
		{"total", n->requests},
	};

	buf_puts(out, "# HELP kong_nginx_connections_total Number of connections by subsystem\n"
		      "# TYPE kong_nginx_connections_total gauge\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_printf(out,
			   "kong_nginx_connections_total{node_id=\"%.*s\",subsystem=\"http\","
			   "state=\"%s\"} %llu\n",
			   GUID_D_LEN, node, rows[i].state, (unsigned long long)rows[i].v);
	}
	buf_puts(out, "# HELP kong_nginx_requests_total Total number of requests\n"
		      "# TYPE kong_nginx_requests_total gauge\n");
	buf_printf(out, "kong_nginx_requests_total{node_id=\"%.*s\",subsystem=\"http\"} %llu\n",
		   GUID_D_LEN, node, (unsigned long long)n->requests);
}

/* There are none of nginx, as GET / says, too. */
static void put_timers(struct buf *out)
{
	buf_puts(out, "# HELP kong_nginx_timers Number of nginx timers\n"
		      "# TYPE kong_nginx_timers gauge\n"
		      "kong_nginx_timers{state=\"running\"} 0\n"
		      "kong_nginx_timers{state=\"pending\"} 0\n");
}

/* There is no Lua; as in /status, the heap of the process stands for its memory. */
static void put_node(struct buf *out, const char *node)
{
	struct mallinfo2 heap = mallinfo2();

	buf_puts(out, "# HELP kong_node_info Kong Node metadata information\n"
		      "# TYPE kong_node_info gauge\n");
	buf_printf(out, "kong_node_info{node_id=\"%.*s\",version=\"" ADMIN_VERSION "\"} 1\n",
		   GUID_D_LEN, node);
	buf_puts(out, "# HELP kong_memory_workers_lua_vms_bytes Allocated bytes of the process\n"
		      "# TYPE kong_memory_workers_lua_vms_bytes gauge\n");
	buf_printf(out,
		   "kong_memory_workers_lua_vms_bytes{node_id=\"%.*s\",pid=\"%d\","
		   "kong_subsystem=\"http\"} %zu\n",
		   GUID_D_LEN, node, (int)getpid(), heap.uordblks + heap.hblkhd);
}

static void put_datastore(struct buf *out, bool is_reachable)
{
	buf_puts(out, "# HELP kong_datastore_reachable Datastore reachable from Kong, 0 is "
		      "unreachable\n"
		      "# TYPE kong_datastore_reachable gauge\n");
	buf_printf(out, "kong_datastore_reachable %d\n", is_reachable);
}

static void put_bodies(const struct gateway *g, struct buf *out)
{
	struct body_share_stats n = {0};

	for (unsigned i = 0; i < g->deps.loops->n; i++) {
		body_share_stats_add(&g->per_loop[i].bodies, &n);
	}
	buf_printf(out,
		   "# HELP posthouse_gateway_bodies_bytes Bodies held because plugins look at "
		   "them\n"
		   "# TYPE posthouse_gateway_bodies_bytes gauge\n"
		   "posthouse_gateway_bodies_bytes %llu\n"
		   "# HELP posthouse_gateway_bodies_refused_total Requests that found no room for "
		   "their body\n"
		   "# TYPE posthouse_gateway_bodies_refused_total counter\n"
		   "posthouse_gateway_bodies_refused_total %llu\n",
		   (unsigned long long)n.held, (unsigned long long)n.refused);
}

static void put_gauges(const struct gateway *g, struct buf *out)
{
	const struct gateway_ops *ops = &g->deps.ops;
	struct admin_counters n;
	char node[GUID_D_LEN];

	guid_d(&g->node_id, node);
	put_node(out, node);
	put_timers(out);
	if (ops->counters) {
		ops->counters(ops->arg, &n);
		put_connections(out, node, &n);
	}
}

void gateway_metrics(struct gateway *g, bool is_datastore_reachable, struct buf *out)
{
	struct plugin_host *h = builder_plugin_host(g->builder);

	put_gauges(g, out);
	put_datastore(out, is_datastore_reachable);
	put_bodies(g, out);
	for (size_t i = 0; i < n_plugins; i++) {
		void *state = plugin_host_state_at(h, i);

		if (plugins[i]->metrics && state) {
			plugins[i]->metrics(state, out);
		}
	}
}
