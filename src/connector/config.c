#include "connector/config.h"

#include "base/clock.h"
#include "base/log.h"

#define OFF(member) offsetof(struct connect_config, member)
#define DAY ((int64_t)24 * 3600 * 1000)

static const char *const proxies[] = {"environment", "none", NULL};
static const char *const log_levels[] = {"trace", "debug", "info", "warn", "error", NULL};
const char *const connect_log_formats[] = {"auto", "text", "json", "clef", NULL};

static const struct conf_key keys[] = {
	{"server", CONF_STR, OFF(server), NULL, 0, 0, NULL, CONF_REQUIRED,
	 "Base URL of the relay server."},
	{"tenant", CONF_STR, OFF(tenant), NULL, 0, 0, NULL, CONF_REQUIRED, "Name of the tenant."},
	{"secret", CONF_SECRET, OFF(secret), NULL, 0, 0, NULL, CONF_REQUIRED,
	 "Secret of the tenant."},
	{"server_ca", CONF_STR, OFF(server_ca), NULL, 0, 0, NULL, 0,
	 "PEM file of CAs to trust besides the system's, for the server and its token issuer."},
	{"targets", CONF_NODE, OFF(targets_node), NULL, 0, 0, NULL, CONF_RELOAD,
	 "Map of ID: URL or ID: {type, url, timeout, follow_redirects, catch_all, ca, verify}."},
	{"transports", CONF_STRS, OFF(transport_names),
	 "websockets,server_sent_events,long_polling", 0, 0, NULL, 0,
	 "Transports to try, in order."},
	{"connections", CONF_INT, OFF(connections), "1", 1, 64, NULL, 0,
	 "Connections held to the server at the same time."},
	{"loops", CONF_INT, OFF(loops), "1", 1, 64, NULL, 0,
	 "Event loops (threads) that the connections are spread over."},
	{"max_concurrent", CONF_INT, OFF(max_concurrent), "0", 0, 1000000, NULL, 0,
	 "Requests run at the same time by a loop; others wait. 0 = no limit but requests_max."},
	{"requests_max", CONF_INT, OFF(requests_max), "10000", 1, 1000000, NULL, 0,
	 "Requests run or waiting in a loop; beyond: 503."},
	{"undelivered_max", CONF_INT, OFF(undelivered_max), "4096", 1, 1000000, NULL, 0,
	 "Responses kept until the server has them; beyond, the oldest is forgotten."},
	{"undelivered_max_size", CONF_SIZE, OFF(undelivered_max_size), "16MiB", 65536,
	 (int64_t)1 << 32, NULL, 0, "The same in bytes."},
	{"drain_timeout", CONF_DURATION, OFF(drain_timeout_ms), "10s", 0, DAY, NULL, 0,
	 "How long running requests may take to end after SIGTERM."},
	{"negotiate", CONF_BOOL, OFF(negotiate), "true", 0, 0, NULL, 0,
	 "Ask for a connection first; without it a WebSocket is opened at once."},
	{"use_http_keep_alive", CONF_BOOL, OFF(use_http_keep_alive), "true", 0, 0, NULL, 0,
	 "Keep connections for the bodies of requests and responses."},
	{"proxy", CONF_ENUM, OFF(proxy), "environment", 0, 0, proxies, 0,
	 "environment = as HTTP_PROXY, ALL_PROXY and NO_PROXY say; none = connect directly."},
	{"health_file", CONF_STR, OFF(health_file), NULL, 0, 0, NULL, 0,
	 "File that exists while connected."},
	{"log_level", CONF_ENUM, OFF(log_level), "info", 0, 0, log_levels, CONF_RELOAD,
	 "Least level that is written."},
	{"log_format", CONF_ENUM, OFF(log_format), "auto", 0, 0, connect_log_formats, 0,
	 "auto = text on a terminal, else json."},
};

