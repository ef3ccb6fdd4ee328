#include "app/settings.h"

#include "app/fetch.h"
#include "base/mem.h"
#include "connector/config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

const char *const role_names[ROLES] = {"relay", "identity", "management", "statistics", "gateway"};

/* ---- the sections that belong to no role's folder ---- */

static const char *const log_levels[] = {"trace", "debug", "info", "warn", "error", NULL};
static const char *const log_formats[] = {"auto", "text", "json", "clef", NULL};

#define AT(member) offsetof(struct top_settings, member)
static const struct conf_key top_keys[] = {
	{"data", CONF_STR, AT(data), "posthouse-data", 0, 0, NULL, 0,
	 "Directory for the SQLite database and stored bodies."},
	{"database", CONF_SECRET, AT(database), NULL, 0, 0, NULL, 0,
	 "sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME. Default: sqlite:DATA/posthouse.db."},
	{"bodies", CONF_STR, AT(bodies), NULL, 0, 0, NULL, 0,
	 "Store of large bodies: memory or file:DIR. Default: file:DATA/bodies."},
	{"database_connections", CONF_INT, AT(database_connections), "8", 1, 256, NULL, 0,
	 "Database sessions; as many control-plane requests run at once, half of them writes."},
	{"database_migrate", CONF_BOOL, AT(database_migrate), "true", 0, 0, NULL, 0,
	 "Bring the schema up to date at start; otherwise run `posthouse migrate`."},
	{"loops", CONF_INT, AT(loops), "0", 0, LOOPS_MAX, NULL, 0,
	 "Event loops (threads of the data plane); 0 = one for each core."},
	{"log_level", CONF_ENUM, AT(log_level), "info", 0, 0, log_levels, CONF_RELOAD,
	 "Least level that is written."},
	{"log_format", CONF_ENUM, AT(log_format), "auto", 0, 0, log_formats, 0,
	 "auto = text on a terminal, else json."},
	{"drain_timeout", CONF_DURATION, AT(drain_timeout_ms), "30s", 0, 0, NULL, CONF_RELOAD,
	 "How long running requests may take to end after SIGTERM; a second one ends them at "
	 "once."},
};
#undef AT

const struct conf_section top_conf = {"", "Keys of the whole server.", top_keys,
				      ARRAY_LEN(top_keys)};

#define AT(member) offsetof(struct rest_settings, member)
static const struct conf_key management_keys[] = {
	{"listen", CONF_NODE, AT(listen), "127.0.0.1:5004", 0, 0, NULL, CONF_RELOAD,
	 "Addresses, as of `relay`."},
	{"api_keys", CONF_NODE, AT(api_keys), NULL, 0, 0, NULL, CONF_RELOAD,
	 "List of {key: …, may: read|write|readwrite}. Without one every call is refused."},
	{"api_key_header", CONF_STR, AT(api_key_header), "Api-Key", 0, 0, NULL, 0,
	 "Request header that carries the key."},
};
#undef AT

static const struct conf_section management_conf = {"management",
						    "REST interface to tenants and their secrets.",
						    management_keys, ARRAY_LEN(management_keys)};

#define AT(member) offsetof(struct statistics_settings, member)
static const struct conf_key statistics_keys[] = {
	{"listen", CONF_NODE, AT(rest.listen), "127.0.0.1:5006", 0, 0, NULL, CONF_RELOAD,
	 "Addresses, as of `relay`."},
	{"api_keys", CONF_NODE, AT(rest.api_keys), NULL, 0, 0, NULL, CONF_RELOAD,
	 "List of {key: …, may: read}. Without one every call is refused."},
	{"api_key_header", CONF_STR, AT(rest.api_key_header), "Api-Key", 0, 0, NULL, 0,
	 "Request header that carries the key."},
	{"entry_max_age", CONF_DURATION, AT(entry_max_age_ms), "15m", 1000, 0, NULL, 0,
	 "Origins and, with connection_cleanup, connections last seen longer ago are deleted."},
	{"origin_last_seen_update_interval", CONF_DURATION, AT(origin_last_seen_ms), "30s", 1000, 0,
	 NULL, 0, "How often a server says that it lives."},
	{"connection_last_seen_update_interval", CONF_DURATION, AT(connection_last_seen_ms), "1m",
	 1000, 0, NULL, 0, "How often it is written of each open connection that it is there."},
	{"maintenance_interval", CONF_DURATION, AT(maintenance_interval_ms), "15m", 1000, 0, NULL,
	 0, "How often old entries are deleted."},
	{"request_log_max_age", CONF_DURATION, AT(request_log_max_age_ms), "30d", 0, 0, NULL, 0,
	 "Logged requests older than this are deleted; 0 = never."},
	{"connection_cleanup", CONF_BOOL, AT(connection_cleanup), "false", 0, 0, NULL, 0,
	 "Delete entries of closed connections older than entry_max_age."},
};
#undef AT

