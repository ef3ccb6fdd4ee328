/*
 * tenant_values - the options that set values of a tenant, for `tenant add` and `tenant update`
 */
#pragma once
#include "app/cli/cli.h"
#include "relay/tenant_store.h"

struct tenant_values {
	struct str display, description;
	struct str require_authentication, enable_tracing; /* yes, no */
	struct str max_concurrent;
	struct str keep_alive, reconnect_min, reconnect_max;
};

/* `type` has a member `values`. */
#define TENANT_VALUE(type, member) offsetof(type, values) + offsetof(struct tenant_values, member)
#define TENANT_VALUE_OPTIONS(type)                                                                 \
	{"display-name", "TEXT", "name for people", TENANT_VALUE(type, display), false},           \
		{"description", "TEXT", "more about it", TENANT_VALUE(type, description), false},  \
		{"require-authentication", "yes|no", "relay only requests with a valid token",     \
		 TENANT_VALUE(type, require_authentication), false},                               \
		{"max-concurrent", "N",                                                            \
		 "requests at once per connection in connector modes; 0 = no limit",               \
		 TENANT_VALUE(type, max_concurrent), false},                                       \
		{"keep-alive", "DURATION", "interval of the connector's pings",                    \
		 TENANT_VALUE(type, keep_alive), false},                                           \
		{"enable-tracing", "yes|no", "trace every request",                                \
		 TENANT_VALUE(type, enable_tracing), false},                                       \
		{"reconnect-min", "DURATION", "least delay before the connector comes back",       \
		 TENANT_VALUE(type, reconnect_min), false},                                        \
	{                                                                                          \
		"reconnect-max", "DURATION", "longest delay before the connector comes back",      \
			TENANT_VALUE(type, reconnect_max), false                                   \
	}

/* Changes what was given; ERR_INVALID names the option. */
enum err tenant_values_apply(const struct tenant_values *v, struct tenant_row *row,
			     struct fault *f) MUST_USE;
