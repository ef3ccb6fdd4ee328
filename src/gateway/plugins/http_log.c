/*
 * http-log - the record of each request, sent to an HTTP server
 *
 * The record goes into the queue of the plugin's id (log_queue), which outlives this version of
 * its configuration.
 */
#include "gateway/log_record.h"
#include "gateway/plugins/fields.h"
#include "gateway/plugins/log_fields.h"
#include "gateway/plugins/log_queue.h"

#include "http/message.h"
#include "tls/cert.h"

struct queue_config {
	int64_t max_batch_size, max_entries, max_bytes, concurrency_limit;
	double max_coalescing_delay, max_retry_time, initial_retry_delay, max_retry_delay;
};

struct config {
	struct str http_endpoint, method, content_type;
	int64_t timeout, keepalive;
	bool ssl_verify;
	struct str ssl_ca;
	const struct json *headers, *custom_fields;
	struct queue_config queue;
	/* compiled */
	struct str constants;
	struct log_queue *records;
	struct log_queue_settings *settings; /* counted */
};

static enum err check_concurrency(struct arena *a, const struct schema_field *field,
				  const struct json *v, struct fault *f)
{
	(void)a;
	(void)field;
	if (str_eq(v->text, STR("1"))) {
		return ERR_OK;
	}
	return fault_set(f, ERR_INVALID, "%.*s is not built; use 1", STR_ARG(v->text));
}

#define RANGE(min_, max_) .has_range = true, .min = (min_), .max = (max_)

static const struct schema_field queue_fields[] = {
	{.name = "max_batch_size",
	 FIELD_OF(struct queue_config, INTEGER, INT, max_batch_size),
	 .dflt = "1",
	 RANGE(1, 1000000),
	 .doc = "Records in one request; with more than 1 its body is an array."},
	{.name = "max_coalescing_delay",
	 FIELD_OF(struct queue_config, NUMBER, NUM, max_coalescing_delay),
	 .dflt = "1",
	 RANGE(0, 3600),
	 .doc = "Seconds that a record waits for others to fill the batch."},
	{.name = "max_entries",
	 FIELD_OF(struct queue_config, INTEGER, INT, max_entries),
	 .dflt = "10000",
	 RANGE(1, 1000000),
	 .doc = "Records that each event loop keeps; the oldest makes room."},
	{.name = "max_bytes",
	 FIELD_OF(struct queue_config, INTEGER, INT, max_bytes),
	 .has_gt = true,
	 .gt = 0,
	 .doc = "Bytes of the records that each event loop keeps. Without it all loops together "
		"keep 32 MiB, each its part of it and at least 1 MiB."},
	{.name = "max_retry_time",
	 FIELD_OF(struct queue_config, NUMBER, NUM, max_retry_time),
	 .dflt = "60",
	 RANGE(0, 1000000),
	 .doc = "Seconds from the first attempt after which a batch is given up."},
	{.name = "initial_retry_delay",
	 FIELD_OF(struct queue_config, NUMBER, NUM, initial_retry_delay),
	 .dflt = "0.01",
	 RANGE(0.001, 1000000),
	 .doc = "Seconds before the second attempt; doubled for each one after it."},
	{.name = "max_retry_delay",
	 FIELD_OF(struct queue_config, NUMBER, NUM, max_retry_delay),
	 .dflt = "60",
	 RANGE(0.001, 1000000),
	 .doc = "Longest delay between attempts, in seconds."},
	{.name = "concurrency_limit",
	 FIELD_OF(struct queue_config, INTEGER, INT, concurrency_limit),
	 .dflt = "1",
	 .check = check_concurrency,
	 .doc = "Requests at a time of each event loop; only 1 is built."},
};
static const struct schema queue_schema = {SCHEMA_OF("queue", queue_fields)};

static const char *const methods[] = {"POST", "PUT", "PATCH", NULL};
static const char *const content_types[] = {"application/json", "application/json; charset=utf-8",
					    NULL};

/* What the client writes itself. */
static enum err check_name(struct arena *a, const struct schema_field *field, const struct json *v,
			   struct fault *f)
{
	static const char *const taken[] = {"Host", "Content-Length", "Content-Type",
					    "Transfer-Encoding", "Connection"};