static const struct conf_section statistics_conf = {
	"statistics", "REST interface to requests, connections and servers, and their upkeep.",
	statistics_keys, ARRAY_LEN(statistics_keys)};

static const struct conf_key status_keys[] = {
	{"listen", CONF_NODE, offsetof(struct status_settings, listen), "127.0.0.1:9600", 0, 0,
	 NULL, CONF_RELOAD,
	 "Addresses of /health/live, /health/ready and /metrics; of the gateway, /status."},
};
static const struct conf_section status_conf = {"status", "Health and metrics.", status_keys,
						ARRAY_LEN(status_keys)};

static const struct conf_section *const sections[] = {
	&top_conf,	  &relay_conf,	 &identity_conf, &management_conf,
	&statistics_conf, &gateway_conf, &status_conf,	 &connect_conf,
};

struct config_tables settings_tables(void)
{
	return (struct config_tables){sections, ARRAY_LEN(sections)};
}

/* ---- API keys ---- */

struct key_entry {
	struct str key;
	int may;
};

static const char *const may_names[] = {"read", "write", "readwrite", NULL};
static const unsigned may_bits[] = {REST_MAY_READ, REST_MAY_WRITE, REST_MAY_READ | REST_MAY_WRITE};
static const struct conf_key key_entry_keys[] = {
	{"key", CONF_SECRET, offsetof(struct key_entry, key), NULL, 0, 0, NULL, CONF_REQUIRED,
	 "The secret."},
	{"may", CONF_ENUM, offsetof(struct key_entry, may), "read", 0, 0, may_names, 0,
	 "What it allows."},
};
static const struct conf_section key_entry_conf = {"api_keys", "One API key.", key_entry_keys,
						   ARRAY_LEN(key_entry_keys)};

static size_t count_children(const struct conf_node *list)
{
	size_t n = 0;

	for (const struct conf_node *c = list ? list->child : NULL; c; c = c->next) {
		n++;
	}
	return n;
}

enum err settings_read_keys(struct arena *a, const struct conf_node *list, struct rest_keys *out,
			    struct fault *f)
{
	struct rest_key *keys;

	if (list && list->kind != CONF_NODE_LIST) {
		return conf_fault(f, list, "api_keys is a list of {key: …, may: …}");
	}
	keys = ARENA_NEW_ARRAY(a, struct rest_key, count_children(list) + 1);
	*out = (struct rest_keys){.v = keys};
	for (const struct conf_node *c = list ? list->child : NULL; c; c = c->next) {
		struct key_entry e;

		TRY(conf_apply(a, &key_entry_conf, c, &e, f));
		keys[out->n++] = (struct rest_key){e.key, may_bits[e.may]};
	}
	return ERR_OK;
}

static enum err read_keys(struct arena *a, struct rest_settings *r, struct fault *f)
{
	return settings_read_keys(a, r->api_keys, &r->keys, f);
}

/* ---- loading ---- */

/* Where the gateway listens unless it is told; the certificates are those of its entities. */
static void default_gateway_listen(struct listen_set *set)
{
	static const struct conf_node no_keys = {.kind = CONF_NODE_MAP};

	set->v[set->n++] = (struct listen_entry){.address = STR(":8000"), .section = "gateway"};
	set->v[set->n++] = (struct listen_entry){
		.address = STR(":8443"), .http2 = true, .tls = &no_keys, .section = "gateway"};
}

static enum err read_listens(struct settings *s, struct fault *f)
{
	const struct conf_node *const nodes[] = {s->relay.listen,      s->identity.listen,
						 s->management.listen, s->statistics.rest.listen,
						 s->gateway.listen,    s->status.listen};

	_Static_assert(ARRAY_LEN(nodes) == ROLES + 1, "one for each role, and status");
	for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
		const char *name = i < ROLES ? role_names[i] : "status";

		TRY(listen_read(&s->arena, name, nodes[i], &s->listen[i], f));
	}
	if (conf_is_null(s->gateway.listen)) {
		default_gateway_listen(&s->listen[ROLE_GATEWAY]);
	}
	return ERR_OK;
}

enum role role_of(struct str name)
{
	enum role r = 0;

	while (r < ROLES && !str_eq_nocase(str_c(role_names[r]), name)) {
		r++;
	}
	return r;
}

static enum err choose_roles(struct settings *s, const struct settings_source *source,
			     struct fault *f)
{
	static const struct conf_section *const by_role[ROLES] = {
		&relay_conf, &identity_conf, &management_conf, &statistics_conf, &gateway_conf};
	bool any = false;

