/*
 * One suite for every kind of store, then what only memory or only files can do.
 */
#include "unit.h"

#include "base/mem.h"
#include "blob/blob.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEMORY = 1, FILES = 2, MEMORY_MAX = 1 << 20 };

struct env {
	int kind;
	char dir[64];
	struct blob_store *store;
	struct blob_key key;
};

static struct env *env_new(int kind)
{
	struct env *e = MEM_NEW(struct env);
	char url[80];

	e->kind = kind;
	snprintf(e->dir, sizeof(e->dir), "/tmp/posthouse-blob.XXXXXX");
	assert_non_null(mkdtemp(e->dir));
	snprintf(url, sizeof(url), "file:%s", e->dir);
	struct blob_config config = {.url = kind == MEMORY ? STR("memory") : str_c(url),
				     .memory_max_bytes = MEMORY_MAX};
	assert_ok(blob_store_open(&config, &e->store, NULL));
	e->key = (struct blob_key){BLOB_REQUEST, guid_new()};
	return e;
}

static int setup(void **state)
{
	*state = env_new((int)(uintptr_t)*state);
	return 0;
}

static unsigned files_in(const char *dir, bool remove)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;
	unsigned n = 0;

	assert_non_null(d);
	while ((entry = readdir(d))) {
		if (entry->d_name[0] != '.') {
			n++;
			if (remove) {
				unlinkat(dirfd(d), entry->d_name, 0);
			}
		}
	}
	closedir(d);
	return n;
}

static int teardown(void **state)
{
	struct env *e = *state;

	blob_store_close(&e->store);
	files_in(e->dir, true);
	rmdir(e->dir);
	mem_free(e);
	return 0;
}

static void put(struct env *e, struct blob_key key, struct str bytes)
{
	struct blob_writer *w = NULL;

	assert_ok(blob_create(e->store, key, 0, &w));
	assert_ok(blob_append(w, bytes));
	assert_ok(blob_commit(&w));
	assert_null(w);
}

static void assert_body(struct blob_reader *r, struct str want)
{
	char *got = mem_alloc(want.n + 1);
	size_t done = 0, n = 1;

	assert_int_equal(blob_size(r), want.n);
	while (n) {
		assert_ok(blob_read(r, done, got + done, want.n + 1 - done, &n));
		done += n;
	}
	assert_str(str_of(got, done), want);
	mem_free(got);
}

/* ---- every store ---- */

static void what_was_written_is_read(void **state)
{
	struct env *e = *state;
	struct blob_reader *r = NULL;
	uint64_t size = 0;

	put(e, e->key, STR("hello \0 world"));
	assert_ok(blob_stat(e->store, e->key, &size));
	assert_int_equal(size, 13);
	assert_ok(blob_open(e->store, e->key, &r));
	assert_body(r, STR("hello \0 world"));
	blob_close(&r);
	assert_null(r);
	blob_close(&r);
}

static void large_bodies_come_in_pieces(void **state)
{
	struct env *e = *state;
	size_t n = 700000;
	char *bytes = mem_alloc(n);
	struct blob_writer *w = NULL;
	struct blob_reader *r = NULL;

	for (size_t i = 0; i < n; i++) {
		bytes[i] = (char)(i * 31 >> 3);
	}
	assert_ok(blob_create(e->store, e->key, n, &w));
	for (size_t off = 0, step = 1; off < n; off += step, step = step * 3 + 1) {
		step = MIN(step, n - off);
		assert_ok(blob_append(w, str_of(bytes + off, step)));
		assert_int_equal(blob_written(w), off + step);
	}
	assert_ok(blob_commit(&w));
	assert_ok(blob_open(e->store, e->key, &r));
	assert_body(r, str_of(bytes, n));
	for (size_t off = 0; off < n; off = off * 2 + 4095) {
		char c = 0;
		size_t got = 0;

		assert_ok(blob_read(r, off, &c, 1, &got));
		assert_true(got == 1 && c == bytes[off]);
	}
	blob_close(&r);
	mem_free(bytes);
}

static void kinds_are_apart(void **state)
{
	struct env *e = *state;
	struct blob_key other = {BLOB_RESPONSE, e->key.id};
	struct blob_reader *r = NULL;

	put(e, e->key, STR("request"));
	assert_err(blob_open(e->store, other, &r), ERR_NOT_FOUND);
	put(e, other, STR("response"));
	assert_ok(blob_open(e->store, e->key, &r));
	assert_body(r, STR("request"));
	blob_close(&r);
}

