#include "app/cli/cli.h"
#include "identity/secret_store.h"
#include "relay/tenant_store.h"

static const struct option options[] = {CLI_OPTIONS};

static enum err work(struct cli *c, const void *opts, struct str *args)
{
	struct guid id;

	(void)opts;
	if (guid_parse(args[1], &id) != ERR_OK) {
		return fault_set(&c->fault, ERR_INVALID,
				 "\"%.*s\" is no id; posthouse tenant secret list shows them",
				 STR_ARG(args[1]));
	}
	return client_secret_remove(c->db, tenant_name_normalize(&c->arena, args[0]), &id);
}

const struct command tenant_secret_remove_command = {
	.name = "tenant secret remove",
	.usage = "NAME ID",
	.doc = "Remove a secret; tokens already issued stay valid until they expire.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct cli_options),
	.args_min = 2,
	.args_max = 2,
	.run = cli_run,
	.work = work,
};
