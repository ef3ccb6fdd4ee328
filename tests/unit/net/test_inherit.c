#include "net/inherit.h"

#include "base/mem.h"
#include "net/listener.h"
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

/* How many of ours listen. */
static size_t count_listening(void)
{
	int *fds;
	size_t n = inherit_listening(&fds);

	mem_free(fds);
	return n;
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

/* What is taken for the address are these, in any order. */
static void assert_taken(const struct addr *at, const int *want, size_t n)
{
	int *got;

	assert_int_equal(inherit_take(at, &got), n);
	for (size_t i = 0; i < n; i++) {
		assert_true(is_among(want[i], got, n));
	}
	mem_free(got);
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
	int *fds;

	(void)state;
	assert_int_equal(connect(client, (struct sockaddr *)&addr.sa, addr.len), 0);
	int served = accept(listening, NULL, NULL);

	assert_int_equal(inherit_listening(&fds), 1);
	assert_int_equal(fds[0], listening);
	mem_free(fds);

	const int all[] = {listening, bound, client, path, file, served};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_int_equal(close(all[i]), 0);
	}
	assert_int_equal(count_listening(), 0);
}

/* As many as a machine with many cores has at a dozen addresses. */
static void all_are_found_however_many(void **state)
{
	enum { MANY = 700 };
	static int fds[MANY];
	struct addr at;

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		fds[i] = listen_at("127.0.0.1", i > 0 ? fds[0] : -1, &at);
	}
	assert_int_equal(count_listening(), MANY);
	inherit_begin();
	assert_taken(&at, fds, MANY);
	inherit_end();
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(close(fds[i]), 0);
	}
}

/* One socket for each loop of the former process; whoever is started from here gets none of them.
 */
static void an_address_takes_what_is_bound_to_it(void **state)
{
	struct addr at, other;
	int a = listen_at("127.0.0.1", -1, &at), b = listen_at("127.0.0.1", a, &at);
	int c = listen_at("127.0.0.2", -1, &other);

	(void)state;
	inherit_begin();
	assert_int_equal(fcntl(a, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_taken(&at, (int[]){a, b}, 2);
	assert_taken(&at, NULL, 0);
	inherit_end();
	assert_true(is_open(a) && is_open(b));
	assert_false(is_open(c));
	(void)close(a);
	(void)close(b);
}

static void another_address_is_another(void **state)
{
	struct addr at, same_port, any, later;
	int fd = listen_at("127.0.0.1", -1, &at);

	(void)state;
	assert_ok(addr_from_ip(STR("127.0.0.2"), addr_port(&at), &same_port));
	assert_ok(addr_from_ip(STR("0.0.0.0"), addr_port(&at), &any));
	assert_ok(addr_from_ip(STR("127.0.0.1"), (uint16_t)(addr_port(&at) + 1), &later));
	inherit_begin();
	assert_taken(&same_port, NULL, 0);
	assert_taken(&any, NULL, 0);
	assert_taken(&later, NULL, 0);
	inherit_end();
	assert_false(is_open(fd));
}

/* Both families, as ":8000" listens. */
static void an_ipv6_address(void **state)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct addr v6, v4;

	(void)state;
	(void)close(fd);
	if (fd < 0) {
		skip(); /* not in this kernel */
	}
	fd = listen_at("::", -1, &v6);
	assert_ok(addr_from_ip(STR("0.0.0.0"), addr_port(&v6), &v4));
	inherit_begin();
	assert_taken(&v4, NULL, 0);
	assert_taken(&v6, &fd, 1);
	inherit_end();
	(void)close(fd);
}

/* A connection that waits in the queue is not lost by whoever passes the socket on. */
static void a_connection_in_the_queue_is_inherited(void **state)
{
	struct addr at;
	int former = listen_at("127.0.0.1", -1, &at), heir = dup(former);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	char c = 0;

	(void)state;
	assert_int_equal(connect(client, (struct sockaddr *)&at.sa, at.len), 0);
	inherit_begin();
	assert_taken(&at, (int[]){former, heir}, 2);
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

/* ---- listeners at addresses that overlap what was left ---- */

/* As a former process listens. */
static int left_at(const char *ip, struct addr *out)
{
	int fd = listen_at(ip, -1, out);

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void on_accept(struct loop *l, int fd, const struct addr *peer, void *arg)
{
	(void)l;
	(void)peer;
	(void)arg;
	assert_int_equal(send(fd, "+", 1, MSG_NOSIGNAL), 1);
	(void)close(fd);
}

static struct listener *heir_at(struct loops *loops, const char *ip, const struct addr *left)
{
	struct listener_options o = {.fn = on_accept};
	struct listener *l = NULL;
	char text[ADDR_TEXT_MAX];
	struct fault f = {0};
	struct addr at;

	assert_ok(addr_from_ip(str_c(ip), addr_port(left), &at));
	(void)addr_format(&at, text);
	o.address = str_c(text);
	assert_ok(loops_start(loops, 2, NULL));
	inherit_begin();
	if (listener_open(loops, &o, &l, &f) != ERR_OK) {
		fail_msg("%s", f.text);
	}
	inherit_end();
	listener_start(l);
	return l;
}

static void heir_end(struct loops *loops, struct listener *l)
{
	listener_free(&l);
	loops_join(loops);
	loops_free(loops);
}

static int connect_to(const char *ip, const struct addr *like)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct addr to;

	assert_ok(addr_from_ip(str_c(ip), addr_port(like), &to));
	assert_int_equal(connect(fd, (struct sockaddr *)&to.sa, to.len), 0);
	return fd;
}

static void assert_accepted(int client)
{
	char c = 0;

	assert_int_equal(recv(client, &c, 1, 0), 1);
	(void)close(client);
}

static void a_wider_address_takes_the_queues_of_its_parts(void **state)
{
	struct loops loops;
	struct addr at;
	int former = left_at("127.0.0.1", &at);
	int waits = connect_to("127.0.0.1", &at);

	(void)state;
	struct listener *l = heir_at(&loops, "0.0.0.0", &at);

	assert_true(is_open(former));
	assert_accepted(waits);
	assert_accepted(connect_to("127.0.0.1", &at));
	assert_accepted(connect_to("127.0.0.2", &at));
	heir_end(&loops, l);
	assert_false(is_open(former));
}

static void a_narrower_address_leaves_the_wider_one(void **state)
{
	struct loops loops;
	struct addr at;
	int former = left_at("0.0.0.0", &at);

	(void)state;
	struct listener *l = heir_at(&loops, "127.0.0.1", &at);

	assert_false(is_open(former));
	assert_accepted(connect_to("127.0.0.1", &at));
	heir_end(&loops, l);
}

static void without_a_former_process_there_is_nothing(void **state)
{
	struct addr at;
	int fd = listen_at("127.0.0.1", -1, &at);

	(void)state;
	assert_taken(&at, NULL, 0);
	inherit_end();
	assert_true(is_open(fd));
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_listens_for_tcp_is_found),
		cmocka_unit_test(all_are_found_however_many),
		cmocka_unit_test(an_address_takes_what_is_bound_to_it),
		cmocka_unit_test(another_address_is_another),
		cmocka_unit_test(an_ipv6_address),
		cmocka_unit_test(a_connection_in_the_queue_is_inherited),
		cmocka_unit_test(a_wider_address_takes_the_queues_of_its_parts),
		cmocka_unit_test(a_narrower_address_leaves_the_wider_one),
		cmocka_unit_test(without_a_former_process_there_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
