#include "app/cli/cli.h"
#include "app/roles.h"
#include "base/log.h"

#include <stdio.h>

static const struct option options[] = {CLI_OPTIONS};

static enum err bring_up_to_date(struct cli *c, const struct cli_options *o)
{
	struct db_config config = {.size = 1};

	TRY(cli_open_settings(c, o));
	log_set_level(LOG_INFO);
	TRY(settings_database_url(c->settings, &c->arena, &config.url, &c->fault));
	TRY(db_pool_open(&config, &c->pool, &c->fault));
	return roles_migrate(c->pool, &c->fault);
}

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	struct cli_options *o = opts;
	struct cli c;
	enum err e = bring_up_to_date(&c, o);

	(void)cmd;
	(void)args;
	(void)n_args;
	if (e != ERR_OK) {
		return cli_failed(&c, e);
	}
	printf(o->json ? "{\"upToDate\":true}\n" : "The schema is up to date.\n");
	cli_close(&c);
	return EXIT_DONE;
}

const struct command migrate_command = {
	.name = "migrate",
	.doc = "Bring the schema of the database up to date.",
	.more = "A server does this at its start, unless database_migrate is false. Any number of\n"
		"processes may do it at once; a database of RelayServer 3 is taken over as it is.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct cli_options),
	.run = run,
};
