#include "app/cli/tenant_values.h"

#include "relay/management.h"

struct update_options {
	struct cli_options common;
	struct tenant_values values;
};

static const struct option options[] = {
	CLI_OPTIONS,
	TENANT_VALUE_OPTIONS(struct update_options),
};

static enum err work(struct cli *c, const void *opts, struct str *args)
{
	const struct update_options *o = opts;
	struct str normalized = tenant_name_normalize(&c->arena, args[0]);
	struct tenant_row row;

	TRY(tx_begin(c->db));
	TRY(tenant_store_get(c->db, normalized, &row));
	TRY(tenant_values_apply(&o->values, &row, &c->fault));
	TRY(tenant_store_update(c->db, &row));
	TRY(tx_commit(c->db));
	if (c->json) {
		cli_print_object(&management_tenant_shape, &row);
	}
	return ERR_OK;
}

const struct command tenant_update_command = {
	.name = "tenant update",
	.usage = "NAME",
	.doc = "Change the values of a tenant that are given.",
	.more = "An empty text clears. Servers follow within relay.tenant_info_cache_duration;\n"
		"what connectors are told and the limit hold from their next connect.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct update_options),
	.args_min = 1,
	.args_max = 1,
	.run = cli_run,
	.work = work,
};
