#include "app/cli/gateway_sync.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct dump_options {
	struct cli_options common;
	struct option_value select_tags;
	struct str format;
	bool with_ids, with_defaults;
};

static const struct option options[] = {
	{"config", "FILE|URL", "configuration that names the database",
	 offsetof(struct dump_options, common.config), false},
	{"data", "DIR", "data directory, where the default database is",
	 offsetof(struct dump_options, common.data), false},
	{"format", "yaml|json", "how to write it; yaml by default",
	 offsetof(struct dump_options, format), false},
	{"with-ids", NULL, "write the id of every entity, not only of those without a name",
	 offsetof(struct dump_options, with_ids), false},
	{"with-defaults", NULL, "write fields that are as they would be when left out",
	 offsetof(struct dump_options, with_defaults), false},
	{"select-tag", "TAG", "only entities that have this tag",
	 offsetof(struct dump_options, select_tags), true},
};

static bool has_tag(const struct json *v, struct str tag)
{
	const struct json *tags = json_get(v, STR("tags"));

	for (const struct json *t = tags ? tags->child : NULL; t; t = t->next) {
		if (str_eq(json_str(t), tag)) {
			return true;
		}
	}
	return false;
}

static void keep_tagged(struct arena *a, struct declarative *d, const struct option_value *tags)
{
	struct declarative_item *v = ARENA_NEW_ARRAY(a, struct declarative_item, d->n + 1);
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++) {
		bool keep = true;

		for (size_t k = 0; k < tags->n; k++) {
			keep &= has_tag(d->v[i].json, tags->v[k]);
		}
		if (keep) {
			v[n++] = d->v[i];
		}
	}
	*d = (struct declarative){.v = v, .n = n};
}

static void put(struct arena *a, const struct declarative *d, const struct dump_options *o,
		struct buf *out)
{
	unsigned flags = (o->with_ids ? DECLARATIVE_WITH_IDS : 0u) |
			 (o->with_defaults ? DECLARATIVE_WITH_DEFAULTS : 0u);
	const struct json *tree = declarative_write(a, d->v, d->n, flags);

	if (str_eq(o->format, STR("json"))) {
		struct json_writer w = json_writer_to(out);

		json_put_tree(&w, tree);
		buf_putc(out, '\n');
	} else {
		yaml_write(out, tree);
	}
}

static enum err fail(struct fault *f, struct str path)
{
	char why[128];

	return fault_set(f, ERR_IO, "%.*s: %s", STR_ARG(path), strerror_r(errno, why, sizeof(why)));
}

/* Keys and passwords stand in it: for the owner only. */
static enum err write_file(struct arena *a, struct str path, struct str text, struct fault *f)
{
	int fd = open(str_cstr(a, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "wb");

	if (!file) {
		return fail(f, path);
	}
	bool ok = fwrite(text.p, 1, text.n, file) == text.n;

	ok &= fclose(file) == 0;
	return ok ? ERR_OK : fail(f, path);
}

static enum err dump(struct gateway_sync *s, const struct dump_options *o, struct str path)
{
	struct arena *a = &s->cli->arena;
	struct buf text = {0};
	enum err e = ERR_OK;

	keep_tagged(a, &s->now, &o->select_tags);
	put(a, &s->now, o, &text);
	if (path.n > 0) {
		e = write_file(a, path, buf_str(&text), &s->cli->fault);
	} else {
		(void)fwrite(buf_head(&text), 1, text.n, stdout);
	}
	buf_free(&text);
	return e;
}

static enum err work(struct cli *c, const void *opts, struct str *args)
{
	struct gateway_sync s;
	enum err e = gateway_sync_begin(c, &s);

	if (e == ERR_OK) {
		e = dump(&s, opts, args[0]);
	}
	gateway_sync_end(&s);
	return e;
}

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	const struct dump_options *o = opts;
	struct str path = n_args > 0 && !str_eq(args[0], STR("-")) ? args[0] : STR_NULL;

	if (o->format.n > 0 && !str_eq(o->format, STR("json")) && !str_eq(o->format, STR("yaml"))) {
		return command_usage_error(cmd, "--format is yaml or json");
	}
	return cli_run(cmd, opts, &path, 1);
}

const struct command gateway_dump_command = {
	.name = "gateway dump",
	.usage = "[FILE]",
	.doc = "Write all entities of the gateway's database as a kong.yml.",
	.more = "To FILE, which only its owner may read since it holds keys, or to stdout.\n"
		"`gateway load` of what was written changes nothing.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct dump_options),
	.args_max = 1,
	.run = run,
	.work = work,
};
