/*
 * Active checks. A prober belongs to a balancer and lives on the keeper. Each of its two rounds,
 * one over the addresses that are up and one over those that are down, has a timer of its
 * own. A round that is due looks at the table of that moment, so it needs no news of changed
 * targets, and puts a probe for each address into the queue; as many as the configuration
 * allows run at once. A round that is still under way is not begun again.
 */
#include "base/log.h"
#include "base/mem.h"
#include "gateway/balancer_int.h"
#include "http/client.h"
#include "net/stream.h"

#define TIMEOUT_DEFAULT_MS 1000
#define CONCURRENCY_DEFAULT 10

enum round_kind { ROUND_UP, ROUND_DOWN, ROUNDS };

struct round {
	struct prober *prober;
	struct timer timer;
	uint32_t interval_ms; /* 0 = off */
	unsigned left;	      /* probes queued or running */
};

struct probe {
	struct list_node node; /* queued or running */
	struct prober *prober;
	struct round *round;
	struct peer *peer; /* counted */
	struct http_call *call;
	struct stream *stream;
	/* gRPC */
	struct timer timer; /* from the start to the end: that of a call ends at the head */
	int http_status;
	struct buf answer;
	bool unknown; /* the server has no such service */
	bool refused; /* any other status but OK */
};

struct prober {
	struct balancer *balancer; /* outlives it */
	struct settings *settings; /* counted */
	struct tls_client *tls;	   /* PROBE_HTTPS, PROBE_GRPCS */
	struct loop *loop;
	struct round rounds[ROUNDS];
	struct list queued, running;
	unsigned n_running;
};

static void run_some(struct prober *r);

/* ---- the end of one ---- */

static void probe_free(struct probe *p)
{
	list_remove(&p->node);
	timer_stop(p->prober->loop, &p->timer);
	p->round->left--;
	buf_free(&p->answer);
	peer_unref(p->peer);
	mem_free(p);
}

static const struct health_rules *rules_of(const struct prober *r)
{
	return &r->settings->c.health.active.rules;
}

/* Frees it and goes on with the next. */
static void probe_end(struct probe *p)
{
	struct prober *r = p->prober;

	r->n_running--;
	probe_free(p);
	run_some(r);
}

static void probe_failed(struct probe *p, enum err why)
{
	struct prober *r = p->prober;

	health_report(r->balancer, p->peer, rules_of(r), health_outcome(why), HEALTH_BAD_ANSWER);
	probe_end(p);
}

/* ---- HTTP ---- */

static void on_head(struct http_call *c, const struct http_response *res)
{
	struct probe *p = http_call_user(c);
	struct prober *r = p->prober;
	int status = res->status;

	http_call_cancel(c); /* nobody reads the body */
	health_report(r->balancer, p->peer, rules_of(r), BALANCER_STATUS, status);
	probe_end(p);
}

static void on_data(struct http_call *c, struct str data)
{
	(void)c;
	(void)data;
}

static void on_end(struct http_call *c)
{
	(void)c; /* on_head came before, and canceled */
}

static void on_fail(struct http_call *c, enum err why)
{
	probe_failed(http_call_user(c), why);
}

static const struct http_call_handler http_events = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_fail = on_fail,
};

static struct http_client *client_of(struct prober *r)
{
	struct balancer_set *s = r->balancer->set;

	if (!s->probe_client) {
		struct http_client_options o = http_client_options_default;

		o.pool_per_origin = 0;
		o.proxy_from_env = false;
		s->probe_client = http_client_new(r->loop, &o);
	}
	return s->probe_client;
}

static uint32_t timeout_ms(const struct prober *r)
{
	uint32_t ms = r->settings->c.health.active.timeout_ms;

	return ms > 0 ? ms : TIMEOUT_DEFAULT_MS;
}

static struct str host_of(const struct prober *r, const struct peer *p)
{
	const struct balancer_config *c = &r->settings->c;

