#include "app/cli/gateway_sync.h"

struct load_options {
	struct gateway_sync_options sync;
	bool dry_run;
};

static const struct option options[] = {
	CLI_OPTIONS,
	GATEWAY_SELECT_TAG_OPTION(struct gateway_sync_options),
	{"dry-run", NULL, "show what would be done, and do nothing",
	 offsetof(struct load_options, dry_run), false},
};

static enum err load(struct gateway_sync *s, const struct load_options *o, struct str path)
{
	TRY(gateway_sync_plan(s, path, &o->sync.select_tags));
	if (o->dry_run) {
		if (!s->cli->json) {
			gateway_sync_describe(s);
		}
		gateway_sync_print_counts(s, "would be: ");
		return ERR_OK;
	}
	TRY(gateway_sync_apply(s));
	gateway_sync_print_counts(s, "");
	return ERR_OK;
}

static enum err work(struct cli *c, const void *opts, struct str *args)
{
	struct gateway_sync s;
	enum err e = gateway_sync_begin(c, &s);

	if (e == ERR_OK) {
		e = load(&s, opts, args[0]);
	}
	gateway_sync_end(&s);
	return e;
}

const struct command gateway_load_command = {
	.name = "gateway load",
	.usage = "FILE",
	.doc = "Make the gateway's database equal to a kong.yml.",
	.more = "FILE is YAML or JSON as Kong and decK write it; - reads stdin.\n"
		"Creates, updates and deletes in one transaction: all or nothing. Entities "
		"without\n"
		"an id are those of the database that have the same name. Servers that run on the\n"
		"database follow within a second.\n"
		"With --select-tag, only entities that have the tag are deleted.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct load_options),
	.args_min = 1,
	.args_max = 1,
	.run = cli_run,
	.work = work,
};
