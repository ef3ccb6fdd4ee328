#include "connector/connector.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "connector/connector_int.h"

#include <unistd.h>

#define DISCOVERY_RETRY_MS 10000
#define DISCOVERY_TIMEOUT_MS 10000
#define POOL_PER_ORIGIN 256
/* For the server to answer that we leave. */
#define LEAVE_MS 2000

/* ---- invocations ---- */

static struct link *sending_link(struct connector *c, struct link *preferred)
{
	if (preferred && link_can_send(preferred)) {
		return preferred;
	}
	for (unsigned i = 0; i < c->n_links; i++) {
		if (link_can_send(&c->links[i])) {
			return &c->links[i];
		}
	}
	return NULL;
}

struct buf *connector_invoke_begin(struct connector *c, struct link *preferred)
{
	struct buf *out;

	c->out_link = sending_link(c, preferred);
	if (c->out_link) {
		out = link_invoke_begin(c->out_link);
	} else {
		buf_clear(&c->scratch);
		out = &c->scratch;
	}
	c->out_start = out->n;
	return out;
}

void connector_invoke_end(struct connector *c, uint64_t expires_ms)
{
	if (c->out_link) {
		link_invoke_end(c->out_link, c->out_start, expires_ms);
		return;
	}
	struct backlog_entry e = {.expires_ms = expires_ms, .text = buf_str(&c->scratch)};

	backlog_put(&c->backlog, &e);
}

void connector_flush(struct connector *c)
{
	uint64_t now = loop_now_ms(c->loop);
	struct backlog_entry e;
	struct link *l;

	if (c->backlog.forgotten > 0) {
		log_warn("connector", "responses were forgotten: too many wait for a connection",
			 LOG_INT("count", c->backlog.forgotten));
		c->backlog.forgotten = 0;
	}
	while ((l = sending_link(c, NULL)) && backlog_first(&c->backlog, &e)) {
		if (e.expires_ms > now) {
			struct buf *out = link_invoke_begin(l);
			size_t start = out->n;

			buf_put(out, e.text);
			link_invoke_end(l, start, e.expires_ms);
		}
		backlog_drop_first(&c->backlog);
	}
}

/* ---- what the server wishes ---- */

void connector_configure(struct connector *c, const struct wire_configure *w)
{
	endpoints_set_delays(&c->at, w->reconnect_min_ms, w->reconnect_max_ms);
	if (w->keep_alive_ms.has && w->keep_alive_ms.v >= 100 &&
	    w->keep_alive_ms.v <= (int64_t)3600 * 1000) {
		c->at.keep_alive_ms = w->keep_alive_ms.v;
	}
	if (w->trace.has) {
		c->trace = w->trace.v;
	}
	log_info("connector", "the server configured this connector",
		 LOG_INT("keep_alive_ms", c->at.keep_alive_ms),
		 LOG_INT("reconnect_min_ms", c->at.reconnect_min_ms),
		 LOG_INT("reconnect_max_ms", c->at.reconnect_max_ms), LOG_INT("trace", c->trace));
}

void connector_trouble(struct connector *c, const char *what, const struct fault *f)
{
	if (c->told_trouble) {
		log_debug("connector", what, LOG_FAULT(f));
	} else {
		log_warn("connector", what, LOG_FAULT(f), LOG_CSTR("next", "will be tried again"));
	}
	c->told_trouble = true;
}

/* ---- discovery ---- */

static void discover(struct connector *c);

static void on_time_to_discover(struct timer *t)
{
	discover(container_of(t, struct connector, timer));
}

static void start_links(struct connector *c)
{
	log_info("connector", "found the server", LOG_STR("server", c->config.server),
		 LOG_STR("version", c->at.server_version));
	c->told_trouble = false;
	for (unsigned i = 0; i < c->n_links; i++) {
		/* Spread, so that a server does not get all of them in one moment. */
		link_start(&c->links[i], i == 0 ? 1 : 1 + rand_below(200));
	}
}

static enum err read_discovery(struct connector *c, const struct http_fetch_result *r,
			       struct fault *f)
{
	if (r->err != ERR_OK) {
		return fault_set(f, r->err, "discovery: %s", err_name(r->err));
	}
	if (r->status != 200) {
		return fault_set(f, ERR_UNAVAILABLE, "discovery: the server answered %d",
				 r->status);
	}
	arena_reset(&c->arena);
	return endpoints_parse(&c->arena, r->body, &c->at, f);
}

static void on_discovered(void *arg, const struct http_fetch_result *r)
{
	struct connector *c = arg;
	struct fault f = {0};

	c->fetch = NULL;
	if (read_discovery(c, r, &f) == ERR_OK) {
		c->is_found = true;
		start_links(c);
		return;
	}
	connector_trouble(c, "cannot read the server's configuration", &f);
	timer_start(c->loop, &c->timer, DISCOVERY_RETRY_MS - 500 + rand_below(500),
		    on_time_to_discover);
}

static void discover(struct connector *c)
{
	static const struct http_header agent = {STR_INIT("User-Agent"), STR_INIT(CONNECTOR_AGENT)};
	struct http_call_spec spec = {
		.method = STR("GET"),
		.headers = &agent,
		.n_headers = 1,
		.timeout_ms = DISCOVERY_TIMEOUT_MS,
		.idle_timeout_ms = DISCOVERY_TIMEOUT_MS,
		.close = true,
		.fd = -1,
	};

	/* Both were checked with the configuration. */
	enum err e = uri_parse(c->config.server, &spec.uri, NULL);

	ASSERT(e == ERR_OK);
	spec.path_query = str_fmt(&c->config_arena, "%.*s" DISCOVERY_PATH, STR_ARG(spec.uri.path));
	c->fetch = http_fetch_start(c->http, &spec, DISCOVERY_BYTES_MAX, on_discovered, c);
}

