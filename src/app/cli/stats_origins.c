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

static void cells(struct arena *a, const void *row, struct str *out)
{
	const struct stats_origin *v = row;

	*out++ = guid_d_str(a, &v->id);
	*out++ = cli_time(a, v->startup_ms);
	*out++ = cli_time(a, v->last_seen_ms);
	*out++ = v->shutdown_ms.has ? cli_time(a, v->shutdown_ms) : STR("-");
	*out = str_fmt(a, "%lld", (long long)v->connections);
}

static const char *const heads[] = {"SERVER", "STARTED", "LAST SEEN", "STOPPED", "CONNECTIONS"};
static const struct cli_listing listing = {
	.shape = &statistics_origin_shape,
	.size = sizeof(struct stats_origin),
	.heads = heads,
	.n_columns = ARRAY_LEN(heads),
	.cells = cells,
	.none = "No server has run on this database lately.",
};

static enum err work(struct cli *c, const void *opts, struct str *args)
{
	const struct origins_options *o = opts;
	struct stats_page page = {0};
	struct db_rows rows;
	int64_t total;

	(void)args;
	TRY(stats_read_limit(o->limit, &page.take, &c->fault));
	TRY(stats_origins(c->db, page, &rows, &total));
	cli_print_rows(c, &listing, &rows);
	return ERR_OK;
}

const struct command stats_origins_command = {
	.name = "stats origins",
	.doc = "List servers that run or ran lately, newest first.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct origins_options),
	.run = cli_run,
	.work = work,
};
