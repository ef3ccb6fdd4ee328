#include "app/cli/cli.h"

#include "app/gateway_declarative.h"

#include <stdio.h>

static const struct option options[] = {
	{"config", "FILE|URL", "configuration to check", offsetof(struct cli_options, config),
	 false},
};

/* A start loads the entities itself, and once is enough for a large file. */
static enum err check(struct cli *c, const struct cli_options *o)
{
	TRY(cli_open_settings(c, o));
	TRY(settings_check(c->settings, &c->fault));
	return c->settings->runs[ROLE_GATEWAY]
		       ? gateway_declarative_check(&c->settings->gateway, &c->fault)
		       : ERR_OK;
}

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	struct cli_options *o = opts;
	struct cli c;

	(void)cmd;
	o->config = n_args > 0 ? args[0] : o->config;
	o->roles = n_args > 1 ? args + 1 : NULL;
	o->n_roles = n_args > 1 ? n_args - 1 : 0;
	enum err e = check(&c, o);
	if (e != ERR_OK) {
		(void)cli_failed(&c, e);
		return EXIT_USAGE;
	}
	for (const struct config_warning *w = c.settings->warnings; w; w = w->next) {
		(void)fprintf(stderr, "posthouse: warning: %.*s\n", STR_ARG(w->text));
	}
	printf("ok\n");
	cli_close(&c);
	return EXIT_DONE;
}

const struct command config_check_command = {
	.name = "config check",
	.usage = "[FILE|URL [ROLE …]]",
	.doc = "Check a configuration, with the environment over it.",
	.more = "Looks also at the files that it names: certificates, and entities of the gateway. "
		"Nothing\nis opened that runs. With roles it is that of `serve ROLE …`.\n"
		"Ends with 0 when a server could start with it as far as that shows, else with 2.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct cli_options),
	.args_max = 17,
	.run = run,
};
