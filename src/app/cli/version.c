#include "app/command.h"

#include <stdio.h>

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	(void)cmd;
	(void)opts;
	(void)args;
	(void)n_args;
	printf("posthouse %s\n", POSTHOUSE_VERSION);
	return EXIT_DONE;
}

const struct command version_command = {.name = "version", .doc = "Print the version.", .run = run};
