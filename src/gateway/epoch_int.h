/*
 * epoch_int - what the builder and the makers of its parts share
 */
#pragma once
#include "gateway/certificates.h"
#include "gateway/epoch.h"
#include "gateway/upstreams.h"

/*
 * Plugin instances by what they are bound to: a route if any, else a service, else nothing. Kept
 * by the builder from change to change.
 */
struct plugin_group {
	char key[1 + sizeof(struct guid)]; /* in the map */
	struct entity_item **items;	   /* borrowed from the builder's */
	const struct plugin_instance **v;  /* theirs */
	size_t n, cap;
};

struct plugin_index {
	struct map groups;
};

void plugin_index_add(struct plugin_index *x, struct entity_item *item);
void plugin_index_remove(struct plugin_index *x, struct entity_item *item);
void plugin_index_free(struct plugin_index *x);
/* ENTITY_ROUTE, ENTITY_SERVICE, or ENTITY_PLUGIN for what is bound to neither; may be NULL. */
const struct plugin_group *plugin_index_get(const struct plugin_index *x, enum entity_kind kind,
					    const struct guid *id);

/* Routes whose entries in the latest routing are not right any more. */
struct stale {
	struct guid *routes; /* some may be there twice */
	size_t n, cap;
	unsigned searches; /* for the routes of a service, among all */
	bool all;
};

/* Consumers and credentials as they are after the changes so far. */
struct identity_draft {
	struct identity now;   /* changed in place; versions of it go into epochs */
	struct map households; /* acls of a consumer, by its id */
	struct guid *stale;    /* consumers to be made anew; some may be there twice */
	size_t n_stale, stale_cap;
};

struct builder {
	struct plugin_host host;
	struct map items[ENTITY_KINDS]; /* by the 16 bytes of the id */
	struct vaults vaults;
	bool asked_vault;	/* since it was set to false */
	struct map from_vaults; /* items of plugins that named a vault, by id */
	struct plugin_index plugins;
	struct stale stale;
	unsigned dirty;
	struct balancer_set *balancers;
	struct upstreams upstreams;
	struct balancer_view *view;
	struct service_tls *service_tls;
	struct tls_cert *dflt;
	struct tls_sni_map *names;
	struct routing *routing;
	struct identity_draft people;
	struct identity *identity;
};

struct entity_item *builder_find(const struct builder *b, enum entity_kind kind,
				 const struct guid *id);

/* What a change from `old` to `now` (NULL: none) makes stale. After both are compiled. */
void stale_note(struct builder *b, const struct entity_item *old, const struct entity_item *now);
void stale_clear(struct stale *s);

/*
 * The next routing: whole, or over the latest whole one when few routes are stale. NULL with a
 * fault when the router cannot be made.
 */
struct routing *routing_build(struct builder *b, struct fault *f);
struct routing *routing_ref(struct routing *r);
void routing_unref(struct routing **r);

void identity_draft_init(struct identity_draft *d);
void identity_draft_fini(struct identity_draft *d);
/* A change from `old` to `now` (NULL: none) of whatever kind. */
void identity_note(struct identity_draft *d, const struct entity_item *old,
		   struct entity_item *now);
/* The next identity; `items` as in the builder. */
struct identity *identity_build(struct identity_draft *d, const struct map items[ENTITY_KINDS]);
struct identity *identity_ref(struct identity *i);
void identity_unref(struct identity **i);
