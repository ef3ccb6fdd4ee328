#include "gateway/config.h"

#include "net/dns_cache.h"
#include "tls/cert.h"
#include "tls/context.h"

#define OFF(member) offsetof(struct gateway_config, member)

static const char *const error_types[] = {"text/plain", "application/json", "application/xml",
					  "text/html", NULL};

static const struct conf_key keys[] = {
	{"listen", CONF_NODE, OFF(listen), NULL, 0, 0, NULL, CONF_RELOAD,
	 "Addresses of the proxy, as of `relay`. TLS without `cert` takes the certificates of the "
	 "entities. Default: :8000 and, with TLS and HTTP/2, :8443."},
	{"admin", CONF_NODE, OFF(admin), NULL, 0, 0, NULL, 0,
	 "Admin APIs: list of {listen: …, compat: \"3\", api_keys: […]}. Default: 127.0.0.1:8001."},
	{"declarative", CONF_STR, OFF(declarative), NULL, 0, 0, NULL, 0,
	 "A kong.yml with all entities; the Admin API is then read-only but for /config."},
	{"declarative_text", CONF_SECRET, OFF(declarative_text), NULL, 0, 0, NULL, 0,
	 "The same as text instead of a file; \"\" = no entities until POST /config brings some."},
	{"trusted_ips", CONF_STRS, OFF(trusted_ips), NULL, 0, 0, NULL, 0,
	 "Networks whose X-Forwarded-* and real_ip_header are believed."},
	{"real_ip_header", CONF_STR, OFF(real_ip_header), "X-Real-IP", 0, 0, NULL, 0,
	 "Header in which a trusted peer tells the client's address."},
	{"real_ip_recursive", CONF_BOOL, OFF(real_ip_recursive), "false", 0, 0, NULL, 0,
	 "Take the last address of the header that is not trusted, instead of the last one."},
	{"headers", CONF_STRS, OFF(headers), "server_tokens,latency_tokens,X-Kong-Request-Id", 0, 0,
	 NULL, 0,
	 "What answers tell: server_tokens, latency_tokens, X-Kong-Request-Id, "
	 "X-Kong-Upstream-Status; off = nothing."},
	{"headers_upstream", CONF_BOOL, OFF(headers_upstream), "true", 0, 0, NULL, 0,
	 "Send X-Kong-Request-Id to services."},
	{"allow_debug_header", CONF_BOOL, OFF(allow_debug_header), "false", 0, 0, NULL, 0,
	 "Answer a request with `Kong-Debug: 1` with the ids of its route and service."},
	{"error_default_type", CONF_ENUM, OFF(error_default_type), "text/plain", 0, 0, error_types,
	 0, "Type of error bodies when neither Accept nor Content-Type say one."},
	{"upstream_keepalive_pool_size", CONF_INT, OFF(keepalive_pool_size), "512", 0, 1 << 20,
	 NULL, 0, "Idle connections kept per service address and loop."},
	{"upstream_keepalive_idle_timeout", CONF_DURATION, OFF(keepalive_idle_ms), "60s", 1000, 0,
	 NULL, 0, "How long an idle connection to a service is kept."},
	{"body_memory_max", CONF_SIZE, OFF(body_memory_max), "8MiB", 0, 1 << 30, NULL, 0,
	 "Largest body that plugins may look at; beyond: 413, or 502 for a service's."},
	{"body_memory_total", CONF_SIZE, OFF(body_memory_total), "256MiB", 0, 0, NULL, 0,
	 "All such bodies together, of requests and answers, while they are there; beyond: 503. "
	 "Not less than body_memory_max."},
	{"body_replay_max", CONF_SIZE, OFF(body_replay_max), "64KiB", 0, 1 << 30, NULL, 0,
	 "Largest request body held in memory so that another try can send it again."},
	{"relay_url", CONF_STR, OFF(relay_url), NULL, 0, 0, NULL, 0,
	 "Relay server for relay:// services when the relay role does not run here: the same as "
	 "role_urls.relay."},
	{"role_urls", CONF_NODE, OFF(role_urls), NULL, 0, 0, NULL, 0,
	 "Where role:// services find roles that do not run here: {management: "
	 "\"http://10.0.0.2:5004\"}."},
	{"role_ca", CONF_NODE, OFF(role_ca), NULL, 0, 0, NULL, 0,
	 "PEM, or a file of it, of the CAs that may have signed certificates of https:// URLs in "
	 "role_urls, instead of the system's."},
	{"db_update_frequency", CONF_DURATION, OFF(db_update_ms), "1s", 100, 0, NULL, 0,
	 "How often the database is asked for changes that other processes made. PostgreSQL tells "
	 "them at once; a SQLite file is only asked when it was written."},
	{"dns_resolver", CONF_STRS, OFF(dns_resolver), NULL, 0, 0, NULL, 0,
	 "Name servers as address or address:port. Default: those of /etc/resolv.conf."},
	{"dns_hostsfile", CONF_STR, OFF(dns_hostsfile), "/etc/hosts", 0, 0, NULL, 0,
	 "File of names that comes before all name servers."},
	{"dns_order", CONF_STRS, OFF(dns_order), "LAST,SRV,A,AAAA", 0, 0, NULL, 0,
	 "Types of records to ask for, in this order: SRV, A, AAAA. What answered last always "
	 "comes "
	 "first and CNAME is always followed, so LAST and CNAME change nothing."},
	{"dns_valid_ttl", CONF_DURATION, OFF(dns_valid_ttl_ms), "0s", 0, 0, NULL, 0,
	 "How long an answer counts, instead of its own TTL; 0s = its own."},
	{"dns_stale_ttl", CONF_DURATION, OFF(dns_stale_ttl_ms), "1h", 0, 0, NULL, 0,
	 "How long an answer is used beyond that while it is asked for anew."},
	{"dns_not_found_ttl", CONF_DURATION, OFF(dns_not_found_ttl_ms), "30s", 0, 0, NULL, 0,
	 "How long a name that does not exist is not asked for again."},
	{"dns_error_ttl", CONF_DURATION, OFF(dns_error_ttl_ms), "1s", 0, 0, NULL, 0,
	 "The same after a name server failed to answer."},
	{"dns_cache_size", CONF_INT, OFF(dns_cache_size), "10000", 100, 1 << 24, NULL, 0,
	 "Names that each event loop remembers."},
};

