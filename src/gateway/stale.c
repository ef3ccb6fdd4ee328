/*
 * Which routes a change concerns: of these the next routing makes entries, the others keep theirs.
 *
 *	route        itself
 *	service      its routes; all when it could not be used before, since then they have no entry
 *	plugin       the route, or the routes of the service, that it is or was bound to; else all
 *	certificate  those of services that show it: contexts for TLS may be others
 *	CA           those of services that trust it
 *	vault        those of services that show a certificate
 *
 * An entry points to the struct of its service, which is another one after each change: so the
 * routes of a service are those that point to the former. They are looked for among all, and so are
 * the services of a certificate: a change that would take many searches concerns all routes.
 */
#include "base/mem.h"
#include "gateway/epoch_int.h"

enum { SEARCHES_MAX = 64 };

void stale_clear(struct stale *s)
{
	mem_free(s->routes);
	*s = (struct stale){0};
}

static void add_route(struct stale *s, const struct guid *id)
{
	if (s->n == s->cap) {
		s->cap = s->cap * 2 + 16;
		s->routes = mem_resize(s->routes, sizeof(*s->routes) * s->cap);
	}
	s->routes[s->n++] = *id;
}

static void add_entries(struct stale *s, const struct routing *r, const struct service *service)
{
	for (size_t i = 0; i < r->n; i++) {
		if (r->entries[i]->service == service) {
			add_route(s, &r->routes[i]->pub.id);
		}
	}
}

static bool may_search(struct builder *b)
{
	b->stale.all = b->stale.all || !b->routing || ++b->stale.searches > SEARCHES_MAX;
	return !b->stale.all;
}

static void add_routes_of(struct builder *b, const struct service *service)
{
	if (!may_search(b)) {
		return;
	}
	add_entries(&b->stale, b->routing, service);
	if (b->routing->base) {
		add_entries(&b->stale, b->routing->base, service);
	}
}

static void note_service(struct builder *b, const struct entity_item *old)
{
	const struct service *s = old ? old->compiled : NULL;

	if (s && s->enabled) {
		add_routes_of(b, s);
	} else if (old) {
		b->stale.all = true;
	}
}

/* ---- contexts for TLS ---- */

static bool trusts(const struct service *s, const struct guid *ca)
{
	const struct json *ids = json_get(s->pub.json, STR("ca_certificates"));
	struct guid id;

	for (const struct json *e = json_is_null(ids) ? NULL : ids->child; e; e = e->next) {
		if (guid_parse(json_str(e), &id) == ERR_OK && guid_eq(&id, ca)) {
			return true;
		}
	}
	return false;
}

static bool is_concerned(const struct service *s, const struct entity_item *material)
{
	if (!s || !s->tls) {
		return false;
	}
	if (material->kind == ENTITY_CA_CERTIFICATE) {
		return trusts(s, &material->id);
	}
	return material->kind == ENTITY_VAULT ? !guid_is_nil(&s->client_certificate)
					      : guid_eq(&s->client_certificate, &material->id);
}

static void note_material(struct builder *b, const struct entity_item *material)
{
	struct map_entry e;
	size_t pos = 0;

	if (!may_search(b)) {
		return;
	}
	while (!b->stale.all && map_next(&b->items[ENTITY_SERVICE], &pos, &e)) {
		const struct service *s = ((const struct entity_item *)e.value)->compiled;

		if (is_concerned(s, material)) {
			add_routes_of(b, s);
		}
	}
}

static void note_plugin(struct builder *b, const struct entity_item *item)
{
	const struct plugin_instance *p = item ? item->compiled : NULL;

	if (!p) {
		return;
	}
	if (!guid_is_nil(&p->route)) {
		add_route(&b->stale, &p->route);
	} else if (!guid_is_nil(&p->service)) {
		const struct entity_item *s = builder_find(b, ENTITY_SERVICE, &p->service);

		/* If the service changes as well, its own change tells its routes. */
		if (s && s->compiled) {
			add_routes_of(b, s->compiled);
		}
	} else {
		b->stale.all = true;
	}
}

void stale_note(struct builder *b, const struct entity_item *old, const struct entity_item *now)
{
	const struct entity_item *any = now ? now : old;

	if (!any || b->stale.all) {
		return;
	}
	switch (any->kind) {
	case ENTITY_ROUTE:
		add_route(&b->stale, &any->id);
		break;
	case ENTITY_SERVICE:
		note_service(b, old);
		break;
	case ENTITY_PLUGIN:
		note_plugin(b, old);
		note_plugin(b, now);
		break;
	case ENTITY_CERTIFICATE:
	case ENTITY_CA_CERTIFICATE:
	case ENTITY_VAULT:
		note_material(b, any);
		break;
	case ENTITY_UPSTREAM: /* the builder compares balancers */
	case ENTITY_TARGET:
	case ENTITY_CONSUMER:
	case ENTITY_KEY_AUTH:
	case ENTITY_BASIC_AUTH:
	case ENTITY_ACL:
	case ENTITY_SNI:
	case ENTITY_KINDS:
		break;
	}
}
