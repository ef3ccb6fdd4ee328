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
#include "gateway/declarative_live.h"
#include "gateway/entity_poller.h"
#include "gateway/gateway.h"
#include "store/store.h"

#include <pthread.h>

struct gateway_role_deps {
	struct settings *settings;
	struct loops *loops;
	struct db_pool *database;
	struct pool *pools[REST_POOLS];
	struct gateway_ops ops;
	struct str saved; /* by gateway_role_save of the former process; for the start only */
	/* The proxy's counters, for /status; `arg` of ops. */
	void (*counters)(void *arg, struct admin_counters *out);
};

struct gateway_role {
	struct gateway_role_deps deps;
	struct gateway *gateway;
	struct entities *entities;
	struct declarative_live *live; /* NULL = entities live in the database */
	struct admin *admins[GATEWAY_ADMINS_MAX];
	struct admin *status; /* its part of the status listener */
	atomic_bool draining;
	struct entity_poller *poller;
	pthread_mutex_t mtx;
	struct settings *told; /* guarded by mtx: the settings of the last reload, for GET / */
};

enum err gateway_role_start(struct gateway_role *r, const struct gateway_role_deps *deps,
			    struct fault *f) MUST_USE;
enum err gateway_role_reload(struct gateway_role *r, struct settings *next,
			     struct fault *f) MUST_USE;
/*
 * For a process that takes over: what else would end with this one. Until gateway_role_serve
 * nothing comes that it would not have.
 */
enum err gateway_role_save(struct gateway_role *r, struct buf *out) MUST_USE;
/* This process is the service: after the start, and when none took over. */
void gateway_role_serve(struct gateway_role *r);
/* Text for /metrics, until the end; asks nobody. Any thread. */
void gateway_role_metrics(const struct gateway_role *r, struct buf *out);
/* From now on /status/ready says so. */
void gateway_role_drain(struct gateway_role *r);
/* While the loops run. */
void gateway_role_stop(struct gateway_role *r);
/* After the loops have been joined and before they are freed. */
void gateway_role_joined(struct gateway_role *r);
/* After the loops were freed. */
void gateway_role_free(struct gateway_role *r);
