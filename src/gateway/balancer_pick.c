/*
 * The algorithms. Weights are in 1/256, so that an address in its slow start can have less than
 * one; 0 stands for "not this one": down, or tried before in this request.
 */
#include "base/mem.h"
#include "gateway/balancer_int.h"

#define NONE SIZE_MAX

struct pick {
	const struct table *table;
	struct lane *lane;
	const struct balancer_try *t;
	uint64_t now_ms;
};

static bool was_tried(const struct balancer_try *t, const struct peer *p)
{
	for (unsigned i = 0; i < MIN(t->n_tried, BALANCER_TRIED_MAX); i++) {
		if (t->tried[i] == p) {
			return true;
		}
	}
	return false;
}

static bool is_open(const struct pick *k, size_t i)
{
	struct peer *p = k->table->slots[i].peer;

	return !atomic_load_explicit(&p->down, memory_order_relaxed) && !was_tried(k->t, p);
}

/* What is left of the slow start is taken off. */
static uint64_t weight_of(const struct pick *k, size_t i)
{
	const struct slot *s = &k->table->slots[i];
	uint64_t full = (uint64_t)s->weight << 8;
	uint64_t risen_ms = atomic_load_explicit(&s->peer->risen_ms, memory_order_relaxed);
	uint32_t slow_ms = k->table->settings->c.slow_start_ms;

	if (!is_open(k, i)) {
		return 0;
	}
	if (LIKELY(risen_ms == 0) || slow_ms == 0) {
		return full;
	}
	uint64_t up_ms = k->now_ms > risen_ms ? k->now_ms - risen_ms : 0;

	if (up_ms >= slow_ms) {
		/* Over; unless it has come up again just now. */
		(void)atomic_compare_exchange_strong(&s->peer->risen_ms, &risen_ms, 0);
		return full;
	}
	return MAX(full * up_ms / slow_ms, 1);
}

/* Smooth weighted round-robin, as nginx has it: no bursts for the heavy ones. */
static size_t round_robin(const struct pick *k)
{
	int64_t *current = k->lane->current;
	int64_t total = 0;
	size_t best = NONE;

	for (size_t i = 0; i < k->table->n; i++) {
		int64_t w = (int64_t)weight_of(k, i);

		if (w == 0) {
			continue;
		}
		current[i] += w;
		total += w;
		if (best == NONE || current[i] > current[best]) {
			best = i;
		}
	}
	if (best != NONE) {
		current[best] -= total;
	}
	return best;
}

/* Least (active + 1) / weight. Where it begins to look moves on, so that equals take turns. */
static size_t least_connections(const struct pick *k)
{
	size_t n = k->table->n, best = NONE, first = n > 0 ? k->lane->turn++ % n : 0;
	uint64_t best_active = 0, best_weight = 1;

	for (size_t j = 0; j < n; j++) {
		size_t i = first + j < n ? first + j : first + j - n;
		uint64_t w = weight_of(k, i);
		uint64_t active = (uint64_t)peer_active(k->table->slots[i].peer) + 1;

		if (w > 0 && (best == NONE || active * best_weight < best_active * w)) {
			best = i;
			best_active = active;
			best_weight = w;
		}
	}
	return best;
}

static uint32_t chance(struct lane *lane, uint32_t below)
{
	/* xorshift64*: spread is enough here. */
	lane->rng ^= lane->rng >> 12;
	lane->rng ^= lane->rng << 25;
	lane->rng ^= lane->rng >> 27;
	return (uint32_t)((lane->rng * 0x2545F4914F6CDD1Du >> 32) * below >> 32);
}

/* Two that are open, drawn evenly: a reservoir of two. */
static unsigned draw_two(const struct pick *k, size_t out[2])
{
	uint32_t seen = 0;

	for (size_t i = 0; i < k->table->n; i++) {
		if (!is_open(k, i)) {
			continue;
		}
		uint32_t at = seen < 2 ? seen : chance(k->lane, seen + 1);

		seen++;
		if (at < 2) {
			out[at] = i;
		}
	}
	return MIN(seen, 2);
}

static float cost_of(const struct pick *k, size_t i)
{
	return peer_latency_us(k->table->slots[i].peer, k->now_ms) / (float)weight_of(k, i);
}

