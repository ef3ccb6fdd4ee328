/*
 * A session whose client is in this process, as a connector's behind the gateway: the client passes
 * on what comes as fast as somebody else takes it.
 */
#include "http/client.h"
#include "http/server_int.h"
#include "unit.h"
#include "ws/session.h"

#include <errno.h>
#include <semaphore.h>
#include <time.h>

#define LIMIT_MS 20    /* of the session, if it had one */
#define PAUSE_MS 60    /* between two gulps */
#define MESSAGE 300000 /* more than all buffers on the way hold of it */

struct fixture {
	struct loops loops;
	struct loop *loop;
	sem_t over;
	struct http_server *server;
	struct http_client *client;
	struct ws *session;
	struct stream *stream; /* the client's end */
	struct timer pause;
	struct http_call_spec spec;
	bool moves;
	struct later move;
	size_t got;
	unsigned gulps, ends;
	unsigned code;
};

static char message[MESSAGE];

/* ---- the role ---- */

static void on_message(struct ws *w, enum ws_opcode type, struct str data)
{
	(void)w;
	(void)type;
	(void)data;
}

static void on_close(struct ws *w, unsigned code, struct str reason)
{
	struct fixture *f = ws_user(w);

	(void)reason;
	f->ends++;
	f->code = code;
	f->session = NULL;
	(void)sem_post(&f->over);
}

static const struct ws_handler session_events = {.on_message = on_message, .on_close = on_close};

/* As to another loop: the pipe becomes a socket pair. */
static void on_move(struct later *l)
{
	struct fixture *f = container_of(l, struct fixture, move);

	ws_detach(f->session);
	ws_attach(f->session, f->loop);
}

static void dispatch(struct exchange *x, void *role)
{
	static const struct ws_options o = {.message_max = 1000, .write_timeout_ms = LIMIT_MS};
	struct fixture *f = role;

	assert_true(exchange_is_in_process(x));
	f->session = ws_accept(x, &o, &session_events, f);
	assert_non_null(f->session);
	ws_send(f->session, WS_BINARY, str_of(message, sizeof(message)));
	if (f->moves) {
		loop_later(f->loop, &f->move, on_move);
	}
}

/* ---- the client: takes a gulp, then nothing for a while ---- */

static void on_pause_over(struct timer *t)
{
	stream_resume_read(container_of(t, struct fixture, pause)->stream);
}

static size_t on_data(struct stream *s, char *p, size_t n)
{
	struct fixture *f = s->user;

	(void)p;
	f->got += n;
	f->gulps++;
	stream_pause_read(s);
	if (f->got >= sizeof(message)) {
		stream_close(s);
		f->stream = NULL;
		return n;
	}
	timer_start(f->loop, &f->pause, PAUSE_MS, on_pause_over);
	return n;
}

static void on_stream_close(struct stream *s, enum err why)
{
	struct fixture *f = s->user;

	(void)why;
	f->stream = NULL;
}

static const struct stream_handler stream_events = {.on_data = on_data,
						    .on_close = on_stream_close};

static void on_upgrade(struct http_call *c, const struct http_response *r, struct stream *s,
		       struct str early)
{
	struct fixture *f = http_call_user(c);

	assert_int_equal(r->status, 101);
	f->got = early.n;
	f->stream = s;
	stream_set_handler(s, &stream_events, f);
	stream_pause_read(s);
	timer_start(f->loop, &f->pause, PAUSE_MS, on_pause_over);
}

static void on_fail(struct http_call *c, enum err why)
{
	struct fixture *f = http_call_user(c);

	(void)why;
	(void)sem_post(&f->over);
}

static const struct http_call_handler call_events = {.on_fail = on_fail, .on_upgrade = on_upgrade};

static void start(struct loop *l, void *arg)
{
	struct fixture *f = arg;

	f->client = http_client_new(l, &http_client_options_default);
	(void)http_call_start(f->client, &f->spec, &call_events, f);
}

static void stop(struct loop *l, void *arg)
{
	struct fixture *f = arg;

	timer_stop(l, &f->pause);
	http_client_free(&f->client);
}

static void await_end(struct fixture *f)
{
	struct timespec by;

	(void)clock_gettime(CLOCK_REALTIME, &by);
	by.tv_sec += 20;
	while (sem_timedwait(&f->over, &by) != 0) {
		assert_int_equal(errno, EINTR);
	}
}

static void run(bool moves)
{
	static const struct http_header headers[] = {
		{STR_INIT("Upgrade"), STR_INIT("websocket")},
		{STR_INIT("Sec-WebSocket-Version"), STR_INIT("13")},
		{STR_INIT("Sec-WebSocket-Key"), STR_INIT("dGhlIHNhbXBsZSBub25jZQ==")},
	};
	struct fixture f = {.moves = moves};

	assert_int_equal(sem_init(&f.over, 0, 0), 0);
	assert_ok(loops_start(&f.loops, 1, NULL));
	f.loop = f.loops.v[0];
	f.server = http_server_new(NULL, dispatch, &f);
	http_server_serve(f.server, &f.loops);
	f.spec = (struct http_call_spec){
		.uri = {.host = STR("role"), .port = 80, .path = STR("/")},
		.method = STR("GET"),
		.headers = headers,
		.n_headers = ARRAY_LEN(headers),
		.server = f.server,
		.upgrade = true,
		.fd = -1,
	};
	loop_call(f.loop, start, &f);
	await_end(&f);
	loop_call(f.loop, stop, &f);
	http_server_free(&f.server);
	loops_join(&f.loops);
	http_server_loop_fini(f.loop);
	loops_free(&f.loops);
	(void)sem_destroy(&f.over);
	/* It ended because the client did, which had everything by then. */
	assert_true(f.got > sizeof(message));
	assert_true(f.gulps > 1);
	assert_int_equal(f.ends, 1);
	assert_int_equal(f.code, WS_CLOSE_ABNORMAL);
}

static void a_slow_client_is_waited_for(void **state)
{
	(void)state;
	run(false);
}

static void also_from_another_loop(void **state)
{
	(void)state;
	run(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slow_client_is_waited_for),
		cmocka_unit_test(also_from_another_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
