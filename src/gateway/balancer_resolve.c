/*
 * What targets stand for. A literal has its one address from the start. A name is watched by
 * the keeper's DNS cache, which tells of the first answer and of each change; addresses that
 * stay keep their peers, and with them health, counters and requests under way.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/balancer_int.h"

#include <netinet/in.h>

/* ---- targets ---- */

struct target *target_new(struct balancer *b, const struct balancer_target *c)
{
	struct target *t = mem_zalloc(sizeof(*t) + c->target.n + c->host.n);
	struct addr addr;

	t->balancer = b;
	t->id = c->id;
	t->port = c->port;
	t->weight = c->weight;
	memcpy(t->chars, c->target.p, c->target.n);
	t->text = str_of(t->chars, c->target.n);
	memcpy(t->chars + c->target.n, c->host.p, c->host.n);
	t->host = str_of(t->chars + c->target.n, c->host.n);
	if (addr_from_ip(t->host, t->port, &addr) == ERR_OK) {
		t->is_literal = t->known = true;
		t->dns = addr.sa.ss_family == AF_INET ? STR("A") : STR("AAAA");
		t->peers = MEM_NEW(struct peer *);
		t->peers[0] = peer_new(&addr, t->host, STR_NULL);
		t->peers[0]->weight = t->weight;
		t->n_peers = 1;
	}
	return t;
}

static void drop_peers(struct target *t)
{
	for (size_t i = 0; i < t->n_peers; i++) {
		peer_unref(t->peers[i]);
	}
	mem_free(t->peers);
	t->peers = NULL;
	t->n_peers = 0;
}

void target_free(struct target *t)
{
	if (t->watched) {
		dns_watch_stop(&t->watch);
	}
	drop_peers(t);
	mem_free(t);
}

/* The weights of SRV records come before the target's, unless that takes it out. */
static unsigned weight_of(const struct target *t, unsigned srv_weight)
{
	return t->weight > 0 && t->kind == DNS_SRV ? srv_weight : t->weight;
}

void target_set_weight(struct target *t, unsigned weight)
{
	t->weight = weight;
	for (size_t i = 0; i < t->n_peers; i++) {
		t->peers[i]->weight = weight_of(t, t->peers[i]->srv_weight);
	}
}

/* ---- answers ---- */

static struct addr with_port(const struct dns_record *r, uint16_t port)
{
	struct addr a = r->addr;

	if (addr_port(&a) == 0) {
		if (a.sa.ss_family == AF_INET) {
			((struct sockaddr_in *)&a.sa)->sin_port = htons(port);
		} else {
			((struct sockaddr_in6 *)&a.sa)->sin6_port = htons(port);
		}
	}
	return a;
}

static struct str srv_name(const struct dns_set *set, const struct dns_record *r)
{
	return set->kind == DNS_SRV ? r->name : STR_NULL;
}

static struct peer *find_peer(const struct target *t, const struct addr *a, struct str srv)
{
	for (size_t i = 0; i < t->n_peers; i++) {
		struct peer *p = t->peers[i];

		if (p->addr.len == a->len && memcmp(&p->addr.sa, &a->sa, a->len) == 0 &&
		    str_eq(p->srv_name, srv)) {
			return p;
		}
	}
	return NULL;
}

static void start_slowly(const struct balancer *b, struct peer *p)
{
	const struct table *table = atomic_load(&b->table);

	if (b->settings->c.slow_start_ms > 0 && table && table->n > 0) {
		atomic_store(&p->risen_ms, clock_mono_ms());
	}
}

static void take_records(struct target *t, const struct dns_set *set)
{
	struct peer **peers = MEM_NEW_ARRAY(struct peer *, set->n);

	t->kind = set->kind;
	for (size_t i = 0; i < set->n; i++) {
		struct addr a = with_port(&set->v[i], t->port);
		struct str srv = srv_name(set, &set->v[i]);
		struct peer *p = find_peer(t, &a, srv);

		if (p) {
			peer_ref(p);
		} else {
			p = peer_new(&a, t->host, srv);
			start_slowly(t->balancer, p);
		}
		p->srv_weight = set->v[i].weight;
		p->weight = weight_of(t, p->srv_weight);
		peers[i] = p;
	}
	drop_peers(t);
	t->peers = peers;
	t->n_peers = set->n;
}

