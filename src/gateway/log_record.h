/*
 * log_record - the record of a finished request that all log plugins send (kong-gateway §13)
 *
 * Written in one go into a buffer. Service, route and consumer are JSON already (log_json of
 * the structs in call.h), made once per stored version.
 */
#pragma once
#include "gateway/call.h"

/* Appends one JSON object. In the log phase, on the loop of the call. */
void log_record_write(struct gw_call *c, struct buf *out);
/* What `log_json` holds: `v` without members that are null. */
struct str log_record_of_entity(struct arena *a, const struct json *v);
