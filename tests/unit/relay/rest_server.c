#include "relay/rest_server.h"

#include "base/mem.h"
#include "identity/key_store.h"
#include "relay/management.h"
#include "relay/schema.h"
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS 2

/* ---- the session of a worker ---- */

static void *session_init(void *arg)
{
	struct db *db = NULL;

	assert_ok(db_get(arg, 5000, &db, NULL));
	return db;
}

static void session_fini(void *worker)
{
	struct db *db = worker;

	db_put(&db);
}

static void begin(struct task *t, void *worker)
{
	t->db = worker;
	db_begin_task(t->db, &(struct db_task){.arena = &t->arena, .fault = &t->fault});
}

static void end(struct task *t, void *worker)
{
	(void)worker;
	db_end_task(t->db);
}

static bool may_retry(struct task *t, enum err e)
{
	return e == ERR_CONFLICT && db_is_transient(t->db);
}

static const struct rest_worker_ops worker_ops = {begin, end, may_retry};
static const struct rest_key key_list[] = {
	{STR_INIT("r"), REST_MAY_READ},
	{STR_INIT("w"), REST_MAY_WRITE},
	{STR_INIT("rw"), REST_MAY_READ | REST_MAY_WRITE},
};
static const struct rest_keys keys = {key_list, ARRAY_LEN(key_list)};

/* ---- life ---- */

void rest_server_start(struct rest_server *s, const struct rest_table *table, void *role)
{
	const struct migration_list lists[] = {relay_migrations, identity_migrations};
	struct pool_ops ops = {session_init, session_fini, s->db->pool};

	assert_ok(migrate(s->db->db, lists, ARRAY_LEN(lists), NULL, NULL));
	arena_init(&s->arena, 0);
	assert_ok(loops_start(&s->loops, 1, NULL));
	s->pool = pool_new("test", WORKERS, 100, &ops);
	s->rest = (struct rest){.table = table,
				.role = role,
				.pools = {s->pool, s->pool},
				.worker_ops = &worker_ops,
				.keys = &keys,
				.on_error = management_error};
	s->http = http_server_new(&http_limits_default, rest_dispatch, &s->rest);
	assert_ok(http_server_listen(s->http, &s->loops, STR("127.0.0.1:0"), NULL));
	s->port = addr_port(http_server_addr(s->http, 0));
}

static void fini_loop(struct loop *l, void *arg)
{
	(void)arg;
	http_server_loop_fini(l);
}

void rest_server_stop(struct rest_server *s)
{
	http_server_free(&s->http);
	pool_free(&s->pool);
	loop_call(s->loops.v[0], fini_loop, NULL);
	loops_join(&s->loops);
	loops_free(&s->loops);
	arena_fini(&s->arena);
}

/* ---- asking ---- */

static int dial(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static struct str exchange_text(struct rest_server *s, struct str request)
{
	int fd = dial(s->port);
	struct buf in = {0};
	struct str all;
	ssize_t n;

	assert_int_equal(send(fd, request.p, request.n, MSG_NOSIGNAL), request.n);
	while ((n = recv(fd, buf_reserve(&in, 4096), 4096, 0)) > 0) {
		buf_commit(&in, (size_t)n);
	}
	close(fd);
	all = str_dup(&s->arena, buf_str(&in));
	buf_free(&in);
	return all;
}

struct rest_answer rest_ask(struct rest_server *s, const char *method, const char *path,
			    const char *key, const char *body)
{
	struct rest_answer a = {0};
	struct str all = exchange_text(
		s, str_fmt(&s->arena,
			   "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%s%s%s%s"
			   "Content-Length: %zu\r\n\r\n%s",
			   method, path, key ? "Api-Key: " : "", key ? key : "", key ? "\r\n" : "",
			   body ? "Content-Type: application/json\r\n" : "",
			   body ? strlen(body) : 0, body ? body : ""));
	ptrdiff_t gap = str_find(all, STR("\r\n\r\n"));
	uint64_t status = 0;

	assert_true(gap > 0);
	a.head = str_slice(all, 0, (size_t)gap);
	a.body = str_skip(all, (size_t)gap + 4);
	assert_true(str_to_u64(str_slice(all, 9, 3), &status));
	a.status = (int)status;
	if (json_parse(&s->arena, a.body, &a.json, NULL) != ERR_OK) {
		a.json = NULL;
	}
	return a;
}
