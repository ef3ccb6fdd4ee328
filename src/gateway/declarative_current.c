#include "gateway/declarative_current.h"

#include "gateway/tree.h"

struct collecting {
	struct arena *arena;
	struct declarative_item *v;
	size_t n, cap;
	enum entity_kind kind;
};

static enum err collect(void *ctx, const struct json *v)
{
	struct collecting *c = ctx;
	struct guid id;

	if (guid_parse(json_str(json_get(v, STR("id"))), &id) != ERR_OK) {
		return ERR_INTERNAL;
	}
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 64;
		struct declarative_item *more =
			ARENA_NEW_ARRAY(c->arena, struct declarative_item, cap);

		if (c->n) {
			memcpy(more, c->v, c->n * sizeof(*more));
		}
		c->v = more;
		c->cap = cap;
	}
	c->v[c->n++] = (struct declarative_item){
		.kind = c->kind, .id = id, .json = tree_copy(c->arena, v)};
	return ERR_OK;
}

enum err declarative_current(struct entities *es, struct entity_call *call, struct declarative *out)
{
	struct collecting c = {.arena = call->arena};

	for (size_t kind = 0; kind < ENTITY_KINDS; kind++) {
		c.kind = (enum entity_kind)kind;
		TRY(entities_each(es, call, c.kind, collect, &c));
	}
	*out = (struct declarative){.v = c.v, .n = c.n};
	return ERR_OK;
}