/* ---- life ---- */

static struct http_client *client_new(struct loop *l, const struct connect_config *config)
{
	struct http_client_options o = http_client_options_default;

	o.pool_per_origin = POOL_PER_ORIGIN;
	o.tls = config->tls;
	o.proxy_from_env = config->proxy == CONNECT_PROXY_ENVIRONMENT;
	return http_client_new(l, &o);
}

static void copy_config(struct connector *c, const struct connect_config *config)
{
	struct arena *a = &c->config_arena;
	char name[256] = {0};

	arena_init(a, 0);
	c->config = *config;
	c->config.targets = NULL;
	c->config.tls = NULL; /* the client has its reference */
	c->config.targets_node = NULL;
	c->config.server = str_dup(a, config->server);
	c->config.tenant = str_dup(a, config->tenant);
	c->config.secret = str_dup(a, config->secret);
	(void)gethostname(name, sizeof(name) - 1);
	c->machine = str_dup(a, http_is_field_value(str_c(name)) ? str_c(name) : STR("unknown"));
}

struct connector *connector_new(struct loop *l, const struct connect_config *config,
				unsigned connections, const struct connector_events *events)
{
	struct connector *c = MEM_NEW(struct connector);

	c->loop = l;
	c->events = *events;
	c->targets = target_set_ref(config->targets);
	copy_config(c, config);
	arena_init(&c->arena, 0);
	c->http = client_new(l, config);
	list_init(&c->running);
	list_init(&c->waiting);
	list_init(&c->spare);
	list_init(&c->overtime);
	backlog_init(&c->backlog, (size_t)config->undelivered_max,
		     (size_t)config->undelivered_max_size);
	known_init(&c->known, (size_t)config->undelivered_max);
	grant_init(&c->grant, c);
	c->n_links = connections;
	c->links = MEM_NEW_ARRAY(struct link, connections);
	for (unsigned i = 0; i < connections; i++) {
		link_init(&c->links[i], c, i);
	}
	discover(c);
	return c;
}

void connector_set_targets(struct connector *c, struct target_set *targets)
{
	target_set_unref(&c->targets);
	c->targets = target_set_ref(targets);
}

void connector_drain(struct connector *c)
{
	c->draining = true;
	c->leave_by_ms = loop_now_ms(c->loop) + LEAVE_MS;
	timer_pause(&c->timer);
	if (c->fetch) {
		http_fetch_cancel(c->fetch);
		c->fetch = NULL;
	}
	for (unsigned i = 0; i < c->n_links; i++) {
		if (link_is_open(&c->links[i])) {
			link_leave(&c->links[i]);
		} else {
			link_stop(&c->links[i]);
		}
	}
}

bool connector_refuses(const struct connector *c, const struct link *l)
{
	return c->draining && (l->has_left || loop_now_ms(c->loop) >= c->leave_by_ms);
}

bool connector_is_idle(const struct connector *c)
{
	for (unsigned i = 0; i < c->n_links; i++) {
		if (link_is_open(&c->links[i]) && !connector_refuses(c, &c->links[i])) {
			return false;
		}
	}
	return c->n_running == 0 && c->n_waiting == 0;
}

static void cancel_all(struct list *l)
{
	struct list_node *n;

	while ((n = list_first(l))) {
		trip_cancel(container_of(n, struct trip, node));
	}
}

void connector_close(struct connector *c)
{
	if (c->closed) {
		return;
	}
	if (!c->draining) {
		connector_drain(c);
	}
	c->closed = true;
	cancel_all(&c->running);
	cancel_all(&c->waiting);
	for (unsigned i = 0; i < c->n_links; i++) {
		if (c->links[i].state != LINK_STOPPED) {
			link_stop(&c->links[i]);
		}
	}
}

bool connector_is_closed(const struct connector *c)
{
	for (unsigned i = 0; c->closed && i < c->n_links; i++) {
		const struct link *l = &c->links[i];

		if (l->ws || l->post.fetch || list_is_linked(&l->post.grant.node)) {
			return false;
		}
	}
	return c->closed;
}

static void free_spare(struct connector *c)
{
	struct list_node *n;

	while ((n = list_pop(&c->spare))) {
		trip_free(container_of(n, struct trip, node));
	}
}

void connector_free(struct connector **cp)
{
	struct connector *c = *cp;

	if (!c) {
		return;
	}
	*cp = NULL;
	connector_close(c);
	for (unsigned i = 0; i < c->n_links; i++) {
		link_fini(&c->links[i]);
	}
	mem_free(c->links);
	grant_fini(&c->grant);
	timer_stop(c->loop, &c->timer);
	later_cancel(&c->work);
	http_client_free(&c->http);
	free_spare(c);
	known_fini(&c->known);
	backlog_fini(&c->backlog);
	buf_free(&c->scratch);
	target_set_unref(&c->targets);
	mem_wipe((char *)c->config.secret.p, c->config.secret.n);
	arena_fini(&c->arena);
	arena_fini(&c->config_arena);
	mem_free(c);
}
