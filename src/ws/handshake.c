/* The opening handshake, both sides (RFC 6455 4). Extensions are neither offered nor taken. */
#include "base/enc.h"
#include "base/mem.h"
#include "base/rand.h"
#include "net/pipe_stream.h"
#include "ws/session_int.h"

#define ACCEPT_LEN 28
#define KEY_BYTES 16

/* ---- server ---- */

static size_t count_headers(const struct http_headers *h, struct str name)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++) {
		n += str_eq_nocase(h->v[i].name, name);
	}
	return n;
}

static bool is_key(struct str key)
{
	struct buf raw = {0};
	bool ok = base64_decode(&raw, key) == ERR_OK && raw.n == KEY_BYTES;

	buf_free(&raw);
	return ok;
}

/* 0 = fine, else the status of the refusal. */
static int judge_request(const struct http_request *r)
{
	const struct http_headers *h = &r->headers;

	if (r->method != HTTP_GET || r->minor != 1 || http_request_has_body(r)) {
		return 400;
	}
	if (!r->upgrade_websocket ||
	    !str_eq(http_header_get(h, STR("sec-websocket-version")), STR("13"))) {
		return 426;
	}
	if (count_headers(h, STR("sec-websocket-key")) != 1 ||
	    !is_key(http_header_get(h, STR("sec-websocket-key")))) {
		return 400;
	}
	return 0;
}

static void refuse(struct exchange *x, int status)
{
	static const struct http_header headers[] = {
		{STR_INIT("Upgrade"), STR_INIT("websocket")},
		{STR_INIT("Connection"), STR_INIT("Upgrade")},
		{STR_INIT("Sec-WebSocket-Version"), STR_INIT("13")},
	};
	struct exchange_answer a = {.status = status, .fd = -1};

	if (status == 426) {
		a.headers = headers;
		a.n_headers = ARRAY_LEN(headers);
	}
	exchange_reply(x, &a);
}

static void write_answer(struct stream *s, struct str key)
{
	struct buf *out = stream_out(s);
	char accept[ACCEPT_LEN];

	ws_accept_key(key, accept);
	h1_write_status_line(out, 101);
	h1_write_header(out, STR("Upgrade"), STR("websocket"));
	h1_write_header(out, STR("Connection"), STR("Upgrade"));
	h1_write_header(out, STR("Sec-WebSocket-Accept"), str_of(accept, ACCEPT_LEN));
	h1_write_end(out);
	stream_flush(s);
}

struct ws *ws_accept(struct exchange *x, const struct ws_options *o, const struct ws_handler *h,
		     void *user)
{
	const struct http_request *r = exchange_request(x);
	bool in_process = exchange_is_in_process(x);
	int status = judge_request(r);
	struct ws_options mine = *o;
	struct stream *s;
	struct str early;
	struct ws *w;

	if (status != 0) {
		refuse(x, status);
		return NULL;
	}
	s = exchange_hijack(x, &early);
	if (in_process) {
		mine.write_timeout_ms = PIPE_STREAM_PATIENCE_MS;
	}
	write_answer(s, http_header_get(&r->headers, STR("sec-websocket-key")));
	w = ws_start(s, WS_SERVER, &mine, h, user, early);
	exchange_release(x);
	return w;
}

/* ---- client ---- */

struct ws_connect {
	struct http_call *call;
	struct loop *loop;
	struct ws_options options;
	const struct ws_handler *handler;
	void *user;
	ws_connect_fn *fn; /* NULL when over */
	struct arena arena;
	struct str protocols; /* as offered */
	char accept[ACCEPT_LEN];
	int status;
	struct grave grave;
};

static void on_buried(struct grave *g)
{
	struct ws_connect *c = container_of(g, struct ws_connect, grave);

	arena_fini(&c->arena);
	mem_free(c);
}

static ws_connect_fn *connect_over(struct ws_connect *c)
{
	ws_connect_fn *fn = c->fn;

	c->fn = NULL;
	loop_bury(c->loop, &c->grave, on_buried);
	return fn;
}

static void refused(struct ws_connect *c, enum err why)
{
	connect_over(c)(c->user, NULL, why, c->status);
}

