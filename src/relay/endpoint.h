/*
 * endpoint - the HTTP endpoints of the role but relaying: one function each
 *
 * All run on the loop that accepted the exchange, and answer it.
 */
#pragma once
#include "relay/errand.h"
#include "relay/front.h"

/* discovery.c */
void endpoint_discovery(struct relay_loop *rl, struct exchange *x);
/* Trust came, or the end: answers those that wait. */
void discovery_unpark(struct relay_loop *rl);
void endpoint_ready(struct relay_loop *rl, struct exchange *x);
/* body_endpoint.c */
void endpoint_body_request(struct relay_loop *rl, struct exchange *x, const struct guid *id);
void endpoint_body_response(struct relay_loop *rl, struct exchange *x, const struct guid *id);
/* acknowledge.c */
void endpoint_acknowledge(struct relay_loop *rl, struct exchange *x, const struct front *front);
/* negotiate.c */
void endpoint_negotiate(struct relay_loop *rl, struct exchange *x);
/* transport.c: GET, POST and DELETE on /connector */
void endpoint_connector(struct relay_loop *rl, struct exchange *x);

/* visitor.c */
enum token_place { TOKEN_IN_HEADER, TOKEN_IN_QUERY_TOO };
/*
 * Whose connector this is, by the connector policy. False: answered (401, 403,
 * 503). Strings live in the exchange.
 */
bool endpoint_visitor(struct relay_loop *rl, struct exchange *x, enum token_place place,
		      struct hub_visitor *out);