static void on_rebuild(struct later *w)
{
	struct balancer *b = container_of(w, struct balancer, rebuild);

	(void)pthread_mutex_lock(&b->mtx);
	if (b->stale) { /* else an update came first, and took the names along */
		balancer_rebuild(b);
	}
	(void)pthread_mutex_unlock(&b->mtx);
}

static void on_names(struct dns_watch *w, struct dns_set *set)
{
	struct target *t = container_of(w, struct target, watch);
	struct balancer *b = t->balancer;

	(void)pthread_mutex_lock(&b->mtx);
	t->known = true;
	t->failed = set->result != ERR_OK;
	t->dns = dns_set_text(set);
	if (t->failed) {
		drop_peers(t);
	} else {
		take_records(t, set);
	}
	b->stale = true;
	(void)pthread_mutex_unlock(&b->mtx);
	loop_heavy(b->set->keeper, &b->rebuild, on_rebuild);
	if (!b->listed) {
		balancer_sync_later(b);
	}
	if (t->failed) {
		log_warn("gateway", "target has no address", LOG_STR("target", t->text),
			 LOG_STR("dns", t->dns));
	}
}

/* ---- the keeper's side ---- */

void balancer_drop_targets(struct balancer *b)
{
	struct list_node *n;

	list_splice(&b->gone, &b->targets);
	while ((n = list_pop(&b->gone))) {
		target_free(container_of(n, struct target, node));
	}
}

/*
 * Those who still have an upstream that is listed no more know the addresses that it had, or wait
 * for the first ones.
 */
static bool wants_watch(const struct balancer *b, const struct target *t)
{
	return !t->is_literal && (b->listed || !t->known);
}

/* Only the keeper frees targets: it stays after the lock. */
static struct target *next_to_watch_or_leave(struct balancer *b)
{
	struct target *found = NULL;

	(void)pthread_mutex_lock(&b->mtx);
	LIST_EACH (&b->targets, it) {
		struct target *t = container_of(it, struct target, node);

		if (t->watched != wants_watch(b, t)) {
			found = t;
			break;
		}
	}
	(void)pthread_mutex_unlock(&b->mtx);
	return found;
}

static void watch_or_leave(struct target *t, struct loop *l)
{
	t->watched = !t->watched;
	if (t->watched) {
		dns_watch_start(l, t->host, &t->watch, on_names);
	} else {
		dns_watch_stop(&t->watch);
	}
}

static void sync(struct balancer *b, struct loop *l)
{
	struct list gone;
	struct list_node *n;
	struct settings *s;
	struct target *t;

	list_init(&gone);
	(void)pthread_mutex_lock(&b->mtx);
	list_splice(&gone, &b->gone);
	s = b->settings;
	(void)atomic_fetch_add(&s->refs, 1);
	(void)pthread_mutex_unlock(&b->mtx);
	while ((n = list_pop(&gone))) {
		target_free(container_of(n, struct target, node));
	}
	while ((t = next_to_watch_or_leave(b))) {
		watch_or_leave(t, l);
	}
	if (b->listed) {
		prober_update(b, s);
	} else {
		prober_free(&b->prober);
	}
	balancer_settings_unref(s);
}

struct sync_msg {
	struct msg msg;
	struct balancer *balancer;
};

static void on_sync(struct msg *m, struct loop *l)
{
	struct sync_msg *y = container_of(m, struct sync_msg, msg);

	sync(y->balancer, l);
	balancer_unref(y->balancer);
	mem_free(y);
}

static void on_sync_dropped(struct msg *m)
{
	mem_free(container_of(m, struct sync_msg, msg)); /* balancer_set_free was there before */
}

void balancer_sync_later(struct balancer *b)
{
	struct sync_msg *y = MEM_NEW(struct sync_msg);

	y->msg = (struct msg){.run = on_sync, .drop = on_sync_dropped};
	y->balancer = b;
	balancer_ref(b);
	loop_post(b->set->keeper, &y->msg);
}
