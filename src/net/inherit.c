#include "net/inherit.h"

#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* One for each loop at each address: there is no telling how many. */
struct sockets {
	int *fds;
	size_t n, cap;
};

static struct sockets left;

static void add(struct sockets *s, int fd)
{
	if (s->n == s->cap) {
		s->cap = MAX(2 * s->cap, (size_t)64);
		s->fds = mem_resize(s->fds, s->cap * sizeof(*s->fds));
	}
	s->fds[s->n++] = fd;
}

/* Of TCP: what else may listen is none of ours. */
static bool is_listening(int fd)
{
	int on = 0, domain = 0;
	socklen_t len = sizeof(on), domain_len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on != 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_len) == 0 &&
	       (domain == AF_INET || domain == AF_INET6);
}

static struct sockets find_listening(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct sockets found = {0};
	const struct dirent *d;

	while (dir && (d = readdir(dir))) {
		int fd = (int)strtol(d->d_name, NULL, 10);

		if (fd > STDERR_FILENO && is_listening(fd)) {
			add(&found, fd);
		}
	}
	if (dir) {
		(void)closedir(dir);
	}
	return found;
}

size_t inherit_listening(int **out)
{
	struct sockets found = find_listening();

	*out = found.fds;
	return found.n;
}

void inherit_begin(void)
{
	left = find_listening();
	for (size_t i = 0; i < left.n; i++) {
		(void)fcntl(left.fds[i], F_SETFD, FD_CLOEXEC);
	}
}

/* All zero, which covers nothing, if it is not known. */
static struct addr bound_to(int fd)
{
	struct addr bound = {.len = sizeof(bound.sa)};

	if (getsockname(fd, (struct sockaddr *)&bound.sa, &bound.len) != 0) {
		return (struct addr){0};
	}
	return bound;
}

static size_t take(const struct addr *addr, bool parts, int **out)
{
	struct sockets taken = {0};
	size_t kept = 0;

	for (size_t i = 0; i < left.n; i++) {
		struct addr bound = bound_to(left.fds[i]);

		if (addr_covers(addr, &bound) && (parts || addr_covers(&bound, addr))) {
			add(&taken, left.fds[i]);
		} else {
			left.fds[kept++] = left.fds[i];
		}
	}
	left.n = kept;
	*out = taken.fds;
	return taken.n;
}

size_t inherit_take(const struct addr *addr, int **out)
{
	return take(addr, false, out);
}

size_t inherit_take_parts(const struct addr *addr, int **out)
{
	return take(addr, true, out);
}

bool inherit_covers(const struct addr *addr)
{
	for (size_t i = 0; i < left.n; i++) {
		struct addr bound = bound_to(left.fds[i]);

		if (addr_covers(&bound, addr)) {
			return true;
		}
	}
	return false;
}

void inherit_end(void)
{
	while (left.n > 0) {
		(void)close(left.fds[--left.n]);
	}
	mem_free(left.fds);
	left = (struct sockets){0};
}
