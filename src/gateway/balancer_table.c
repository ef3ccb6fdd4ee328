/* Peers, and the tables that loops pick from; balancer_int.h says how those are replaced. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "gateway/balancer_int.h"
#include "gateway/hash.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define POINTS_PER_SHARE 160
#define WARM_UP_MAX 64
#define LATENCY_DECAY_MS 10000.0f
#define CACHE_LINE 64

/* ---- peers ---- */

struct peer *peer_new(const struct addr *a, struct str host, struct str srv_name)
{
	char ip[ADDR_TEXT_MAX];
	size_t n = addr_format_ip(a, ip);
	struct peer *p = mem_zalloc(sizeof(*p) + n + host.n + srv_name.n);

	atomic_init(&p->use, 1);
	p->addr = *a;
	p->port = addr_port(a);
	memcpy(p->text, ip, n);
	p->ip = str_of(p->text, n);
	memcpy(p->text + n, host.p, host.n);
	p->host = str_of(p->text + n, host.n);
	if (srv_name.n > 0) {
		memcpy(p->text + n + host.n, srv_name.p, srv_name.n);
		p->srv_name = str_of(p->text + n + host.n, srv_name.n);
	}
	return p;
}

void peer_ref(struct peer *p)
{
	(void)atomic_fetch_add_explicit(&p->use, 1, memory_order_relaxed);
}

void peer_unref(struct peer *p)
{
	if (atomic_fetch_sub_explicit(&p->use, 1, memory_order_acq_rel) == 1) {
		mem_free(p);
	}
}

/* Average in microseconds as a float, and when it was taken, in one word. */
union latency {
	uint64_t word;
	struct {
		float us;
		uint32_t at_ms; /* 0 = never */
	} v;
};

/* The clocks of two loops differ by a turn: what seems to come from the future is of now. */
static float decay(uint32_t at_ms, uint64_t now_ms)
{
	int32_t since_ms = (int32_t)((uint32_t)now_ms - at_ms);

	return since_ms <= 0 ? 1 : expf(-(float)since_ms / LATENCY_DECAY_MS);
}

float peer_latency_us(struct peer *p, uint64_t now_ms)
{
	union latency l = {.word = atomic_load_explicit(&p->latency, memory_order_relaxed)};

	/* What nobody measured for a while counts less and less: it deserves another try. */
	return l.v.at_ms == 0 ? 0 : l.v.us * decay(l.v.at_ms, now_ms);
}

void peer_add_latency(struct peer *p, uint64_t us, uint64_t now_ms)
{
	union latency old = {.word = atomic_load_explicit(&p->latency, memory_order_relaxed)};
	union latency new;

	do {
		float w = old.v.at_ms == 0 ? 0 : decay(old.v.at_ms, now_ms);

		new.v.us = old.v.us *w + (float)us *(1 - w);
		new.v.at_ms = (uint32_t)now_ms | 1;
	} while (!atomic_compare_exchange_weak_explicit(
		&p->latency, &old.word, new.word, memory_order_relaxed, memory_order_relaxed));
}

/* Newcomers start with the mean of the others instead of drawing all the traffic. */
static void even_latency(struct table *t, uint64_t now_ms)
{
	float sum = 0;
	unsigned n = 0;

	for (size_t i = 0; i < t->n; i++) {
		float us = peer_latency_us(t->slots[i].peer, now_ms);

		sum += us;
		n += us > 0;
	}
	for (size_t i = 0; n > 0 && i < t->n; i++) {
		if (atomic_load(&t->slots[i].peer->latency) == 0) {
			peer_add_latency(t->slots[i].peer, (uint64_t)(sum / (float)n), now_ms);
		}
	}
}

/* ---- the continuum ---- */

/*
 * How many points a weight gives: 160 to 320 for the largest, in proportion for the others. The
 * unit is a power of two, so that a target that comes or goes does not change the points of
 * the others, unless it is the heaviest by far.
 */
static uint32_t unit_of(const struct table *t)
{
	uint32_t max = 1, unit = 1;

	for (size_t i = 0; i < t->n; i++) {
		max = MAX(max, t->slots[i].weight);
	}
	while (unit <= max / 2) {
		unit *= 2;
	}
	return unit;
}