	if (c->host_header.p) {
		return c->host_header;
	}
	return c->use_srv_name && p->srv_name.p ? p->srv_name : p->host;
}

static struct http_header *headers_of(const struct prober *r, const struct peer *p, size_t *out_n)
{
	const struct health_config *h = &r->settings->c.health;
	struct http_header *v = MEM_NEW_ARRAY(struct http_header, h->active.n_headers + 3);
	bool has_host = false;
	size_t n = 0;

	for (size_t i = 0; i < h->active.n_headers; i++) {
		const struct health_header *from = &h->active.headers[i];

		has_host = has_host || str_eq_nocase(from->name, STR("host"));
		v[n++] = (struct http_header){.name = from->name, .value = from->value};
	}
	if (!has_host) {
		v[n++] = (struct http_header){.name = STR("Host"), .value = host_of(r, p)};
	}
	*out_n = n;
	return v;
}

static struct http_call_spec spec_of(struct probe *p, const struct http_header *headers, size_t n)
{
	struct prober *r = p->prober;
	const struct health_config *h = &r->settings->c.health;
	struct str path = h->active.http_path;

	return (struct http_call_spec){
		.uri = {.tls = h->active.type == PROBE_HTTPS || h->active.type == PROBE_GRPCS,
			.host = p->peer->host,
			.host_is_ipv6 = str_index(p->peer->host, ':') >= 0,
			.port = p->peer->port,
			.path = STR("/")},
		.peer = &p->peer->addr,
		.tls = r->tls,
		.sni = h->active.https_sni,
		.method = STR("GET"),
		.path_query = path.n > 0 ? path : STR("/"),
		.headers = headers,
		.n_headers = n,
		.timeout_ms = timeout_ms(r),
		.close = true,
		.direct = true,
	};
}

static void start_http(struct probe *p)
{
	size_t n;
	struct http_header *headers = headers_of(p->prober, p->peer, &n);
	struct http_call_spec spec = spec_of(p, headers, n);

	p->call = http_call_start(client_of(p->prober), &spec, &http_events, p);
	mem_free(headers);
}

/*
 * ---- gRPC: grpc.health.v1.Health/Check with an empty request ----
 *
 * SERVING is a success, and so is UNIMPLEMENTED: a server without that service is there and
 * speaks gRPC. Anything else counts as the status 503; without a gRPC answer, as its own.
 */
#define GRPC_ANSWER_MAX 256
#define GRPC_UNIMPLEMENTED "12"
#define HEALTH_SERVING 1

static void note_grpc_status(struct probe *p, const struct http_headers *h)
{
	struct str status = http_header_get(h, STR("grpc-status"));

	p->unknown = str_eq(status, STR(GRPC_UNIMPLEMENTED));
	p->refused = status.n > 0 && !str_eq(status, STR("0"));
}

static void on_grpc_head(struct http_call *c, const struct http_response *res)
{
	struct probe *p = http_call_user(c);

	p->http_status = res->status;
	note_grpc_status(p, &res->headers);
}

static void on_grpc_data(struct http_call *c, struct str data)
{
	struct probe *p = http_call_user(c);

	if (p->answer.n + data.n <= GRPC_ANSWER_MAX) {
		buf_put(&p->answer, data);
	}
}

static void on_grpc_trailers(struct http_call *c, const struct http_headers *trailers)
{
	note_grpc_status(http_call_user(c), trailers);
}

/* A frame (flag, length in four bytes) with the one field of HealthCheckResponse. */
static bool is_serving(struct str answer)
{
	static const char serving[] = {0, 0, 0, 0, 2, 1 << 3, HEALTH_SERVING};

	return str_eq(answer, str_of(serving, sizeof(serving)));
}

