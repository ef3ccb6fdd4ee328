#include "gateway/config.h"

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
	{"body_replay_max", CONF_SIZE, OFF(body_replay_max), "64KiB", 0, 1 << 30, NULL, 0,
	 "Largest request body held in memory so that another try can send it again."},
	{"relay_url", CONF_STR, OFF(relay_url), NULL, 0, 0, NULL, 0,
	 "Relay server for relay:// services when the relay role does not run here."},
	{"db_update_frequency", CONF_DURATION, OFF(db_update_ms), "1s", 100, 0, NULL, 0,
	 "How often the database is asked for changes that other processes made. PostgreSQL tells "
	 "them at once; a SQLite file is only asked when it was written."},
};

const struct conf_section gateway_conf = {
	.name = "gateway",
	.doc = "The API gateway: routes, plugins and balancing in front of services.",
	.keys = keys,
	.n = ARRAY_LEN(keys),
};