	TRY(field_check_header_name(a, field, v, f));
	for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
		if (str_eq_nocase(json_str(v), str_c(taken[i]))) {
			return fault_set(f, ERR_INVALID, "cannot contain '%s' header", taken[i]);
		}
	}
	return ERR_OK;
}

static enum err check_ca(struct arena *a, const struct schema_field *field, const struct json *v,
			 struct fault *f)
{
	struct tls_cert_info info;

	(void)a;
	(void)field;
	return tls_pem_inspect(v->text, &info, f);
}

static const struct schema_field header_key = {.type = SCHEMA_STRING, .check = check_name};
static const struct schema_field header_value = {
	.type = SCHEMA_STRING, .flags = SCHEMA_REFERENCEABLE, .check = field_check_header_value};

static const struct schema_field fields[] = {
	{.name = "http_endpoint",
	 FIELD(STRING, STR, http_endpoint),
	 .flags = SCHEMA_REQUIRED | SCHEMA_REFERENCEABLE,
	 .check = field_check_url,
	 .doc = "URL that gets the records; `name:password@` becomes basic authentication."},
	{.name = "method",
	 FIELD(STRING, STR, method),
	 .dflt = "\"POST\"",
	 .one_of = methods,
	 .doc = "Method of the requests."},
	{.name = "content_type",
	 FIELD(STRING, STR, content_type),
	 .dflt = "\"application/json\"",
	 .one_of = content_types,
	 .doc = "Their Content-Type."},
	{.name = "timeout",
	 FIELD(INTEGER, INT, timeout),
	 .dflt = "10000",
	 RANGE(0, 2147483646),
	 .doc = "Milliseconds to connect, and to the head of the answer; 0 = no limit."},
	{.name = "keepalive",
	 FIELD(INTEGER, INT, keepalive),
	 .dflt = "60000",
	 RANGE(0, 2147483646),
	 .doc = "0 closes the connection after each request; with any other value it is kept for "
		"60 seconds."},
	{.name = "ssl_verify",
	 FIELD(BOOLEAN, BOOL, ssl_verify),
	 .dflt = "true",
	 .doc = "Whether the certificate of an https server must be good."},
	{.name = "ssl_ca",
	 FIELD(STRING, STR, ssl_ca),
	 .flags = SCHEMA_REFERENCEABLE,
	 .check = check_ca,
	 .doc = "Certificates in PEM that are trusted for that, instead of those of the system."},
	{.name = "headers",
	 FIELD(MAP, TREE, headers),
	 .keys = &header_key,
	 .elements = &header_value,
	 .doc = "More headers of the requests."},
	{.name = "queue",
	 FIELD(RECORD, RECORD, queue),
	 .flags = SCHEMA_REQUIRED,
	 .record = &queue_schema,
	 .doc = "How records are collected, kept and sent again."},
	LOG_FIELDS_CUSTOM,
};

static const struct schema schema = {SCHEMA_OF("http-log", fields)};

static uint64_t ms_of(double seconds)
{
	return (uint64_t)(seconds * 1000);
}

static struct http_header *headers_of(struct arena *a, const struct json *map, size_t *out_n)
{
	struct http_header *v = ARENA_NEW_ARRAY(a, struct http_header, map ? map->n + 1 : 1);
	size_t n = 0;

	for (const struct json *m = map ? map->child : NULL; m; m = m->next) {
		v[n++] = (struct http_header){.name = m->key, .value = str_trim(json_str(m))};
	}
	*out_n = n;
	return v;
}

static enum err make_settings(struct arena *a, struct config *k, struct fault *f)
{
	const struct queue_config *q = &k->queue;
	struct log_queue_options o = {
		.url = k->http_endpoint,
		.method = k->method,
		.content_type = k->content_type,
		.timeout_ms = (uint32_t)k->timeout,
		.keep_alive = k->keepalive > 0,
		.insecure = !k->ssl_verify,
		.ca = k->ssl_ca,
		.max_batch_size = (size_t)q->max_batch_size,
		.max_coalescing_delay_ms = ms_of(q->max_coalescing_delay),
		.max_entries = (size_t)q->max_entries,
		.max_bytes = (size_t)q->max_bytes,
		.max_retry_time_ms = ms_of(q->max_retry_time),
		.initial_retry_delay_ms = MAX(ms_of(q->initial_retry_delay), 1),
		.max_retry_delay_ms = MAX(ms_of(q->max_retry_delay), 1),
	};

