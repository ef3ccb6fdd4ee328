#include "relay/rest_server.h"

#include "base/mem.h"
#include "db_worker.h"
#include "identity/key_store.h"
#include "relay/management.h"
#include "relay/schema.h"
#include "serve.h"
#include "talk.h"

#define WORKERS 2

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
	struct pool_ops ops = {db_worker_init, db_worker_fini, s->db->pool};

	assert_ok(migrate(s->db->db, lists, ARRAY_LEN(lists), NULL, NULL));
	arena_init(&s->arena, 0);
	assert_ok(loops_start(&s->loops, 1, NULL));
	s->pool = pool_new("test", WORKERS, 100, &ops);
	s->rest = (struct rest){.table = table,
				.role = role,
				.pools = {s->pool, s->pool},
				.worker_ops = &db_worker_ops,
				.keys = &keys,
				.on_error = management_error};
	s->http = http_server_new(&http_limits_default, rest_dispatch, &s->rest);
	s->port = serve_anywhere(s->http, &s->loops);
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

struct talk_answer rest_ask(struct rest_server *s, const char *method, const char *path,
			    const char *key, const char *body)
{
	struct str request =
		str_fmt(&s->arena,
			"%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%s%s%s%s"
			"Content-Length: %zu\r\n\r\n%s",
			method, path, key ? "Api-Key: " : "", key ? key : "", key ? "\r\n" : "",
			body ? "Content-Type: application/json\r\n" : "", body ? strlen(body) : 0,
			body ? body : "");

	return talk_parse(&s->arena, talk_ask(&s->arena, s->port, request));
}
