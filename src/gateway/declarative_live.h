/*
 * declarative_live - the file that is in force, when the gateway has no database
 *
 * Loads it at the start and through POST /config, and writes it for GET /config. A load is all
 * or nothing: what was in force stays until everything new is valid.
 *
 * Threads  handlers: workers. declarative_live_load: the main thread.
 * Spec     kong-gateway §6.
 */
#pragma once
#include "gateway/entities.h"
#include "http/task.h"

struct declarative_live;

/* `es` is in memory mode and outlives it. */
struct declarative_live *declarative_live_new(struct entities *es);
void declarative_live_free(struct declarative_live **l);

/* `name` of the file, for the fault, which is the first of all errors and how many there are. */
enum err declarative_live_load(struct declarative_live *l, struct str text, struct str name,
			       struct fault *f) MUST_USE;

/* GET and POST /config of the Admin API. */
enum err declarative_live_get(struct declarative_live *l, struct task *t);
enum err declarative_live_post(struct declarative_live *l, struct task *t);

/* MD5 of what was loaded, 32 hex digits; zeros while there are no entities. */
struct str declarative_live_hash(struct declarative_live *l, struct arena *a);
