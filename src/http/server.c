/* Listeners, per-loop state, drain and statistics of an HTTP server. */
#include "base/mem.h"
#include "http/server_int.h"
#include "net/pipe_stream.h"

#include <unistd.h>

#define EXCHANGES_KEPT 256
#define ARENA_KEPT 8192

const struct http_limits http_limits_default = {
	.head = {.line_bytes = 8192, .head_bytes = 65536, .headers = 100},
	.head_timeout_ms = 15000,
	.idle_timeout_ms = 75000,
	.body_timeout_ms = 30000,
	.write_timeout_ms = 30000,
	.connections_max = 65536,
};

/* ---- what a loop has once, whatever servers run on it ---- */

struct http_loop *http_loop_of(struct loop *l)
{
	struct http_loop *hl = loop_local(l, LOOP_LOCAL_HTTP_SERVER);

	if (!hl) {
		hl = MEM_NEW(struct http_loop);
		hl->loop = l;
		loop_set_local(l, LOOP_LOCAL_HTTP_SERVER, hl);
	}
	return hl;
}

void http_server_loop_fini(struct loop *l)
{
	struct http_loop *hl = loop_local(l, LOOP_LOCAL_HTTP_SERVER);

	if (!hl) {
		return;
	}
	loop_set_local(l, LOOP_LOCAL_HTTP_SERVER, NULL);
	while (hl->free) {
		struct exchange *x = hl->free;

		hl->free = x->next_free;
		arena_fini(&x->arena);
		mem_free(x);
	}
	slots_free(&hl->exchanges);
	mem_free(hl);
}

struct exchange *exchange_new(struct conn *c)
{
	struct http_loop *hl = http_loop_of(c->owner->loop);
	struct exchange *x = hl->free;
	struct arena arena;

	if (x) {
		hl->free = x->next_free;
		hl->n_free--;
		arena = x->arena;
		memset(x, 0, sizeof(*x));
		x->arena = arena;
	} else {
		x = MEM_NEW(struct exchange);
		arena_init(&x->arena, 0);
	}
	x->conn = c;
	x->loop = hl->loop;
	return x;
}

void exchange_free(struct exchange *x)
{
	struct http_loop *hl = http_loop_of(x->loop);

	if (x->id.gen != 0) {
		slots_remove(&hl->exchanges, x->id);
		x->id = (struct slot_id){0};
	}
	buf_free(&x->body);
	arena_rewind(&x->arena, ARENA_KEPT);
	if (hl->n_free < EXCHANGES_KEPT) {
		x->next_free = hl->free;
		hl->free = x;
		hl->n_free++;
		return;
	}
	arena_fini(&x->arena);
	mem_free(x);
}

/* ---- servers ---- */

struct http_server *http_server_new(const struct http_limits *limits, dispatch_fn *fn, void *role)
{
	struct http_server *s = MEM_NEW(struct http_server);

	s->limits = limits ? *limits : http_limits_default;
	s->dispatch = fn;
	s->role = role;
	return s;
}

void http_server_serve(struct http_server *s, struct loops *loops)
{
	if (s->per_loop) {
		return;
	}
	s->loops = loops;
	s->per_loop = MEM_NEW_ARRAY(struct server_loop, loops->n);
	for (unsigned i = 0; i < loops->n; i++) {
		s->per_loop[i].loop = loops->v[i];
		s->per_loop[i].server = s;
		list_init(&s->per_loop[i].conns);
	}
}

enum err http_server_listen(struct http_server *s, struct loops *loops,
			    const struct http_listen *listen, struct fault *f)
{
	struct http_listener *hl = &s->listeners[s->n_listeners];
	enum err e;

	if (s->n_listeners == ARRAY_LEN(s->listeners)) {
		return fault_set(f, ERR_LIMIT, "at most %zu addresses for one role",
				 ARRAY_LEN(s->listeners));
	}
	http_server_serve(s, loops);
	hl->server = s;
	hl->proxy_protocol = listen->proxy_protocol;
	atomic_init(&hl->http2, listen->http2);
	atomic_init(&hl->tls, listen->tls ? tls_server_ref(listen->tls) : NULL);
	e = listener_open(loops,
			  &(struct listener_options){
				  .address = listen->address,
				  .fn = conn_accept,
				  .arg = hl,
				  .uses_reserve = s->limits.uses_reserve,
			  },
			  &hl->socket, f);
	if (e != ERR_OK) {
		struct tls_server *tls = atomic_load(&hl->tls);

		tls_server_unref(&tls);
		return e;
	}
	s->n_listeners++;
	return ERR_OK;
}