	for (size_t i = 0; i < source->n_roles; i++) {
		enum role r = role_of(source->roles[i]);

		if (r == ROLES) {
			return fault_set(f, ERR_INVALID,
					 "there is no role \"%.*s\" (relay, identity, management, "
					 "statistics, gateway)",
					 STR_ARG(source->roles[i]));
		}
		s->runs[r] = any = true;
	}
	for (size_t r = 0; r < ROLES && source->n_roles == 0; r++) {
		s->runs[r] = config_has(s->root, by_role[r]);
		any = any || s->runs[r];
	}
	for (size_t r = 0; r < ROLES && !any; r++) {
		s->runs[r] = true;
	}
	return ERR_OK;
}

static enum err load(struct settings *s, const struct settings_source *source, struct fault *f)
{
	struct config_source from = {
		.path_or_url = source->config,
		.fetch = fetch_text,
		.out_warnings = &s->warnings,
	};
	struct arena *a = &s->arena;

	TRY(config_load(a, &from, settings_tables(), &s->root, f));
	TRY(config_section(a, s->root, &top_conf, &s->top, f));
	TRY(config_section(a, s->root, &relay_conf, &s->relay, f));
	TRY(config_section(a, s->root, &identity_conf, &s->identity, f));
	TRY(config_section(a, s->root, &management_conf, &s->management, f));
	TRY(config_section(a, s->root, &statistics_conf, &s->statistics, f));
	TRY(config_section(a, s->root, &gateway_conf, &s->gateway, f));
	TRY(config_section(a, s->root, &status_conf, &s->status, f));
	TRY(gateway_settings_read(a, &s->gateway, &s->gateway_more, f));
	TRY(read_listens(s, f));
	TRY(read_keys(a, &s->management, f));
	TRY(read_keys(a, &s->statistics.rest, f));
	if (source->data.n > 0) {
		s->top.data = str_dup(a, source->data);
	}
	return choose_roles(s, source, f);
}

enum err settings_load(const struct settings_source *source, struct settings **out, struct fault *f)
{
	struct settings *s = MEM_NEW(struct settings);
	enum err e;

	atomic_init(&s->refs, 1);
	arena_init(&s->arena, 0);
	e = load(s, source, f);
	if (e != ERR_OK) {
		settings_unref(&s);
		return e;
	}
	*out = s;
	return ERR_OK;
}

struct settings *settings_ref(struct settings *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void settings_unref(struct settings **sp)
{
	struct settings *s = *sp;

	*sp = NULL;
	if (s && atomic_fetch_sub(&s->refs, 1) == 1) {
		arena_fini(&s->arena);
		mem_free(s);
	}
}

const struct listen_set *settings_listen(const struct settings *s, int listener)
{
	static const struct listen_set nowhere;

	if (listener == LISTENER_STATUS) {
		return &s->listen[listener];
	}
	if (!s->runs[listener < ROLES ? listener : ROLE_GATEWAY]) {
		return &nowhere;
	}
	return listener < ROLES ? &s->listen[listener]
				: &s->gateway_more.admins[listener - LISTENER_ADMIN].listen;
}

bool settings_run_issuer(const struct settings *s)
{
	return s->runs[ROLE_IDENTITY] || (s->runs[ROLE_RELAY] && s->relay.authority.n == 0);
}

bool settings_listener_is_gateways(const struct settings *s, int listener)
{
	return s->runs[ROLE_GATEWAY] && (listener == ROLE_GATEWAY || listener >= LISTENER_STATUS);
}

static enum err make_dir(const char *dir, struct fault *f)
{
	if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
		return fault_set(f, ERR_INVALID, "cannot create the data directory %s: %s", dir,
				 strerrordesc_np(errno));
	}
	return ERR_OK;
}

enum err settings_database_url(const struct settings *s, struct arena *a, struct str *out,
			       struct fault *f)
{
	TRY(make_dir(str_cstr(a, s->top.data), f));
	*out = s->top.database.n > 0 ? s->top.database
				     : str_fmt(a, "sqlite:%.*s/posthouse.db", STR_ARG(s->top.data));
	return ERR_OK;
}

enum err settings_bodies_url(const struct settings *s, struct arena *a, struct str *out,
			     struct fault *f)
{
	struct str url = s->relay.bodies.n > 0 ? s->relay.bodies : s->top.bodies;

	if (url.n == 0) {
		url = str_fmt(a, "file:%.*s/bodies", STR_ARG(s->top.data));
		TRY(make_dir(str_cstr(a, s->top.data), f));
		TRY(make_dir(str_cstr(a, str_skip(url, strlen("file:"))), f));
	}
	*out = url;
	return ERR_OK;
}
