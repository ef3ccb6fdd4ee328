/* The rings of a tenant's connections and its waiting requests. */
#include "relay/hub.h"
#include "relay/tenant.h"

void tenant_add_conn(struct tenant *t, struct hub_conn *c)
{
	t->n_conns++;
	c->is_ready = false;
	list_push(&t->busy, &c->node);
	relay_count(t->rl, COUNT_CONNECTIONS, 1);
	tenant_settle_conn(t, c);
}

void tenant_remove_conn(struct tenant *t, struct hub_conn *c)
{
	t->n_conns--;
	list_remove(&c->node);
	c->is_ready = false;
	relay_count(t->rl, COUNT_CONNECTIONS, -1);
}

bool tenant_is_served(const struct tenant *t)
{
	bool served = !list_is_empty(&t->ready);

	LIST_EACH (&t->busy, n) {
		served = served || !container_of(n, struct hub_conn, node)->is_leaving;
	}
	return served;
}

void tenant_release(struct tenant *t)
{
	if (!t->rl->draining) {
		return;
	}
	for (int i = 0; i < 2; i++) {
		/* One that leaves had nothing to hand over, so the others stay where they are. */
		LIST_EACH (i == 0 ? &t->ready : &t->busy, n) {
			struct hub_conn *c = container_of(n, struct hub_conn, node);

			if (!hub_is_working(c)) {
				hub_close(c, HUB_COME_BACK);
			}
		}
	}
}

static void place(struct tenant *t, struct hub_conn *c, bool ready)
{
	list_remove(&c->node);
	list_push(ready ? &t->ready : &t->busy, &c->node);
	c->is_ready = ready;
}

void tenant_settle_conn(struct tenant *t, struct hub_conn *c)
{
	bool ready = hub_can_take(c);

	if (ready == c->is_ready) {
		return;
	}
	place(t, c, ready);
	if (ready) {
		tenant_pump(t);
	}
}

/* False: no connection takes it. A connection that refuses is busy until it says otherwise. */
static bool send_now(struct tenant *t, struct relay_request *r)
{
	struct list_node *n;

	while ((n = list_first(&t->ready))) {
		struct hub_conn *c = container_of(n, struct hub_conn, node);

		if (hub_send_request(c, r) != ERR_OK) {
			place(t, c, false);
			continue;
		}
		place(t, c, true);
		request_sent(r, c);
		tenant_settle_conn(t, c);
		return true;
	}
	return false;
}

static void queue_put(struct tenant *t, struct relay_request *r)
{
	t->n_queued++;
	t->bytes_queued += r->weight;
	relay_count(t->rl, COUNT_QUEUED, 1);
	ASSERT(r->state == REQUEST_QUEUED);
}

void tenant_dequeue(struct tenant *t, struct relay_request *r)
{
	list_remove(&r->node);
	t->n_queued--;
	t->bytes_queued -= r->weight;
	relay_count(t->rl, COUNT_QUEUED, -1);
}

/* What it holds as long as it lives, in memory and in the store. */
static uint64_t weight_of(const struct relay_request *r)
{
	uint64_t n = sizeof(*r) + r->url.n + r->body_size;

	for (size_t i = 0; i < r->headers.n; i++) {
		n += sizeof(r->headers.v[i]) + r->headers.v[i].name.n + r->headers.v[i].value.n;
	}
	return n;
}

/* However large, one may come. */
static bool has_room(const struct tenant *t, size_t n, uint64_t bytes)
{
	const struct relay_config *config = t->rl->epoch->config;

	return n < (size_t)config->tenant_queue_max &&
	       bytes < (uint64_t)config->tenant_queue_bytes_max;
}

/*
 * A /queue request stays after it was sent, until it is fetched, acknowledged or too old. Any
 * visitor can make one that nobody acknowledges, and must not fill what all tenants share. What was
 * sent over a connection that is lost makes room: nobody may come for it.
 */
static bool make_room(struct tenant *t)
{
	while (!has_room(t, t->n_kept, t->bytes_kept)) {
		struct list_node *first = list_first(&t->abandoned);

		if (!first) {
			return false;
		}
		request_fail(container_of(first, struct relay_request, node), REQUEST_FAILED, 503,
			     RELAY_FAILED);
	}
	return true;
}

static void keep(struct tenant *t, struct relay_request *r)
{
	r->is_kept = true;
	t->n_kept++;
	t->bytes_kept += r->weight;
}

void tenant_unkeep(struct tenant *t, struct relay_request *r)
{
	if (r->is_kept) {
		r->is_kept = false;
		t->n_kept--;
		t->bytes_kept -= r->weight;
	}
}

enum err tenant_enqueue(struct tenant *t, struct relay_request *r)
{
	r->weight = weight_of(r);
	if (r->is_discard) {
		if (!make_room(t)) {
			return ERR_LIMIT;
		}
		keep(t, r);
	}
	if (list_is_empty(&t->queue) && send_now(t, r)) {
		return ERR_OK;
	}
	if (!has_room(t, t->n_queued, t->bytes_queued)) {
		return ERR_LIMIT;
	}
	queue_put(t, r);
	list_push(&t->queue, &r->node);
	return ERR_OK;
}

void tenant_requeue(struct tenant *t, struct relay_request *r)
{
	queue_put(t, r);
	list_push_front(&t->queue, &r->node);
}

void tenant_pump(struct tenant *t)
{
	while (!list_is_empty(&t->queue) && !list_is_empty(&t->ready)) {
		struct relay_request *r =
			container_of(list_first(&t->queue), struct relay_request, node);

		tenant_dequeue(t, r);
		if (!send_now(t, r)) {
			tenant_requeue(t, r);
			return;
		}
	}
}
