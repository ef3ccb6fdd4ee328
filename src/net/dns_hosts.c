/*
 * The hosts file as a list in memory. It is small and local, and looked at on a loop as c-ares
 * does: once a second at most, and read only when its date or size changed.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/dns_int.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK_EVERY_MS 1000
#define FILE_MAX ((size_t)4 << 20)

struct host_line {
	struct host_line *next;
	struct str name;
	struct addr addr;
};

struct dns_hosts {
	struct arena path_arena;
	struct arena arena; /* lines */
	const char *path;
	struct host_line *first, **end;
	uint64_t checked_ms;
	struct timespec date;
	int64_t size; /* -1 = not there */
};

struct dns_hosts *dns_hosts_new(struct str path)
{
	struct dns_hosts *h = MEM_NEW(struct dns_hosts);

	arena_init(&h->path_arena, 0);
	arena_init(&h->arena, 0);
	h->path = str_cstr(&h->path_arena, path);
	h->end = &h->first;
	h->size = -1;
	return h;
}

void dns_hosts_free(struct dns_hosts **hp)
{
	struct dns_hosts *h = *hp;

	if (h) {
		*hp = NULL;
		arena_fini(&h->arena);
		arena_fini(&h->path_arena);
		mem_free(h);
	}
}

/* The next word of a line; false at its end. */
static bool next_word(struct str *line, struct str *out)
{
	size_t n = 0;

	*line = str_trim(*line);
	while (n < line->n && line->p[n] != ' ' && line->p[n] != '\t') {
		n++;
	}
	*out = str_slice(*line, 0, n);
	*line = str_skip(*line, n);
	return n > 0;
}

/* "127.0.0.1 localhost other # comment" */
static void add_line(struct dns_hosts *h, struct str line)
{
	ptrdiff_t comment = str_index(line, '#');
	struct str word;
	struct addr addr;

	line = comment >= 0 ? str_slice(line, 0, (size_t)comment) : line;
	if (!next_word(&line, &word) || addr_from_ip(word, 0, &addr) != ERR_OK) {
		return;
	}
	while (next_word(&line, &word)) {
		struct host_line *l = ARENA_NEW(&h->arena, struct host_line);

		l->name = str_lower(&h->arena, word);
		l->addr = addr;
		*h->end = l;
		h->end = &l->next;
	}
}

static void read_file(struct dns_hosts *h, int fd)
{
	struct buf b = {0};
	struct str rest, line;
	ssize_t n;

	while (b.n < FILE_MAX && (n = read(fd, buf_reserve(&b, 4096), 4096)) > 0) {
		buf_commit(&b, (size_t)n);
	}
	rest = buf_str(&b);
	while (str_split(&rest, '\n', &line)) {
		add_line(h, line);
	}
	buf_free(&b);
}

static void refresh(struct dns_hosts *h)
{
	uint64_t now = clock_mono_ms();
	struct stat st = {.st_size = -1};
	int fd;

	if (h->checked_ms != 0 && now - h->checked_ms < CHECK_EVERY_MS) {
		return;
	}
	h->checked_ms = now;
	fd = open(h->path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) != 0) {
		st.st_size = -1;
	}
	if (st.st_size != h->size || st.st_mtim.tv_sec != h->date.tv_sec ||
	    st.st_mtim.tv_nsec != h->date.tv_nsec) {
		h->size = st.st_size;
		h->date = st.st_mtim;
		h->first = NULL;
		h->end = &h->first;
		arena_reset(&h->arena);
		if (fd >= 0) {
			read_file(h, fd);
		}
	}
	if (fd >= 0) {
		(void)close(fd);
	}
}

static size_t find_family(const struct dns_hosts *h, struct str name, int family, struct addr *out,
			  size_t max)
{
	size_t n = 0;

	for (const struct host_line *l = h->first; l && n < max; l = l->next) {
		if (l->addr.sa.ss_family == family && str_eq(l->name, name)) {
			out[n++] = l->addr;
		}
	}
	return n;
}

size_t dns_hosts_find(struct dns_hosts *h, struct str name, struct addr *out, size_t max)
{
	size_t n;

	refresh(h);
	n = find_family(h, name, AF_INET, out, max);
	if (n == 0) {
		n = find_family(h, name, AF_INET6, out, max);
	}
	if (n == 0 && max > 0 &&
	    (str_eq(name, STR("localhost")) || str_ends(name, STR(".localhost")))) {
		return addr_from_ip(STR("127.0.0.1"), 0, out) == ERR_OK ? 1 : 0;
	}
	return n;
}
