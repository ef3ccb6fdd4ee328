/*
 * The identity part of an epoch: consumers with their groups, and credentials by key.
 *
 * The builder has a draft: versioned tables (base/pmap) in which a change touches what it
 * changes, and of which each epoch gets a version. Values are made once and shared by all
 * versions in which they are the same:
 *
 *	credential     is made anew
 *	acl, consumer  the consumer is
 *
 * A credential knows the id of its consumer, which is looked up in the same version: it would
 * have to be made anew with it otherwise, and there may be 100,000 of one consumer.
 *
 * A key may move from one credential to another in one transaction, and be told of in any order:
 * what is new takes the key's place, and what is old goes only where it still stands. An acl may
 * come before its consumer, so consumers are made when all was told.
 *
 * Who holds whom: versions have references to values, a value to the items that its texts stand
 * in. A household is the draft's, and its items the builder's.
 */
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "gateway/entity_keys.h"
#include "gateway/epoch_int.h"

#include <stdlib.h>

struct consumer {
	struct pmap_leaf by_id, by_name;
	atomic_uint refs; /* leaves in use */
	struct gw_consumer pub;
	struct entity_item *item;
	struct entity_item **acls;
	size_t n_acls;
};

struct credential {
	struct gw_credential pub;
	uint64_t consumer_hash; /* map_hash of its id */
	struct entity_item *item;
	/* Side by side, since they are looked at together. */
	struct pmap_leaf leaf;
	char key[];
};

/* The acls of a consumer, whether it exists or not. */
struct household {
	struct guid consumer;
	struct list acls; /* belongings */
};

/* item->compiled of acls, in the item's arena. */
struct belonging {
	struct list_node node;
	struct entity_item *item;
	struct household *of;
};

/* ---- consumers ---- */

static void consumer_unref(struct consumer *c)
{
	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	for (size_t i = 0; i < c->n_acls; i++) {
		entity_item_unref(&c->acls[i]);
	}
	mem_free(c->acls);
	mem_free((void *)(uintptr_t)c->pub.groups.v);
	entity_item_unref(&c->item);
	mem_free(c);
}

static void drop_by_id(struct pmap_leaf *l)
{
	consumer_unref(container_of(l, struct consumer, by_id));
}

static void drop_by_name(struct pmap_leaf *l)
{
	consumer_unref(container_of(l, struct consumer, by_name));
}

