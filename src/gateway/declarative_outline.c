/*
 * From the tree of a file to entries: who is written in which list of whom. Nothing is
 * validated here beyond that; comments and decK's own members are taken out, what older
 * formats mean is put in the words of 3.0.
 */
#include "gateway/declarative_int.h"
#include "gateway/tree.h"

struct outline {
	struct arena *arena;
	struct declarative_file *file;
	struct entry **tails[ENTITY_KINDS];
	const struct json *plugin_configs; /* decK's _plugin_configs; may be NULL */
	bool old_paths;			   /* before 3.0 */
	bool failed;
};

static void read_lists(struct outline *o, struct entry *e);

static struct entry *entry_new(struct outline *o, const struct entity_def *def,
			       const struct json *source)
{
	struct entry *e = ARENA_NEW(o->arena, struct entry);

	e->def = def;
	e->source = source;
	e->notes_tail = &e->notes;
	e->lists_tail = &e->lists;
	return e;
}

static struct entry_list *list_new(struct outline *o, struct entry *e, struct str name,
				   const struct json *source)
{
	struct entry_list *l = ARENA_NEW(o->arena, struct entry_list);

	l->name = name;
	l->source = source;
	l->tail = &l->first;
	*e->lists_tail = l;
	e->lists_tail = &l->next;
	return l;
}

static void refuse_member(struct outline *o, struct entry *e, const struct json *source,
			  struct str message)
{
	list_new(o, e, source->key, source)->message = message;
	o->failed = true;
}

static void refuse_entry(struct outline *o, struct entry *e, struct str message)
{
	declarative_note(o->arena, e, message);
	o->failed = true;
}

/* ---- what the file says about itself ---- */

/* Kinds of Kong that are not built here: an empty list of them says nothing. */
static bool is_known_elsewhere(struct str name)
{
	static const char *const names[] = {
		"keys",
		"key_sets",
		"hmacauth_credentials",
		"jwt_secrets",
		"oauth2_credentials",
		"oauth2_tokens",
		"oauth2_authorization_codes",
		"consumer_groups",
		"filter_chains",
		"parameters",
		"custom_plugins",
		"acme_storage",
		"mtls_auth_credentials",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (str_eq(name, str_c(names[i]))) {
			return true;
		}
	}
	return false;
}

/* Written as a number too: _format_version: 3.0 */
static struct str version_text(const struct json *v)
{
	return v && (v->type == JSON_STRING || v->type == JSON_NUMBER) ? v->text : STR_NULL;
}

static void read_version(struct outline *o, struct entry *top)
{
	const struct json *v = json_get(top->source, STR("_format_version"));
	struct str s = version_text(v);

	if (json_is_null(v)) {
		list_new(o, top, STR("_format_version"), v ? v : top->source)->message =
			STR("required field missing");
		o->failed = true;
		return;
	}
	o->old_paths = str_eq(s, STR("1.1")) || str_eq(s, STR("2.1"));
	if (!o->old_paths && !str_eq(s, STR("3.0"))) {
		refuse_member(o, top, v,
			      s.p ? STR("expected one of: 1.1, 2.1, 3.0")
				  : STR("expected a string"));
	}
}

static void read_transform(struct outline *o, struct entry *top)
{
	const struct json *v = json_get(top->source, STR("_transform"));

	o->file->transform = json_is_null(v) || json_bool(v);
	if (!json_is_null(v) && v->type != JSON_BOOL) {
		refuse_member(o, top, v, STR("expected a boolean"));
	} else if (!o->file->transform &&
		   str_eq(version_text(json_get(top->source, STR("_format_version"))),
			  STR("1.1"))) {
		refuse_member(o, top, v,
			      STR("_transform: false is not supported in _format_version 1.1"));
	}
}

/* {select_tags: […], defaults: …}, from decK: only the tags have a meaning without it. */
static void read_info(struct outline *o, struct entry *top)
{
	const struct json *tags = json_get(json_get(top->source, STR("_info")), STR("select_tags"));

	if (json_is_null(tags)) {
		return;
	}
	for (const struct json *c = tags->child; c; c = c->next) {
		if (c->type != JSON_STRING) {
			tags = NULL;
			break;
		}
	}
	if (!tags || tags->type != JSON_ARRAY) {
		refuse_member(o, top, json_get(top->source, STR("_info")),
			      STR("select_tags: expected a set"));
		return;
	}
	o->file->select_tags = tags->n ? tags : NULL;
}

static bool is_comment(struct str key)
{
	return str_eq(key, STR("_comment")) || str_eq(key, STR("_ignore"));
}

static bool is_about_file(struct str key)
{
	static const char *const names[] = {"_format_version", "_transform", "_workspace",
					    "_info",	       "_konnect",   "_plugin_configs"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (str_eq(key, str_c(names[i]))) {
			return true;
		}
	}
	/* A place for anchors. */
	return is_comment(key) || str_starts(key, STR("x-"));
}

/* ---- what is nested in what ---- */

static const struct schema_field *reference_field(const struct entity_def *from,
						  const struct entity_def *to)
{
	for (size_t i = 0; i < from->schema->n; i++) {
		const struct schema_field *f = &from->schema->fields[i];

		if (f->type == SCHEMA_FOREIGN && strcmp(f->foreign, to->collection) == 0) {
			return f;
		}
	}
	return NULL;
}

/* The kind of the entities in member `key` of an entity; NULL = it is a plain field. */
static const struct entity_def *nested_def(const struct entity_def *around, struct str key,
					   const struct schema_field **out_field)
{
	const struct entity_def *def = entity_def_by_declarative(key);

	*out_field = def && around ? reference_field(def, around) : NULL;
	return !around || *out_field ? def : NULL;
}

