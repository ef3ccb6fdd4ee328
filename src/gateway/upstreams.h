/*
 * upstreams - upstream and target entities as the balancer wants them
 *
 * Threads  the one that applies changes.
 */
#pragma once
#include "base/map.h"
#include "gateway/balancer.h"
#include "gateway/entity.h"

/* What balancers must learn of. All-zero is nothing. */
struct upstreams {
	struct map groups;  /* targets by upstream, whether it exists or not */
	struct guid *stale; /* upstreams; some may be there twice */
	size_t n_stale, stale_cap;
	bool all;
};

/* A change from `old` to `now` (NULL: none) of whatever kind. Items are kept by the caller. */
void upstreams_note(struct upstreams *u, struct entity_item *old, struct entity_item *now);
/* All items have gone. */
void upstreams_forget(struct upstreams *u);
/*
 * Balancers of upstreams that changed learn it; all do when names came or went. The caller owns
 * a reference to the view: `former` as long as it has the same names.
 */
struct balancer_view *upstreams_apply(struct upstreams *u, struct balancer_set *set,
				      struct balancer_view *former, const struct map *upstreams);
