/*
 * target_health - the metric kong_upstream_target_health, as dashboards for Kong read it
 *
 * Threads  any.
 */
#pragma once
#include "base/buf.h"
#include "gateway/balancer.h"

/* For each address of each target a line for each state: 1 for that it is in. */
void target_health_write(struct balancer_set *set, struct buf *out);
