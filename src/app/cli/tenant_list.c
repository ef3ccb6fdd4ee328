#include "app/cli/cli.h"
#include "relay/management.h"
#include "relay/tenant_store.h"

/* More than anybody looks at; a page of the REST interface has less. */
#define TENANTS_MAX 100000

static const struct option options[] = {CLI_OPTIONS};

static void print_table(struct cli *c, const struct tenant_row *v, size_t n)
{
	static const char *const heads[] = {"NAME", "DISPLAY NAME", "AUTHENTICATION", "CONCURRENT"};
	struct cli_table t;

	cli_table_init(&t, &c->arena, heads, ARRAY_LEN(heads));
	for (size_t i = 0; i < n; i++) {
		cli_table_add(
			&t,
			(struct str[]){v[i].name, v[i].display,
				       v[i].require_authentication ? STR("required") : STR("-"),
				       v[i].max_concurrent ? str_fmt(&c->arena, "%lld",
								     (long long)v[i].max_concurrent)
							   : STR("-")});
	}
	cli_table_print(&t, "No tenants yet. Add one: posthouse tenant add NAME");
}

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	struct cli_options *o = opts;
	struct db_rows rows;
	int64_t total;
	struct cli c;
	enum err e = cli_open(&c, o);

	(void)cmd;
	(void)args;
	(void)n_args;
	if (e == ERR_OK) {
		e = tenant_store_list(c.db, 0, TENANTS_MAX, &rows, &total);
	}
	if (e != ERR_OK) {
		return cli_failed(&c, e);
	}
	if (o->json) {
		cli_print_objects(&management_tenant_shape, rows.v, rows.n,
				  sizeof(struct tenant_row));
	} else {
		print_table(&c, rows.v, rows.n);
	}
	cli_close(&c);
	return EXIT_DONE;
}

const struct command tenant_list_command = {
	.name = "tenant list",
	.doc = "List tenants by name.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct cli_options),
	.run = run,
};
