/* What tells about the server: /, /status, /endpoints, /plugins/enabled, /tags, log level. */
#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "gateway/admin_int.h"
#include "gateway/plugin.h"

#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#define LEVEL_TIMEOUT_S 60

static void set_str(struct admin_call *a, struct json *o, const char *key, struct str s)
{
	tree_set(&a->t->arena, o, str_c(key), tree_str(&a->t->arena, s));
}

static void set_int(struct admin_call *a, struct json *o, const char *key, int64_t v)
{
	tree_set(&a->t->arena, o, str_c(key), tree_int(&a->t->arena, v));
}

static void set_tree(struct admin_call *a, struct json *o, const char *key, const struct json *v)
{
	tree_set(&a->t->arena, o, str_c(key), v);
}

/* ---- GET / ---- */

static const struct json *available(struct admin_call *a)
{
	struct json *all = tree_object(&a->t->arena);

	for (size_t i = 0; i < n_plugins; i++) {
		struct json *p = tree_object(&a->t->arena);

		set_str(a, p, "version", str_c(plugins[i]->version));
		set_int(a, p, "priority", plugins[i]->priority);
		set_tree(a, all, plugins[i]->name, p);
	}
	return all;
}

struct names {
	struct arena *arena;
	struct json *v;
};

static enum err on_plugin(void *ctx, const struct json *v)
{
	struct names *names = ctx;
	struct str name = json_str(json_get(v, STR("name")));

	for (const struct json *n = names->v->child; n; n = n->next) {
		if (str_eq(json_str(n), name)) {
			return ERR_OK;
		}
	}
	tree_append(names->arena, names->v, tree_str(names->arena, str_dup(names->arena, name)));
	return ERR_OK;
}

static enum err in_use(struct admin_call *a, const struct json **out)
{
	struct names names = {&a->t->arena, tree_array(&a->t->arena)};

	TRY(entities_each(a->admin->entities, &a->c, ENTITY_PLUGIN, on_plugin, &names));
	*out = names.v;
	return ERR_OK;
}

static const struct json *list_of(struct admin_call *a, struct str only)
{
	struct json *list = tree_array(&a->t->arena);

	if (only.p) {
		tree_append(&a->t->arena, list, tree_str(&a->t->arena, only));
	}
	return list;
}

static const struct json *loaded(struct admin_call *a)
{
	struct json *all = tree_object(&a->t->arena);

	for (size_t i = 0; i < n_plugins; i++) {
		set_tree(a, all, plugins[i]->name, tree_bool(&a->t->arena, true));
	}
	return all;
}

static const struct json *configuration(struct admin_call *a)
{
	bool memory = entities_is_memory(a->admin->entities);
	struct json *conf = tree_object(&a->t->arena), *more;
	struct buf b = {0};

	set_str(a, conf, "database", memory ? STR("off") : STR("postgres"));
	set_str(a, conf, "router_flavor", STR("traditional_compatible"));
	set_str(a, conf, "role", STR("traditional"));
	set_tree(a, conf, "plugins", list_of(a, STR("bundled")));
	set_tree(a, conf, "loaded_plugins", loaded(a));
	set_tree(a, conf, "stream_listen", list_of(a, STR("off")));
	set_tree(a, conf, "stream_listeners", list_of(a, STR_NULL));
	set_tree(a, conf, "anonymous_reports", tree_bool(&a->t->arena, false));
	if (!a->admin->ops.configuration) {
		return conf;
	}
	struct json_writer w = json_writer_to(&b);
	json_begin_object(&w);
	a->admin->ops.configuration(a->admin->ops.arg, &a->t->arena, &w);
	json_end_object(&w);
	if (json_parse(&a->t->arena, str_dup(&a->t->arena, buf_str(&b)), &more, NULL) == ERR_OK) {
		for (const struct json *m = more->child; m; m = m->next) {
			tree_set(&a->t->arena, conf, m->key, m);
		}
	}
	buf_free(&b);
	return conf;
}