/* The quicker of two: nearly as good as the quickest of all, and no stampede on it. */
static size_t lowest_latency(const struct pick *k)
{
	size_t two[2];
	unsigned n = draw_two(k, two);

	if (n < 2) {
		return n == 1 ? two[0] : NONE;
	}
	float a = cost_of(k, two[0]), b = cost_of(k, two[1]);

	if (a == b) {
		return two[chance(k->lane, 2)];
	}
	return a < b ? two[0] : two[1];
}

static size_t consistent_hash(const struct pick *k, uint32_t hash)
{
	const struct table *t = k->table;
	size_t lo = 0, hi = t->n_points;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->points[mid].hash < hash) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	for (size_t j = 0; j < t->n_points; j++) {
		size_t at = lo + j < t->n_points ? lo + j : lo + j - t->n_points;

		if (is_open(k, t->points[at].slot)) {
			return t->points[at].slot;
		}
	}
	return NONE;
}

static size_t choose(const struct pick *k, const struct balancer_key *key)
{
	switch (k->table->settings->c.algorithm) {
	case BALANCER_ROUND_ROBIN:
		break;
	case BALANCER_CONSISTENT_HASHING:
		if (key && key->has) {
			return consistent_hash(k, key->hash);
		}
		break;
	case BALANCER_LEAST_CONNECTIONS:
		return least_connections(k);
	case BALANCER_LATENCY:
		return lowest_latency(k);
	}
	return round_robin(k);
}

/* ---- the interface ---- */

static void take(struct balancer_try *t, struct peer *p, const struct table *table,
		 struct balancer_peer *out)
{
	(void)atomic_fetch_add_explicit(&p->use, PEER_ACTIVE, memory_order_relaxed);
	t->peer = p;
	t->tried[t->n_tried++ % BALANCER_TRIED_MAX] = p;
	t->tries++;
	*out = (struct balancer_peer){
		.addr = p->addr,
		.host = table->settings->c.use_srv_name && p->srv_name.p ? p->srv_name : p->host,
		.port = p->port,
		.host_header = table->settings->c.host_header,
	};
}

enum err balancer_pick(struct balancer *b, struct loop *l, const struct balancer_key *key,
		       struct balancer_try *t, struct balancer_peer *out)
{
	ASSERT(!t->peer && !t->records);
	if (b->kind != KIND_UPSTREAM) {
		return plain_pick(b, l, t, out);
	}
	const struct table *table = atomic_load_explicit(&b->table, memory_order_acquire);
	struct pick k = {
		.table = table,
		.lane = table->lanes[loop_index(l)],
		.t = t,
		.now_ms = loop_now_ms(l),
	};
	size_t i = NONE;

	if (atomic_load_explicit(&b->usable, memory_order_relaxed)) {
		i = choose(&k, key);
		if (i == NONE && t->n_tried > 0) {
			t->n_tried = 0; /* all were tried: round again */
			i = choose(&k, key);
		}
	}
	if (i == NONE) {
		return table->pending ? ERR_AGAIN : ERR_UNAVAILABLE;
	}
	take(t, table->slots[i].peer, table, out);
	return ERR_OK;
}

void balancer_done(struct balancer *b, struct loop *l, struct balancer_try *t,
		   enum balancer_outcome outcome, int status, uint64_t latency_us)
{
	struct peer *p = t->peer;

	if (b->kind != KIND_UPSTREAM) {
		plain_done(t);
		return;
	}
	if (!p) {
		return;
	}
	const struct table *table = atomic_load_explicit(&b->table, memory_order_acquire);

	t->peer = NULL;
	if (table->settings->c.algorithm == BALANCER_LATENCY && latency_us > 0 &&
	    outcome == BALANCER_STATUS) {
		peer_add_latency(p, latency_us, loop_now_ms(l));
	}
	health_report(b, p, &table->settings->c.health.passive, outcome, status);
	if (atomic_fetch_sub_explicit(&p->use, PEER_ACTIVE, memory_order_acq_rel) == PEER_ACTIVE) {
		mem_free(p);
	}
}

void balancer_wait(struct balancer *b, struct loop *l, struct balancer_waiter *w,
		   balancer_wait_fn *fn)
{
	w->balancer = b;
	w->fn = fn;
	if (b->kind != KIND_UPSTREAM) {
		plain_wait(b, l, w);
		return;
	}
	list_push(&b->set->waiting[loop_index(l)], &w->node);
}

void balancer_wait_cancel(struct balancer_waiter *w)
{
	if (w->balancer && w->balancer->kind != KIND_UPSTREAM) {
		plain_wait_cancel(w);
	}
	list_remove(&w->node);
	w->balancer = NULL;
}
