/* The request side of an exchange: identity, body, hijacking, the end. */
#include "base/mem.h"
#include "http/server_int.h"

const struct http_request *exchange_request(const struct exchange *x)
{
	return &x->req;
}

struct http_headers *exchange_headers(struct exchange *x)
{
	return &x->req.headers;
}

struct arena *exchange_arena(struct exchange *x)
{
	return &x->arena;
}

struct loop *exchange_loop(const struct exchange *x)
{
	return x->loop;
}

struct exchange_id exchange_id(struct exchange *x)
{
	return (struct exchange_id){x->loop, x->id};
}

struct exchange *exchange_find(struct exchange_id id)
{
	ASSERT(id.loop == loop_current());
	return slots_get(&http_loop_of(id.loop)->exchanges, id.id);
}

void exchange_set_user(struct exchange *x, void *user)
{
	x->user = user;
}

void *exchange_user(const struct exchange *x)
{
	return x->user;
}

const struct addr *exchange_peer(struct exchange *x)
{
	if (!x->peer) {
		x->peer = ARENA_NEW(&x->arena, struct addr);
		if (x->in_process) {
			if (!x->conn || stream_peer(x->conn->stream, x->peer) != ERR_OK) {
				x->peer->len = 0;
			}
		} else if (x->conn) {
			x->peer->len = sizeof(x->conn->peer);
			memcpy(&x->peer->sa, &x->conn->peer, sizeof(x->conn->peer));
		}
	}
	return x->peer;
}

/* The kernel is asked once a connection; one that has just broken has no address. */
static const union peer *local_of(struct conn *c)
{
	struct addr a;

	if (!c->local) {
		c->local = MEM_NEW(union peer);
		if (stream_local(c->stream, &a) == ERR_OK) {
			memcpy(c->local, &a.sa, sizeof(*c->local));
		}
	}
	return c->local;
}

const struct addr *exchange_local(struct exchange *x)
{
	if (!x->local) {
		x->local = ARENA_NEW(&x->arena, struct addr);
		if (x->conn && local_of(x->conn)->sa.sa_family != AF_UNSPEC) {
			x->local->len = sizeof(*x->conn->local);
			memcpy(&x->local->sa, x->conn->local, sizeof(*x->conn->local));
		}
	}
	return x->local;
}

bool exchange_is_in_process(const struct exchange *x)
{
	return x->in_process;
}

bool exchange_is_tls(const struct exchange *x)
{
	return x->is_tls;
}

bool exchange_tls_info(const struct exchange *x, struct tls_info *out)
{
	return x->conn && tls_stream_info(x->conn->stream, out);
}

const struct stream *exchange_connection(const struct exchange *x)
{
	return x->conn ? x->conn->stream : NULL;
}

struct str exchange_host(const struct exchange *x)
{
	return x->req.authority;
}

/* Host is the client's if the route preserves it; only then are mapped ports what they seem. */
static struct str host_behind_gateway(struct exchange *x, bool tls)
{
	const struct http_headers *h = &x->req.headers;
	struct str host = http_header_get(h, STR("X-Forwarded-Host"));
	struct str port = http_header_get(h, STR("X-Forwarded-Port"));

	if (host.n == 0 || str_starts(x->req.authority, host)) {
		return x->req.authority;
	}
	if (port.n == 0 || str_eq(port, tls ? STR("443") : STR("80"))) {
		return host;
	}
	return str_fmt(&x->arena, "%.*s:%.*s", STR_ARG(host), STR_ARG(port));
}

static struct str base_url_behind_gateway(struct exchange *x)
{
	const struct http_headers *h = &x->req.headers;
	bool tls = str_eq(http_header_get(h, STR("X-Forwarded-Proto")), STR("https"));
	struct str host = host_behind_gateway(x, tls);
	struct str prefix = http_header_get(h, STR("X-Forwarded-Prefix"));

	if (str_ends(prefix, STR("/"))) {
		prefix.n--;
	}
	return str_fmt(&x->arena, "%s://%.*s%.*s", tls ? "https" : "http", STR_ARG(host),
		       STR_ARG(prefix));
}

