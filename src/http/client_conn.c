/*
 * One connection of the client.
 *
 *   RESOLVING -> CONNECTING -> TUNNELING -> SECURING -> BUSY <-> IDLE
 *                                (each of the two only where needed)
 *                                                 SHARED, with HTTP/2
 *   and from each to DEAD, which buries it.
 *
 * Until BUSY it works for the call that opened it, and a failure is that call's.
 * The addresses of a name are tried one after the other, each with its share of
 * what is left of the connect timeout.
 */
#include "base/log.h"
#include "base/mem.h"
#include "http/client_int.h"
#include "http/h2_call.h"
#include "http/server.h"
#include "tls/stream.h"

#define ADDR_TIMEOUT_MIN_MS 250

static const uint8_t conn_next[CONN_STATES] = {
	[CONN_RESOLVING] = 1u << CONN_CONNECTING | 1u << CONN_DEAD,
	[CONN_CONNECTING] = 1u << CONN_TUNNELING | 1u << CONN_SECURING | 1u << CONN_BUSY |
			    1u << CONN_SHARED | 1u << CONN_DEAD,
	[CONN_TUNNELING] =
		1u << CONN_SECURING | 1u << CONN_BUSY | 1u << CONN_SHARED | 1u << CONN_DEAD,
	[CONN_SECURING] = 1u << CONN_BUSY | 1u << CONN_SHARED | 1u << CONN_DEAD,
	[CONN_SHARED] = 1u << CONN_DEAD,
	[CONN_BUSY] = 1u << CONN_IDLE | 1u << CONN_DEAD,
	[CONN_IDLE] = 1u << CONN_BUSY | 1u << CONN_DEAD,
};

static void connect_next(struct client_conn *k);

void client_conn_enter(struct client_conn *k, enum conn_state to)
{
	ASSERT(k->state < CONN_STATES && conn_next[k->state] & 1u << to);
	k->state = (uint8_t)to;
}

/* ---- the end ---- */

static void on_buried(struct grave *g)
{
	struct client_conn *k = container_of(g, struct client_conn, grave);

	http_client_unref(k->client);
	mem_free(k);
}

void client_conn_uncount_idle(struct client_conn *k)
{
	list_remove(&k->idle);
	k->origin->n_idle--;
	k->client->stats.idle--;
}

void client_conn_close(struct client_conn *k)
{
	struct client_origin *o = k->origin;

	if (k->state == CONN_DEAD) {
		return;
	}
	if (k->state == CONN_IDLE) {
		client_conn_uncount_idle(k);
	}
	client_conn_enter(k, CONN_DEAD);
	o->n_conns--;
	k->client->stats.connections--;
	list_remove(&k->node);
	timer_stop(k->loop, &k->timer);
	dns_cancel(k->query);
	if (k->stream && k->h2 && k->why != ERR_TIMEOUT) {
		stream_close(k->stream); /* a GOAWAY may be on its way */
	} else if (k->stream) {
		stream_abort(k->stream);
	}
	k->stream = NULL;
	mem_free(k->addrs);
	k->addrs = NULL;
	k->call = NULL;
	k->origin = NULL;
	loop_bury(k->loop, &k->grave, on_buried);
	client_origin_kick(o);
	h2_client_gone(k);
}

static void conn_failed(struct client_conn *k, enum err why)
{
	struct http_call *c = k->call;
	struct client_origin *o = k->origin;
	bool unsecured = k->state == CONN_SECURING;
	struct list waiting;
	struct list_node *n;

	list_init(&waiting);
	client_conn_close(k);
	c->conn = NULL;
	if (o->route.h2) {
		list_splice(&waiting, &o->waiting); /* for this connection, as no other had room */
	}
	c->unsecured = unsecured;
	http_call_fail(c, why);
	while ((n = list_first(&waiting))) {
		c = container_of(n, struct http_call, wait);
		c->unsecured = unsecured;
		http_call_fail(c, why);
	}
}

struct stream *client_conn_take_stream(struct client_conn *k)
{
	struct stream *s = k->stream;

	ASSERT(k->state == CONN_BUSY);
	k->stream = NULL;
	client_conn_close(k);
	return s;
}

/* ---- carrying calls ---- */

static size_t tunnel_on_data(struct client_conn *k, char *p, size_t n);

