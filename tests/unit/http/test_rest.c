/* REST calls over a real socket: routing, refusals, and calls that outlive their client or server.
 */
#include "base/mem.h"
#include "http/rest.h"
#include "serve.h"
#include "talk.h"

#include <sched.h>
#include <semaphore.h>

static struct {
	struct loops loops;
	struct pool *pool;
	struct http_server *server;
	struct rest rest;
	uint16_t port;
	sem_t in_handler, leave_handler;
	atomic_bool saw_cancel;
} fx;

static enum err echo(struct task *t)
{
	struct str name = task_param(t, "name");

	buf_put(&t->reply.body, name);
	buf_putc(&t->reply.body, ' ');
	buf_put(&t->reply.body, t->body);
	t->reply.status = 200;
	t->reply.content_type = STR("text/plain");
	return ERR_OK;
}

static enum err held(struct task *t)
{
	(void)sem_post(&fx.in_handler);
	(void)sem_wait(&fx.leave_handler);
	/* All of the request is still there, whatever became of the client. */
	assert_true(str_starts(t->request.target, STR("/held")));
	assert_str(t->peer_ip, STR("127.0.0.1"));
	atomic_store(&fx.saw_cancel, atomic_load(t->canceled));
	return task_reply_text(t, 200, STR("text/plain"), t->request.path);
}

static enum err fails(struct task *t)
{
	return fault_set(&t->fault, ERR_CONFLICT, "there is one already");
}

static enum err tells_its_argument(struct task *t)
{
	return task_reply_text(t, 200, STR("text/plain"), str_c(t->route_arg));
}

static const struct rest_route routes[] = {
	{.method = "GET", .path = "/made/one", .handler = tells_its_argument, .arg = "one"},
	{.method = "GET", .path = "/made/{name}", .handler = tells_its_argument, .arg = "any"},
	{.method = "DELETE", .path = "/made/{name}", .handler = tells_its_argument, .arg = "gone"},
	{"POST", "/things/{name}", echo, REST_DB, REST_OPEN, 100, "", NULL, NULL},
	{"GET", "/held", held, REST_DB, REST_OPEN, 0, "", NULL, NULL},
	{"GET", "/fails", fails, REST_DB, REST_OPEN, 0, "", NULL, NULL},
	{"GET", "/locked", echo, REST_DB, REST_READ, 0, "", NULL, NULL},
};
static const struct rest_table table = {"test", routes, ARRAY_LEN(routes)};

static int setup(void **state)
{
	struct fault f = {0};

	(void)state;
	(void)sem_init(&fx.in_handler, 0, 0);
	(void)sem_init(&fx.leave_handler, 0, 0);
	assert_ok(loops_start(&fx.loops, 1, &f));
	fx.pool = pool_new("test", 1, 2, NULL);
	fx.rest = (struct rest){.table = &table, .pools = {fx.pool, fx.pool}};
	fx.server = http_server_new(NULL, rest_dispatch, &fx.rest);
	fx.port = serve_anywhere(fx.server, &fx.loops);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	http_server_free(&fx.server);
	pool_free(&fx.pool);
	loops_join(&fx.loops);
	http_server_loop_fini(fx.loops.v[0]);
	loops_free(&fx.loops);
	return 0;
}

static int dial(struct str request)
{
	int fd = talk_dial(fx.port);

	talk_say(fd, request);
	return fd;
}

/* Until the server closes; until the next call. */
static struct str hear_all(int fd)
{
	static struct buf text;

	buf_free(&text);
	talk_hear(fd, &text);
	return buf_str(&text);
}

static void expect(const char *request, const char *line, const char *part)
{
	struct str got = hear_all(dial(str_c(request)));

	if (!str_starts(got, str_c(line)) || str_find(got, str_c(part)) < 0) {
		fail_msg("\"%s\" and \"%s\" were expected of:\n%.*s", line, part, STR_ARG(got));
	}
}

#define CLOSE "Host: a\r\nConnection: close\r\n"

static void test_routes(void **state)
{
	(void)state;
	expect("POST /THINGS/a%20b/ HTTP/1.1\r\n" CLOSE "Content-Length: 2\r\n\r\nhi",
	       "HTTP/1.1 200 ", "\r\n\r\na b hi");
	expect("POST /things/x HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 ",
	       "Connection: close\r\n");
	expect("GET /things/x HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 405 ", "Allow: POST\r\n");
	expect("GET /nothing HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 404 ", "problem+json");
	expect("GET /locked HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 401 ", "problem+json");
	expect("GET /fails HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 409 ", "there is one already");
	expect("POST /things/x HTTP/1.1\r\n" CLOSE "Content-Length: 101\r\n\r\n", "HTTP/1.1 413 ",
	       "Connection: close\r\n");
}