struct str exchange_base_url(struct exchange *x)
{
	if (x->in_process) {
		return base_url_behind_gateway(x);
	}
	return str_fmt(&x->arena, "%s://%.*s", x->is_tls ? "https" : "http",
		       STR_ARG(x->req.authority));
}

uint64_t exchange_start_ms(const struct exchange *x)
{
	return x->start_ms;
}

/* ---- body ---- */

void exchange_too_large(struct exchange *x)
{
	if (x->h && x->h->on_too_large && !x->answer_begun) {
		x->h->on_too_large(x);
	} else if (x->h2) {
		h2_exchange_refuse(x, 413);
	} else {
		conn_refuse(x->conn, 413);
	}
}

void exchange_keep(struct exchange *x, struct str data)
{
	if (!x->h->on_keep || x->h->on_keep(x, data.n)) {
		buf_put(&x->body, data);
	}
}

static void accept_body(struct exchange *x, uint64_t max, const struct exchange_handler *h)
{
	struct conn *c = x->conn;

	ASSERT(!x->accepted && c);
	x->accepted = true;
	x->h = h;
	x->body_max = max;
	if (x->body_left > max) {
		exchange_too_large(x);
		return;
	}
	if (x->body_done) {
		if (h->on_end) {
			h->on_end(x);
		}
		return;
	}
	if (x->h2) {
		h2_exchange_accept(x);
		return;
	}
	conn_resume_body(c);
}

void exchange_collect(struct exchange *x, size_t max, const struct exchange_handler *h)
{
	x->collecting = true;
	accept_body(x, max, h);
}

void exchange_stream(struct exchange *x, uint64_t max, const struct exchange_handler *h)
{
	accept_body(x, max, h);
}

struct str exchange_body(const struct exchange *x)
{
	return buf_str(&x->body);
}

void exchange_take(struct exchange *x, struct arena *out_arena, struct http_request *out_request,
		   struct buf *out_body)
{
	*out_arena = x->arena;
	arena_init(&x->arena, 0);
	*out_request = x->req;
	x->peer = NULL;
	x->local = NULL;
	buf_move(out_body, &x->body);
}

void exchange_pause_body(struct exchange *x)
{
	x->paused = true;
	if (x->h2) {
		h2_exchange_pause(x);
	} else if (x->conn && x->conn->state == CONN_BODY) {
		conn_enter(x->conn, CONN_HELD);
	}
}

void exchange_resume_body(struct exchange *x)
{
	x->paused = false;
	if (x->h2) {
		h2_exchange_resume(x);
	} else if (x->conn && x->accepted) {
		conn_resume_body(x->conn);
	}
}

/* ---- the end, and leaving HTTP ---- */

void exchange_abort(struct exchange *x, int status)
{
	const struct exchange_handler *h = x->h;

	x->conn = NULL;
	x->h2 = NULL;
	x->h = NULL;
	if (h && h->on_abort) {
		h->on_abort(x, status);
	}
	exchange_free(x);
}

struct stream *exchange_hijack(struct exchange *x, struct str *early)
{
	struct conn *c = x->conn;
	struct stream *s;
	struct str rest;

	ASSERT(c && !x->h2 && x->body_done && !x->answer_begun);
	(void)exchange_peer(x); /* while the connection still knows */
	(void)exchange_local(x);
	x->hijacked_from = c->owner;
	c->owner->hijacked++;
	rest = c->in_on_data ? c->rest : buf_str(&c->stream->in);
	*early = str_dup(&x->arena, rest);
	if (!c->in_on_data) {
		buf_free(&c->stream->in);
	}
	s = conn_release_stream(c);
	x->conn = NULL;
	stream_set_handler(s, NULL, NULL);
	s->read_paused = false;
	return s;
}

void exchange_release(struct exchange *x)
{
	ASSERT(!x->conn && x->hijacked_from);
	x->hijacked_from->hijacked--;
	exchange_free(x);
}
