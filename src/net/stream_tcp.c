/* stream_ops of plain TCP: the only callers of recv, sendmsg and sendfile. */
#include "net/stream_int.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define IOV_MAX_USED 16

static ptrdiff_t result(ssize_t n)
{
	if (n >= 0) {
		return n;
	}
	return errno == EAGAIN || errno == EINTR ? -1 : -2;
}

static ptrdiff_t tcp_recv(struct stream *s, void *p, size_t n)
{
	return result(recv(s->io.fd, p, n, 0));
}

static ptrdiff_t tcp_sendv(struct stream *s, const struct str *v, unsigned n)
{
	struct iovec iov[IOV_MAX_USED];
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};

	ASSERT(n <= IOV_MAX_USED);
	if (n == 1) {
		return result(send(s->io.fd, v[0].p, v[0].n, MSG_NOSIGNAL));
	}
	for (unsigned i = 0; i < n; i++) {
		iov[i] = (struct iovec){(void *)v[i].p, v[i].n};
	}
	return result(sendmsg(s->io.fd, &m, MSG_NOSIGNAL));
}

static ptrdiff_t tcp_sendfile(struct stream *s, int fd, int64_t *offset, size_t n)
{
	off_t off = *offset;
	ssize_t sent = sendfile(s->io.fd, fd, &off, n);

	*offset = off;
	return sent < 0 && errno == EIO ? 0 : result(sent);
}

static ptrdiff_t tcp_shutdown(struct stream *s)
{
	(void)shutdown(s->io.fd, SHUT_WR);
	return 0;
}

const struct stream_ops stream_tcp_ops = {
	.recv = tcp_recv,
	.sendv = tcp_sendv,
	.sendfile = tcp_sendfile,
	.shutdown = tcp_shutdown,
	.close_is_fin = true,
	.short_read_drains = true,
};
