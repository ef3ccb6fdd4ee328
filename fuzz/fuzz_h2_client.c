/*
 * Frames from a hostile server, in answer to three calls on one connection. The first
 * byte of the input says where the rest is cut in two. Each call must end exactly once,
 * and what it hands over must be well formed.
 */
#include "base/mem.h"
#include "http/client.h"
#include "net/dns.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALLS 3
#define TURNS 12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct game {
	struct loop *loop;
	struct http_client *client;
	struct later turn;
	int listener, peer;
	struct str in;
	size_t cut;
	unsigned turns, sent, ended;
};

struct one {
	struct game *g;
	uint64_t left;
	bool measured, has_head, over;
};

static void on_head(struct http_call *c, const struct http_response *r)
{
	struct one *o = http_call_user(c);

	ASSERT(!o->has_head && !o->over && r->status >= 200 && r->status <= 999);
	o->has_head = true;
	o->measured = r->framing == HTTP_BODY_LENGTH;
	o->left = r->content_length;
	for (size_t i = 0; i < r->headers.n; i++) {
		ASSERT(http_is_token(r->headers.v[i].name));
		ASSERT(http_is_field_value(r->headers.v[i].value));
		ASSERT(!str_eq_nocase(r->headers.v[i].name, STR("transfer-encoding")));
	}
	if (r->status % 2) {
		http_call_pause(c);
		http_call_resume(c);
	}
}

static void on_data(struct http_call *c, struct str data)
{
	struct one *o = http_call_user(c);

	ASSERT(o->has_head && !o->over && data.n > 0 && (!o->measured || data.n <= o->left));
	o->left -= o->measured ? data.n : 0;
}

static void on_trailers(struct http_call *c, const struct http_headers *t)
{
	ASSERT(((struct one *)http_call_user(c))->has_head);
	for (size_t i = 0; i < t->n; i++) {
		ASSERT(!http_is_no_trailer(t->v[i].name));
	}
}

static void over(struct one *o)
{
	ASSERT(!o->over);
	o->over = true;
	o->g->ended++;
}

static void on_end(struct http_call *c)
{
	struct one *o = http_call_user(c);

	ASSERT(o->has_head && (!o->measured || o->left == 0));
	over(o);
}

static void on_fail(struct http_call *c, enum err why)
{
	ASSERT(why != ERR_OK);
	over(http_call_user(c));
}

static const struct http_call_handler events = {.on_head = on_head,
						.on_data = on_data,
						.on_trailers = on_trailers,
						.on_end = on_end,
						.on_fail = on_fail};

static void take_peer(struct game *g)
{
	struct linger now = {.l_onoff = 1}; /* no sockets in TIME_WAIT */
	int fd = accept4(g->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0 && g->peer < 0) {
		g->peer = fd;
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	} else if (fd >= 0) {
		(void)close(fd); /* sent again elsewhere: nobody is there */
	}
}

static void on_turn(struct later *w)
{
	struct game *g = container_of(w, struct game, turn);
	char junk[65536];

	take_peer(g);
	if (g->peer >= 0) {
		size_t part = g->sent++ == 0 ? g->cut : g->in.n;
		ssize_t sent = send(g->peer, g->in.p, part, MSG_NOSIGNAL | MSG_DONTWAIT);

		g->in = str_skip(g->in, sent > 0 ? (size_t)sent : part);
		while (recv(g->peer, junk, sizeof(junk), MSG_DONTWAIT) > 0) {
		}
		if (++g->turns == TURNS) {
			(void)shutdown(g->peer, SHUT_WR);
		}
	}
	if (g->ended == CALLS) {
		loop_stop(g->loop);
	} else {
		loop_next_turn(g->loop, &g->turn, on_turn);
	}
}

static uint16_t open_listener(struct game *g)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);

	g->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ASSERT(bind(g->listener, (struct sockaddr *)&a, n) == 0 && listen(g->listener, 8) == 0);
	ASSERT(getsockname(g->listener, (struct sockaddr *)&a, &n) == 0);
	return ntohs(a.sin_port);
}

static void start_calls(struct game *g, struct one one[CALLS], uint16_t port)
{
	struct http_call_spec spec = {
		.uri = {.host = STR("127.0.0.1"), .port = port, .path = STR("/")},
		.method = STR("GET"),
		.version = HTTP_CALL_H2,
		.direct = true,
		.fd = -1};

	for (size_t i = 0; i < CALLS; i++) {
		one[i] = (struct one){.g = g};
		(void)http_call_start(g->client, &spec, &events, &one[i]);
		spec.method = i == 0 ? STR("HEAD") : STR("POST");
		spec.body_kind = i == 0 ? HTTP_CALL_NO_BODY : HTTP_CALL_MEM;
		spec.body = STR("words");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct http_client_options o = http_client_options_default;
	struct one one[CALLS];
	struct game g = {.peer = -1};

	if (n == 0) {
		return 0;
	}
	o.proxy_from_env = false;
	g.loop = loop_new(0);
	g.client = http_client_new(g.loop, &o);
	g.in = str_of((const char *)data + 1, n - 1);
	g.cut = MIN((size_t)data[0] * 2, g.in.n);
	start_calls(&g, one, open_listener(&g));
	loop_next_turn(g.loop, &g.turn, on_turn);
	loop_run(g.loop);
	http_client_free(&g.client);
	dns_loop_fini(g.loop);
	loop_free(&g.loop);
	(void)close(g.listener);
	if (g.peer >= 0) {
		(void)close(g.peer);
	}
	return 0;
}
