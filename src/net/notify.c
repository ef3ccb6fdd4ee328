#include "net/notify.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify_service_manager(struct str state)
{
	struct str path = str_c(getenv("NOTIFY_SOCKET"));
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd;

	if (path.n < 2 || path.n >= sizeof(to.sun_path)) {
		return;
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return;
	}
	memcpy(to.sun_path, path.p, path.n);
	if (to.sun_path[0] == '@') {
		to.sun_path[0] = 0; /* abstract name */
	}
	(void)sendto(fd, state.p, state.n, MSG_NOSIGNAL, (const struct sockaddr *)&to,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n));
	(void)close(fd);
}
