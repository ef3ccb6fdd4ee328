/*
 * The builder: all entities of the process, and epochs made of them.
 *
 * Who holds whom: the builder has a reference to every item and to the latest parts; a part
 * has references to the items that it points into; an epoch has its parts. So an item goes
 * when no epoch in use and no newer version needs it.
 */
#include "base/log.h"
#include "base/mem.h"
#include "gateway/epoch.h"
#include "gateway/epoch_int.h"

struct epoch *epoch_ref(struct epoch *e)
{
	atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
	return e;
}

static void epoch_free(struct epoch *e)
{
	routing_unref(&e->routing);
	identity_unref(&e->identity);
	tls_sni_map_unref(&e->names);
	mem_free(e);
}

static void run_free(struct job *j, void *worker)
{
	(void)j;
	(void)worker;
}

static void on_retired(struct job *j)
{
	epoch_free(container_of(j, struct epoch, job));
}

/* Thousands of entities may go with an epoch: a loop has better things to do. */
static bool retire(struct epoch *e)
{
	if (!e->slow || !loop_current()) {
		return false;
	}
	e->job = (struct job){.run = run_free, .done = on_retired};
	return pool_submit(e->slow, &e->job) == ERR_OK;
}

void epoch_unref(struct epoch **ep)
{
	struct epoch *e = *ep;

	*ep = NULL;
	if (e && atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1 && !retire(e)) {
		epoch_free(e);
	}
}

struct entity_item *builder_find(const struct builder *b, enum entity_kind kind,
				 const struct guid *id)
{
	return map_get(&b->items[kind], guid_bytes(id));
}

/* ---- what changed ---- */

enum {
	DIRTY_ROUTING = 1,
	DIRTY_IDENTITY = 2,
	DIRTY_UPSTREAMS = 4,
	DIRTY_NAMES = 8,
	DIRTY_ALL = 15
};

static unsigned part_of(enum entity_kind kind)
{
	switch (kind) {
	case ENTITY_SERVICE:
	case ENTITY_ROUTE:
	case ENTITY_PLUGIN:
		return DIRTY_ROUTING;
	case ENTITY_CONSUMER:
	case ENTITY_KEY_AUTH:
	case ENTITY_BASIC_AUTH:
	case ENTITY_ACL:
		return DIRTY_IDENTITY;
	case ENTITY_UPSTREAM:
	case ENTITY_TARGET:
		return DIRTY_UPSTREAMS; /* and routing, when it finds other balancers */
	case ENTITY_CERTIFICATE:
		return DIRTY_NAMES | DIRTY_ROUTING;
	case ENTITY_SNI:
		return DIRTY_NAMES;
	case ENTITY_CA_CERTIFICATE:
		return DIRTY_ROUTING;
	case ENTITY_VAULT:
		return DIRTY_NAMES | DIRTY_ROUTING;
	case ENTITY_KINDS:
		break;
	}
	return 0;
}

/* vault_find_fn */
static const struct json *find_vault(void *arg, struct str prefix)
{
	struct builder *b = arg;
	struct map_entry e;
	size_t pos = 0;

	b->asked_vault = true;
	while (map_next(&b->items[ENTITY_VAULT], &pos, &e)) {
		const struct entity_item *i = e.value;

		if (str_eq(json_str(json_get(i->json, STR("prefix"))), prefix)) {
			return i->json;
		}
	}
	return NULL;
}

/* A plugin whose configuration names a vault, be there one or not, is told of its changes. */
static enum err compile_plugin(struct builder *b, struct entity_item *i, struct fault *f)
{
	enum err e;

	b->asked_vault = false;
	e = plugin_compile(&b->host, &b->vaults, i, f);
	if (b->asked_vault) {
		(void)map_set(&b->from_vaults, guid_bytes(&i->id), i);
	}
	return e;
}

static void drop(struct entity_item *i)
{
	entity_item_unref(&i);
}