static enum err parse_order(const struct conf_strs *v, struct dns_options *out, struct fault *f)
{
	static const struct {
		const char *name;
		enum dns_kind kind; /* DNS_NONE: without effect */
	} names[] = {{"LAST", DNS_NONE},
		     {"CNAME", DNS_NONE},
		     {"SRV", DNS_SRV},
		     {"A", DNS_A},
		     {"AAAA", DNS_AAAA}};

	out->n_order = 0;
	for (size_t i = 0; i < v->n; i++) {
		size_t k = 0;

		while (k < ARRAY_LEN(names) && !str_eq_nocase(v->v[i], str_c(names[k].name))) {
			k++;
		}
		if (k == ARRAY_LEN(names) || out->n_order == ARRAY_LEN(out->order)) {
			return fault_set(f, ERR_INVALID,
					 "gateway.dns_order: '%.*s' is none of LAST, SRV, A, AAAA, "
					 "CNAME, or one too many",
					 STR_ARG(v->v[i]));
		}
		if (names[k].kind != DNS_NONE) {
			out->order[out->n_order++] = names[k].kind;
		}
	}
	return out->n_order > 0
		       ? ERR_OK
		       : fault_set(f, ERR_INVALID, "gateway.dns_order names no type of address");
}

/* "127.0.0.1", "127.0.0.1:53", "::1", "[::1]:53" */
static bool is_server(struct str s)
{
	struct addr addr;

	return addr_from_ip(s, 53, &addr) == ERR_OK || addr_parse(s, &addr) == ERR_OK;
}

static enum err join_servers(struct arena *a, const struct conf_strs *v, struct str *out,
			     struct fault *f)
{
	struct buf b = {0};

	for (size_t i = 0; i < v->n; i++) {
		if (!is_server(v->v[i])) {
			buf_free(&b);
			return fault_set(f, ERR_INVALID,
					 "gateway.dns_resolver: '%.*s' is no address of a name "
					 "server",
					 STR_ARG(v->v[i]));
		}
		buf_put(&b, i > 0 ? STR(",") : STR(""));
		buf_put(&b, v->v[i]);
	}
	*out = str_dup(a, buf_str(&b));
	buf_free(&b);
	return ERR_OK;
}

