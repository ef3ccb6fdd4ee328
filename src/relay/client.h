/*
 * client - the side of a relayed request that faces the client, on the client's loop
 *
 * Collects the body, then moves the request to its home loop. When that is another one, only this
 * small object stays with the exchange, and finds the request again by id.
 */
#pragma once
#include "relay/body_send.h"
#include "relay/front.h"
#include "relay/request.h"

struct relay_client {
	struct relay_loop *rl;
	struct exchange *x;
	struct relay_loop *home;
	struct guid id;
	struct relay_request *request; /* NULL: on another loop, or ended */
	struct body_send *send;	       /* a stored body is on its way out */
	bool answered;
	bool has_asked; /* whether the tenant wants it */
};

/* Takes the exchange; front->kind is one of the relay modes. */
void client_begin(struct relay_loop *rl, struct exchange *x, const struct front *front);
/* Pauses the body until the tenant is known to want it, or refuses. May end the exchange. */
void client_ask(struct relay_client *c);
/* From a request that lives on the same loop. */
void client_answer(struct relay_client *c, const struct answer *an);
/* From another loop: copied and sent there. The client may have gone. */
void client_post_answer(struct exchange_id x, struct relay *r, const struct answer *an);
