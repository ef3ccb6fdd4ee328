/*
 * fields - words for the schema tables of plugins
 *
 * Each plugin file has a `struct config` that its table decodes into; FIELD names the type in
 * the schema, the type in C, and the member.
 */
#pragma once
#include "gateway/plugin.h"

#define FIELD(type_, c_, member)                                                                   \
	.type = SCHEMA_##type_, .c = SCHEMA_C_##c_, .offset = offsetof(struct config, member)

/* The same for a record in the table: its offsets count from the record's own. */
#define FIELD_OF(struct_, type_, c_, member)                                                       \
	.type = SCHEMA_##type_, .c = SCHEMA_C_##c_, .offset = offsetof(struct_, member)

#define SCHEMA_OF(name_, fields_) .name = (name_), .fields = (fields_), .n = ARRAY_LEN(fields_)
#define RULES_OF(rules_) .rules = (rules_), .n_rules = ARRAY_LEN(rules_)

extern const struct schema_field field_any_string;  /* an element that is a string */
extern const struct schema_field field_header_name; /* an element that names a header */
extern const struct schema_field field_cidr;	    /* an address or a network */

/* "bad header name 'x y', allowed characters are A-Z, a-z, 0-9, '_', and '-'" */
schema_check_fn field_check_header_name;
/* "value must not contain \r, \n …": the value goes into a header as it is. */
schema_check_fn field_check_header_value;
/* An absolute http or https URL. */
schema_check_fn field_check_url;
