/*
 * The program starts itself: with POSTHOUSE_TAKEOVER in its environment it is the heir, does what
 * HEIR_DOES says, and its exit status tells what it found.
 */
#include "app/takeover.h"
#include "base/mem.h"
#include "net/inherit.h"
#include "unit.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_S 20

static int n_arguments;

/* ---- the heir ---- */

static int number_in(const char *variable)
{
	const char *text = getenv(variable);

	return text ? (int)strtol(text, NULL, 10) : -1;
}

enum verdict {
	FINE,
	NO_FORMER,
	NO_ADDRESS,
	NO_SOCKET,
	TOO_MUCH,
	OTHER_ARGUMENTS,
	STILL_SAID,
	NOT_CLOSED,
	OTHER_SAVED,
};

/* More than a pipe would hold. */
#define SAVED_MAX ((size_t)300000)

static struct str text_saved(size_t n)
{
	static char text[SAVED_MAX];

	memset(text, 's', sizeof(text));
	return str_of(text, n);
}

/* Whether it was left to us, and to nobody whom we start. */
static enum verdict look_at_saved(struct takeover *t)
{
	size_t n = (size_t)number_in("HEIR_SAVED");
	bool is_left = t->left >= 0, is_closed = is_left && fcntl(t->left, F_GETFD) == FD_CLOEXEC;
	struct buf saved = {0};
	struct fault f = {0};
	bool same = takeover_saved(t, &saved, &f) == ERR_OK &&
		    str_eq(buf_str(&saved), text_saved(n)) && t->left == -1;

	buf_free(&saved);
	if (!same || is_left != (n > 0)) {
		return OTHER_SAVED;
	}
	return is_left && !is_closed ? NOT_CLOSED : FINE;
}

static enum verdict look_around(struct takeover *t)
{
	const char *address = getenv("HEIR_ADDRESS");
	struct addr addr;
	int *fds;

	if (t->former != getppid() || t->heir != 0) {
		return NO_FORMER;
	}
	if (getenv("POSTHOUSE_TAKEOVER")) {
		return STILL_SAID; /* and an heir of the heir would be misled */
	}
	if (n_arguments != number_in("HEIR_ARGUMENTS")) {
		return OTHER_ARGUMENTS;
	}
	if (!address || addr_parse(str_c(address), &addr) != ERR_OK) {
		return NO_ADDRESS;
	}
	if (inherit_take(&addr, &fds) != 1) {
		return NO_SOCKET;
	}
	mem_free(fds);
	return fcntl(number_in("HEIR_NOT"), F_GETFD) >= 0 ? TOO_MUCH : look_at_saved(t);
}

static int be_heir(void)
{
	const char *does = getenv("HEIR_DOES");
	struct takeover t;
	enum verdict v;

	takeover_begin(&t);
	if (strcmp(does, "wait") == 0) {
		sigset_t none;

		(void)sigemptyset(&none);
		(void)sigsuspend(&none); /* until SIGTERM ends it */
	}
	if (strcmp(does, "fail") == 0) {
		return 70;
	}
	v = look_around(&t);
	takeover_ready(&t);
	return v == FINE && t.former != 0 ? NO_FORMER : (int)v;
}

/* ---- the former ---- */

struct fixture {
	struct takeover t;
	struct fault f;
	sigset_t term;
};

static void heir_does(const char *what)
{
	char n[16];

	(void)snprintf(n, sizeof(n), "%d", n_arguments);
	assert_int_equal(setenv("HEIR_DOES", what, 1), 0);
	assert_int_equal(setenv("HEIR_ARGUMENTS", n, 1), 0);
}

static pid_t await_term(const struct fixture *f)
{
	siginfo_t info = {0};

	assert_int_equal(sigtimedwait(&f->term, &info, &(struct timespec){.tv_sec = PATIENCE_S}),
			 SIGTERM);
	return info.si_pid;
}

