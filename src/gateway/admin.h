/*
 * admin - the Admin API of the gateway, as Kong 3.10 has it
 *
 * The endpoints of entities are generated from entity_defs: collections, items, what a foreign
 * key points to, and what belongs to another entity. Others are written by hand and stand
 * before them in the table. All are routes of a struct rest: handlers run on workers with a
 * database session.
 *
 * What an endpoint needs of other parts of the process comes as struct admin_ops. A function
 * that is missing there makes its endpoints answer 404.
 *
 * Threads  admin_dispatch: loops. admin_tick: a worker. The rest: the main thread.
 * Spec     kong-gateway §2, §3, §4.
 */
#pragma once
#include "base/log.h"
#include "gateway/balancer.h"
#include "gateway/entities.h"
#include "http/rest.h"

#define ADMIN_VERSION "3.10.0"

struct admin;

struct admin_counters {
	uint64_t accepted, handled, requests;
	uint64_t active, reading, writing, waiting; /* connections, now */
};

struct admin_ops {
	/* As balancer_set_status and balancer_set_mark. */
	enum err (*upstream_status)(void *arg, const struct guid *upstream, struct arena *a,
				    struct balancer_status *out);
	enum err (*upstream_mark)(void *arg, const struct guid *upstream, struct str target,
				  struct str address, enum balancer_health to);
	/* Of the proxy's listeners, for /status. */
	void (*counters)(void *arg, struct admin_counters *out);
	/* The text of /metrics. */
	void (*metrics)(void *arg, struct buf *out);
	/* Members of `configuration` in GET /, beside those that are made here. */
	void (*configuration)(void *arg, struct arena *a, struct json_writer *w);
	/* GET and POST /config; only with entities in memory. The body is as sent. */
	enum err (*config_get)(void *arg, struct task *t);
	enum err (*config_post)(void *arg, struct task *t);
	/* Of the declarative configuration in use: 32 hex digits. */
	struct str (*config_hash)(void *arg, struct arena *a);
	/* Whether this process is about to end: no new work should come. */
	bool (*is_draining)(void *arg);
	void *arg;
};

enum admin_compat { ADMIN_KONG_3 };

struct admin_config {
	enum admin_compat compat;
	struct entities *entities;
	struct pool *pools[REST_POOLS];
	const struct rest_worker_ops *worker_ops;
	const struct rest_keys *keys; /* NULL = open to all who reach the listener */
	struct str cors_origin;	      /* p NULL = any */
	struct guid node_id;
	const struct admin_ops *ops; /* copied */
};

struct admin *admin_new(const struct admin_config *config);
/* dispatch_fn */
void admin_dispatch(struct exchange *x, void *admin);
/* Once a second or so: ends a log level that was set for a time. */
void admin_tick(struct admin *admin);
/* After the last request has ended. */
void admin_free(struct admin **admin);

/*
 * What a listener for monitors may answer, without a key: GET /status, /status/ready and
 * /upstreams/{u}/health, by the same handlers. `keys` and `cors_origin` of the config mean
 * nothing here.
 */
struct admin *admin_new_status(const struct admin_config *config);

/* As Kong names it. */
const char *admin_level_name(enum log_level level);

/* {"message": …} */
enum err admin_reply_message(struct task *t, int status, const char *message);
enum err admin_reply_error(struct task *t, const struct entity_error *e);
