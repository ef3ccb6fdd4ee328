/* Targets of upstreams, and their health. */
#include "gateway/admin_int.h"

#include <stdlib.h>

#define PAGE 1000

/* ---- targets ---- */

struct target_list {
	const struct json **v;
	size_t n, cap;
};

static void list_put(struct arena *a, struct target_list *l, const struct json *v)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		const struct json **w = ARENA_NEW_ARRAY(a, const struct json *, cap);

		if (l->n > 0) {
			memcpy(w, l->v, l->n * sizeof(const struct json *));
		}
		l->v = w;
		l->cap = cap;
	}
	l->v[l->n++] = v;
}

static double created(const struct json *v)
{
	return strtod(json_get(v, STR("created_at"))->text.p, NULL);
}

static int newest_first(const void *a, const void *b)
{
	const struct json *const *x = a, *const *y = b;
	double cx = created(*x), cy = created(*y);

	if (cx != cy) {
		return cx > cy ? -1 : 1;
	}
	return str_cmp(json_str(json_get(*x, STR("id"))), json_str(json_get(*y, STR("id"))));
}

static enum err all_targets(struct admin_call *a, const struct entity_owner *upstream,
			    struct str tags, struct target_list *out)
{
	struct entity_query q = {.size = PAGE, .tags = tags, .owner = *upstream};
	struct entity_page page;

	*out = (struct target_list){0};
	do {
		TRY(entity_list(a->admin->entities, &a->c, ENTITY_TARGET, &q, &page));
		for (size_t i = 0; i < page.n; i++) {
			list_put(&a->t->arena, out, page.v[i]);
		}
		q.offset = page.offset;
	} while (q.offset.p);
	if (out->n > 1) {
		qsort(out->v, out->n, sizeof(const struct json *), newest_first);
	}
	return ERR_OK;
}

/* An offset is the id of the first target of its page. */
static enum err start_of(struct admin_call *a, const struct target_list *l, struct str offset,
			 size_t *out)
{
	*out = 0;
	if (!offset.p) {
		return ERR_OK;
	}
	for (size_t i = 0; i < l->n; i++) {
		if (str_eq(json_str(json_get(l->v[i], STR("id"))), offset)) {
			*out = i;
			return ERR_OK;
		}
	}
	return entity_fail(&a->c, ENTITY_INVALID_OFFSET,
			   str_fmt(&a->t->arena, "'%.*s' is not a valid offset: bad offset value",
				   STR_ARG(offset)),
			   NULL);
}

static enum err check_size(struct admin_call *a, uint32_t size)
{
	return size >= 1 && size <= PAGE
		       ? ERR_OK
		       : entity_fail(&a->c, ENTITY_INVALID_SIZE,
				     STR("size must be an integer between 1 and 1000"), NULL);
}

static enum err targets(struct admin_call *a)
{
	struct json *data = tree_array(&a->t->arena);
	struct tree_tail tail = tree_tail_of(data);
	struct entity_query q;
	struct target_list l;
	size_t i;

	TRY(admin_query(a, &q));
	TRY(check_size(a, q.size));
	TRY(admin_parent(a, &q.owner));
	TRY(all_targets(a, &q.owner, q.tags, &l));
	TRY(start_of(a, &l, q.offset, &i));
	for (size_t n = 0; i < l.n && n < q.size; n++) {
		tree_push(&a->t->arena, &tail, STR_NULL, l.v[i++]);
	}
	return admin_reply_page(a, data, i < l.n ? json_str(json_get(l.v[i], STR("id"))) : STR_NULL,
				admin_nested_path(a, &q.owner.id));
}

/* By id or "host:port"; a port that is not said is 8000. */
static enum err find_target(struct admin_call *a, struct entity_target *which,
			    const struct json **out)
{
	struct entities *es = a->admin->entities;
	enum err e;

	which->text = admin_param(a, 1);
	TRY(admin_parent(a, &which->owner));
	e = entity_find_owned(es, &a->c, ENTITY_TARGET, &which->owner, which->text, out);
	if (e != ERR_NOT_FOUND) {
		return e;
	}
	return entity_find_owned(es, &a->c, ENTITY_TARGET, &which->owner,
				 str_fmt(&a->t->arena, "%.*s:8000", STR_ARG(which->text)), out);
}

static enum err target_show(struct admin_call *a)
{
	struct entity_target which;
	const struct json *found = NULL;

