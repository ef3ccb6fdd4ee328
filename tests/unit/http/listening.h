/* listening - a socket of this process that a loop accepts from, for servers made by hand */
#pragma once
#include "loop/loop.h"
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* Its port, on loopback. */
static inline uint16_t listen_anywhere(struct loop *l, struct io *io, io_fn *on_accept)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	assert_ok(io_add(l, io, fd, on_accept));
	return ntohs(a.sin_port);
}
