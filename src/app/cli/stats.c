#include "app/cli/stats.h"

#include "base/clock.h"
#include "relay/tenant_store.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX 100000

enum err stats_read_time(struct str text, const char *option, struct opt_i64 *out, struct fault *f)
{
	int64_t ms;

	*out = (struct opt_i64){0};
	if (!text.p) {
		return ERR_OK;
	}
	if (clock_iso_parse(text, &ms) == ERR_OK) {
		*out = (struct opt_i64){true, ms};
	} else if (duration_parse(text, &ms) == ERR_OK) {
		*out = (struct opt_i64){true, clock_wall_ms() - ms};
	} else {
		return fault_set(f, ERR_INVALID,
				 "--%s is a time like 2026-11-20T22:31:03Z, or how long ago: 2h",
				 option);
	}
	return ERR_OK;
}

enum err stats_read_limit(struct str text, int64_t *out, struct fault *f)
{
	uint64_t n = LIMIT_DEFAULT;

	if (text.p && (!str_to_u64(text, &n) || n < 1 || n > LIMIT_MAX)) {
		return fault_set(f, ERR_INVALID, "--limit is a number from 1 to %d", LIMIT_MAX);
	}
	*out = (int64_t)n;
	return ERR_OK;
}

enum err stats_read_tenant(struct cli *c, struct str name, struct str *out_normalized)
{
	struct tenant_row row;

	*out_normalized = STR_NULL;
	if (!name.p) {
		return ERR_OK;
	}
	TRY(tenant_store_get(c->db, tenant_name_normalize(&c->arena, name), &row));
	*out_normalized = row.normalized;
	return ERR_OK;
}

struct str stats_bytes(struct arena *a, int64_t n)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
	double v = (double)n;
	size_t unit = 0;

	if (n < 1024) {
		return str_fmt(a, "%lld", (long long)n);
	}
	for (v /= 1024; v >= 1024 && unit + 1 < ARRAY_LEN(units); v /= 1024) {
		unit++;
	}
	return str_fmt(a, "%.1f %s", v, units[unit]);
}
