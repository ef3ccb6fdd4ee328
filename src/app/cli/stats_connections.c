#include "app/cli/stats.h"
#include "relay/statistics.h"
#include "relay/stats_store.h"

struct connections_options {
	struct cli_options common;
	struct str tenant, limit;
	bool active;
};

#define AT(member) offsetof(struct connections_options, member)
static const struct option options[] = {
	CLI_OPTIONS,
	{"tenant", "NAME", "of this tenant only", AT(tenant), false},
	{"active", NULL, "only those that are open", AT(active), false},
	{"limit", "N", "how many at most (50)", AT(limit), false},
};
#undef AT

static void cells(struct arena *a, const void *row, struct str *out)
{
	const struct stats_connection *v = row;

	*out++ = v->tenant;
	*out++ = v->remote_ip;
	*out++ = cli_time(a, v->connect_ms);
	*out++ = cli_time(a, v->last_seen_ms);
	*out++ = v->disconnect_ms.has ? cli_time(a, v->disconnect_ms) : STR("-");
	*out++ = v->id;
	*out = guid_d_str(a, &v->origin);
}

static const char *const heads[] = {"TENANT",	    "FROM", "CONNECTED", "LAST SEEN",
				    "DISCONNECTED", "ID",   "SERVER"};
static const struct cli_listing listing = {
	.shape = &statistics_connection_shape,
	.size = sizeof(struct stats_connection),
	.heads = heads,
	.n_columns = ARRAY_LEN(heads),
	.cells = cells,
	.none = "No connections.",
};

static enum err work(struct cli *c, const void *opts, struct str *args)
{
	const struct connections_options *o = opts;
	struct stats_connection_filter filter = {.active = {o->active, true}};
	struct stats_page page = {0};
	struct db_rows rows;
	int64_t total;

	(void)args;
	TRY(stats_read_limit(o->limit, &page.take, &c->fault));
	TRY(stats_read_tenant(c, o->tenant, &filter.tenant));
	TRY(stats_connections(c->db, &filter, page, &rows, &total));
	cli_print_rows(c, &listing, &rows);
	return ERR_OK;
}

const struct command stats_connections_command = {
	.name = "stats connections",
	.doc = "List connections of connectors, newest first.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct connections_options),
	.run = cli_run,
	.work = work,
};
