/*
 * prometheus - counters and histograms of what was proxied
 *
 * Who holds whom: the state has a shard for each loop; a shard has series, found by the ids of
 * service, route and consumer. Only its loop adds to a shard, so counting is a load and a store
 * without a lock; the page reads them while they change. Series of one label set are added up
 * over all shards when the page is written.
 *
 * Series stay until the process ends, as a scraper expects of counters. A shard takes
 * SERIES_MAX of them; what would need more is counted as lost.
 */
#include "gateway/plugins/fields.h"
#include "gateway/plugins/target_health.h"

#include "base/map.h"
#include "base/mem.h"
#include "loop/loop.h"

enum {
	SERIES_MAX = 1 << 16, /* of one loop */
	CODES = 8,	      /* of one block */
	BLOCKS_MAX = 16,      /* of one series */
};

struct config {
	bool per_consumer, status_code, ai, latency, bandwidth, upstream_health, wasm;
};

#define FLAG(name_, member_, doc_)                                                                 \
	{                                                                                          \
		.name = (name_), FIELD(BOOLEAN, BOOL, member_), .dflt = "false", .doc = (doc_)     \
	}

static const struct schema_field fields[] = {
	FLAG("per_consumer", per_consumer, "Tells consumers apart."),
	FLAG("status_code_metrics", status_code,
	     "Counts requests by status: kong_http_requests_total."),
	FLAG("ai_metrics", ai, "Of plugins that are not built: no series."),
	FLAG("latency_metrics", latency,
	     "Histograms of time: kong_request_latency_ms, kong_upstream_latency_ms, "
	     "kong_kong_latency_ms."),
	FLAG("bandwidth_metrics", bandwidth, "Counts bytes: kong_bandwidth_bytes."),
	FLAG("upstream_health_metrics", upstream_health,
	     "Health of targets: kong_upstream_target_health, a line for each address and state."),
	FLAG("wasm_metrics", wasm, "Of filters that are not built: no series."),
};

static const struct schema schema = {SCHEMA_OF("prometheus", fields)};

/* ---- what is counted ---- */

#define BUCKETS_MAX 17

struct histogram_def {
	const char *name, *help;
	unsigned n;
	uint32_t bounds[BUCKETS_MAX];
};

enum { GATEWAY_MS, UPSTREAM_MS, REQUEST_MS, HISTOGRAMS };

static const struct histogram_def histogram_defs[HISTOGRAMS] = {
	[GATEWAY_MS] = {"kong_kong_latency_ms",
			"Latency added by the gateway and enabled plugins for each service/route",
			17,
			{1, 2, 5, 7, 10, 15, 20, 30, 50, 75, 100, 200, 500, 750, 1000, 3000, 6000}},
	[UPSTREAM_MS] = {"kong_upstream_latency_ms",
			 "Latency added by upstream response for each service/route",
			 13,
			 {25, 50, 80, 100, 250, 400, 700, 1000, 2000, 5000, 10000, 30000, 60000}},
	[REQUEST_MS] = {"kong_request_latency_ms",
			"Total latency incurred during requests for each service/route",
			13,
			{25, 50, 80, 100, 250, 400, 700, 1000, 2000, 5000, 10000, 30000, 60000}},
};

typedef _Atomic uint64_t counter;

