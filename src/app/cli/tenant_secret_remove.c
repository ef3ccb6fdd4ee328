#include "app/cli/cli.h"
#include "identity/secret_store.h"
#include "relay/tenant_store.h"

static const struct option options[] = {CLI_OPTIONS};

static enum err remove_secret(struct cli *c, struct str name, struct str id_text)
{
	struct guid id;

	if (guid_parse(id_text, &id) != ERR_OK) {
		return fault_set(&c->fault, ERR_INVALID,
				 "\"%.*s\" is no id; posthouse tenant secret list shows them",
				 STR_ARG(id_text));
	}
	return client_secret_remove(c->db, tenant_name_normalize(&c->arena, name), &id);
}

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	struct cli c;
	enum err e = cli_open(&c, opts);

	(void)cmd;
	(void)n_args;
	if (e == ERR_OK) {
		e = remove_secret(&c, args[0], args[1]);
	}
	if (e != ERR_OK) {
		return cli_failed(&c, e);
	}
	cli_close(&c);
	return EXIT_DONE;
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
	.run = run,
};
