/* What a listener leaves: the last descriptors are not for those who come unasked. */
#include "net/listener.h"

#include "unit.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CLIENTS 10
#define FEW 3
#define RESERVE 16 /* of a limit as low as the one here */
#define PATIENCE_S 20

struct fixture {
	struct loops loops;
	struct listener *listener;
	struct rlimit before;
	int clients[CLIENTS];
	int accepted[CLIENTS];
	unsigned n; /* of them; read when a client has seen that it is one */
};

/* Tells the client that it is in. */
static void on_accept(struct loop *l, int fd, const struct addr *peer, void *arg)
{
	struct fixture *f = arg;

	(void)l;
	(void)peer;
	f->accepted[f->n++] = fd;
	assert_int_equal(send(fd, "+", 1, MSG_NOSIGNAL), 1);
}

static int client_new(void)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	return fd;
}

static void limit_to(const struct fixture *f, int n)
{
	struct rlimit l = {.rlim_cur = (rlim_t)n, .rlim_max = f->before.rlim_max};

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &l), 0);
}

/* The descriptors of our clients are there before: FEW are free, and then the reserve. */
static void set_up(struct fixture *f, bool uses_reserve)
{
	struct listener_options o = {
		.address = STR("127.0.0.1:0"),
		.fn = on_accept,
		.arg = f,
		.uses_reserve = uses_reserve,
	};
	int lowest;

	*f = (struct fixture){.n = 0};
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &f->before), 0);
	assert_ok(loops_start(&f->loops, 1, NULL));
	assert_ok(listener_open(&f->loops, &o, &f->listener, NULL));
	listener_start(f->listener);
	for (size_t i = 0; i < CLIENTS; i++) {
		f->clients[i] = client_new();
	}
	lowest = dup(f->clients[0]);
	(void)close(lowest);
	assert_in_range(lowest, 3, 100); /* an eighth of the limit is less than RESERVE then */
	limit_to(f, lowest + FEW + RESERVE);
}

static void tear_down(struct fixture *f)
{
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &f->before), 0);
	listener_stop(f->listener);
	loops_join(&f->loops);
	listener_free(&f->listener);
	loops_free(&f->loops);
	for (size_t i = 0; i < CLIENTS; i++) {
		(void)close(f->clients[i]);
	}
	for (size_t i = 0; i < f->n; i++) {
		(void)close(f->accepted[i]);
	}
}

/* Whether client `i` is let in. */
static bool connects(struct fixture *f, size_t i)
{
	const struct addr *to = listener_addr(f->listener);
	char c = 0;

	assert_int_equal(connect(f->clients[i], (const struct sockaddr *)&to->sa, to->len), 0);
	return recv(f->clients[i], &c, 1, 0) == 1 && c == '+';
}

static void the_reserve_is_left(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, false);
	for (size_t i = 0; i < FEW; i++) {
		assert_true(connects(&f, i));
	}
	assert_false(connects(&f, FEW));
	assert_int_equal(f.n, FEW);

	(void)close(f.accepted[--f.n]);
	assert_true(connects(&f, FEW + 1));
	tear_down(&f);
}

static void the_reserve_is_used(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, true);
	for (size_t i = 0; i < CLIENTS; i++) {
		assert_true(connects(&f, i));
	}
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reserve_is_left),
		cmocka_unit_test(the_reserve_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
