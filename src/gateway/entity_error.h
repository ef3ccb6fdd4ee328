/*
 * entity_error - failures of the repository in the words of Kong (kong-gateway §3)
 *
 * Each function fills call->error and returns the failure.
 */
#pragma once
#include "gateway/entities.h"
#include "gateway/entity_keys.h"

enum entity_code {
	ENTITY_INVALID_PRIMARY_KEY = 1,
	ENTITY_SCHEMA_VIOLATION = 2,
	ENTITY_PRIMARY_KEY_VIOLATION = 3,
	ENTITY_FOREIGN_KEY_VIOLATION = 4,
	ENTITY_UNIQUE_VIOLATION = 5,
	ENTITY_NOT_FOUND = 6,
	ENTITY_INVALID_OFFSET = 7,
	ENTITY_DATABASE_ERROR = 8,
	ENTITY_INVALID_SIZE = 9,
	ENTITY_INVALID_OPTIONS = 11,
	ENTITY_UNSUPPORTED = 12,
	ENTITY_FOREIGN_KEYS_UNRESOLVED = 13,
	ENTITY_INVALID_CONFIGURATION = 14,
	ENTITY_REFERENCED = 19,
};

/* `fields` NULL = {}. */
enum err entity_fail(struct entity_call *c, enum entity_code code, struct str message,
		     const struct json *fields);
/* Code 2 with the tree of schema_process. */
enum err entity_fail_schema(struct entity_call *c, const struct json *errors);
/* Code 2 with one field. */
enum err entity_fail_field(struct entity_call *c, const char *field, struct str text);
enum err entity_fail_primary_key(struct entity_call *c, struct str text);
enum err entity_fail_missing(struct entity_call *c, enum entity_kind kind, struct str text);
/* Code 11: "invalid option (tags: …)". */
enum err entity_fail_option(struct entity_call *c, const char *option, const char *text);
/* Code 12; `verb` is "create", "update", "create or update" or "remove". */
enum err entity_fail_memory(struct entity_call *c, const char *verb, enum entity_kind kind);
void entity_error_clear(struct entity_call *c);
/* {"code": …, "name": …, "message": …, "fields": …} */
void entity_error_write(const struct entity_error *e, struct json_writer *w);