/* One writer: no need for a locked instruction. */
static void count(counter *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static uint64_t value_of(const counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

struct histogram {
	counter buckets[BUCKETS_MAX + 1]; /* not cumulative; the last is +Inf */
	counter sum;
};

/* Requests of one status and source. */
struct code {
	_Atomic uint32_t what; /* status << 1 | from service; 0 = not used yet */
	counter n;
};

struct codes {
	struct code v[CODES];
	struct codes *_Atomic next;
};

struct series_key {
	struct guid service, route, consumer; /* zero = none */
};

struct labels {
	struct str service, route, consumer;
};

struct series {
	/* constant once published */
	struct series_key key;
	struct labels labels;  /* as they were: a rename makes another series */
	struct labels escaped; /* for the page */
	struct series *older;
	/* the loop counts, the page reads */
	struct codes codes;
	counter in, out; /* bytes */
	struct histogram h[HISTOGRAMS];
	atomic_bool has[HISTOGRAMS];
};

struct shard {
	struct series *_Atomic newest;
	counter lost;
	/* the loop's own */
	struct series **table; /* open addressing */
	uint32_t cap, n;
} __attribute__((aligned(CACHE_LINE)));

struct metrics {
	struct plugin_host *host;
	atomic_uint n_health; /* instances that ask for the health of targets */
	unsigned n;
	struct shard *shards;
};

/* ---- finding a series ---- */

/* Ids are random: any bits of them will do. */
static uint64_t hash_of(const struct series_key *k)
{
	uint64_t v[sizeof(*k) / sizeof(uint64_t)], h = 0;

	memcpy(v, k, sizeof(*k));
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		h = (h ^ v[i]) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	return h;
}

static bool is_it(const struct series *s, const struct series_key *k, const struct labels *l)
{
	return memcmp(&s->key, k, sizeof(*k)) == 0 && str_eq(s->labels.service, l->service) &&
	       str_eq(s->labels.route, l->route) && str_eq(s->labels.consumer, l->consumer);
}

static void grow(struct shard *sh)
{
	uint32_t cap = sh->cap ? sh->cap * 2 : 64;
	struct series **table = MEM_NEW_ARRAY(struct series *, cap);

	for (uint32_t i = 0; i < sh->cap; i++) {
		if (sh->table[i]) {
			uint64_t at = hash_of(&sh->table[i]->key);

			while (table[at & (cap - 1)]) {
				at++;
			}
			table[at & (cap - 1)] = sh->table[i];
		}
	}
	mem_free(sh->table);
	sh->table = table;
	sh->cap = cap;
}

/* "\\", "\"" and line feeds escaped (the exposition format of Prometheus). */
static struct str escape(struct str s)
{
	struct buf b = {0};

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\n') {
			buf_puts(&b, "\\n");
			continue;
		}
		if (s.p[i] == '"' || s.p[i] == '\\') {
			buf_putc(&b, '\\');
		}
		buf_putc(&b, s.p[i]);
	}
	return buf_str(&b); /* the memory is the series' now */
}

static struct str copy(struct str s)
{
	struct buf b = {0};

	buf_put(&b, s);
	return buf_str(&b);
}

struct subject {
	const struct gw_service *service;
	const struct gw_route *route;
	const struct gw_consumer *consumer; /* NULL: not told apart */
};

static struct labels labels_of(const struct subject *subject)
{
	const struct gw_service *service = subject->service;
	const struct gw_route *route = subject->route;
	const struct gw_consumer *who = subject->consumer;
	struct labels l = {0};

	if (service) {
		l.service = service->name.n > 0 ? service->name : service->host;
	}
	if (route) {
		l.route = route->name.n > 0 ? route->name : str_of(route->id_text, GUID_D_LEN);
	}
	if (who) {
		l.consumer = who->username.n > 0 ? who->username : who->custom_id;
	}
	return l;
}

static struct series *series_new(struct shard *sh, const struct series_key *k,
				 const struct labels *l)
{
	struct series *s = MEM_NEW(struct series);

	s->key = *k;
	s->labels = (struct labels){copy(l->service), copy(l->route), copy(l->consumer)};
	s->escaped = (struct labels){escape(l->service), escape(l->route), escape(l->consumer)};
	s->older = atomic_load_explicit(&sh->newest, memory_order_relaxed);
	atomic_store_explicit(&sh->newest, s, memory_order_release);
	return s;
}

/* NULL: no room. */
static struct series *series_of(struct shard *sh, const struct subject *subject)
{
	struct series_key k = {0};
	struct labels l = labels_of(subject);
	uint64_t at;

	if (subject->service) {
		k.service = subject->service->id;
	}
	if (subject->route) {
		k.route = subject->route->id;
	}
	if (subject->consumer) {
		k.consumer = subject->consumer->id;
	}
	if (sh->n * 2 >= sh->cap) {
		grow(sh);
	}
	for (at = hash_of(&k); sh->table[at & (sh->cap - 1)]; at++) {
		if (is_it(sh->table[at & (sh->cap - 1)], &k, &l)) {
			return sh->table[at & (sh->cap - 1)];
		}
	}
	if (sh->n == SERIES_MAX) {
		count(&sh->lost, 1);
		return NULL;
	}
	sh->n++;
	return sh->table[at & (sh->cap - 1)] = series_new(sh, &k, &l);
}

/* ---- counting ---- */