static void empty_bodies_exist(void **state)
{
	struct env *e = *state;
	struct blob_reader *r = NULL;

	put(e, e->key, STR_NULL);
	assert_ok(blob_open(e->store, e->key, &r));
	assert_body(r, STR(""));
	blob_close(&r);
}

static void nothing_shows_before_the_commit(void **state)
{
	struct env *e = *state;
	struct blob_writer *w = NULL;
	struct blob_reader *r = NULL;
	uint64_t size;

	assert_ok(blob_create(e->store, e->key, 0, &w));
	assert_ok(blob_append(w, STR("half")));
	assert_err(blob_open(e->store, e->key, &r), ERR_NOT_FOUND);
	assert_err(blob_stat(e->store, e->key, &size), ERR_NOT_FOUND);
	blob_abort(&w);
	assert_null(w);
	blob_abort(&w);
	assert_err(blob_open(e->store, e->key, &r), ERR_NOT_FOUND);
	assert_int_equal(files_in(e->dir, false), 0);
}

static void a_shorter_body_replaces_a_longer_one(void **state)
{
	struct env *e = *state;
	struct blob_reader *before = NULL, *after = NULL;

	put(e, e->key, STR("the longer one"));
	assert_ok(blob_open(e->store, e->key, &before));
	put(e, e->key, STR("short"));
	assert_ok(blob_open(e->store, e->key, &after));
	assert_body(after, STR("short"));
	assert_body(before, STR("the longer one"));
	blob_close(&before);
	blob_close(&after);
}

static void a_reader_survives_removal(void **state)
{
	struct env *e = *state;
	struct blob_reader *r = NULL, *none = NULL;

	put(e, e->key, STR("kept"));
	assert_ok(blob_open(e->store, e->key, &r));
	assert_ok(blob_remove(e->store, e->key));
	assert_ok(blob_remove(e->store, e->key));
	assert_err(blob_open(e->store, e->key, &none), ERR_NOT_FOUND);
	assert_body(r, STR("kept"));
	blob_close(&r);
}

static void a_body_over_its_limit_is_refused(void **state)
{
	struct env *e = *state;
	struct blob_writer *w = NULL;
	uint64_t size;

	assert_ok(blob_create(e->store, e->key, 10, &w));
	assert_ok(blob_append(w, STR("0123456789")));
	assert_err(blob_append(w, STR("x")), ERR_LIMIT);
	assert_err(blob_append(w, STR("")), ERR_LIMIT);
	assert_err(blob_commit(&w), ERR_LIMIT);
	assert_null(w);
	assert_err(blob_stat(e->store, e->key, &size), ERR_NOT_FOUND);
	assert_int_equal(files_in(e->dir, false), 0);
}

static void sweeping_takes_the_old_ones(void **state)
{
	struct env *e = *state;
	size_t removed = 9;
	uint64_t size;

	put(e, e->key, STR("1"));
	put(e, (struct blob_key){BLOB_RESPONSE, guid_new()}, STR("2"));
	assert_ok(blob_sweep(e->store, 3600000, &removed));
	assert_int_equal(removed, 0);
	assert_ok(blob_sweep(e->store, 0, &removed));
	assert_int_equal(removed, 2);
	assert_err(blob_stat(e->store, e->key, &size), ERR_NOT_FOUND);
}

/* Several threads write, replace, read and remove the same few keys. */
struct hammer {
	struct blob_store *store;
	struct blob_key keys[3];
	unsigned seed;
};

static void *hammer(void *arg)
{
	struct hammer *h = arg;
	char fill[3000];

	memset(fill, (int)('a' + h->seed), sizeof(fill));
	for (unsigned i = 0; i < 300; i++) {
		struct blob_key key = h->keys[(i * 7 + h->seed) % 3];
		struct blob_writer *w = NULL;
		struct blob_reader *r = NULL;
		char back[sizeof(fill)];
		size_t n = 0;

		if (blob_create(h->store, key, 0, &w) != ERR_OK ||
		    blob_append(w, str_of(fill, sizeof(fill))) != ERR_OK ||
		    blob_commit(&w) != ERR_OK) {
			return "write";
		}
		if (blob_open(h->store, key, &r) == ERR_OK) {
			bool is_whole = blob_read(r, 0, back, sizeof(back), &n) == ERR_OK &&
					n == sizeof(back) && back[0] == back[n - 1];

			blob_close(&r);
			if (!is_whole) {
				return "read";
			}
		}
		if (i % 3 == 0 && blob_remove(h->store, key) != ERR_OK) {
			return "remove";
		}
	}
	return NULL;
}

