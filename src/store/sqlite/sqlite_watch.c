/*
 * Whether the files of a database changed: each commit writes to the -wal, or to the database
 * itself. Times of files are those of the last tick of the kernel, of some file systems whole
 * seconds: two commits may have the same. So what was written a moment ago counts as changing.
 */
#include "store/sqlite/sqlite_int.h"
#include "store/watch_int.h"

#include "base/clock.h"
#include "base/mem.h"

#include <sys/stat.h>

#define SETTLED_MS 2100

/* Zeros when there is no such file. */
struct print {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec at;
};

struct sqlite_watch {
	char *wal;
	struct print files[2];
};

static struct print print_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		return (struct print){0};
	}
	return (struct print){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
}

static bool is_same(const struct print *a, const struct print *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->at.tv_sec == b->at.tv_sec && a->at.tv_nsec == b->at.tv_nsec;
}

static bool is_settled(const struct print *p)
{
	return (int64_t)p->at.tv_sec * 1000 + p->at.tv_nsec / 1000000 + SETTLED_MS <
	       clock_wall_ms();
}

/* Two looks at files that are in the cache: short enough for a loop. */
bool sqlite_watch_is_quiet(struct db_watch *w)
{
	const struct sqlite_source *src = w->deps.database->source;
	struct sqlite_watch *s = w->engine;
	struct print now[2] = {print_of(src->path), print_of(s->wal)};
	bool quiet = now[0].ino != 0;

	for (int i = 0; i < 2; i++) {
		quiet = quiet && is_same(&now[i], &s->files[i]) && is_settled(&now[i]);
		s->files[i] = now[i];
	}
	return quiet;
}

void sqlite_watch_start(struct db_watch *w)
{
	const struct sqlite_source *src = w->deps.database->source;
	struct sqlite_watch *s = MEM_NEW(struct sqlite_watch);
	size_t n = strlen(src->path);

	s->wal = mem_alloc(n + sizeof("-wal"));
	memcpy(s->wal, src->path, n);
	memcpy(s->wal + n, "-wal", sizeof("-wal"));
	w->engine = s;
}

void sqlite_watch_stop(struct db_watch *w)
{
	struct sqlite_watch *s = w->engine;

	mem_free(s->wal);
	mem_free(s);
}
