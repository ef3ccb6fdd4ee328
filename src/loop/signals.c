#include "loop/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

static sigset_t our_set(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigaddset(&set, SIGUSR2);
	(void)sigaddset(&set, SIGCHLD);
	return set;
}

void signals_block(void)
{
	sigset_t set = our_set();

	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
}

int signals_wait(int timeout_ms)
{
	pid_t from;

	return signals_wait_from(timeout_ms, &from);
}

int signals_wait_from(int timeout_ms, pid_t *out_from)
{
	siginfo_t info = {0};
	sigset_t set = our_set();
	struct timespec ts = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000};

	for (;;) {
		int signo =
			timeout_ms < 0 ? sigwaitinfo(&set, &info) : sigtimedwait(&set, &info, &ts);

		if (signo > 0) {
			*out_from = info.si_code == SI_USER ? info.si_pid : 0;
			return signo;
		}
		if (errno == EAGAIN) {
			return 0;
		}
	}
}

/* Not the default action: a process that is the first of a container would go on. */
static void on_end(int signo)
{
	_exit(128 + signo);
}

void signals_release(int ms)
{
	struct sigevent by_signal = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGTERM};
	struct itimerspec once = {.it_value = {ms / 1000, (long)(ms % 1000) * 1000000}};
	sigset_t set;
	timer_t t;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)signal(SIGTERM, on_end);
	(void)signal(SIGINT, on_end);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	if (ms > 0 && timer_create(CLOCK_MONOTONIC, &by_signal, &t) == 0) {
		(void)timer_settime(t, 0, &once, NULL);
	}
}
