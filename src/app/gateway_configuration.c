#include "app/gateway_configuration.h"

#include "app/gateway_declarative.h"
#include "base/enc.h"
#include "gateway/admin.h"
#include "net/addr.h"

/* Keys of the top level. */
static const struct conf_alias aliases[] = {
	{"data", "prefix"},
	{"database", NULL},  /* in parts */
	{"log_level", NULL}, /* other words */
	{"loops", NULL},     /* 0 is "auto" */
};

static void put_str(struct json_writer *w, const char *key, struct str s)
{
	if (s.n > 0) {
		json_key(w, str_c(key));
		json_put_str(w, s);
	}
}

/* ---- listeners ---- */

static void put_flag(struct json_writer *w, const char *key, bool is_on)
{
	json_key(w, str_c(key));
	json_put_bool(w, is_on);
}

/* "0.0.0.0:8443 http2 ssl"; STR_NULL for what is no address. */
static struct str listener_text(struct arena *a, const struct listen_entry *e)
{
	char text[ADDR_TEXT_MAX];
	struct addr addr;

	if (addr_parse(e->address, &addr) != ERR_OK) {
		return STR_NULL;
	}
	(void)addr_format(&addr, text);
	return str_fmt(a, "%s%s%s%s", text, e->http2 ? " http2" : "", e->tls ? " ssl" : "",
		       e->proxy_protocol ? " proxy_protocol" : "");
}

static void put_listener(struct json_writer *w, const struct listen_entry *e, struct str text)
{
	ptrdiff_t blank = str_index(text, ' ');
	struct str address = blank < 0 ? text : str_slice(text, 0, (size_t)blank);
	ptrdiff_t colon = str_rindex(address, ':');
	uint64_t port = 0;

	(void)str_to_u64(str_skip(address, (size_t)colon + 1), &port);
	json_begin_object(w);
	put_str(w, "ip", str_slice(address, 0, (size_t)colon));
	json_key(w, STR("port"));
	json_put_int(w, (int64_t)port);
	put_str(w, "listener", text);
	put_flag(w, "ssl", e->tls != NULL);
	put_flag(w, "http2", e->http2);
	put_flag(w, "proxy_protocol", e->proxy_protocol);
	json_end_object(w);
}

/* The listeners of one kind; there are several sets where each has rules of its own. */
struct listeners {
	const char *name;
	const struct listen_set *sets[GATEWAY_ADMINS_MAX];
	size_t n;
};

static bool put_listens(struct json_writer *w, struct arena *a, const struct listeners *l,
			bool as_objects)
{
	bool any_tls = false;

	json_begin_array(w);
	for (size_t i = 0; i < l->n; i++) {
		for (size_t k = 0; k < l->sets[i]->n; k++) {
			const struct listen_entry *e = &l->sets[i]->v[k];
			struct str text = listener_text(a, e);

			any_tls = any_tls || e->tls;
			if (text.p && as_objects) {
				put_listener(w, e, text);
			} else if (text.p) {
				json_put_str(w, text);
			}
		}
	}
	json_end_array(w);
	return any_tls;
}

static void put_listeners(struct json_writer *w, struct arena *a, const struct listeners *l)
{
	bool any_tls;

	json_key(w, str_fmt(a, "%s_listen", l->name));
	any_tls = put_listens(w, a, l, false);
	json_key(w, str_fmt(a, "%s_listeners", l->name));
	(void)put_listens(w, a, l, true);
	put_flag(w, str_cstr(a, str_fmt(a, "%s_ssl_enabled", l->name)), any_tls);
}

static void put_all_listeners(struct json_writer *w, struct arena *a, const struct settings *s)
{
	struct listeners proxy = {"proxy", {&s->listen[ROLE_GATEWAY]}, 1};
	struct listeners status = {"status", {&s->listen[ROLES]}, 1};
	struct listeners admin = {.name = "admin", .n = s->gateway_more.n_admins};

	for (size_t i = 0; i < admin.n; i++) {
		admin.sets[i] = &s->gateway_more.admins[i].listen;
	}
	put_listeners(w, a, &proxy);
	put_listeners(w, a, &admin);
	put_listeners(w, a, &status);
}

/* ---- database ---- */

static struct str decoded(struct arena *a, struct str s)
{
	struct buf b = {0};
	struct str text = percent_decode(&b, s) == ERR_OK ? str_dup(a, buf_str(&b)) : s;

	buf_free(&b);
	return text;
}

static void put_user(struct json_writer *w, struct arena *a, struct str user)
{
	ptrdiff_t colon = str_index(user, ':');

	put_str(w, "pg_user", decoded(a, colon < 0 ? user : str_slice(user, 0, (size_t)colon)));
	if (colon >= 0) {
		put_str(w, "pg_password", STR(CONF_MASK));
	}
}

/* Several hosts, which libpq allows, have no port that would be that of all. */
static void put_host(struct json_writer *w, struct arena *a, struct str host)
{
	ptrdiff_t colon = str_rindex(host, ':');
	uint64_t port = 5432;

	if (str_index(host, ',') < 0 && colon >= 0 &&
	    str_to_u64(str_skip(host, (size_t)colon + 1), &port)) {
		host = str_slice(host, 0, (size_t)colon);
	}
	put_str(w, "pg_host", decoded(a, host));
	json_key(w, STR("pg_port"));
	json_put_int(w, (int64_t)port);
}

/* postgres://USER:PASSWORD@HOST:PORT/NAME?… of a database that is used; SQLite has no such keys. */
static void put_database(struct json_writer *w, struct arena *a, const struct settings *s)
{
	struct str url = s->top.database;
	ptrdiff_t scheme = str_find(url, STR("://"));
	struct str rest, authority;
	ptrdiff_t query, slash, at;

	if (scheme < 0 || !str_starts(url, STR("postgres")) ||
	    gateway_is_declarative(&s->gateway)) {
		return;
	}
	rest = str_skip(url, (size_t)scheme + 3);
	query = str_index(rest, '?');
	rest = query < 0 ? rest : str_slice(rest, 0, (size_t)query);
	slash = str_index(rest, '/');
	authority = slash < 0 ? rest : str_slice(rest, 0, (size_t)slash);
	at = str_rindex(authority, '@');
	if (at >= 0) {
		put_user(w, a, str_slice(authority, 0, (size_t)at));
	}
	put_host(w, a, str_skip(authority, (size_t)(at + 1)));
	if (slash >= 0) {
		put_str(w, "pg_database", decoded(a, str_skip(rest, (size_t)slash + 1)));
	}
}

/* ---- the rest ---- */

static void put_top(struct json_writer *w, struct arena *a, const struct settings *s)
{
	const struct top_settings *top = &s->top;

	conf_put_json(w, &top_conf, top, aliases, ARRAY_LEN(aliases));
	put_str(w, "log_level", str_c(admin_level_name((enum log_level)top->log_level)));
	put_str(w, "nginx_worker_processes",
		top->loops > 0 ? str_fmt(a, "%lld", (long long)top->loops) : STR("auto"));
}

void gateway_configuration_put(const struct settings *s, struct arena *a, struct json_writer *w)
{
	put_top(w, a, s);
	put_database(w, a, s);
	put_all_listeners(w, a, s);
	gateway_config_put(&s->gateway, w);
}
