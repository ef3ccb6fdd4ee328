/*
 * declarative_live - the file that is in force, when the gateway has no database
 *
 * Loads it at the start and through POST /config, and writes it for GET /config. A load is all
 * or nothing: what was in force stays until everything new is valid.
 *
 * What came through POST is nowhere but here. It goes from one process to the next as a text that
 * one saves and the other restores; from then on nothing may be posted to the first.
 *
 * Threads  handlers: workers. Everything else: the main thread.
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

/* All that is in force, secrets included, and its hash. */
enum err declarative_live_save(struct declarative_live *l, struct buf *out) MUST_USE;
/* As declarative_live_load, of what another process saved. */
enum err declarative_live_restore(struct declarative_live *l, struct str text,
				  struct fault *f) MUST_USE;
/* Until the release POST is answered 503. Waits for a load that is under way. */
void declarative_live_hold(struct declarative_live *l);
void declarative_live_release(struct declarative_live *l);

/* GET and POST /config of the Admin API. */
enum err declarative_live_get(struct declarative_live *l, struct task *t);
enum err declarative_live_post(struct declarative_live *l, struct task *t);

/* MD5 of what was loaded, 32 hex digits; zeros while there are no entities. */
struct str declarative_live_hash(struct declarative_live *l, struct arena *a);
