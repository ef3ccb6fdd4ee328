/* The routing part of an epoch: routes that can match, each with its service and plan. */
#include "base/mem.h"
#include "gateway/epoch_int.h"

struct routing *routing_ref(struct routing *r)
{
	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	return r;
}

void routing_unref(struct routing **rp)
{
	struct routing *r = *rp;

	*rp = NULL;
	if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	for (size_t i = 0; i < r->n; i++) {
		tls_client_unref(&r->entries[i].tls);
	}
	balancer_view_unref(&r->view);
	router_free(&r->router);
	for (size_t i = 0; i < r->n_items; i++) {
		entity_item_unref(&r->items[i]);
	}
	mem_free(r->items);
	arena_fini(&r->arena);
	mem_free(r);
}

static void keep(struct routing *r, struct entity_item *i)
{
	r->items[r->n_items++] = entity_item_ref(i);
}

/* ---- plans ---- */

/* Instances by what they are bound to: the route if any, else the service, else nothing. */
struct group {
	const struct plugin_instance **v;
	size_t n, cap;
	const struct plan *plan; /* of a service's routes that have no instances of their own */
};

struct groups {
	struct arena *a;
	struct map by_route, by_service; /* 16 bytes of the id -> group */
	struct group global;
};

static void group_add(struct arena *a, struct group *g, const struct plugin_instance *p)
{
	if (g->n == g->cap) {
		size_t cap = g->cap * 2 + 4;
		const struct plugin_instance **v =
			ARENA_NEW_ARRAY(a, const struct plugin_instance *, cap);

		if (g->n > 0) {
			memcpy(v, g->v, g->n * sizeof(const struct plugin_instance *));
		}
		g->v = v;
		g->cap = cap;
	}
	g->v[g->n++] = p;
}

static struct str key_of(const struct guid *id)
{
	return str_of(id->b, sizeof(id->b));
}

static struct group *group_of(struct groups *g, struct map *m, const struct guid *id)
{
	struct group *it = map_get(m, key_of(id));

	if (!it) {
		it = ARENA_NEW(g->a, struct group);
		(void)map_set(m, key_of(id), it);
	}
	return it;
}

static bool is_zero(const struct guid *g)
{
	return guid_eq(g, &(struct guid){0});
}

static void sort_plugins(struct builder *b, struct routing *r, struct groups *g)
{
	struct map_entry e;
	size_t pos = 0;

	while (map_next(&b->items[ENTITY_PLUGIN], &pos, &e)) {
		struct entity_item *item = e.value;
		const struct plugin_instance *p = item->compiled;

		if (!p) {
			continue;
		}
		keep(r, item);
		if (!is_zero(&p->route)) {
			group_add(g->a, group_of(g, &g->by_route, &p->route), p);
		} else if (!is_zero(&p->service)) {
			group_add(g->a, group_of(g, &g->by_service, &p->service), p);
		} else {
			group_add(g->a, &g->global, p);
		}
	}
}

static const struct plan *make_plan(struct routing *r, const struct groups *g,
				    const struct guid *service, const struct group *of_service,
				    const struct guid *route, const struct group *of_route)
{
	struct plan_source sources[3];
	size_t n = 0;

	sources[n++] = (struct plan_source){g->global.v, g->global.n};
	if (of_service) {
		sources[n++] = (struct plan_source){of_service->v, of_service->n};
	}
	if (of_route) {
		sources[n++] = (struct plan_source){of_route->v, of_route->n};
	}
	return plan_new(&r->arena, sources, n, route, service);
}

/* Shared where nothing makes a difference. */
static const struct plan *plan_of(struct routing *r, struct groups *g, const struct route *route,
				  const struct service *service)
{
	static const struct guid none;
	const struct guid *sid = service ? &service->pub.id : &none;
	struct group *of_service = service ? map_get(&g->by_service, key_of(sid)) : NULL;
	const struct group *of_route = map_get(&g->by_route, key_of(&route->pub.id));

	if (of_route) {
		return make_plan(r, g, sid, of_service, &route->pub.id, of_route);
	}
	if (!of_service) {
		return r->global;
	}
	if (!of_service->plan) {
		of_service->plan = make_plan(r, g, sid, of_service, &none, NULL);
	}
	return of_service->plan;
}

/* ---- routes ---- */

/* How its service is reached: by an upstream of that name, or a name of its own. */
static void join_service(struct builder *b, struct routing *r, struct entry *e,
			 const struct entity_item *item)
{
	const struct service *s = e->service;

	if (s->kind != SERVICE_WEB) {
		return;
	}
	if (!s->has_addr) {
		e->balancer = balancer_find(r->view, s->host);
		e->balancer = e->balancer ? e->balancer : s->plain;
	}
	if (s->tls) {
		e->tls = service_tls_get(b->service_tls, &b->vaults, s, item,
					 &b->items[ENTITY_CERTIFICATE],
					 &b->items[ENTITY_CA_CERTIFICATE]);
	}
}

static void add_route(struct builder *b, struct routing *r, struct groups *g,
		      const struct router_rule **rules, struct entity_item *item)
{
	const struct route *route = item->compiled;
	const struct service *service = NULL;
	struct entry entry = {.route = route};

	if (!route || !(route->protocols & (GW_HTTP | GW_HTTPS | GW_GRPC | GW_GRPCS))) {
		return;
	}
	if (!is_zero(&route->service)) {
		struct entity_item *si = builder_find(b, ENTITY_SERVICE, &route->service);

		service = si ? si->compiled : NULL;
		if (!service || !service->enabled) {
			return;
		}
		keep(r, si);
		entry.service = service;
		join_service(b, r, &entry, si);
	}
	keep(r, item);
	entry.plan = plan_of(r, g, route, service);
	rules[r->n] = &route->rule;
	r->entries[r->n++] = entry;
}

static void add_routes(struct builder *b, struct routing *r, struct groups *g,
		       const struct router_rule **rules)
{
	static const struct guid none;
	struct map_entry e;
	size_t pos = 0;

	r->global = make_plan(r, g, &none, NULL, &none, NULL);
	while (map_next(&b->items[ENTITY_ROUTE], &pos, &e)) {
		add_route(b, r, g, rules, e.value);
	}
}

struct routing *routing_build(struct builder *b, struct fault *f)
{
	struct routing *r = MEM_NEW(struct routing);
	size_t n_routes = b->items[ENTITY_ROUTE].n;
	const struct router_rule **rules;
	struct arena scratch;
	struct groups g = {.a = &scratch};
	enum err e;

	atomic_init(&r->refs, 1);
	arena_init(&r->arena, 0);
	arena_init(&scratch, 0);
	/* The router reads them as long as it lives. */
	rules = ARENA_NEW_ARRAY(&r->arena, const struct router_rule *, n_routes + 1);
	r->view = balancer_view_ref(b->view);
	r->entries = ARENA_NEW_ARRAY(&r->arena, struct entry, n_routes + 1);
	r->items =
		MEM_NEW_ARRAY(struct entity_item *, 2 * n_routes + b->items[ENTITY_PLUGIN].n + 1);
	sort_plugins(b, r, &g);
	add_routes(b, r, &g, rules);
	e = router_renew(b->routing ? b->routing->router : NULL, rules, r->n, &r->router, f);
	map_free(&g.by_route);
	map_free(&g.by_service);
	arena_fini(&scratch);
	if (e != ERR_OK) {
		routing_unref(&r);
	}
	return r;
}
