/*
 * plugin_entities - what may stand in a plugin entity: the plugins that are built
 *
 * Without plugin_entities_enable every plugin is refused as not enabled. To be called by
 * whoever processes entities: server and command line.
 */
#pragma once
#include "gateway/plugin.h"

void plugin_entities_enable(void);
/* False = there is none of that name. */
bool plugin_entity(struct str name, struct entity_plugin *out);
