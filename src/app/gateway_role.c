#include "app/gateway_role.h"

#include "app/gateway_configuration.h"
#include "app/gateway_declarative.h"
#include "app/sessions.h"
#include "base/log.h"

#define WORKER_WAIT_MS 10000

/* ---- entities ---- */

static enum err load_database(struct gateway_role *r, struct fault *f)
{
	struct arena a;
	struct db *db;
	enum err e;

	TRY(db_get(r->deps.database, WORKER_WAIT_MS, &db, f));
	arena_init(&a, 0);
	db_begin_task(db, &(struct db_task){.arena = &a, .fault = f});
	e = entities_load(r->entities, db);
	db_end_task(db);
	arena_fini(&a);
	db_put(&db);
	return e;
}

static enum err start_entities(struct gateway_role *r, struct fault *f)
{
	const struct gateway_config *c = &r->deps.settings->gateway;

	r->entities = entities_new(&(struct entities_config){
		.memory = gateway_is_declarative(c),
		.on_changes = gateway_changes,
		.arg = r->gateway,
	});
	return gateway_is_declarative(c)
		       ? gateway_declarative_start(r->entities, c, r->deps.saved, &r->live, f)
		       : load_database(r, f);
}

/* ---- Admin API ---- */

static enum err upstream_status(void *arg, const struct guid *upstream, struct arena *a,
				struct balancer_status *out)
{
	const struct gateway_role *r = arg;

	return balancer_set_status(gateway_balancers(r->gateway), upstream, a, out);
}

static enum err upstream_mark(void *arg, const struct guid *upstream, struct str target,
			      struct str address, enum balancer_health to)
{
	const struct gateway_role *r = arg;

	return balancer_set_mark(gateway_balancers(r->gateway), upstream, target, address, to);
}

static void counters(void *arg, struct admin_counters *out)
{
	const struct gateway_role *r = arg;

	r->deps.counters(r->deps.ops.arg, out);
}

static void metrics(void *arg, struct buf *out)
{
	const struct gateway_role *r = arg;

	gateway_role_metrics(r, out);
}

static void configuration(void *arg, struct arena *a, struct json_writer *w)
{
	struct gateway_role *r = arg;
	struct settings *s;

	(void)pthread_mutex_lock(&r->mtx);
	s = settings_ref(r->told);
	(void)pthread_mutex_unlock(&r->mtx);
	gateway_configuration_put(s, a, w);
	settings_unref(&s);
}

static enum err config_get(void *arg, struct task *t)
{
	const struct gateway_role *r = arg;

	return declarative_live_get(r->live, t);
}

static enum err config_post(void *arg, struct task *t)
{
	const struct gateway_role *r = arg;

	return declarative_live_post(r->live, t);
}

static struct str config_hash(void *arg, struct arena *a)
{
	const struct gateway_role *r = arg;

	return declarative_live_hash(r->live, a);
}

static bool is_draining(void *arg)
{
	struct gateway_role *r = arg;

	return atomic_load(&r->draining);
}

static void start_admins(struct gateway_role *r)
{
	const struct gateway_settings *s = &r->deps.settings->gateway_more;
	struct admin_ops ops = {
		.upstream_status = upstream_status,
		.upstream_mark = upstream_mark,
		.counters = counters,
		.metrics = metrics,
		.configuration = configuration,
		.is_draining = is_draining,
		.arg = r,
	};
	struct admin_config config = {
		.compat = ADMIN_KONG_3,
		.entities = r->entities,
		.pools = {r->deps.pools[REST_DB], r->deps.pools[REST_SLOW]},
		.worker_ops = &sessions_rest_ops,
		.node_id = gateway_node_id(r->gateway),
		.ops = &ops,
	};

	if (r->live) {
		ops.config_get = config_get;
		ops.config_post = config_post;
		ops.config_hash = config_hash;
	}
	for (size_t i = 0; i < s->n_admins; i++) {
		config.keys = s->admins[i].keys.n > 0 ? &s->admins[i].keys : NULL;
		r->admins[i] = admin_new(&config);
	}
	config.keys = NULL;
	r->status = admin_new_status(&config);
}

/* ---- life ---- */

static void tick_admins(void *arg)
{
	struct gateway_role *r = arg;

	for (size_t i = 0; i < GATEWAY_ADMINS_MAX && r->admins[i]; i++) {
		admin_tick(r->admins[i]);
	}
}

enum err gateway_role_start(struct gateway_role *r, const struct gateway_role_deps *deps,
			    struct fault *f)
{
	struct gateway_deps gd = {
		.loops = deps->loops,
		.slow = deps->pools[REST_SLOW],
		.config = &deps->settings->gateway,
		.ops = deps->ops,
	};

	r->deps = *deps;
	(void)pthread_mutex_init(&r->mtx, NULL);
	r->told = settings_ref(deps->settings);
	gd.ops.counters = deps->counters;
	TRY(gateway_new(&gd, &r->gateway, f));
	TRY(start_entities(r, f));
	start_admins(r);
	r->poller = entity_poller_start(&(struct entity_poller_deps){
		.loop = deps->loops->v[0],
		.pool = deps->pools[REST_DB],
		.entities = r->entities,
		.database = deps->database,
		.interval_ms = (uint64_t)deps->settings->gateway.db_update_ms,
		.tick = tick_admins,
		.arg = r,
	});
	return ERR_OK;
}

enum err gateway_role_reload(struct gateway_role *r, struct settings *next, struct fault *f)
{
	struct settings *former;

	if (r->live) {
		TRY(gateway_declarative_reload(r->live, &next->gateway, f));
	}
	(void)pthread_mutex_lock(&r->mtx);
	former = r->told;
	r->told = settings_ref(next);
	(void)pthread_mutex_unlock(&r->mtx);
	settings_unref(&former);
	return ERR_OK;
}

enum err gateway_role_save(struct gateway_role *r, struct buf *out)
{
	return r->live ? gateway_declarative_save(r->live, &r->told->gateway, out) : ERR_OK;
}

void gateway_role_serve(struct gateway_role *r)
{
	if (r->live) {
		declarative_live_release(r->live);
	}
}

void gateway_role_metrics(const struct gateway_role *r, struct buf *out)
{
	gateway_metrics(r->gateway, entities_is_reachable(r->entities), out);
}

void gateway_role_drain(struct gateway_role *r)
{
	atomic_store(&r->draining, true);
}

void gateway_role_stop(struct gateway_role *r)
{
	entity_poller_stop(&r->poller);
	if (r->gateway) {
		gateway_stop(r->gateway);
	}
}

void gateway_role_joined(struct gateway_role *r)
{
	if (r->gateway) {
		gateway_joined(r->gateway);
	}
}

void gateway_role_free(struct gateway_role *r)
{
	for (size_t i = 0; i < GATEWAY_ADMINS_MAX; i++) {
		admin_free(&r->admins[i]);
	}
	admin_free(&r->status);
	declarative_live_free(&r->live);
	entities_free(&r->entities);
	gateway_free(&r->gateway);
	if (r->told) {
		(void)pthread_mutex_destroy(&r->mtx);
		settings_unref(&r->told);
	}
}
