/*
 * plan - which plugin instances run for a route, decided when the configuration changes
 *
 * A plan is an array in the order of priority, one place for each plugin that may run.
 * Where an instance is bound to a consumer, who is known only after authentication,
 * the place has a choice, and plan_for_consumer makes the array anew.
 *
 * Ownership  plans live in the arena of the routing part; instances are kept alive by it.
 * Threads    immutable once built.
 * Spec       kong-gateway §12 (precedence).
 */
#pragma once
#include "gateway/plugin.h"

struct plan_choice {
	size_t place;
	int rank;
	const struct plugin_instance *instance; /* bound to a consumer */
};

struct plan {
	const struct plugin_instance **v; /* NULL = only for certain consumers */
	size_t n;
	const int *ranks;
	const struct plan_choice *choices; /* by consumer */
	size_t n_choices;
	unsigned needs; /* of all that may run */
};

/* Instances that may concern a route, in any order: global, the service's, the route's. */
struct plan_source {
	const struct plugin_instance *const *v;
	size_t n;
};

/* Scopes other than `route` and `service` are passed over; zero ids = none. */
struct plan *plan_new(struct arena *a, const struct plan_source *sources, size_t n_sources,
		      const struct guid *route, const struct guid *service);

/* The array for this consumer; the plan's own when nothing is bound to them. */
const struct plugin_instance *const *plan_for_consumer(struct arena *a, const struct plan *p,
						       const struct guid *consumer);
