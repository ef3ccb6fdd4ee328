#include "app/status.h"

#include "base/clock.h"
#include "base/log.h"

#include <dirent.h>
#include <stdio.h>

/* ---- readiness: asks the database, so it runs on a worker ---- */

static enum err ready(struct task *t)
{
	struct status *s = t->role;

	if (atomic_load(&s->draining)) {
		return task_refuse(t, 503, "shutting down");
	}
	if (s->relay && !relay_ready(s->relay)) {
		return task_refuse(t, 503,
				   "the relay does not know the identity provider's keys yet");
	}
	if (!t->db || db_ping(t->db) != ERR_OK) {
		return task_refuse(t, 503, "the database does not answer");
	}
	return task_reply_text(t, 200, STR("text/plain"), STR("ready\n"));
}

static void plain_error(struct task *t, int status)
{
	(void)task_reply_text(t, status, STR("text/plain"), str_c(t->fault.text));
	buf_putc(&t->reply.body, '\n');
}

static const struct rest_route routes[] = {
	{"GET", "/health/ready", ready, REST_DB, REST_OPEN, 0, "Whether new work can be done.",
	 NULL, NULL},
};
static const struct rest_table table = {"status", routes, ARRAY_LEN(routes)};

/* ---- metrics ---- */

static void family(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP posthouse_%s %s\n# TYPE posthouse_%s %s\n", name, help, name, type);
}

static void single(struct buf *b, const char *name, const char *type, const char *help, uint64_t v)
{
	family(b, name, type, help);
	buf_printf(b, "posthouse_%s %llu\n", name, (unsigned long long)v);
}

static uint64_t open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	uint64_t n = 0;

	while (d && readdir(d)) {
		n++;
	}
	if (d) {
		(void)closedir(d);
	}
	return n > 3 ? n - 3 : 0; /* ".", ".." and the directory itself */
}

static uint64_t resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long size = 0, resident = 0;

	if (f) {
		if (fscanf(f, "%llu %llu", &size, &resident) != 2) {
			resident = 0;
		}
		(void)fclose(f);
	}
	return resident * 4096;
}

/* The samples of one name stand together (the text format demands it). */
static void put_servers(struct buf *b, const struct status *s)
{
	static const struct {
		const char *name, *type, *help;
		size_t at;
	} rows[] = {
		{"http_connections", "gauge", "Connections open now.",
		 offsetof(struct http_server_stats, connections)},
		{"http_connections_total", "counter", "Connections accepted.",
		 offsetof(struct http_server_stats, connections_total)},
		{"http_requests_total", "counter", "Requests received.",
		 offsetof(struct http_server_stats, requests_total)},
		{"http_bad_requests_total", "counter", "Requests that were not HTTP.",
		 offsetof(struct http_server_stats, bad_requests_total)},
		{"http_floods_total", "counter", "Connections ended for flooding (HTTP/2).",
		 offsetof(struct http_server_stats, floods_total)},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		family(b, rows[i].name, rows[i].type, rows[i].help);
		for (size_t k = 0; k < s->n_servers; k++) {
			struct http_server_stats st;
			uint64_t v;

			http_server_stats(s->servers[k].server, &st);
			memcpy(&v, (const char *)&st + rows[i].at, sizeof(v));
			buf_printf(b, "posthouse_%s{role=\"%s\"} %llu\n", rows[i].name,
				   s->servers[k].name, (unsigned long long)v);
		}
	}
}

enum { POOL_ROWS = 4 };

static void pool_values(struct pool *p, uint64_t out[POOL_ROWS])
{
	struct pool_stats st;

	pool_stats(p, &st);
	out[0] = st.busy;
	out[1] = st.queued;
	out[2] = st.done;
	out[3] = st.refused;
}

