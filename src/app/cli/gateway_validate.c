#include "app/cli/gateway_sync.h"
#include "base/clock.h"

#include <stdio.h>

struct validate_options {
	bool json;
};

static const struct option options[] = {
	{"json", NULL, "print JSON", offsetof(struct validate_options, json), false},
};

static void print_counts(const struct declarative *d, bool as_json)
{
	size_t count[ENTITY_KINDS] = {0};
	bool comma = false;

	for (size_t i = 0; i < d->n; i++) {
		count[d->v[i].kind]++;
	}
	printf(as_json ? "{" : "ok: ");
	for (size_t kind = 0; kind < ENTITY_KINDS; kind++) {
		if (count[kind] > 0) {
			printf(as_json ? "%s\"%s\":%zu" : "%s%s %zu",
			       comma ? as_json ? "," : ", " : "", entity_defs[kind].collection,
			       count[kind]);
			comma = true;
		}
	}
	printf(as_json ? "}\n" : comma ? "\n" : "no entities\n");
}

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	const struct validate_options *o = opts;
	const struct declarative_options read = {.now_ms = clock_wall_ms()};
	struct declarative d;
	struct fault f = {0};
	struct arena a;

	(void)cmd;
	(void)n_args;
	arena_init(&a, 0);
	enum err e = gateway_file_read(&a, args[0], &read, &d, &f);
	int status = e == ERR_OK ? EXIT_DONE : command_fault(&f);

	if (e == ERR_OK) {
		print_counts(&d, o->json);
	}
	arena_fini(&a);
	return status;
}

const struct command gateway_validate_command = {
	.name = "gateway validate",
	.usage = "FILE",
	.doc = "Check a kong.yml without a database.",
	.more = "Names line, entity and field of everything that is wrong, on stderr; - reads "
		"stdin.\n"
		"Ends with 0 when the file is valid, else with 2.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct validate_options),
	.args_min = 1,
	.args_max = 1,
	.run = run,
};
