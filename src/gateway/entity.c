#include "gateway/entity.h"

#include "base/mem.h"
#include "gateway/entity_int.h"

/* clang-format off */
const struct entity_def entity_defs[ENTITY_KINDS] = {
	[ENTITY_CERTIFICATE] = {
		.kind = ENTITY_CERTIFICATE, .collection = "certificates", .singular = "certificate",
		.schema = &entity_certificate_schema},
	[ENTITY_CA_CERTIFICATE] = {
		.kind = ENTITY_CA_CERTIFICATE, .collection = "ca_certificates",
		.singular = "ca_certificate", .schema = &entity_ca_certificate_schema},
	[ENTITY_VAULT] = {
		.kind = ENTITY_VAULT, .collection = "vaults", .singular = "vault",
		.endpoint_key = "prefix", .schema = &entity_vault_schema},
	[ENTITY_UPSTREAM] = {
		.kind = ENTITY_UPSTREAM, .collection = "upstreams", .singular = "upstream",
		.endpoint_key = "name", .schema = &entity_upstream_schema},
	[ENTITY_TARGET] = {
		.kind = ENTITY_TARGET, .collection = "targets", .singular = "target",
		.endpoint_key = "target", .schema = &entity_target_schema,
		.unique_together = {"upstream", "target"}},
	[ENTITY_SNI] = {
		.kind = ENTITY_SNI, .collection = "snis", .singular = "sni",
		.endpoint_key = "name", .schema = &entity_sni_schema},
	[ENTITY_SERVICE] = {
		.kind = ENTITY_SERVICE, .collection = "services", .singular = "service",
		.endpoint_key = "name", .schema = &entity_service_schema},
	[ENTITY_ROUTE] = {
		.kind = ENTITY_ROUTE, .collection = "routes", .singular = "route",
		.endpoint_key = "name", .schema = &entity_route_schema},
	[ENTITY_CONSUMER] = {
		.kind = ENTITY_CONSUMER, .collection = "consumers", .singular = "consumer",
		.endpoint_key = "username", .schema = &entity_consumer_schema},
	[ENTITY_PLUGIN] = {
		.kind = ENTITY_PLUGIN, .collection = "plugins", .singular = "plugin",
		.endpoint_key = "instance_name", .schema = &entity_plugin_schema,
		.unique_together = {"name", "route", "service", "consumer"}},
	[ENTITY_KEY_AUTH] = {
		.kind = ENTITY_KEY_AUTH, .collection = "key-auths", .singular = "key-auth",
		.endpoint_key = "key", .declarative = "keyauth_credentials",
		.owner = "consumers", .owner_path = "key-auth",
		.schema = &entity_key_auth_schema, .has_ttl = true},
	[ENTITY_BASIC_AUTH] = {
		.kind = ENTITY_BASIC_AUTH, .collection = "basic-auths", .singular = "basic-auth",
		.endpoint_key = "username", .declarative = "basicauth_credentials",
		.owner = "consumers", .owner_path = "basic-auth",
		.schema = &entity_basic_auth_schema},
	[ENTITY_ACL] = {
		.kind = ENTITY_ACL, .collection = "acls", .singular = "acl",
		.endpoint_key = "group", .owner = "consumers",
		.schema = &entity_acl_schema, .unique_together = {"consumer", "group"}},
};
/* clang-format on */

const struct entity_def *entity_def_by_collection(struct str collection)
{
	for (size_t i = 0; i < ENTITY_KINDS; i++) {
		if (str_eq(str_c(entity_defs[i].collection), collection)) {
			return &entity_defs[i];
		}
	}
	return NULL;
}

const struct entity_def *entity_def_by_declarative(struct str name)
{
	for (size_t i = 0; i < ENTITY_KINDS; i++) {
		const struct entity_def *d = &entity_defs[i];

		if (str_eq(str_c(d->declarative ? d->declarative : d->collection), name)) {
			return d;
		}
	}
	return NULL;
}

/* -- items ------------------------------------------------------------------ */

struct entity_item *entity_item_new(enum entity_kind kind, const struct guid *id,
				    const struct json *json)
{
	struct entity_item *i = MEM_NEW(struct entity_item);

	atomic_init(&i->refs, 1);
	i->kind = kind;
	i->id = *id;
	arena_init(&i->arena, 0);
	i->json = tree_copy(&i->arena, json);
	return i;
}

struct entity_item *entity_item_ref(struct entity_item *i)
{
	atomic_fetch_add_explicit(&i->refs, 1, memory_order_relaxed);
	return i;
}

void entity_item_unref(struct entity_item **i)
{
	struct entity_item *mine = *i;

	*i = NULL;
	if (!mine || atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) > 1) {
		return;
	}
	if (mine->compiled_free) {
		mine->compiled_free(mine->compiled);
	}
	arena_fini(&mine->arena);
	mem_free(mine);
}