static void compile(struct builder *b, struct entity_item *i)
{
	struct fault f = {0};
	enum err e = ERR_OK;

	if (i->compiled) {
		return;
	}
	if (i->kind == ENTITY_SERVICE) {
		e = service_compile(i, &f);
	} else if (i->kind == ENTITY_ROUTE) {
		e = route_compile(i, &f);
	} else if (i->kind == ENTITY_PLUGIN) {
		e = compile_plugin(b, i, &f);
	}
	i->unusable = e != ERR_OK;
	if (i->unusable) {
		char id[GUID_D_LEN];

		guid_d(&i->id, id);
		log_error("gateway", "an entity cannot be used",
			  LOG_CSTR("entity", entity_defs[i->kind].collection),
			  LOG_STR("id", str_of(id, sizeof(id))), LOG_FAULT(&f));
	}
}

static void forget_tls(struct builder *b, const struct entity_change *c)
{
	const struct service *s = c->item ? c->item->compiled : NULL;

	if (!s || !s->tls) {
		service_tls_forget(b->service_tls, &c->id);
	}
}

static void take(struct builder *b, const struct entity_change *c)
{
	struct map *m = &b->items[c->kind];
	struct entity_item *old = map_remove(m, guid_bytes(&c->id));

	if (c->kind == ENTITY_PLUGIN) {
		(void)map_remove(&b->from_vaults, guid_bytes(&c->id));
	}
	b->dirty |= part_of(c->kind);
	b->vaults.generation += c->kind == ENTITY_VAULT;
	if (part_of(c->kind) & DIRTY_NAMES || c->kind == ENTITY_CA_CERTIFICATE) {
		service_tls_renew(b->service_tls);
	}
	if (c->item) {
		struct entity_item *i = entity_item_ref(c->item);

		compile(b, i);
		(void)map_set(m, guid_bytes(&i->id), i);
	}
	stale_note(b, old, c->item);
	identity_note(&b->people, old, c->item);
	upstreams_note(&b->upstreams, old, c->item);
	if (c->kind == ENTITY_SERVICE) {
		forget_tls(b, c);
	}
	if (c->kind == ENTITY_PLUGIN) {
		plugin_index_remove(&b->plugins, old);
		plugin_index_add(&b->plugins, c->item);
	}
	if (old) {
		drop(old);
	}
}

/* What is stored is the same, but not what a vault makes of it. */
static void remake_from_vaults(struct builder *b)
{
	struct entity_item **v = MEM_NEW_ARRAY(struct entity_item *, b->from_vaults.n + 1);
	struct map_entry e;
	size_t pos = 0, n = 0;

	while (map_next(&b->from_vaults, &pos, &e)) {
		v[n++] = e.value;
	}
	for (size_t i = 0; i < n; i++) {
		struct entity_change c = {.kind = v[i]->kind, .id = v[i]->id};

		c.item = entity_item_new(c.kind, &c.id, v[i]->json);
		take(b, &c);
		entity_item_unref(&c.item);
	}
	mem_free(v);
}

static void forget_all(struct builder *b)
{
	for (int kind = 0; kind < ENTITY_KINDS; kind++) {
		struct map_entry e;
		size_t pos = 0;

		while (map_next(&b->items[kind], &pos, &e)) {
			drop(e.value);
		}
		map_free(&b->items[kind]);
		b->items[kind] = (struct map){0};
	}
	plugin_index_free(&b->plugins);
	map_free(&b->from_vaults);
	upstreams_forget(&b->upstreams);
	identity_draft_fini(&b->people);
	identity_draft_init(&b->people);
	b->stale.all = true;
	b->dirty = DIRTY_ALL;
	if (b->service_tls) {
		service_tls_renew(b->service_tls);
	}
}

/* ---- epochs ---- */

/* A balancer survives its changes, so routes are concerned when names come or go. */
static void rebuild_upstreams(struct builder *b)
{
	struct balancer_view *old = b->view;

	b->view = upstreams_apply(&b->upstreams, b->balancers, old, &b->items[ENTITY_UPSTREAM]);
	if (!old || !balancer_view_same(old, b->view)) {
		b->stale.all = true;
		b->dirty |= DIRTY_ROUTING;
	}
	balancer_view_unref(&old);
}

