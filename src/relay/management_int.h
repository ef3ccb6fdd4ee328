/*
 * management_int - what management.c and management_secrets.c share
 */
#pragma once
#include "relay/management.h"

extern const struct json_shape management_secret_shape;
extern const struct json_shape management_new_secret_shape;

task_fn management_secrets_list;
task_fn management_secrets_add;
task_fn management_secrets_remove;

/* The normalized {name} of the path. */
struct str management_tenant(struct task *t);
