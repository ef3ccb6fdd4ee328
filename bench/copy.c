/*
 * copy - what the kernel takes: connections whose bytes are passed on unread
 *
 * Usage: copy PORT TARGET_PORT, on 127.0.0.1. Each connection gets one to the target; what one
 * of the two has is sent to the other. No HTTP, no memory, no choice: a proxy that reads requests
 * from sockets one by one cannot cost less, so its figure is the floor of the benchmark's.
 */
#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FILES_MAX = 65536, EVENTS = 128, BYTES = 65536 };

static int other[FILES_MAX]; /* 0 = none */

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static struct sockaddr_in loopback(const char *port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int listen_on(const char *port)
{
	struct sockaddr_in at = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 512) != 0) {
		fail("copy: listen");
	}
	return fd;
}

static void watch(int epoll, int fd, uint32_t how)
{
	struct epoll_event e = {.events = EPOLLIN | how, .data.fd = fd};
	int on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
		fail("copy: epoll");
	}
}

static void join(int epoll, int client, const struct sockaddr_in *target)
{
	int server = socket(AF_INET, SOCK_STREAM, 0);

	if (server < 0 || client >= FILES_MAX || server >= FILES_MAX ||
	    connect(server, (const struct sockaddr *)target, sizeof(*target)) != 0) {
		fail("copy: connect");
	}
	other[client] = server;
	other[server] = client;
	watch(epoll, client, EPOLLET);
	watch(epoll, server, EPOLLET);
}

static void part(int fd)
{
	int peer = other[fd];

	other[fd] = other[peer] = 0;
	(void)close(fd);
	(void)close(peer);
}

static void pass(int fd)
{
	static char bytes[BYTES];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN) {
		return;
	}
	/* The bodies of the benchmark fit the buffers of a socket. */
	if (n <= 0 || send(other[fd], bytes, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n) {
		part(fd);
	}
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	struct sockaddr_in target;
	int epoll, listener, client;

	if (argc != 3) {
		fprintf(stderr, "usage: copy PORT TARGET_PORT\n");
		return 2;
	}
	epoll = epoll_create1(0);
	listener = listen_on(argv[1]);
	target = loopback(argv[2]);
	watch(epoll, listener, 0);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd != listener) {
				if (other[fd]) {
					pass(fd);
				}
				continue;
			}
			while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
				join(epoll, client, &target);
			}
		}
	}
}
