#include "app/roles.h"

#include "app/sessions.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/entity_schema.h"
#include "identity/key_store.h"
#include "relay/schema.h"
#include "relay/tenant_store.h"

#define WORKER_WAIT_MS 10000
#define BODY_MARGIN_MS 300000

/* ---- schema ---- */

static void on_migrated(const char *role, const struct migration *m, void *ctx)
{
	(void)ctx;
	log_info("store", "schema changed", LOG_CSTR("schema", role), LOG_INT("number", m->number),
		 LOG_CSTR("name", m->name));
}

enum err roles_migrate(struct db_pool *database, struct fault *f)
{
	const struct migration_list lists[] = {relay_migrations, identity_migrations,
					       gateway_migrations};
	struct arena a;
	struct db *db;
	enum err e;

	TRY(db_get(database, WORKER_WAIT_MS, &db, f));
	arena_init(&a, 0);
	db_begin_task(db, &(struct db_task){.arena = &a, .fault = f});
	e = migrate(db, lists, ARRAY_LEN(lists), on_migrated, NULL);
	db_put(&db);
	arena_fini(&a);
	return e;
}

/* ---- identity ---- */

static enum err refresh_keys(struct roles *r, struct fault *f)
{
	struct arena a;
	struct db *db;
	enum err e;

	TRY(db_get(r->deps.database, WORKER_WAIT_MS, &db, f));
	arena_init(&a, 0);
	db_begin_task(db, &(struct db_task){.arena = &a, .fault = f});
	e = issuer_refresh(r->issuer, db, clock_wall_ms());
	db_put(&db);
	arena_fini(&a);
	return e;
}

static void believe_issuer(struct roles *r)
{
	struct trust *t = issuer_trust(r->issuer);

	if (r->relay && t && r->deps.settings->relay.authority.n == 0) {
		relay_set_trust(r->relay, t);
	}
	trust_unref(&t);
}

static void on_keys_due(void *arg, void *worker)
{
	struct roles *r = arg;
	struct fault f = {0};
	struct arena a;

	arena_init(&a, 0);
	db_begin_task(worker, &(struct db_task){.arena = &a, .fault = &f});
	if (issuer_refresh(r->issuer, worker, clock_wall_ms()) != ERR_OK) {
		log_warn("identity", "signing keys not refreshed: those in hand stay",
			 LOG_FAULT(&f));
	}
	db_end_task(worker);
	arena_fini(&a);
	believe_issuer(r);
}

static enum err start_identity(struct roles *r, struct fault *f)
{
	struct settings *s = r->deps.settings;

	if (!settings_run_issuer(s)) {
		return ERR_OK;
	}
	TRY(issuer_new(&s->identity, &r->issuer, f));
	TRY(refresh_keys(r, f));
	believe_issuer(r);
	r->key_upkeep = periodic_start(r->deps.loops->v[0], r->deps.pools[REST_DB],
				       ISSUER_REFRESH_MS, on_keys_due, r);
	return ERR_OK;
}

/* ---- relay ---- */

static void release_settings(void *arg)
{
	struct settings *s = arg;

	settings_unref(&s);
}

static struct relay_config_epoch relay_epoch_of(struct settings *s)
{
	return (struct relay_config_epoch){&s->relay, release_settings, settings_ref(s)};
}

/* A margin for answers on their way and clocks that differ. */
static int64_t body_max_age_ms(const struct settings *s)
{
	return relay_request_max_age_ms(&s->relay) + BODY_MARGIN_MS;
}

/* Requests that came under the former configuration live as long as that allowed. */
static void keep_bodies(struct roles *r, const struct settings *next)
{
	r->body_max_age_ms = MAX(body_max_age_ms(next), r->body_max_age_ms);
	upkeep_set_body_max_age(r->upkeep, r->body_max_age_ms);
}