	TRY(find_target(a, &which, &found));
	return admin_reply(a, 200, found);
}

/* PATCH, and PUT too: what is not there is not made. */
static enum err target_update(struct admin_call *a)
{
	struct entity_target which;
	const struct json *found = NULL, *out = NULL;

	TRY(find_target(a, &which, &found));
	which.text = json_str(json_get(found, STR("id")));
	TRY(entity_update(a->admin->entities, &a->c, ENTITY_TARGET, &which, a->body, &out));
	return admin_reply(a, 200, out);
}

static enum err target_remove(struct admin_call *a)
{
	struct entity_target which;
	const struct json *found = NULL;

	TRY(find_target(a, &which, &found));
	which.text = json_str(json_get(found, STR("id")));
	TRY(entity_delete(a->admin->entities, &a->c, ENTITY_TARGET, &which));
	return task_reply_status(a->t, 204);
}

/* ---- marking ---- */

static enum err mark(struct admin_call *a, enum balancer_health to)
{
	const struct admin_ops *ops = &a->admin->ops;
	struct str address = a->t->n_params > 2 ? admin_param(a, 2) : STR_NULL;
	struct entity_target which;
	const struct json *found = NULL;

	TRY(find_target(a, &which, &found));
	if (!ops->upstream_mark) {
		return ERR_NOT_FOUND;
	}
	TRY(ops->upstream_mark(ops->arg, &which.owner.id, json_str(json_get(found, STR("id"))),
			       address, to));
	return task_reply_status(a->t, 204);
}

static enum err mark_healthy(struct admin_call *a)
{
	return mark(a, BALANCER_HEALTHY);
}

static enum err mark_unhealthy(struct admin_call *a)
{
	return mark(a, BALANCER_UNHEALTHY);
}

/* ---- health ---- */

static void put_weight(struct json_writer *w, uint64_t total, uint64_t available)
{
	json_key(w, STR("weight"));
	json_begin_object(w);
	json_key(w, STR("total"));
	json_put_int(w, (int64_t)total);
	json_key(w, STR("available"));
	json_put_int(w, (int64_t)available);
	json_key(w, STR("unavailable"));
	json_put_int(w, (int64_t)(total - available));
	json_end_object(w);
}

static void put_address(struct json_writer *w, const struct balancer_address_status *s)
{
	json_begin_object(w);
	json_key(w, STR("ip"));
	json_put_str(w, s->ip);
	json_key(w, STR("port"));
	json_put_int(w, s->port);
	json_key(w, STR("weight"));
	json_put_int(w, s->weight);
	json_key(w, STR("health"));
	json_put_str(w, balancer_health_name(s->health));
	json_end_object(w);
}

static void put_host(struct json_writer *w, const struct balancer_target_status *s)
{
	json_begin_object(w);
	json_key(w, STR("host"));
	json_put_str(w, s->host);
	json_key(w, STR("port"));
	json_put_int(w, s->port);
	json_key(w, STR("dns"));
	json_put_str(w, s->dns);
	json_key(w, STR("nodeWeight"));
	json_put_int(w, s->weight);
	put_weight(w, s->weight_total, s->weight_available);
	json_key(w, STR("addresses"));
	json_begin_array(w);
	for (size_t i = 0; i < s->n_addresses; i++) {
		put_address(w, &s->addresses[i]);
	}
	json_end_array(w);
	json_end_object(w);
}

static void put_end(struct admin_call *a, struct json_writer *w)
{
	json_key(w, STR("next"));
	json_put_null(w);
	json_key(w, STR("node_id"));
	json_put_str(w, guid_d_str(&a->t->arena, &a->admin->node_id));
	json_end_object(w);
}

static enum err reply_balancer(struct admin_call *a, const struct balancer_status *s)
{
	struct json_writer w = task_reply_writer(a->t, 200);

	json_begin_object(&w);
	json_key(&w, STR("data"));
	json_begin_object(&w);
	json_key(&w, STR("id"));
	json_put_str(&w, guid_d_str(&a->t->arena, &s->id));
	json_key(&w, STR("health"));
	json_put_str(&w, balancer_health_name(s->health));
	json_key(&w, STR("balancer_health"));
	json_put_str(&w, balancer_health_name(s->health));
	json_key(&w, STR("details"));
	json_begin_object(&w);
	json_key(&w, STR("healthy"));
	json_put_bool(&w, s->usable);
	put_weight(&w, s->weight_total, s->weight_available);
	json_key(&w, STR("hosts"));
	json_begin_array(&w);
	for (size_t i = 0; i < s->n_targets; i++) {
		put_host(&w, &s->targets[i]);
	}
	json_end_array(&w);
	json_end_object(&w);
	json_end_object(&w);
	put_end(a, &w);
	return ERR_OK;
}

