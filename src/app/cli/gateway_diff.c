#include "app/cli/gateway_sync.h"

#include <stdio.h>

static const struct option options[] = {
	CLI_OPTIONS,
	GATEWAY_SELECT_TAG_OPTION(struct gateway_sync_options),
};

static void put_document(struct json_writer *w, const char *name, const struct json *v)
{
	json_key(w, str_c(name));
	json_put_tree(w, v);
}

static void print_json(const struct gateway_sync *s)
{
	static const char *const verbs[] = {"create", "update", "delete"};
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);

	json_begin_array(&w);
	for (size_t i = 0; i < s->plan.n; i++) {
		const struct declarative_step *step = &s->plan.v[i];

		json_begin_object(&w);
		json_key(&w, STR("action"));
		json_put_str(&w, str_c(verbs[step->op]));
		json_key(&w, STR("entity"));
		json_put_str(&w, str_c(entity_defs[step->kind].collection));
		json_key(&w, STR("id"));
		json_put_str(&w, guid_d_str(&s->cli->arena, &step->id));
		put_document(&w, "before", step->before);
		put_document(&w, "after", step->after);
		json_end_object(&w);
	}
	json_end_array(&w);
	cli_print_json(&b);
	buf_free(&b);
}

static enum err diff(struct gateway_sync *s, const struct gateway_sync_options *o, struct str path)
{
	TRY(gateway_sync_plan(s, path, &o->select_tags));
	if (s->cli->json) {
		print_json(s);
	} else {
		gateway_sync_describe(s);
	}
	return ERR_OK;
}

static enum err open_and_diff(struct cli *c, const struct gateway_sync_options *o, struct str path,
			      bool *out_differs)
{
	struct gateway_sync s = {0};

	TRY(cli_open(c, &o->common));
	enum err e = gateway_sync_begin(c, &s);

	if (e == ERR_OK) {
		e = diff(&s, o, path);
	}
	*out_differs = s.plan.n > 0;
	gateway_sync_end(&s);
	return e;
}

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	struct cli c;
	bool differs = false;
	enum err e = open_and_diff(&c, opts, args[0], &differs);

	(void)cmd;
	(void)n_args;
	if (e != ERR_OK) {
		(void)cli_failed(&c, e);
		return EXIT_USAGE; /* 1 is for differences */
	}
	cli_close(&c);
	return differs ? EXIT_FAILED : EXIT_DONE;
}

const struct command gateway_diff_command = {
	.name = "gateway diff",
	.usage = "FILE",
	.doc = "Show what `gateway load` of a kong.yml would change.",
	.more = "Ends with 0 when there is no difference, 1 when there are some, 2 when it could "
		"not\n"
		"be told.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct gateway_sync_options),
	.args_min = 1,
	.args_max = 1,
	.run = run,
};
