/* The set and its views; balancer_int.h says who holds whom. */
#include "base/mem.h"
#include "base/str_copy.h"
#include "gateway/balancer_int.h"
#include "http/client.h"

#define NAME_MAX_BYTES 256

/* ---- settings ---- */

static void put_num(struct buf *b, uint64_t v)
{
	buf_append(b, &v, sizeof(v));
}

static void put_text(struct buf *b, struct str s)
{
	put_num(b, s.p ? s.n : UINT64_MAX);
	buf_put(b, s);
}

static void put_rules(struct buf *b, const struct health_rules *r)
{
	buf_append(b, &r->healthy_statuses, sizeof(r->healthy_statuses));
	buf_append(b, &r->unhealthy_statuses, sizeof(r->unhealthy_statuses));
	put_num(b, (uint64_t)r->successes << 24 | (uint64_t)r->tcp_failures << 16 |
			   (uint64_t)r->timeouts << 8 | r->http_failures);
}

static void put_health(struct buf *b, const struct health_config *h)
{
	put_num(b, h->threshold);
	put_rules(b, &h->passive);
	put_rules(b, &h->active.rules);
	put_num(b, h->active.type);
	put_num(b, h->active.healthy_interval_ms);
	put_num(b, h->active.unhealthy_interval_ms);
	put_num(b, h->active.timeout_ms);
	put_num(b, h->active.concurrency);
	put_text(b, h->active.http_path);
	put_text(b, h->active.https_sni);
	put_num(b, h->active.https_verify);
	put_num(b, h->active.n_headers);
	for (size_t i = 0; i < h->active.n_headers; i++) {
		put_text(b, h->active.headers[i].name);
		put_text(b, h->active.headers[i].value);
	}
}

/* All of a configuration in a row: two are the same when these are. */
static void put_config(struct buf *b, const struct balancer_config *c)
{
	put_text(b, c->name);
	put_num(b, c->algorithm);
	put_num(b, c->hash.on);
	put_text(b, c->hash.name);
	put_num(b, c->fallback.on);
	put_text(b, c->fallback.name);
	put_text(b, c->cookie_path);
	put_text(b, c->host_header);
	put_num(b, c->use_srv_name);
	put_num(b, c->slow_start_ms);
	put_health(b, &c->health);
	for (size_t i = 0; i < c->n_targets; i++) {
		const struct balancer_target *t = &c->targets[i];

		buf_append(b, &t->id, sizeof(t->id));
		put_text(b, t->target);
		put_text(b, t->host);
		put_num(b, (uint64_t)t->port << 32 | t->weight);
	}
}

static struct str dup_or_null(struct arena *a, struct str s)
{
	return s.p ? str_dup(a, s) : STR_NULL;
}

struct settings *settings_new(const struct balancer_config *c)
{
	struct settings *s = MEM_NEW(struct settings);
	struct health_config *h = &s->c.health;
	struct health_header *headers;
	struct buf image = {0};

	atomic_init(&s->refs, 1);
	arena_init(&s->arena, 0);
	s->c = *c;
	s->c.targets = NULL;
	s->c.n_targets = 0;
	s->c.name = str_dup(&s->arena, c->name);
	s->c.hash.name = dup_or_null(&s->arena, c->hash.name);
	s->c.fallback.name = dup_or_null(&s->arena, c->fallback.name);
	s->c.cookie_path = dup_or_null(&s->arena, c->cookie_path);
	s->c.host_header = dup_or_null(&s->arena, c->host_header);
	h->active.http_path = dup_or_null(&s->arena, h->active.http_path);
	h->active.https_sni = dup_or_null(&s->arena, h->active.https_sni);
	headers = ARENA_NEW_ARRAY(&s->arena, struct health_header, h->active.n_headers + 1);
	for (size_t i = 0; i < h->active.n_headers; i++) {
		headers[i].name = str_dup(&s->arena, h->active.headers[i].name);
		headers[i].value = str_dup(&s->arena, h->active.headers[i].value);
	}
	h->active.headers = headers;
	put_config(&image, c);
	s->image = str_dup(&s->arena, buf_str(&image));
	buf_free(&image);
	return s;
}

void balancer_settings_unref(struct settings *s)
{
	if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1) {
		arena_fini(&s->arena);
		mem_free(s);
	}
}

