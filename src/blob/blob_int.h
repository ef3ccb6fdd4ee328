/*
 * blob_int - the tables of a store and what the kinds of stores share
 */
#pragma once
#include "blob/blob.h"

struct blob_ops {
	void (*close)(struct blob_store *store);
	enum err (*create)(struct blob_store *store, struct blob_key key, struct blob_writer **out);
	enum err (*open)(struct blob_store *store, struct blob_key key, struct blob_reader **out);
	enum err (*stat)(struct blob_store *store, struct blob_key key, uint64_t *out_size);
	enum err (*remove)(struct blob_store *store, struct blob_key key);
	enum err (*sweep)(struct blob_store *store, int64_t max_age_ms, size_t *out_removed);

	enum err (*append)(struct blob_writer *w, struct str bytes);
	/* Both free the writer. */
	enum err (*commit)(struct blob_writer *w);
	void (*abort)(struct blob_writer *w);

	/* Frees the reader. */
	void (*end)(struct blob_reader *r);
	int (*fd)(const struct blob_reader *r);
	struct str (*span)(struct blob_reader *r, uint64_t offset);
	enum err (*read)(struct blob_reader *r, uint64_t offset, void *p, size_t n, size_t *out_n);
};

/* Each kind begins its own struct with one of these. */
struct blob_store {
	const struct blob_ops *ops;
};

struct blob_writer {
	const struct blob_ops *ops;
	uint64_t written;
	uint64_t max_bytes; /* 0 = no limit */
	enum err failed;    /* the first failure stays */
};

struct blob_reader {
	const struct blob_ops *ops;
	uint64_t size;
};

enum err blob_file_open(struct str dir, struct blob_store **out, struct fault *f) MUST_USE;
struct blob_store *blob_memory_new(uint64_t max_bytes);