static size_t points_of(uint32_t weight, uint32_t unit)
{
	uint64_t n = ((uint64_t)weight * POINTS_PER_SHARE + unit / 2) / unit;

	return n > 0 ? (size_t)n : 1;
}

static void sort_by_byte(const struct point *from, size_t n, unsigned shift, struct point *to)
{
	size_t at[256] = {0}, sum = 0;

	for (size_t i = 0; i < n; i++) {
		at[from[i].hash >> shift & 0xff]++;
	}
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		size_t count = at[i];

		at[i] = sum;
		sum += count;
	}
	for (size_t i = 0; i < n; i++) {
		to[at[from[i].hash >> shift & 0xff]++] = from[i];
	}
}

/*
 * By hash; those that coincide stay in the order of their slots. A thousand targets have 250,000
 * points: comparing them would take ten times as long.
 */
static void sort_points(struct point *v, size_t n)
{
	struct point *spare = MEM_NEW_ARRAY(struct point, n);

	sort_by_byte(v, n, 0, spare);
	sort_by_byte(spare, n, 8, v);
	sort_by_byte(v, n, 16, spare);
	sort_by_byte(spare, n, 24, v);
	mem_free(spare);
}

/* A node's own order of slots must not matter where points coincide. */
static int compare_slots(const void *x, const void *y)
{
	const struct peer *a = ((const struct slot *)x)->peer, *b = ((const struct slot *)y)->peer;
	int c = str_cmp(a->host, b->host);

	c = c ? c : str_cmp(a->ip, b->ip);
	return c ? c : (int)a->port - (int)b->port;
}

static void make_points(struct table *t)
{
	uint32_t unit = unit_of(t);
	size_t at = 0;

	for (size_t i = 0; i < t->n; i++) {
		t->n_points += points_of(t->slots[i].weight, unit);
	}
	t->points = MEM_NEW_ARRAY(struct point, t->n_points);
	for (size_t i = 0; i < t->n; i++) {
		const struct peer *p = t->slots[i].peer;
		uint32_t seed = hash_xx32(p->ip, hash_xx32(p->host, p->port));
		size_t n = points_of(t->slots[i].weight, unit);

		for (size_t k = 0; k < n; k++) {
			uint8_t number[4] = {(uint8_t)k, (uint8_t)(k >> 8), (uint8_t)(k >> 16), 0};

			t->points[at++] = (struct point){
				.hash = hash_xx32(str_of(number, sizeof(number)), seed),
				.slot = (uint32_t)i,
			};
		}
	}
	sort_points(t->points, t->n_points);
}

/* ---- tables ---- */

/* Runs a few turns, so that not every loop begins with the same target. */
static void warm_up(const struct table *t, struct lane *lane)
{
	uint32_t turns = t->n > 1 ? rand_below((uint32_t)MIN(t->n, WARM_UP_MAX)) : 0;

	while (turns-- > 0) {
		int64_t total = 0;
		size_t best = 0;

		for (size_t i = 0; i < t->n; i++) {
			int64_t w = (int64_t)t->slots[i].weight << 8;

			lane->current[i] += w;
			total += w;
			best = lane->current[i] > lane->current[best] ? i : best;
		}
		lane->current[best] -= total;
	}
}

static struct lane *lane_new(const struct table *t)
{
	/* No two loops write to one cache line. */
	struct lane *lane =
		mem_zalloc(sizeof(*lane) + t->n * sizeof(lane->current[0]) + CACHE_LINE);

	rand_bytes(&lane->rng, sizeof(lane->rng));
	lane->rng |= 1;
	lane->turn = (uint32_t)(lane->rng >> 32);
	warm_up(t, lane);
	return lane;
}

static void collect(struct table *t, const struct balancer *b)
{
	size_t n = 0;

	LIST_EACH (&b->targets, it) {
		n += container_of(it, struct target, node)->n_peers;
	}
	t->slots = MEM_NEW_ARRAY(struct slot, n + 1);
	LIST_EACH (&b->targets, it) {
		const struct target *g = container_of(it, struct target, node);

		t->pending = t->pending || (!g->known && g->weight > 0);
		for (size_t i = 0; i < g->n_peers; i++) {
			if (g->peers[i]->weight > 0) {
				peer_ref(g->peers[i]);
				t->slots[t->n++] = (struct slot){.peer = g->peers[i],
								 .weight = g->peers[i]->weight};
			}
		}
	}
	qsort(t->slots, t->n, sizeof(t->slots[0]), compare_slots);
}

