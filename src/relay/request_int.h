/*
 * request_int - what request.c and request_admit.c share
 */
#pragma once
#include "relay/request.h"

/* 0, or the status with which the request is refused for its token. */
int request_check_token(struct relay_request *r);
/* 0, or the status with which any request to the tenant is refused. On the tenant's loop. */
int request_check_tenant(const struct tenant *t);

/* The only way a request ends: counts, logs, unlinks and frees it. The client is not told. */
void request_finish(struct relay_request *r, enum request_state as, enum relay_outcome outcome,
		    const struct answer *an);
/* The same, and the client, if there still is one, gets the answer. */
void request_end(struct relay_request *r, enum request_state as, enum relay_outcome outcome,
		 const struct answer *an);
