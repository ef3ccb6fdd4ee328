/* Plugin instances by route, service or neither: what plans are made of. */
#include "base/mem.h"
#include "gateway/epoch_int.h"

/* Kind and id: nobody keeps a route from having the id of a service. */
static struct str write_key(char key[1 + sizeof(struct guid)], enum entity_kind kind,
			    const struct guid *id)
{
	key[0] = (char)kind;
	memcpy(key + 1, id->b, sizeof(id->b));
	return str_of(key, 1 + sizeof(id->b));
}

static struct str key_of_instance(char key[1 + sizeof(struct guid)],
				  const struct plugin_instance *p)
{
	if (!guid_is_nil(&p->route)) {
		return write_key(key, ENTITY_ROUTE, &p->route);
	}
	return write_key(key, guid_is_nil(&p->service) ? ENTITY_PLUGIN : ENTITY_SERVICE,
			 &p->service);
}

void plugin_index_add(struct plugin_index *x, struct entity_item *item)
{
	char key[1 + sizeof(struct guid)];
	struct plugin_group *g;
	struct str k;

	if (!item || !item->compiled) {
		return;
	}
	k = key_of_instance(key, item->compiled);
	g = map_get(&x->groups, k);
	if (!g) {
		g = MEM_NEW(struct plugin_group);
		memcpy(g->key, key, sizeof(g->key));
		(void)map_set(&x->groups, str_of(g->key, sizeof(g->key)), g);
	}
	if (g->n == g->cap) {
		g->cap = g->cap * 2 + 2;
		g->v = mem_resize(g->v, sizeof(const struct plugin_instance *) * g->cap);
		g->items = mem_resize(g->items, sizeof(struct entity_item *) * g->cap);
	}
	g->items[g->n] = item;
	g->v[g->n++] = item->compiled;
}

static void group_free(struct plugin_group *g)
{
	mem_free(g->items);
	mem_free(g->v);
	mem_free(g);
}

void plugin_index_remove(struct plugin_index *x, struct entity_item *item)
{
	char key[1 + sizeof(struct guid)];
	struct plugin_group *g;

	if (!item || !item->compiled) {
		return;
	}
	g = map_get(&x->groups, key_of_instance(key, item->compiled));
	for (size_t i = 0; g && i < g->n; i++) {
		if (g->items[i] == item) {
			g->items[i] = g->items[--g->n];
			g->v[i] = g->v[g->n];
			break;
		}
	}
	if (g && g->n == 0) {
		(void)map_remove(&x->groups, str_of(g->key, sizeof(g->key)));
		group_free(g);
	}
}

void plugin_index_free(struct plugin_index *x)
{
	struct map_entry e;
	size_t pos = 0;

	while (map_next(&x->groups, &pos, &e)) {
		group_free(e.value);
	}
	map_free(&x->groups);
	x->groups = (struct map){0};
}

const struct plugin_group *plugin_index_get(const struct plugin_index *x, enum entity_kind kind,
					    const struct guid *id)
{
	char key[1 + sizeof(struct guid)];

	return map_get(&x->groups, write_key(key, kind, id));
}