/* The few codes that a route answers with stand in the first block. */
static counter *counter_of(struct shard *sh, struct series *s, uint32_t what)
{
	struct codes *block = &s->codes;

	for (unsigned depth = 0; depth < BLOCKS_MAX; depth++) {
		struct codes *next;

		for (size_t i = 0; i < CODES; i++) {
			uint32_t w = atomic_load_explicit(&block->v[i].what, memory_order_relaxed);

			if (w == 0) {
				atomic_store_explicit(&block->v[i].what, what,
						      memory_order_release);
				w = what;
			}
			if (w == what) {
				return &block->v[i].n;
			}
		}
		next = atomic_load_explicit(&block->next, memory_order_relaxed);
		if (!next) {
			next = MEM_NEW(struct codes);
			atomic_store_explicit(&block->next, next, memory_order_release);
		}
		block = next;
	}
	return &sh->lost;
}

static void observe(struct series *s, unsigned which, uint32_t ms)
{
	const struct histogram_def *d = &histogram_defs[which];
	struct histogram *h = &s->h[which];
	unsigned i = 0;

	while (i < d->n && ms > d->bounds[i]) {
		i++;
	}
	count(&h->buckets[i < d->n ? i : BUCKETS_MAX], 1);
	count(&h->sum, ms);
	atomic_store_explicit(&s->has[which], true, memory_order_release);
}

static void observe_latencies(struct series *s, const struct call_facts *facts)
{
	observe(s, GATEWAY_MS, facts->gateway_ms);
	observe(s, REQUEST_MS, facts->total_ms);
	if (facts->upstream_ms >= 0) {
		observe(s, UPSTREAM_MS, (uint32_t)facts->upstream_ms);
	}
}

static void on_log(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;
	struct metrics *m = p->state;
	struct shard *sh = &m->shards[loop_index(call_loop(c))];
	const struct call_facts *facts = call_facts(c);
	struct subject subject = {call_service(c), call_route(c), NULL};
	struct series *s = NULL;

	if (k->latency) {
		s = series_of(sh, &subject);
		if (s) {
			observe_latencies(s, facts);
		}
	}
	if (!k->status_code && !k->bandwidth) {
		return;
	}
	subject.consumer = k->per_consumer ? call_consumer(c) : NULL;
	if (!k->latency || subject.consumer) {
		s = series_of(sh, &subject);
	}
	if (s && k->status_code) {
		count(counter_of(sh, s, (uint32_t)facts->status << 1 | call_is_from_service(c)), 1);
	}
	if (s && k->bandwidth) {
		count(&s->in, facts->request_bytes);
		count(&s->out, facts->answer_bytes);
	}
}

/* ---- the page ---- */

/* One line of the page, added up over shards. */
struct row {
	struct row *next;
	struct str labels;
	uint64_t n;
	struct histogram_sum {
		uint64_t buckets[BUCKETS_MAX + 1], sum;
	} h;
};

struct rows {
	struct arena arena;
	struct map by_labels;
	struct row *first, **end;
};

static void rows_init(struct rows *r)
{
	*r = (struct rows){0};
	arena_init(&r->arena, 0);
	r->end = &r->first;
}

static void rows_fini(struct rows *r)
{
	map_free(&r->by_labels);
	arena_fini(&r->arena);
}

static struct row *row_of(struct rows *r, const struct buf *labels)
{
	struct row *row = map_get(&r->by_labels, buf_str(labels));

	if (!row) {
		row = ARENA_NEW(&r->arena, struct row);
		row->labels = str_dup(&r->arena, buf_str(labels));
		map_set(&r->by_labels, row->labels, row);
		*r->end = row;
		r->end = &row->next;
	}
	return row;
}

static void begin_labels(struct buf *b, const struct series *s)
{
	buf_clear(b);
	buf_puts(b, "service=\"");
	buf_put(b, s->escaped.service);
	buf_puts(b, "\",route=\"");
	buf_put(b, s->escaped.route);
	buf_putc(b, '"');
}

static void end_labels(struct buf *b, const struct series *s)
{
	buf_puts(b, ",workspace=\"default\",consumer=\"");
	buf_put(b, s->escaped.consumer);
	buf_putc(b, '"');
}

static void add_codes(struct rows *r, const struct series *s, struct buf *labels)
{
	for (const struct codes *block = &s->codes; block;
	     block = atomic_load_explicit(&block->next, memory_order_acquire)) {
		for (size_t i = 0; i < CODES; i++) {
			uint32_t what =
				atomic_load_explicit(&block->v[i].what, memory_order_acquire);

			if (what == 0) {
				return;
			}
			begin_labels(labels, s);
			buf_printf(labels, ",code=\"%u\",source=\"%s\"", what >> 1,
				   what & 1 ? "service" : "kong");
			end_labels(labels, s);
			row_of(r, labels)->n += value_of(&block->v[i].n);
		}
	}
}

