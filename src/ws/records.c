#include "ws/records.h"

void records_init(struct records *r, size_t max)
{
	*r = (struct records){.max = max};
}

void records_reset(struct records *r)
{
	buf_free(&r->part);
	r->input = STR_NULL;
	r->shown = false;
}

void records_fini(struct records *r)
{
	records_reset(r);
}

void records_feed(struct records *r, struct str data)
{
	r->input = data;
}

/* The rest of the input belongs to a record that a later one ends. */
static enum err keep_rest(struct records *r)
{
	if (r->input.n > r->max - r->part.n) {
		return ERR_LIMIT;
	}
	if (r->input.n > 0) {
		buf_put(&r->part, r->input);
	}
	r->input = STR_NULL;
	return ERR_AGAIN;
}

enum err records_next(struct records *r, struct str *out)
{
	if (r->shown) {
		buf_free(&r->part);
		r->shown = false;
	}
	ptrdiff_t end = str_index(r->input, RECORDS_END);

	if (end < 0) {
		return keep_rest(r);
	}
	struct str record = str_slice(r->input, 0, (size_t)end);

	if (record.n > r->max - r->part.n) {
		return ERR_LIMIT;
	}
	r->input = str_skip(r->input, (size_t)end + 1);
	if (r->part.n > 0) {
		buf_put(&r->part, record);
		record = buf_str(&r->part);
		r->shown = true;
	}
	*out = record;
	return ERR_OK;
}

size_t records_fit(struct str s, size_t max)
{
	ptrdiff_t end;

	if (s.n <= max) {
		return s.n;
	}
	end = str_rindex(str_slice(s, 0, max), RECORDS_END);
	if (end < 0) {
		end = str_index(s, RECORDS_END);
	}
	return end < 0 ? s.n : (size_t)end + 1;
}
