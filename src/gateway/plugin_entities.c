#include "gateway/plugin_entities.h"

bool plugin_entity(struct str name, struct entity_plugin *out)
{
	const struct plugin *p = plugin_find(name);

	if (!p) {
		return false;
	}
	*out = (struct entity_plugin){
		.config = p->config,
		.no_consumer = p->scopes & PLUGIN_NO_CONSUMER,
		.no_route = p->scopes & PLUGIN_NO_ROUTE,
		.no_service = p->scopes & PLUGIN_NO_SERVICE,
	};
	return true;
}

void plugin_entities_enable(void)
{
	entity_plugins_from(plugin_entity);
}
