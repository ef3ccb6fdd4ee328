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

static enum err query(struct cli *c, const struct connections_options *o, struct db_rows *rows)
{
	struct stats_connection_filter filter = {.active = {o->active, true}};
	struct stats_page page = {0};
	int64_t total;

	TRY(stats_read_limit(o->limit, &page.take, &c->fault));
	TRY(stats_read_tenant(c, o->tenant, &filter.tenant));
	return stats_connections(c->db, &filter, page, rows, &total);
}

static void print_table(struct cli *c, const struct stats_connection *v, size_t n)
{
	static const char *const heads[] = {"TENANT",	    "FROM", "CONNECTED", "LAST SEEN",
					    "DISCONNECTED", "ID",   "SERVER"};
	struct arena *a = &c->arena;
	struct cli_table t;

	cli_table_init(&t, a, heads, ARRAY_LEN(heads));
	for (size_t i = 0; i < n; i++) {
		struct str end =
			v[i].disconnect_ms.has ? cli_time(a, v[i].disconnect_ms) : STR("-");

		cli_table_add(&t, (struct str[]){v[i].tenant, v[i].remote_ip,
						 cli_time(a, v[i].connect_ms),
						 cli_time(a, v[i].last_seen_ms), end, v[i].id,
						 guid_d_str(a, &v[i].origin)});
	}
	cli_table_print(&t, "No connections.");
}

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	struct connections_options *o = opts;
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
		cli_print_objects(&statistics_connection_shape, rows.v, rows.n,
				  sizeof(struct stats_connection));
	} else {
		print_table(&c, rows.v, rows.n);
	}
	cli_close(&c);
	return EXIT_DONE;
}

const struct command stats_connections_command = {
	.name = "stats connections",
	.doc = "List connections of connectors, newest first.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct connections_options),
	.run = run,
};