static size_t on_data(struct stream *s, char *p, size_t n)
{
	struct client_conn *k = s->user;

	switch ((enum conn_state)k->state) {
	case CONN_BUSY:
		k->got_bytes = true;
		return http_call_on_data(k->call, p, n);
	case CONN_TUNNELING:
		return tunnel_on_data(k, p, n);
	case CONN_IDLE:
	case CONN_RESOLVING:
	case CONN_CONNECTING:
	case CONN_SECURING:
	case CONN_SHARED:
	case CONN_DEAD:
	case CONN_STATES:
		break;
	}
	/* An answer that nobody asked for: it must not meet the next call. */
	client_conn_close(k);
	return n;
}

static void on_drained(struct stream *s)
{
	struct client_conn *k = s->user;
	struct http_call *c = k->call;

	if (c && k->state == CONN_BUSY && c->handler->on_writable) {
		c->handler->on_writable(c);
	}
}

static void on_close(struct stream *s, enum err why)
{
	struct client_conn *k = s->user;
	struct http_call *c = k->call;
	bool unanswered = k->reused && !k->got_bytes;

	k->stream = NULL; /* frees itself */
	if (k->state == CONN_IDLE) {
		client_conn_close(k);
	} else if (k->state == CONN_TUNNELING || k->state == CONN_SECURING) {
		conn_failed(k, ERR_UNAVAILABLE);
	} else {
		client_conn_close(k);
		c->conn = NULL;
		http_call_on_gone(c, why, unanswered);
	}
}

static const struct stream_handler stream_events = {
	.on_data = on_data,
	.on_drained = on_drained,
	.on_close = on_close,
};

static void on_idle_too_long(struct timer *t)
{
	client_conn_close(container_of(t, struct client_conn, timer));
}

void client_conn_idle(struct client_conn *k, uint32_t ms)
{
	client_conn_enter(k, CONN_IDLE);
	k->idle_since_ms = loop_now_ms(k->loop);
	stream_resume_read(k->stream); /* so that its end is seen */
	timer_start(k->loop, &k->timer, ms, on_idle_too_long);
}

/* By ALPN with TLS, by prior knowledge without (RFC 9113 3.2, 3.3). */
static bool speaks_h2(const struct client_conn *k)
{
	struct tls_info info;

	return !tls_stream_info(k->stream, &info) || str_eq(info.alpn, STR("h2"));
}

static void ready_to_share(struct client_conn *k)
{
	struct http_call *c = k->call;

	if (!speaks_h2(k)) {
		log_warn("http", "a server does not speak HTTP/2",
			 LOG_STR("host", k->origin->route.host));
		conn_failed(k, ERR_UNAVAILABLE);
		return;
	}
	client_conn_enter(k, CONN_SHARED);
	k->call = NULL;
	h2_client_start(k, c->write_timeout_ms);
	if (!h2_call_send(k, c)) {
		c->conn = NULL;
		http_call_fail(c, ERR_UNAVAILABLE);
		return;
	}
	client_origin_kick(k->origin);
}

static void ready(struct client_conn *k)
{
	timer_pause(&k->timer);
	if (k->origin->route.h2) {
		ready_to_share(k);
		return;
	}
	client_conn_enter(k, CONN_BUSY);
	http_call_send(k->call);
}

/* ---- TLS ---- */

static void on_secured(struct stream *s, enum err result, const char *why)
{
	struct client_conn *k = s->user;

	if (result == ERR_OK) {
		ready(k);
		return;
	}
	/* on_close follows. */
	log_warn("http", "TLS to a server failed", LOG_STR("host", k->origin->route.sni),
		 LOG_CSTR("reason", why));
}

/* Connected, and through the tunnel if there is one. The connect timeout runs on. */
static void secure(struct client_conn *k)
{
	const struct client_route *r = &k->origin->route;

	if (!r->tls) {
		ready(k);
		return;
	}
	client_conn_enter(k, CONN_SECURING);
	tls_stream_connect(k->stream, &(struct tls_connect){
					      .client = r->tls,
					      .host = r->sni,
					      .on_done = on_secured,
				      });
}

/* ---- through a proxy ---- */

static void start_tunnel(struct client_conn *k)
{
	const struct client_route *r = &k->origin->route;
	struct buf *out = stream_out(k->stream);

	client_conn_enter(k, CONN_TUNNELING);
	ASSERT(h1_write_request_line(out, STR("CONNECT"), r->tunnel) == ERR_OK);
	h1_write_header(out, STR("Host"), r->tunnel);
	if (r->proxy->authorization.n > 0) {
		h1_write_header(out, STR("Proxy-Authorization"), r->proxy->authorization);
	}
	h1_write_end(out);
	stream_flush(k->stream);
}

