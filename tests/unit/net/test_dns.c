#include "net/dns.h"

#include "base/mem.h"
#include "net/dns_int.h"
#include "unit.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum answer_kind { ANSWER_A, ANSWER_NONE, ANSWER_REFUSED, ANSWER_NOTHING };

/* A name server on the test's loop that answers every query in one way. */
struct fixture {
	struct loop *loop;
	struct io io;
	enum answer_kind kind;
	struct dns_answer got;
	unsigned calls, questions;
	struct timer guard;
	uint16_t port;
};

static void on_guard(struct timer *t)
{
	(void)t;
	fail_msg("nothing happened for 10 s");
}

/* The question, echoed, with one A record 192.0.2.7 where asked for. */
static size_t make_answer(enum answer_kind kind, uint8_t *p, size_t n)
{
	static const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7};
	size_t end = 12;
	uint16_t type;

	while (p[end]) {
		end += p[end] + 1u;
	}
	type = (uint16_t)(p[end + 1] << 8 | p[end + 2]);
	end += 5;
	assert_true(end <= n);
	p[2] = 0x81;
	p[3] = kind == ANSWER_NONE ? 0x83 : kind == ANSWER_REFUSED ? 0x85 : 0x80;
	memset(p + 6, 0, 6);
	if (kind == ANSWER_A && type == 1) {
		p[7] = 1;
		memcpy(p + end, record, sizeof(record));
		end += sizeof(record);
	}
	return end;
}

static void on_question(struct io *io, unsigned events)
{
	struct fixture *f = container_of(io, struct fixture, io);
	struct sockaddr_in from;
	socklen_t from_n = sizeof(from);
	uint8_t p[600];
	ssize_t n;

	(void)events;
	while ((n = recvfrom(io->fd, p, 512, 0, (struct sockaddr *)&from, &from_n)) > 0) {
		f->questions++;
		if (f->kind == ANSWER_NOTHING) {
			loop_stop(f->loop);
			continue;
		}
		size_t len = make_answer(f->kind, p, (size_t)n);

		(void)sendto(io->fd, p, len, 0, (struct sockaddr *)&from, from_n);
	}
}

static void set_up(struct fixture *f, enum answer_kind kind)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	char server[32];
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*f = (struct fixture){.kind = kind};
	f->loop = loop_new(0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	f->port = ntohs(a.sin_port);
	assert_ok(io_add(f->loop, &f->io, fd, on_question));
	(void)snprintf(server, sizeof(server), "127.0.0.1:%u", f->port);
	assert_ok(dns_use_servers(f->loop, server));
	timer_start(f->loop, &f->guard, 10000, on_guard);
}

static void tear_down(struct fixture *f)
{
	int fd = f->io.fd;

	dns_loop_fini(f->loop);
	io_remove(f->loop, &f->io);
	(void)close(fd);
	timer_stop(f->loop, &f->guard);
	loop_free(&f->loop);
}

static void on_answer(void *arg, const struct dns_answer *a)
{
	struct fixture *f = arg;

	f->got = *a;
	f->calls++;
	loop_stop(f->loop);
}

static void expect_addr(const struct fixture *f, const char *want)
{
	char text[ADDR_TEXT_MAX];

	assert_int_equal(f->calls, 1);
	assert_ok(f->got.result);
	assert_int_equal(f->got.n, 1);
	assert_str(str_of(text, addr_format(&f->got.addrs[0], text)), str_c(want));
}

static void test_literal(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, ANSWER_NOTHING);
	assert_null(dns_lookup(f.loop, STR("10.1.2.3"), 80, on_answer, &f));
	expect_addr(&f, "10.1.2.3:80");
	f.calls = 0;
	assert_null(dns_lookup(f.loop, STR("::1"), 81, on_answer, &f));
	expect_addr(&f, "[::1]:81");
	assert_int_equal(f.questions, 0);
	tear_down(&f);
}

static void test_name(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, ANSWER_A);
	assert_non_null(dns_lookup(f.loop, STR("target.test"), 8080, on_answer, &f));
	assert_int_equal(f.calls, 0);
	loop_run(f.loop);
	expect_addr(&f, "192.0.2.7:8080");
	tear_down(&f);
}

static void test_no_name(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, ANSWER_NONE);
	(void)dns_lookup(f.loop, STR("target.test."), 80, on_answer, &f);
	loop_run(f.loop);
	assert_err(f.got.result, ERR_NOT_FOUND);
	tear_down(&f);
}

static void test_refused(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, ANSWER_REFUSED);
	(void)dns_lookup(f.loop, STR("target.test."), 80, on_answer, &f);
	loop_run(f.loop);
	assert_err(f.got.result, ERR_UNAVAILABLE);
	tear_down(&f);
}

static void test_bad_names(void **state)
{
	char text[300];
	const struct str bad[] = {STR(""), STR("a\0b"), {text, sizeof(text)}};
	struct fixture f;

	(void)state;
	memset(text, 'a', sizeof(text));
	set_up(&f, ANSWER_A);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_null(dns_lookup(f.loop, bad[i], 80, on_answer, &f));
		assert_int_equal(f.calls, i + 1);
		assert_err(f.got.result, ERR_NOT_FOUND);
	}
	tear_down(&f);
}

static void test_cancel(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, ANSWER_NOTHING);
	dns_cancel(dns_lookup(f.loop, STR("one.test."), 80, on_answer, &f));
	(void)dns_lookup(f.loop, STR("two.test."), 80, on_answer, &f);
	loop_run(f.loop); /* until the first question; then all goes while under way */
	tear_down(&f);
	assert_int_equal(f.calls, 0);
}

/* The hosts file, and localhost without asking anyone. */
static void test_localhost(void **state)
{
	struct fixture f;
	char text[ADDR_TEXT_MAX];

	(void)state;
	set_up(&f, ANSWER_NOTHING);
	dns_loop_fini(f.loop);
	if (dns_lookup(f.loop, STR("localhost"), 80, on_answer, &f)) {
		loop_run(f.loop);
	}
	assert_ok(f.got.result);
	(void)addr_format(&f.got.addrs[0], text);
	assert_true(str_starts(str_of(text, 4), STR("127.")) ||
		    str_starts(str_of(text, 4), STR("[::1")));
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_literal),	  cmocka_unit_test(test_name),
		cmocka_unit_test(test_no_name),	  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bad_names), cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_localhost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