const struct conf_section connect_conf = {
	.name = "connect",
	.doc = "The connector: `posthouse connect`, beside the services that it makes reachable.",
	.keys = keys,
	.n = ARRAY_LEN(keys),
};

/* ---- building the tree ---- */

static struct conf_node *append(struct arena *a, struct conf_node *map, struct str key,
				struct str source)
{
	struct conf_node *n = ARENA_NEW(a, struct conf_node);
	struct conf_node **tail = &map->child;

	n->key = key;
	n->source = source;
	while (*tail) {
		tail = &(*tail)->next;
	}
	*tail = n;
	return n;
}

/* The member of that name, emptied when it is no map; `nocase` as in .NET. */
static struct conf_node *sub_map(struct arena *a, struct conf_node *map, struct str key,
				 struct str source)
{
	struct conf_node *n = (struct conf_node *)conf_get_nocase(map, key);

	if (!n) {
		n = append(a, map, key, source);
		n->kind = CONF_NODE_MAP;
	}
	if (n->kind != CONF_NODE_MAP) {
		n->kind = CONF_NODE_MAP;
		n->text = STR_NULL;
		n->child = NULL;
	}
	return n;
}

static void set_text(struct arena *a, struct conf_node *map, struct str key, struct str value,
		     struct str source, unsigned line)
{
	struct conf_node *n = (struct conf_node *)conf_get_nocase(map, key);

	if (!n) {
		n = append(a, map, key, source);
	}
	n->kind = CONF_NODE_SCALAR;
	n->child = NULL;
	n->text = value.p ? value : STR("");
	n->source = source;
	n->line = line;
}

void connect_config_set(struct arena *a, struct conf_node *root, struct str key, struct str value,
			struct str source)
{
	set_text(a, sub_map(a, root, STR("connect"), source), key, value, source, 0);
}

void connect_config_set_target(struct arena *a, struct conf_node *root, struct str id,
			       struct str url, struct str source)
{
	struct conf_node *connect = sub_map(a, root, STR("connect"), source);
	struct conf_node *targets = sub_map(a, connect, STR("targets"), source);

	set_text(a, sub_map(a, targets, id, source), STR("url"), url, source, 0);
}

/* ---- the original's names ---- */

static const struct str original = STR_INIT("RelayConnector");

/* "TenantName", "Targets:web:Url" or with "__" below section RelayConnector of `root`. */
static void set_path(struct arena *a, struct conf_node *root, struct str path, struct str separator,
		     struct str value, struct str source)
{
	struct conf_node *map = sub_map(a, root, original, source);
	ptrdiff_t at;

	while ((at = str_find(path, separator)) >= 0) {
		map = sub_map(a, map, str_slice(path, 0, (size_t)at), source);
		path = str_skip(path, (size_t)at + separator.n);
	}
	set_text(a, map, path, value, source, 0);
}

/* "RelayConnector__X=v": false when the name is another. */
static bool take_assignment(struct arena *a, struct conf_node *root, struct str text,
			    struct str separator)
{
	ptrdiff_t equals = str_index(text, '=');
	struct str name = str_slice(text, 0, equals < 0 ? 0 : (size_t)equals);
	struct str rest = str_skip(name, original.n);

	if (!str_starts_nocase(name, original) || !str_starts(rest, separator) ||
	    rest.n == separator.n) {
		return false;
	}
	set_path(a, root, str_skip(rest, separator.n), separator,
		 str_skip(text, (size_t)equals + 1), name);
	return true;
}

static bool is_web_type(struct str type)
{
	return str_eq_nocase(type, STR("RelayWebTarget")) ||
	       str_eq_nocase(type, STR("Thinktecture.Relay.Connector.Targets.RelayWebTarget"));
}

/* "FollowRedirect", "1", "None, FollowRedirect". */
static bool asks_to_follow(struct str options)
{
	struct str part;
	uint64_t bits;

	while (str_split(&options, ',', &part)) {
		part = str_trim(part);
		if (str_eq_nocase(part, STR("FollowRedirect")) ||
		    (str_to_u64(part, &bits) && (bits & 1))) {
			return true;
		}
	}
	return false;
}

