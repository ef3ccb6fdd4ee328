/*
 * settings - everything the server is told, from one file, checked at once
 *
 * Which roles run: those named on the command line; else those whose section is in
 * the file; else all.
 *
 * Ownership  one epoch: all strings live in its arena. Counted, since the relay's
 *            requests keep the epoch that they started with.
 */
#pragma once
#include "app/config.h"
#include "app/gateway_settings.h"
#include "app/listen.h"
#include "http/rest.h"
#include "identity/config.h"
#include "relay/config.h"

enum role {
	ROLE_RELAY,
	ROLE_IDENTITY,
	ROLE_MANAGEMENT,
	ROLE_STATISTICS,
	ROLE_GATEWAY,
	ROLES,
};
extern const char *const role_names[ROLES];
/* ROLES when there is none of that name, whatever its case, as in a URL. */
enum role role_of(struct str name);

enum { LOOPS_MAX = 256 }; /* ids of the relay hold the loop in a byte */

/* Top level. */
extern const struct conf_section top_conf;
struct top_settings {
	struct str data;
	struct str database;
	struct str bodies;
	int64_t database_connections;
	bool database_migrate;
	int64_t loops;
	int log_level, log_format;
	int64_t drain_timeout_ms;
};

/* Sections management and statistics. */
struct rest_settings {
	const struct conf_node *listen;
	const struct conf_node *api_keys;
	struct str api_key_header;
	/* filled from api_keys */
	struct rest_keys keys;
};

struct statistics_settings {
	struct rest_settings rest;
	int64_t entry_max_age_ms;
	int64_t origin_last_seen_ms;
	int64_t connection_last_seen_ms;
	int64_t maintenance_interval_ms;
	int64_t request_log_max_age_ms;
	bool connection_cleanup;
};

struct status_settings {
	const struct conf_node *listen;
};

struct settings {
	atomic_uint refs;
	struct arena arena;
	struct conf_node *root;
	struct config_warning *warnings; /* whoever loads tells them */
	bool runs[ROLES];
	struct top_settings top;
	struct relay_config relay;
	struct identity_config identity;
	struct rest_settings management;
	struct statistics_settings statistics;
	struct gateway_config gateway;
	struct gateway_settings gateway_more; /* what app itself reads of it */
	struct status_settings status;
	struct listen_set listen[ROLES + 1]; /* the last is that of `status` */
};

/* Who listens: the roles, status, and the Admin APIs of the gateway. */
enum {
	LISTENER_STATUS = ROLES,
	LISTENER_ADMIN, /* the first of several */
	LISTENERS = LISTENER_ADMIN + GATEWAY_ADMINS_MAX,
};

struct settings_source {
	struct str config;	 /* FILE or URL; empty = none */
	struct str data;	 /* --data; empty = as configured */
	const struct str *roles; /* named on the command line */
	size_t n_roles;
};

/* `f` names file, line and key. Roles may be left out for commands that only need the database. */
enum err settings_load(const struct settings_source *source, struct settings **out,
		       struct fault *f) MUST_USE;
/*
 * What a start needs beyond that, of the roles that run and as far as it shows without starting:
 * values that are for one role to understand, files of TLS, addresses that exclude each other.
 */
enum err settings_check(const struct settings *s, struct fault *f) MUST_USE;
struct settings *settings_ref(struct settings *s);
void settings_unref(struct settings **s);

/* Where it listens; nowhere if that role does not run. */
const struct listen_set *settings_listen(const struct settings *s, int listener);
/* The relay without an outside authority needs keys, even where their endpoints do not run. */
bool settings_run_issuer(const struct settings *s);
/*
 * Whether its certificates may be those of the gateway's entities, so that it needs no files, as
 * with Kong.
 */
bool settings_listener_is_gateways(const struct settings *s, int listener);

/* `database`, with its default below the data directory (which is created, mode 0700). */
enum err settings_database_url(const struct settings *s, struct arena *a, struct str *out,
			       struct fault *f) MUST_USE;
/* `relay.bodies` or `bodies`, with a default that is created likewise. */
enum err settings_bodies_url(const struct settings *s, struct arena *a, struct str *out,
			     struct fault *f) MUST_USE;

/* A list of {key, may}; NULL = none. */
enum err settings_read_keys(struct arena *a, const struct conf_node *list, struct rest_keys *out,
			    struct fault *f) MUST_USE;

struct config_tables settings_tables(void);