static struct table *table_new(struct balancer *b)
{
	struct table *t = MEM_NEW(struct table);

	t->settings = b->settings;
	(void)atomic_fetch_add(&t->settings->refs, 1);
	collect(t, b);
	if (t->settings->c.algorithm == BALANCER_CONSISTENT_HASHING && t->n > 0) {
		make_points(t);
	}
	if (t->settings->c.algorithm == BALANCER_LATENCY) {
		even_latency(t, clock_mono_ms());
	}
	t->n_lanes = b->set->loops->n;
	t->lanes = MEM_NEW_ARRAY(struct lane *, t->n_lanes);
	for (unsigned i = 0; i < t->n_lanes; i++) {
		t->lanes[i] = lane_new(t);
	}
	return t;
}

void table_free(struct table *t)
{
	if (!t) {
		return;
	}
	for (size_t i = 0; i < t->n; i++) {
		peer_unref(t->slots[i].peer);
	}
	for (unsigned i = 0; i < t->n_lanes; i++) {
		mem_free(t->lanes[i]);
	}
	balancer_settings_unref(t->settings);
	mem_free(t->lanes);
	mem_free(t->points);
	mem_free(t->slots);
	mem_free(t);
}

/* ---- replacing one ---- */

struct turn_over {
	atomic_uint left;
	struct balancer *balancer;
	struct table *old;
	struct turn_msg {
		struct msg msg;
		struct turn_over *owner;
	} msgs[];
};

static bool turn_over_put(struct turn_over *o)
{
	if (atomic_fetch_sub_explicit(&o->left, 1, memory_order_acq_rel) != 1) {
		return false;
	}
	table_free(o->old);
	mem_free(o);
	return true;
}

static void wake(struct balancer *b, struct loop *l)
{
	struct list *waiting = &b->set->waiting[loop_index(l)];
	struct list taken;
	struct list_node *n;

	list_init(&taken);
	list_splice(&taken, waiting);
	while ((n = list_pop(&taken))) {
		struct balancer_waiter *w = container_of(n, struct balancer_waiter, node);

		if (w->balancer != b) {
			list_push(waiting, &w->node);
			continue;
		}
		w->fn(w);
	}
}

static void on_turn(struct msg *m, struct loop *l)
{
	struct turn_over *o = container_of(m, struct turn_msg, msg)->owner;
	struct balancer *b = o->balancer;

	wake(b, l);
	if (turn_over_put(o)) {
		balancer_unref(b);
	}
}

/* The loops have ended, and with them the balancer. */
static void on_turn_dropped(struct msg *m)
{
	(void)turn_over_put(container_of(m, struct turn_msg, msg)->owner);
}

static void turn_over(struct balancer *b, struct table *old)
{
	const struct loops *loops = b->set->loops;
	struct turn_over *o = mem_zalloc(sizeof(*o) + loops->n * sizeof(o->msgs[0]));

	atomic_init(&o->left, loops->n);
	o->balancer = b;
	o->old = old;
	balancer_ref(b);
	for (unsigned i = 0; i < loops->n; i++) {
		o->msgs[i].msg = (struct msg){.run = on_turn, .drop = on_turn_dropped};
		o->msgs[i].owner = o;
	}
	for (unsigned i = 0; i < loops->n; i++) {
		loop_post(loops->v[i], &o->msgs[i].msg);
	}
}

void balancer_weigh(struct balancer *b)
{
	const struct table *t = atomic_load(&b->table);
	uint64_t total = 0, up = 0;

	for (size_t i = 0; i < t->n; i++) {
		total += t->slots[i].weight;
		up += atomic_load(&t->slots[i].peer->down) ? 0 : t->slots[i].weight;
	}
	atomic_store(&b->usable, up * 100 > (uint64_t)b->settings->c.health.threshold * total);
}

void balancer_rebuild(struct balancer *b)
{
	struct table *old = atomic_exchange(&b->table, table_new(b));

	b->stale = false;
	balancer_weigh(b);
	turn_over(b, old);
}