static void on_grpc_end(struct http_call *c)
{
	struct probe *p = http_call_user(c);
	struct prober *r = p->prober;

	p->call = NULL;
	if (p->http_status == 200 &&
	    (p->unknown || (!p->refused && is_serving(buf_str(&p->answer))))) {
		health_success(r->balancer, p->peer, rules_of(r));
	} else {
		health_report(r->balancer, p->peer, rules_of(r), BALANCER_STATUS,
			      p->http_status == 200 ? 503 : p->http_status);
	}
	probe_end(p);
}

static const struct http_call_handler grpc_events = {
	.on_head = on_grpc_head,
	.on_data = on_grpc_data,
	.on_trailers = on_grpc_trailers,
	.on_end = on_grpc_end,
	.on_fail = on_fail,
};

static void on_grpc_timeout(struct timer *t)
{
	struct probe *p = container_of(t, struct probe, timer);

	http_call_cancel(p->call);
	probe_failed(p, ERR_TIMEOUT);
}

static void start_grpc(struct probe *p)
{
	static const char empty_message[5];
	struct prober *r = p->prober;
	struct http_call_spec spec;
	size_t n;
	struct http_header *headers = headers_of(r, p->peer, &n);

	spec = spec_of(p, headers, n);
	spec.timeout_ms = 0;
	spec.method = STR("POST");
	spec.path_query = STR("/grpc.health.v1.Health/Check");
	spec.version = HTTP_CALL_H2;
	spec.body_kind = HTTP_CALL_MEM;
	spec.body = str_of(empty_message, sizeof(empty_message));
	headers[spec.n_headers++] =
		(struct http_header){STR("Content-Type"), STR("application/grpc")};
	headers[spec.n_headers++] = (struct http_header){STR("TE"), STR("trailers")};
	p->call = http_call_start(client_of(r), &spec, &grpc_events, p);
	timer_start(r->loop, &p->timer, timeout_ms(r), on_grpc_timeout);
	mem_free(headers);
}

/* ---- TCP ---- */

static void on_connect(struct stream *s, void *user, enum err result)
{
	struct probe *p = user;
	struct prober *r = p->prober;

	p->stream = NULL;
	if (result != ERR_OK) {
		probe_failed(p, result);
		return;
	}
	stream_abort(s);
	health_success(r->balancer, p->peer, rules_of(r));
	probe_end(p);
}

static size_t on_tcp_data(struct stream *s, char *p, size_t n)
{
	(void)s;
	(void)p;
	return n;
}

static void on_tcp_close(struct stream *s, enum err why)
{
	(void)s; /* aborted before any of this can happen */
	(void)why;
}

static const struct stream_handler tcp_events = {
	.on_data = on_tcp_data,
	.on_close = on_tcp_close,
};

static void start_tcp(struct probe *p)
{
	struct prober *r = p->prober;

	p->stream =
		stream_connect(r->loop, &p->peer->addr, timeout_ms(r), on_connect, &tcp_events, p);
}

/* ---- rounds ---- */

static void run_one(struct probe *p)
{
	struct prober *r = p->prober;

	list_remove(&p->node);
	list_push(&r->running, &p->node);
	r->n_running++;
	switch (r->settings->c.health.active.type) {
	case PROBE_HTTP:
	case PROBE_HTTPS:
		start_http(p);
		break;
	case PROBE_TCP:
		start_tcp(p);
		break;
	case PROBE_GRPC:
	case PROBE_GRPCS:
		start_grpc(p);
		break;
	}
}

static void run_some(struct prober *r)
{
	unsigned max = r->settings->c.health.active.concurrency;
	struct list_node *n;

	max = max > 0 ? max : CONCURRENCY_DEFAULT;
	while (r->n_running < max && (n = list_first(&r->queued))) {
		run_one(container_of(n, struct probe, node));
	}
}

static void queue_probe(struct prober *r, struct round *round, struct peer *peer)
{
	struct probe *p = MEM_NEW(struct probe);

	peer_ref(peer);
	*p = (struct probe){.prober = r, .round = round, .peer = peer};
	round->left++;
	list_push(&r->queued, &p->node);
}

