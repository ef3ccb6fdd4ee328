#include "relay/record.h"

void record_init(struct record_reader *r, size_t max)
{
	*r = (struct record_reader){.max = max};
}

void record_fini(struct record_reader *r)
{
	buf_free(&r->part);
	r->input = STR_NULL;
}

void record_feed(struct record_reader *r, struct str data)
{
	r->input = data;
}

/* The rest of the input belongs to a record that a later frame ends. */
static enum err keep_rest(struct record_reader *r)
{
	if (r->part.n + r->input.n > r->max) {
		return ERR_LIMIT;
	}
	buf_put(&r->part, r->input);
	r->input = STR_NULL;
	return ERR_AGAIN;
}

enum err record_next(struct record_reader *r, struct str *out)
{
	if (r->shown) {
		buf_free(&r->part);
		r->shown = false;
	}
	ptrdiff_t end = str_index(r->input, RECORD_END);

	if (end < 0) {
		return keep_rest(r);
	}
	struct str record = str_slice(r->input, 0, (size_t)end);

	r->input = str_skip(r->input, (size_t)end + 1);
	if (r->part.n + record.n > r->max) {
		return ERR_LIMIT;
	}
	if (r->part.n > 0) {
		buf_put(&r->part, record);
		record = buf_str(&r->part);
		r->shown = true;
	}
	*out = record;
	return ERR_OK;
}
