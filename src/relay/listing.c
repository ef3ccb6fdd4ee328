#include "relay/listing.h"

enum err listing_params(struct task *t, struct listing *out)
{
	TRY(task_query_int(t, "skip", 0, 0, INT32_MAX, &out->skip));
	TRY(task_query_int(t, "take", LISTING_TAKE, 0, INT32_MAX, &out->take));
	out->take = MIN(out->take, LISTING_TAKE_MAX);
	return ERR_OK;
}

static void put_int(struct json_writer *w, struct str key, int64_t v)
{
	json_key(w, key);
	json_put_int(w, v);
}

enum err listing_reply(struct task *t, const struct listing *page, const struct json_shape *shape,
		       const void *rows, size_t n, size_t size)
{
	struct json_writer w = task_reply_writer(t, 200);

	json_begin_object(&w);
	json_key(&w, STR("results"));
	json_begin_array(&w);
	for (size_t i = 0; i < n; i++) {
		json_encode(shape, (const char *)rows + i * size, &w);
	}
	json_end_array(&w);
	put_int(&w, STR("totalCount"), page->total);
	put_int(&w, STR("offset"), page->skip);
	put_int(&w, STR("pageSize"), page->take);
	json_end_object(&w);
	return ERR_OK;
}
