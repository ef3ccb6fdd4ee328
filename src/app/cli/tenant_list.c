#include "app/cli/cli.h"
#include "relay/management.h"
#include "relay/tenant_store.h"

/* More than anybody looks at; a page of the REST interface has less. */
#define TENANTS_MAX 100000

static const struct option options[] = {CLI_OPTIONS};

static void cells(struct arena *a, const void *row, struct str *out)
{
	const struct tenant_row *v = row;

	*out++ = v->name;
	*out++ = v->display;
	*out++ = v->require_authentication ? STR("required") : STR("-");
	*out = v->max_concurrent ? str_fmt(a, "%lld", (long long)v->max_concurrent) : STR("-");
}

static const char *const heads[] = {"NAME", "DISPLAY NAME", "AUTHENTICATION", "CONCURRENT"};
static const struct cli_listing listing = {
	.shape = &management_tenant_shape,
	.size = sizeof(struct tenant_row),
	.heads = heads,
	.n_columns = ARRAY_LEN(heads),
	.cells = cells,
	.none = "No tenants yet. Add one: posthouse tenant add NAME",
};

static enum err work(struct cli *c, const void *opts, struct str *args)
{
	struct db_rows rows;
	int64_t total;

	(void)opts;
	(void)args;
	TRY(tenant_store_list(c->db, 0, TENANTS_MAX, &rows, &total));
	cli_print_rows(c, &listing, &rows);
	return ERR_OK;
}

const struct command tenant_list_command = {
	.name = "tenant list",
	.doc = "List tenants by name.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct cli_options),
	.run = cli_run,
	.work = work,
};