static void rebuild_routing(struct builder *b)
{
	struct fault f = {0};
	struct routing *next = routing_build(b, &f);

	stale_clear(&b->stale);
	if (next) {
		routing_unref(&b->routing);
		b->routing = next;
	} else {
		/* What it lacks is known only to a whole one. */
		b->stale.all = true;
		log_error("gateway", "the former routes stay in use", LOG_FAULT(&f));
	}
}

static void rebuild(struct builder *b)
{
	if (b->dirty & DIRTY_UPSTREAMS || !b->view) {
		rebuild_upstreams(b);
	}
	if (b->dirty & DIRTY_NAMES || !b->names) {
		tls_sni_map_unref(&b->names);
		b->names = certificates_names(&b->vaults, &b->items[ENTITY_CERTIFICATE],
					      &b->items[ENTITY_SNI], b->dflt);
	}
	if (b->dirty & DIRTY_ROUTING || !b->routing) {
		rebuild_routing(b);
	}
	if (b->dirty & DIRTY_IDENTITY || !b->identity) {
		identity_unref(&b->identity);
		b->identity = identity_build(&b->people, b->items);
	}
	b->dirty = 0;
}

/* Vaults first: the others may refer to them. */
static void take_all(struct builder *b, const struct entity_change *v, size_t n)
{
	bool has_vaults = false;

	for (size_t i = 0; i < n; i++) {
		if (v[i].kind == ENTITY_VAULT) {
			take(b, &v[i]);
			has_vaults = true;
		}
	}
	if (has_vaults) {
		remake_from_vaults(b);
	}
	for (size_t i = 0; i < n; i++) {
		if (v[i].kind != ENTITY_VAULT) {
			take(b, &v[i]);
		}
	}
}

struct epoch *builder_apply(struct builder *b, const struct entity_change *v, size_t n, bool all)
{
	struct epoch *e = MEM_NEW(struct epoch);

	if (all) {
		forget_all(b);
	}
	take_all(b, v, n);
	if (all) {
		service_tls_keep(b->service_tls, &b->items[ENTITY_SERVICE]);
	}
	rebuild(b);
	atomic_init(&e->refs, 1);
	e->slow = b->host.slow;
	e->routing = routing_ref(b->routing);
	e->identity = identity_ref(b->identity);
	e->names = tls_sni_map_ref(b->names);
	return e;
}

/* ---- life ---- */

struct builder *builder_new(const struct plugin_host *host, struct tls_cert *dflt)
{
	struct builder *b = MEM_NEW(struct builder);

	b->host = *host;
	b->vaults = (struct vaults){.find = find_vault, .arg = b};
	b->balancers = balancer_set_new(host->loops);
	b->host.balancers = b->balancers;
	b->service_tls = service_tls_new();
	identity_draft_init(&b->people);
	b->dflt = tls_cert_ref(dflt);
	return b;
}

struct balancer_set *builder_balancers(struct builder *b)
{
	return b->balancers;
}

/* Nothing uses a balancer any more, and its timers are on the loops. */
void builder_joined(struct builder *b)
{
	routing_unref(&b->routing);
	balancer_view_unref(&b->view);
	b->host.balancers = NULL;
	balancer_set_free(&b->balancers);
}

struct plugin_host *builder_plugin_host(struct builder *b)
{
	return &b->host;
}

void builder_free(struct builder **bp)
{
	struct builder *b = *bp;

	*bp = NULL;
	if (b) {
		forget_all(b);
		stale_clear(&b->stale);
		routing_unref(&b->routing);
		identity_draft_fini(&b->people);
		identity_unref(&b->identity);
		service_tls_free(&b->service_tls);
		tls_sni_map_unref(&b->names);
		tls_cert_unref(&b->dflt);
		plugin_host_fini(&b->host);
		mem_free(b);
	}
}
