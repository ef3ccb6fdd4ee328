/*
 * upload_watch - who uploads a response, to be cut when its request is over
 *
 * A request knows its last few uploads, by the ids of their exchanges; ended ones are as good as
 * running ones, nothing is found of them any more.
 *
 * Ownership  the list owns its watches until upload_watch_cut, which sends each to the loop of
 *            its exchange.
 * Threads    the loop of the list; `over` is called on that of the exchange.
 */
#pragma once
#include "base/list.h"
#include "http/server.h"

/* Several at a time come from a request that was sent again. */
#define UPLOADS_WATCHED 4

typedef void upload_over_fn(struct exchange *x);

struct upload_watches {
	struct list list; /* oldest first */
	unsigned n;
};

void upload_watch_add(struct upload_watches *w, struct exchange_id x, upload_over_fn *over);
/* Of each that is still there: `over`, later. */
void upload_watch_cut(struct upload_watches *w);
