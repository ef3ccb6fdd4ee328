/*
 * Which connection a call gets. An origin is one place to connect to: a target, a
 * proxy, or a target through a proxy's tunnel. It exists while it has a connection
 * or a call, so there are never more origins than connections and calls.
 *
 * Of the idle connections the latest used is taken: the others may reach their
 * timeout, and it is the least likely to have been given up by the peer. A request
 * that cannot be sent again takes one that was used a moment ago, or a new one.
 */
#include "base/mem.h"
#include "http/client_int.h"
#include "http/h2_call.h"

#define KEY_MAX 900
#define FRESH_MS 1000 /* no server is known that gives up sooner */

/* ---- origins ---- */

static char *put_folded(char *p, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		*p++ = ascii_lower(s.p[i]);
	}
	return p;
}

static char *put_bytes(char *p, const void *from, size_t n)
{
	memcpy(p, from, n);
	return p + n;
}

/*
 * Host names fold case, so one target has one pool; a connection secured by one context is
 * none for another. Bytes rather than text, since each call makes one; lengths go first, so
 * that no two routes have the same. Returns 0 when too long.
 */
static size_t make_key(const struct client_route *r, char out[KEY_MAX])
{
	struct {
		uint16_t kind, port, host_n, tunnel_n, sni_n, peer_n;
	} head = {
		.kind = (uint16_t)(r->kind << 2 | (r->server ? 2 : 0) | (r->h2 ? 1 : 0)),
		.port = r->port,
		.host_n = (uint16_t)r->host.n,
		.tunnel_n = (uint16_t)r->tunnel.n,
		.sni_n = (uint16_t)(r->tls ? r->sni.n : 0),
		.peer_n = (uint16_t)(r->peer ? r->peer->len : 0),
	};
	char *p = out;

	if (sizeof(head) + r->host.n + r->tunnel.n + r->sni.n + sizeof(void *) +
		    sizeof(struct sockaddr_storage) >
	    KEY_MAX - sizeof(void *)) {
		return 0;
	}
	p = put_bytes(p, &head, sizeof(head));
	p = put_folded(p, r->host);
	p = put_folded(p, r->tunnel);
	if (r->tls) {
		p = put_bytes(p, &r->tls, sizeof(void *)); /* the origin keeps it alive */
		p = put_folded(p, r->sni);
	}
	if (r->peer) {
		p = put_bytes(p, &r->peer->sa, r->peer->len);
	}
	if (r->server) {
		p = put_bytes(p, &r->server, sizeof(void *));
	}
	return (size_t)(p - out);
}

static struct str append(char **at, struct str s)
{
	char *p = *at;

	if (s.n > 0) {
		memcpy(p, s.p, s.n);
	}
	*at += s.n;
	return str_of(p, s.n);
}

static struct client_origin *origin_new(struct http_client *c, const struct client_route *r,
					struct str key)
{
	struct client_origin *o =
		mem_zalloc(sizeof(*o) + key.n + r->host.n + r->tunnel.n + r->sni.n);
	char *at = o->text;

	o->client = c;
	o->route = *r;
	o->streams_at_first = STREAMS_AT_FIRST;
	if (r->peer) {
		o->peer = *r->peer;
		o->route.peer = &o->peer;
	}
	o->key = append(&at, key);
	o->route.host = append(&at, r->host);
	o->route.tunnel = append(&at, r->tunnel);
	o->route.sni = append(&at, r->sni);
	o->route.tls = r->tls ? tls_client_ref(r->tls) : NULL;
	list_init(&o->idle);
	list_init(&o->busy);
	list_init(&o->waiting);
	(void)map_set(&c->origins, o->key, o);
	return o;
}

static bool is_origin_of(const struct client_origin *o, const struct client_route *r)
{
	const struct client_route *have = &o->route;

	return have->port == r->port && have->kind == r->kind && have->h2 == r->h2 &&
	       have->server == r->server && have->tls == r->tls && !have->peer == !r->peer &&
	       (!r->peer || (o->peer.len == r->peer->len &&
			     memcmp(&o->peer.sa, &r->peer->sa, r->peer->len) == 0)) &&
	       str_eq_nocase(have->host, r->host) && str_eq_nocase(have->tunnel, r->tunnel) &&
	       (!r->tls || str_eq_nocase(have->sni, r->sni));
}

