/*
 * transport - the three ways a hub connection travels, behind transport_ops
 *
 * A connection is attached in three steps: on the loop that accepted the exchange
 * the caller is checked; at home the connection is found (or made) and reserved; back
 * on the first loop the exchange is turned into a WebSocket or an event stream, which moves
 * home and is attached there. Long polls stay where they are accepted and are
 * answered by errands.
 */
#pragma once
#include "relay/errand.h"

/*
 * At home: e->visitor's connection e->token, free to be attached by `kind`, or a
 * new one when there is no token. Reserves it, notes its token in the errand and
 * goes on with `then` (now or later); or answers 400, 404, 409 …
 */
void transport_reserve(struct errand *e, enum transport_kind kind, errand_fn *then);
/* At home: the reserved connection, NULL when it has gone. */
struct hub_conn *transport_reserved(struct errand *e);

void transport_ws(struct errand *e);
void transport_sse(struct errand *e);
void transport_poll(struct errand *e);
/* At home: the client of an open poll has gone. */
void transport_poll_gone(struct errand *e);

/* At the end of the loop. */
void polls_free(struct relay_loop *rl);