/* ---- older words ---- */

/* What before 3.0 was a regular expression if it had any other character. */
static bool is_plain_path(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = ascii_lower(s.p[i]);

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr(".-_~/%", c))) {
			return false;
		}
	}
	return true;
}

static const struct json *new_paths(struct arena *a, const struct json *old)
{
	struct json *paths = tree_array(a);
	struct tree_tail tail = tree_tail_of(paths);

	for (const struct json *c = old->child; c; c = c->next) {
		bool is_old = c->type == JSON_STRING && c->text.n && c->text.p[0] == '/' &&
			      !is_plain_path(c->text);

		tree_push(a, &tail, STR_NULL,
			  is_old ? tree_str(a, str_fmt(a, "~%.*s", STR_ARG(c->text))) : c);
	}
	return paths;
}

/*
 * decK: `_config: NAME` in a plugin takes the members of _plugin_configs.NAME that its own
 * `config` does not have.
 */
static void use_shared_config(struct outline *o, struct entry *e)
{
	const struct json *name = json_get(e->source, STR("_config"));
	const struct json *shared = json_get(o->plugin_configs, json_str(name));
	const struct json *own = json_get(e->source, STR("config"));
	struct json *config;

	if (json_is_null(name)) {
		return;
	}
	if (!shared || shared->type != JSON_OBJECT) {
		refuse_entry(o, e,
			     str_fmt(o->arena, "_config '%.*s' is not in '_plugin_configs'",
				     STR_ARG(json_str(name))));
		return;
	}
	config = own && own->type == JSON_OBJECT ? tree_shallow(o->arena, own)
						 : tree_object(o->arena);
	for (const struct json *c = shared->child; c; c = c->next) {
		if (!json_get(config, c->key)) {
			tree_set(o->arena, config, c->key, c);
		}
	}
	tree_set(o->arena, e->value, STR("config"), config);
}

static void modernize(struct outline *o, struct entry *e)
{
	const struct json *paths = json_get(e->value, STR("paths"));

	if (e->def->kind == ENTITY_ROUTE && o->old_paths && paths && paths->type == JSON_ARRAY) {
		tree_set(o->arena, e->value, STR("paths"), new_paths(o->arena, paths));
	}
	if (e->def->kind == ENTITY_PLUGIN) {
		use_shared_config(o, e);
	}
}

/* ---- entries ---- */

static void read_entry(struct outline *o, struct entry *e)
{
	struct tree_tail tail;

	e->value = tree_object(o->arena);
	tail = tree_tail_of(e->value);
	if (e->source->type != JSON_OBJECT) {
		refuse_entry(o, e, STR("expected a record"));
		return;
	}
	for (const struct json *c = e->source->child; c; c = c->next) {
		const struct schema_field *field;

		if (e->parent_field && str_eq(c->key, str_c(e->parent_field->name))) {
			refuse_entry(o, e,
				     str_fmt(o->arena, "%s: is given by the nesting",
					     e->parent_field->name));
		} else if (!is_comment(c->key) && !nested_def(e->def, c->key, &field) &&
			   !(e->def->kind == ENTITY_PLUGIN && str_eq(c->key, STR("_config")))) {
			tree_push(o->arena, &tail, c->key, c);
		}
	}
	modernize(o, e);
	read_lists(o, e);
}

static void read_list(struct outline *o, struct entry *around, const struct json *source,
		      const struct entity_def *def, const struct schema_field *field)
{
	struct entry_list *l = list_new(o, around, source->key, source);

	l->def = def;
	if (source->type != JSON_ARRAY && !(source->type == JSON_OBJECT && source->n == 0)) {
		l->message = STR("expected an array");
		o->failed = true;
		return;
	}
	for (const struct json *c = source->child; c; c = c->next) {
		struct entry *e = entry_new(o, def, c);

		e->parent = around->def ? around : NULL;
		e->parent_field = field;
		e->index = l->n++;
		*l->tail = e;
		l->tail = &e->next;
		read_entry(o, e);
		if (c->type == JSON_OBJECT) {
			*o->tails[def->kind] = e;
			o->tails[def->kind] = &e->next_of_kind;
			o->file->n++;
		}
	}
}

static void read_lists(struct outline *o, struct entry *e)
{
	for (const struct json *c = e->source->child; c; c = c->next) {
		const struct schema_field *field;
		const struct entity_def *def = nested_def(e->def, c->key, &field);

		if (def && !json_is_null(c)) {
			read_list(o, e, c, def, field);
		} else if (!def && !e->def && !is_about_file(c->key)) {
			bool known = is_known_elsewhere(c->key);

			if (!known || c->n > 0) {
				refuse_member(o, e, c,
					      known ? STR("entities of this kind are not supported")
						    : STR("unknown field"));
			}
		} else if (!def && e->def && is_known_elsewhere(c->key) && c->n == 0) {
			tree_remove(e->value, c->key);
		}
	}
}

bool declarative_outline(struct arena *a, const struct json *root, struct declarative_file *out)
{
	struct outline o = {.arena = a, .file = out};

	*out = (struct declarative_file){.transform = true};
	out->top = entry_new(&o, NULL, root);
	for (size_t i = 0; i < ENTITY_KINDS; i++) {
		o.tails[i] = &out->of_kind[i];
	}
	if (!root || root->type != JSON_OBJECT) {
		refuse_entry(&o, out->top, STR("expected a map of entities"));
		return false;
	}
	o.plugin_configs = json_get(root, STR("_plugin_configs"));
	read_version(&o, out->top);
	read_transform(&o, out->top);
	read_info(&o, out->top);
	read_lists(&o, out->top);
	return !o.failed;
}
