/*
 * admin_int - what the files of the Admin API share
 *
 *   admin.c               life, answers that all have, errors
 *   admin_routes.c        the generated table
 *   admin_call.c          around a handler: body, repository call, failures
 *   admin_entity.c        the generated endpoints
 *   admin_certificates.c  certificates with their snis
 *   admin_upstreams.c     targets and health
 *   admin_info.c          what tells about the server
 *   admin_schemas.c       /schemas
 */
#pragma once
#include "gateway/admin.h"
#include "gateway/entity_error.h"
#include "gateway/entity_tree.h"

#include <pthread.h>

#define ADMIN_BODY_MAX (10 << 20)
#define ADMIN_CONFIG_MAX (128 << 20)
#define ADMIN_PAGE_DEFAULT 100

struct admin_call;
typedef enum err admin_fn(struct admin_call *a);

/* What a route is about: the argument of its rest_route. */
struct admin_route {
	admin_fn *fn;
	enum entity_kind kind; /* what is read or written */
	/* Nested: kind of the parent, and the field of `kind` that refers to it. For what a
	 * foreign key points to: kind of the one that has the key, and its field. */
	enum entity_kind parent;
	const char *field; /* NULL = not nested */
	bool raw_body;	   /* the handler reads it itself */
};

struct admin {
	struct rest rest;
	struct rest_table table;
	struct entities *entities;
	struct admin_ops ops;
	enum admin_compat compat;
	struct str cors_origin;
	struct guid node_id;
	struct arena arena; /* of the table */
	/* guarded by mtx */
	pthread_mutex_t mtx;
	const char *level;	 /* as Kong names it */
	const char *level_after; /* to return to; NULL = stays */
	uint64_t level_until_ms;
};

/* One request in its handler. */
struct admin_call {
	struct task *t;
	struct admin *admin;
	const struct admin_route *r;
	struct entity_call c;
	const struct json *body; /* an object; empty without a body */
};

/* The handler of every route of the table. */
task_fn admin_run;

/* ---- answers ---- */

enum err admin_reply(struct admin_call *a, int status, const struct json *v);
enum err admin_message(struct admin_call *a, int status, const char *fmt, ...) PRINTF(3, 4);
enum err admin_not_found(struct admin_call *a);

/* ---- what requests say ---- */

/* size, offset and tags of the query. */
enum err admin_query(struct admin_call *a, struct entity_query *out) MUST_USE;
/* {"data": …, "next": …, "offset": …}; `path` of the collection, unescaped segments. */
enum err admin_reply_page(struct admin_call *a, const struct json *data, struct str offset,
			  struct str path);
/* A value of the query; p NULL when absent. */
struct str admin_option(struct admin_call *a, const char *name);
/* The i-th parameter of the path. */
struct str admin_param(const struct admin_call *a, size_t i);
/* The parent that a nested path names; ERR_NOT_FOUND. */
enum err admin_parent(struct admin_call *a, struct entity_owner *out) MUST_USE;
/* "/services/{id}/routes" */
struct str admin_nested_path(struct admin_call *a, const struct guid *parent);
/* The last segment of a nested path: "routes", "key-auth". */
const char *admin_nested_name(enum entity_kind kind, enum entity_kind parent);

/* ---- the table ---- */

struct admin_special {
	const char *method;
	const char *path;
	admin_fn *fn;
	uint32_t body_max;
	const char *doc;
	enum entity_kind kind, parent;
	const char *field;
	bool raw_body;
};
struct admin_specials {
	const struct admin_special *v;
	size_t n;
};
extern const struct admin_specials admin_info_specials, admin_schema_specials,
	admin_certificate_specials, admin_upstream_specials, admin_status_specials;

void admin_table_build(struct admin *a);
void admin_table_build_status(struct admin *a);

/* Written by hand, in more than one table. */
admin_fn admin_upstream_health;

/* The generated endpoints. */
admin_fn admin_list, admin_create, admin_show, admin_replace, admin_patch, admin_remove;
admin_fn admin_far_show, admin_far_replace, admin_far_patch, admin_far_remove;
