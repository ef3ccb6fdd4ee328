/* The set of entities without a database: immutable, found by id and by unique key. */
#include "base/mem.h"
#include "gateway/entities_int.h"
#include "gateway/entity_tree.h"

#include <stdlib.h>

static int by_id(const void *a, const void *b)
{
	const struct entity_item *const *x = a, *const *y = b;

	return memcmp((*x)->id.b, (*y)->id.b, sizeof((*x)->id.b));
}

static struct str key_text(struct arena *a, const struct entity_key *k)
{
	char *p = arena_alloc(a, k->field.n + 1 + k->value.n);

	memcpy(p, k->field.p, k->field.n);
	p[k->field.n] = 0;
	memcpy(p + k->field.n + 1, k->value.p, k->value.n);
	return str_of(p, k->field.n + 1 + k->value.n);
}

static void index_keys(struct entity_set *s, struct entity_item *item)
{
	struct entity_keys keys;

	entity_keys_of(&s->arena, item->kind, item->json, &keys);
	for (size_t i = 0; i < keys.n; i++) {
		(void)map_set(&s->by_key[item->kind], key_text(&s->arena, &keys.v[i]), item);
	}
}

struct entity_set *entity_set_new(struct entity_item *const *items, size_t n)
{
	struct entity_set *s = MEM_NEW(struct entity_set);
	size_t count[ENTITY_KINDS] = {0};

	atomic_init(&s->refs, 1);
	arena_init(&s->arena, 0);
	for (size_t i = 0; i < n; i++) {
		count[items[i]->kind]++;
	}
	for (int kind = 0; kind < ENTITY_KINDS; kind++) {
		s->v[kind] = MEM_NEW_ARRAY(struct entity_item *, count[kind] + 1);
	}
	for (size_t i = 0; i < n; i++) {
		enum entity_kind kind = items[i]->kind;

		s->v[kind][s->n[kind]++] = entity_item_ref(items[i]);
		index_keys(s, items[i]);
	}
	for (int kind = 0; kind < ENTITY_KINDS; kind++) {
		qsort(s->v[kind], s->n[kind], sizeof(struct entity_item *), by_id);
	}
	return s;
}

struct entity_set *entity_set_ref(struct entity_set *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void entity_set_unref(struct entity_set **sp)
{
	struct entity_set *s = *sp;

	*sp = NULL;
	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	for (int kind = 0; kind < ENTITY_KINDS; kind++) {
		for (size_t i = 0; i < s->n[kind]; i++) {
			entity_item_unref(&s->v[kind][i]);
		}
		mem_free(s->v[kind]);
		map_free(&s->by_key[kind]);
	}
	arena_fini(&s->arena);
	mem_free(s);
}

/* Index of the first that is not below `id`. */
static size_t lower_bound(const struct entity_set *s, enum entity_kind kind, const struct guid *id)
{
	size_t lo = 0, hi = s->n[kind];

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (memcmp(s->v[kind][mid]->id.b, id->b, sizeof(id->b)) < 0) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo;
}

struct entity_item *entity_set_item(const struct entity_set *s, enum entity_kind kind,
				    const struct guid *id)
{
	size_t i = lower_bound(s, kind, id);

	return i < s->n[kind] && guid_eq(&s->v[kind][i]->id, id) ? s->v[kind][i] : NULL;
}

const struct json *entity_set_get(const struct entity_set *s, enum entity_kind kind,
				  const struct guid *id)
{
	const struct entity_item *item = entity_set_item(s, kind, id);

	return item ? item->json : NULL;
}

const struct json *entity_set_by_key(const struct entity_set *s, enum entity_kind kind,
				     const struct entity_key *key)
{
	const struct entity_item *item;
	struct arena a;

	arena_init(&a, 0);
	item = map_get(&s->by_key[kind], key_text(&a, key));
	arena_fini(&a);
	return item ? item->json : NULL;
}

static bool has_tag(const struct json *doc, struct str tag)
{
	const struct json *tags = json_get(doc, STR("tags"));

	for (const struct json *t = tags ? tags->child : NULL; t; t = t->next) {
		if (str_eq(json_str(t), tag)) {
			return true;
		}
	}
	return false;
}

static bool is_wanted(const struct entity_range *r, const struct json *doc)
{
	size_t hits = 0;
	struct guid id;

	if (r->field && (!tree_id(json_get(doc, str_c(r->field)), &id) || !guid_eq(&id, &r->ref))) {
		return false;
	}
	for (size_t i = 0; i < r->n_tags; i++) {
		hits += has_tag(doc, r->tags[i]);
	}
	return r->n_tags == 0 || hits >= (r->any_tag ? 1 : r->n_tags);
}

size_t entity_set_page(const struct entity_set *s, const struct entity_range *r,
		       const struct json **out)
{
	size_t n = 0;

	for (size_t i = lower_bound(s, r->kind, &r->from); i < s->n[r->kind] && n < r->max; i++) {
		const struct json *doc = s->v[r->kind][i]->json;

		if (!entity_is_expired(doc, r->now_ms) && is_wanted(r, doc)) {
			out[n++] = doc;
		}
	}
	return n;
}

/* ---- tags ---- */

static int by_tag(const void *a, const void *b)
{
	const struct entity_tag *x = a, *y = b;
	int d = str_cmp(x->tag, y->tag);

	d = d ? d : str_cmp(x->kind, y->kind);
	return d ? d : memcmp(x->id.b, y->id.b, sizeof(x->id.b));
}

static size_t count_tags(const struct entity_set *s)
{
	size_t n = 0;

	for (int kind = 0; kind < ENTITY_KINDS; kind++) {
		for (size_t i = 0; i < s->n[kind]; i++) {
			const struct json *tags = json_get(s->v[kind][i]->json, STR("tags"));

			n += tags ? tags->n : 0;
		}
	}
	return n;
}

static size_t all_tags(const struct entity_set *s, struct entity_tag *v)
{
	size_t n = 0;

	for (int kind = 0; kind < ENTITY_KINDS; kind++) {
		for (size_t i = 0; i < s->n[kind]; i++) {
			const struct entity_item *item = s->v[kind][i];
			const struct json *tags = json_get(item->json, STR("tags"));

			for (const struct json *t = tags ? tags->child : NULL; t; t = t->next) {
				v[n++] = (struct entity_tag){
					json_str(t), str_c(entity_defs[kind].collection), item->id};
			}
		}
	}
	qsort(v, n, sizeof(*v), by_tag);
	return n;
}

size_t entity_set_tags(const struct entity_set *s, const struct entity_tag *from, bool one_tag,
		       struct arena *a, size_t max, struct entity_tag *out)
{
	struct entity_tag *v = ARENA_NEW_ARRAY(a, struct entity_tag, count_tags(s) + 1);
	size_t total = all_tags(s, v), n = 0;

	for (size_t i = 0; i < total && n < max; i++) {
		if (by_tag(&v[i], from) >= 0 && (!one_tag || str_eq(v[i].tag, from->tag))) {
			out[n++] = v[i];
		}
	}
	return n;
}