static enum err start_relay(struct roles *r, struct fault *f)
{
	struct settings *s = r->deps.settings;
	struct relay_config_epoch epoch;
	struct relay_deps deps = {
		.loops = r->deps.loops,
		.db_pool = r->deps.pools[REST_DB],
		.tenants = &tenant_store_ops,
		.bodies = r->deps.bodies,
		.origin = guid_new(),
		.connection_seen_ms = s->statistics.connection_last_seen_ms,
	};

	if (!s->runs[ROLE_RELAY]) {
		return ERR_OK;
	}
	event_writer_init(&r->events, &deps.origin);
	deps.events = &r->events.ops;
	r->upkeep = upkeep_new(&(struct upkeep_deps){
		.loop = r->deps.loops->v[0],
		.pool = r->deps.pools[REST_DB],
		.bodies = r->deps.bodies,
		.origin = deps.origin,
		.entry_max_age_ms = s->statistics.entry_max_age_ms,
		.origin_last_seen_ms = s->statistics.origin_last_seen_ms,
		.connection_last_seen_ms = s->statistics.connection_last_seen_ms,
		.maintenance_interval_ms = s->statistics.maintenance_interval_ms,
		.request_log_max_age_ms = s->statistics.request_log_max_age_ms,
		.connection_cleanup = s->statistics.connection_cleanup,
		.body_max_age_ms = body_max_age_ms(s),
	});
	r->body_max_age_ms = body_max_age_ms(s);
	epoch = relay_epoch_of(s);
	return relay_new(&deps, &epoch, &r->relay, f);
}

/* ---- REST roles ---- */

static void prepare_rest(struct roles *r, enum role which, const struct rest_table *table,
			 void *role, const struct rest_settings *settings)
{
	r->rest[which] = (struct rest){
		.table = table,
		.role = role,
		.pools = {r->deps.pools[REST_DB], r->deps.pools[REST_SLOW]},
		.worker_ops = &sessions_rest_ops,
		.keys = settings ? &settings->keys : NULL,
		.key_header = settings ? settings->api_key_header : STR_NULL,
	};
	if (settings && settings->keys.n == 0 && r->deps.settings->runs[which]) {
		log_warn(role_names[which], "no api_keys are configured: every call is refused");
	}
}

static void on_tenant_changed(void *relay, struct str normalized)
{
	relay_tenant_changed(relay, normalized);
}

static void prepare_rests(struct roles *r)
{
	struct settings *s = r->deps.settings;

	if (r->relay) {
		r->management.tenant_changed = on_tenant_changed;
		r->management.arg = r->relay;
	}
	r->management.key_header = s->management.api_key_header;
	r->statistics.key_header = s->statistics.rest.api_key_header;
	prepare_rest(r, ROLE_IDENTITY, &issuer_table, r->issuer, NULL);
	prepare_rest(r, ROLE_MANAGEMENT, &management_table, &r->management, &s->management);
	prepare_rest(r, ROLE_STATISTICS, &statistics_table, &r->statistics, &s->statistics.rest);
	if (r->relay) { /* tokens are counted for clients, not for proxies before them */
		r->rest[ROLE_IDENTITY].client = relay_client_addr;
		r->rest[ROLE_IDENTITY].client_role = r->relay;
	}
	r->rest[ROLE_MANAGEMENT].on_error = management_error;
	r->rest[ROLE_STATISTICS].on_error = management_error;
}

/* ---- dispatch ---- */

/* The identity role's paths, so that connectors reach one address only. */
static bool is_identity_path(struct str path)
{
	return str_eq_nocase(path, STR(ISSUER_TOKEN_PATH)) ||
	       str_eq_nocase(path, STR("/.well-known/openid-configuration")) ||
	       str_eq_nocase(path, STR("/.well-known/jwks.json"));
}

static void dispatch_relay(struct exchange *x, void *arg)
{
	struct roles *r = arg;

	if (r->issuer && is_identity_path(exchange_request(x)->path)) {
		rest_dispatch(x, &r->rest[ROLE_IDENTITY]);
	} else {
		relay_dispatch(x, r->relay);
	}
}