static void threads_may_share_a_store(void **state)
{
	struct env *e = *state;
	struct hammer h[4];
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++) {
		h[i] = (struct hammer){.store = e->store, .seed = i};
		for (int k = 0; k < 3; k++) {
			h[i].keys[k] =
				i ? h[0].keys[k] : (struct blob_key){BLOB_REQUEST, guid_new()};
		}
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, &h[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		void *failure = NULL;

		pthread_join(threads[i], &failure);
		assert_null(failure);
	}
}

/* ---- memory ---- */

static void memory_has_a_limit(void **state)
{
	struct env *e = *state;
	char *bytes = mem_zalloc(MEMORY_MAX);
	struct blob_writer *w = NULL;
	struct blob_reader *r = NULL;

	put(e, e->key, str_of(bytes, MEMORY_MAX - 10));
	struct blob_key more = {BLOB_RESPONSE, e->key.id};
	assert_ok(blob_create(e->store, more, 0, &w));
	assert_ok(blob_append(w, STR("0123456789")));
	assert_err(blob_append(w, STR("x")), ERR_UNAVAILABLE);
	assert_err(blob_commit(&w), ERR_UNAVAILABLE);
	/* bytes that a reader holds still count */
	assert_ok(blob_open(e->store, e->key, &r));
	assert_ok(blob_remove(e->store, e->key));
	assert_ok(blob_create(e->store, more, 0, &w));
	assert_err(blob_append(w, str_of(bytes, 100)), ERR_UNAVAILABLE);
	blob_abort(&w);
	blob_close(&r);
	put(e, more, str_of(bytes, MEMORY_MAX));
	mem_free(bytes);
}

static void memory_gives_spans(void **state)
{
	struct env *e = *state;
	struct blob_writer *w = NULL;
	struct blob_reader *r = NULL;
	uint64_t offset = 0;
	struct str s;

	assert_ok(blob_create(e->store, e->key, 0, &w));
	for (int i = 0; i < 1000; i++) {
		assert_ok(blob_append(w, STR("0123456789")));
	}
	assert_ok(blob_commit(&w));
	assert_ok(blob_open(e->store, e->key, &r));
	assert_int_equal(blob_fd(r), -1);
	while ((s = blob_span(r, offset)).n) {
		assert_int_equal(s.p[0], '0' + (int)(offset % 10));
		offset += s.n;
	}
	assert_int_equal(offset, 10000);
	assert_int_equal(blob_span(r, 13).p[0], '3'); /* back again */
	blob_close(&r);
}

static void a_reader_outlives_the_memory_store(void **state)
{
	struct env *e = *state;
	struct blob_reader *r = NULL;

	put(e, e->key, STR("kept"));
	assert_ok(blob_open(e->store, e->key, &r));
	blob_store_close(&e->store);
	assert_body(r, STR("kept"));
	blob_close(&r);
}

/* ---- files ---- */

