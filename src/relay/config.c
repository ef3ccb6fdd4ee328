#include "relay/config.h"

#define OFF(member) offsetof(struct relay_config, member)
#define DAY ((int64_t)24 * 3600 * 1000)

static const char *const ack_modes[] = {"disabled", "connector_received", "connector_finished",
					"manual", NULL};
static const char *const forwarded_modes[] = {"none", "x_forwarded", "forwarded", "both", NULL};

static const struct conf_key keys[] = {
	{"listen", CONF_NODE, OFF(listen), ":5000", 0, 0, NULL, CONF_RELOAD,
	 "Addresses of the relay server. Or {address, tls, http2, proxy_protocol}; certificates "
	 "can be reloaded."},
	{"public_url", CONF_STR, OFF(public_url), NULL, 0, 0, NULL, CONF_RELOAD,
	 "Base URL in the discovery document; without it, scheme and Host of the request."},
	{"trusted_proxies", CONF_STRS, OFF(trusted_proxies), NULL, 0, 0, NULL, CONF_RELOAD,
	 "Networks whose forwarded headers are believed."},
	{"forwarded_headers", CONF_ENUM, OFF(forwarded_headers), "x_forwarded", 0, 0,
	 forwarded_modes, CONF_RELOAD, "Headers that tell targets about the client."},
	{"interceptors", CONF_NODE, OFF(interceptors), NULL, 0, 0, NULL, CONF_RELOAD,
	 "Rules that change or answer requests, in order."},
	{"authority", CONF_STR, OFF(authority), NULL, 0, 0, NULL, 0,
	 "OpenID issuer of connector tokens; empty = the built-in identity."},
	{"request_expiration", CONF_DURATION, OFF(request_expiration_ms), "2m", 0, DAY, NULL,
	 CONF_RELOAD, "Time from the head of a request to its answer; 0 = no limit."},
	{"endpoint_timeout", CONF_DURATION, OFF(endpoint_timeout_ms), "2m", 1000, DAY, NULL,
	 CONF_RELOAD, "Time connectors allow for transfers of bodies."},
	{"reconnect_minimum_delay", CONF_DURATION, OFF(reconnect_minimum_delay_ms), "30s", 0, DAY,
	 NULL, CONF_RELOAD, "Shortest wait of a connector between attempts."},
	{"reconnect_maximum_delay", CONF_DURATION, OFF(reconnect_maximum_delay_ms), "5m", 0, DAY,
	 NULL, CONF_RELOAD, "Longest wait of a connector between attempts."},
	{"handshake_timeout", CONF_DURATION, OFF(handshake_timeout_ms), "15s", 100, DAY, NULL,
	 CONF_RELOAD, "Time for the handshake of a connection."},
	{"keep_alive_interval", CONF_DURATION, OFF(keep_alive_interval_ms), "15s", 100, DAY, NULL,
	 CONF_RELOAD, "Time between pings of a connection."},
	{"tenant_info_cache_duration", CONF_DURATION, OFF(tenant_info_cache_duration_ms), "10s", 0,
	 DAY, NULL, CONF_RELOAD, "Time until a change of a tenant is seen."},
	{"acknowledge_mode", CONF_ENUM, OFF(acknowledge_mode), "disabled", 0, 0, ack_modes,
	 CONF_RELOAD, "When a request counts as taken over by a connector."},
	{"request_logger_level", CONF_STRS, OFF(request_logger_level), "errored", 0, 0, NULL,
	 CONF_RELOAD,
	 "Outcomes kept in the request log: none, succeeded, aborted, failed, expired, errored, "
	 "all."},
	{"require_active_connection", CONF_BOOL, OFF(require_active_connection), "false", 0, 0,
	 NULL, CONF_RELOAD, "Answer 503 at once when no connector is there."},
	{"enable_automatic_tenant_creation", CONF_BOOL, OFF(enable_automatic_tenant_creation),
	 "false", 0, 0, NULL, CONF_RELOAD, "Create unknown tenants when their connector comes."},
	{"bodies", CONF_STR, OFF(bodies), NULL, 0, 0, NULL, 0,
	 "Store of large bodies: memory or file:DIR; without it, that of the process."},
	{"max_request_body_size", CONF_SIZE, OFF(max_request_body_size), "30000000", 0, 0, NULL,
	 CONF_RELOAD, "Largest body of a client; beyond: 413."},
	{"max_response_body_size", CONF_SIZE, OFF(max_response_body_size), "1GiB", 0, 0, NULL,
	 CONF_RELOAD, "Largest body of a target; beyond: 413 to the connector."},
	{"message_max", CONF_SIZE, OFF(message_max), "4MiB", 1 << 20, 1 << 30, NULL, CONF_RELOAD,
	 "Largest message of a connector."},
	{"tenants_cached_max", CONF_INT, OFF(tenants_cached_max), "10000", 16, 10000000, NULL,
	 CONF_RELOAD, "Tenants, known or not, remembered per loop."},
	{"tenant_queue_max", CONF_INT, OFF(tenant_queue_max), "10000", 1, 10000000, NULL,
	 CONF_RELOAD,
	 "Requests of one tenant that may wait, and those of /queue until they are done; beyond: "
	 "503."},
	{"tenant_queue_bytes_max", CONF_SIZE, OFF(tenant_queue_bytes_max), "256MiB", 1, 0, NULL,
	 CONF_RELOAD, "Bytes of these, heads and bodies; beyond: 503."},
	{"bodies_bytes_max", CONF_SIZE, OFF(bodies_bytes_max), "4GiB", 1, 0, NULL, CONF_RELOAD,
	 "Bytes of all stored bodies of this server; beyond: 503."},
	{"answer_rate_min", CONF_SIZE, OFF(answer_rate_min), "4KiB", 1, 0, NULL, CONF_RELOAD,
	 "Bytes of a stored body that a client takes each second at least, beyond "
	 "endpoint_timeout; slower: cut off."},
	{"queue_max_age", CONF_DURATION, OFF(queue_max_age_ms), "1h", 1000, 0, NULL, CONF_RELOAD,
	 "Time that /queue requests wait for a connector."},
	{"connections_max", CONF_INT, OFF(connections_max), "100000", 1, 10000000, NULL,
	 CONF_RELOAD, "Connections of connectors, attached or only negotiated; beyond: 503."},
};

