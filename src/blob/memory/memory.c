/*
 * memory - bodies in this process
 *
 * A body is a list of chunks, counted: the store's table holds one reference, each reader
 * another. Chunks never move or change once the body is committed, so readers need no lock.
 * Bytes count against the store's limit from append until the last reference goes.
 *
 * The store's mutex guards the table; counts are atomic.
 */
#include "blob/blob_int.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CHUNK_MIN = 4 << 10, CHUNK_MAX = 256 << 10, KEY_LEN = 17 };

struct chunk {
	struct chunk *next;
	size_t n, cap;
	char bytes[];
};

/* Outlives the store while readers hold bodies. */
struct budget {
	atomic_uint refs;
	atomic_uint_fast64_t used;
	uint64_t max;
};

struct body {
	atomic_uint refs;
	struct budget *budget;
	char key[KEY_LEN];
	struct chunk *first, *last;
	uint64_t size;
	uint64_t born_ms; /* monotonic */
	struct list_node node;
};

struct memory_store {
	struct blob_store base;
	struct budget *budget;
	/* guarded by mtx */
	pthread_mutex_t mtx;
	struct map bodies;
	struct list by_age; /* oldest first */
};

struct memory_writer {
	struct blob_writer base;
	struct memory_store *store;
	struct body *body;
};

struct memory_reader {
	struct blob_reader base;
	struct body *body;
	/* where the last span was: reading on finds the next without a search */
	struct chunk *at;
	uint64_t at_offset;
};

/* ---- bodies ---- */

static void make_key(struct blob_key key, char out[KEY_LEN])
{
	out[0] = (char)key.kind;
	memcpy(out + 1, key.id.b, sizeof(key.id.b));
}

static void budget_unref(struct budget *b)
{
	if (atomic_fetch_sub(&b->refs, 1) == 1) {
		mem_free(b);
	}
}

static void body_unref(struct body *b)
{
	if (!b || atomic_fetch_sub(&b->refs, 1) != 1) {
		return;
	}
	while (b->first) {
		struct chunk *c = b->first;

		b->first = c->next;
		mem_free(c);
	}
	atomic_fetch_sub(&b->budget->used, b->size);
	budget_unref(b->budget);
	mem_free(b);
}

static struct body *body_new(struct budget *budget, struct blob_key key)
{
	struct body *b = MEM_NEW(struct body);

	atomic_init(&b->refs, 1);
	atomic_fetch_add(&budget->refs, 1);
	b->budget = budget;
	make_key(key, b->key);
	return b;
}

/* Removes from the table and returns what the table held, or NULL. With the mutex held. */
static struct body *unlist(struct memory_store *s, struct str key)
{
	struct body *b = map_remove(&s->bodies, key);

	if (b) {
		list_remove(&b->node);
	}
	return b;
}

/* ---- writing ---- */

static enum err memory_create(struct blob_store *store, struct blob_key key,
			      struct blob_writer **out)
{
	struct memory_store *s = container_of(store, struct memory_store, base);
	struct memory_writer *w = MEM_NEW(struct memory_writer);

	w->base.ops = store->ops;
	w->store = s;
	w->body = body_new(s->budget, key);
	*out = &w->base;
	return ERR_OK;
}

static bool reserve(struct budget *b, uint64_t n)
{
	uint64_t used = atomic_load(&b->used);

	do {
		if (n > b->max - used) {
			return false;
		}
	} while (!atomic_compare_exchange_weak(&b->used, &used, used + n));
	return true;
}

static struct chunk *add_chunk(struct body *b, size_t want)
{
	size_t grown = b->last ? MIN(b->last->cap * 2, (size_t)CHUNK_MAX) : (size_t)CHUNK_MIN;
	size_t cap = MIN(MAX(grown, want), (size_t)CHUNK_MAX);
	struct chunk *c = mem_alloc(sizeof(*c) + cap);

	c->next = NULL;
	c->n = 0;
	c->cap = cap;
	if (b->last) {
		b->last->next = c;
	} else {
		b->first = c;
	}
	b->last = c;
	return c;
}

static enum err memory_append(struct blob_writer *writer, struct str bytes)
{
	struct body *b = container_of(writer, struct memory_writer, base)->body;

	if (!reserve(b->budget, bytes.n)) {
		return ERR_UNAVAILABLE;
	}
	b->size += bytes.n;
	while (bytes.n) {
		struct chunk *c = b->last;

		if (!c || c->n == c->cap) {
			c = add_chunk(b, bytes.n);
		}
		size_t n = MIN(bytes.n, c->cap - c->n);
		memcpy(c->bytes + c->n, bytes.p, n);
		c->n += n;
		bytes = str_skip(bytes, n);
	}
	return ERR_OK;
}

static enum err memory_commit(struct blob_writer *writer)
{
	struct memory_writer *w = container_of(writer, struct memory_writer, base);
	struct memory_store *s = w->store;
	struct body *b = w->body;
	struct str key = str_of(b->key, KEY_LEN);

	b->born_ms = clock_mono_ms();
	pthread_mutex_lock(&s->mtx);
	struct body *old = unlist(s, key);
	map_set(&s->bodies, key, b);
	list_push(&s->by_age, &b->node);
	pthread_mutex_unlock(&s->mtx);
	body_unref(old);
	mem_free(w);
	return ERR_OK;
}

static void memory_abort(struct blob_writer *writer)
{
	struct memory_writer *w = container_of(writer, struct memory_writer, base);

	body_unref(w->body);
	mem_free(w);
}

