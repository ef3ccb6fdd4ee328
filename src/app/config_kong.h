/*
 * config_kong - settings written for Kong, as keys of ours
 *
 * KONG_* variables and the lines of a kong.conf name the same settings, variables before lines.
 * One table says of each what becomes of it: a key of ours, nothing, a warning (what Kong would
 * do and we do not), or a refusal. `{vault://env/NAME}` as a value is what that variable holds,
 * and KONG_X_FILE names a file with the value of KONG_X, as Kong's container image has it.
 * Names that are not in the table are mistakes in a file, and somebody else's as variables:
 * KONG_PORT is what Kubernetes sets for a service called "kong".
 *
 * Ownership  all in the arena, which is that of the tree.
 * Threads    none shared; blocks on files.
 * Failure    ERR_INVALID with a fault that names variable or line, never a secret.
 */
#pragma once
#include "app/config.h"

struct kong;

/* Warnings go to `out_warnings`, which may be NULL. */
struct kong *kong_new(struct arena *a, struct config_warning **out_warnings, struct fault *f);
/* Lines `name = value`; `name` of the file, for messages and relative paths. */
enum err kong_read_file(struct kong *k, struct str text, struct str name) MUST_USE;
/* Over what was read before. An empty variable takes a line back. */
enum err kong_read_env(struct kong *k, const char *const *env) MUST_USE;
/* Puts it all over the tree of a configuration. */
enum err kong_apply(struct kong *k, struct conf_node *root) MUST_USE;
