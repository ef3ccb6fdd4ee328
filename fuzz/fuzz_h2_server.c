/*
 * Frames from a hostile client, behind a proper preface and SETTINGS. The first byte of
 * the input says where the rest is cut in two. Every request that reaches the role must
 * be one that our own HTTP/1 parser takes when it is written out: nothing is smuggled.
 */
#include "base/mem.h"
#include "http/server_int.h"

#include <sys/socket.h>
#include <unistd.h>

#define TURNS 12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

/* ---- the role ---- */

static void check_request(const struct http_request *r, struct arena *a)
{
	struct h1_scan scan = {0};
	struct http_request again;
	struct buf b = {0};
	int status = 0;

	ASSERT(r->major == 2 && r->headers.n > 0);
	ASSERT(h1_write_request_line(&b, r->method_text, r->target) == ERR_OK);
	for (size_t i = 0; i < r->headers.n; i++) {
		h1_write_header(&b, r->headers.v[i].name, r->headers.v[i].value);
	}
	h1_write_end(&b);
	ASSERT(h1_parse_request(a, buf_str(&b), &h1_limits_default, &scan, &again, &status) ==
	       ERR_OK);
	ASSERT(scan.head == b.n && again.headers.n == r->headers.n);
	ASSERT(str_eq(again.path, r->path) && str_eq_nocase(again.authority, r->authority));
	ASSERT(r->framing != HTTP_BODY_LENGTH || again.content_length == r->content_length);
	ASSERT(again.framing != HTTP_BODY_CHUNKED && !again.upgrade_websocket);
	buf_free(&b);
}

static void on_data(struct exchange *x, struct str data)
{
	exchange_write(x, data);
	if (data.n % 3 == 0) {
		exchange_pause_body(x);
		exchange_resume_body(x);
	}
}

static void on_trailers(struct exchange *x, const struct http_headers *trailers)
{
	exchange_set_user(x, (void *)(uintptr_t)trailers);
}

static void on_end(struct exchange *x)
{
	const struct http_headers *t = exchange_user(x);

	exchange_finish_trailers(x, t ? t->v : NULL, t ? t->n : 0);
}

static void on_collected(struct exchange *x)
{
	exchange_reply(x, &(struct exchange_answer){.status = 200, .body = exchange_body(x)});
}

static void on_abort(struct exchange *x, int status)
{
	(void)x;
	(void)status;
}

static const struct exchange_handler streamed = {
	.on_data = on_data, .on_trailers = on_trailers, .on_end = on_end, .on_abort = on_abort};
static const struct exchange_handler collected = {.on_end = on_collected, .on_abort = on_abort};

static void dispatch(struct exchange *x, void *role)
{
	const struct http_request *r = exchange_request(x);

	(void)role;
	check_request(r, exchange_arena(x));
	switch (r->path.n % 5) {
	case 0:
		exchange_collect(x, 1000, &collected);
		break;
	case 1:
		exchange_reply_text(x, 200, STR("text/plain"), STR("hello"));
		break;
	case 2:
		exchange_start(x, 200, NULL, 0, -1);
		exchange_stream(x, UINT64_MAX, &streamed);
		break;
	case 3:
		exchange_start(x, 204, NULL, 0, -1);
		exchange_cut(x);
		break;
	default:
		break; /* never answered, never asked for its body */
	}
}

/* ---- turns of the loop ---- */

struct game {
	struct loop *loop;
	struct http_server *server;
	struct later turn;
	int peer;
	struct str in;
	size_t cut;
	unsigned turns;
};

static void on_turn(struct later *w)
{
	struct game *g = container_of(w, struct game, turn);
	size_t part = g->turns == 0 ? g->cut : g->in.n;
	char junk[65536];

	if (part > 0) {
		ssize_t sent = send(g->peer, g->in.p, part, MSG_NOSIGNAL | MSG_DONTWAIT);

		g->in = str_skip(g->in, sent > 0 ? (size_t)sent : part);
	}
	while (recv(g->peer, junk, sizeof(junk), MSG_DONTWAIT) > 0) {
	}
	if (++g->turns == TURNS) {
		(void)shutdown(g->peer, SHUT_WR);
	}
	if (http_server_active(g->server) == 0 && !loop_has_ends(g->loop)) {
		loop_stop(g->loop);
	} else {
		loop_next_turn(g->loop, &g->turn, on_turn);
	}
}

static void wire(struct http_server *s, struct loops *loops)
{
	s->loops = loops;
	s->per_loop = MEM_NEW(struct server_loop);
	s->per_loop->loop = loops->v[0];
	s->per_loop->server = s;
	list_init(&s->per_loop->conns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct loop *loop = loop_new(0);
	struct loops loops = {.v = &loop, .n = 1};
	struct http_server *s = http_server_new(NULL, dispatch, NULL);
	struct http_listener hl = {.server = s, .http2 = true};
	struct addr peer = {.len = sizeof(struct sockaddr_in)};
	struct game g = {.loop = loop, .server = s};
	int fds[2];

	if (n == 0) {
		loop_free(&loop);
		http_server_free(&s);
		return 0;
	}
	wire(s, &loops);
	ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	g.peer = fds[1];
	g.in = str_of((const char *)data + 1, n - 1);
	g.cut = MIN((size_t)data[0] * 2, g.in.n);
	ASSERT(send(g.peer, hello, sizeof(hello) - 1, MSG_NOSIGNAL) == sizeof(hello) - 1);
	conn_accept(loop, fds[0], &peer, &hl);
	loop_next_turn(loop, &g.turn, on_turn);
	loop_run(loop);
	(void)close(g.peer);
	http_server_loop_fini(loop);
	mem_free(s->per_loop);
	s->per_loop = NULL;
	http_server_free(&s);
	loop_free(&loop);
	return 0;
}