/* ---- reading ---- */

static enum err memory_open(struct blob_store *store, struct blob_key key, struct blob_reader **out)
{
	struct memory_store *s = container_of(store, struct memory_store, base);
	char name[KEY_LEN];

	make_key(key, name);
	pthread_mutex_lock(&s->mtx);
	struct body *b = map_get(&s->bodies, str_of(name, KEY_LEN));
	if (b) {
		atomic_fetch_add(&b->refs, 1);
	}
	pthread_mutex_unlock(&s->mtx);
	if (!b) {
		return ERR_NOT_FOUND;
	}
	struct memory_reader *r = MEM_NEW(struct memory_reader);
	r->base = (struct blob_reader){.ops = store->ops, .size = b->size};
	r->body = b;
	r->at = b->first;
	*out = &r->base;
	return ERR_OK;
}

static void memory_end(struct blob_reader *reader)
{
	struct memory_reader *r = container_of(reader, struct memory_reader, base);

	body_unref(r->body);
	mem_free(r);
}

static int memory_fd(const struct blob_reader *reader UNUSED)
{
	return -1;
}

static struct str memory_span(struct blob_reader *reader, uint64_t offset)
{
	struct memory_reader *r = container_of(reader, struct memory_reader, base);

	if (offset >= r->base.size) {
		return STR_NULL;
	}
	if (offset < r->at_offset) {
		r->at = r->body->first;
		r->at_offset = 0;
	}
	while (offset - r->at_offset >= r->at->n) {
		r->at_offset += r->at->n;
		r->at = r->at->next;
	}
	size_t skip = (size_t)(offset - r->at_offset);
	return str_of(r->at->bytes + skip, r->at->n - skip);
}

static enum err memory_read(struct blob_reader *reader, uint64_t offset, void *p, size_t n,
			    size_t *out_n)
{
	size_t done = 0;

	while (done < n) {
		struct str s = memory_span(reader, offset + done);
		size_t part = MIN(s.n, n - done);

		if (part == 0) {
			break;
		}
		memcpy((char *)p + done, s.p, part);
		done += part;
	}
	*out_n = done;
	return ERR_OK;
}

/* ---- the store ---- */

static enum err memory_stat(struct blob_store *store, struct blob_key key, uint64_t *out_size)
{
	struct memory_store *s = container_of(store, struct memory_store, base);
	char name[KEY_LEN];

	make_key(key, name);
	pthread_mutex_lock(&s->mtx);
	const struct body *b = map_get(&s->bodies, str_of(name, KEY_LEN));
	if (b) {
		*out_size = b->size;
	}
	pthread_mutex_unlock(&s->mtx);
	return b ? ERR_OK : ERR_NOT_FOUND;
}

static enum err memory_remove(struct blob_store *store, struct blob_key key)
{
	struct memory_store *s = container_of(store, struct memory_store, base);
	char name[KEY_LEN];

	make_key(key, name);
	pthread_mutex_lock(&s->mtx);
	struct body *b = unlist(s, str_of(name, KEY_LEN));
	pthread_mutex_unlock(&s->mtx);
	body_unref(b);
	return ERR_OK;
}

static struct body *take_older(struct memory_store *s, uint64_t max_age_ms)
{
	uint64_t now = clock_mono_ms();
	struct body *b = NULL;

	pthread_mutex_lock(&s->mtx);
	struct list_node *node = list_first(&s->by_age);
	if (node) {
		b = container_of(node, struct body, node);
		b = now - b->born_ms >= max_age_ms ? unlist(s, str_of(b->key, KEY_LEN)) : NULL;
	}
	pthread_mutex_unlock(&s->mtx);
	return b;
}

static enum err memory_sweep(struct blob_store *store, int64_t max_age_ms, size_t *out_removed)
{
	struct memory_store *s = container_of(store, struct memory_store, base);
	struct body *b;

	*out_removed = 0;
	while ((b = take_older(s, (uint64_t)MAX(max_age_ms, 0)))) {
		body_unref(b);
		(*out_removed)++;
	}
	return ERR_OK;
}

static void memory_close(struct blob_store *store)
{
	struct memory_store *s = container_of(store, struct memory_store, base);
	struct map_entry entry;
	size_t pos = 0;

	while (map_next(&s->bodies, &pos, &entry)) {
		map_remove(&s->bodies, entry.key);
		body_unref(entry.value);
	}
	map_free(&s->bodies);
	pthread_mutex_destroy(&s->mtx);
	budget_unref(s->budget);
	mem_free(s);
}

static const struct blob_ops memory_ops = {
	.close = memory_close,
	.create = memory_create,
	.open = memory_open,
	.stat = memory_stat,
	.remove = memory_remove,
	.sweep = memory_sweep,
	.append = memory_append,
	.commit = memory_commit,
	.abort = memory_abort,
	.end = memory_end,
	.fd = memory_fd,
	.span = memory_span,
	.read = memory_read,
};

struct blob_store *blob_memory_new(uint64_t max_bytes)
{
	struct memory_store *s = MEM_NEW(struct memory_store);

	s->base.ops = &memory_ops;
	s->budget = MEM_NEW(struct budget);
	atomic_init(&s->budget->refs, 1);
	s->budget->max = max_bytes;
	pthread_mutex_init(&s->mtx, NULL);
	list_init(&s->by_age);
	return &s->base;
}