static int by_text(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void take_groups(struct consumer *c, const struct household *of)
{
	struct str *groups;
	size_t n = 0;

	LIST_EACH (&of->acls, node) {
		n++;
	}
	groups = MEM_NEW_ARRAY(struct str, n + 1);
	c->acls = MEM_NEW_ARRAY(struct entity_item *, n + 1);
	LIST_EACH (&of->acls, node) {
		const struct belonging *b = container_of(node, struct belonging, node);
		struct str group = json_get_str(b->item->json, "group");

		if (group.n > 0) {
			groups[c->n_acls] = group;
			c->acls[c->n_acls++] = entity_item_ref(b->item);
		}
	}
	qsort(groups, c->n_acls, sizeof(*groups), by_text);
	c->pub.groups = (struct router_strs){groups, c->n_acls};
}

static struct consumer *consumer_new(struct entity_item *item, const struct household *of)
{
	struct consumer *c = MEM_NEW(struct consumer);

	c->item = entity_item_ref(item);
	c->pub.id = item->id;
	guid_d(&item->id, c->pub.id_text);
	c->pub.username = json_get_str(item->json, "username");
	c->pub.custom_id = json_get_str(item->json, "custom_id");
	c->pub.json = item->json;
	if (of) {
		take_groups(c, of);
	}
	return c;
}

static void put_consumer(struct identity *i, struct consumer *c)
{
	bool has_name = c->pub.username.n > 0;

	atomic_init(&c->refs, has_name ? 2 : 1);
	pmap_leaf_init(&c->by_id, guid_bytes(&c->pub.id));
	pmap_set(&i->consumers, &c->by_id);
	if (has_name) {
		pmap_leaf_init(&c->by_name, c->pub.username);
		pmap_set(&i->usernames, &c->by_name);
	}
}

static struct consumer *consumer_of(struct pmap_leaf *by_id)
{
	return by_id ? container_of(by_id, struct consumer, by_id) : NULL;
}

static struct consumer *find_consumer(const struct identity *i, const struct guid *id)
{
	return consumer_of(pmap_get(&i->consumers, guid_bytes(id)));
}

static void remove_consumer(struct identity *i, const struct guid *id)
{
	struct consumer *c = find_consumer(i, id);

	if (!c) {
		return;
	}
	/* The name may be another's by now, which was made before this one. */
	if (c->pub.username.n > 0) {
		(void)pmap_remove(&i->usernames, &c->by_name);
	}
	(void)pmap_remove(&i->consumers, &c->by_id);
}

/* ---- credentials ---- */

static void drop_credential(struct pmap_leaf *l)
{
	struct credential *c = container_of(l, struct credential, leaf);

	entity_item_unref(&c->item);
	mem_free(c);
}

static enum gw_credential_kind credential_kind(const struct entity_item *item)
{
	return item->kind == ENTITY_KEY_AUTH ? GW_KEY_AUTH : GW_BASIC_AUTH;
}

static struct str key_in(const struct entity_item *item)
{
	return json_get_str(item->json, item->kind == ENTITY_KEY_AUTH ? "key" : "username");
}

static struct credential *credential_new(struct entity_item *item)
{
	struct str key = key_in(item);
	struct credential *c = mem_zalloc(sizeof(*c) + key.n);
	struct gw_credential *pub = &c->pub;

	memcpy(c->key, key.p, key.n);
	c->item = entity_item_ref(item);
	pub->kind = credential_kind(item);
	pub->consumer_id = compile_foreign(item->json, "consumer");
	c->consumer_hash = map_hash(guid_bytes(&pub->consumer_id));
	guid_d(&item->id, pub->id_text);
	pub->key = str_of(c->key, key.n);
	if (pub->kind == GW_KEY_AUTH) {
		pub->identifier = str_of(pub->id_text, GUID_D_LEN);
	} else {
		pub->identifier = pub->key;
		pub->secret = json_get_str(item->json, "password");
	}
	pub->expires_ms = entity_expires(item->json).v;
	pmap_leaf_init(&c->leaf, pub->key);
	return c;
}

/* Unless its key is another's by now. */
static void remove_credential(struct identity *i, const struct entity_item *item)
{
	struct pmap *table = &i->credentials[credential_kind(item)];
	struct pmap_leaf *l = pmap_get(table, key_in(item));

	if (l && container_of(l, struct credential, leaf)->item == item) {
		(void)pmap_remove(table, l);
	}
}

static void put_credential(struct identity *i, struct entity_item *item)
{
	if (key_in(item).n > 0) {
		pmap_set(&i->credentials[credential_kind(item)], &credential_new(item)->leaf);
	}
}

/* ---- households ---- */

static struct household *find_household(const struct identity_draft *d, const struct guid *consumer)
{
	return map_get(&d->households, guid_bytes(consumer));
}

static struct household *household_of(struct identity_draft *d, const struct entity_item *item)
{
	struct guid consumer = compile_foreign(item->json, "consumer");
	struct household *h = find_household(d, &consumer);

	if (!h) {
		h = MEM_NEW(struct household);
		h->consumer = consumer;
		list_init(&h->acls);
		(void)map_set(&d->households, guid_bytes(&h->consumer), h);
	}
	return h;
}

static void join(struct identity_draft *d, struct entity_item *item)
{
	struct belonging *b = item->compiled;

	if (!b) {
		item->compiled = b = ARENA_NEW(&item->arena, struct belonging);
		b->item = item;
	}
	b->of = household_of(d, item);
	list_push(&b->of->acls, &b->node);
}

static void leave(struct identity_draft *d, const struct entity_item *item)
{
	struct belonging *b = item->compiled;
	struct household *h = b->of;

	list_remove(&b->node);
	if (list_is_empty(&h->acls)) {
		(void)map_remove(&d->households, guid_bytes(&h->consumer));
		mem_free(h);
	}
}

/* ---- the draft ---- */

static void mark_stale(struct identity_draft *d, const struct guid *consumer)
{
	if (d->n_stale == d->stale_cap) {
		d->stale_cap = d->stale_cap * 2 + 16;
		d->stale = mem_resize(d->stale, sizeof(*d->stale) * d->stale_cap);
	}
	d->stale[d->n_stale++] = *consumer;
}

static void note_acl(struct identity_draft *d, const struct entity_item *old,
		     struct entity_item *now)
{
	if (old) {
		mark_stale(d, &((struct belonging *)old->compiled)->of->consumer);
		leave(d, old);
	}
	if (now) {
		join(d, now);
		mark_stale(d, &((struct belonging *)now->compiled)->of->consumer);
	}
}

static void note_credential(struct identity_draft *d, const struct entity_item *old,
			    struct entity_item *now)
{
	if (old) {
		remove_credential(&d->now, old);
	}
	if (now) {
		put_credential(&d->now, now);
	}
}

void identity_note(struct identity_draft *d, const struct entity_item *old, struct entity_item *now)
{
	const struct entity_item *any = now ? now : old;

	if (!any) {
		return;
	}
	if (any->kind == ENTITY_CONSUMER) {
		mark_stale(d, &any->id);
	} else if (any->kind == ENTITY_ACL) {
		note_acl(d, old, now);
	} else if (any->kind == ENTITY_KEY_AUTH || any->kind == ENTITY_BASIC_AUTH) {
		note_credential(d, old, now);
	}
}

static void remake_consumer(struct identity_draft *d, const struct guid *id,
			    struct entity_item *item)
{
	remove_consumer(&d->now, id);
	if (item) {
		put_consumer(&d->now, consumer_new(item, find_household(d, id)));
	}
}

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct guid));
}

