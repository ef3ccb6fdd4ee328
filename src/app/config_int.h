/*
 * config_int - what the config*.c files share
 */
#pragma once
#include "app/config.h"

/* As config_parse, but any value may be at the top. */
enum err config_parse_value(struct arena *a, struct str text, struct str name,
			    struct conf_node **out, struct fault *f) MUST_USE;
/* Value of an environment variable, or NULL. */
const char *config_env_get(const char *const *env, struct str name);
/* Puts POSTHOUSE_* variables over the tree. */
enum err config_env_apply(struct arena *a, const char *const *env, struct config_tables tables,
			  struct conf_node *root, struct fault *f) MUST_USE;
/* Appends `child` to a map or list. */
void config_append(struct conf_node *parent, struct conf_node *child);
const struct conf_section *config_find_section(struct config_tables tables, struct str name);
