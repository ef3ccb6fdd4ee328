#include "app/cli/stats.h"
#include "relay/statistics.h"
#include "relay/stats_store.h"

struct origins_options {
	struct cli_options common;
	struct str limit;
};

static const struct option options[] = {
	CLI_OPTIONS,
	{"limit", "N", "how many at most (50)", offsetof(struct origins_options, limit), false},
};

static enum err query(struct cli *c, const struct origins_options *o, struct db_rows *rows)
{
	struct stats_page page = {0};
	int64_t total;

	TRY(stats_read_limit(o->limit, &page.take, &c->fault));
	return stats_origins(c->db, page, rows, &total);
}

static void print_table(struct cli *c, const struct stats_origin *v, size_t n)
{
	static const char *const heads[] = {"SERVER", "STARTED", "LAST SEEN", "STOPPED",
					    "CONNECTIONS"};
	struct arena *a = &c->arena;
	struct cli_table t;

	cli_table_init(&t, a, heads, ARRAY_LEN(heads));
	for (size_t i = 0; i < n; i++) {
		struct str end = v[i].shutdown_ms.has ? cli_time(a, v[i].shutdown_ms) : STR("-");

		cli_table_add(&t,
			      (struct str[]){guid_d_str(a, &v[i].id), cli_time(a, v[i].startup_ms),
					     cli_time(a, v[i].last_seen_ms), end,
					     str_fmt(a, "%lld", (long long)v[i].connections)});
	}
	cli_table_print(&t, "No server has run on this database lately.");
}

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	struct origins_options *o = opts;
	struct db_rows rows;
	struct cli c;
	enum err e = cli_open(&c, &o->common);

	(void)cmd;
	(void)args;
	(void)n_args;
	if (e == ERR_OK) {
		e = query(&c, o, &rows);
	}
	if (e != ERR_OK) {
		return cli_failed(&c, e);
	}
	if (o->common.json) {
		cli_print_objects(&statistics_origin_shape, rows.v, rows.n,
				  sizeof(struct stats_origin));
	} else {
		print_table(&c, rows.v, rows.n);
	}
	cli_close(&c);
	return EXIT_DONE;
}

const struct command stats_origins_command = {
	.name = "stats origins",
	.doc = "List servers that run or ran lately, newest first.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct origins_options),
	.run = run,
};
