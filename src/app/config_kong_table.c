/*
 * The settings of kong.conf, in its order, and converters of single values. What is asked for
 * with KONG_PART is found in config_kong_listen.c and config_kong_database.c.
 */
#include "app/config_kong_int.h"

#include "gateway/plugin.h"

/* ---- converters ---- */

/* "60", "0.5": of kong.conf, where a number of time is one of seconds. */
enum err kong_seconds(struct kong *k, const struct kong_value *v, struct str *out)
{
	struct str rest = v->text, whole = STR_NULL, fraction;
	uint64_t s, ms = 0;

	(void)str_split(&rest, '.', &whole);
	fraction = rest;
	while (fraction.n > 0 && fraction.n < 3) {
		fraction = str_fmt(k->arena, "%.*s0", STR_ARG(fraction));
	}
	if (!str_to_u64(whole, &s) || s > INT64_MAX / 1000 ||
	    (fraction.n > 0 && !str_to_u64(str_slice(fraction, 0, 3), &ms))) {
		return kong_fault(k, v, "\"%.*s\" is no number of seconds",
				  STR_ARG(str_slice(v->text, 0, 60)));
	}
	ms += s * 1000;
	*out = ms % 1000 ? str_fmt(k->arena, "%llums", (unsigned long long)ms)
			 : str_fmt(k->arena, "%llus", (unsigned long long)s);
	return ERR_OK;
}

/* One text for another; "" ends the pairs. */
struct pair {
	const char *from, *to;
};

static enum err translate(struct kong *k, const struct kong_value *v, const struct pair *pairs,
			  struct str *out)
{
	struct str all = STR_NULL;

	for (size_t i = 0; *pairs[i].from; i++) {
		if (str_eq_nocase(v->text, str_c(pairs[i].from))) {
			*out = str_c(pairs[i].to);
			return ERR_OK;
		}
		all = str_fmt(k->arena, "%.*s%s%s", STR_ARG(all), i ? ", " : "", pairs[i].from);
	}
	return kong_fault(k, v, "\"%.*s\" is none of: %.*s", STR_ARG(str_slice(v->text, 0, 60)),
			  STR_ARG(all));
}

enum err kong_log_level(struct kong *k, const struct kong_value *v, struct str *out)
{
	static const struct pair levels[] = {
		{"debug", "debug"}, {"info", "info"},	{"notice", "info"},
		{"warn", "warn"},   {"error", "error"}, {"crit", "error"},
		{"alert", "error"}, {"emerg", "error"}, {"", ""},
	};

	return translate(k, v, levels, out);
}

enum err kong_workers(struct kong *k, const struct kong_value *v, struct str *out)
{
	(void)k;
	*out = str_eq(v->text, STR("auto")) ? STR("0") : v->text;
	return ERR_OK;
}

enum err kong_headers_upstream(struct kong *k, const struct kong_value *v, struct str *out)
{
	static const struct pair headers[] = {
		{"X-Kong-Request-Id", "true"}, {"off", "false"}, {"", ""}};

	return translate(k, v, headers, out);
}

/* Kong also takes the members of its groups one by one; ours are told by groups only. */
enum err kong_headers(struct kong *k, const struct kong_value *v, struct str *out)
{
	static const struct pair single[] = {
		{"Server", "server_tokens"},
		{"Via", "server_tokens"},
		{"X-Kong-Proxy-Latency", "latency_tokens"},
		{"X-Kong-Response-Latency", "latency_tokens"},
		{"X-Kong-Admin-Latency", "latency_tokens"},
		{"X-Kong-Upstream-Latency", "latency_tokens"},
	};
	struct str rest = v->text, one, all = STR_NULL;

	while (str_split(&rest, ',', &one)) {
		struct str group = one = str_trim(one);

		for (size_t i = 0; i < ARRAY_LEN(single); i++) {
			if (str_eq_nocase(one, str_c(single[i].from))) {
				group = str_c(single[i].to);
				kong_warn(k, v, "%s comes with all of %s", single[i].from,
					  single[i].to);
			}
		}
		all = str_fmt(k->arena, "%.*s%s%.*s", STR_ARG(all), all.n ? "," : "",
			      STR_ARG(group));
	}
	*out = all;
	return ERR_OK;
}

/* ---- plugins ---- */

/* All plugins that are built can be used; a list of them takes none away. */
void kong_check_plugins(struct kong *k)
{
	const struct kong_value *v = kong_get(k, "plugins");
	struct str rest = v ? v->text : STR_NULL, name, missing = STR_NULL;

	while (str_split(&rest, ',', &name)) {
		name = str_trim(name);
		if (name.n > 0 && !str_eq(name, STR("bundled")) && !str_eq(name, STR("off")) &&
		    !plugin_find(name)) {
			missing = str_fmt(k->arena, "%.*s%s%.*s", STR_ARG(missing),
					  missing.n ? ", " : "", STR_ARG(name));
		}
	}
	if (missing.n > 0) {
		kong_warn(k, v, "not built, entities that use them are refused: %.*s",
			  STR_ARG(missing));
	}
}