static void on_reply(struct task *t)
{
	assert_ptr_equal(t->role, &fx);
	http_header_set(&t->arena, &t->reply.headers, STR("X-All"), STR("yes"));
}

static void test_generated_routes(void **state)
{
	(void)state;
	expect("GET /made/one HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200 ", "\r\n\r\none");
	expect("GET /made/two HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200 ", "\r\n\r\nany");
	expect("DELETE /made/one HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200 ", "\r\n\r\ngone");
	/* Each method once, though two patterns know the path. */
	expect("PUT /made/one HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 405 ",
	       "Allow: DELETE, GET\r\n");
	expect("OPTIONS /made/one HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 405 ", "");
	fx.rest.role = &fx;
	fx.rest.answers_options = true;
	fx.rest.on_reply = on_reply;
	expect("OPTIONS /made/one HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 204 ",
	       "Allow: DELETE, GET, HEAD, OPTIONS\r\n");
	expect("OPTIONS /nothing HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 404 ", "X-All: yes\r\n");
	expect("GET /made/one HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200 ", "X-All: yes\r\n");
}

/* The worker has the request's memory; the exchange needs its own for the answer. */
static void test_old_client_keeps_its_connection(void **state)
{
	(void)state;
	expect("POST /things/x HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n1"
	       "POST /things/y HTTP/1.1\r\n" CLOSE "Content-Length: 1\r\n\r\n2",
	       "HTTP/1.1 200 ", "Connection: keep-alive\r\n");
}

static void test_client_goes_while_the_handler_runs(void **state)
{
	int fd = dial(STR("GET /held HTTP/1.1\r\nHost: a\r\n\r\n"));

	(void)state;
	(void)sem_wait(&fx.in_handler);
	(void)close(fd);
	while (http_server_active(fx.server) > 0) {
		sched_yield();
	}
	(void)sem_post(&fx.leave_handler);
	expect("GET /fails HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 409 ", "");
	assert_true(atomic_load(&fx.saw_cancel));
}

static void test_server_goes_while_the_handler_runs(void **state)
{
	int fd = dial(STR("GET /held HTTP/1.1\r\nHost: a\r\n\r\n"));

	(void)state;
	(void)sem_wait(&fx.in_handler);
	http_server_free(&fx.server);
	(void)sem_post(&fx.leave_handler);
	(void)teardown(NULL);
	assert_true(atomic_load(&fx.saw_cancel));
	(void)close(fd);
	(void)setup(NULL);
}

/* Its answer comes home to a loop that has stopped. */
static void test_loop_goes_while_the_handler_runs(void **state)
{
	int fd = dial(STR("GET /held HTTP/1.1\r\nHost: a\r\n\r\n"));

	(void)state;
	(void)sem_wait(&fx.in_handler);
	http_server_free(&fx.server);
	loops_join(&fx.loops);
	(void)sem_post(&fx.leave_handler);
	pool_free(&fx.pool);
	http_server_loop_fini(fx.loops.v[0]);
	loops_free(&fx.loops);
	(void)close(fd);
	(void)setup(NULL);
}

static void test_full_pool(void **state)
{
	int fd[3];

	(void)state;
	for (int i = 0; i < 3; i++) { /* one runs, two wait */
		fd[i] = dial(STR("GET /held HTTP/1.1\r\n" CLOSE "\r\n"));
		if (i == 0) {
			(void)sem_wait(&fx.in_handler);
		}
	}
	for (struct pool_stats st = {0}; st.queued < 2;) {
		pool_stats(fx.pool, &st);
	}
	expect("GET /held HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 503 ", "problem+json");
	for (int i = 0; i < 3; i++) {
		(void)sem_post(&fx.leave_handler);
		assert_true(str_starts(hear_all(fd[i]), STR("HTTP/1.1 200 ")));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_old_client_keeps_its_connection),
		cmocka_unit_test(test_client_goes_while_the_handler_runs),
		cmocka_unit_test(test_server_goes_while_the_handler_runs),
		cmocka_unit_test(test_loop_goes_while_the_handler_runs),
		cmocka_unit_test(test_full_pool),
		cmocka_unit_test(test_generated_routes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
