/*
 * negotiate - new connections, for the endpoint and for transports that come without an id
 */
#pragma once
#include "relay/endpoint.h"

/*
 * At the home of e->visitor: makes a connection for it and calls `then` with it in
 * e->link, now or later; or answers 403 (unknown tenant) or 503.
 */
void negotiate_conn(struct errand *e, errand_fn *then);
