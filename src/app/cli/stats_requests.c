#include "app/cli/stats.h"
#include "relay/statistics.h"
#include "relay/stats_store.h"

struct requests_options {
	struct cli_options common;
	struct str tenant, target, outcome, from, to, limit;
};

#define AT(member) offsetof(struct requests_options, member)
static const struct option options[] = {
	CLI_OPTIONS,
	{"tenant", "NAME", "of this tenant only", AT(tenant), false},
	{"target", "ID", "to this target only", AT(target), false},
	{"outcome", "NAME", "succeeded, aborted, failed, expired or errored", AT(outcome), false},
	{"from", "TIME|DURATION", "since then, as 2026-11-20T22:31:03Z or 2h", AT(from), false},
	{"to", "TIME|DURATION", "before then", AT(to), false},
	{"limit", "N", "how many at most (50)", AT(limit), false},
};
#undef AT

static enum err query(struct cli *c, const struct requests_options *o, struct db_rows *rows)
{
	struct stats_request_filter filter = {.target = o->target, .outcome = o->outcome};
	struct stats_page page = {0};
	int64_t total;

	if (o->outcome.p && !stats_is_outcome(o->outcome)) {
		return fault_set(&c->fault, ERR_INVALID,
				 "--outcome is succeeded, aborted, failed, expired or errored");
	}
	TRY(stats_read_limit(o->limit, &page.take, &c->fault));
	TRY(stats_read_time(o->from, "from", &filter.from_ms, &c->fault));
	TRY(stats_read_time(o->to, "to", &filter.to_ms, &c->fault));
	TRY(stats_read_tenant(c, o->tenant, &filter.tenant));
	return stats_requests(c->db, &filter, page, rows, &total);
}

static void print_table(struct cli *c, const struct stats_request *v, size_t n)
{
	static const char *const heads[] = {"TIME",    "TENANT", "METHOD", "TARGET", "STATUS",
					    "OUTCOME", "MS",	 "IN",	   "OUT",    "URL"};
	struct arena *a = &c->arena;
	struct cli_table t;

	cli_table_init(&t, a, heads, ARRAY_LEN(heads));
	for (size_t i = 0; i < n; i++) {
		struct str status =
			v[i].status.has ? str_fmt(a, "%lld", (long long)v[i].status.v) : STR("-");
		struct str out =
			v[i].response_bytes.has ? stats_bytes(a, v[i].response_bytes.v) : STR("-");

		cli_table_add(&t,
			      (struct str[]){cli_time(a, v[i].start_ms), v[i].tenant, v[i].method,
					     v[i].target, status, v[i].outcome,
					     str_fmt(a, "%lld", (long long)v[i].duration_ms),
					     stats_bytes(a, v[i].request_bytes), out, v[i].url});
	}
	cli_table_print(&t, "No logged requests. relay.request_logger_level says which are.");
}

static int run(const struct command *cmd, void *opts, struct str *args, size_t n_args)
{
	struct requests_options *o = opts;
	struct db_rows rows = {0};
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
		cli_print_objects(&statistics_request_shape, rows.v, rows.n,
				  sizeof(struct stats_request));
	} else {
		print_table(&c, rows.v, rows.n);
	}
	cli_close(&c);
	return EXIT_DONE;
}

const struct command stats_requests_command = {
	.name = "stats requests",
	.doc = "List logged requests, newest first.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct requests_options),
	.run = run,
};