/* ---- the life of a balancer ---- */

static struct balancer *balancer_new(struct balancer_set *s, const struct guid *id)
{
	struct balancer *b = MEM_NEW(struct balancer);

	b->kind = KIND_UPSTREAM;
	b->set = s;
	b->id = *id;
	atomic_init(&b->listed, true);
	atomic_init(&b->refs, 1);
	(void)pthread_mutex_init(&b->mtx, NULL);
	list_init(&b->targets);
	list_init(&b->gone);
	list_push(&s->balancers, &b->node);
	return b;
}

/* On the keeper, or after the loops. Not in the set's list any more. */
static void balancer_destroy(struct balancer *b)
{
	prober_free(&b->prober);
	balancer_drop_targets(b);
	later_cancel(&b->rebuild);
	table_free(atomic_load(&b->table));
	balancer_settings_unref(b->settings);
	(void)pthread_mutex_destroy(&b->mtx);
	mem_free(b);
}

void balancer_ref(struct balancer *b)
{
	(void)atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
}

struct reap {
	struct msg msg;
	struct balancer *balancer;
};

static void reap(struct balancer *b)
{
	(void)pthread_mutex_lock(&b->set->mtx);
	list_remove(&b->node);
	(void)pthread_mutex_unlock(&b->set->mtx);
	balancer_destroy(b);
}

static void on_reap(struct msg *m, struct loop *l)
{
	struct reap *r = container_of(m, struct reap, msg);

	(void)l;
	reap(r->balancer);
	mem_free(r);
}

static void on_reap_dropped(struct msg *m)
{
	mem_free(container_of(m, struct reap, msg)); /* balancer_set_free was there before */
}

/* Watches and probes belong to the keeper: the end comes there. */
void balancer_unref(struct balancer *b)
{
	if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	struct reap *r = MEM_NEW(struct reap);

	r->msg = (struct msg){.run = on_reap, .drop = on_reap_dropped};
	r->balancer = b;
	loop_post(b->set->keeper, &r->msg);
}

/* ---- the set ---- */

struct balancer_set *balancer_set_new(struct loops *loops)
{
	struct balancer_set *s = MEM_NEW(struct balancer_set);

	s->loops = loops;
	s->keeper = loops->v[0];
	(void)pthread_mutex_init(&s->mtx, NULL);
	list_init(&s->balancers);
	s->waiting = MEM_NEW_ARRAY(struct list, loops->n);
	for (unsigned i = 0; i < loops->n; i++) {
		list_init(&s->waiting[i]);
	}
	return s;
}

void balancer_set_free(struct balancer_set **sp)
{
	struct balancer_set *s = *sp;
	struct list_node *n;

	if (!s) {
		return;
	}
	*sp = NULL;
	ASSERT(atomic_load(&s->n_views) == 0);
	while ((n = list_pop(&s->balancers))) {
		balancer_destroy(container_of(n, struct balancer, node));
	}
	http_client_free(&s->probe_client);
	(void)pthread_mutex_destroy(&s->mtx);
	mem_free(s->waiting);
	mem_free(s);
}

/* ---- apply ---- */

/* Targets are known by their text: an id may be another after a declarative reload. */
static void apply_targets(struct balancer *b, const struct balancer_config *c)
{
	struct map by_text = {0};
	struct list old;

	list_init(&old);
	list_splice(&old, &b->targets);
	LIST_EACH (&old, it) {
		struct target *t = container_of(it, struct target, node);

		(void)map_set(&by_text, t->text, t);
	}
	for (size_t i = 0; i < c->n_targets; i++) {
		struct target *t = map_remove(&by_text, c->targets[i].target);

		if (t) {
			list_remove(&t->node);
			t->id = c->targets[i].id;
			target_set_weight(t, c->targets[i].weight);
		} else {
			t = target_new(b, &c->targets[i]);
		}
		list_push(&b->targets, &t->node);
	}
	list_splice(&b->gone, &old);
	map_free(&by_text);
}

static void apply_one(struct balancer *b, const struct balancer_config *c)
{
	struct settings *s = settings_new(c), *old;

	b->id = c->id;
	if (b->settings && str_eq(b->settings->image, s->image)) {
		balancer_settings_unref(s);
		return;
	}
	(void)pthread_mutex_lock(&b->mtx);
	old = b->settings;
	b->settings = s;
	apply_targets(b, c);
	balancer_rebuild(b);
	(void)pthread_mutex_unlock(&b->mtx);
	balancer_settings_unref(old);
	balancer_sync_later(b);
}

