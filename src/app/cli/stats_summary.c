#include "app/cli/stats.h"
#include "relay/statistics.h"
#include "relay/stats_store.h"

struct summary_options {
	struct cli_options common;
	struct str from, to;
};

#define AT(member) offsetof(struct summary_options, member)
static const struct option options[] = {
	CLI_OPTIONS,
	{"from", "TIME|DURATION", "since then, as 2026-11-20T22:31:03Z or 24h", AT(from), false},
	{"to", "TIME|DURATION", "before then", AT(to), false},
};
#undef AT

static struct str milliseconds(struct arena *a, struct opt_i64 ms)
{
	return ms.has ? str_fmt(a, "%lld ms", (long long)ms.v) : STR("-");
}

static struct str number(struct arena *a, int64_t n)
{
	return str_fmt(a, "%lld", (long long)n);
}

static void print_summary(struct arena *a, const struct stats_summary *s)
{
	const struct str lines[][2] = {
		{STR("requests"), number(a, s->requests)},
		{STR("succeeded"), number(a, s->succeeded)},
		{STR("aborted"), number(a, s->aborted)},
		{STR("failed"), number(a, s->failed)},
		{STR("expired"), number(a, s->expired)},
		{STR("errored"), number(a, s->errored)},
		{STR("request bytes"), stats_bytes(a, s->request_bytes)},
		{STR("response bytes"), stats_bytes(a, s->response_bytes)},
		{STR("duration average"), milliseconds(a, s->duration_avg_ms)},
		{STR("duration 95 %"), milliseconds(a, s->duration_p95_ms)},
		{STR("duration longest"), milliseconds(a, s->duration_max_ms)},
		{STR("connections now"), number(a, s->connections)},
	};

	cli_print_pairs(a, lines, ARRAY_LEN(lines));
}

static enum err work(struct cli *c, const void *opts, struct str *args)
{
	const struct summary_options *o = opts;
	struct opt_i64 from, to;
	struct str tenant;
	struct stats_summary s;

	TRY(stats_read_time(o->from, "from", &from, &c->fault));
	TRY(stats_read_time(o->to, "to", &to, &c->fault));
	TRY(tx_begin_read(c->db));
	TRY(stats_read_tenant(c, args[0], &tenant));
	TRY(stats_summarize(c->db, tenant, from, to, &s));
	TRY(tx_commit(c->db));
	if (c->json) {
		cli_print_object(&statistics_summary_shape, &s);
	} else {
		print_summary(&c->arena, &s);
	}
	return ERR_OK;
}

const struct command stats_summary_command = {
	.name = "stats summary",
	.usage = "TENANT",
	.doc = "Sum up a tenant's logged requests.",
	.more = "Counts what relay.request_logger_level lets into the log: with the default\n"
		"only errored requests. Set it to All to see everything here.",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.options_size = sizeof(struct summary_options),
	.args_min = 1,
	.args_max = 1,
	.run = cli_run,
	.work = work,
};