/* ---- the table ---- */

#define KEY(name, key, convert)                                                                    \
	{                                                                                          \
		name, KONG_KEY, key, convert, NULL, NULL                                           \
	}
#define PART(name)                                                                                 \
	{                                                                                          \
		name, KONG_PART, NULL, NULL, NULL, NULL                                            \
	}
#define NOTHING(name)                                                                              \
	{                                                                                          \
		name, KONG_NOTHING, NULL, NULL, NULL, NULL                                         \
	}
#define MISSING(name, harmless, advice)                                                            \
	{                                                                                          \
		name, KONG_MISSING, NULL, NULL, harmless, advice                                   \
	}
#define REFUSED(name, harmless, advice)                                                            \
	{                                                                                          \
		name, KONG_REFUSED, NULL, NULL, harmless, advice                                   \
	}

/* The first that fits counts: patterns come last. */
const struct kong_setting kong_settings[] = {
	/* general */
	KEY("log_level", "log_level", kong_log_level),
	PART("plugins"),
	NOTHING("prefix"),
	NOTHING("vaults"),
	NOTHING("anonymous_reports"),
	NOTHING("pluginserver_names"),
	NOTHING("tracing_sampling_rate"),
	NOTHING("node_id"),
	NOTHING("request_debug"),
	NOTHING("request_debug_token"),
	NOTHING("openresty_path"),
	NOTHING("dedicated_config_processing"),
	NOTHING("privileged_agent"),
	MISSING("port_maps", "", "X-Forwarded-Port is the port of the listener"),
	MISSING("proxy_server", "", "what goes out goes directly"),
	NOTHING("proxy_server_ssl_verify"),
	MISSING("error_template_html", "", "bodies of errors cannot be changed"),
	MISSING("error_template_json", "", "bodies of errors cannot be changed"),
	MISSING("error_template_plain", "", "bodies of errors cannot be changed"),
	MISSING("error_template_xml", "", "bodies of errors cannot be changed"),
	MISSING("tracing_instrumentations", "off", "there is no tracing"),
	MISSING("opentelemetry_tracing", "off", "there is no tracing"),
	MISSING("wasm", "off", "there are no filters in WebAssembly"),
	MISSING("debug_listen", "off", "there is no debug listener"),
	/* hybrid mode */
	REFUSED("role", "traditional",
		"there is no hybrid mode; leave it out, and give the node the database or a "
		"declarative_config"),
	MISSING("konnect_mode", "off", "there is no hybrid mode"),
	/* listeners */
	PART("proxy_listen"),
	PART("admin_listen"),
	PART("status_listen"),
	REFUSED("stream_listen", "off", "TCP and UDP are not proxied; set it to off"),
	NOTHING("proxy_url"),
	NOTHING("admin_api_uri"),
	KEY("nginx_worker_processes", "loops", kong_workers),
	NOTHING("mem_cache_size"),
	NOTHING("consumers_mem_cache_size"),
	PART("ssl_cipher_suite"),
	PART("ssl_ciphers"),
	PART("ssl_protocols"),
	PART("ssl_session_tickets"),
	NOTHING("ssl_prefer_server_ciphers"),
	NOTHING("ssl_dhparam"),
	NOTHING("ssl_session_timeout"),
	NOTHING("ssl_session_cache_size"),
	PART("ssl_cert"),
	PART("ssl_cert_key"),
	PART("admin_ssl_cert"),
	PART("admin_ssl_cert_key"),
	PART("status_ssl_cert"),
	PART("status_ssl_cert_key"),
	MISSING("client_ssl", "off",
		"a certificate for services is the client_certificate of the service"),
	NOTHING("client_ssl_cert"),
	NOTHING("client_ssl_cert_key"),
	/* proxying */
	KEY("headers", "gateway.headers", kong_headers),
	KEY("headers_upstream", "gateway.headers_upstream", kong_headers_upstream),
	KEY("trusted_ips", "gateway.trusted_ips", NULL),
	KEY("real_ip_header", "gateway.real_ip_header", NULL),
	KEY("real_ip_recursive", "gateway.real_ip_recursive", NULL),
	KEY("error_default_type", "gateway.error_default_type", NULL),
	KEY("allow_debug_header", "gateway.allow_debug_header", NULL),
	KEY("upstream_keepalive_pool_size", "gateway.upstream_keepalive_pool_size", NULL),
	KEY("upstream_keepalive_idle_timeout", "gateway.upstream_keepalive_idle_timeout",
	    kong_seconds),
	NOTHING("upstream_keepalive_max_requests"),
	REFUSED("router_flavor", "traditional,traditional_compatible",
		"the router is traditional_compatible"),
	NOTHING("route_match_calculation"),
	/* database */
	PART("database"),
	PART("declarative_config"),
	PART("declarative_config_string"),
	PART("pg_host"),
	PART("pg_port"),
	PART("pg_user"),
	PART("pg_password"),
	PART("pg_database"),
	PART("pg_schema"),
	PART("pg_timeout"),
	PART("pg_ssl"),
	PART("pg_ssl_verify"),
	PART("pg_ssl_cert"),
	PART("pg_ssl_cert_key"),
	PART("lua_ssl_trusted_certificate"), /* for that, and a warning */
	NOTHING("pg_ssl_version"),
	NOTHING("pg_ssl_required"),
	NOTHING("pg_max_concurrent_queries"),
	NOTHING("pg_semaphore_timeout"),
	NOTHING("pg_keepalive_timeout"),
	NOTHING("pg_pool_size"),
	NOTHING("pg_backlog"),
	MISSING("pg_iam_auth", "off", "the password is that of pg_password"),
	KEY("db_update_frequency", "gateway.db_update_frequency", kong_seconds),
	NOTHING("db_update_propagation"),
	/* names */
	KEY("dns_resolver", "gateway.dns_resolver", NULL),
	KEY("dns_order", "gateway.dns_order", NULL),
	KEY("dns_hostsfile", "gateway.dns_hostsfile", NULL),
	KEY("dns_valid_ttl", "gateway.dns_valid_ttl", kong_seconds),
	KEY("dns_stale_ttl", "gateway.dns_stale_ttl", kong_seconds),
	KEY("dns_not_found_ttl", "gateway.dns_not_found_ttl", kong_seconds),
	KEY("dns_error_ttl", "gateway.dns_error_ttl", kong_seconds),
	KEY("dns_cache_size", "gateway.dns_cache_size", NULL),
	NOTHING("dns_no_sync"),
	NOTHING("new_dns_client"),
	MISSING("resolver_address", "", "use dns_resolver"),
	MISSING("resolver_hosts_file", "", "use dns_hostsfile"),
	MISSING("resolver_valid_ttl", "", "use dns_valid_ttl"),
	MISSING("resolver_stale_ttl", "", "use dns_stale_ttl"),
	MISSING("resolver_error_ttl", "", "use dns_error_ttl"),
	MISSING("resolver_family", "", "use dns_order"),
	/* of the Enterprise edition */
	REFUSED("enforce_rbac", "off",
		"there are no roles of administrators; gateway.admin has api_keys"),
	MISSING("fips", "off", "OpenSSL's own configuration decides"),
	MISSING("portal", "off", "there is no developer portal"),
	MISSING("audit_log", "off", "there is no audit log"),
	MISSING("keyring_enabled", "off", "what the database holds is not encrypted"),
	MISSING("vault_env_prefix", "", "name the variable in full"),
	/* where Kong logs: ours goes to stderr */
	NOTHING("proxy_access_log"),
	NOTHING("proxy_error_log"),
	NOTHING("proxy_stream_access_log"),
	NOTHING("proxy_stream_error_log"),
	NOTHING("admin_access_log"),
	NOTHING("admin_error_log"),
	NOTHING("status_access_log"),
	NOTHING("status_error_log"),
	/* families */
	NOTHING("admin_gui_*"),
	NOTHING("ai_*"),
	NOTHING("analytics_*"),
	NOTHING("audit_log_*"),
	NOTHING("cassandra_*"),
	NOTHING("cluster_*"),
	NOTHING("db_cache_*"),
	NOTHING("db_resurrect_*"),
	NOTHING("debug_*"),
	NOTHING("keyring_*"),
	NOTHING("license_*"),
	NOTHING("lmdb_*"),
	NOTHING("lua_*"),
	NOTHING("nginx_*"),
	NOTHING("pg_keepalive_*"),
	NOTHING("pg_ro_*"),
	NOTHING("pluginserver_*"),
	NOTHING("portal_*"),
	NOTHING("rbac_*"),
	NOTHING("resolver_*"),
	NOTHING("smtp_*"),
	NOTHING("untrusted_lua*"),
	NOTHING("vault_*"),
	NOTHING("vitals*"),
	NOTHING("wasm_*"),
	NOTHING("worker_*"),
};
const size_t n_kong_settings = ARRAY_LEN(kong_settings);
