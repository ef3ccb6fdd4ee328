/* Both sides of the handshake: ours with ours, ours with a server that errs, a raw client with
 * ours. */
#include "base/mem.h"
#include "http/script_server.h"
#include "serve.h"
#include "ws/session.h"

#include <pthread.h>
#include <stdio.h>

static const struct ws_options options = {.message_max = (size_t)1 << 20};

/* ---- a server that echoes ---- */

static void echo(struct ws *w, enum ws_opcode type, struct str data)
{
	ws_send(w, type, data);
}

static void echo_close(struct ws *w, unsigned code, struct str reason)
{
	(void)w;
	(void)code;
	(void)reason;
}

static const struct ws_handler echo_events = {.on_message = echo, .on_close = echo_close};

static void dispatch(struct exchange *x, void *role)
{
	(void)role;
	(void)ws_accept(x, &options, &echo_events, NULL);
}

struct fixture {
	struct loops server_loops;
	struct http_server *server;
	struct loop *loop; /* the client's */
	struct http_client *client;
	struct uri uri;
	struct ws *session;
	struct timer guard;
	struct buf events;
	unsigned messages;
	struct msg there_and_back;
};

static void on_guard(struct timer *t)
{
	(void)t;
	fail_msg("nothing happened for 10 s");
}

static void set_up(struct fixture *f)
{
	struct http_client_options o = http_client_options_default;
	struct fault fault = {0};

	*f = (struct fixture){.loop = loop_new(9)};
	o.proxy_from_env = false;
	assert_ok(loops_start(&f->server_loops, 1, &fault));
	f->server = http_server_new(&http_limits_default, dispatch, NULL);
	f->client = http_client_new(f->loop, &o);
	f->uri = (struct uri){.host = STR("127.0.0.1"),
			      .port = serve_anywhere(f->server, &f->server_loops),
			      .path = STR("/chat")};
	timer_start(f->loop, &f->guard, 10000, on_guard);
}

static void fini_loop(struct loop *l, void *arg)
{
	(void)arg;
	http_server_loop_fini(l);
}

static void tear_down(struct fixture *f)
{
	http_client_free(&f->client);
	timer_stop(f->loop, &f->guard);
	http_server_free(&f->server);
	loop_call(f->server_loops.v[0], fini_loop, NULL);
	loops_join(&f->server_loops);
	loop_free(&f->loop); /* not while the server's may be on its way out of loop_post */
	loops_free(&f->server_loops);
	buf_free(&f->events);
}

/* ---- ours with ours ---- */

static void on_echo(struct ws *w, enum ws_opcode type, struct str data)
{
	struct fixture *f = ws_user(w);

	if (data.n > 100) {
		buf_printf(&f->events, "%d:%zu ", type, data.n);
	} else {
		buf_printf(&f->events, "%d:%.*s ", type, STR_ARG(data));
	}
	if (++f->messages == 3) {
		ws_close(w, WS_CLOSE_NORMAL, STR("done"));
	}
}

static void on_back(struct msg *m, struct loop *l)
{
	(void)m;
	loop_stop(l);
}

static void on_there(struct msg *m, struct loop *l)
{
	struct fixture *f = container_of(m, struct fixture, there_and_back);

	(void)l;
	m->run = on_back;
	loop_post(f->loop, m);
}

/* Once the server has ended its turn its FIN is here, and the stream that waits for it goes. */
static void on_closed(struct ws *w, unsigned code, struct str reason)
{
	struct fixture *f = ws_user(w);

	(void)reason;
	buf_printf(&f->events, "close:%u", code);
	f->there_and_back.run = on_there;
	loop_post(f->server_loops.v[0], &f->there_and_back);
}

static const struct ws_handler client_events = {.on_message = on_echo, .on_close = on_closed};

static struct ws_connect_spec spec_of(struct uri uri)
{
	return (struct ws_connect_spec){
		.uri = uri, .timeout_ms = 5000, .options = options, .handler = &client_events};
}

static void on_connected(void *user, struct ws *w, enum err err, int status)
{
	struct fixture *f = user;
	char *large;

	assert_ok(err);
	assert_int_equal(status, 101);
	f->session = w;
	large = mem_zalloc(300000);
	ws_send(w, WS_TEXT, STR("hello"));
	ws_send(w, WS_BINARY, STR(""));
	ws_send(w, WS_BINARY, str_of(large, 300000));
	mem_free(large);
}

static void test_conversation(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	const struct ws_connect_spec spec = spec_of(f.uri);

	(void)ws_connect(f.client, &spec, on_connected, &f);
	loop_run(f.loop);
	assert_str(buf_str(&f.events), STR("1:hello 2: 2:300000 close:1000"));
	tear_down(&f);
}

static void on_never(void *user, struct ws *w, enum err err, int status)
{
	(void)user;
	(void)w;
	fail_msg("called with %d, status %d", err, status);
}

