/*
 * blob - bodies of requests and responses, kept outside of the heap of a connection
 *
 * A body is written once (open, append, commit) and becomes visible as a whole; committing
 * the same key again replaces it. It is read by offset, any number of times and at the same
 * time; a reader keeps what it opened even when the body is removed or replaced.
 *
 * Stores: `memory` (this process, a limit on the sum of bytes) and `file:DIR` (shared between
 * servers by a shared directory; names req_{guid} and res_{guid}; temporary files are renamed
 * on commit). Bodies are transient: a commit is not forced to the disk.
 *
 * Ownership  a writer and a reader belong to whoever opened them; both keep nothing of the
 *            store alive, so close them before the store.
 * Threads    a store may be used from any thread, loops included: calls go to the page cache
 *            and are brief. A writer or reader has one user at a time and may change threads.
 *            blob_sweep and blob_store_open read directories: workers.
 * Failure    ERR_LIMIT        the body is larger than the writer allows
 *            ERR_UNAVAILABLE  the disk or the memory limit is full, the directory is gone
 *            ERR_NOT_FOUND    no such body
 *            A failed append or commit leaves nothing behind; the writer only can be aborted.
 */
#pragma once
#include "base/err.h"
#include "base/guid.h"
#include "base/str.h"

enum blob_kind { BLOB_REQUEST, BLOB_RESPONSE };

struct blob_key {
	enum blob_kind kind;
	struct guid id;
};

struct blob_config {
	struct str url;		   /* memory, file:DIR */
	uint64_t memory_max_bytes; /* of all bodies in a memory store; 0 = 256 MiB */
};

struct blob_store;
struct blob_writer;
struct blob_reader;

enum err blob_url_check(struct str url, struct fault *f) MUST_USE;
/*
 * A file store must exist and let a file test_{guid} be created, read and deleted; if not,
 * fails with a text that names the directory. Bodies that are there are removed at once when no
 * other store has the directory open (on file systems of this machine only).
 */
enum err blob_store_open(const struct blob_config *config, struct blob_store **out,
			 struct fault *f) MUST_USE;
/* NULL-safe, sets *store to NULL. Bodies in memory are gone, files stay. */
void blob_store_close(struct blob_store **store);

/* `max_bytes` 0 = no limit of its own. */
enum err blob_create(struct blob_store *store, struct blob_key key, uint64_t max_bytes,
		     struct blob_writer **out) MUST_USE;
enum err blob_append(struct blob_writer *w, struct str bytes) MUST_USE;
uint64_t blob_written(const struct blob_writer *w);
/* Both end the writer and set *w to NULL; abort is NULL-safe. */
enum err blob_commit(struct blob_writer **w) MUST_USE;
void blob_abort(struct blob_writer **w);

enum err blob_open(struct blob_store *store, struct blob_key key,
		   struct blob_reader **out) MUST_USE;
/* NULL-safe, sets *r to NULL. */
void blob_close(struct blob_reader **r);
uint64_t blob_size(const struct blob_reader *r);
/* For sendfile; -1 when the body is in memory. Belongs to the reader. */
int blob_fd(const struct blob_reader *r);
/*
 * In memory: the bytes from `offset` on that stand in one piece, valid until the reader is
 * closed; empty at the end. Nothing is copied. Not for files.
 */
struct str blob_span(struct blob_reader *r, uint64_t offset);
/* Any store: copies at most `n` bytes; *out_n 0 means the end. */
enum err blob_read(struct blob_reader *r, uint64_t offset, void *p, size_t n,
		   size_t *out_n) MUST_USE;

/* Size without opening; ERR_NOT_FOUND. */
enum err blob_stat(struct blob_store *store, struct blob_key key, uint64_t *out_size) MUST_USE;
/* Removing what is not there is fine. */
enum err blob_remove(struct blob_store *store, struct blob_key key) MUST_USE;

/*
 * Removes bodies and abandoned temporary files older than `max_age_ms`; other files in the
 * directory are left alone. For a periodic job.
 */
enum err blob_sweep(struct blob_store *store, int64_t max_age_ms, size_t *out_removed) MUST_USE;
