/*
 * What stands on what, and so the order of start; the end goes the other way.
 *
 *   database pool -> migrations -> loops -> worker pools -> bodies
 *     -> identity -> relay -> management, statistics -> upkeep -> status -> listeners
 */
#include "app/server.h"

#include "app/roles.h"
#include "app/sessions.h"
#include "app/status.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "blob/blob.h"
#include "http/client.h"
#include "net/dns.h"

#include <unistd.h>

#define SLOW_WORKERS 4
#define JOBS_QUEUED_MAX 4096

struct server {
	struct settings *settings;
	struct settings *started; /* its addresses are those that are open */
	struct db_pool *database;
	struct loops loops;
	struct pool *pools[REST_POOLS];
	struct blob_store *bodies;
	struct roles roles;
	struct status status;
	struct http_server *http[LISTENERS];
	bool doors_open; /* of the relay, while all else drains */
};

/* ---- start ---- */

static enum err open_database(struct server *s, struct fault *f)
{
	const struct top_settings *top = &s->settings->top;
	struct db_config config = {.size = (unsigned)top->database_connections + SLOW_WORKERS + 1};

	TRY(settings_database_url(s->settings, &s->settings->arena, &config.url, f));
	TRY(db_pool_open(&config, &s->database, f));
	return top->database_migrate ? roles_migrate(s->database, f) : ERR_OK;
}

static enum err start_loops(struct server *s, struct fault *f)
{
	const struct top_settings *top = &s->settings->top;
	struct pool_ops ops = sessions_pool_ops(s->database);
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = top->loops > 0 ? (unsigned)top->loops : (unsigned)MAX(cores, 1);

	TRY(loops_start(&s->loops, MIN(n, LOOPS_MAX), f));
	s->pools[REST_DB] =
		pool_new("database", (unsigned)top->database_connections, JOBS_QUEUED_MAX, &ops);
	s->pools[REST_SLOW] = pool_new("slow", SLOW_WORKERS, JOBS_QUEUED_MAX, &ops);
	return ERR_OK;
}

static enum err open_bodies(struct server *s, struct fault *f)
{
	struct blob_config config = {0};

	if (!s->settings->runs[ROLE_RELAY]) {
		return ERR_OK;
	}
	TRY(settings_bodies_url(s->settings, &s->settings->arena, &config.url, f));
	return blob_store_open(&config, &s->bodies, f);
}

/* Where the gateway finds the other roles of this process. Asked on loops: the list is complete
 * before the first address is open. */
static struct http_server *role_server(void *arg, struct str role)
{
	const struct server *s = arg;
	enum role r = role_of(role);

	return r < ROLES ? s->http[r] : NULL;
}

static void gateway_counters(void *arg, struct admin_counters *out)
{
	const struct server *s = arg;
	struct http_server_stats st = {0};

	if (s->http[ROLE_GATEWAY]) {
		http_server_stats(s->http[ROLE_GATEWAY], &st);
	}
	*out = (struct admin_counters){
		.accepted = st.connections_total,
		.handled = st.connections_total,
		.requests = st.requests_total,
		.active = st.connections,
		.reading = st.reading,
		.writing = st.writing,
		.waiting = st.waiting,
	};
}

static enum err start_roles(struct server *s, struct str saved, struct fault *f)
{
	struct roles_deps deps = {
		.settings = s->settings,
		.loops = &s->loops,
		.database = s->database,
		.pools = {s->pools[REST_DB], s->pools[REST_SLOW]},
		.bodies = s->bodies,
		.saved = saved,
		.gateway_ops = {.role_server = role_server, .arg = s},
		.gateway_counters = gateway_counters,
	};

	return roles_start(&s->roles, &deps, f);
}

/* Who is asked for certificates; all-zero = they are configured. */
static struct listen_pick pick_of(struct server *s, int which)
{
	return settings_listener_is_gateways(s->started, which)
		       ? (struct listen_pick){gateway_pick_certificate, s->roles.gateway.gateway}
		       : (struct listen_pick){0};
}

