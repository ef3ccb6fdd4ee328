#include "app/cli/secrets.h"
#include "app/cli/tenant_values.h"

#include <stdio.h>

struct add_options {
	struct cli_options common;
	struct tenant_values values;
	struct str secret;
};

static const struct option options[] = {
	CLI_OPTIONS,
	{"secret", "SECRET|-", "use this one (- reads it) instead of a random one",
	 offsetof(struct add_options, secret), false},
	TENANT_VALUE_OPTIONS(struct add_options),
};

struct added {
	struct str name, secret;
};

static const struct json_field added_fields[] = {
	{"name", JSON_F_STR, offsetof(struct added, name), 0, 0, 0},
	{"secret", JSON_F_STR, offsetof(struct added, secret), 0, 0, 0},
};
static const struct json_shape added_shape = {"tenant", added_fields, ARRAY_LEN(added_fields)};

static enum err add(struct cli *c, const struct add_options *o, struct str name, struct str *secret)
{
	struct client_secret stored;
	struct tenant_row row = {.name = name};

	TRY(tenant_name_check(name, &c->fault));
	TRY(tenant_values_apply(&o->values, &row, &c->fault));
	row.normalized = tenant_name_normalize(&c->arena, name);
	TRY(secrets_make(c, o->secret, secret, &stored));

	TRY(tx_begin(c->db));
	TRY(tenant_store_insert(c->db, &row));
	TRY(client_secret_add(c->db, row.normalized, &stored));
	return tx_commit(c->db);
}

static enum err work(struct cli *c, const void *opts, struct str *args)
{
	struct added added = {.name = args[0]};

	TRY(add(c, opts, args[0], &added.secret));
	if (c->json) {
		cli_print_object(&added_shape, &added);
	} else {
		printf("tenant  %.*s\nsecret  %.*s\n", STR_ARG(added.name), STR_ARG(added.secret));
		(void)fprintf(stderr, "Keep the secret: it is not shown again.\n");
	}
	return ERR_OK;
}

const struct command tenant_add_command = {
	.name = "tenant add",
	.usage = "NAME",
	.doc = "Add a tenant and print its secret, once.",
	.more = "Then, where the service is:\n"
		"  posthouse connect --server URL --tenant NAME --secret SECRET --target ID=URL",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct add_options),
	.args_min = 1,
	.args_max = 1,
	.run = cli_run,
	.work = work,
};
