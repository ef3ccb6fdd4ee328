/*
 * h2_record - calls over HTTP/2, and what became of them
 *
 * A record notes a call: "200 [body] trailer=value end". The loop stops when all are over.
 */
#pragma once
#include "base/mem.h"
#include "http/client.h"
#include "net/dns.h"
#include "unit.h"

struct fixture {
	struct loops loops; /* of a server of our own */
	struct http_server *server;
	struct loop *loop;
	struct http_client *client;
	struct http_call_spec spec;
	struct timer guard;
	unsigned running;
};

struct record {
	struct fixture *f;
	struct http_call *call;
	struct buf text; /* "200 [body] trailer=value end" */
	uint64_t bytes;
	bool quiet; /* count the body only */
	uint64_t to_write;
	void (*on_head)(struct record *r);
	void (*on_sent)(struct record *r);
	void (*on_over)(struct record *r);
};

static void over(struct record *r)
{
	r->call = NULL;
	if (r->on_over) {
		r->on_over(r);
	}
	if (--r->f->running == 0) {
		loop_stop(r->f->loop);
	}
}

static void on_head(struct http_call *c, const struct http_response *p)
{
	struct record *r = http_call_user(c);

	buf_printf(&r->text, "%d ", p->status);
	if (r->on_head) {
		r->on_head(r);
	}
}

static void on_data(struct http_call *c, struct str data)
{
	struct record *r = http_call_user(c);

	r->bytes += data.n;
	if (!r->quiet) {
		buf_put(&r->text, data);
		buf_putc(&r->text, ' ');
	}
}

static void on_trailers(struct http_call *c, const struct http_headers *t)
{
	struct record *r = http_call_user(c);

	for (size_t i = 0; i < t->n; i++) {
		buf_printf(&r->text, "%.*s=%.*s ", STR_ARG(t->v[i].name), STR_ARG(t->v[i].value));
	}
}

static void on_end(struct http_call *c)
{
	struct record *r = http_call_user(c);

	buf_puts(&r->text, "end");
	over(r);
}

static void on_fail(struct http_call *c, enum err why)
{
	struct record *r = http_call_user(c);

	buf_printf(&r->text, "fail %s%s%s%s", err_name(why), http_call_was_sent(c) ? "" : " unsent",
		   http_call_was_refused(c) ? " refused" : "",
		   http_call_was_too_large(c)	  ? " too large"
		   : http_call_was_crowded_out(c) ? " crowded out"
						  : "");
	over(r);
}

static void write_more(struct record *r)
{
	static char block[20000];

	while (r->to_write > 0 && http_call_pending(r->call) < STREAM_HIGH_WATER) {
		size_t n = (size_t)MIN(r->to_write, (uint64_t)sizeof(block));

		http_call_write(r->call, str_of(block, n));
		r->to_write -= n;
	}
	if (r->to_write == 0) {
		http_call_finish(r->call);
	}
}

static void on_writable(struct http_call *c)
{
	write_more(http_call_user(c));
}

static void on_sent(struct http_call *c)
{
	struct record *r = http_call_user(c);

	if (r->on_sent) {
		r->on_sent(r);
	}
}

static const struct http_call_handler events = {
	.on_head = on_head,
	.on_data = on_data,
	.on_trailers = on_trailers,
	.on_end = on_end,
	.on_fail = on_fail,
	.on_sent = on_sent,
	.on_writable = on_writable,
};

static const char *expected = "";

static void on_guard(struct timer *t)
{
	(void)t;
	fail_msg("nothing happened for 10 s; expected \"%s\"", expected);
}

static void set_up_client(struct fixture *f, uint16_t port)
{
	struct http_client_options o = http_client_options_default;

	o.proxy_from_env = false;
	o.connect_timeout_ms = 2000;
	f->loop = loop_new(9);
	f->client = http_client_new(f->loop, &o);
	timer_start(f->loop, &f->guard, 10000, on_guard);
	f->spec = (struct http_call_spec){
		.uri = {.host = STR("127.0.0.1"), .port = port, .path = STR("/")},
		.method = STR("GET"),
		.version = HTTP_CALL_H2,
		.fd = -1};
}

static void tear_down_client(struct fixture *f)
{
	http_client_free(&f->client);
	timer_stop(f->loop, &f->guard);
	dns_loop_fini(f->loop);
	loop_free(&f->loop);
}

static void start(struct fixture *f, struct record *r, struct str path)
{
	r->f = f;
	f->spec.path_query = path;
	f->running++;
	r->call = http_call_start(f->client, &f->spec, &events, r);
}

static inline uint32_t connects(const struct fixture *f)
{
	struct http_client_stats st;

	http_client_stats(f->client, &st);
	return (uint32_t)st.connects_total;
}

static void expect(struct record *r, const char *text)
{
	buf_putc(&r->text, 0);
	assert_string_equal(r->text.p, text);
	buf_free(&r->text);
}
