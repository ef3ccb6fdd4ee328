/* The identity part of an epoch: consumers with their groups, and credentials by key. */
#include "base/mem.h"
#include "gateway/epoch_int.h"

#include <stdlib.h>

struct identity *identity_ref(struct identity *i)
{
	atomic_fetch_add_explicit(&i->refs, 1, memory_order_relaxed);
	return i;
}

void identity_unref(struct identity **ip)
{
	struct identity *i = *ip;

	*ip = NULL;
	if (!i || atomic_fetch_sub_explicit(&i->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	map_free(&i->consumers);
	for (int kind = 0; kind < GW_CREDENTIAL_KINDS; kind++) {
		map_free(&i->credentials[kind]);
	}
	for (size_t k = 0; k < i->n_items; k++) {
		entity_item_unref(&i->items[k]);
	}
	mem_free(i->items);
	arena_fini(&i->arena);
	mem_free(i);
}

static struct str text_of(const struct json *v, const char *name)
{
	const struct json *m = json_get(v, str_c(name));

	return json_is_null(m) ? STR_NULL : json_str(m);
}

static void keep(struct identity *i, struct entity_item *item)
{
	i->items[i->n_items++] = entity_item_ref(item);
}

/* ---- consumers ---- */

struct draft {
	struct gw_consumer pub;
	struct str *groups;
	size_t n_groups, cap;
};

static void add_consumer(struct identity *i, struct entity_item *item)
{
	struct draft *d = ARENA_NEW(&i->arena, struct draft);
	struct gw_consumer *c = &d->pub;

	c->id = item->id;
	guid_d(&item->id, c->id_text);
	c->username = text_of(item->json, "username");
	c->custom_id = text_of(item->json, "custom_id");
	c->json = item->json;
	keep(i, item);
	(void)map_set(&i->consumers, str_of(c->id_text, GUID_D_LEN), d);
}

static void name_consumers(struct identity *i)
{
	struct map_entry e;
	size_t pos = 0, n = 0;
	struct draft **v = MEM_NEW_ARRAY(struct draft *, i->consumers.n + 1);

	while (map_next(&i->consumers, &pos, &e)) {
		v[n++] = e.value;
	}
	for (size_t k = 0; k < n; k++) {
		struct str name = v[k]->pub.username;

		/* An id is never taken over by somebody's username. */
		if (name.n > 0 && !map_get(&i->consumers, name)) {
			(void)map_set(&i->consumers, name, v[k]);
		}
	}
	mem_free(v);
}

static struct draft *owner_of(const struct identity *i, const struct json *v)
{
	return map_get(&i->consumers, json_str(json_get(json_get(v, STR("consumer")), STR("id"))));
}

static void add_group(struct identity *i, struct entity_item *item)
{
	struct draft *d = owner_of(i, item->json);
	struct str group = text_of(item->json, "group");

	if (!d || group.n == 0) {
		return;
	}
	if (d->n_groups == d->cap) {
		size_t cap = d->cap * 2 + 4;
		struct str *v = ARENA_NEW_ARRAY(&i->arena, struct str, cap);

		if (d->n_groups > 0) {
			memcpy(v, d->groups, d->n_groups * sizeof(*v));
		}
		d->groups = v;
		d->cap = cap;
	}
	d->groups[d->n_groups++] = group;
	keep(i, item);
}

static int by_text(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void sort_groups(struct identity *i)
{
	struct map_entry e;
	size_t pos = 0;

	while (map_next(&i->consumers, &pos, &e)) {
		struct draft *d = e.value;

		if (d->n_groups > 1) {
			qsort(d->groups, d->n_groups, sizeof(*d->groups), by_text);
		}
		d->pub.groups = (struct router_strs){d->groups, d->n_groups};
	}
}

/* ---- credentials ---- */

static void add_credential(struct identity *i, struct entity_item *item,
			   enum gw_credential_kind kind)
{
	struct draft *d = owner_of(i, item->json);
	struct gw_credential *c;
	int64_t ttl, updated;

	if (!d) {
		return;
	}
	c = ARENA_NEW(&i->arena, struct gw_credential);
	c->kind = kind;
	guid_d(&item->id, c->id_text);
	c->consumer = &d->pub;
	if (kind == GW_KEY_AUTH) {
		c->key = text_of(item->json, "key");
		c->identifier = str_of(c->id_text, GUID_D_LEN);
	} else {
		c->key = text_of(item->json, "username");
		c->secret = text_of(item->json, "password");
		c->identifier = c->key;
	}
	if (json_int(json_get(item->json, STR("ttl")), &ttl) && ttl > 0 &&
	    json_int(json_get(item->json, STR("created_at")), &updated)) {
		c->expires_ms = (updated + ttl) * 1000;
	}
	if (c->key.n > 0) {
		(void)map_set(&i->credentials[kind], c->key, c);
		keep(i, item);
	}
}

struct identity *identity_build(struct builder *b)
{
	static const struct {
		enum entity_kind kind;
		enum gw_credential_kind as;
	} kinds[] = {{ENTITY_KEY_AUTH, GW_KEY_AUTH}, {ENTITY_BASIC_AUTH, GW_BASIC_AUTH}};
	struct identity *i = MEM_NEW(struct identity);
	struct map_entry e;
	size_t pos = 0;

	atomic_init(&i->refs, 1);
	arena_init(&i->arena, 0);
	i->items = MEM_NEW_ARRAY(struct entity_item *, b->items[ENTITY_CONSUMER].n +
							       b->items[ENTITY_ACL].n +
							       b->items[ENTITY_KEY_AUTH].n +
							       b->items[ENTITY_BASIC_AUTH].n + 1);
	while (map_next(&b->items[ENTITY_CONSUMER], &pos, &e)) {
		add_consumer(i, e.value);
	}
	for (pos = 0; map_next(&b->items[ENTITY_ACL], &pos, &e);) {
		add_group(i, e.value);
	}
	sort_groups(i);
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		for (pos = 0; map_next(&b->items[kinds[k].kind], &pos, &e);) {
			add_credential(i, e.value, kinds[k].as);
		}
	}
	name_consumers(i);
	return i;
}
