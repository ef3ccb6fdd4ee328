#include "app/cli/cli.h"

#include <stdio.h>

static const struct option options[] = {
	{"config", "FILE|URL", "configuration to check", offsetof(struct cli_options, config),
	 false},
};

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	struct cli_options *o = opts;
	struct cli c;

	(void)cmd;
	o->config = n_args > 0 ? args[0] : o->config;
	enum err e = cli_open_settings(&c, o);
	if (e != ERR_OK) {
		return cli_failed(&c, e);
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
	.usage = "[FILE|URL]",
	.doc = "Check a configuration, with the environment over it.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct cli_options),
	.args_max = 1,
	.run = run,
};
