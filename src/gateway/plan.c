#include "gateway/plan.h"

#include "base/mem.h"

#include <stdlib.h>

/*
 * route+service+consumer > route+consumer > service+consumer > route+service > consumer >
 * route > service > global
 */
static int rank_of(const struct plugin_instance *p)
{
	static const int ranks[8] = {1, 2, 3, 5, 4, 6, 7, 8};
	unsigned bits = (guid_is_nil(&p->consumer) ? 0u : 4u) | (guid_is_nil(&p->route) ? 0u : 2u) |
			(guid_is_nil(&p->service) ? 0u : 1u);

	return ranks[bits];
}

static bool concerns(const struct plugin_instance *p, const struct guid *route,
		     const struct guid *service)
{
	return p->enabled && (guid_is_nil(&p->route) || guid_eq(&p->route, route)) &&
	       (guid_is_nil(&p->service) || guid_eq(&p->service, service));
}

struct draft {
	const struct plugin_instance **best; /* by plugin index */
	bool *used;			     /* has a place */
	size_t n_choices;
};

static void consider(struct draft *d, const struct plugin_instance *p)
{
	const struct plugin_instance *now = d->best[p->index];

	d->used[p->index] = true;
	if (!guid_is_nil(&p->consumer)) {
		d->n_choices++;
	} else if (!now || rank_of(p) > rank_of(now)) {
		d->best[p->index] = p;
	}
}

static void put_places(struct arena *a, const struct draft *d, struct plan *plan, size_t *places)
{
	int *ranks = ARENA_NEW_ARRAY(a, int, n_plugins);

	plan->v = ARENA_NEW_ARRAY(a, const struct plugin_instance *, n_plugins);
	for (size_t i = 0; i < n_plugins; i++) {
		if (d->used[i]) {
			const struct plugin_instance *p = d->best[i];

			places[i] = plan->n;
			ranks[plan->n] = p ? rank_of(p) : 0;
			plan->needs |= p ? p->needs : 0;
			plan->v[plan->n++] = p;
		}
	}
	plan->ranks = ranks;
}

static int by_consumer(const void *x, const void *y)
{
	const struct plan_choice *a = x, *b = y;

	return memcmp(&a->instance->consumer, &b->instance->consumer, sizeof(struct guid));
}

/* The first choice that is not for a consumer before this one. */
static size_t first_choice(const struct plan *p, const struct guid *consumer)
{
	size_t from = 0, to = p->n_choices;

	while (from < to) {
		size_t half = from + (to - from) / 2;

		if (memcmp(&p->choices[half].instance->consumer, consumer, sizeof(*consumer)) < 0) {
			from = half + 1;
		} else {
			to = half;
		}
	}
	return from;
}

struct plan *plan_new(struct arena *a, const struct plan_source *sources, size_t n_sources,
		      const struct guid *route, const struct guid *service)
{
	struct plan *plan = ARENA_NEW(a, struct plan);
	struct draft d = {
		.best = MEM_NEW_ARRAY(const struct plugin_instance *, n_plugins + 1),
		.used = MEM_NEW_ARRAY(bool, n_plugins + 1),
	};
	size_t *places = MEM_NEW_ARRAY(size_t, n_plugins + 1);
	struct plan_choice *choices;

	for (size_t s = 0; s < n_sources; s++) {
		for (size_t i = 0; i < sources[s].n; i++) {
			if (concerns(sources[s].v[i], route, service)) {
				consider(&d, sources[s].v[i]);
			}
		}
	}
	put_places(a, &d, plan, places);
	choices = ARENA_NEW_ARRAY(a, struct plan_choice, d.n_choices + 1);
	for (size_t s = 0; s < n_sources; s++) {
		for (size_t i = 0; i < sources[s].n; i++) {
			const struct plugin_instance *p = sources[s].v[i];

			if (concerns(p, route, service) && !guid_is_nil(&p->consumer)) {
				choices[plan->n_choices++] =
					(struct plan_choice){places[p->index], rank_of(p), p};
				plan->needs |= p->needs;
			}
		}
	}
	if (plan->n_choices > 1) {
		qsort(choices, plan->n_choices, sizeof(*choices), by_consumer);
	}
	plan->choices = choices;
	mem_free(places);
	mem_free(d.used);
	mem_free(d.best);
	return plan;
}

const struct plugin_instance *const *plan_for_consumer(struct arena *a, const struct plan *p,
						       const struct guid *consumer)
{
	const struct plugin_instance **v = NULL;
	int *ranks = NULL;

	for (size_t i = first_choice(p, consumer); i < p->n_choices; i++) {
		const struct plan_choice *c = &p->choices[i];

		if (!guid_eq(&c->instance->consumer, consumer)) {
			break;
		}
		if (!v) {
			v = arena_alloc(a, p->n * sizeof(const struct plugin_instance *));
			ranks = arena_alloc(a, p->n * sizeof(*ranks));
			memcpy(v, p->v, p->n * sizeof(const struct plugin_instance *));
			memcpy(ranks, p->ranks, p->n * sizeof(*ranks));
		}
		if (c->rank > ranks[c->place]) {
			v[c->place] = c->instance;
			ranks[c->place] = c->rank;
		}
	}
	return v ? v : p->v;
}
