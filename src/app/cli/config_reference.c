#include "app/settings.h"

#include "app/command.h"

#include <stdio.h>

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	struct buf text = {0};

	(void)cmd;
	(void)opts;
	(void)args;
	(void)n_args;
	config_reference(settings_tables(), &text);
	printf("%.*s", STR_ARG(buf_str(&text)));
	buf_free(&text);
	return EXIT_DONE;
}

const struct command config_reference_command = {
	.name = "config reference",
	.doc = "Print every key of the configuration, as Markdown.",
	.run = run,
};