static struct str sorry(struct arena *a, struct str list, struct str id)
{
	return str_fmt(a, "%.*s%s\"%.*s\"", STR_ARG(list), list.n ? ", " : "", STR_ARG(id));
}

/* A TimeSpan as a duration; what is none counts as not given, as it did there. */
static bool import_timeout(struct arena *a, struct str *text)
{
	int64_t ms;

	if (timespan_parse(*text, &ms) != ERR_OK || ms <= 0) {
		log_warn("connector", "a timeout is no time span: the default is used",
			 LOG_STR("timeout", *text));
		return false;
	}
	*text = str_fmt(a, "%lldms", (long long)ms);
	return true;
}

/* One target in our words. */
static void import_target(struct arena *a, struct conf_node *targets, const struct conf_node *t)
{
	struct conf_node *to = append(a, targets, t->key, t->source);

	to->kind = CONF_NODE_MAP;
	to->line = t->line;
	for (const struct conf_node *m = t->child; m; m = m->next) {
		struct str text = conf_text(m);
		struct str key = STR_NULL;

		if (str_eq_nocase(m->key, STR("Url"))) {
			key = STR("url");
		} else if (str_eq_nocase(m->key, STR("Timeout"))) {
			key = import_timeout(a, &text) ? STR("timeout") : STR_NULL;
		} else if (str_eq_nocase(m->key, STR("Options"))) {
			key = STR("follow_redirects");
			text = asks_to_follow(text) ? STR("true") : STR("false");
		}
		if (key.n > 0) {
			set_text(a, to, key, text, m->source, m->line);
		}
	}
}

static enum err import_targets(struct arena *a, struct conf_node *connect,
			       const struct conf_node *targets, struct fault *f)
{
	struct str untyped = STR_NULL, mistyped = STR_NULL;
	struct conf_node *to = sub_map(a, connect, STR("targets"), targets->source);

	for (const struct conf_node *t = targets->child; t; t = t->next) {
		struct str type = conf_text(conf_get_nocase(t, STR("Type")));

		if (type.n == 0) {
			untyped = sorry(a, untyped, t->key);
		} else if (!is_web_type(type)) {
			mistyped = sorry(a, mistyped, t->key);
		} else {
			import_target(a, to, t);
		}
	}
	if (untyped.n > 0) {
		return conf_fault(f, targets,
				  "The following targets have no \"Type\" provided: %.*s",
				  STR_ARG(untyped));
	}
	if (mistyped.n > 0) {
		return conf_fault(f, targets,
				  "The following targets have an invalid type provided: %.*s",
				  STR_ARG(mistyped));
	}
	return ERR_OK;
}

static enum err import_section(struct arena *a, struct conf_node *root,
			       const struct conf_node *from, struct fault *f)
{
	static const struct {
		struct str theirs, ours;
	} names[] = {
		{STR_INIT("RelayServerBaseUri"), STR_INIT("server")},
		{STR_INIT("TenantName"), STR_INIT("tenant")},
		{STR_INIT("TenantSecret"), STR_INIT("secret")},
		{STR_INIT("UseHttpKeepAlive"), STR_INIT("use_http_keep_alive")},
	};
	struct conf_node *connect = sub_map(a, root, STR("connect"), from->source);

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct conf_node *n = conf_get_nocase(from, names[i].theirs);

		if (!conf_is_null(n)) {
			set_text(a, connect, names[i].ours, conf_text(n), n->source, n->line);
		}
	}
	const struct conf_node *targets = conf_get_nocase(from, STR("Targets"));

	return targets && targets->child ? import_targets(a, connect, targets, f) : ERR_OK;
}

