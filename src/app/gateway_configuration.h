/*
 * gateway_configuration - what GET / of the Admin API tells of the settings
 *
 * Everything of the top level and of the gateway, by the names and in the forms of kong.conf where
 * Kong has such a key: proxy_listen, pg_host, log_level. Listeners come twice as in Kong: as text,
 * and as objects that clients read. No secret is told.
 */
#pragma once
#include "app/settings.h"
#include "base/json.h"

/* Members of an object; `a` for what is only needed meanwhile. */
void gateway_configuration_put(const struct settings *s, struct arena *a, struct json_writer *w);
