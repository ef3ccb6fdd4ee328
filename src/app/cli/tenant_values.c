#include "app/cli/tenant_values.h"

#include "base/clock.h"

static enum err read_bool(struct str s, const char *option, bool *out, struct fault *f)
{
	if (str_eq_nocase(s, STR("yes")) || str_eq_nocase(s, STR("true"))) {
		*out = true;
	} else if (str_eq_nocase(s, STR("no")) || str_eq_nocase(s, STR("false"))) {
		*out = false;
	} else {
		return fault_set(f, ERR_INVALID, "--%s is yes or no", option);
	}
	return ERR_OK;
}

static enum err read_duration(struct str s, const char *option, struct opt_i64 *out,
			      struct fault *f)
{
	int64_t ms;

	if (!s.p) {
		return ERR_OK;
	}
	if (duration_parse(s, &ms) != ERR_OK || ms <= 0) {
		return fault_set(f, ERR_INVALID, "--%s is a duration like 30s or 5m", option);
	}
	*out = (struct opt_i64){true, ms};
	return ERR_OK;
}

static enum err apply_limit(const struct tenant_values *v, struct tenant_row *row, struct fault *f)
{
	uint64_t n;

	if (!v->max_concurrent.p) {
		return ERR_OK;
	}
	if (!str_to_u64(v->max_concurrent, &n) || n > TENANT_CONCURRENT_MAX) {
		return fault_set(f, ERR_INVALID, "--max-concurrent is a number from 0 to %d",
				 TENANT_CONCURRENT_MAX);
	}
	row->max_concurrent = (int64_t)n;
	return ERR_OK;
}

static enum err read_keep_alive(struct str s, struct opt_i64 *out, struct fault *f)
{
	TRY(read_duration(s, "keep-alive", out, f));
	if (s.p && out->v < TENANT_KEEP_ALIVE_MIN_MS) {
		return fault_set(f, ERR_INVALID, "--keep-alive is at least 1s");
	}
	return ERR_OK;
}

static enum err apply_configure(const struct tenant_values *v, struct tenant_configure *c,
				struct fault *f)
{
	if (v->enable_tracing.p) {
		TRY(read_bool(v->enable_tracing, "enable-tracing", &c->enable_tracing.v, f));
		c->enable_tracing.has = true;
	}
	TRY(read_keep_alive(v->keep_alive, &c->keep_alive_interval_ms, f));
	TRY(read_duration(v->reconnect_min, "reconnect-min", &c->reconnect_minimum_delay_ms, f));
	return read_duration(v->reconnect_max, "reconnect-max", &c->reconnect_maximum_delay_ms, f);
}

/* The empty text clears. */
static void apply_text(struct str given, struct str *out)
{
	if (given.p) {
		*out = given.n > 0 ? given : STR_NULL;
	}
}

enum err tenant_values_apply(const struct tenant_values *v, struct tenant_row *row, struct fault *f)
{
	apply_text(v->display, &row->display);
	apply_text(v->description, &row->description);
	if (v->require_authentication.p) {
		TRY(read_bool(v->require_authentication, "require-authentication",
			      &row->require_authentication, f));
	}
	TRY(apply_limit(v, row, f));
	return apply_configure(v, &row->configure, f);
}
