/*
 * talk - HTTP/1 by hand with a server of this process: blocking, a connection each
 *
 *	struct str all = talk_ask(&arena, port, STR("GET / HTTP/1.1\\r\\nHost: x\\r\\n…"));
 *	struct talk_answer a = talk_parse(&arena, all);
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static inline int talk_dial(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static inline void talk_say(int fd, struct str s)
{
	assert_int_equal(send(fd, s.p, s.n, MSG_NOSIGNAL), s.n);
}

/* Until the server closes; then so do we. */
static inline void talk_hear(int fd, struct buf *in)
{
	ssize_t n;

	do {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		assert_int_equal(poll(&p, 1, 10000), 1);
		n = recv(fd, buf_reserve(in, 4096), 4096, 0);
		assert_true(n >= 0);
		buf_commit(in, (size_t)n);
	} while (n > 0);
	(void)close(fd);
}

static inline struct str talk_ask(struct arena *a, uint16_t port, struct str request)
{
	int fd = talk_dial(port);
	struct buf in = {0};
	struct str all;

	talk_say(fd, request);
	talk_hear(fd, &in);
	all = str_dup(a, buf_str(&in));
	buf_free(&in);
	return all;
}

struct talk_answer {
	int status;
	struct str head, body; /* each line of the head with its end */
	struct json *json;     /* NULL when the body is none */
};

static inline struct talk_answer talk_parse(struct arena *a, struct str all)
{
	struct talk_answer out = {0};
	ptrdiff_t gap = str_find(all, STR("\r\n\r\n"));
	uint64_t status = 0;

	assert_true(gap > 0);
	out.head = str_slice(all, 0, (size_t)gap + 2);
	out.body = str_skip(all, (size_t)gap + 4);
	assert_true(str_to_u64(str_slice(all, 9, 3), &status));
	out.status = (int)status;
	if (json_parse(a, out.body, &out.json, NULL) != ERR_OK) {
		out.json = NULL;
	}
	return out;
}
