/*
 * compile - entities as the data plane wants them
 *
 * Each function turns the JSON of one item into a struct in the item's arena and
 * hangs it on item->compiled; it is made once per stored version of the entity.
 *
 * Threads  the one that applies changes. The results are immutable.
 * Failure  ERR_INVALID with a text that names the entity: what the Admin API let through
 *          cannot run (an unknown plugin of another version, say).
 */
#pragma once
#include "gateway/balancer.h"
#include "gateway/entity.h"
#include "gateway/plugin.h"
#include "gateway/vault.h"

/* Bits of route and plugin protocols, and of a call. */
enum gw_protocol {
	GW_HTTP = 1,
	GW_HTTPS = 2,
	GW_GRPC = 4,
	GW_GRPCS = 8,
	GW_STREAM = 16, /* tcp, tls, udp, tls_passthrough: not proxied */
	GW_ALL_HTTP = GW_HTTP | GW_HTTPS | GW_GRPC | GW_GRPCS,
};

enum service_kind {
	SERVICE_WEB,   /* http, https, grpc, grpcs */
	SERVICE_RELAY, /* relay://TENANT/TARGET */
	SERVICE_ROLE,  /* role://NAME */
	SERVICE_STREAM,
};

struct service {
	struct gw_service pub;
	enum service_kind kind;
	bool enabled;
	bool tls;
	bool http2;
	uint16_t port;
	struct str authority; /* Host of upstream requests: without the scheme's default port */
	struct str path;      /* "/" when not set */
	uint32_t connect_ms, write_ms, read_ms;
	unsigned retries;
	bool has_addr; /* host is an IP literal */
	struct addr addr;
	struct balancer *plain; /* of a host name; NULL = literal, relay or role */
	struct opt_bool tls_verify;
	struct guid client_certificate; /* zero = none */
};

/* What every request asks of its route; see struct entry. */
struct route_traits {
	uint16_t redirect_status;
	uint8_t protocols; /* enum gw_protocol */
	bool strip_path;
	bool preserve_host;
	bool request_buffering;
	bool response_buffering;
	uint8_t spare; /* no padding: traits are compared as bytes */
};
_Static_assert(sizeof(struct route_traits) == 8, "without padding");

struct route {
	struct gw_route pub;
	struct router_rule rule;
	struct guid service; /* zero = none */
	struct route_traits traits;
};

enum err service_compile(struct entity_item *item, struct fault *f) MUST_USE;
enum err route_compile(struct entity_item *item, struct fault *f) MUST_USE;
enum err plugin_compile(struct plugin_host *host, const struct vaults *vaults,
			struct entity_item *item, struct fault *f) MUST_USE;

/* Id of a foreign key, all zero when it is null. */
struct guid compile_foreign(const struct json *v, const char *name);
unsigned compile_protocols(const struct json *v);
