/* /schemas: what entities and plugins may hold, and whether something is valid. */
#include "gateway/admin_int.h"
#include "gateway/plugin_entities.h"

static enum err reply_schema(struct admin_call *a, const struct schema *s)
{
	struct json_writer w = task_reply_writer(a->t, 200);

	schema_write(s, &w);
	return ERR_OK;
}

/* By either name: "key-auths" and "keyauth_credentials". */
static const struct entity_def *def_of(struct str name)
{
	const struct entity_def *def = entity_def_by_collection(name);

	return def ? def : entity_def_by_declarative(name);
}

static enum err entity_schema(struct admin_call *a)
{
	struct str name = admin_param(a, 0);
	const struct entity_def *def = def_of(name);

	return def ? reply_schema(a, def->schema)
		   : admin_message(a, 404, "No entity named '%.*s'", STR_ARG(name));
}

static enum err no_plugin(struct admin_call *a, struct str name)
{
	return admin_message(a, 404, "No plugin named '%.*s'", STR_ARG(name));
}

static enum err plugin_schema(struct admin_call *a)
{
	struct str name = admin_param(a, 0);
	struct entity_plugin p;

	if (!plugin_entity(name, &p)) {
		return no_plugin(a, name);
	}
	struct json_writer w = task_reply_writer(a->t, 200);

	entity_plugin_schema_write(&p, &w);
	return ERR_OK;
}

static enum err config_schema(struct admin_call *a)
{
	struct str name = admin_param(a, 0);
	struct entity_plugin p;

	return plugin_entity(name, &p) ? reply_schema(a, p.config) : no_plugin(a, name);
}

static enum err vault_schema(struct admin_call *a)
{
	struct str name = admin_param(a, 0);

	return str_eq(name, STR("env"))
		       ? reply_schema(a, &entity_vault_env_schema)
		       : admin_message(a, 404, "No vault named '%.*s'", STR_ARG(name));
}

/* ---- validate ---- */

static enum err validate_as(struct admin_call *a, enum entity_kind kind)
{
	const struct json *out = NULL;

	TRY(entity_validate(&a->c, kind, a->body, &out));
	return admin_message(a, 200, "schema validation successful");
}

static enum err validate(struct admin_call *a)
{
	struct str name = admin_param(a, 0);
	const struct entity_def *def = def_of(name);

	return def ? validate_as(a, def->kind)
		   : admin_message(a, 404, "No entity named '%.*s'", STR_ARG(name));
}

static enum err validate_plugin(struct admin_call *a)
{
	return validate_as(a, ENTITY_PLUGIN);
}

static enum err validate_vault(struct admin_call *a)
{
	return validate_as(a, ENTITY_VAULT);
}

static const struct admin_special specials[] = {
	{"POST", "/schemas/plugins/validate", validate_plugin, ADMIN_BODY_MAX,
	 "Validates a plugin.", 0, 0, NULL},
	{"POST", "/schemas/vaults/validate", validate_vault, ADMIN_BODY_MAX, "Validates a vault.",
	 0, 0, NULL},
	{"POST", "/schemas/{name}/validate", validate, ADMIN_BODY_MAX, "Validates an entity.", 0, 0,
	 NULL},
	{"GET", "/schemas/plugins/{name}", plugin_schema, 0, "The schema of a plugin.", 0, 0, NULL},
	{"GET", "/schemas/vaults/{name}", vault_schema, 0, "The schema of a vault.", 0, 0, NULL},
	{"GET", "/schemas/{name}", entity_schema, 0, "The schema of an entity.", 0, 0, NULL},
	{"GET", "/plugins/schema/{name}", config_schema, 0, "The schema of a plugin's config.", 0,
	 0, NULL},
};
const struct admin_specials admin_schema_specials = {specials, ARRAY_LEN(specials)};
