/*
 * command - one subcommand of `posthouse`, one file each in app/cli
 *
 * Options are declared, so that parsing, `--help` and error texts come from one
 * table. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

#define OPTION_VALUES_MAX 64

struct option_value {
	struct str v[OPTION_VALUES_MAX];
	size_t n;
};

/* --name VALUE, --name=VALUE, or a flag. */
struct option {
	const char *name;  /* "config" */
	const char *value; /* "FILE|URL" for the help; NULL = a flag */
	const char *doc;
	size_t offset; /* struct str, bool (flags), or struct option_value (repeatable) */
	bool repeatable;
};

struct cli;

struct command {
	const char *name;  /* "tenant add" */
	const char *usage; /* what follows the options: "NAME" */
	const char *doc;   /* one sentence */
	const char *more;  /* further help; may be NULL */
	const struct option *options;
	size_t n_options;
	size_t options_size; /* of the struct that holds the values */
	size_t args_min, args_max;
	int (*run)(const struct command *c, void *options, struct str *args, size_t n_args);
	/* For cli_run as `run`: what is done with the database. */
	enum err (*work)(struct cli *c, const void *options, struct str *args);
};

extern const struct command *const commands[];
extern const size_t n_commands;

/* Parses and runs; the whole of main. */
int command_main(int argc, char **argv);
/* "posthouse: …" and a hint at --help on stderr; returns EXIT_USAGE. */
int command_usage_error(const struct command *c, const char *fmt, ...) PRINTF(2, 3);
/* "posthouse: …" on stderr; EXIT_USAGE for ERR_INVALID, else EXIT_FAILED. */
int command_fault(const struct fault *f);
