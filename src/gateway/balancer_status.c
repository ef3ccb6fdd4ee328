/* What Admin shows of a balancer, and what it may mark. Any thread: under the mutexes. */
#include "base/clock.h"
#include "base/mem.h"
#include "gateway/balancer_int.h"

struct str balancer_health_name(enum balancer_health h)
{
	static const struct str names[] = {
		[BALANCER_HEALTHY] = STR_INIT("HEALTHY"),
		[BALANCER_UNHEALTHY] = STR_INIT("UNHEALTHY"),
		[BALANCER_HEALTHCHECKS_OFF] = STR_INIT("HEALTHCHECKS_OFF"),
		[BALANCER_DNS_ERROR] = STR_INIT("DNS_ERROR"),
	};

	return names[h];
}

/* A counted one, or NULL. */
static struct balancer *find(struct balancer_set *s, const struct guid *id)
{
	struct balancer *found = NULL;

	(void)pthread_mutex_lock(&s->mtx);
	LIST_EACH (&s->balancers, it) {
		struct balancer *b = container_of(it, struct balancer, node);

		if (b->listed && guid_eq(&b->id, id)) {
			balancer_ref(b);
			found = b;
			break;
		}
	}
	(void)pthread_mutex_unlock(&s->mtx);
	return found;
}

/* ---- status ---- */

static enum balancer_health health_of(bool checked, bool up)
{
	return !checked ? BALANCER_HEALTHCHECKS_OFF : up ? BALANCER_HEALTHY : BALANCER_UNHEALTHY;
}

static void show_address(struct peer *p, bool checked, struct arena *a,
			 struct balancer_address_status *out)
{
	*out = (struct balancer_address_status){
		.ip = str_dup(a, p->ip),
		.host = str_dup(a, p->srv_name.p ? p->srv_name : p->host),
		.port = p->port,
		.weight = p->weight,
		.health = health_of(checked, !atomic_load(&p->down)),
		.active = peer_active(p),
		.latency_us = (uint64_t)peer_latency_us(p, clock_mono_ms()),
	};
}

static void show_target(const struct target *t, bool checked, struct arena *a,
			struct balancer_target_status *out)
{
	struct balancer_address_status *v =
		ARENA_NEW_ARRAY(a, struct balancer_address_status, t->n_peers + 1);
	bool any_up = false;

	*out = (struct balancer_target_status){
		.id = t->id,
		.target = str_dup(a, t->text),
		.host = str_dup(a, t->host),
		.dns = t->dns,
		.port = t->port,
		.weight = t->weight,
		.addresses = v,
		.n_addresses = t->n_peers,
	};
	for (size_t i = 0; i < t->n_peers; i++) {
		bool up = !atomic_load(&t->peers[i]->down);

		show_address(t->peers[i], checked, a, &v[i]);
		out->weight_total += v[i].weight;
		out->weight_available += up ? v[i].weight : 0;
		any_up = any_up || up;
	}
	out->health = t->failed ? BALANCER_DNS_ERROR : health_of(checked, any_up);
}

static void show(struct balancer *b, struct arena *a, struct balancer_status *out)
{
	bool checked = health_config_is_on(&b->settings->c.health);
	struct balancer_target_status *v;
	size_t n = 0;

	LIST_EACH (&b->targets, it) {
		n++;
	}
	v = ARENA_NEW_ARRAY(a, struct balancer_target_status, n + 1);
	*out = (struct balancer_status){
		.id = b->id,
		.name = str_dup(a, b->settings->c.name),
		.usable = atomic_load(&b->usable),
		.targets = v,
		.n_targets = n,
	};
	n = 0;
	LIST_EACH (&b->targets, it) {
		show_target(container_of(it, struct target, node), checked, a, &v[n]);
		out->weight_total += v[n].weight_total;
		out->weight_available += v[n].weight_available;
		n++;
	}
	out->health = health_of(checked, out->usable);
}

enum err balancer_set_status(struct balancer_set *s, const struct guid *upstream, struct arena *a,
			     struct balancer_status *out)
{
	struct balancer *b = find(s, upstream);