static void make_server(struct server *s, int which, const char *name, dispatch_fn *fn, void *role)
{
	struct http_limits lim = http_limits_default;

	/* When clients have all that they may have, operators can still see why. */
	lim.uses_reserve = which >= LISTENER_STATUS;
	s->http[which] = http_server_new(&lim, fn, role);
	http_server_serve(s->http[which], &s->loops);
	s->status.servers[s->status.n_servers++] = (struct status_server){name, s->http[which]};
}

/* All, before the first connection: /metrics and the gateway read the lists on loops. */
static void make_servers(struct server *s)
{
	for (int r = 0; r < ROLES; r++) {
		if (s->settings->runs[r]) {
			make_server(s, r, role_names[r], roles_dispatch_fn((enum role)r),
				    roles_dispatch_arg(&s->roles, (enum role)r));
		}
	}
	for (size_t i = 0;
	     s->settings->runs[ROLE_GATEWAY] && i < s->settings->gateway_more.n_admins; i++) {
		make_server(s, LISTENER_ADMIN + (int)i, "admin", admin_dispatch,
			    s->roles.gateway.admins[i]);
	}
	make_server(s, LISTENER_STATUS, "status", status_dispatch, &s->status);
}

static enum err start_listeners(struct server *s, struct fault *f)
{
	make_servers(s);
	s->status.relay = s->roles.relay;
	s->status.gateway = s->roles.gateway.gateway ? &s->roles.gateway : NULL;
	s->status.loops = &s->loops;
	s->status.pools[REST_DB] = s->pools[REST_DB];
	s->status.pools[REST_SLOW] = s->pools[REST_SLOW];
	status_init(&s->status);
	for (int which = 0; which < LISTENERS; which++) {
		const struct listen_set *set = settings_listen(s->settings, which);
		struct listen_pick pick = pick_of(s, which);

		for (size_t i = 0; s->http[which] && i < set->n; i++) {
			TRY(listen_open(&set->v[i], &pick, s->http[which], &s->loops, f));
		}
	}
	/* Nothing can fail from here on: what an heir accepts it will answer. */
	for (int which = 0; which < LISTENERS; which++) {
		if (s->http[which]) {
			http_server_accept(s->http[which]);
		}
	}
	return ERR_OK;
}

static enum err start(struct server *s, struct str saved, struct fault *f)
{
	TRY(open_database(s, f));
	TRY(start_loops(s, f));
	TRY(open_bodies(s, f));
	TRY(start_roles(s, saved, f));
	return start_listeners(s, f);
}

enum err server_start(struct settings *settings, struct str saved, struct server **out,
		      struct fault *f)
{
	struct server *s = MEM_NEW(struct server);
	enum err e;

	s->settings = settings_ref(settings);
	s->started = settings_ref(settings);
	e = start(s, saved, f);
	if (e != ERR_OK) {
		server_stop(&s);
		return e;
	}
	roles_serve(&s->roles);
	*out = s;
	return ERR_OK;
}

void server_addresses(const struct server *s, struct buf *out)
{
	bool any = false;

	for (size_t i = 0; i < s->status.n_servers; i++) {
		const struct status_server *ss = &s->status.servers[i];
		const struct addr *a;

		if (!http_server_addr(ss->server, 0)) {
			continue;
		}
		buf_printf(out, "%s%s=", any ? " " : "", ss->name);
		any = true;
		for (size_t k = 0; (a = http_server_addr(ss->server, k)); k++) {
			char text[ADDR_TEXT_MAX];

			(void)addr_format(a, text);
			buf_printf(out, "%s%s://%s", k > 0 ? "," : "",
				   http_server_is_tls(ss->server, k) ? "https" : "http", text);
		}
	}
}

/* ---- while it runs ---- */

enum err server_reload(struct server *s, struct settings *next, struct fault *f)
{
	struct settings *old = s->settings;
	struct listen_change changes[LISTENERS] = {{{{0}}}};
	enum err e = ERR_OK;

