#include "app/cli/cli.h"
#include "relay/tenant_store.h"

static const struct option options[] = {CLI_OPTIONS};

static enum err work(struct cli *c, const void *opts, struct str *args)
{
	(void)opts;
	return tenant_store_remove(c->db, tenant_name_normalize(&c->arena, args[0]));
}

const struct command tenant_remove_command = {
	.name = "tenant remove",
	.usage = "NAME",
	.doc = "Remove a tenant with its secrets and its part of the request log.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct cli_options),
	.args_min = 1,
	.args_max = 1,
	.run = cli_run,
	.work = work,
};
