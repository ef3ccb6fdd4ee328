#include "net/inherit.h"

#include "unit.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Listens at a free port; of `like` if that is one that listens. Not closed on exec, as if left to
 * us. */
static int listen_at(const char *ip, int like, struct addr *out)
{
	int one = 1;
	int fd;

	assert_ok(addr_from_ip(str_c(ip), 0, out));
	if (like >= 0) {
		out->len = sizeof(out->sa);
		assert_int_equal(getsockname(like, (struct sockaddr *)&out->sa, &out->len), 0);
	}
	fd = socket(out->sa.ss_family, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&out->sa, out->len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&out->sa, &out->len), 0);
	return fd;
}

static bool is_among(int fd, const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fds[i] == fd) {
			return true;
		}
	}
	return false;
}

static int listen_at_a_path(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX}; /* the kernel finds a name */
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a.sun_family)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void only_what_listens_for_tcp_is_found(void **state)
{
	struct addr addr;
	int listening = listen_at("127.0.0.1", -1, &addr);
	int bound = socket(AF_INET, SOCK_STREAM, 0);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	int path = listen_at_a_path();
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int fds[INHERIT_MAX];

	(void)state;
	assert_int_equal(connect(client, (struct sockaddr *)&addr.sa, addr.len), 0);
	int served = accept(listening, NULL, NULL);

	assert_int_equal(inherit_listening(fds, INHERIT_MAX), 1);
	assert_int_equal(fds[0], listening);

	const int all[] = {listening, bound, client, path, file, served};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_int_equal(close(all[i]), 0);
	}
	assert_int_equal(inherit_listening(fds, INHERIT_MAX), 0);
}

static void no_more_are_found_than_asked_for(void **state)
{
	struct addr addr;
	int a = listen_at("127.0.0.1", -1, &addr), b = listen_at("127.0.0.1", a, &addr);
	int fds[2] = {-1, -1};

	(void)state;
	assert_int_equal(inherit_listening(fds, 1), 1);
	assert_true(is_among(fds[0], (int[]){a, b}, 2));
	assert_int_equal(fds[1], -1);
	(void)close(a);
	(void)close(b);
}

/* One socket for each loop of the former process; whoever is started from here gets none of them.
 */
static void an_address_takes_what_is_bound_to_it(void **state)
{
	struct addr at, other;
	int a = listen_at("127.0.0.1", -1, &at), b = listen_at("127.0.0.1", a, &at);
	int c = listen_at("127.0.0.2", -1, &other);
	int fds[4];

	(void)state;
	inherit_begin();
	assert_int_equal(fcntl(a, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(inherit_take(&at, fds, ARRAY_LEN(fds)), 2);
	assert_true(is_among(a, fds, 2) && is_among(b, fds, 2));
	assert_int_equal(inherit_take(&at, fds, ARRAY_LEN(fds)), 0);
	inherit_end();
	assert_true(is_open(a) && is_open(b));
	assert_false(is_open(c));
	(void)close(a);
	(void)close(b);
}

static void what_is_not_taken_is_left_for_another(void **state)
{
	struct addr at;
	int a = listen_at("127.0.0.1", -1, &at), b = listen_at("127.0.0.1", a, &at);
	int first, second;

	(void)state;
	inherit_begin();
	assert_int_equal(inherit_take(&at, &first, 1), 1);
	assert_int_equal(inherit_take(&at, &second, 1), 1);
	assert_int_equal(first + second, a + b);
	assert_int_not_equal(first, second);
	inherit_end();
	(void)close(a);
	(void)close(b);
}

static void another_address_is_another(void **state)
{
	struct addr at, same_port, any, later;
	int fd = listen_at("127.0.0.1", -1, &at), got;

	(void)state;
	assert_ok(addr_from_ip(STR("127.0.0.2"), addr_port(&at), &same_port));
	assert_ok(addr_from_ip(STR("0.0.0.0"), addr_port(&at), &any));
	assert_ok(addr_from_ip(STR("127.0.0.1"), (uint16_t)(addr_port(&at) + 1), &later));
	inherit_begin();
	assert_int_equal(inherit_take(&same_port, &got, 1), 0);
	assert_int_equal(inherit_take(&any, &got, 1), 0);
	assert_int_equal(inherit_take(&later, &got, 1), 0);
	inherit_end();
	assert_false(is_open(fd));
}

/* Both families, as ":8000" listens. */
static void an_ipv6_address(void **state)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct addr v6, v4;
	int got = -1;

	(void)state;
	(void)close(fd);
	if (fd < 0) {
		skip(); /* not in this kernel */
	}
	fd = listen_at("::", -1, &v6);
	assert_ok(addr_from_ip(STR("0.0.0.0"), addr_port(&v6), &v4));
	inherit_begin();
	assert_int_equal(inherit_take(&v4, &got, 1), 0);
	assert_int_equal(inherit_take(&v6, &got, 1), 1);
	assert_int_equal(got, fd);
	inherit_end();
	(void)close(fd);
}

/* A connection that waits in the queue is not lost by whoever passes the socket on. */
static void a_connection_in_the_queue_is_inherited(void **state)
{
	struct addr at;
	int former = listen_at("127.0.0.1", -1, &at), heir = dup(former);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	int got[2];
	char c = 0;

	(void)state;
	assert_int_equal(connect(client, (struct sockaddr *)&at.sa, at.len), 0);
	inherit_begin();
	assert_int_equal(inherit_take(&at, got, 2), 2);
	inherit_end();
	(void)close(former);
	int served = accept(heir, NULL, NULL);

	assert_true(served >= 0);
	assert_int_equal(send(served, "x", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(client, &c, 1, 0), 1);
	(void)close(served);
	(void)close(client);
	(void)close(heir);
}

static void without_a_former_process_there_is_nothing(void **state)
{
	struct addr at;
	int fd = listen_at("127.0.0.1", -1, &at), got;

	(void)state;
	assert_int_equal(inherit_take(&at, &got, 1), 0);
	inherit_end();
	assert_true(is_open(fd));
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_listens_for_tcp_is_found),
		cmocka_unit_test(no_more_are_found_than_asked_for),
		cmocka_unit_test(an_address_takes_what_is_bound_to_it),
		cmocka_unit_test(what_is_not_taken_is_left_for_another),
		cmocka_unit_test(another_address_is_another),
		cmocka_unit_test(an_ipv6_address),
		cmocka_unit_test(a_connection_in_the_queue_is_inherited),
		cmocka_unit_test(without_a_former_process_there_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