	if (!b) {
		return ERR_NOT_FOUND;
	}
	(void)pthread_mutex_lock(&b->mtx);
	show(b, a, out);
	(void)pthread_mutex_unlock(&b->mtx);
	balancer_unref(b);
	return ERR_OK;
}

/* Counted ones, as many as there are at this moment. */
static struct balancer **all_listed(struct balancer_set *s, size_t *out_n)
{
	struct balancer **v;
	size_t n = 0;

	(void)pthread_mutex_lock(&s->mtx);
	LIST_EACH (&s->balancers, it) {
		n++;
	}
	v = MEM_NEW_ARRAY(struct balancer *, n + 1);
	n = 0;
	LIST_EACH (&s->balancers, it) {
		struct balancer *b = container_of(it, struct balancer, node);

		if (b->listed) {
			balancer_ref(b);
			v[n++] = b;
		}
	}
	(void)pthread_mutex_unlock(&s->mtx);
	*out_n = n;
	return v;
}

/* Each is locked by itself, and none while its status is used. */
void balancer_set_each(struct balancer_set *s, balancer_each_fn *fn, void *arg)
{
	size_t n;
	struct balancer **v = all_listed(s, &n);

	for (size_t i = 0; i < n; i++) {
		struct balancer_status status;
		struct arena a;

		arena_init(&a, 0);
		(void)pthread_mutex_lock(&v[i]->mtx);
		show(v[i], &a, &status);
		(void)pthread_mutex_unlock(&v[i]->mtx);
		balancer_unref(v[i]);
		fn(arg, &a, &status);
		arena_fini(&a);
	}
	mem_free(v);
}

/* ---- marks ---- */

static bool is_target(const struct target *t, struct str text)
{
	struct guid id;

	return str_eq(t->text, text) || (guid_parse(text, &id) == ERR_OK && guid_eq(&t->id, &id));
}

/* "10.0.0.1", "10.0.0.1:80", "[::1]:80", or the name that it came from. */
static bool is_address(const struct peer *p, struct str text)
{
	char full[ADDR_TEXT_MAX];
	size_t n = addr_format(&p->addr, full);

	return str_eq(p->ip, text) || str_eq(str_of(full, n), text) ||
	       str_eq_nocase(p->host, text) || (p->srv_name.p && str_eq_nocase(p->srv_name, text));
}

static struct target *find_target(struct balancer *b, struct str text)
{
	LIST_EACH (&b->targets, it) {
		struct target *t = container_of(it, struct target, node);

		if (is_target(t, text)) {
			return t;
		}
	}
	return NULL;
}

/* The peers that are meant, counted. NULL when there are none; `*out_n` may be 0 otherwise too. */
static struct peer **matching(struct balancer *b, struct str target, struct str address,
			      size_t *out_n)
{
	struct target *t = find_target(b, target);
	struct peer **v;
	size_t n = 0;

	if (!t) {
		return NULL;
	}
	v = MEM_NEW_ARRAY(struct peer *, t->n_peers + 1);
	for (size_t i = 0; i < t->n_peers; i++) {
		if (!address.p || is_address(t->peers[i], address)) {
			peer_ref(t->peers[i]);
			v[n++] = t->peers[i];
		}
	}
	if (n == 0 && address.p) {
		mem_free(v);
		return NULL;
	}
	*out_n = n;
	return v;
}

enum err balancer_set_mark(struct balancer_set *s, const struct guid *upstream, struct str target,
			   struct str address, enum balancer_health to)
{
	struct balancer *b = find(s, upstream);
	struct peer **peers;
	size_t n = 0;

	if (!b) {
		return ERR_NOT_FOUND;
	}
	ASSERT(to == BALANCER_HEALTHY || to == BALANCER_UNHEALTHY);
	(void)pthread_mutex_lock(&b->mtx);
	peers = matching(b, target, address, &n);
	(void)pthread_mutex_unlock(&b->mtx);
	for (size_t i = 0; i < n; i++) {
		health_set(b, peers[i], to == BALANCER_UNHEALTHY, "marked");
		peer_unref(peers[i]);
	}
	balancer_unref(b);
	if (!peers) {
		return ERR_NOT_FOUND;
	}
	mem_free(peers);
	return ERR_OK;
}
