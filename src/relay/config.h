/*
 * config - the keys of section `relay` and their values
 *
 * Read-only while the role uses it; a reload hands over a new one (relay.h).
 */
#pragma once
#include "base/conf.h"

/* As on the wire. */
enum ack_mode {
	ACK_DISABLED,
	ACK_CONNECTOR_RECEIVED,
	ACK_CONNECTOR_FINISHED,
	ACK_MANUAL,
};

/* Which outcomes go into the request log; values as in RelayServer. */
enum {
	REQUEST_LOG_SUCCEEDED = 1,
	REQUEST_LOG_ABORTED = 2,
	REQUEST_LOG_FAILED = 4,
	REQUEST_LOG_EXPIRED = 8,
	REQUEST_LOG_ERRORED = 16,
	REQUEST_LOG_ALL = 31,
};

/* forwarded_headers */
enum { FORWARDED_NONE, FORWARDED_X, FORWARDED_RFC7239, FORWARDED_BOTH };

struct relay_config {
	const struct conf_node *listen; /* app/listen.h */
	struct str public_url;		/* p NULL: from scheme and Host of each request */
	struct conf_strs trusted_proxies;
	int forwarded_headers;
	const struct conf_node *interceptors;

	struct str authority; /* p NULL: the built-in identity */

	int64_t request_expiration_ms; /* 0 = none */
	int64_t endpoint_timeout_ms;
	int64_t reconnect_minimum_delay_ms;
	int64_t reconnect_maximum_delay_ms;
	int64_t handshake_timeout_ms;
	int64_t keep_alive_interval_ms;
	int64_t tenant_info_cache_duration_ms;
	int acknowledge_mode; /* enum ack_mode */
	struct conf_strs request_logger_level;
	bool require_active_connection;
	bool enable_automatic_tenant_creation;

	struct str bodies;
	int64_t max_request_body_size;
	int64_t max_response_body_size;
	int64_t message_max;
	int64_t tenants_cached_max;
	int64_t tenant_queue_max;
	int64_t tenant_queue_bytes_max;
	int64_t bodies_bytes_max;
	int64_t answer_rate_min; /* bytes a second */
	int64_t queue_max_age_ms;
	int64_t connections_max;
};

/*
 * The longest that a request needs its stored bodies. Where requests have no end it is a day, in
 * which a connector has fetched them or never will; those of /queue wait for one as they may.
 */
int64_t relay_request_max_age_ms(const struct relay_config *c);

extern const struct conf_section relay_conf;

/* The flags of a request_logger_level; names in any case, or the number. */
enum err relay_log_flags(const struct conf_strs *names, unsigned *out, struct fault *f) MUST_USE;
