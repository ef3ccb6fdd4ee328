/*
 * entity_tree - the few values that stand in every entity, as JSON trees
 */
#pragma once
#include "base/guid.h"
#include "gateway/tree.h"

struct json *tree_guid(struct arena *a, const struct guid *g);
/* {"id": …} */
struct json *tree_ref(struct arena *a, const struct guid *id);
/* The id of an entity or of a foreign key; false when there is none. */
bool tree_id(const struct json *v, struct guid *out);
/* As text without blanks. */
struct str tree_text(struct arena *a, const struct json *v);
