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

static void cells(struct arena *a, const void *row, struct str *out)
{
	const struct stats_request *v = row;

	*out++ = cli_time(a, v->start_ms);
	*out++ = v->tenant;
	*out++ = v->method;
	*out++ = v->target;
	*out++ = v->status.has ? str_fmt(a, "%lld", (long long)v->status.v) : STR("-");
	*out++ = v->outcome;
	*out++ = str_fmt(a, "%lld", (long long)v->duration_ms);
	*out++ = stats_bytes(a, v->request_bytes);
	*out++ = v->response_bytes.has ? stats_bytes(a, v->response_bytes.v) : STR("-");
	*out = v->url;
}

static const char *const heads[] = {"TIME",    "TENANT", "METHOD", "TARGET", "STATUS",
				    "OUTCOME", "MS",	 "IN",	   "OUT",    "URL"};
static const struct cli_listing listing = {
	.shape = &statistics_request_shape,
	.size = sizeof(struct stats_request),
	.heads = heads,
	.n_columns = ARRAY_LEN(heads),
	.cells = cells,
	.none = "No logged requests. relay.request_logger_level says which are.",
};

static enum err work(struct cli *c, const void *opts, struct str *args)
{
	const struct requests_options *o = opts;
	struct stats_request_filter filter = {.target = o->target, .outcome = o->outcome};
	struct stats_page page = {0};
	struct db_rows rows = {0};
	int64_t total;

	(void)args;
	if (o->outcome.p && !stats_is_outcome(o->outcome)) {
		return fault_set(&c->fault, ERR_INVALID,
				 "--outcome is succeeded, aborted, failed, expired or errored");
	}
	TRY(stats_read_limit(o->limit, &page.take, &c->fault));
	TRY(stats_read_time(o->from, "from", &filter.from_ms, &c->fault));
	TRY(stats_read_time(o->to, "to", &filter.to_ms, &c->fault));
	TRY(stats_read_tenant(c, o->tenant, &filter.tenant));
	TRY(stats_requests(c->db, &filter, page, &rows, &total));
	cli_print_rows(c, &listing, &rows);
	return ERR_OK;
}

const struct command stats_requests_command = {
	.name = "stats requests",
	.doc = "List logged requests, newest first.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct requests_options),
	.run = cli_run,
	.work = work,
};
