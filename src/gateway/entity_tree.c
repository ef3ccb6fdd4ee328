#include "gateway/entity_tree.h"

struct json *tree_guid(struct arena *a, const struct guid *g)
{
	return tree_str(a, guid_d_str(a, g));
}

struct json *tree_ref(struct arena *a, const struct guid *id)
{
	struct json *v = tree_object(a);

	tree_set(a, v, STR("id"), tree_guid(a, id));
	return v;
}

bool tree_id(const struct json *v, struct guid *out)
{
	return guid_parse(json_str(json_get(v, STR("id"))), out) == ERR_OK;
}

struct str tree_text(struct arena *a, const struct json *v)
{
	struct buf b = {0};
	struct json_writer w = json_writer_to(&b);
	struct str s;

	json_put_tree(&w, v);
	s = str_dup(a, buf_str(&b));
	buf_free(&b);
	return s;
}
