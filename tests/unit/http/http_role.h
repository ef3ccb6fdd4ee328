/*
 * http_role - a role with a route for each thing that an exchange can do
 *
 *   GET  /             "hello"
 *   GET  /head-list    the request as text, a line a field
 *   POST /echo         collects up to 1 MB, then sends it back
 *   POST /stream       sends back as it comes, trailers included
 *   POST /count        counts the body, pausing now and then; answers with the number
 *   GET  /big?N        N bytes, written with back-pressure
 *   GET  /mem?N        N bytes from memory; /file the same from a file
 *   GET  /trailers     a body and a trailer; /only: a trailer alone, as gRPC does
 *   GET  /early        403 before the body; POST /hang: never
 */
#pragma once
#include "http/server.h"

#include <stdio.h>
#include <unistd.h>

#define PIECE 10000

struct job {
	uint64_t left;
	uint64_t seen;
	struct timer pause;
	struct exchange *x;
};

static char page[1 << 20];

static void free_job(void *p)
{
	struct job *j = p;

	timer_stop(loop_current(), &j->pause);
}

static struct job *job_of(struct exchange *x)
{
	struct job *j = exchange_user(x);

	if (!j) {
		j = ARENA_NEW(exchange_arena(x), struct job);
		j->x = x;
		arena_defer(exchange_arena(x), free_job, j);
		exchange_set_user(x, j);
	}
	return j;
}

static uint64_t query_number(const struct exchange *x)
{
	uint64_t n = 0;

	(void)str_to_u64(exchange_request(x)->query, &n);
	return n;
}

static void reply_number(struct exchange *x, uint64_t n)
{
	exchange_reply_text(x, 200, STR("text/plain"),
			    str_fmt(exchange_arena(x), "%llu", (unsigned long long)n));
}

static void head_list(struct exchange *x)
{
	const struct http_request *r = exchange_request(x);
	struct buf b = {0};

	buf_printf(&b, "%.*s %.*s HTTP/%d host=%.*s framing=%d length=%llu\n",
		   STR_ARG(r->method_text), STR_ARG(r->target), r->major, STR_ARG(r->authority),
		   (int)r->framing, (unsigned long long)r->content_length);
	for (size_t i = 0; i < r->headers.n; i++) {
		buf_printf(&b, "%.*s: %.*s\n", STR_ARG(r->headers.v[i].name),
			   STR_ARG(r->headers.v[i].value));
	}
	exchange_reply_text(x, 200, STR("text/plain"), buf_str(&b));
	buf_free(&b);
}

static void on_abort(struct exchange *x, int status)
{
	(void)x;
	(void)status;
}

static void echo_end(struct exchange *x)
{
	exchange_reply(x, &(struct exchange_answer){.status = 200, .body = exchange_body(x)});
}

static const struct exchange_handler echo = {.on_end = echo_end, .on_abort = on_abort};

static void stream_data(struct exchange *x, struct str data)
{
	exchange_write(x, data);
	if (exchange_pending(x) >= STREAM_HIGH_WATER) {
		exchange_pause_body(x);
	}
}

static void stream_drained(struct exchange *x)
{
	exchange_resume_body(x);
}

static void stream_trailers(struct exchange *x, const struct http_headers *trailers)
{
	exchange_set_user(x, (void *)(uintptr_t)trailers);
}

static void stream_end(struct exchange *x)
{
	const struct http_headers *t = exchange_user(x);

	exchange_finish_trailers(x, t ? t->v : NULL, t ? t->n : 0);
}

static const struct exchange_handler stream_back = {.on_data = stream_data,
						    .on_trailers = stream_trailers,
						    .on_drained = stream_drained,
						    .on_end = stream_end,
						    .on_abort = on_abort};

static void on_pause_over(struct timer *t)
{
	exchange_resume_body(container_of(t, struct job, pause)->x);
}

