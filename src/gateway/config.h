/*
 * config - section `gateway` of the configuration
 *
 * Names follow kong.conf where a key has the same meaning there.
 */
#pragma once
#include "base/conf.h"

struct gateway_config {
	const struct conf_node *listen; /* app/listen.h */
	const struct conf_node *admin;	/* list of {listen, compat, api_keys}; read by app */
	struct str declarative;		/* a kong.yml; empty = entities live in the database */
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
	int64_t body_replay_max;
	struct str relay_url;
	int64_t db_update_ms;
};

enum gateway_error_type {
	GATEWAY_ERROR_PLAIN,
	GATEWAY_ERROR_JSON,
	GATEWAY_ERROR_XML,
	GATEWAY_ERROR_HTML,
};

extern const struct conf_section gateway_conf;
