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

static void gauge(struct buf *b, const char *name, const char *type, uint64_t v)
{
	buf_printf(b, "# TYPE posthouse_%s %s\nposthouse_%s %llu\n", name, type, name,
		   (unsigned long long)v);
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

static void put_server(struct buf *b, const struct status_server *s)
{
	struct http_server_stats st;

	http_server_stats(s->server, &st);
	buf_printf(b, "posthouse_http_connections{role=\"%s\"} %llu\n", s->name,
		   (unsigned long long)st.connections);
	buf_printf(b, "posthouse_http_connections_total{role=\"%s\"} %llu\n", s->name,
		   (unsigned long long)st.connections_total);
	buf_printf(b, "posthouse_http_requests_total{role=\"%s\"} %llu\n", s->name,
		   (unsigned long long)st.requests_total);
	buf_printf(b, "posthouse_http_bad_requests_total{role=\"%s\"} %llu\n", s->name,
		   (unsigned long long)st.bad_requests_total);
}

static void put_pool(struct buf *b, const char *name, struct pool *p)
{
	struct pool_stats st;

	if (!p) {
		return;
	}
	pool_stats(p, &st);
	buf_printf(b, "posthouse_pool_busy{pool=\"%s\"} %u\n", name, st.busy);
	buf_printf(b, "posthouse_pool_queued{pool=\"%s\"} %u\n", name, st.queued);
	buf_printf(b, "posthouse_pool_jobs_total{pool=\"%s\"} %llu\n", name,
		   (unsigned long long)st.done);
	buf_printf(b, "posthouse_pool_refused_total{pool=\"%s\"} %llu\n", name,
		   (unsigned long long)st.refused);
}

static void metrics(struct exchange *x, struct status *s)
{
	struct buf b = {0};

	buf_printf(&b, "# TYPE posthouse_info gauge\nposthouse_info{version=\"%s\"} 1\n",
		   POSTHOUSE_VERSION);
	gauge(&b, "uptime_seconds", "counter", (clock_mono_ms() - s->started_ms) / 1000);
	gauge(&b, "process_open_files", "gauge", open_files());
	gauge(&b, "process_resident_bytes", "gauge", resident_bytes());
	gauge(&b, "log_lines_dropped_total", "counter", log_dropped());
	for (size_t i = 0; i < s->n_servers; i++) {
		put_server(&b, &s->servers[i]);
	}
	put_pool(&b, "database", s->pools[REST_DB]);
	put_pool(&b, "slow", s->pools[REST_SLOW]);
	if (s->relay) {
		relay_metrics(s->relay, &b);
	}
	if (s->gateway) {
		gateway_metrics(s->gateway, &b);
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
