#include "gateway/admin_int.h"

#include "base/clock.h"
#include "base/mem.h"
#include "gateway/plugin_entities.h"

#define STATUS_TIMEOUT_MS 5000 /* a probe does not wait for longer */

/* ---- what all answers have ---- */

static void set(struct task *t, const char *name, struct str value)
{
	http_header_set(&t->arena, &t->reply.headers, str_c(name), value);
}

static void put_cors(struct task *t, const struct admin *admin)
{
	struct str origin = http_header_get(&t->request.headers, STR("Origin"));
	bool fits = admin->cors_origin.p && str_eq(origin, admin->cors_origin);

	if (admin->cors_origin.p) {
		set(t, "Access-Control-Allow-Origin", fits ? origin : admin->cors_origin);
		set(t, "Access-Control-Allow-Credentials", STR("true"));
		set(t, "Vary", STR("Origin"));
	} else {
		set(t, "Access-Control-Allow-Origin", STR("*"));
	}
}

static void put_preflight(struct task *t)
{
	struct str allow = http_header_get(&t->reply.headers, STR("Allow"));
	struct str asked =
		http_header_get(&t->request.headers, STR("Access-Control-Request-Headers"));

	if (allow.p && t->request.method == HTTP_OPTIONS) {
		set(t, "Access-Control-Allow-Methods", allow);
		set(t, "Access-Control-Allow-Headers", asked.n > 0 ? asked : STR("Content-Type"));
	}
}

static void on_status_reply(struct task *t)
{
	uint64_t now = clock_mono_ms();
	uint64_t ms = now > t->start_ms ? now - t->start_ms : 0;

	set(t, "Server", STR("kong/" ADMIN_VERSION));
	set(t, "X-Kong-Admin-Latency", str_fmt(&t->arena, "%llu", (unsigned long long)ms));
}

static void on_reply(struct task *t)
{
	on_status_reply(t);
	put_cors(t, t->role);
	put_preflight(t);
}

/* ---- failures that no handler made an answer of ---- */

static void on_error(struct task *t, int status)
{
	const char *text = "An unexpected error occurred";

	switch (status) {
	case 401:
		text = "Unauthorized";
		break;
	case 403:
		text = "Forbidden";
		break;
	case 404:
		text = "Not found";
		break;
	case 405:
		text = "Method not allowed";
		break;
	case 409:
		text = "Too many changes at the same time, try again";
		break;
	case 503:
		text = "The database is not available";
		break;
	default:
		break;
	}
	(void)admin_reply_message(t, status, text);
}

/* ---- life ---- */

static struct admin *new_with(const struct admin_config *config)
{
	struct admin *admin = MEM_NEW(struct admin);

	plugin_entities_enable();
	arena_init(&admin->arena, 0);
	(void)pthread_mutex_init(&admin->mtx, NULL);
	admin->entities = config->entities;
	admin->compat = config->compat;
	admin->node_id = config->node_id;
	admin->cors_origin =
		config->cors_origin.p ? str_dup(&admin->arena, config->cors_origin) : STR_NULL;
	if (config->ops) {
		admin->ops = *config->ops;
	}
	admin->level = admin_level_name(log_get_level());
	admin->rest = (struct rest){
		.table = &admin->table,
		.role = admin,
		.pools = {config->pools[REST_DB], config->pools[REST_SLOW]},
		.worker_ops = config->worker_ops,
		.on_error = on_error,
		.on_reply = on_reply,
		.answers_options = true,
	};
	atomic_init(&admin->rest.keys, config->keys);
	return admin;
}

struct admin *admin_new(const struct admin_config *config)
{
	struct admin *admin = new_with(config);

	admin_table_build(admin);
	return admin;
}

struct admin *admin_new_status(const struct admin_config *config)
{
	struct admin *admin = new_with(config);

	atomic_store(&admin->rest.keys, NULL);
	admin->rest.timeout_ms = STATUS_TIMEOUT_MS;
	admin->rest.on_reply = on_status_reply; /* no browser needs it: no CORS */
	admin_table_build_status(admin);
	return admin;
}

void admin_dispatch(struct exchange *x, void *admin)
{
	rest_dispatch(x, &((struct admin *)admin)->rest);
}

void admin_free(struct admin **ap)
{
	struct admin *admin = *ap;

	*ap = NULL;
	if (!admin) {
		return;
	}
	(void)pthread_mutex_destroy(&admin->mtx);
	arena_fini(&admin->arena);
	mem_free(admin);
}
