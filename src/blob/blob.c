#include "blob/blob_int.h"

#define MEMORY STR("memory")
#define FILE_IN STR("file:")
#define MEMORY_MAX_DEFAULT ((uint64_t)256 << 20)

enum err blob_url_check(struct str url, struct fault *f)
{
	if (str_eq(url, MEMORY) || (str_starts(url, FILE_IN) && url.n > FILE_IN.n)) {
		return ERR_OK;
	}
	return fault_set(f, ERR_INVALID, "bodies: expected memory or file:DIR");
}

enum err blob_store_open(const struct blob_config *config, struct blob_store **out, struct fault *f)
{
	struct str url = config->url;

	TRY(blob_url_check(url, f));
	if (str_eq(url, MEMORY)) {
		uint64_t max = config->memory_max_bytes;

		*out = blob_memory_new(max ? max : MEMORY_MAX_DEFAULT);
		return ERR_OK;
	}
	return blob_file_open(str_skip(url, FILE_IN.n), out, f);
}

void blob_store_close(struct blob_store **store)
{
	if (*store) {
		(*store)->ops->close(*store);
		*store = NULL;
	}
}

/* ---- writing ---- */

enum err blob_create(struct blob_store *store, struct blob_key key, uint64_t max_bytes,
		     struct blob_writer **out)
{
	struct blob_writer *w = NULL;

	TRY(store->ops->create(store, key, &w));
	w->max_bytes = max_bytes;
	*out = w;
	return ERR_OK;
}

enum err blob_append(struct blob_writer *w, struct str bytes)
{
	if (w->failed != ERR_OK || bytes.n == 0) {
		return w->failed;
	}
	if (w->max_bytes && bytes.n > w->max_bytes - w->written) {
		w->failed = ERR_LIMIT;
		return ERR_LIMIT;
	}
	w->failed = w->ops->append(w, bytes);
	if (w->failed == ERR_OK) {
		w->written += bytes.n;
	}
	return w->failed;
}

uint64_t blob_written(const struct blob_writer *w)
{
	return w->written;
}

enum err blob_commit(struct blob_writer **ref)
{
	struct blob_writer *w = *ref;
	enum err e = w->failed;

	*ref = NULL;
	if (e != ERR_OK) {
		w->ops->abort(w);
		return e;
	}
	return w->ops->commit(w);
}

void blob_abort(struct blob_writer **w)
{
	if (*w) {
		(*w)->ops->abort(*w);
		*w = NULL;
	}
}

/* ---- reading ---- */

enum err blob_open(struct blob_store *store, struct blob_key key, struct blob_reader **out)
{
	return store->ops->open(store, key, out);
}

void blob_close(struct blob_reader **r)
{
	if (*r) {
		(*r)->ops->end(*r);
		*r = NULL;
	}
}

uint64_t blob_size(const struct blob_reader *r)
{
	return r->size;
}

int blob_fd(const struct blob_reader *r)
{
	return r->ops->fd(r);
}

struct str blob_span(struct blob_reader *r, uint64_t offset)
{
	return r->ops->span(r, offset);
}

enum err blob_read(struct blob_reader *r, uint64_t offset, void *p, size_t n, size_t *out_n)
{
	return r->ops->read(r, offset, p, n, out_n);
}

/* ---- the store ---- */

enum err blob_stat(struct blob_store *store, struct blob_key key, uint64_t *out_size)
{
	return store->ops->stat(store, key, out_size);
}

enum err blob_remove(struct blob_store *store, struct blob_key key)
{
	return store->ops->remove(store, key);
}

enum err blob_sweep(struct blob_store *store, int64_t max_age_ms, size_t *out_removed)
{
	return store->ops->sweep(store, max_age_ms, out_removed);
}