static const struct json *timers(struct admin_call *a)
{
	struct json *o = tree_object(&a->t->arena);

	set_int(a, o, "running", 0);
	set_int(a, o, "pending", 0);
	return o;
}

static const struct json *pids(struct admin_call *a)
{
	struct json *o = tree_object(&a->t->arena), *workers = tree_array(&a->t->arena);

	set_int(a, o, "master", getpid());
	tree_append(&a->t->arena, workers, tree_int(&a->t->arena, getpid()));
	set_tree(a, o, "workers", workers);
	return o;
}

static enum err index_page(struct admin_call *a)
{
	struct json *o = tree_object(&a->t->arena), *p = tree_object(&a->t->arena);
	const struct json *enabled = NULL;
	char host[256] = "localhost";

	TRY(in_use(a, &enabled));
	(void)gethostname(host, sizeof(host) - 1);
	set_tree(a, p, "available_on_server", available(a));
	set_tree(a, p, "enabled_in_cluster", enabled);
	set_str(a, o, "tagline", STR("Welcome to kong"));
	set_str(a, o, "version", STR(ADMIN_VERSION));
	set_str(a, o, "edition", STR("community"));
	set_str(a, o, "hostname", str_dup(&a->t->arena, str_c(host)));
	set_tree(a, o, "node_id", tree_guid(&a->t->arena, &a->admin->node_id));
	set_str(a, o, "lua_version", STR("none"));
	set_tree(a, o, "timers", timers(a));
	set_tree(a, o, "plugins", p);
	set_tree(a, o, "configuration", configuration(a));
	set_tree(a, o, "pids", pids(a));
	return admin_reply(a, 200, o);
}

/* ---- /status ---- */

static const struct json *server(struct admin_call *a)
{
	struct json *o = tree_object(&a->t->arena);
	struct admin_counters n = {0};

	if (a->admin->ops.counters) {
		a->admin->ops.counters(a->admin->ops.arg, &n);
	}
	set_int(a, o, "connections_accepted", (int64_t)n.accepted);
	set_int(a, o, "connections_handled", (int64_t)n.handled);
	set_int(a, o, "connections_active", (int64_t)n.active);
	set_int(a, o, "connections_reading", (int64_t)n.reading);
	set_int(a, o, "connections_writing", (int64_t)n.writing);
	set_int(a, o, "connections_waiting", (int64_t)n.waiting);
	set_int(a, o, "total_requests", (int64_t)n.requests);
	return o;
}

static struct str memory_text(struct admin_call *a, double bytes)
{
	static const struct {
		const char *unit, *name;
		double by;
	} units[] = {{"b", "", 1},
		     {"k", " KiB", 1024},
		     {"m", " MiB", 1048576},
		     {"g", " GiB", 1073741824}};
	struct str unit = admin_option(a, "unit");
	uint64_t scale;
	size_t i = 2;

	if (!str_to_u64(admin_option(a, "scale"), &scale) || scale > 9) {
		scale = 2;
	}
	for (size_t k = 0; k < ARRAY_LEN(units); k++) {
		i = str_eq_nocase(unit, str_c(units[k].unit)) ? k : i;
	}
	return str_fmt(&a->t->arena, "%.*f%s", i == 0 ? 0 : (int)scale, bytes / units[i].by,
		       units[i].name);
}

static const struct json *memory(struct admin_call *a)
{
	struct json *o = tree_object(&a->t->arena), *vms = tree_array(&a->t->arena);
	struct json *vm = tree_object(&a->t->arena);
	struct mallinfo2 heap = mallinfo2();

	set_int(a, vm, "pid", getpid());
	set_str(a, vm, "http_allocated_gc",
		memory_text(a, (double)heap.uordblks + (double)heap.hblkhd));
	tree_append(&a->t->arena, vms, vm);
	set_tree(a, o, "lua_shared_dicts", tree_object(&a->t->arena));
	set_tree(a, o, "workers_lua_vms", vms);
	return o;
}

