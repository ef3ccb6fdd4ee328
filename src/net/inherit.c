#include "net/inherit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	int fds[INHERIT_MAX];
	size_t n;
} left;

/* Of TCP: what else may listen is none of ours. */
static bool is_listening(int fd)
{
	int on = 0, domain = 0;
	socklen_t len = sizeof(on), domain_len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on != 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_len) == 0 &&
	       (domain == AF_INET || domain == AF_INET6);
}

size_t inherit_listening(int *fds, size_t max)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *d;
	size_t n = 0;

	while (dir && n < max && (d = readdir(dir))) {
		int fd = (int)strtol(d->d_name, NULL, 10);

		if (fd > STDERR_FILENO && is_listening(fd)) {
			fds[n++] = fd;
		}
	}
	if (dir) {
		(void)closedir(dir);
	}
	return n;
}

void inherit_begin(void)
{
	left.n = inherit_listening(left.fds, INHERIT_MAX);
	for (size_t i = 0; i < left.n; i++) {
		(void)fcntl(left.fds[i], F_SETFD, FD_CLOEXEC);
	}
}

static bool is_bound_to(int fd, const struct addr *addr)
{
	struct addr bound = {.len = sizeof(bound.sa)};
	char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];

	if (getsockname(fd, (struct sockaddr *)&bound.sa, &bound.len) != 0) {
		return false;
	}
	(void)addr_format(&bound, a);
	(void)addr_format(addr, b);
	return strcmp(a, b) == 0;
}

size_t inherit_take(const struct addr *addr, int *fds, size_t max)
{
	size_t taken = 0, kept = 0;

	for (size_t i = 0; i < left.n; i++) {
		if (taken < max && is_bound_to(left.fds[i], addr)) {
			fds[taken++] = left.fds[i];
		} else {
			left.fds[kept++] = left.fds[i];
		}
	}
	left.n = kept;
	return taken;
}

void inherit_end(void)
{
	while (left.n > 0) {
		(void)close(left.fds[--left.n]);
	}
}