/* A guess that a few origins in turn seldom share; is_origin_of has the last word. */
static struct client_origin **recent_of(struct http_client *c, const struct client_route *r)
{
	uint64_t mix = (uint64_t)r->port ^ (uintptr_t)r->server ^ (uintptr_t)r->tls;
	struct str host = r->host;

	if (r->peer) {
		/* Port and IPv4 address, or the end of an IPv6 address. */
		mix ^= str_load8((const char *)&r->peer->sa + (r->peer->len > 24 ? 16 : 0));
	} else if (host.n > 0) {
		mix ^= (uint64_t)host.n << 16 ^ (uint8_t)host.p[0] ^
		       (uint64_t)(uint8_t)host.p[host.n / 2] << 8;
	}
	mix *= UINT64_C(0x9e3779b97f4a7c15);
	return &c->recent[mix >> 32 & (CLIENT_RECENT_ORIGINS - 1)];
}

struct client_origin *client_origin_get(struct http_client *c, const struct client_route *r)
{
	struct client_origin **recent = recent_of(c, r), *o = *recent;
	char text[KEY_MAX];
	struct str key;

	if (LIKELY(o && is_origin_of(o, r))) {
		return o;
	}
	key = str_of(text, make_key(r, text));
	if (key.n == 0) {
		return NULL;
	}
	o = map_get(&c->origins, key);
	return *recent = o ? o : origin_new(c, r, key);
}

/* All places: hosts that differ in case are one origin, and may be looked for in two. */
static void forget_recent(const struct client_origin *o)
{
	for (size_t i = 0; i < CLIENT_RECENT_ORIGINS; i++) {
		if (o->client->recent[i] == o) {
			o->client->recent[i] = NULL;
		}
	}
}

static void close_all(struct list *conns)
{
	struct list_node *n;

	while ((n = list_first(conns))) {
		client_conn_close(container_of(n, struct client_conn, node));
	}
}

static void on_buried(struct grave *g)
{
	struct client_origin *o = container_of(g, struct client_origin, grave);

	tls_client_unref(&o->route.tls);
	mem_free(o);
}

void client_origin_free(struct client_origin *o)
{
	close_all(&o->idle);
	close_all(&o->busy);
	later_cancel(&o->work);
	(void)map_remove(&o->client->origins, o->key);
	forget_recent(o);
	loop_bury(o->client->loop, &o->grave, on_buried);
}

/* ---- dispatch ---- */

static bool has_room(const struct client_origin *o)
{
	uint32_t max = o->client->options.connections_max;

	return max == 0 || o->n_conns < max;
}

static void use_idle(struct client_conn *k, struct http_call *c)
{
	struct client_origin *o = k->origin;

	list_remove(&k->node);
	list_push(&o->busy, &k->node);
	client_conn_uncount_idle(k);
	o->client->stats.reused_total++;
	timer_pause(&k->timer);
	k->reused = true;
	k->call = c;
	c->conn = k;
	client_conn_enter(k, CONN_BUSY);
	http_call_send(c);
}

static struct client_conn *first_idle(const struct client_origin *o)
{
	struct list_node *n = list_first(&o->idle);

	return n ? container_of(n, struct client_conn, node) : NULL;
}

/* Whether the call may go on a kept connection: if that dies, it must not be lost. */
static bool may_use(const struct http_call *c, const struct client_conn *k)
{
	if (c->retried || k->stream->readable) {
		return false; /* what waits to be read there is its end, or nothing we asked for */
	}
	return loop_now_ms(k->loop) - k->idle_since_ms <= FRESH_MS || http_call_is_replayable(c);
}

/*
 * One that takes another stream; NULL with `*out_coming` when one to share is being opened. There
 * are never more of them than calls, as each that is passed over has a call on it that is the
 * reason.
 */
static struct client_conn *shared_with_room(const struct http_call *c, bool *out_coming)
{
	const struct client_origin *o = c->origin;
	bool may_choose = has_room(o);

