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
/* A node of that kind with line 0; `source` is for messages. */
struct conf_node *config_node(struct arena *a, int kind, struct str key, struct str source);
/* Appends `child` to a map or list. */
void config_append(struct conf_node *parent, struct conf_node *child);
/* The member of that name, made when missing; one that is no map is replaced. */
struct conf_node *config_sub_map(struct arena *a, struct conf_node *map, struct str key,
				 struct str source);
/* Puts `value` into the place of the member of its name. */
void config_set(struct conf_node *map, struct conf_node *value);
/* The file without line ends at its end. On failure errno says why. */
enum err config_value_file(struct arena *a, struct str path, struct str *out) MUST_USE;
const struct conf_section *config_find_section(struct config_tables tables, struct str name);
