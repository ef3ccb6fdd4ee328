#include "app/cli/cli.h"
#include "relay/tenant_store.h"

static const struct option options[] = {CLI_OPTIONS};

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	struct cli c;
	enum err e = cli_open(&c, opts);

	(void)cmd;
	(void)n_args;
	if (e == ERR_OK) {
		e = tenant_store_remove(c.db, tenant_name_normalize(&c.arena, args[0]));
	}
	if (e != ERR_OK) {
		return cli_failed(&c, e);
	}
	cli_close(&c);
	return EXIT_DONE;
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
	.run = run,
};