enum err connect_config_import(struct arena *a, struct conf_node *root,
			       const struct connect_original *from, bool *out_any, struct fault *f)
{
	for (const char *const *env = from->env; env && *env; env++) {
		(void)take_assignment(a, root, str_c(*env), STR("__"));
	}
	for (size_t i = 0; i < from->n_words; i++) {
		if (!take_assignment(a, root, from->words[i], STR(":"))) {
			return fault_set(f, ERR_INVALID,
					 "\"%.*s\" is not of the form RelayConnector:Key=value",
					 STR_ARG(str_slice(from->words[i], 0, 100)));
		}
	}
	const struct conf_node *section = conf_get_nocase(root, original);

	*out_any = section != NULL;
	return section ? import_section(a, root, section, f) : ERR_OK;
}

/* ---- reading ---- */

static const char *const transport_names[LINK_KINDS] = {"websockets", "server_sent_events",
							"long_polling"};

static enum err read_transports(struct connect_config *c, struct fault *f)
{
	for (size_t i = 0; i < c->transport_names.n && c->n_transports < LINK_KINDS; i++) {
		unsigned k = 0;

		while (k < LINK_KINDS &&
		       !str_eq_nocase(c->transport_names.v[i], str_c(transport_names[k]))) {
			k++;
		}
		if (k == LINK_KINDS) {
			return fault_set(f, ERR_INVALID,
					 "connect.transports: \"%.*s\" is none of websockets, "
					 "server_sent_events, long_polling",
					 STR_ARG(str_slice(c->transport_names.v[i], 0, 60)));
		}
		c->transports[c->n_transports++] = (enum link_kind)k;
	}
	return c->n_transports > 0
		       ? ERR_OK
		       : fault_set(f, ERR_INVALID, "connect.transports: at least one is needed");
}

static enum err check_server(struct arena *a, struct connect_config *c, struct fault *f)
{
	struct fault why = {0};
	struct uri u;

	if (uri_parse(c->server, &u, &why) != ERR_OK) {
		return fault_set(f, ERR_INVALID, "connect.server: %s", why.text);
	}
	/* Discovery is resolved against it, which would eat the last segment. */
	if (!str_ends(u.path, STR("/"))) {
		u.path = str_fmt(a, "%.*s/", STR_ARG(u.path));
	}
	struct str origin = uri_origin(a, &u);

	c->server = str_fmt(a, "%.*s%.*s", STR_ARG(origin), STR_ARG(u.path));
	return ERR_OK;
}

static enum err read_server_ca(struct arena *a, const struct conf_node *root,
			       struct connect_config *c, struct fault *f)
{
	const struct conf_node *at = conf_get(conf_get(root, STR("connect")), STR("server_ca"));
	struct tls_client_options o = {.alpn = TLS_ALPN_HTTP1, .system = true};
	struct fault why = {0};

	if (c->server_ca.n == 0) {
		return ERR_OK;
	}
	if (tls_pem_load(a, conf_dir(at), c->server_ca, &o.ca, &why) != ERR_OK ||
	    tls_client_new(&o, &c->tls, &why) != ERR_OK) {
		return conf_fault(f, at, "connect.server_ca: %s", why.text);
	}
	return ERR_OK;
}

enum err connect_config_read(struct arena *a, const struct conf_node *root,
			     struct connect_config *out, struct fault *f)
{
	struct connect_config c = {0};

	TRY(conf_apply(a, &connect_conf, conf_get(root, STR("connect")), &c, f));
	TRY(check_server(a, &c, f));
	TRY(read_transports(&c, f));
	TRY(read_server_ca(a, root, &c, f));
	enum err e = target_set_new(c.targets_node, &c.targets, f);

	if (e != ERR_OK) {
		connect_config_fini(&c);
		return e;
	}
	*out = c;
	return ERR_OK;
}

void connect_config_fini(struct connect_config *c)
{
	target_set_unref(&c->targets);
	tls_client_unref(&c->tls);
}