struct known {
	struct map by_id, by_name;
};

static void find_known(struct balancer_set *s, struct known *k)
{
	LIST_EACH (&s->balancers, it) {
		struct balancer *b = container_of(it, struct balancer, node);

		if (b->listed) {
			b->seen = false;
			(void)map_set(&k->by_id, guid_bytes(&b->id), b);
			(void)map_set(&k->by_name, b->settings->c.name, b);
		}
	}
}

/* By id, else by name: declarative files need not say ids. */
static struct balancer *known_get(struct balancer_set *s, const struct known *k,
				  const struct balancer_config *c)
{
	struct balancer *b = map_get(&k->by_id, guid_bytes(&c->id));

	if (!b || b->seen) {
		b = map_get(&k->by_name, c->name);
	}
	return b && !b->seen ? b : balancer_new(s, &c->id);
}

struct balancer_view {
	atomic_uint refs;
	struct balancer_set *set;
	struct arena arena;
	struct map by_name; /* lower case */
	size_t n;
	struct balancer *v[];
};

struct balancer_view *balancer_set_apply(struct balancer_set *s, const struct balancer_config *v,
					 size_t n)
{
	struct balancer_view *view = mem_zalloc(sizeof(*view) + n * sizeof(struct balancer *));
	struct known known = {0};

	ASSERT(loop_current() == NULL);
	atomic_init(&view->refs, 1);
	view->set = s;
	view->n = n;
	arena_init(&view->arena, 0);
	(void)atomic_fetch_add(&s->n_views, 1);
	(void)pthread_mutex_lock(&s->mtx);
	find_known(s, &known);
	for (size_t i = 0; i < n; i++) {
		view->v[i] = known_get(s, &known, &v[i]);
		view->v[i]->seen = true;
	}
	map_free(&known.by_id);
	map_free(&known.by_name);
	for (size_t i = 0; i < n; i++) {
		apply_one(view->v[i], &v[i]);
		balancer_ref(view->v[i]);
		(void)map_set(&view->by_name, str_lower(&view->arena, v[i].name), view->v[i]);
	}
	LIST_EACH (&s->balancers, it) {
		struct balancer *b = container_of(it, struct balancer, node);

		if (b->listed && !b->seen) {
			b->listed = false;
			balancer_sync_later(b);
			balancer_unref(b);
		}
	}
	(void)pthread_mutex_unlock(&s->mtx);
	return view;
}

bool balancer_view_update(struct balancer_view *v, const struct balancer_config *c)
{
	struct balancer *b = balancer_find(v, c->name);
	bool is_it;

	ASSERT(loop_current() == NULL);
	(void)pthread_mutex_lock(&v->set->mtx);
	is_it = b && b->listed && guid_eq(&b->id, &c->id);
	if (is_it) {
		apply_one(b, c);
	}
	(void)pthread_mutex_unlock(&v->set->mtx);
	return is_it;
}

/* ---- views ---- */

struct balancer_view *balancer_view_ref(struct balancer_view *v)
{
	(void)atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
	return v;
}

void balancer_view_unref(struct balancer_view **vp)
{
	struct balancer_view *v = *vp;

	*vp = NULL;
	if (!v || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	for (size_t i = 0; i < v->n; i++) {
		balancer_unref(v->v[i]);
	}
	(void)atomic_fetch_sub(&v->set->n_views, 1);
	map_free(&v->by_name);
	arena_fini(&v->arena);
	mem_free(v);
}

bool balancer_view_same(const struct balancer_view *a, const struct balancer_view *b)
{
	struct map_entry e;
	size_t pos = 0;

	while (map_next(&a->by_name, &pos, &e)) {
		if (map_get(&b->by_name, e.key) != e.value) {
			return false;
		}
	}
	return a->by_name.n == b->by_name.n;
}

struct balancer *balancer_find(const struct balancer_view *v, struct str name)
{
	char lower[NAME_MAX_BYTES];

	if (name.n > sizeof(lower)) {
		return NULL;
	}
	(void)str_copy_lower(lower, name);
	return map_get(&v->by_name, str_of(lower, name.n));
}
