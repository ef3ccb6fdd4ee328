/*
 * gateway_role - the gateway in this process: proxy, entities and Admin APIs, joined
 *
 * Entities live in the database, or come from a declarative file. Whatever is committed there
 * reaches the proxy before it is acknowledged; what other processes wrote to the same database
 * is found by a poll once a second.
 *
 * Threads  the main thread, but for the dispatch functions.
 */
#pragma once
#include "app/settings.h"
#include "gateway/admin.h"
#include "gateway/gateway.h"
#include "http/rest.h"
#include "loop/periodic.h"
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
	struct entities *entities;
	struct admin *admin[GATEWAY_ADMINS_MAX];
	struct rest_keys keys[GATEWAY_ADMINS_MAX];
	struct periodic *poll, *upkeep;
	struct guid node_id;
	uint64_t poll_failures;
};

enum err gateway_role_start(struct gateway_role *r, const struct gateway_role_deps *deps,
			    struct fault *f) MUST_USE;
/* While the loops run; first the chores that write, then, once no server is left, the proxy. */
void gateway_role_quiet(struct gateway_role *r);
void gateway_role_stop(struct gateway_role *r);
/* After the loops were freed. */
void gateway_role_free(struct gateway_role *r);