static void test_cancel(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	const struct ws_connect_spec spec = spec_of(f.uri);

	ws_connect_cancel(ws_connect(f.client, &spec, on_never, &f));
	ws_connect_cancel(NULL);
	tear_down(&f);
}

/* ---- a raw client with our server ---- */

struct request {
	const char *text;
	const char *answer; /* how it begins */
};

#define UPGRADE "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
#define HOST " / HTTP/1.1\r\nHost: a\r\n"

static const struct request requests[] = {
	/* RFC 6455 1.3 */
	{"GET" HOST UPGRADE KEY V13 "\r\n",
	 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"},
	/* an offered extension is not taken */
	{"GET" HOST UPGRADE KEY V13 "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
	 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"},
	{"GET" HOST "\r\n", "HTTP/1.1 426 "},
	{"GET" HOST UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n", "HTTP/1.1 426 "},
	{"GET" HOST UPGRADE V13 "\r\n", "HTTP/1.1 400 "},
	{"GET" HOST UPGRADE KEY KEY V13 "\r\n", "HTTP/1.1 400 "},
	{"GET" HOST UPGRADE "Sec-WebSocket-Key: c2hvcnQ=\r\n" V13 "\r\n", "HTTP/1.1 400 "},
	{"POST" HOST UPGRADE KEY V13 "Content-Length: 0\r\n\r\n", "HTTP/1.1 400 "},
	{"GET" HOST UPGRADE KEY V13 "Content-Length: 1\r\n\r\nx", "HTTP/1.1 400 "},
};

static void exchange_bytes(uint16_t port, struct str send_it, struct buf *out, size_t want)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct timeval patience = {.tv_sec = 10};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char p[1024];
	ssize_t n;

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(send(fd, send_it.p, send_it.n, 0), send_it.n);
	while (out->n < want && (n = recv(fd, p, sizeof(p), 0)) > 0) {
		buf_append(out, p, (size_t)n);
	}
	(void)close(fd);
}

static void test_requests(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		struct str want = str_c(requests[i].answer);
		struct buf got = {0};

		exchange_bytes(f.uri.port, str_c(requests[i].text), &got, want.n);
		assert_str(str_slice(buf_str(&got), 0, want.n), want);
		buf_free(&got);
	}
	tear_down(&f);
}

/* Frames in the packet of the handshake are not lost. */
static void test_early_frame(void **state)
{
	static const char text[] = "GET" HOST UPGRADE KEY V13 "\r\n\x81\x82"
				   "\x01\x02\x03\x04"
				   "ig";
	struct buf got = {0};
	struct fixture f;

	(void)state;
	set_up(&f);
	exchange_bytes(f.uri.port, str_of(text, sizeof(text) - 1), &got,
		       strlen(requests[0].answer) + 4);
	assert_true(str_ends(buf_str(&got), STR("\r\n\r\n\x81\x02he")));
	buf_free(&got);
	tear_down(&f);
}

/* ---- our client with a server that errs ---- */

struct refusal {
	const char *answer;
	enum err err;
	int status;
};

#define SWITCH "HTTP/1.1 101 Switching Protocols\r\n"

static const struct refusal refusals[] = {
	{"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", ERR_UNAUTHENTICATED, 401},
	{"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", ERR_DENIED, 403},
	{"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello", ERR_NOT_FOUND, 404},
	{"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", ERR_UNAVAILABLE, 503},
	{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ERR_PROTO, 200},
	{SWITCH "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", ERR_PROTO, 101},
	{SWITCH "Upgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
	 ERR_PROTO, 101},
	{"nonsense\r\n\r\n", ERR_PROTO, 0},
};

struct outcome {
	struct loop *loop;
	struct ws *w;
	enum err err;
	int status;
};

static void on_outcome(void *user, struct ws *w, enum err err, int status)
{
	struct outcome *o = user;

	o->w = w;
	o->err = err;
	o->status = status;
	loop_stop(o->loop);
}

static void test_refusals(void **state)
{
	struct http_client_options o = http_client_options_default;

	(void)state;
	o.proxy_from_env = false;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		const struct step steps[] = {{refusals[i].answer, KEEP}, {0}};
		struct outcome got = {.loop = loop_new(0)};
		struct script_server server;
		struct http_client *c = http_client_new(got.loop, &o);

		script_open(&server, got.loop, steps);
		const struct ws_connect_spec spec = spec_of((struct uri){
			.host = STR("127.0.0.1"), .port = server.port, .path = STR("/")});

		(void)ws_connect(c, &spec, on_outcome, &got);
		loop_run(got.loop);
		assert_null(got.w);
		assert_err(got.err, refusals[i].err);
		assert_int_equal(got.status, refusals[i].status);
		http_client_free(&c);
		script_close(&server);
		loop_free(&got.loop);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conversation), cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_requests),     cmocka_unit_test(test_early_frame),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
