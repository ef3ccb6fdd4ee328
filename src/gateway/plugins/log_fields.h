/*
 * log_fields - custom_fields_by_lua of the log plugins, as far as it is constant
 *
 * `return "text"`, `return 12`, `return true` add a member to the record. Anything else is
 * Lua, which is not built, and refused.
 */
#pragma once
#include "gateway/plugins/fields.h"

extern const struct schema_field log_fields_name, log_fields_code;

#define LOG_FIELDS_CUSTOM                                                                          \
	{                                                                                          \
		.name = "custom_fields_by_lua", FIELD(MAP, TREE, custom_fields),                   \
		.keys = &log_fields_name, .elements = &log_fields_code,                            \
		.doc = "More members of the record; values are `return` and a constant, as other " \
		       "Lua is not built."                                                         \
	}

/* `"a":1,"b":"x"`; STR_NULL when there are none. */
enum err log_fields_compile(struct arena *a, const struct json *map, struct str *out,
			    struct fault *f) MUST_USE;
/* Into the object that `record` ends with. */
void log_fields_add(struct buf *record, struct str constants);
