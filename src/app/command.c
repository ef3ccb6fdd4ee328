#include "app/command.h"

#include "base/mem.h"
#include "gateway/plugin_entities.h"

#include <stdarg.h>
#include <stdio.h>

int command_fault(const struct fault *f)
{
	(void)fprintf(stderr, "posthouse: %s\n", f->text[0] ? f->text : err_name(f->code));
	return f->code == ERR_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

int command_usage_error(const struct command *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fprintf(stderr, "posthouse: ");
	(void)vfprintf(stderr, fmt, ap);
	(void)fprintf(stderr, "\nTry: posthouse %s%s--help\n", c ? c->name : "", c ? " " : "");
	va_end(ap);
	return EXIT_USAGE;
}

/* ---- help ---- */

static void print_overview(FILE *out)
{
	(void)fprintf(out,
		      "posthouse %s - reach and guard HTTP services\n\n"
		      "Usage: posthouse COMMAND [OPTION …] [ARGUMENT …]\n\nCommands:\n",
		      POSTHOUSE_VERSION);
	for (size_t i = 0; i < n_commands; i++) {
		(void)fprintf(out, "  %-18s %s\n", commands[i]->name, commands[i]->doc);
	}
	(void)fprintf(out, "\nposthouse COMMAND --help tells about one command.\n"
			   "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.\n");
}

static void print_help(const struct command *c)
{
	printf("posthouse %s - %s\n\nUsage: posthouse %s%s%s%s\n", c->name, c->doc, c->name,
	       c->n_options ? " [OPTION …]" : "", c->usage ? " " : "", c->usage ? c->usage : "");
	if (c->n_options > 0) {
		printf("\nOptions:\n");
	}
	for (size_t i = 0; i < c->n_options; i++) {
		const struct option *o = &c->options[i];
		char left[64];

		(void)snprintf(left, sizeof(left), "--%s%s%s%s", o->name, o->value ? " " : "",
			       o->value ? o->value : "", o->repeatable ? " …" : "");
		printf("  %-26s %s\n", left, o->doc);
	}
	if (c->more) {
		printf("\n%s\n", c->more);
	}
}

/* ---- finding the command ---- */

/* "tenant add" takes two words of argv. */
static const struct command *find(int argc, char **argv, int *out_words)
{
	for (size_t i = 0; i < n_commands; i++) {
		const struct command *c = commands[i];
		struct str rest = str_c(c->name), word;
		int n = 0;
		bool same = true;

		while (same && str_split(&rest, ' ', &word)) {
			same = 1 + n < argc && str_eq(str_c(argv[1 + n]), word);
			n++;
		}
		if (same) {
			*out_words = n;
			return c;
		}
	}
	return NULL;
}

static void print_group(FILE *out, struct str group)
{
	(void)fprintf(out, "Usage: posthouse %.*s COMMAND …\n\nCommands:\n", STR_ARG(group));
	for (size_t i = 0; i < n_commands; i++) {
		struct str name = str_c(commands[i]->name);

		if (str_starts(name, group) && name.n > group.n && name.p[group.n] == ' ') {
			(void)fprintf(out, "  %-18s %s\n", commands[i]->name, commands[i]->doc);
		}
	}
}

static bool is_group(struct str word)
{
	for (size_t i = 0; i < n_commands; i++) {
		struct str name = str_c(commands[i]->name);

		if (str_starts(name, word) && name.n > word.n && name.p[word.n] == ' ') {
			return true;
		}
	}
	return false;
}

static bool is_help(const char *arg)
{
	struct str s = str_c(arg);

	return str_eq(s, STR("--help")) || str_eq(s, STR("-h")) || str_eq(s, STR("help"));
}

/* ---- options ---- */

static const struct option *find_option(const struct command *c, struct str name)
{
	for (size_t i = 0; i < c->n_options; i++) {
		if (str_eq(str_c(c->options[i].name), name)) {
			return &c->options[i];
		}
	}
	return NULL;
}

static bool store_value(const struct option *o, void *options, struct str value)
{
	void *field = (char *)options + o->offset;

	if (o->repeatable) {
		struct option_value *list = field;

		if (list->n == OPTION_VALUES_MAX) {
			return false;
		}
		list->v[list->n++] = value;
	} else {
		*(struct str *)field = value;
	}
	return true;
}

/* `*i` stands on the option and is left on the last word of it. */
static int parse_option(const struct command *c, char **argv, int argc, int *i, void *options)
{
	struct str word = str_skip(str_c(argv[*i]), 2);
	ptrdiff_t eq = str_index(word, '=');
	struct str name = eq < 0 ? word : str_slice(word, 0, (size_t)eq);
	const struct option *o = find_option(c, name);

	if (!o) {
		return command_usage_error(c, "unknown option --%.*s", STR_ARG(name));
	}
	if (!o->value) {
		if (eq >= 0) {
			return command_usage_error(c, "--%s takes no value", o->name);
		}
		*(bool *)((char *)options + o->offset) = true;
		return EXIT_DONE;
	}
	if (eq < 0 && *i + 1 >= argc) {
		return command_usage_error(c, "--%s needs a value: %s", o->name, o->value);
	}
	if (!store_value(o, options,
			 eq >= 0 ? str_skip(word, (size_t)eq + 1) : str_c(argv[++*i]))) {
		return command_usage_error(c, "too many --%s", o->name);
	}
	return EXIT_DONE;
}

static int parse_and_run(const struct command *c, int argc, char **argv, int first)
{
	void *options = mem_zalloc(c->options_size ? c->options_size : 1);
	struct str args[OPTION_VALUES_MAX];
	size_t n_args = 0;
	bool only_args = false;
	int status = EXIT_DONE;

	for (int i = first; i < argc && status == EXIT_DONE; i++) {
		struct str word = str_c(argv[i]);

		if (!only_args && str_eq(word, STR("--"))) {
			only_args = true;
		} else if (!only_args && is_help(argv[i])) {
			print_help(c);
			mem_free(options);
			return EXIT_DONE;
		} else if (!only_args && str_starts(word, STR("--"))) {
			status = parse_option(c, argv, argc, &i, options);
		} else if (n_args == MIN(c->args_max, ARRAY_LEN(args))) {
			status = command_usage_error(c, "unexpected argument \"%s\"", argv[i]);
		} else {
			args[n_args++] = word;
		}
	}
	if (status == EXIT_DONE && n_args < c->args_min) {
		status = command_usage_error(c, "missing argument: %s", c->usage);
	}
	if (status == EXIT_DONE) {
		status = c->run(c, options, args, n_args);
	}
	mem_free(options);
	return status;
}

int command_main(int argc, char **argv)
{
	int words = 0;
	const struct command *c = find(argc, argv, &words);

	plugin_entities_enable();
	if (c) {
		return parse_and_run(c, argc, argv, 1 + words);
	}
	if (argc >= 2 && is_group(str_c(argv[1]))) {
		bool asked = argc == 2 || is_help(argv[2]);

		print_group(asked ? stdout : stderr, str_c(argv[1]));
		return asked ? EXIT_DONE : EXIT_USAGE;
	}
	if (argc >= 2 && is_help(argv[1])) {
		print_overview(stdout);
		return EXIT_DONE;
	}
	if (argc >= 2 && str_eq(str_c(argv[1]), STR("--version"))) {
		printf("posthouse %s\n", POSTHOUSE_VERSION);
		return EXIT_DONE;
	}
	if (argc >= 2) {
		return command_usage_error(NULL, "unknown command \"%s\"", argv[1]);
	}
	print_overview(stderr);
	return EXIT_USAGE;
}