/* Until it has ended, without taking its status away. */
static void await_end(pid_t pid)
{
	siginfo_t info;

	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static void assert_ended(struct fixture *f, const char *how)
{
	char want[80];
	pid_t heir = f->t.heir;

	await_end(heir);
	(void)snprintf(want, sizeof(want), "process %d ended with %s", (int)heir, how);
	f->f = (struct fault){0};
	assert_true(takeover_failed(&f->t, &f->f));
	assert_err(f->f.code, ERR_UNAVAILABLE);
	assert_string_equal(f->f.text, want);
	assert_false(takeover_is_heir(&f->t, heir));
	assert_false(takeover_failed(&f->t, &f->f));
}

static int listen_somewhere(char address[ADDR_TEXT_MAX + 1])
{
	struct addr addr;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_ok(addr_from_ip(STR("127.0.0.1"), 0, &addr));
	assert_int_equal(bind(fd, (struct sockaddr *)&addr.sa, addr.len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr.sa, &addr.len), 0);
	address[addr_format(&addr, address)] = 0;
	return fd;
}

/* It gets the listening socket, what is saved and nothing else, the same arguments, and says when
 * it serves. */
static void take_over(struct fixture *f, size_t saved)
{
	char address[ADDR_TEXT_MAX + 1], not [16], n[16];
	int fd = listen_somewhere(address), file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pid_t from;

	heir_does("look");
	(void)snprintf(not, sizeof(not ), "%d", file);
	(void)snprintf(n, sizeof(n), "%zu", saved);
	assert_int_equal(setenv("HEIR_ADDRESS", address, 1), 0);
	assert_int_equal(setenv("HEIR_NOT", not, 1), 0);
	assert_int_equal(setenv("HEIR_SAVED", n, 1), 0);
	assert_ok(takeover_start(&f->t, text_saved(saved), &f->f));
	from = await_term(f);
	assert_true(takeover_is_heir(&f->t, from));
	assert_false(takeover_is_heir(&f->t, from + 1));
	assert_false(takeover_is_heir(&f->t, 0));
	assert_ended(f, "status 0");
	/* Ours is as it was, and what was left is only the heir's. */
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	(void)close(fd);
	(void)close(file);
	assert_int_equal(open("/dev/null", O_RDONLY), fd);
	(void)close(fd);
}

static void an_heir_takes_over(void **state)
{
	take_over(*state, 0);
}

static void an_heir_gets_what_is_saved(void **state)
{
	take_over(*state, 1);
	take_over(*state, SAVED_MAX);
}

/* Somebody else's descriptor has the number that the environment says. */
static void what_nobody_left_is_not_read(void **state)
{
	struct fixture *f = *state;
	struct buf saved = {0};
	char text[32];
	int fd = open("/proc/self/cmdline", O_RDONLY);

	(void)snprintf(text, sizeof(text), "%d %d", (int)getppid(), fd);
	assert_int_equal(setenv("POSTHOUSE_TAKEOVER", text, 1), 0);
	takeover_begin(&f->t);
	assert_err(takeover_saved(&f->t, &saved, &f->f), ERR_IO);
	assert_string_equal(f->f.text, "cannot read what the former process left");
	assert_int_equal(saved.n, 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void an_heir_that_fails_changes_nothing(void **state)
{
	struct fixture *f = *state;

	heir_does("fail");
	assert_ok(takeover_start(&f->t, STR_NULL, &f->f));
	assert_ended(f, "status 70");
	assert_int_equal(sigtimedwait(&f->term, NULL, &(struct timespec){0}), -1);
	assert_ok(takeover_start(&f->t, STR_NULL, &f->f)); /* and another may try */
	assert_ended(f, "status 70");
}

static void one_heir_at_a_time_and_the_end_of_both(void **state)
{
	struct fixture *f = *state;
	char want[80];

	heir_does("wait");
	assert_ok(takeover_start(&f->t, STR_NULL, &f->f));
	assert_false(takeover_failed(&f->t, &f->f));
	assert_err(takeover_start(&f->t, STR_NULL, &f->f), ERR_CONFLICT);
	(void)snprintf(want, sizeof(want), "process %d starts already", (int)f->t.heir);
	assert_string_equal(f->f.text, want);
	takeover_stop(&f->t);
	assert_ended(f, "signal 15");
	takeover_stop(&f->t); /* nobody is left */
}

static void a_program_that_is_gone(void **state)
{
	struct fixture *f = *state;

	(void)snprintf(f->t.program, sizeof(f->t.program), "/nowhere/posthouse");
	assert_err(takeover_start(&f->t, STR_NULL, &f->f), ERR_IO);
	assert_string_equal(f->f.text,
			    "cannot start /nowhere/posthouse: No such file or directory");
	assert_int_equal(f->t.heir, 0);
	assert_false(takeover_failed(&f->t, &f->f));
}

/* Its number may be somebody else's by now: only our parent is told. */
static void a_former_that_has_ended_is_not_told(void **state)
{
	struct fixture *f = *state;

	f->t.former = getpid();
	takeover_ready(&f->t);
	assert_int_equal(f->t.former, 0);
	assert_int_equal(sigtimedwait(&f->term, NULL, &(struct timespec){0}), -1);
}

static int set_up(void **state)
{
	static struct fixture f;

	f = (struct fixture){0};
	(void)sigemptyset(&f.term);
	(void)sigaddset(&f.term, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &f.term, NULL);
	takeover_begin(&f.t);
	*state = &f;
	return f.t.former == 0 && f.t.heir == 0 && f.t.program[0] == '/' ? 0 : -1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_heir_takes_over, set_up),
		cmocka_unit_test_setup(an_heir_gets_what_is_saved, set_up),
		cmocka_unit_test_setup(what_nobody_left_is_not_read, set_up),
		cmocka_unit_test_setup(an_heir_that_fails_changes_nothing, set_up),
		cmocka_unit_test_setup(one_heir_at_a_time_and_the_end_of_both, set_up),
		cmocka_unit_test_setup(a_program_that_is_gone, set_up),
		cmocka_unit_test_setup(a_former_that_has_ended_is_not_told, set_up),
	};

	(void)argv;
	n_arguments = argc;
	return getenv("POSTHOUSE_TAKEOVER") ? be_heir() : cmocka_run_group_tests(tests, NULL, NULL);
}