static void add_bandwidth(struct rows *r, const struct series *s, struct buf *labels)
{
	uint64_t in = value_of(&s->in), out = value_of(&s->out);

	if (in == 0 && out == 0) {
		return;
	}
	begin_labels(labels, s);
	buf_puts(labels, ",direction=\"ingress\"");
	end_labels(labels, s);
	row_of(r, labels)->n += in;
	begin_labels(labels, s);
	buf_puts(labels, ",direction=\"egress\"");
	end_labels(labels, s);
	row_of(r, labels)->n += out;
}

static void add_histogram(struct rows *r, const struct series *s, struct buf *labels,
			  unsigned which)
{
	struct row *row;

	if (!atomic_load_explicit(&s->has[which], memory_order_acquire)) {
		return;
	}
	begin_labels(labels, s);
	buf_puts(labels, ",workspace=\"default\"");
	row = row_of(r, labels);
	for (size_t i = 0; i <= BUCKETS_MAX; i++) {
		row->h.buckets[i] += value_of(&s->h[which].buckets[i]);
	}
	row->h.sum += value_of(&s->h[which].sum);
}

static void write_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* The line but for its last label and the value. */
static void begin_line(struct buf *out, const char *name, const char *part, const struct row *row)
{
	buf_printf(out, "%s%s{", name, part);
	buf_put(out, row->labels);
}

static void end_line(struct buf *out, uint64_t v)
{
	buf_printf(out, "} %llu\n", (unsigned long long)v);
}

static void write_counters(struct metrics *m, struct buf *out, const char *name, const char *help,
			   void (*add)(struct rows *, const struct series *, struct buf *))
{
	struct rows rows;
	struct buf labels = {0};

	rows_init(&rows);
	for (unsigned i = 0; i < m->n; i++) {
		for (const struct series *s =
			     atomic_load_explicit(&m->shards[i].newest, memory_order_acquire);
		     s; s = s->older) {
			add(&rows, s, &labels);
		}
	}
	if (rows.first) {
		write_head(out, name, "counter", help);
	}
	for (const struct row *row = rows.first; row; row = row->next) {
		begin_line(out, name, "", row);
		end_line(out, row->n);
	}
	buf_free(&labels);
	rows_fini(&rows);
}

static void write_histogram_row(struct buf *out, const struct histogram_def *d,
				const struct row *row)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < d->n; i++) {
		n += row->h.buckets[i];
		begin_line(out, d->name, "_bucket", row);
		buf_printf(out, ",le=\"%u\"", d->bounds[i]);
		end_line(out, n);
	}
	n += row->h.buckets[BUCKETS_MAX];
	begin_line(out, d->name, "_bucket", row);
	buf_puts(out, ",le=\"+Inf\"");
	end_line(out, n);
	begin_line(out, d->name, "_count", row);
	end_line(out, n);
	begin_line(out, d->name, "_sum", row);
	end_line(out, row->h.sum);
}

static void write_histogram(struct metrics *m, struct buf *out, unsigned which)
{
	const struct histogram_def *d = &histogram_defs[which];
	struct rows rows;
	struct buf labels = {0};

	rows_init(&rows);
	for (unsigned i = 0; i < m->n; i++) {
		for (const struct series *s =
			     atomic_load_explicit(&m->shards[i].newest, memory_order_acquire);
		     s; s = s->older) {
			add_histogram(&rows, s, &labels, which);
		}
	}
	if (rows.first) {
		write_head(out, d->name, "histogram", d->help);
	}
	for (const struct row *row = rows.first; row; row = row->next) {
		write_histogram_row(out, d, row);
	}
	buf_free(&labels);
	rows_fini(&rows);
}

static void write_metrics(void *state, struct buf *out)
{
	struct metrics *m = state;
	uint64_t lost = 0;

	write_counters(m, out, "kong_http_requests_total",
		       "HTTP status codes per consumer/service/route", add_codes);
	write_counters(m, out, "kong_bandwidth_bytes",
		       "Total bandwidth (ingress/egress) throughput in bytes", add_bandwidth);
	for (unsigned i = 0; i < HISTOGRAMS; i++) {
		write_histogram(m, out, i);
	}
	for (unsigned i = 0; i < m->n; i++) {
		lost += value_of(&m->shards[i].lost);
	}
	if (m->host->balancers && atomic_load(&m->n_health) > 0) {
		target_health_write(m->host->balancers, out);
	}
	write_head(out, "kong_nginx_metric_errors_total", "counter",
		   "Number of requests without a series, for want of room");
	buf_printf(out, "kong_nginx_metric_errors_total %llu\n", (unsigned long long)lost);
}

