/* Facts of tenants: finding, asking the database, forgetting. Rings and queue: tenant_queue.c. */
#include "relay/tenant.h"

#include "base/log.h"
#include "base/mem.h"
#include "relay/hub.h"
#include "relay/tenant_store.h"

enum { TROUBLE_RETRY_MS = 1000 };

struct tenant_job {
	struct job job;
	struct tenant *tenant;
	const struct tenant_store_ops *ops;
	struct arena arena;
	struct str key;
	bool is_visit;
	struct tenant_visit visit;
	struct tenant_info info;
	enum err result;
};

struct str tenant_normalize(struct arena *a, struct str name)
{
	return tenant_name_fits(name) ? tenant_name_normalize(a, name) : STR_NULL;
}

/* -- keeping and forgetting --------------------------------------------------- */

static struct tenant *tenant_new(struct relay_loop *rl, struct str key)
{
	struct tenant *t = mem_zalloc(sizeof(*t) + key.n);

	memcpy(t + 1, key.p, key.n);
	t->rl = rl;
	t->key = str_of(t + 1, key.n);
	arena_init(&t->info_arena, 0);
	list_init(&t->asking);
	list_init(&t->visiting);
	list_init(&t->ready);
	list_init(&t->busy);
	list_init(&t->queue);
	list_init(&t->abandoned);
	(void)map_set(&rl->tenants, t->key, t);
	return t;
}

static void wake(struct tenant *t, struct list *waiters)
{
	struct list_node *n;

	tenant_use(t);
	while ((n = list_pop(waiters))) {
		struct tenant_waiter *w = container_of(n, struct tenant_waiter, node);

		w->fn(w, t);
	}
	tenant_unuse(t);
}

static void tenant_free(struct tenant *t)
{
	ASSERT(t->uses == 0);
	(void)map_remove(&t->rl->tenants, t->key);
	list_remove(&t->idle);
	arena_fini(&t->info_arena);
	mem_free(t);
}

static void forget_oldest(struct relay_loop *rl)
{
	size_t max = (size_t)rl->epoch->config->tenants_cached_max;

	while (rl->tenants.n > max && !list_is_empty(&rl->tenants_idle)) {
		tenant_free(container_of(list_first(&rl->tenants_idle), struct tenant, idle));
	}
}

void tenant_use(struct tenant *t)
{
	t->uses++;
	list_remove(&t->idle);
}

void tenant_unuse(struct tenant *t)
{
	ASSERT(t->uses > 0);
	if (--t->uses == 0) {
		list_push(&t->rl->tenants_idle, &t->idle);
		forget_oldest(t->rl);
	}
}

struct tenant *tenant_peek(struct relay_loop *rl, struct str normalized)
{
	return map_get(&rl->tenants, normalized);
}

struct tenant *tenant_get(struct relay_loop *rl, struct str normalized)
{
	struct tenant *t = tenant_peek(rl, normalized);

	if (!t) {
		t = tenant_new(rl, normalized);
		list_push(&rl->tenants_idle, &t->idle);
		forget_oldest(rl);
	}
	return t;
}

void tenants_wake_all(struct relay_loop *rl)
{
	struct map_entry e;

	for (size_t pos = 0; map_next(&rl->tenants, &pos, &e);) {
		struct tenant *t = e.value;

		tenant_use(t); /* so that the map stays as it is */
		wake(t, &t->asking);
		wake(t, &t->visiting);
	}
}

void tenants_free(struct relay_loop *rl)
{
	struct map_entry e;

	for (size_t pos = 0; map_next(&rl->tenants, &pos, &e);) {
		struct tenant *t = e.value;

		t->uses = 0;
		tenant_free(t);
	}
	map_free(&rl->tenants);
}

/* -- asking -------------------------------------------------------------------- */

/* Connections of a tenant that was deleted end; others hear of a new configuration. */
static void tell_conns(struct tenant *t)
{
	for (int i = 0; i < 2; i++) {
		LIST_EACH (i == 0 ? &t->ready : &t->busy, n) {
			struct hub_conn *c = container_of(n, struct hub_conn, node);

			if (t->info.found) {
				hub_configure(c);
			}
		}
	}
	while (!t->info.found && t->n_conns > 0) {
		struct list *ring = list_is_empty(&t->ready) ? &t->busy : &t->ready;

		hub_close(container_of(list_first(ring), struct hub_conn, node), HUB_COME_BACK);
	}
}