/* The proxy's answer: any 2xx without a byte behind it opens the tunnel. */
static size_t tunnel_on_data(struct client_conn *k, char *p, size_t n)
{
	struct http_call *c = k->call;
	struct http_response r;
	enum err e = h1_parse_response(&c->arena, str_of(p, n), k->client->options.head,
				       HTTP_CONNECT, &c->scan, &r);
	size_t len = c->scan.head;

	if (e == ERR_AGAIN) {
		return 0;
	}
	c->scan = (struct h1_scan){0};
	if (e == ERR_OK && (r.status < 200 || r.status > 299)) {
		log_warn("http", "the proxy refused a tunnel", LOG_INT("status", r.status));
		e = ERR_UNAVAILABLE;
	} else if (e == ERR_OK && len != n) {
		e = ERR_PROTO;
	}
	if (e != ERR_OK) {
		conn_failed(k, e);
		return n;
	}
	secure(k);
	return n;
}

/* ---- connecting ---- */

static void on_connect(struct stream *s, void *user, enum err result)
{
	struct client_conn *k = user;

	if (result != ERR_OK) {
		k->stream = NULL;
		if (result == ERR_EXHAUSTED && !k->made_room && client_pool_make_room(k->client)) {
			k->made_room = true;
			k->next_addr--;
			connect_next(k);
		} else if (k->next_addr < k->addrs->n) {
			connect_next(k);
		} else {
			conn_failed(k, result);
		}
		return;
	}
	s->write_timeout_ms = k->call->write_timeout_ms;
	mem_free(k->addrs);
	k->addrs = NULL;
	if (k->origin->route.kind == ROUTE_TUNNEL) {
		start_tunnel(k);
	} else {
		secure(k);
	}
}

static void connect_next(struct client_conn *k)
{
	uint64_t now = loop_now_ms(k->loop);
	uint64_t left = k->connect_by_ms > now ? k->connect_by_ms - now : 1;
	size_t addrs_left = k->addrs->n - k->next_addr;
	uint64_t share = MAX(left / addrs_left, ADDR_TIMEOUT_MIN_MS);

	k->client->stats.connects_total++;
	k->stream = stream_connect(k->loop, &k->addrs->addrs[k->next_addr++], (uint32_t)share,
				   on_connect, &stream_events, k);
}

static void on_resolved(void *arg, const struct dns_answer *answer)
{
	struct client_conn *k = arg;

	k->query = NULL;
	if (answer->result != ERR_OK) {
		conn_failed(k, answer->result == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE);
		return;
	}
	client_conn_enter(k, CONN_CONNECTING);
	k->addrs = MEM_NEW(struct dns_answer);
	*k->addrs = *answer;
	connect_next(k);
}

static void on_connect_timeout(struct timer *t)
{
	conn_failed(container_of(t, struct client_conn, timer), ERR_TIMEOUT);
}

/* One address, as if it had been looked up. */
static void connect_to(struct client_conn *k, const struct addr *peer)
{
	client_conn_enter(k, CONN_CONNECTING);
	k->addrs = MEM_NEW(struct dns_answer);
	k->addrs->n = 1;
	k->addrs->addrs[0] = *peer;
	connect_next(k);
}

/* There is nothing to wait for, and nothing that can fail. */
static void join(struct client_conn *k, struct http_server *server)
{
	client_conn_enter(k, CONN_CONNECTING);
	k->client->stats.connects_total++;
	k->stream = http_server_connect(server, k->loop);
	stream_set_handler(k->stream, &stream_events, k);
	k->stream->write_timeout_ms = k->call->write_timeout_ms;
	ready(k);
}

void client_conn_open(struct client_origin *o, struct http_call *c)
{
	struct http_client *client = o->client;
	struct client_conn *k = MEM_NEW(struct client_conn);
	uint32_t timeout_ms =
		c->connect_timeout_ms ? c->connect_timeout_ms : client->options.connect_timeout_ms;
	struct dns_query *q;

	k->client = client;
	k->origin = o;
	k->loop = client->loop;
	k->call = c;
	c->conn = k;
	http_client_ref(client);
	list_push(&o->busy, &k->node);
	o->n_conns++;
	client->stats.connections++;
	http_call_enter(c, CALL_CONNECTING);
	k->connect_by_ms = loop_now_ms(k->loop) + timeout_ms;
	timer_start(k->loop, &k->timer, timeout_ms, on_connect_timeout);
	if (o->route.server) {
		join(k, o->route.server);
		return;
	}
	if (o->route.peer) {
		connect_to(k, o->route.peer);
		return;
	}
	q = dns_lookup(k->loop, o->route.host, o->route.port, on_resolved, k);
	if (q) {
		k->query = q; /* otherwise on_resolved has been called */
	}
}