enum err gateway_dns_options(struct arena *a, const struct gateway_config *c,
			     struct dns_options *out, struct fault *f)
{
	struct dns_options o = dns_options_default;

	TRY(parse_order(&c->dns_order, &o, f));
	TRY(join_servers(a, &c->dns_resolver, &o.servers, f));
	o.hosts_file = c->dns_hostsfile;
	o.valid_ttl_ms = (uint32_t)MIN(c->dns_valid_ttl_ms, UINT32_MAX);
	o.stale_ttl_ms = (uint32_t)MIN(c->dns_stale_ttl_ms, UINT32_MAX);
	o.not_found_ttl_ms = (uint32_t)MIN(c->dns_not_found_ttl_ms, UINT32_MAX);
	o.error_ttl_ms = (uint32_t)MIN(c->dns_error_ttl_ms, UINT32_MAX);
	o.cache_max = (unsigned)c->dns_cache_size;
	*out = o;
	return ERR_OK;
}

/* ---- roles elsewhere ---- */

static enum err parse_role_url(struct arena *a, struct str role, struct str text,
			       struct gateway_role_url *out, struct fault *why)
{
	struct uri u;

	TRY(uri_parse(text, &u, why));
	if (u.path.n > 1 || u.query.p || u.userinfo.p) {
		return fault_set(why, ERR_INVALID, "has more than scheme, host and port");
	}
	*out = (struct gateway_role_url){.role = role, .uri = u, .authority = uri_authority(a, &u)};
	return ERR_OK;
}

enum err gateway_role_urls_read(struct arena *a, const struct gateway_config *c,
				struct gateway_role_urls *out, struct fault *f)
{
	const struct conf_node *map = conf_is_null(c->role_urls) ? NULL : c->role_urls;
	struct gateway_role_urls urls = {0};
	struct fault why = {0};
	size_t n = 1;

	if (map && map->kind != CONF_NODE_MAP) {
		return conf_fault(f, map, "gateway.role_urls: must be a map of role and URL");
	}
	for (const struct conf_node *m = map ? map->child : NULL; m; m = m->next) {
		n++;
	}
	urls.v = ARENA_NEW_ARRAY(a, struct gateway_role_url, n);
	for (const struct conf_node *m = map ? map->child : NULL; m; m = m->next) {
		if (parse_role_url(a, m->key, conf_text(m), &urls.v[urls.n++], &why) != ERR_OK) {
			return conf_fault(f, m, "gateway.role_urls.%.*s: %s", STR_ARG(m->key),
					  why.text);
		}
	}
	/* The first of a role counts. */
	if (c->relay_url.n > 0 &&
	    parse_role_url(a, STR("relay"), c->relay_url, &urls.v[urls.n++], &why) != ERR_OK) {
		return fault_set(f, ERR_INVALID, "gateway.relay_url: %s", why.text);
	}
	*out = urls;
	return ERR_OK;
}

enum err gateway_role_tls_new(const struct gateway_config *c, struct tls_client **out,
			      struct fault *f)
{
	const struct conf_node *at = conf_is_null(c->role_ca) ? NULL : c->role_ca;
	struct tls_client_options o = {.alpn = TLS_ALPN_HTTP1};
	struct fault why = {0};
	struct arena a;
	enum err e;

	*out = NULL;
	if (!at) {
		return ERR_OK;
	}
	arena_init(&a, 0);
	e = tls_pem_load(&a, conf_dir(at), conf_text(at), &o.ca, &why);
	if (e == ERR_OK) {
		e = tls_client_new(&o, out, &why);
	}
	arena_fini(&a);
	return e == ERR_OK ? ERR_OK : conf_fault(f, at, "gateway.role_ca: %s", why.text);
}

const struct conf_section gateway_conf = {
	.name = "gateway",
	.doc = "The API gateway: routes, plugins and balancing in front of services.",
	.keys = keys,
	.n = ARRAY_LEN(keys),
};
