/*
 * entity - the kinds of things that a gateway is configured with
 *
 * One row a kind: names, schema, keys and how its values look in lists. Admin API, store,
 * declarative format and /schemas are generic over this table.
 *
 * An item is one stored entity in this process: its JSON, immutable and counted, with a place
 * for what the data plane compiled from it.
 *
 * Threads  items: any (atomic count).
 * Spec     kong-gateway §5.
 */
#pragma once
#include "base/guid.h"
#include "gateway/schema.h"

#include <stdatomic.h>

/* In the order in which a declarative file is loaded: what is referenced comes first. */
enum entity_kind {
	ENTITY_CERTIFICATE,
	ENTITY_CA_CERTIFICATE,
	ENTITY_VAULT,
	ENTITY_UPSTREAM,
	ENTITY_TARGET,
	ENTITY_SNI,
	ENTITY_SERVICE,
	ENTITY_ROUTE,
	ENTITY_CONSUMER,
	ENTITY_PLUGIN,
	ENTITY_KEY_AUTH,
	ENTITY_BASIC_AUTH,
	ENTITY_ACL,
	ENTITY_KINDS,
};

struct entity_def {
	enum entity_kind kind;
	const char *collection;	  /* "services": path, and DAO name in errors */
	const char *singular;	  /* "service": name of a foreign key to it */
	const char *endpoint_key; /* "name"; NULL = by id only */
	const char *declarative;  /* "keyauth_credentials"; NULL = as `collection` */
	const char *owner;	  /* credentials: "consumers" … */
	const char *owner_path;	  /* … and their path below it: "key-auth"; NULL = `collection` */
	const struct schema *schema;
	/* Fields that are unique together; NULL ends. plugins: name, route, service, consumer. */
	const char *unique_together[5];
	/* Has a field `ttl`: seconds as they were written; who stores the item counts them. */
	bool has_ttl;
};

extern const struct entity_def entity_defs[ENTITY_KINDS];
const struct entity_def *entity_def_by_collection(struct str collection);
const struct entity_def *entity_def_by_declarative(struct str name);

/* What plugin entities need to know of a plugin, from whoever has the list of them. */
struct entity_plugin {
	const struct schema *config;
	bool no_consumer, no_route, no_service; /* "value must be null" */
};
/* False = not enabled. */
typedef bool entity_plugin_find_fn(struct str name, struct entity_plugin *out);
/* Once, before the first entity is processed. Without it no plugin is enabled. */
void entity_plugins_from(entity_plugin_find_fn *find);
/* The answer of /schemas/plugins/NAME: fields and rules as they are for that plugin. */
/* Of the one kind of vault. */
extern const struct schema entity_vault_env_schema;
void entity_plugin_schema_write(const struct entity_plugin *p, struct json_writer *w);

struct entity_item {
	atomic_uint refs;
	enum entity_kind kind;
	struct guid id;
	struct arena arena;
	const struct json *json; /* complete and valid */
	bool undated;		 /* made by a file that does not say when */
	/* Owned by the data plane: made once, before the item is shared between threads. */
	void *compiled;
	void (*compiled_free)(void *compiled);
	bool unusable; /* it did not compile: told again, it is to be another item */
};

/* Copies `json` (with all its strings) into an arena of its own. */
struct entity_item *entity_item_new(enum entity_kind kind, const struct guid *id,
				    const struct json *json);
struct entity_item *entity_item_ref(struct entity_item *i);
void entity_item_unref(struct entity_item **i);

/*
 * What was committed: told to the data plane before the Admin API answers, in the order of
 * commits, never from two threads at once. `item` NULL = deleted. `all` = these are all there
 * are, whatever was told before.
 */
struct entity_change {
	enum entity_kind kind;
	struct guid id;
	struct entity_item *item; /* borrowed */
};
typedef void entity_changes_fn(void *arg, const struct entity_change *v, size_t n, bool all);