const struct conf_section relay_conf = {
	.name = "relay",
	.doc = "The relay server: clients reach on-premises targets through connectors.",
	.keys = keys,
	.n = ARRAY_LEN(keys),
};

int64_t relay_request_max_age_ms(const struct relay_config *c)
{
	int64_t age = c->request_expiration_ms > 0 ? c->request_expiration_ms : DAY;

	return MAX(age, c->queue_max_age_ms);
}

static const struct {
	struct str name;
	unsigned flags;
} log_names[] = {
	{STR_INIT("none"), 0},
	{STR_INIT("succeeded"), REQUEST_LOG_SUCCEEDED},
	{STR_INIT("aborted"), REQUEST_LOG_ABORTED},
	{STR_INIT("failed"), REQUEST_LOG_FAILED},
	{STR_INIT("expired"), REQUEST_LOG_EXPIRED},
	{STR_INIT("errored"), REQUEST_LOG_ERRORED},
	{STR_INIT("all"), REQUEST_LOG_ALL},
};

static enum err log_flag(struct str name, unsigned *out)
{
	uint64_t number;

	if (str_to_u64(name, &number) && number <= REQUEST_LOG_ALL) {
		*out = (unsigned)number;
		return ERR_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(log_names); i++) {
		if (str_eq_nocase(name, log_names[i].name)) {
			*out = log_names[i].flags;
			return ERR_OK;
		}
	}
	return ERR_INVALID;
}

enum err relay_log_flags(const struct conf_strs *names, unsigned *out, struct fault *f)
{
	unsigned all = 0;

	for (size_t i = 0; i < names->n; i++) {
		unsigned one = 0;

		if (log_flag(str_trim(names->v[i]), &one) != ERR_OK) {
			return fault_set(f, ERR_INVALID,
					 "relay.request_logger_level: '%.*s' is none of none, "
					 "succeeded, aborted, failed, expired, errored, all",
					 STR_ARG(names->v[i]));
		}
		all |= one;
	}
	*out = all;
	return ERR_OK;
}
