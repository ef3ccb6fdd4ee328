/*
 * plugins: which plugin runs where, with what configuration.
 */
#include "gateway/entity_int.h"

static entity_plugin_find_fn *find_plugin;

void entity_plugins_from(entity_plugin_find_fn *find)
{
	find_plugin = find;
}

static bool find(struct str name, struct entity_plugin *out)
{
	return find_plugin && find_plugin(name, out);
}

static const struct schema *config_of(struct str name)
{
	struct entity_plugin p;

	return find(name, &p) ? p.config : NULL;
}

static enum err check_plugin(struct arena *a, const struct schema_field *field,
			     const struct json *v, struct fault *f)
{
	struct entity_plugin p;

	(void)a;
	(void)field;
	if (find(v->text, &p)) {
		return ERR_OK;
	}
	return fault_set(
		f, ERR_INVALID,
		"plugin '%.*s' not enabled; add it to the 'plugins' configuration property",
		STR_ARG(v->text));
}

static const char *const protocols[] = {"grpc", "grpcs", "http", "https", NULL};
static const struct schema_field protocol = {.type = SCHEMA_STRING, .one_of = protocols};

#define PROTOCOLS(element)                                                                         \
	{                                                                                          \
		.name = "protocols", .type = SCHEMA_SET, .flags = SCHEMA_REQUIRED, .len_min = 1,   \
		.dflt = "[\"grpc\",\"grpcs\",\"http\",\"https\"]", .elements = &(element)          \
	}

static const struct schema_field fields[] = {
	ENTITY_ID,
	{.name = "name", .type = SCHEMA_STRING, .flags = SCHEMA_REQUIRED, .check = check_plugin},
	ENTITY_NAME("instance_name", SCHEMA_UNIQUE),
	ENTITY_CREATED_AT,
	ENTITY_UPDATED_AT,
	ENTITY_FOREIGN("route", 0, "routes", .on_delete = "cascade"),
	ENTITY_FOREIGN("service", 0, "services", .on_delete = "cascade"),
	ENTITY_FOREIGN("consumer", 0, "consumers", .on_delete = "cascade"),
	{.name = "config",
	 .type = SCHEMA_RECORD,
	 .flags = SCHEMA_REQUIRED,
	 .subschema_by = "name",
	 .subschema = config_of},
	PROTOCOLS(protocol),
	ENTITY_BOOL("enabled", SCHEMA_REQUIRED, "true"),
	ENTITY_TAGS,
};

static void refuse_scope(const struct json *v, const char *name, bool refused,
			 struct schema_errors *errors)
{
	if (refused && entity_is_given(v, name)) {
		schema_error_at(errors, name, "value must be null");
	}
}

static void check_scopes(struct arena *a, const struct schema_rule *rule, const struct json *v,
			 struct schema_errors *errors)
{
	struct entity_plugin p;

	(void)a;
	(void)rule;
	if (find(json_str(json_get(v, STR("name"))), &p)) {
		refuse_scope(v, "consumer", p.no_consumer, errors);
		refuse_scope(v, "route", p.no_route, errors);
		refuse_scope(v, "service", p.no_service, errors);
	}
}

static const struct schema_rule rules[] = {
	{.kind = SCHEMA_CUSTOM,
	 .fields = {"name", "consumer", "route", "service"},
	 .check = check_scopes,
	 .json = "{\"custom_entity_check\":{\"field_sources\":[\"name\"]}}"},
};

const struct schema entity_plugin_schema = {.name = "plugins",
					    .fields = fields,
					    .n = ARRAY_LEN(fields),
					    .rules = rules,
					    .n_rules = ARRAY_LEN(rules)};

/* -- /schemas/plugins/NAME -------------------------------------------------- */

static void put_scope(const char *name, const char *collection, bool refused, struct json_writer *w)
{
	struct schema_field f = ENTITY_FOREIGN(name, 0, collection, .on_delete = "cascade");
	struct buf text = {0};
	struct json_writer inner = json_writer_to(&text);

	json_begin_object(w);
	json_key(w, str_c(name));
	if (refused) {
		/* As the others, and a value that says so. */
		schema_write_field(&f, &inner);
		struct str all = buf_str(&text);

		json_begin_object(w);
		json_key(w, STR("eq"));
		json_put_null(w);
		json_put_raw(w, str_slice(all, 1, all.n - 2));
		json_end_object(w);
	} else {
		schema_write_field(&f, w);
	}
	json_end_object(w);
	buf_free(&text);
}

void entity_plugin_schema_write(const struct entity_plugin *p, struct json_writer *w)
{
	struct schema_field protocols_field = PROTOCOLS(protocol);
	struct schema record = *p->config;
	struct schema_field config = {
		.type = SCHEMA_RECORD, .flags = SCHEMA_REQUIRED, .record = &record};

	record.n_rules = 0; /* told with the whole */

	json_begin_object(w);
	json_key(w, STR("fields"));
	json_begin_array(w);
	put_scope("consumer", "consumers", p->no_consumer, w);
	put_scope("route", "routes", p->no_route, w);
	put_scope("service", "services", p->no_service, w);
	json_begin_object(w);
	json_key(w, STR("protocols"));
	schema_write_field(&protocols_field, w);
	json_end_object(w);
	json_begin_object(w);
	json_key(w, STR("config"));
	schema_write_field(&config, w);
	json_end_object(w);
	json_end_array(w);
	json_key(w, STR("entity_checks"));
	schema_write_rules(p->config, "config.", w);
	json_end_object(w);
}
