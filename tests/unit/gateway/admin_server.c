#include "admin_server.h"

#include "base/mem.h"
#include "db_worker.h"
#include "gateway/entity_schema.h"
#include "gateway/plugin.h"
#include "serve.h"
#include "talk.h"

#define WORKERS 2

/* ---- the one plugin ---- */

static const struct schema_field knob_fields[] = {
	{.name = "level", .type = SCHEMA_INTEGER, .flags = SCHEMA_REQUIRED},
	{.name = "mode", .type = SCHEMA_STRING, .dflt = "\"soft\""},
};
static const struct schema knob_schema = {
	.name = "knob", .fields = knob_fields, .n = ARRAY_LEN(knob_fields)};
static const struct plugin knob = {
	.name = "knob",
	.priority = 7,
	.version = "3.10.0",
	.config = &knob_schema,
	.scopes = PLUGIN_NO_CONSUMER,
};

const struct plugin *const plugins[] = {&knob};
const size_t n_plugins = 1;

const struct plugin *plugin_find(struct str name)
{
	return str_eq(name, STR("knob")) ? &knob : NULL;
}

bool plugin_is_known_elsewhere(struct str name UNUSED)
{
	return false;
}

static const struct rest_key key_list[] = {
	{STR_INIT("r"), REST_MAY_READ},
	{STR_INIT("rw"), REST_MAY_READ | REST_MAY_WRITE},
};
static const struct rest_keys keys = {key_list, ARRAY_LEN(key_list)};

/* ---- what the balancer would do ---- */

static enum err upstream_status(void *arg UNUSED, const struct guid *upstream, struct arena *a,
				struct balancer_status *out)
{
	struct balancer_target_status *t = ARENA_NEW(a, struct balancer_target_status);

	t->host = STR("127.0.0.1");
	t->port = 1;
	t->dns = STR("A");
	t->weight = 100;
	*out = (struct balancer_status){.id = *upstream, .targets = t, .n_targets = 1};
	return ERR_OK;
}

static enum err upstream_mark(void *arg, const struct guid *upstream UNUSED,
			      struct str target UNUSED, struct str address, enum balancer_health to)
{
	(void)arg;
	return to == BALANCER_UNHEALTHY && !str_eq(address, STR("9.9.9.9:1")) ? ERR_OK
									      : ERR_NOT_FOUND;
}

/* ---- what the declarative mode would do ---- */

static enum err config_post(void *arg UNUSED, struct task *t)
{
	return task_reply_text(t, 201, STR("text/plain"), t->body);
}

/* ---- what the process would tell ---- */

static struct str config_hash(void *arg, struct arena *a)
{
	struct admin_server *s = arg;
	const char *hash = atomic_load(&s->hash);

	return str_dup(a, str_c(hash ? hash : "00000000000000000000000000000000"));
}

static bool is_draining(void *arg)
{
	struct admin_server *s = arg;

	return atomic_load(&s->draining);
}

/* ---- life ---- */

static void on_changes(void *arg, const struct entity_change *v UNUSED, size_t n, bool all UNUSED)
{
	struct admin_server *s = arg;

	atomic_fetch_add(&s->changes, (unsigned)n);
}

static struct admin *make_admin(struct admin_server *s)
{
	struct admin_ops ops = {.upstream_status = upstream_status,
				.upstream_mark = upstream_mark,
				.config_post = config_post,
				.arg = s};
	const struct admin_config config = {.entities = s->entities,
					    .pools = {s->pool, s->pool},
					    .worker_ops = &db_worker_ops,
					    .keys = s->has_keys ? &keys : NULL,
					    .ops = &ops};

	if (!s->is_status) {
		return admin_new(&config);
	}
	ops.config_hash = config_hash;
	ops.is_draining = is_draining;
	return admin_new_status(&config);
}

static void start(struct admin_server *s)
{
	struct pool_ops ops = {db_worker_init, db_worker_fini, s->db->pool};

	assert_ok(migrate(s->db->db, &gateway_migrations, 1, NULL, NULL));
	arena_init(&s->arena, 0);
	assert_ok(loops_start(&s->loops, 1, NULL));
	s->pool = pool_new("test", WORKERS, 100, &ops);
	s->entities = entities_new(
		&(struct entities_config){.memory = s->memory, .on_changes = on_changes, .arg = s});
	s->admin = make_admin(s);
	s->http = http_server_new(&http_limits_default, admin_dispatch, s->admin);
	s->port = serve_anywhere(s->http, &s->loops);
}

static int setup(void **state, const struct admin_server *how)
{
	struct admin_server *s = MEM_NEW(struct admin_server);

	assert_int_equal(test_db_setup(state), 0);
	s->db = *state;
	s->memory = how->memory;
	s->has_keys = how->has_keys;
	s->is_status = how->is_status;
	start(s);
	*state = s;
	return 0;
}

int admin_server_setup(void **state)
{
	return setup(state, &(struct admin_server){0});
}

int admin_server_setup_memory(void **state)
{
	return setup(state, &(struct admin_server){.memory = true});
}

int admin_server_setup_keys(void **state)
{
	return setup(state, &(struct admin_server){.has_keys = true});
}

/* With keys, so that a test sees that none is asked for. */
int admin_server_setup_status(void **state)
{
	return setup(state, &(struct admin_server){.is_status = true, .has_keys = true});
}

int admin_server_setup_status_memory(void **state)
{
	return setup(state, &(struct admin_server){.is_status = true, .memory = true});
}

static void fini_loop(struct loop *l, void *arg)
{
	(void)arg;
	http_server_loop_fini(l);
}

int admin_server_teardown(void **state)
{
	struct admin_server *s = *state;
	void *db = s->db;

	http_server_free(&s->http);
	pool_free(&s->pool);
	loop_call(s->loops.v[0], fini_loop, NULL);
	loops_join(&s->loops);
	loops_free(&s->loops);
	admin_free(&s->admin);
	entities_free(&s->entities);
	arena_fini(&s->arena);
	mem_free(s);
	return test_db_teardown(&db);
}

/* ---- asking ---- */

struct talk_answer admin_ask(struct admin_server *s, const char *method, const char *path,
			     const char *headers, const char *body)
{
	struct str request =
		str_fmt(&s->arena,
			"%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%s"
			"Content-Length: %zu\r\n\r\n%s",
			method, path, headers, body ? strlen(body) : 0, body ? body : "");

	return talk_parse(&s->arena, talk_ask(&s->arena, s->port, request));
}