/* ---- state ---- */

static void *state_new(struct plugin_host *h)
{
	struct metrics *m = MEM_NEW(struct metrics);

	m->host = h;
	m->n = h->loops->n;
	m->shards = MEM_NEW_LINES(struct shard, m->n);
	return m;
}

static bool wants_health(const struct plugin_instance *p)
{
	const struct config *k = p->config;

	return p->enabled && k->upstream_health;
}

static enum err compile(struct plugin_host *h, struct plugin_instance *p, struct fault *f)
{
	struct metrics *m = p->state;

	(void)h;
	(void)f;
	atomic_fetch_add(&m->n_health, wants_health(p));
	return ERR_OK;
}

static void release(struct plugin_host *h, struct plugin_instance *p)
{
	struct metrics *m = p->state;

	(void)h;
	atomic_fetch_sub(&m->n_health, wants_health(p));
}

static void free_str(struct str s)
{
	mem_free((char *)(uintptr_t)s.p);
}

static void labels_free(const struct labels *l)
{
	free_str(l->service);
	free_str(l->route);
	free_str(l->consumer);
}

static void series_free(struct series *s)
{
	struct codes *block = atomic_load(&s->codes.next);

	while (block) {
		struct codes *next = atomic_load(&block->next);

		mem_free(block);
		block = next;
	}
	labels_free(&s->labels);
	labels_free(&s->escaped);
	mem_free(s);
}

static void state_free(void *state)
{
	struct metrics *m = state;

	for (unsigned i = 0; i < m->n; i++) {
		struct series *s = atomic_load(&m->shards[i].newest);

		while (s) {
			struct series *older = s->older;

			series_free(s);
			s = older;
		}
		mem_free(m->shards[i].table);
	}
	mem_free(m->shards);
	mem_free(m);
}

static const char example[] =
	"    curl -X POST localhost:8001/plugins -d name=prometheus \\\n"
	"      -d config.status_code_metrics=true -d config.latency_metrics=true\n"
	"\n"
	"    curl localhost:8001/metrics\n"
	"    "
	"kong_http_requests_total{service=\"orders\",route=\"list\",code=\"200\",source="
	"\"service\","
	"workspace=\"default\",consumer=\"\"} 7\n"
	"\n"
	"A request costs a few additions in memory of its own thread. `source` is `service` when\n"
	"the service answered and `kong` when the gateway did.\n"
	"\n"
	"| | Labels |\n"
	"|---|---|\n"
	"| `kong_http_requests_total` | service, route, code, source, workspace, consumer |\n"
	"| `kong_bandwidth_bytes` | service, route, direction, workspace, consumer |\n"
	"| `kong_kong_latency_ms`, `kong_upstream_latency_ms`, `kong_request_latency_ms` | "
	"service, "
	"route, workspace |\n"
	"| `kong_upstream_target_health` | upstream, target, address, state, subsystem |\n"
	"\n"
	"The health of targets is told of all upstreams as soon as one plugin wants it. Without "
	"the\n"
	"plugin there are `kong_node_info`, `kong_nginx_connections_total`,\n"
	"`kong_nginx_requests_total`, `kong_nginx_timers`, `kong_memory_workers_lua_vms_bytes` "
	"and\n"
	"`kong_datastore_reachable`, which is as the last look for changes found it: with "
	"PostgreSQL\n"
	"some seconds ago. The names are Kong's: `promtool check\n"
	"metrics` dislikes that counters of it lack `_total`, that gauges have it, and that\n"
	"milliseconds are not seconds, and has nothing else to say.\n";

const struct plugin plugin_prometheus = {
	.name = "prometheus",
	.priority = 13,
	.version = "3.10.0",
	.config = &schema,
	.config_size = sizeof(struct config),
	.doc = "Counts requests, bytes and latencies for Prometheus.",
	.example = example,
	.compile = compile,
	.release = release,
	.log = on_log,
	.state_new = state_new,
	.state_free = state_free,
	.metrics = write_metrics,
};