	*out_coming = false;
	LIST_EACH (&o->busy, it) {
		struct client_conn *k = container_of(it, struct client_conn, node);

		if (k->state != CONN_SHARED) {
			*out_coming |= !h2_call_has_large_head(k->call);
		} else if (h2_client_has_room(k) && (!may_choose || h2_client_has_room_for(k, c))) {
			return k;
		}
	}
	return NULL;
}

static bool serve_shared(struct http_call *c)
{
	struct client_origin *o = c->origin;
	bool coming;
	struct client_conn *k = shared_with_room(c, &coming);

	if (k && h2_call_send(k, c)) {
		o->client->stats.reused_total++;
		return true;
	}
	if ((coming && !h2_call_has_large_head(c)) || !has_room(o)) {
		return false;
	}
	client_conn_open(o, c);
	return true;
}

static bool serve(struct http_call *c)
{
	struct client_origin *o = c->origin;
	struct client_conn *idle = first_idle(o);

	if (o->route.h2) {
		return serve_shared(c);
	}
	if (idle && may_use(c, idle)) {
		use_idle(idle, c);
		return true;
	}
	if (idle && !has_room(o)) {
		client_conn_close(idle);
	}
	if (has_room(o)) {
		client_conn_open(o, c);
		return true;
	}
	return false;
}

void client_pool_dispatch(struct http_call *c)
{
	struct client_origin *o = c->origin;

	/*
	 * Who came first is served first, where there is not enough for all. Streams may be had
	 * while others wait for a connection to be opened.
	 */
	if ((list_is_empty(&o->waiting) || (o->route.h2 && has_room(o))) && serve(c)) {
		return;
	}
	list_push(&o->waiting, &c->wait);
	o->client->stats.waiting++;
	client_origin_kick(o);
}

static void on_work(struct later *w)
{
	struct client_origin *o = container_of(w, struct client_origin, work);

	while (!list_is_empty(&o->waiting) && (o->n_idle > 0 || has_room(o) || o->route.h2)) {
		struct list_node *n = list_pop(&o->waiting);

		if (!serve(container_of(n, struct http_call, wait))) {
			list_push_front(&o->waiting, n);
			return;
		}
		o->client->stats.waiting--;
		if (o->client->closed || list_is_linked(&o->work.node)) {
			return; /* over, or asked for again: something ended under our hands */
		}
	}
	if (o->n_conns == 0 && list_is_empty(&o->waiting)) {
		client_origin_free(o);
	}
}

void client_origin_kick(struct client_origin *o)
{
	if (!o->client->closed) {
		loop_later(o->client->loop, &o->work, on_work);
	}
}

bool client_pool_make_room(struct http_client *c)
{
	LIST_EACH (&c->idle, it) {
		struct client_conn *k = container_of(it, struct client_conn, idle);

		if (!k->origin->route.server) {
			client_conn_close(k);
			return true;
		}
	}
	return false;
}

/* ---- release ---- */

/* Nothing unread (it would become the answer to the next call), nothing unsent. */
static bool is_clean(const struct client_conn *k)
{
	return k->stream && !k->stream->readable && stream_pending(k->stream) == 0;
}

static uint32_t keep_ms(const struct client_conn *k)
{
	uint32_t ours = k->client->options.idle_timeout_ms;

	return k->keep_ms > 0 ? MIN(k->keep_ms, ours) : ours;
}

void client_pool_release(struct client_conn *k, bool reusable)
{
	struct client_origin *o = k->origin;
	struct http_client *c = k->client;

	k->call = NULL;
	if (!reusable || c->closed || !is_clean(k) || o->n_idle >= c->options.pool_per_origin) {
		client_conn_close(k);
		return;
	}
	if (c->stats.idle >= c->options.idle_max && c->stats.idle > 0) {
		client_conn_close(container_of(list_first(&c->idle), struct client_conn, idle));
	}
	list_remove(&k->node);
	list_push_front(&o->idle, &k->node);
	list_push(&c->idle, &k->idle);
	o->n_idle++;
	c->stats.idle++;
	client_conn_idle(k, keep_ms(k));
	if (!list_is_empty(&o->waiting)) {
		client_origin_kick(o);
	}
}
