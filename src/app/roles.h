/*
 * roles - the roles of this process and what each needs of the others
 *
 * Roles never include each other; here they are joined: the relay believes the
 * keys of the identity role, asks tenant_store about tenants, and reports to
 * stats_store. The relay's listener also answers the identity role's paths, so that
 * connectors need to reach one address only.
 *
 * Threads  the main thread, but for the dispatch functions.
 */
#pragma once
#include "app/gateway_role.h"
#include "app/settings.h"
#include "blob/blob.h"
#include "http/rest.h"
#include "identity/issuer.h"
#include "loop/periodic.h"
#include "relay/event_store.h"
#include "relay/management.h"
#include "relay/relay.h"
#include "relay/statistics.h"
#include "relay/upkeep.h"
#include "store/store.h"

struct roles_deps {
	struct settings *settings;
	struct loops *loops;
	struct db_pool *database;
	struct pool *pools[REST_POOLS];
	struct blob_store *bodies;
	struct str saved; /* by roles_save of the former process; for the start only */
	struct gateway_ops gateway_ops;
	void (*gateway_counters)(void *arg, struct admin_counters *out); /* `arg` of the ops */
};

struct roles {
	struct roles_deps deps;
	struct relay *relay;
	struct issuer *issuer;
	struct periodic *key_upkeep;
	struct upkeep *upkeep;
	int64_t body_max_age_ms;   /* of any configuration so far */
	struct settings *reloaded; /* the last; NULL = those of the start */
	struct event_writer events;
	struct management management;
	struct statistics statistics;
	struct gateway_role gateway;
	struct rest rest[ROLES]; /* of the roles that are REST tables */
};

/* Brings the schema of all roles up to date. */
enum err roles_migrate(struct db_pool *database, struct fault *f) MUST_USE;

enum err roles_start(struct roles *r, const struct roles_deps *deps, struct fault *f) MUST_USE;
dispatch_fn *roles_dispatch_fn(enum role which);
void *roles_dispatch_arg(struct roles *r, enum role which);
enum err roles_reload(struct roles *r, struct settings *next, struct fault *f) MUST_USE;
void roles_reopen(struct roles *r);
/* See gateway_role.h: no other role has anything that would end with the process. */
enum err roles_save(struct roles *r, struct buf *out) MUST_USE;
void roles_serve(struct roles *r);
void roles_drain(struct roles *r);
bool roles_relay_is_drained(const struct roles *r);
bool roles_are_drained(const struct roles *r);
/* While the loops run. */
void roles_stop(struct roles *r);
/* After the loops have been joined and before they are freed. */
void roles_joined(struct roles *r);
/* After the loops were freed. */
void roles_free(struct roles *r);