	for (int i = 0; i < LISTENERS && e == ERR_OK; i++) {
		struct listen_pick pick = pick_of(s, i);

		if (s->http[i]) {
			e = listen_prepare(settings_listen(s->started, i), settings_listen(next, i),
					   &pick, &changes[i], f);
		}
	}
	if (e == ERR_OK) {
		e = roles_reload(&s->roles, next, f);
	}
	for (int i = 0; i < LISTENERS; i++) {
		listen_commit(&changes[i], e == ERR_OK ? s->http[i] : NULL);
	}
	TRY(e);
	log_set_level((enum log_level)next->top.log_level);
	s->settings = settings_ref(next);
	settings_unref(&old);
	return ERR_OK;
}

void server_reopen(struct server *s)
{
	roles_reopen(&s->roles);
}

enum err server_save(struct server *s, struct buf *out)
{
	return roles_save(&s->roles, out);
}

void server_stay(struct server *s)
{
	roles_serve(&s->roles);
}

int64_t server_drain_timeout_ms(const struct server *s)
{
	return s->settings->top.drain_timeout_ms;
}

/* Connectors come through the gateway, too, where it leads to role://relay. */
static bool is_door(int which)
{
	return which == ROLE_RELAY || which == ROLE_GATEWAY;
}

/*
 * Requests at connectors are waited for, and their bodies come over connections of their own, all
 * that is said as well where WebSockets do not pass. An heir would accept those instead of us.
 */
void server_drain(struct server *s, uint32_t idle_ms)
{
	atomic_store(&s->status.draining, true);
	roles_drain(&s->roles);
	s->doors_open = idle_ms == 0 && !roles_relay_is_drained(&s->roles);
	for (int i = 0; i < LISTENERS; i++) {
		/* Status answers to the last: others watch us leave. */
		if (s->http[i] && i != LISTENER_STATUS && !(s->doors_open && is_door(i))) {
			http_server_drain(s->http[i], idle_ms);
		}
	}
}

static void look_for_ends(struct loop *l, void *arg)
{
	bool *any = arg;

	*any = *any || loop_has_ends(l);
}

/* Whether an answer is still on its way through a connection that is closing. */
static bool is_closing(const struct server *s)
{
	bool any = false;

	for (unsigned i = 0; i < s->loops.n; i++) {
		loop_call(s->loops.v[i], look_for_ends, &any);
	}
	return any;
}

bool server_drain_on(struct server *s)
{
	if (s->doors_open && roles_relay_is_drained(&s->roles)) {
		s->doors_open = false;
		for (int i = 0; i < LISTENERS; i++) {
			if (s->http[i] && is_door(i)) {
				http_server_drain(s->http[i], 0);
			}
		}
	}
	for (int i = 0; i < LISTENERS; i++) {
		if (s->http[i] && i != LISTENER_STATUS && http_server_active(s->http[i]) > 0) {
			return false;
		}
	}
	return roles_are_drained(&s->roles) && !is_closing(s);
}

/* ---- the end ---- */

static void fini_loop_locals(struct server *s)
{
	for (unsigned i = 0; i < s->loops.n; i++) {
		struct loop *l = s->loops.v[i];

		http_loop_fini(l);
		http_server_loop_fini(l);
		dns_loop_fini(l);
	}
}

void server_stop(struct server **sp)
{
	struct server *s = *sp;

	if (!s) {
		return;
	}
	*sp = NULL;
	roles_stop(&s->roles);
	for (int i = LISTENERS; i-- > 0;) { /* status first: it asks the others */
		http_server_free(&s->http[i]);
	}
	pool_free(&s->pools[REST_SLOW]);
	pool_free(&s->pools[REST_DB]);
	loops_join(&s->loops);
	roles_joined(&s->roles);
	fini_loop_locals(s);
	loops_free(&s->loops); /* drops messages that name the roles */
	roles_free(&s->roles);
	blob_store_close(&s->bodies);
	db_pool_close(&s->database);
	settings_unref(&s->settings);
	settings_unref(&s->started);
	mem_free(s);
}
