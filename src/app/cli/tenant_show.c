#include "app/cli/cli.h"
#include "base/clock.h"
#include "relay/management.h"
#include "relay/tenant_store.h"

static const struct option options[] = {CLI_OPTIONS};

static struct str duration(struct arena *a, struct opt_i64 ms)
{
	return ms.has ? duration_format(a, ms.v) : STR("-");
}

static struct str yes_no(bool b)
{
	return b ? STR("yes") : STR("no");
}

static void print_tenant(struct cli *c, const struct tenant_row *r)
{
	struct arena *a = &c->arena;
	const struct tenant_configure *k = &r->configure;
	const struct str lines[][2] = {
		{STR("name"), r->name},
		{STR("display name"), r->display},
		{STR("description"), r->description},
		{STR("require authentication"), yes_no(r->require_authentication)},
		{STR("max concurrent"), str_fmt(a, "%lld", (long long)r->max_concurrent)},
		{STR("keep-alive"), duration(a, k->keep_alive_interval_ms)},
		{STR("enable tracing"),
		 k->enable_tracing.has ? yes_no(k->enable_tracing.v) : STR("-")},
		{STR("reconnect min"), duration(a, k->reconnect_minimum_delay_ms)},
		{STR("reconnect max"), duration(a, k->reconnect_maximum_delay_ms)},
	};
	struct cli_table t;

	cli_table_init(&t, a, NULL, 2);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		cli_table_add(&t, lines[i]);
	}
	cli_table_print(&t, "");
}

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	struct cli_options *o = opts;
	struct tenant_row row;
	struct cli c;
	enum err e = cli_open(&c, o);

	(void)cmd;
	(void)n_args;
	if (e == ERR_OK) {
		e = tenant_store_get(c.db, tenant_name_normalize(&c.arena, args[0]), &row);
	}
	if (e != ERR_OK) {
		return cli_failed(&c, e);
	}
	if (o->json) {
		cli_print_object(&management_tenant_shape, &row);
	} else {
		print_tenant(&c, &row);
	}
	cli_close(&c);
	return EXIT_DONE;
}

const struct command tenant_show_command = {
	.name = "tenant show",
	.usage = "NAME",
	.doc = "Show a tenant's values.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct cli_options),
	.args_min = 1,
	.args_max = 1,
	.run = run,
};