	o.headers = headers_of(a, k->headers, &o.n_headers);
	return log_queue_settings_new(&o, &k->settings, f);
}

static enum err compile(struct plugin_host *h, struct plugin_instance *p, struct fault *f)
{
	struct config *k = p->config;

	(void)h;
	TRY(log_fields_compile(p->arena, k->custom_fields, &k->constants, f));
	TRY(make_settings(p->arena, k, f));
	k->records = log_queue_open(p->state, &p->id);
	return ERR_OK;
}

static void on_release(struct plugin_host *h, struct plugin_instance *p)
{
	struct config *k = p->config;

	(void)h;
	log_queue_close(&k->records);
	log_queue_settings_unref(&k->settings);
}

static void on_log(struct gw_call *c, const struct plugin_instance *p)
{
	const struct config *k = p->config;
	struct buf record = {0};

	log_record_write(c, &record);
	log_fields_add(&record, k->constants);
	log_queue_put(k->records, call_loop(c), k->settings, buf_str(&record));
	buf_free(&record);
}

static void *state_new(struct plugin_host *h)
{
	return log_queues_new(h->loops->n);
}

static void state_free(void *state)
{
	struct log_queues *s = state;

	log_queues_free(&s);
}

static bool flush(void *state, struct loop *l)
{
	return log_queues_flush(state, l);
}

static void write_metrics(void *state, struct buf *out)
{
	struct log_queues_stats s;

	log_queues_stats(state, &s);
	buf_puts(out, "# HELP posthouse_http_log_sent_total Records that the servers took\n"
		      "# TYPE posthouse_http_log_sent_total counter\n");
	buf_printf(out, "posthouse_http_log_sent_total %llu\n", (unsigned long long)s.sent);
	buf_puts(out, "# HELP posthouse_http_log_dropped_total Records that were given up\n"
		      "# TYPE posthouse_http_log_dropped_total counter\n");
	buf_printf(out, "posthouse_http_log_dropped_total %llu\n", (unsigned long long)s.dropped);
	buf_puts(out, "# HELP posthouse_http_log_failures_total Requests that failed\n"
		      "# TYPE posthouse_http_log_failures_total counter\n");
	buf_printf(out, "posthouse_http_log_failures_total %llu\n", (unsigned long long)s.failures);
}

static const char example[] =
	"    curl -X POST localhost:8001/plugins -H 'Content-Type: application/json' -d '{\n"
	"      \"name\": \"http-log\",\n"
	"      \"config\": {\n"
	"        \"http_endpoint\": \"https://logs.example.com/kong\",\n"
	"        \"headers\": {\"X-Token\": \"secret\"},\n"
	"        \"queue\": {\"max_batch_size\": 100, \"max_coalescing_delay\": 2}}}'\n"
	"\n"
	"An answer below 400 takes the records. After any other answer, and when the server "
	"cannot\n"
	"be reached, the same batch is sent again with growing delays. Requests of clients never\n"
	"wait for it: what does not fit into the queue is dropped, the log says so, and\n"
	"`posthouse_http_log_dropped_total` counts it. A gateway that ends sends what waits, for "
	"five\n"
	"seconds at most. Certificates of https servers are verified with the CAs of the system "
	"unless\n"
	"`ssl_ca` names others.\n";

const struct plugin plugin_http_log = {
	.name = "http-log",
	.priority = 12,
	.version = "3.10.0",
	.config = &schema,
	.config_size = sizeof(struct config),
	.doc = "Sends the record of each request to an HTTP server.",
	.example = example,
	.compile = compile,
	.release = on_release,
	.log = on_log,
	.state_new = state_new,
	.state_free = state_free,
	.flush = flush,
	.metrics = write_metrics,
};