static void files_have_the_names_of_the_original(void **state)
{
	struct env *e = *state;
	struct blob_key key = {.kind = BLOB_RESPONSE};
	struct blob_reader *r = NULL;
	char path[160], byte = 0;
	struct stat st;

	assert_ok(guid_parse(STR("00112233-4455-6677-8899-aabbccddeeff"), &key.id));
	put(e, key, STR("abc"));
	snprintf(path, sizeof(path), "%s/res_00112233-4455-6677-8899-aabbccddeeff", e->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_ok(blob_open(e->store, key, &r));
	assert_int_equal(pread(blob_fd(r), &byte, 1, 1), 1);
	assert_int_equal(byte, 'b');
	blob_close(&r);
}

static void touch(const char *dir, const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void sweeping_leaves_other_files(void **state)
{
	struct env *e = *state;
	size_t removed = 0;

	touch(e->dir, "notes.txt");
	touch(e->dir, "req_notes");
	touch(e->dir, "res_00112233-4455-6677-8899-aabbccddeef"); /* one digit short */
	touch(e->dir, "tmp_00112233445566778899aabbccddeeff");	  /* abandoned */
	assert_ok(blob_sweep(e->store, 0, &removed));
	assert_int_equal(removed, 1);
	assert_int_equal(files_in(e->dir, false), 3);
}

/* Only who is alone in the directory may take what it finds for the bodies of the dead. */
static void the_dead_are_buried_by_who_is_alone(void **state)
{
	struct env *e = *state;
	struct blob_store *other;
	char url[80];

	snprintf(url, sizeof(url), "file:%s", e->dir);
	put(e, e->key, STR("abc"));
	touch(e->dir, "notes.txt");
	assert_ok(blob_store_open(&(struct blob_config){.url = str_c(url)}, &other, NULL));
	assert_int_equal(files_in(e->dir, false), 2);
	blob_store_close(&e->store);
	assert_ok(blob_store_open(&(struct blob_config){.url = str_c(url)}, &e->store, NULL));
	assert_int_equal(files_in(e->dir, false), 2);
	blob_store_close(&e->store);
	blob_store_close(&other);
	assert_ok(blob_store_open(&(struct blob_config){.url = str_c(url)}, &e->store, NULL));
	assert_int_equal(files_in(e->dir, false), 1);
}

static void a_bad_directory_is_named(void **state)
{
	static const struct {
		struct str url;
		enum err err;
		const char *says;
	} cases[] = {
		{STR_INIT("file:/nonexistent/x"), ERR_UNAVAILABLE,
		 "bodies: cannot use the directory /nonexistent/x: it does not exist"},
		{STR_INIT("file:/etc/passwd"), ERR_UNAVAILABLE, "it is not a directory"},
		{STR_INIT("file:/proc/self"), ERR_UNAVAILABLE, "/proc/self"},
		{STR_INIT("file:"), ERR_INVALID, "expected memory or file:DIR"},
		{STR_INIT("ftp://x"), ERR_INVALID, "expected memory or file:DIR"},
		{STR_INIT(""), ERR_INVALID, "expected memory or file:DIR"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct blob_config config = {.url = cases[i].url};
		struct blob_store *store = NULL;
		struct fault f = {0};

		assert_err(blob_store_open(&config, &store, &f), cases[i].err);
		assert_null(store);
		assert_non_null(strstr(f.text, cases[i].says));
	}
}

/* A file system that is really full; where tests may not mount, a limit on file size. */
static bool make_full(const char *dir)
{
	if (mount("tmpfs", dir, "tmpfs", 0, "size=64k") == 0) {
		return true;
	}
	struct rlimit limit = {64 << 10, 64 << 10};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	return false;
}

static void write_until_full(struct blob_store *store, struct blob_key key)
{
	static const char block[4096];
	struct blob_writer *w = NULL;
	enum err e = ERR_OK;

	assert_ok(blob_create(store, key, 0, &w));
	for (int i = 0; e == ERR_OK && i < 1000; i++) {
		e = blob_append(w, str_of(block, sizeof(block)));
	}
	assert_err(e, ERR_UNAVAILABLE);
	assert_err(blob_commit(&w), ERR_UNAVAILABLE);
}

static void a_full_disk_leaves_nothing_behind(void **state)
{
	struct env *e = *state;
	char dir[80], url[96];
	struct blob_store *store = NULL;

	snprintf(dir, sizeof(dir), "%s/full", e->dir);
	snprintf(url, sizeof(url), "file:%s", dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	bool is_mounted = make_full(dir);
	assert_ok(blob_store_open(&(struct blob_config){.url = str_c(url)}, &store, NULL));
	write_until_full(store, e->key);
	assert_int_equal(files_in(dir, false), 0);
	/* there is room again */
	struct env small = {.store = store};
	put(&small, e->key, STR("fits"));
	blob_store_close(&store);
	files_in(dir, true);
	if (is_mounted) {
		assert_int_equal(umount(dir), 0);
	}
	rmdir(dir);
}

#define ON(kind, test)                                                                             \
	{                                                                                          \
#test " (" #kind ")", test, setup, teardown, (void *)(uintptr_t)(kind)             \
	}
#define BOTH(test) ON(MEMORY, test), ON(FILES, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(what_was_written_is_read),
		BOTH(large_bodies_come_in_pieces),
		BOTH(kinds_are_apart),
		BOTH(empty_bodies_exist),
		BOTH(nothing_shows_before_the_commit),
		BOTH(a_shorter_body_replaces_a_longer_one),
		BOTH(a_reader_survives_removal),
		BOTH(a_body_over_its_limit_is_refused),
		BOTH(sweeping_takes_the_old_ones),
		BOTH(threads_may_share_a_store),
		ON(MEMORY, memory_has_a_limit),
		ON(MEMORY, memory_gives_spans),
		ON(MEMORY, a_reader_outlives_the_memory_store),
		ON(FILES, files_have_the_names_of_the_original),
		ON(FILES, sweeping_leaves_other_files),
		ON(FILES, the_dead_are_buried_by_who_is_alone),
		ON(FILES, a_bad_directory_is_named),
		/* last: it may lower a limit of this process */
		ON(FILES, a_full_disk_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