static const struct balancer_target_status *status_of(const struct balancer_status *s,
						      const struct json *target)
{
	struct guid id;

	for (size_t i = 0; tree_id(target, &id) && i < s->n_targets; i++) {
		if (guid_eq(&s->targets[i].id, &id)) {
			return &s->targets[i];
		}
	}
	return NULL;
}

static void put_target(struct json_writer *w, const struct json *target,
		       const struct balancer_target_status *s)
{
	json_begin_object(w);
	for (const struct json *m = target->child; m; m = m->next) {
		json_key(w, m->key);
		json_put_tree(w, m);
	}
	if (s) {
		json_key(w, STR("health"));
		json_put_str(w, balancer_health_name(s->health));
		json_key(w, STR("data"));
		put_host(w, s);
	}
	json_end_object(w);
}

static enum err reply_targets(struct admin_call *a, const struct balancer_status *s)
{
	struct entity_owner upstream = {"upstream", s->id};
	struct json_writer w;
	struct target_list l;

	TRY(all_targets(a, &upstream, STR_NULL, &l));
	w = task_reply_writer(a->t, 200);
	json_begin_object(&w);
	json_key(&w, STR("data"));
	json_begin_array(&w);
	for (size_t i = 0; i < l.n; i++) {
		put_target(&w, l.v[i], status_of(s, l.v[i]));
	}
	json_end_array(&w);
	put_end(a, &w);
	return ERR_OK;
}

enum err admin_upstream_health(struct admin_call *a)
{
	const struct admin_ops *ops = &a->admin->ops;
	struct balancer_status status = {0};
	const struct json *upstream = NULL;
	struct guid id;

	TRY(entity_find(a->admin->entities, &a->c, ENTITY_UPSTREAM, admin_param(a, 0), &upstream));
	if (!ops->upstream_status || !tree_id(upstream, &id)) {
		return ERR_NOT_FOUND;
	}
	TRY(ops->upstream_status(ops->arg, &id, &a->t->arena, &status));
	status.id = id;
	return str_eq(admin_option(a, "balancer_health"), STR("1")) ? reply_balancer(a, &status)
								    : reply_targets(a, &status);
}

#define TARGETS "/upstreams/{upstreams}/targets"
#define TARGET TARGETS "/{targets}"
#define KINDS ENTITY_TARGET, ENTITY_UPSTREAM, "upstream"
/* Kong took POST before 3.0, and go-kong sends it still. */
#define MARK(path, handler, help)                                                                  \
	{"PUT", TARGET path, handler, ADMIN_BODY_MAX, help, KINDS},                                \
	{                                                                                          \
		"POST", TARGET path, handler, ADMIN_BODY_MAX, help, KINDS                          \
	}
static const struct admin_special specials[] = {
	{"GET", TARGETS, targets, 0, "Lists targets, newest first.", KINDS},
	{"GET", TARGETS "/all", targets, 0, "Lists targets, newest first.", KINDS},
	{"GET", TARGET, target_show, 0, "Shows a target.", KINDS},
	{"PUT", TARGET, target_update, ADMIN_BODY_MAX, "Changes a target.", KINDS},
	{"PATCH", TARGET, target_update, ADMIN_BODY_MAX, "Changes a target.", KINDS},
	{"DELETE", TARGET, target_remove, ADMIN_BODY_MAX, "Removes a target.", KINDS},
	MARK("/healthy", mark_healthy, "Takes it for well."),
	MARK("/unhealthy", mark_unhealthy, "Takes it for ill."),
	MARK("/{address}/healthy", mark_healthy, "Takes one address for well."),
	MARK("/{address}/unhealthy", mark_unhealthy, "Takes one address for ill."),
	{"GET", "/upstreams/{upstreams}/health", admin_upstream_health, 0, "Health of an upstream.",
	 KINDS},
};
const struct admin_specials admin_upstream_specials = {specials, ARRAY_LEN(specials)};