void http_server_accept(struct http_server *s)
{
	for (size_t i = 0; i < s->n_listeners; i++) {
		listener_start(s->listeners[i].socket);
	}
}

struct stream *http_server_connect(struct http_server *s, struct loop *l)
{
	struct stream *ends[2];

	pipe_stream_new(l, ends);
	conn_join(&s->per_loop[loop_index(l)], ends[0]);
	return ends[1];
}

void http_server_set_tls(struct http_server *s, size_t i, struct tls_server *tls)
{
	struct tls_server *old;

	ASSERT(i < s->n_listeners && tls && atomic_load(&s->listeners[i].tls));
	old = atomic_exchange(&s->listeners[i].tls, tls_server_ref(tls));
	loops_quiesce(s->loops);
	tls_server_unref(&old);
}

void http_server_set_http2(struct http_server *s, size_t i, bool http2)
{
	ASSERT(i < s->n_listeners);
	atomic_store_explicit(&s->listeners[i].http2, http2, memory_order_relaxed);
}

bool http_server_is_tls(const struct http_server *s, size_t i)
{
	return i < s->n_listeners && atomic_load(&s->listeners[i].tls);
}

const struct addr *http_server_addr(const struct http_server *s, size_t i)
{
	return i < s->n_listeners ? listener_addr(s->listeners[i].socket) : NULL;
}

static void drain_loop(struct loop *l, void *arg)
{
	struct server_loop *sl = arg;

	(void)l;
	LIST_EACH (&sl->conns, it) {
		struct conn *c = container_of(it, struct conn, node);

		if (c->h2) {
			h2_server_drain(c);
		} else if (c->state == CONN_IDLE && sl->server->drain_idle_ms > 0) {
			conn_enter(c, CONN_IDLE);
		} else if (c->state == CONN_IDLE && c->stream->in.n == 0) {
			conn_close(c); /* otherwise the next request has come and waits */
		}
	}
}

static void abort_loop(struct loop *l, void *arg)
{
	struct server_loop *sl = arg;

	(void)l;
	while (!list_is_empty(&sl->conns)) {
		conn_abort(container_of(list_first(&sl->conns), struct conn, node));
	}
}

static void on_each_loop(struct http_server *s, void (*fn)(struct loop *l, void *arg))
{
	for (unsigned i = 0; s->per_loop && i < s->loops->n; i++) {
		loop_call(s->loops->v[i], fn, &s->per_loop[i]);
	}
}

void http_server_drain(struct http_server *s, uint32_t idle_ms)
{
	atomic_store(&s->drain_idle_ms, idle_ms);
	atomic_store(&s->draining, true);
	for (size_t i = 0; i < s->n_listeners; i++) {
		listener_stop(s->listeners[i].socket);
	}
	on_each_loop(s, drain_loop);
}

unsigned http_server_active(const struct http_server *s)
{
	struct http_server_stats st;

	http_server_stats(s, &st);
	return (unsigned)st.connections;
}

void http_server_free(struct http_server **sp)
{
	struct http_server *s = *sp;

	if (!s) {
		return;
	}
	*sp = NULL;
	for (size_t i = 0; i < s->n_listeners; i++) {
		listener_free(&s->listeners[i].socket);
	}
	on_each_loop(s, abort_loop);
	for (size_t i = 0; i < s->n_listeners; i++) {
		struct tls_server *tls = atomic_load(&s->listeners[i].tls);

		tls_server_unref(&tls);
	}
	mem_free(s->per_loop);
	mem_free(s);
}

void http_server_stats(const struct http_server *s, struct http_server_stats *out)
{
	*out = (struct http_server_stats){0};
	for (unsigned i = 0; s->per_loop && i < s->loops->n; i++) {
		const struct server_loop *sl = &s->per_loop[i];

		out->connections_total += atomic_load(&sl->connections_total);
		out->requests_total += atomic_load(&sl->requests_total);
		out->bad_requests_total += atomic_load(&sl->bad_requests_total);
		out->floods_total += atomic_load(&sl->floods_total);
		out->connections += atomic_load(&sl->connections);
		out->waiting += atomic_load(&sl->in_state[CONN_IDLE]);
		out->reading += atomic_load(&sl->in_state[CONN_HEAD]) +
				atomic_load(&sl->in_state[CONN_HELD]) +
				atomic_load(&sl->in_state[CONN_BODY]) +
				atomic_load(&sl->in_state[CONN_DISCARD]);
		out->writing += atomic_load(&sl->in_state[CONN_ANSWER]) +
				atomic_load(&sl->in_state[CONN_H2]);
	}
}