static enum err err_of_status(int status)
{
	switch (status) {
	case 401:
		return ERR_UNAUTHENTICATED;
	case 403:
		return ERR_DENIED;
	case 404:
		return ERR_NOT_FOUND;
	default:
		return status == 429 || status >= 500 ? ERR_UNAVAILABLE : ERR_PROTO;
	}
}

/* An answer, but not 101: its body does not matter. */
static void on_head(struct http_call *call, const struct http_response *r)
{
	struct ws_connect *c = http_call_user(call);

	c->status = r->status;
	http_call_cancel(call);
	refused(c, err_of_status(r->status));
}

static void on_data(struct http_call *call, struct str data)
{
	(void)call;
	(void)data;
}

static void on_end(struct http_call *call)
{
	(void)call; /* on_head was the end */
}

static void on_fail(struct http_call *call, enum err why)
{
	refused(http_call_user(call), why);
}

/* RFC 6455 4.1, the client's checks 2 to 6. */
static bool is_proper(const struct ws_connect *c, const struct http_headers *h)
{
	struct str protocol = http_header_get(h, STR("sec-websocket-protocol"));

	return str_eq_nocase(http_header_get(h, STR("upgrade")), STR("websocket")) &&
	       http_list_has(http_header_get(h, STR("connection")), STR("upgrade")) &&
	       str_eq(http_header_get(h, STR("sec-websocket-accept")),
		      str_of(c->accept, ACCEPT_LEN)) &&
	       count_headers(h, STR("sec-websocket-extensions")) == 0 &&
	       (!protocol.p || http_list_has(c->protocols, protocol));
}

static void on_upgrade(struct http_call *call, const struct http_response *r, struct stream *s,
		       struct str early)
{
	struct ws_connect *c = http_call_user(call);
	struct ws *w;

	c->status = r->status;
	if (!is_proper(c, &r->headers)) {
		stream_abort(s);
		refused(c, ERR_PROTO);
		return;
	}
	w = ws_start(s, WS_CLIENT, &c->options, c->handler, c->user, early);
	connect_over(c)(c->user, w, ERR_OK, c->status);
}

static const struct http_call_handler call_events = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_fail = on_fail,
	.on_upgrade = on_upgrade,
};

/* The caller's headers and ours. */
static struct http_headers make_headers(struct ws_connect *c, const struct http_header *headers,
					size_t n)
{
	struct http_headers h = {0};
	struct buf key = {0};
	char raw[KEY_BYTES];

	for (size_t i = 0; i < n; i++) {
		http_header_add(&c->arena, &h, headers[i].name, headers[i].value);
	}
	c->protocols = str_dup(&c->arena, http_header_get(&h, STR("sec-websocket-protocol")));
	rand_bytes(raw, sizeof(raw));
	base64_encode(&key, str_of(raw, sizeof(raw)));
	ws_accept_key(buf_str(&key), c->accept);
	http_header_add(&c->arena, &h, STR("Upgrade"), STR("websocket"));
	http_header_add(&c->arena, &h, STR("Sec-WebSocket-Version"), STR("13"));
	http_header_add(&c->arena, &h, STR("Sec-WebSocket-Key"), str_dup(&c->arena, buf_str(&key)));
	buf_free(&key);
	return h;
}

struct ws_connect *ws_connect(struct http_client *client, const struct ws_connect_spec *spec,
			      ws_connect_fn *fn, void *user)
{
	struct ws_connect *c = MEM_NEW(struct ws_connect);
	struct http_headers all;

	arena_init(&c->arena, 0);
	c->loop = http_client_loop(client);
	c->options = spec->options;
	c->handler = spec->handler;
	c->user = user;
	c->fn = fn;
	all = make_headers(c, spec->headers, spec->n_headers);
	struct http_call_spec call = {
		.uri = spec->uri,
		.method = STR("GET"),
		.headers = all.v,
		.n_headers = all.n,
		.fd = -1,
		.timeout_ms = spec->timeout_ms,
		.upgrade = true,
	};
	c->call = http_call_start(client, &call, &call_events, c);
	return c;
}

void ws_connect_cancel(struct ws_connect *c)
{
	if (c && c->fn) {
		http_call_cancel(c->call);
		(void)connect_over(c);
	}
}
