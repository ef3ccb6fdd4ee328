/*
 * stats - what the `stats` commands share: filters given as options
 */
#pragma once
#include "app/cli/cli.h"

/* p NULL: not set. A time like 2026-11-20T22:31:03Z, or how long ago: 2h. */
enum err stats_read_time(struct str text, const char *option, struct opt_i64 *out,
			 struct fault *f) MUST_USE;
/* 1 to 100000; p NULL: 50. */
enum err stats_read_limit(struct str text, int64_t *out, struct fault *f) MUST_USE;
/* Sets p NULL when `name` is; ERR_NOT_FOUND when there is no such tenant. */
enum err stats_read_tenant(struct cli *c, struct str name, struct str *out_normalized) MUST_USE;
/* "512", or "1.5 MiB". */
struct str stats_bytes(struct arena *a, int64_t n);