static void on_round(struct timer *t)
{
	struct round *round = container_of(t, struct round, timer);
	struct prober *r = round->prober;
	const struct table *table = atomic_load(&r->balancer->table);
	bool down = round == &r->rounds[ROUND_DOWN];

	timer_start(r->loop, t, round->interval_ms, on_round);
	if (round->left > 0) {
		return;
	}
	for (size_t i = 0; i < table->n; i++) {
		if (atomic_load(&table->slots[i].peer->down) == down) {
			queue_probe(r, round, table->slots[i].peer);
		}
	}
	run_some(r);
}

/* ---- life ---- */

static bool is_wanted(const struct settings *s)
{
	const struct health_config *h = &s->c.health;

	return h->active.healthy_interval_ms > 0 || h->active.unhealthy_interval_ms > 0;
}

static void set_interval(struct round *round, uint32_t ms)
{
	struct loop *l = round->prober->loop;

	if (ms == round->interval_ms) {
		return; /* an update must not put off the next round */
	}
	round->interval_ms = ms;
	if (ms > 0) {
		timer_start(l, &round->timer, ms, on_round);
	} else {
		timer_stop(l, &round->timer);
	}
}

static struct prober *prober_new(struct balancer *b)
{
	struct prober *r = MEM_NEW(struct prober);

	r->balancer = b;
	r->loop = b->set->keeper;
	list_init(&r->queued);
	list_init(&r->running);
	for (unsigned i = 0; i < ROUNDS; i++) {
		r->rounds[i].prober = r;
	}
	return r;
}

/* NULL also when it is not needed. */
static enum err make_tls(const struct settings *s, struct tls_client **out)
{
	struct tls_client_options o = {.insecure = !s->c.health.active.https_verify};
	struct fault f = {0};
	enum err e;

	*out = NULL;
	if (s->c.health.active.type == PROBE_GRPCS) {
		o.alpn = TLS_ALPN_H2;
	} else if (s->c.health.active.type != PROBE_HTTPS) {
		return ERR_OK;
	}
	e = tls_client_new(&o, out, &f);
	if (e != ERR_OK) {
		log_error("gateway", "active health checks cannot use TLS", LOG_FAULT(&f),
			  LOG_STR("upstream", s->c.name));
	}
	return e;
}

void prober_update(struct balancer *b, struct settings *s)
{
	struct prober *r = b->prober;
	struct tls_client *tls;

	if (!is_wanted(s) || make_tls(s, &tls) != ERR_OK) {
		prober_free(&b->prober);
		return;
	}
	if (!r) {
		r = b->prober = prober_new(b);
	}
	tls_client_unref(&r->tls);
	r->tls = tls;
	(void)atomic_fetch_add(&s->refs, 1);
	balancer_settings_unref(r->settings);
	r->settings = s;
	set_interval(&r->rounds[ROUND_UP], s->c.health.active.healthy_interval_ms);
	set_interval(&r->rounds[ROUND_DOWN], s->c.health.active.unhealthy_interval_ms);
}

static void cancel(struct probe *p)
{
	if (p->call) {
		http_call_cancel(p->call);
	}
	if (p->stream) {
		stream_abort(p->stream);
	}
	probe_free(p);
}

void prober_free(struct prober **rp)
{
	struct prober *r = *rp;
	struct list_node *n;

	if (!r) {
		return;
	}
	*rp = NULL;
	for (unsigned i = 0; i < ROUNDS; i++) {
		timer_stop(r->loop, &r->rounds[i].timer);
	}
	list_splice(&r->running, &r->queued);
	while ((n = list_first(&r->running))) {
		cancel(container_of(n, struct probe, node));
	}
	tls_client_unref(&r->tls);
	balancer_settings_unref(r->settings);
	mem_free(r);
}
