/*
 * rest - a role's REST endpoints as one table
 *
 * The table feeds routing (405 and Allow for a wrong method, 404 otherwise), access checks, body
 * limits, the pool to run in, `posthouse routes` and the OpenAPI document.
 *
 * Path patterns: literal segments and {name}; matched case-insensitively on the
 * decoded segments; a parameter is one segment, decoded, not empty.
 *
 * Threads  rest_dispatch: the loop. Handlers: workers.
 */
#pragma once
#include "http/server.h"
#include "http/task.h"

enum rest_pool {
	REST_DB,   /* has a database session */
	REST_SLOW, /* may wait for long: hashing, outbound calls; has a session too */
	REST_POOLS,
};

enum rest_access { REST_OPEN, REST_READ, REST_WRITE };

struct rest_route {
	const char *method;
	const char *path; /* "/management/tenants/{name}" */
	task_fn *handler;
	enum rest_pool pool;
	enum rest_access access;
	uint32_t body_max; /* bytes; 0 = no body expected (still drained up to 64 KiB) */
	const char *doc;   /* one sentence */
	const struct json_shape *in, *out; /* for the OpenAPI document; may be NULL */
	const void *arg;		   /* task->route_arg: for tables that are generated */
};

struct rest_table {
	const char *role; /* "management" */
	const struct rest_route *routes;
	size_t n;
};

enum rest_may { REST_MAY_READ = 1, REST_MAY_WRITE = 2 };

struct rest_key {
	struct str key; /* secret; compared in constant time */
	unsigned may;
};

/*
 * A set of keys, immutable. Another one may be put in its place at any time; the old one is
 * free once every loop has begun another turn (loops_quiesce).
 */
struct rest_keys {
	const struct rest_key *v;
	size_t n;
};

/*
 * What surrounds a handler on its worker: the app lends the database session of
 * the worker to the task and ends its transaction. http knows nothing of stores.
 */
struct rest_worker_ops {
	void (*begin)(struct task *t, void *worker);
	void (*end)(struct task *t, void *worker);
	/* The failure may go away by running the handler again (serialization). */
	bool (*may_retry)(struct task *t, enum err e);
};

/* Who asks, on the loop; borrowed, as long as the exchange. */
typedef const struct addr *rest_client_fn(struct exchange *x, void *role);

/* How failures look on the wire; the default is application/problem+json (RFC 9457). */
typedef void rest_error_fn(struct task *t, int status);
/* On the loop, for every answer that is about to be sent: headers that all have. */
typedef void rest_reply_fn(struct task *t);

struct rest {
	const struct rest_table *table;
	void *role; /* task->role */
	struct pool *pools[REST_POOLS];
	const struct rest_worker_ops *worker_ops; /* may be NULL */
	_Atomic(const struct rest_keys *) keys;	  /* for READ and WRITE routes; none = always 401 */
	struct str key_header;			  /* p NULL = "Api-Key" */
	rest_client_fn *client;			  /* task->peer_ip; NULL = exchange_peer */
	void *client_role;
	uint32_t timeout_ms;	 /* of a task; 0 = 30 s */
	rest_error_fn *on_error; /* NULL = default */
	rest_reply_fn *on_reply; /* may be NULL */
	bool answers_options;	 /* OPTIONS of a known path: 204 with Allow */
	dispatch_fn *fallback;	 /* for unmatched paths; NULL = 404 */
	void *fallback_role;
};

/* dispatch_fn with a struct rest as its role. */
void rest_dispatch(struct exchange *x, void *rest);

/* The default: application/problem+json, with the fault as its detail below 500. */
void rest_problem(struct task *t, int status);

/* HTTP status for a failure: the one table of the project. */
int rest_status(enum err e);

/* OpenAPI 3.1 document of a table. */
void rest_openapi(const struct rest_table *table, struct str title, struct str key_header,
		  struct buf *out);
