/*
 * upstreams - upstream and target entities as the balancer wants them
 *
 * Threads  the one that applies changes.
 */
#pragma once
#include "base/map.h"
#include "gateway/balancer.h"
#include "gateway/entity.h"

/* Applies all of them; the caller owns the view. */
struct balancer_view *upstreams_apply(struct balancer_set *set, const struct map *upstreams,
				      const struct map *targets);