static void put_pools(struct buf *b, const struct status *s)
{
	static const struct {
		const char *name, *type, *help;
	} rows[POOL_ROWS] = {
		{"pool_busy", "gauge", "Threads that work."},
		{"pool_queued", "gauge", "Jobs that wait."},
		{"pool_jobs_total", "counter", "Jobs done."},
		{"pool_refused_total", "counter", "Jobs refused: the queue was full."},
	};
	const struct {
		const char *name;
		struct pool *pool;
	} pools[] = {{"database", s->pools[REST_DB]}, {"slow", s->pools[REST_SLOW]}};

	for (size_t i = 0; i < POOL_ROWS; i++) {
		family(b, rows[i].name, rows[i].type, rows[i].help);
		for (size_t k = 0; k < ARRAY_LEN(pools); k++) {
			uint64_t v[POOL_ROWS];

			if (pools[k].pool) {
				pool_values(pools[k].pool, v);
				buf_printf(b, "posthouse_%s{pool=\"%s\"} %llu\n", rows[i].name,
					   pools[k].name, (unsigned long long)v[i]);
			}
		}
	}
}

static void put_loops(struct buf *b, const struct status *s)
{
	struct loop_stats st = {0};
	unsigned long long n = 0;

	for (unsigned i = 0; i < s->loops->n; i++) {
		loop_stats_add(s->loops->v[i], &st);
	}
	family(b, "loop_turn_seconds", "histogram",
	       "Turns of the event loops: what arrives meanwhile waits for the end of one.");
	for (unsigned i = 0; i < LOOP_TURN_BOUNDS; i++) {
		n += st.turns[i];
		buf_printf(b, "posthouse_loop_turn_seconds_bucket{le=\"%g\"} %llu\n",
			   loop_turn_bounds_us[i] / 1e6, n);
	}
	n += st.turns[LOOP_TURN_BOUNDS];
	buf_printf(b,
		   "posthouse_loop_turn_seconds_bucket{le=\"+Inf\"} %llu\n"
		   "posthouse_loop_turn_seconds_sum %.6f\n"
		   "posthouse_loop_turn_seconds_count %llu\n",
		   n, (double)st.busy_ns / 1e9, n);
}

static void metrics(struct exchange *x, struct status *s)
{
	struct buf b = {0};

	family(&b, "info", "gauge", "What runs.");
	buf_printf(&b, "posthouse_info{version=\"%s\"} 1\n", POSTHOUSE_VERSION);
	single(&b, "uptime_seconds", "gauge", "Since the start.",
	       (clock_mono_ms() - s->started_ms) / 1000);
	single(&b, "process_open_files", "gauge", "Descriptors.", open_files());
	single(&b, "process_resident_bytes", "gauge", "Memory in use.", resident_bytes());
	single(&b, "log_lines_dropped_total", "counter", "Lines of the log that were lost.",
	       log_dropped());
	put_servers(&b, s);
	put_loops(&b, s);
	put_pools(&b, s);
	if (s->relay) {
		relay_metrics(s->relay, &b);
	}
	if (s->gateway) {
		gateway_role_metrics(s->gateway, &b);
	}
	exchange_reply_text(x, 200, STR("text/plain; version=0.0.4; charset=utf-8"), buf_str(&b));
	buf_free(&b);
}

/* ---- */

void status_init(struct status *s)
{
	s->started_ms = clock_mono_ms();
	s->rest = (struct rest){
		.table = &table,
		.role = s,
		.pools = {s->pools[REST_DB], s->pools[REST_SLOW]},
		.worker_ops = &sessions_rest_ops,
		.on_error = plain_error,
		.timeout_ms = 5000,
		.fallback = s->gateway ? admin_dispatch : NULL,
		.fallback_role = s->gateway ? s->gateway->status : NULL,
	};
}

void status_dispatch(struct exchange *x, void *arg)
{
	struct status *s = arg;
	const struct http_request *r = exchange_request(x);
	bool reads = r->method == HTTP_GET || r->method == HTTP_HEAD;
	bool is_live = str_eq(r->path, STR("/health/live"));
	bool is_metrics = str_eq(r->path, STR("/metrics"));

	if ((is_live || is_metrics) && !reads) {
		exchange_reply_allow(x, STR("GET, HEAD"));
	} else if (is_live) {
		exchange_reply_text(x, 200, STR("text/plain"), STR("live\n"));
	} else if (is_metrics) {
		metrics(x, s);
	} else {
		rest_dispatch(x, &s->rest);
	}
}