/* Each once, however many changes told it. */
static void remake_consumers(struct identity_draft *d, const struct map *consumers)
{
	if (d->n_stale > 1) {
		qsort(d->stale, d->n_stale, sizeof(*d->stale), by_id);
	}
	for (size_t i = 0; i < d->n_stale; i++) {
		const struct guid *id = &d->stale[i];

		if (i == 0 || !guid_eq(id, id - 1)) {
			remake_consumer(d, id, map_get(consumers, guid_bytes(id)));
		}
	}
	d->n_stale = 0;
}

struct identity *identity_build(struct identity_draft *d, const struct map items[ENTITY_KINDS])
{
	struct identity *i = MEM_NEW(struct identity);

	remake_consumers(d, &items[ENTITY_CONSUMER]);
	pmap_settle(&d->now.consumers);
	pmap_settle(&d->now.usernames);
	for (int kind = 0; kind < GW_CREDENTIAL_KINDS; kind++) {
		pmap_settle(&d->now.credentials[kind]);
	}
	atomic_init(&i->refs, 1);
	i->consumers = pmap_copy(&d->now.consumers);
	i->usernames = pmap_copy(&d->now.usernames);
	for (int kind = 0; kind < GW_CREDENTIAL_KINDS; kind++) {
		i->credentials[kind] = pmap_copy(&d->now.credentials[kind]);
	}
	return i;
}

/* ---- life ---- */

static void fini(struct identity *i)
{
	pmap_free(&i->consumers);
	pmap_free(&i->usernames);
	for (int kind = 0; kind < GW_CREDENTIAL_KINDS; kind++) {
		pmap_free(&i->credentials[kind]);
	}
}

void identity_draft_init(struct identity_draft *d)
{
	*d = (struct identity_draft){0};
	d->now.consumers = PMAP_INIT(drop_by_id);
	d->now.usernames = PMAP_INIT(drop_by_name);
	for (int kind = 0; kind < GW_CREDENTIAL_KINDS; kind++) {
		d->now.credentials[kind] = PMAP_INIT(drop_credential);
	}
}

void identity_draft_fini(struct identity_draft *d)
{
	struct map_entry e;
	size_t pos = 0;

	fini(&d->now);
	while (map_next(&d->households, &pos, &e)) {
		mem_free(e.value);
	}
	map_free(&d->households);
	mem_free(d->stale);
}

struct identity *identity_ref(struct identity *i)
{
	atomic_fetch_add_explicit(&i->refs, 1, memory_order_relaxed);
	return i;
}

void identity_unref(struct identity **ip)
{
	struct identity *i = *ip;

	*ip = NULL;
	if (i && atomic_fetch_sub_explicit(&i->refs, 1, memory_order_acq_rel) == 1) {
		fini(i);
		mem_free(i);
	}
}

/* ---- questions ---- */

const struct gw_credential *identity_credential(const struct identity *i,
						enum gw_credential_kind kind, struct str key)
{
	struct pmap_leaf *l = pmap_get(&i->credentials[kind], key);

	return l ? &container_of(l, struct credential, leaf)->pub : NULL;
}

const struct gw_consumer *identity_owner(const struct identity *i,
					 const struct gw_credential *credential)
{
	const struct credential *c = container_of(credential, struct credential, pub);
	struct pmap_leaf *l =
		pmap_find(&i->consumers, c->consumer_hash, guid_bytes(&credential->consumer_id));

	return l ? &consumer_of(l)->pub : NULL;
}

const struct gw_consumer *identity_consumer(const struct identity *i, struct str id_or_name)
{
	struct pmap_leaf *l = NULL;
	struct guid id;

	if (id_or_name.n == GUID_D_LEN && guid_parse(id_or_name, &id) == ERR_OK) {
		l = pmap_get(&i->consumers, guid_bytes(&id));
	}
	if (l) {
		return &consumer_of(l)->pub;
	}
	l = pmap_get(&i->usernames, id_or_name);
	return l ? &container_of(l, struct consumer, by_name)->pub : NULL;
}
