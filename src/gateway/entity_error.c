#include "gateway/entity_error.h"

#include "gateway/entity_tree.h"

static const struct {
	enum entity_code code;
	int status;
	enum err err;
	const char *name;
} codes[] = {
	{ENTITY_INVALID_PRIMARY_KEY, 400, ERR_INVALID, "invalid primary key"},
	{ENTITY_SCHEMA_VIOLATION, 400, ERR_INVALID, "schema violation"},
	{ENTITY_PRIMARY_KEY_VIOLATION, 400, ERR_CONFLICT, "primary key violation"},
	{ENTITY_FOREIGN_KEY_VIOLATION, 400, ERR_CONFLICT, "foreign key violation"},
	{ENTITY_UNIQUE_VIOLATION, 409, ERR_CONFLICT, "unique constraint violation"},
	{ENTITY_NOT_FOUND, 404, ERR_NOT_FOUND, "not found"},
	{ENTITY_INVALID_OFFSET, 400, ERR_INVALID, "invalid offset"},
	{ENTITY_DATABASE_ERROR, 500, ERR_INTERNAL, "database error"},
	{ENTITY_INVALID_SIZE, 400, ERR_INVALID, "invalid size"},
	{ENTITY_INVALID_OPTIONS, 400, ERR_INVALID, "invalid options"},
	{ENTITY_UNSUPPORTED, 405, ERR_INVALID, "operation unsupported"},
	{ENTITY_FOREIGN_KEYS_UNRESOLVED, 400, ERR_INVALID, "foreign keys unresolved"},
	{ENTITY_INVALID_CONFIGURATION, 400, ERR_INVALID, "invalid declarative configuration"},
	{ENTITY_REFERENCED, 400, ERR_CONFLICT, "referenced by others"},
};

enum err entity_fail(struct entity_call *c, enum entity_code code, struct str message,
		     const struct json *fields)
{
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		if (codes[i].code == code) {
			c->error = (struct entity_error){
				.code = (int)code,
				.status = codes[i].status,
				.name = codes[i].name,
				.message = message,
				.fields = fields ? fields : tree_object(c->arena),
			};
			return codes[i].err;
		}
	}
	ASSERT(false); /* not a code of the table */
	return ERR_INTERNAL;
}

enum err entity_fail_schema(struct entity_call *c, const struct json *errors)
{
	return entity_fail(c, ENTITY_SCHEMA_VIOLATION, schema_errors_text(c->arena, errors),
			   errors);
}

enum err entity_fail_field(struct entity_call *c, const char *field, struct str text)
{
	struct json *errors = tree_object(c->arena);

	tree_set(c->arena, errors, str_c(field), tree_str(c->arena, text));
	return entity_fail_schema(c, errors);
}

enum err entity_fail_primary_key(struct entity_call *c, struct str text)
{
	struct str pk = entity_pk_text(c->arena, text);
	struct json *fields = tree_object(c->arena);

	tree_set(c->arena, fields, STR("id"), tree_str(c->arena, text));
	return entity_fail(c, ENTITY_INVALID_PRIMARY_KEY,
			   str_fmt(c->arena, "invalid primary key: '%.*s'", STR_ARG(pk)), fields);
}

enum err entity_fail_missing(struct entity_call *c, enum entity_kind kind, struct str text)
{
	const struct entity_def *def = &entity_defs[kind];
	struct json *fields = tree_object(c->arena);
	struct guid id;
	bool is_id = text.n == GUID_D_LEN && guid_parse(text, &id) == ERR_OK;
	const char *field = is_id || !def->endpoint_key ? "id" : def->endpoint_key;

	tree_set(c->arena, fields, str_c(field), tree_str(c->arena, text));
	return entity_fail(c, ENTITY_NOT_FOUND,
			   str_fmt(c->arena, "could not find the entity with %s'{%s=\"%.*s\"}'",
				   is_id ? "primary key " : "", field, STR_ARG(text)),
			   fields);
}

enum err entity_fail_option(struct entity_call *c, const char *option, const char *text)
{
	struct json *fields = tree_object(c->arena);

	tree_set(c->arena, fields, str_c(option), tree_str(c->arena, str_c(text)));
	return entity_fail(c, ENTITY_INVALID_OPTIONS,
			   str_fmt(c->arena, "invalid option (%s: %s)", option, text), fields);
}

enum err entity_fail_memory(struct entity_call *c, const char *verb, enum entity_kind kind)
{
	return entity_fail(c, ENTITY_UNSUPPORTED,
			   str_fmt(c->arena, "cannot %s '%s' entities when not using a database",
				   verb, entity_defs[kind].collection),
			   NULL);
}

void entity_error_clear(struct entity_call *c)
{
	c->error = (struct entity_error){0};
}

void entity_error_write(const struct entity_error *e, struct json_writer *w)
{
	json_begin_object(w);
	json_key(w, STR("message"));
	json_put_str(w, e->message);
	json_key(w, STR("name"));
	json_put_str(w, str_c(e->name));
	json_key(w, STR("fields"));
	json_put_tree(w, e->fields);
	json_key(w, STR("code"));
	json_put_int(w, e->code);
	json_end_object(w);
}
