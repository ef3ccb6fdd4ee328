/*
 * The routing part of an epoch: routes that can match, each with its service and plan.
 *
 * A whole one has an entry for each route. Where few routes changed since, the next one stands
 * over it: entries of the base that are stale are marked gone, and what the routes are now
 * has entries and a small router of its own. The one after that stands over the same base, with
 * the routes of both; when they are too many a whole one is made.
 */
#include "base/mem.h"
#include "gateway/epoch_int.h"

/* A base with fewer entries is made anew rather than stood over; beyond, one in so many may differ.
 */
enum { BASE_MIN = 256, BASE_SHARE = 32 };

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
	for (struct entry *e = r->own; e; e = e->next) {
		tls_client_unref(&e->tls);
	}
	balancer_view_unref(&r->view);
	router_free(&r->router);
	map_free(&r->by_route);
	for (size_t i = 0; i < r->n_items; i++) {
		entity_item_unref(&r->items[i]);
	}
	mem_free(r->items);
	arena_fini(&r->arena);
	routing_unref(&r->base);
	mem_free(r);
}

/* One that is being made. */
struct draft {
	struct builder *b;
	struct routing *r;
	const struct router_rule **rules; /* the router reads them as long as it lives */
	size_t items_cap;
	struct map service_plans; /* of routes without instances of their own, by id */
	struct map entries;	  /* by what makes a difference */
};

static void keep(struct draft *d, struct entity_item *i)
{
	struct routing *r = d->r;

	if (r->n_items == d->items_cap) {
		d->items_cap = d->items_cap * 2 + 16;
		r->items = mem_resize(r->items, sizeof(struct entity_item *) * d->items_cap);
	}
	r->items[r->n_items++] = entity_item_ref(i);
}

/* ---- plans ---- */

static void add_source(struct draft *d, struct plan_source *sources, size_t *n,
		       const struct plugin_group *g)
{
	for (size_t i = 0; g && i < g->n; i++) {
		keep(d, g->items[i]);
	}
	if (g) {
		sources[(*n)++] = (struct plan_source){g->v, g->n};
	}
}

static const struct plan *make_plan(struct draft *d, const struct guid *service,
				    const struct guid *route)
{
	static const struct guid none;
	struct plugin_index *x = &d->b->plugins;
	const struct plugin_group *global = plugin_index_get(x, ENTITY_PLUGIN, &none);
	struct plan_source sources[3];
	size_t n = 0;

	/* A whole one keeps the global ones, once for all plans. */
	if (global) {
		sources[n++] = (struct plan_source){global->v, global->n};
	}
	if (!guid_is_nil(service)) {
		add_source(d, sources, &n, plugin_index_get(x, ENTITY_SERVICE, service));
	}
	if (!guid_is_nil(route)) {
		add_source(d, sources, &n, plugin_index_get(x, ENTITY_ROUTE, route));
	}
	return plan_new(&d->r->arena, sources, n, route, service);
}

/* Shared where nothing makes a difference. */
static const struct plan *plan_of(struct draft *d, const struct route *route,
				  const struct service *service)
{
	static const struct guid none;
	const struct guid *sid = service ? &service->pub.id : &none;
	const struct plan *plan;

	if (plugin_index_get(&d->b->plugins, ENTITY_ROUTE, &route->pub.id)) {
		return make_plan(d, sid, &route->pub.id);
	}
	if (!service || !plugin_index_get(&d->b->plugins, ENTITY_SERVICE, sid)) {
		return d->r->global;
	}
	plan = map_get(&d->service_plans, guid_bytes(sid));
	if (!plan) {
		plan = make_plan(d, sid, &none);
		(void)map_set(&d->service_plans, guid_bytes(sid), (void *)(uintptr_t)plan);
	}
	return plan;
}

/* ---- entries ---- */

/* How its service is reached: by an upstream of that name, or a name of its own. */
static void join_service(struct draft *d, struct entry *e, const struct entity_item *item)
{
	const struct service *s = e->service;
	struct builder *b = d->b;

	if (s->kind != SERVICE_WEB) {
		return;
	}
	if (!s->has_addr) {
		e->balancer = balancer_find(d->r->view, s->pub.host);
		e->balancer = e->balancer ? e->balancer : s->plain;
	}
	if (s->tls) {
		e->tls = service_tls_get(b->service_tls, &b->vaults, s, item,
					 &b->items[ENTITY_CERTIFICATE],
					 &b->items[ENTITY_CA_CERTIFICATE]);
	}
}

/* In what entries differ; the rest of one follows from its service. */
static struct str entry_key(const struct entry *e)
{
	_Static_assert(offsetof(struct entry, balancer) ==
			       2 * sizeof(void *) + sizeof(struct route_traits),
		       "without padding");
	return str_of((const char *)e, offsetof(struct entry, balancer));
}

static const struct entry *entry_of(struct draft *d, const struct route *route,
				    struct entity_item *service)
{
	struct entry want = {.service = service ? service->compiled : NULL,
			     .traits = route->traits};
	struct entry *e;

	want.plan = plan_of(d, route, want.service);
	e = map_get(&d->entries, entry_key(&want));
	if (!e) {
		e = ARENA_NEW(&d->r->arena, struct entry);
		*e = want;
		e->next = d->r->own;
		d->r->own = e;
		(void)map_set(&d->entries, entry_key(e), e);
		if (service) {
			join_service(d, e, service);
		}
	}
	return e;
}