static bool is_database_reachable(struct admin_call *a)
{
	return entities_is_memory(a->admin->entities) || db_ping(a->t->db) == ERR_OK;
}

static struct str config_hash(struct admin_call *a)
{
	const struct admin_ops *ops = &a->admin->ops;

	return ops->config_hash ? ops->config_hash(ops->arg, &a->t->arena)
				: STR("00000000000000000000000000000000");
}

/* Zeros alone: nothing is loaded. */
static bool is_empty_hash(struct str hash)
{
	for (size_t i = 0; i < hash.n; i++) {
		if (hash.p[i] != '0') {
			return false;
		}
	}
	return true;
}

static enum err status(struct admin_call *a)
{
	struct json *o = tree_object(&a->t->arena), *db = tree_object(&a->t->arena);

	set_tree(a, db, "reachable", tree_bool(&a->t->arena, is_database_reachable(a)));
	set_tree(a, o, "database", db);
	set_tree(a, o, "memory", memory(a));
	set_tree(a, o, "server", server(a));
	if (entities_is_memory(a->admin->entities)) {
		set_str(a, o, "configuration_hash", config_hash(a));
	}
	return admin_reply(a, 200, o);
}

static enum err ready(struct admin_call *a)
{
	const struct admin_ops *ops = &a->admin->ops;

	if (ops->is_draining && ops->is_draining(ops->arg)) {
		return admin_message(a, 503, "shutting down");
	}
	if (entities_is_memory(a->admin->entities) && is_empty_hash(config_hash(a))) {
		return admin_message(a, 503,
				     "no configuration available (empty configuration present)");
	}
	if (!is_database_reachable(a)) {
		return admin_message(a, 503, "failed to connect to database");
	}
	return admin_message(a, 200, "ready");
}

static enum err metrics(struct admin_call *a)
{
	const struct admin_ops *ops = &a->admin->ops;

	if (!ops->metrics) {
		return ERR_NOT_FOUND;
	}
	TRY(task_reply_text(a->t, 200, STR("text/plain; charset=UTF-8"), STR("")));
	ops->metrics(ops->arg, &a->t->reply.body);
	return ERR_OK;
}

/* ---- lists of what there is ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum err endpoints(struct admin_call *a)
{
	const struct rest_table *table = &a->admin->table;
	const char **v = ARENA_NEW_ARRAY(&a->t->arena, const char *, table->n);
	struct json *o = tree_object(&a->t->arena), *data = tree_array(&a->t->arena);
	struct tree_tail tail = tree_tail_of(data);

	for (size_t i = 0; i < table->n; i++) {
		v[i] = table->routes[i].path;
	}
	qsort(v, table->n, sizeof(*v), by_text);
	for (size_t i = 0; i < table->n; i++) {
		if (i == 0 || strcmp(v[i], v[i - 1]) != 0) {
			tree_push(&a->t->arena, &tail, STR_NULL,
				  tree_str(&a->t->arena, str_c(v[i])));
		}
	}
	set_tree(a, o, "data", data);
	return admin_reply(a, 200, o);
}

static enum err enabled_plugins(struct admin_call *a)
{
	struct json *o = tree_object(&a->t->arena), *names = tree_array(&a->t->arena);
	const char **v = ARENA_NEW_ARRAY(&a->t->arena, const char *, n_plugins + 1);

	for (size_t i = 0; i < n_plugins; i++) {
		v[i] = plugins[i]->name;
	}
	qsort(v, n_plugins, sizeof(*v), by_text);
	for (size_t i = 0; i < n_plugins; i++) {
		tree_append(&a->t->arena, names, tree_str(&a->t->arena, str_c(v[i])));
	}
	set_tree(a, o, "enabled_plugins", names);
	return admin_reply(a, 200, o);
}

static enum err tags(struct admin_call *a)
{
	struct str tag = a->t->n_params > 0 ? admin_param(a, 0) : STR_NULL;
	struct entity_tag_page page;
	struct entity_query q;
	struct buf path = {0};
	struct str text;

	TRY(admin_query(a, &q));
	TRY(entity_tags(a->admin->entities, &a->c, tag, &q, &page));
	buf_puts(&path, "/tags");
	if (tag.p) {
		buf_puts(&path, "/");
		percent_encode(&path, tag);
	}
	text = str_dup(&a->t->arena, buf_str(&path));
	buf_free(&path);
	return admin_reply_page(a, page.data, page.offset, text);
}

static enum err timer_stats(struct admin_call *a)
{
	struct json *o = tree_object(&a->t->arena);

	set_tree(a, o, "stats", tree_object(&a->t->arena));
	return admin_reply(a, 200, o);
}

/* ---- cache: this server has none, what it answers is always what is stored ---- */

