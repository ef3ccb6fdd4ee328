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

static void print_tenant(struct arena *a, const struct tenant_row *r)
{
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

	cli_print_pairs(a, lines, ARRAY_LEN(lines));
}

static enum err work(struct cli *c, const void *opts, struct str *args)
{
	struct tenant_row row;

	(void)opts;
	TRY(tenant_store_get(c->db, tenant_name_normalize(&c->arena, args[0]), &row));
	if (c->json) {
		cli_print_object(&management_tenant_shape, &row);
	} else {
		print_tenant(&c->arena, &row);
	}
	return ERR_OK;
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
	.run = cli_run,
	.work = work,
};