static void count_data(struct exchange *x, struct str data)
{
	struct job *j = job_of(x);
	uint64_t before = j->seen;

	j->seen += data.n;
	if (before / 300000 != j->seen / 300000) {
		exchange_pause_body(x);
		timer_start(exchange_loop(x), &j->pause, 5, on_pause_over);
	}
}

static void count_end(struct exchange *x)
{
	reply_number(x, job_of(x)->seen);
}

static const struct exchange_handler count = {
	.on_data = count_data, .on_end = count_end, .on_abort = on_abort};

static void big_more(struct exchange *x)
{
	struct job *j = job_of(x);

	while (j->left > 0 && exchange_pending(x) < STREAM_HIGH_WATER) {
		size_t n = (size_t)MIN(j->left, (uint64_t)PIECE);

		exchange_write(x, str_of(page, n));
		j->left -= n;
	}
	if (j->left == 0) {
		exchange_finish(x);
	}
}

static const struct exchange_handler big = {
	.on_end = big_more, .on_drained = big_more, .on_abort = on_abort};

static void big_start(struct exchange *x)
{
	job_of(x)->left = query_number(x);
	exchange_start(x, 200, NULL, 0, -1);
	exchange_stream(x, 0, &big);
}

static void mem(struct exchange *x)
{
	size_t n = (size_t)MIN(query_number(x), (uint64_t)sizeof(page));

	exchange_reply(x, &(struct exchange_answer){.status = 200,
						    .kind = EXCHANGE_BODY_MEM,
						    .body = str_of(page, n)});
}

static void file(struct exchange *x)
{
	uint64_t n = query_number(x);
	FILE *f = tmpfile();
	int fd = dup(fileno(f));

	ASSERT(ftruncate(fd, (off_t)n) == 0);
	(void)fclose(f);
	exchange_reply(
		x, &(struct exchange_answer){
			   .status = 200, .kind = EXCHANGE_BODY_FILE, .fd = fd, .file_size = n});
}

static void trailers(struct exchange *x, struct str body)
{
	struct http_header status = {STR("Grpc-Status"), STR("0")};
	struct http_header type = {STR("Content-Type"), STR("application/grpc")};

	exchange_start(x, 200, &type, 1, -1);
	exchange_write(x, body);
	exchange_finish_trailers(x, &status, 1);
}

static void only_head(struct exchange *x)
{
	struct http_header v[] = {{STR("Content-Type"), STR("application/grpc")},
				  {STR("Grpc-Status"), STR("5")},
				  {STR("Connection"), STR("close")}};

	exchange_start(x, 200, v, ARRAY_LEN(v), -1);
	exchange_finish(x);
}

static const struct exchange_handler hang = {.on_abort = on_abort};

static void http_role_dispatch(struct exchange *x, void *role)
{
	struct str path = exchange_request(x)->path;

	(void)role;
	if (str_eq(path, STR("/head-list"))) {
		head_list(x);
	} else if (str_eq(path, STR("/echo"))) {
		exchange_collect(x, 1 << 20, &echo);
	} else if (str_eq(path, STR("/stream"))) {
		exchange_start(x, 200, NULL, 0, -1);
		exchange_stream(x, UINT64_MAX, &stream_back);
	} else if (str_eq(path, STR("/count"))) {
		exchange_stream(x, UINT64_MAX, &count);
	} else if (str_eq(path, STR("/big"))) {
		big_start(x);
	} else if (str_eq(path, STR("/mem"))) {
		mem(x);
	} else if (str_eq(path, STR("/file"))) {
		file(x);
	} else if (str_eq(path, STR("/trailers"))) {
		trailers(x, STR("body"));
	} else if (str_eq(path, STR("/only"))) {
		only_head(x);
	} else if (str_eq(path, STR("/early"))) {
		exchange_reply_status(x, 403);
	} else if (str_eq(path, STR("/hang"))) {
		exchange_collect(x, 1000, &hang);
	} else {
		exchange_reply_text(x, 200, STR("text/plain"), STR("hello"));
	}
}
