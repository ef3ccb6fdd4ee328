/*
 * conf_of_json - a configuration tree from JSON text, for tests of roles that read CONF_NODE
 */
#pragma once
#include "unit.h"

#include "base/conf.h"
#include "base/json.h"

static struct conf_node *conf_of(struct arena *a, const struct json *j)
{
	struct conf_node *n = ARENA_NEW(a, struct conf_node);
	struct conf_node **to = &n->child;

	n->key = j->key;
	n->source = STR("test");
	n->line = 1;
	if (j->type != JSON_OBJECT && j->type != JSON_ARRAY) {
		n->kind = CONF_NODE_SCALAR;
		n->text =
			j->type == JSON_BOOL ? (j->boolean ? STR("true") : STR("false")) : j->text;
		return n;
	}
	n->kind = j->type == JSON_OBJECT ? CONF_NODE_MAP : CONF_NODE_LIST;
	for (const struct json *c = j->child; c; c = c->next) {
		*to = conf_of(a, c);
		to = &(*to)->next;
	}
	return n;
}

static inline const struct conf_node *conf_of_json(struct arena *a, const char *text)
{
	struct json *j;

	assert_ok(json_parse(a, str_c(text), &j, NULL));
	return conf_of(a, j);
}
