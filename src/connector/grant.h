/*
 * grant - the access token: one for all connections and transfers of a connector
 *
 * Got with the client credentials when somebody asks and there is no good one; all
 * who ask meanwhile get the same answer. Kept until a minute before its end.
 */
#pragma once
#include "connector/endpoints.h"
#include "http/client.h"

struct connector;
struct grant_wait;
/* `authorization` is empty where the server wants none; valid during the call. */
typedef void grant_fn(struct grant_wait *w, enum err e, struct str authorization);

/* Embedded in who asks; zero is idle. */
struct grant_wait {
	struct list_node node;
	grant_fn *fn;
};

struct grant {
	struct connector *c;
	struct list waiting;
	struct http_fetch *fetch;
	struct arena arena; /* of the token */
	struct str authorization;
	uint64_t good_until_ms; /* monotonic; 0 = none */
};

void grant_init(struct grant *g, struct connector *c);
void grant_fini(struct grant *g);
/* Calls `fn` once: at once when there is a good token. */
void grant_get(struct grant *g, struct grant_wait *w, grant_fn *fn);
void grant_cancel(struct grant_wait *w);
/* The server refused the token that it was given last. */
void grant_refuse(struct grant *g);