dispatch_fn *roles_dispatch_fn(enum role which)
{
	switch (which) {
	case ROLE_RELAY:
		return dispatch_relay;
	case ROLE_GATEWAY:
		return gateway_dispatch;
	case ROLE_IDENTITY:
	case ROLE_MANAGEMENT:
	case ROLE_STATISTICS:
	case ROLES:
		break;
	}
	return rest_dispatch;
}

void *roles_dispatch_arg(struct roles *r, enum role which)
{
	switch (which) {
	case ROLE_RELAY:
		return r;
	case ROLE_GATEWAY:
		return r->gateway.gateway;
	case ROLE_IDENTITY:
	case ROLE_MANAGEMENT:
	case ROLE_STATISTICS:
	case ROLES:
		break;
	}
	return &r->rest[which];
}

/* ---- gateway ---- */

static enum err start_gateway(struct roles *r, struct fault *f)
{
	struct gateway_role_deps deps = {
		.settings = r->deps.settings,
		.loops = r->deps.loops,
		.database = r->deps.database,
		.pools = {r->deps.pools[REST_DB], r->deps.pools[REST_SLOW]},
		.saved = r->deps.saved,
		.ops = r->deps.gateway_ops,
		.counters = r->deps.gateway_counters,
	};

	return r->deps.settings->runs[ROLE_GATEWAY] ? gateway_role_start(&r->gateway, &deps, f)
						    : ERR_OK;
}

/* ---- life ---- */

enum err roles_start(struct roles *r, const struct roles_deps *deps, struct fault *f)
{
	r->deps = *deps;
	r->deps.settings = settings_ref(deps->settings); /* keys and names in use; reload or not */
	TRY(start_relay(r, f));
	TRY(start_identity(r, f));
	prepare_rests(r);
	return start_gateway(r, f);
}

enum err roles_reload(struct roles *r, struct settings *next, struct fault *f)
{
	struct settings *old = r->reloaded;

	if (r->relay) {
		struct relay_config_epoch epoch = relay_epoch_of(next);

		TRY(relay_reload(r->relay, &epoch, f));
		keep_bodies(r, next);
	}
	if (r->gateway.gateway) {
		TRY(gateway_role_reload(&r->gateway, next, f));
	}
	atomic_store(&r->rest[ROLE_MANAGEMENT].keys, &next->management.keys);
	atomic_store(&r->rest[ROLE_STATISTICS].keys, &next->statistics.rest.keys);
	r->reloaded = settings_ref(next);
	loops_quiesce(r->deps.loops);
	settings_unref(&old);
	return ERR_OK;
}

void roles_reopen(struct roles *r)
{
	if (r->gateway.gateway) {
		gateway_reopen(r->gateway.gateway);
	}
}

enum err roles_save(struct roles *r, struct buf *out)
{
	return gateway_role_save(&r->gateway, out);
}

void roles_serve(struct roles *r)
{
	gateway_role_serve(&r->gateway);
}

void roles_drain(struct roles *r)
{
	gateway_role_drain(&r->gateway);
	if (r->relay) {
		relay_drain(r->relay);
	}
}

bool roles_relay_is_drained(const struct roles *r)
{
	return !r->relay || relay_active(r->relay) == 0;
}

bool roles_are_drained(const struct roles *r)
{
	return roles_relay_is_drained(r) &&
	       (!r->gateway.gateway ||
		(gateway_active(r->gateway.gateway) == 0 && gateway_flush(r->gateway.gateway)));
}

void roles_stop(struct roles *r)
{
	periodic_stop(&r->key_upkeep);
	gateway_role_stop(&r->gateway);
	if (r->relay) {
		relay_stop(r->relay);
	}
	upkeep_stop(&r->upkeep);
}

void roles_joined(struct roles *r)
{
	gateway_role_joined(&r->gateway);
}

void roles_free(struct roles *r)
{
	gateway_role_free(&r->gateway);
	relay_free(&r->relay);
	issuer_free(&r->issuer);
	settings_unref(&r->reloaded);
	settings_unref(&r->deps.settings);
}