static void add_route(struct draft *d, struct entity_item *item)
{
	const struct route *route = item->compiled;
	const struct service *service = NULL;
	struct entity_item *si = NULL;
	struct routing *r = d->r;

	if (!route || !(route->traits.protocols & GW_ALL_HTTP)) {
		return;
	}
	if (!guid_is_nil(&route->service)) {
		si = builder_find(d->b, ENTITY_SERVICE, &route->service);
		service = si ? si->compiled : NULL;
		if (!service || !service->enabled) {
			return;
		}
		keep(d, si);
	}
	keep(d, item);
	d->rules[r->n] = &route->rule;
	r->routes[r->n] = route;
	r->entries[r->n++] = entry_of(d, route, si);
}

static void draft_init(struct draft *d, struct builder *b, size_t n_routes)
{
	struct routing *r = MEM_NEW(struct routing);

	*d = (struct draft){.b = b, .r = r};
	atomic_init(&r->refs, 1);
	arena_init(&r->arena, 0);
	d->rules = ARENA_NEW_ARRAY(&r->arena, const struct router_rule *, n_routes + 1);
	r->entries = ARENA_NEW_ARRAY(&r->arena, const struct entry *, n_routes + 1);
	r->routes = ARENA_NEW_ARRAY(&r->arena, const struct route *, n_routes + 1);
	r->view = balancer_view_ref(b->view);
}

static struct routing *draft_finish(struct draft *d, enum err e)
{
	map_free(&d->service_plans);
	map_free(&d->entries);
	if (e != ERR_OK) {
		routing_unref(&d->r);
	}
	return d->r;
}

/* ---- whole ---- */

static const struct router *former_router(const struct builder *b)
{
	return b->routing ? b->routing->router : NULL;
}

static void keep_global_plugins(struct draft *d)
{
	static const struct guid none;
	const struct plugin_group *g = plugin_index_get(&d->b->plugins, ENTITY_PLUGIN, &none);

	for (size_t i = 0; g && i < g->n; i++) {
		keep(d, g->items[i]);
	}
}

static struct routing *build_whole(struct builder *b, struct fault *f)
{
	static const struct guid none;
	struct map_entry e;
	struct draft d;
	size_t pos = 0;

	draft_init(&d, b, b->items[ENTITY_ROUTE].n);
	keep_global_plugins(&d);
	d.r->global = make_plan(&d, &none, &none);
	while (map_next(&b->items[ENTITY_ROUTE], &pos, &e)) {
		add_route(&d, e.value);
	}
	for (size_t i = 0; i < d.r->n && d.r->n >= BASE_MIN; i++) {
		(void)map_set(&d.r->by_route, guid_bytes(&d.r->routes[i]->pub.id), &d.r->routes[i]);
	}
	return draft_finish(&d, router_renew(former_router(b), d.rules, d.r->n, &d.r->router, f));
}

/* ---- over a whole one ---- */

/* Each route once, whichever of the two told it. */
static void remake(struct draft *d, struct map *seen, const struct guid *id)
{
	const struct routing *base = d->r->base;
	const struct route **was = map_get(&base->by_route, guid_bytes(id));
	struct entity_item *item = builder_find(d->b, ENTITY_ROUTE, id);

	if (was) {
		size_t i = (size_t)(was - base->routes);
		uint64_t *word = &d->r->gone[i / 64], bit = UINT64_C(1) << i % 64;

		d->r->n_gone += !(*word & bit);
		*word |= bit;
	}
	if (item && !map_set(seen, guid_bytes(id), item)) {
		add_route(d, item);
	}
}

static struct routing *build_over(struct builder *b, struct routing *base, struct fault *f)
{
	const struct routing *former = b->routing == base ? NULL : b->routing;
	size_t words = ROUTER_GONE_WORDS(base->n);
	struct map seen = {0};
	struct draft d;
	enum err e;

	draft_init(&d, b, b->stale.n + (former ? former->n : 0));
	d.r->base = routing_ref(base);
	d.r->global = base->global;
	d.r->gone = ARENA_NEW_ARRAY(&d.r->arena, uint64_t, words + 1);
	if (former) {
		memcpy(d.r->gone, former->gone, words * sizeof(*d.r->gone));
		d.r->n_gone = former->n_gone;
	}
	for (size_t i = 0; i < b->stale.n; i++) {
		remake(&d, &seen, &b->stale.routes[i]);
	}
	for (size_t i = 0; former && i < former->n; i++) {
		remake(&d, &seen, &former->routes[i]->pub.id);
	}
	map_free(&seen);
	e = router_over(&(struct router_layer){base->router, d.r->gone, former_router(b)}, d.rules,
			d.r->n, &d.r->router, f);
	return draft_finish(&d, e);
}

/* How far it is from its base: a new route has only an entry, a deleted one is only gone. */
static size_t distance_of(const struct routing *r)
{
	return r->base ? MAX(r->n, r->n_gone) : 0;
}

/* NULL: a whole one is to be made. */
static struct routing *base_of(const struct builder *b)
{
	struct routing *now = b->routing, *base = now && now->base ? now->base : now;
	size_t n = b->stale.n + (now ? distance_of(now) : 0);

	if (!base || b->stale.all || base->n < BASE_MIN || n > base->n / BASE_SHARE) {
		return NULL;
	}
	return base;
}

struct routing *routing_build(struct builder *b, struct fault *f)
{
	struct routing *base = base_of(b);

	return base ? build_over(b, base, f) : build_whole(b, f);
}
