/*
 * held_server - a server whose exchanges do what the test says, when it says so
 *
 * `on_begin` is called for each request, on the loop; held_do does more with the latest exchange.
 * A test that ends it there must not do anything with it again.
 */
#pragma once
#include "http/server.h"
#include "serve.h"

struct held_server {
	struct loops loops; /* one */
	struct http_server *server;
	uint16_t port;
	void (*_Atomic on_begin)(struct exchange *x); /* NULL: it waits */
	struct exchange *x;			      /* owning loop only */
	_Atomic unsigned aborted, released;
	_Atomic int abort_status; /* of the latest that was aborted */
};

static void held_on_data(struct exchange *x, struct str data)
{
	(void)x;
	(void)data;
}

static void held_on_abort(struct exchange *x, int status)
{
	struct held_server *h = exchange_user(x);

	h->abort_status = status;
	h->aborted++;
}

static const struct exchange_handler held_events = {.on_data = held_on_data,
						    .on_abort = held_on_abort};

static void held_dispatch(struct exchange *x, void *role)
{
	struct held_server *h = role;
	void (*on_begin)(struct exchange * x) = h->on_begin;

	h->x = x;
	exchange_set_user(x, h);
	exchange_stream(x, UINT64_MAX, &held_events);
	if (on_begin) {
		on_begin(x);
	}
}

static void held_open_limited(struct held_server *h, struct tls_server *tls,
			      const struct http_limits *lim)
{
	struct fault f = {0};

	*h = (struct held_server){0};
	assert_ok(loops_start(&h->loops, 1, &f));
	h->server = http_server_new(lim, held_dispatch, h);
	h->port = serve_as(h->server, &h->loops, (struct http_listen){.http2 = true, .tls = tls});
}

static void held_open(struct held_server *h, struct tls_server *tls, uint32_t write_timeout_ms)
{
	struct http_limits lim = http_limits_default;

	lim.write_timeout_ms = write_timeout_ms;
	held_open_limited(h, tls, &lim);
}

static void held_fini_loop(struct loop *l, void *arg)
{
	(void)arg;
	http_server_loop_fini(l);
}

/* The server may be gone already. */
static void held_close(struct held_server *h)
{
	http_server_free(&h->server);
	loop_call(h->loops.v[0], held_fini_loop, NULL);
	loops_join(&h->loops);
	loops_free(&h->loops);
}

struct held_step {
	struct held_server *h;
	void (*fn)(struct exchange *x);
};

static void held_run_step(struct loop *l, void *arg)
{
	struct held_step *step = arg;

	(void)l;
	step->fn(step->h->x);
}

static void held_do(struct held_server *h, void (*fn)(struct exchange *x))
{
	loop_call(h->loops.v[0], held_run_step, &(struct held_step){h, fn});
}

/* ---- what a test may do with an exchange, besides exchange_cut and exchange_finish ---- */

static void held_start(struct exchange *x)
{
	exchange_start(x, 200, NULL, 0, -1);
}

static void held_write(struct exchange *x)
{
	exchange_write(x, STR("half of"));
}

static void held_start_write(struct exchange *x)
{
	held_start(x);
	held_write(x);
}
