/*
 * task - one control-plane request: a blocking handler on a worker, one hop
 *
 * The dispatcher of a REST role matches the route, checks the API key, collects
 * the body, moves request and arena into a task and submits it. The handler is
 * straight-line code: it reads parameters, uses t->db, and fills the reply. All memory
 * is the task's arena, so TRY is the whole error path; err_status in task.c maps a
 * failure to the answer, with t->fault as its text.
 *
 * Threads  a handler owns its task alone, on a worker. It never sees a connection.
 */
#pragma once
#include "base/json.h"
#include "http/message.h"
#include "loop/job.h"

struct db; /* store room; http only passes it on */

struct task_param {
	struct str name, value; /* decoded */
};

struct task_reply {
	int status;
	struct buf body;
	struct str content_type;
	struct http_headers headers;
};

#define TASK_PARAMS_MAX 8

struct task {
	struct arena arena;
	struct http_request request; /* strings in the arena */
	struct str body;
	struct task_param params[TASK_PARAMS_MAX]; /* of the path */
	size_t n_params;
	struct str peer_ip;
	struct str base_url; /* exchange_base_url */
	void *role;	     /* of the REST table */
	const void *route_arg;
	uint64_t start_ms; /* monotonic: when the head was complete */
	struct db *db;	   /* the worker's session, or NULL */
	uint64_t deadline_ms;
	const atomic_bool *canceled;
	struct fault fault;
	int refused_status; /* by task_refuse; 0 = what the err implies */
	struct task_reply reply;
};

typedef enum err task_fn(struct task *t);

/* Path parameter; route tables guarantee its presence. */
struct str task_param(const struct task *t, const char *name);
/* Query parameter. Absent: ERR_NOT_FOUND without a fault. */
enum err task_query(struct task *t, const char *name, struct str *out) MUST_USE;
/* Whole number in [min, max], else ERR_INVALID with a text; `dflt` when absent. */
enum err task_query_int(struct task *t, const char *name, int64_t dflt, int64_t min, int64_t max,
			int64_t *out) MUST_USE;
/* JSON body by shape. Wrong media type: status 415. */
enum err task_body_json(struct task *t, const struct json_shape *shape, void *out) MUST_USE;

enum err task_reply_status(struct task *t, int status);
enum err task_reply_json(struct task *t, int status, const struct json_shape *shape,
			 const void *obj);
/* `w` writes into the reply body. */
struct json_writer task_reply_writer(struct task *t, int status);
enum err task_reply_text(struct task *t, int status, struct str content_type, struct str body);
/* A specific status instead of the one its err implies, with the fault as its text. */
enum err task_refuse(struct task *t, int status, const char *fmt, ...) PRINTF(3, 4);
