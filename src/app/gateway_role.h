/*
 * gateway_role - the gateway in this process: proxy, entities and Admin APIs, joined
 *
 * Threads  the main thread, but for the dispatch functions.
 */
#pragma once
#include "app/settings.h"
#include "gateway/gateway.h"
#include "http/rest.h"
#include "store/store.h"

#define GATEWAY_ADMINS_MAX 8

struct gateway_role_deps {
	struct settings *settings;
	struct loops *loops;
	struct db_pool *database;
	struct pool *pools[REST_POOLS];
	struct gateway_ops ops;
};

struct gateway_role {
	struct gateway_role_deps deps;
	struct gateway *gateway;
};

enum err gateway_role_start(struct gateway_role *r, const struct gateway_role_deps *deps,
			    struct fault *f) MUST_USE;
/* While the loops run. */
void gateway_role_stop(struct gateway_role *r);
/* After the loops were freed. */
void gateway_role_free(struct gateway_role *r);