static enum err cache_get(struct admin_call *a UNUSED)
{
	return ERR_NOT_FOUND;
}

static enum err cache_purge(struct admin_call *a)
{
	return task_reply_status(a->t, 204);
}

/* ---- /config ---- */

#define NEEDS_MEMORY "this endpoint is only available when Kong is configured to not use a database"

static enum err config_get(struct admin_call *a)
{
	const struct admin_ops *ops = &a->admin->ops;

	if (!entities_is_memory(a->admin->entities)) {
		return admin_message(a, 400, NEEDS_MEMORY);
	}
	return ops->config_get ? ops->config_get(ops->arg, a->t) : ERR_NOT_FOUND;
}

static enum err config_post(struct admin_call *a)
{
	const struct admin_ops *ops = &a->admin->ops;

	if (!entities_is_memory(a->admin->entities)) {
		return admin_message(a, 400, NEEDS_MEMORY);
	}
	return ops->config_post ? ops->config_post(ops->arg, a->t) : ERR_NOT_FOUND;
}

static enum err clustering(struct admin_call *a)
{
	return admin_message(a, 400,
			     "this endpoint is only available when Kong is configured to"
			     " run as Control Plane for the cluster");
}

/* ---- log level ---- */

static const struct {
	const char *name;
	enum log_level level;
} levels[] = {
	{"debug", LOG_DEBUG}, {"info", LOG_INFO},  {"notice", LOG_INFO}, {"warn", LOG_WARN},
	{"error", LOG_ERROR}, {"crit", LOG_ERROR}, {"alert", LOG_ERROR}, {"emerg", LOG_ERROR},
};

const char *admin_level_name(enum log_level level)
{
	switch (level) {
	case LOG_TRACE:
	case LOG_DEBUG:
		return "debug";
	case LOG_INFO:
		return "notice";
	case LOG_WARN:
		return "warn";
	case LOG_ERROR:
	case LOG_OFF:
		return "error";
	}
	return "error";
}

static bool set_level(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		if (strcmp(levels[i].name, name) == 0) {
			log_set_level(levels[i].level);
			return true;
		}
	}
	return false;
}

static enum err level_get(struct admin_call *a)
{
	const char *name;

	(void)pthread_mutex_lock(&a->admin->mtx);
	name = a->admin->level;
	(void)pthread_mutex_unlock(&a->admin->mtx);
	return admin_message(a, 200, "log level: %s", name);
}

static const char *known_level(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		if (str_eq(str_c(levels[i].name), name)) {
			return levels[i].name;
		}
	}
	return NULL;
}

static enum err level_put(struct admin_call *a)
{
	const char *name = known_level(admin_param(a, 0));
	struct admin *admin = a->admin;
	int64_t timeout_s = LEVEL_TIMEOUT_S;

