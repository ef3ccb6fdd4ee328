/*
 * config - section `gateway` of the configuration
 *
 * Names follow kong.conf where a key has the same meaning there.
 */
#pragma once
#include "base/conf.h"
#include "http/uri.h"

struct gateway_config {
	const struct conf_node *listen; /* app/listen.h */
	const struct conf_node *admin;	/* list of {listen, compat, api_keys}; read by app */
	struct str declarative;		/* a kong.yml; empty = entities live in the database */
	struct str declarative_text;	/* what stands in it; p NULL = there is none */
	struct conf_strs trusted_ips;
	struct str real_ip_header;
	bool real_ip_recursive;
	struct conf_strs headers;
	bool headers_upstream;
	bool allow_debug_header;
	int error_default_type;
	int64_t keepalive_pool_size;
	int64_t keepalive_idle_ms;
	int64_t body_memory_max;
	int64_t body_memory_total;
	int64_t body_replay_max;
	struct str relay_url;		   /* see gateway_role_urls_read */
	const struct conf_node *role_urls; /* the same */
	const struct conf_node *role_ca;   /* see gateway_role_tls_new */
	int64_t db_update_ms;
	/* names; see gateway_dns_options */
	struct conf_strs dns_resolver, dns_order;
	struct str dns_hostsfile;
	int64_t dns_valid_ttl_ms, dns_stale_ttl_ms, dns_not_found_ttl_ms, dns_error_ttl_ms;
	int64_t dns_cache_size;
};

enum gateway_error_type {
	GATEWAY_ERROR_PLAIN,
	GATEWAY_ERROR_JSON,
	GATEWAY_ERROR_XML,
	GATEWAY_ERROR_HTML,
};

extern const struct conf_section gateway_conf;

struct json_writer;
/* Members of `configuration` of the Admin API: every key but `listen` and `admin`, by the names of
 * kong.conf. */
void gateway_config_put(const struct gateway_config *c, struct json_writer *w);

/* Where a role is that does not run in this process. */
struct gateway_role_url {
	struct str role;
	struct uri uri;
	struct str authority; /* Host of requests to it */
};

struct gateway_role_urls {
	struct gateway_role_url *v;
	size_t n;
};

/* What role_urls and relay_url say, in `a`; ERR_INVALID names the key. */
enum err gateway_role_urls_read(struct arena *a, const struct gateway_config *c,
				struct gateway_role_urls *out, struct fault *f) MUST_USE;

struct tls_client;
/* For https URLs of roles, by role_ca; NULL = the system's CAs. The caller owns it. ERR_INVALID
 * names the key. */
enum err gateway_role_tls_new(const struct gateway_config *c, struct tls_client **out,
			      struct fault *f) MUST_USE;

struct dns_options;
/* What the keys dns_* say; `a` keeps the texts. ERR_INVALID names the key. */
enum err gateway_dns_options(struct arena *a, const struct gateway_config *c,
			     struct dns_options *out, struct fault *f) MUST_USE;