static void take_facts(struct tenant *t, struct tenant_job *tj)
{
	uint64_t now = loop_now_ms(t->rl->loop);

	if (tj->result != ERR_OK) {
		log_warn("relay", "tenant facts not available", LOG_STR("tenant", t->key),
			 LOG_CSTR("reason", err_name(tj->result)));
		t->fresh_until_ms = now + TROUBLE_RETRY_MS;
		if (t->facts != TENANT_KNOWN) {
			t->facts = TENANT_TROUBLE;
		}
		return;
	}
	arena_fini(&t->info_arena);
	t->info_arena = tj->arena;
	arena_init(&tj->arena, 0);
	t->info = tj->info;
	t->facts = TENANT_KNOWN;
	t->fresh_until_ms = now + (uint64_t)t->rl->epoch->config->tenant_info_cache_duration_ms;
	tell_conns(t);
}

static void on_job(struct job *j, void *worker)
{
	struct tenant_job *tj = container_of(j, struct tenant_job, job);

	tj->result = tj->ops->load(worker, tj->key, tj->is_visit ? &tj->visit : NULL, &tj->arena,
				   &tj->info);
}

static void on_job_done(struct job *j)
{
	struct tenant_job *tj = container_of(j, struct tenant_job, job);
	struct tenant *t = tj->tenant;

	if (j->expired) {
		tj->result = ERR_TIMEOUT;
	}
	if (!tj->is_visit) {
		t->loading = false;
	}
	if (!t->rl->stopped) {
		take_facts(t, tj);
		if (t->changed) {
			tenant_changed(t);
		}
		wake(t, &t->asking);
		if (tj->is_visit) {
			wake(t, &t->visiting);
		}
		tenant_unuse(t);
	}
	arena_fini(&tj->arena);
	mem_free(tj);
}

static void ask(struct tenant *t, const struct tenant_visit *v)
{
	const struct relay_deps *deps = &t->rl->relay->deps;
	struct tenant_job *tj = MEM_NEW(struct tenant_job);

	arena_init(&tj->arena, 0);
	tj->tenant = t;
	tj->ops = deps->tenants;
	tj->key = str_dup(&tj->arena, t->key);
	tj->is_visit = v != NULL;
	if (v) {
		tj->visit = (struct tenant_visit){str_dup(&tj->arena, v->name),
						  str_dup(&tj->arena, v->display),
						  str_dup(&tj->arena, v->description)};
	} else {
		t->loading = true;
	}
	tj->job = (struct job){.run = on_job, .done = on_job_done, .home = t->rl->loop};
	tenant_use(t);
	if (pool_submit(deps->db_pool, &tj->job) != ERR_OK) {
		tj->result = ERR_UNAVAILABLE;
		on_job_done(&tj->job);
	}
}

void tenant_wait(struct tenant *t, struct tenant_waiter *w)
{
	bool fresh = loop_now_ms(t->rl->loop) < t->fresh_until_ms;
	bool usable = t->facts == TENANT_KNOWN && (fresh || t->n_conns > 0);

	if (usable && fresh) {
		w->fn(w, t);
		return;
	}
	/* Held: what `ask` or the waiter do may end the last use. */
	tenant_use(t);
	if (!usable) {
		list_push(&t->asking, &w->node);
	}
	if (!t->loading) {
		ask(t, NULL);
	}
	if (usable) {
		w->fn(w, t);
	}
	tenant_unuse(t);
}

void tenant_refresh(struct tenant *t)
{
	if (!t->loading && loop_now_ms(t->rl->loop) >= t->fresh_until_ms) {
		ask(t, NULL);
	}
}

void tenant_changed(struct tenant *t)
{
	t->changed = t->loading;
	t->fresh_until_ms = 0;
	if (!t->loading && t->n_conns > 0) {
		ask(t, NULL);
	}
}

void tenant_visit(struct tenant *t, const struct tenant_visit *v, struct tenant_waiter *w)
{
	list_push(&t->visiting, &w->node);
	ask(t, v);
}