	if (!name) {
		return admin_message(a, 400, "unknown log level: %.*s", STR_ARG(admin_param(a, 0)));
	}
	if (task_query_int(a->t, "timeout", LEVEL_TIMEOUT_S, 0, 86400LL * 365, &timeout_s) !=
	    ERR_OK) {
		return admin_message(a, 400, "%s", a->t->fault.text);
	}
	(void)pthread_mutex_lock(&admin->mtx);
	if (timeout_s > 0 && !admin->level_after) {
		admin->level_after = admin->level;
	} else if (timeout_s == 0) {
		admin->level_after = NULL;
	}
	admin->level = name;
	admin->level_until_ms = clock_mono_ms() + (uint64_t)timeout_s * 1000;
	(void)set_level(name);
	(void)pthread_mutex_unlock(&admin->mtx);
	return admin_message(a, 200, "log level changed");
}

void admin_tick(struct admin *admin)
{
	(void)pthread_mutex_lock(&admin->mtx);
	if (admin->level_after && clock_mono_ms() >= admin->level_until_ms) {
		admin->level = admin->level_after;
		admin->level_after = NULL;
		(void)set_level(admin->level);
	}
	(void)pthread_mutex_unlock(&admin->mtx);
}

/* ---- the tables ---- */

#define SMALL (64 << 10)

static const struct admin_special specials[] = {
	{"GET", "/", index_page, 0, "Tells about this server.", 0, 0, NULL},
	{"GET", "/status", status, 0, "Connections, memory and database.", 0, 0, NULL},
	{"GET", "/endpoints", endpoints, 0, "Lists all paths.", 0, 0, NULL},
	{"GET", "/plugins/enabled", enabled_plugins, 0, "Names of plugins.", 0, 0, NULL},
	{"GET", "/tags", tags, 0, "Lists all tags.", 0, 0, NULL},
	{"GET", "/tags/{tags}", tags, 0, "Lists what has a tag.", 0, 0, NULL},
	{"GET", "/timers", timer_stats, 0, "Statistics of timers.", 0, 0, NULL},
	{"DELETE", "/cache", cache_purge, SMALL, "Empties the cache.", 0, 0, NULL},
	{"GET", "/cache/{key}", cache_get, 0, "Shows what is cached.", 0, 0, NULL},
	{"DELETE", "/cache/{key}", cache_purge, SMALL, "Forgets what is cached.", 0, 0, NULL},
	{"GET", "/metrics", metrics, 0, "Metrics for Prometheus.", 0, 0, NULL},
	{"GET", "/config", config_get, 0, "The declarative configuration.", 0, 0, NULL},
	{"POST", "/config", config_post, ADMIN_CONFIG_MAX, "Replaces all entities.", 0, 0, NULL,
	 true},
	{"GET", "/clustering/data-planes", clustering, 0, "Not a control plane.", 0, 0, NULL},
	{"GET", "/clustering/status", clustering, 0, "Not a control plane.", 0, 0, NULL},
	{"GET", "/debug/node/log-level", level_get, 0, "The log level.", 0, 0, NULL},
	{"PUT", "/debug/node/log-level/{level}", level_put, SMALL, "Sets the log level.", 0, 0,
	 NULL},
	{"PUT", "/debug/cluster/log-level/{level}", level_put, SMALL, "Sets the log level.", 0, 0,
	 NULL},
};
const struct admin_specials admin_info_specials = {specials, ARRAY_LEN(specials)};

/* For a listener that asks for no key: nothing that writes, and no entities but targets. */
static const struct admin_special of_status[] = {
	{"GET", "/status", status, 0, "Connections, memory and database.", 0, 0, NULL},
	{"GET", "/status/ready", ready, 0, "Whether requests can be served.", 0, 0, NULL},
	{"GET", "/upstreams/{upstreams}/health", admin_upstream_health, 0, "Health of an upstream.",
	 ENTITY_UPSTREAM, ENTITY_UPSTREAM, NULL},
};
const struct admin_specials admin_status_specials = {of_status, ARRAY_LEN(of_status)};
