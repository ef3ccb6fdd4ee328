/* Building blocks of the trees that variables, and files of other kinds, become. */
#include "app/config_int.h"

struct conf_node *config_node(struct arena *a, int kind, struct str key, struct str source)
{
	struct conf_node *node = ARENA_NEW(a, struct conf_node);

	node->kind = kind;
	node->key = key;
	node->source = source;
	return node;
}

void config_append(struct conf_node *parent, struct conf_node *child)
{
	struct conf_node **tail = &parent->child;

	while (*tail) {
		tail = &(*tail)->next;
	}
	*tail = child;
}

struct conf_node *config_sub_map(struct arena *a, struct conf_node *map, struct str key,
				 struct str source)
{
	struct conf_node *found = (struct conf_node *)conf_get(map, key);

	if (!found) {
		found = config_node(a, CONF_NODE_MAP, key, source);
		config_append(map, found);
	}
	if (found->kind != CONF_NODE_MAP) {
		found->kind = CONF_NODE_MAP;
		found->text = STR_NULL;
		found->child = NULL;
	}
	return found;
}

void config_set(struct conf_node *map, struct conf_node *value)
{
	struct conf_node *old = (struct conf_node *)conf_get(map, value->key);

	if (old) {
		struct conf_node *next = old->next;

		*old = *value;
		old->next = next;
		return;
	}
	config_append(map, value);
}
