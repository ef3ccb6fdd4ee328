/*
 * A plugin that runs for a route, or for those of a service, has a protocol in common with it,
 * or with one of them. As in Kong this is asked when the plugin is written, not the route, and
 * not of the protocols that a plugin has because its document says none.
 */
#include "base/clock.h"
#include "gateway/entities_int.h"
#include "gateway/entity_tree.h"

enum { ROUTES_AT_ONCE = 100 };

static bool have_common(const struct json *a, const struct json *b)
{
	const struct json *x = json_get(a, STR("protocols")), *y = json_get(b, STR("protocols"));

	for (const struct json *p = x ? x->child : NULL; p; p = p->next) {
		for (const struct json *q = y ? y->child : NULL; q; q = q->next) {
			if (str_eq(json_str(p), json_str(q))) {
				return true;
			}
		}
	}
	return false;
}

static enum err check_route(struct entities *es, struct entity_call *c, const struct json *plugin,
			    const struct guid *id)
{
	const struct json *route;
	enum err e = entity_source_get(es, c, ENTITY_ROUTE, id, &route);

	if (e == ERR_NOT_FOUND) {
		return ERR_OK; /* to be told of the reference */
	}
	TRY(e);
	return have_common(plugin, route)
		       ? ERR_OK
		       : entity_fail_field(c, "protocols",
					   STR("must match the associated route's protocols"));
}

static enum err check_service(struct entities *es, struct entity_call *c, const struct json *plugin,
			      const struct guid *id)
{
	struct entity_range r = {.kind = ENTITY_ROUTE,
				 .field = "service",
				 .ref_kind = ENTITY_SERVICE,
				 .ref = *id,
				 .max = ROUTES_AT_ONCE,
				 .now_ms = clock_wall_ms()};
	const struct json **v;
	size_t n;

	do {
		TRY(entity_source_page(es, c, &r, &v, &n));
		for (size_t i = 0; i < n; i++) {
			if (have_common(plugin, v[i])) {
				return ERR_OK;
			}
		}
		if (n == 0) {
			return ERR_OK; /* a service without routes */
		}
	} while (n == ROUTES_AT_ONCE && tree_id(v[n - 1], &r.from));
	return entity_fail_field(c, "protocols",
				 STR("must match the protocols of at least one route pointing to "
				     "this Plugin's service"));
}

enum err entity_check_protocols(struct entities *es, struct entity_call *c,
				const struct json *plugin)
{
	const struct json *route = json_get(plugin, STR("route"));
	const struct json *service = json_get(plugin, STR("service"));
	struct guid id;

	if (!json_is_null(route)) {
		return tree_id(route, &id) ? check_route(es, c, plugin, &id) : ERR_OK;
	}
	if (!json_is_null(service)) {
		return tree_id(service, &id) ? check_service(es, c, plugin, &id) : ERR_OK;
	}
	return ERR_OK;
}
