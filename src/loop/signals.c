#include "loop/signals.h"

#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct signals {
	struct io io;
	struct loop *loop;
	signal_fn *fn;
	void *arg;
};

static sigset_t our_set(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigaddset(&set, SIGUSR2);
	return set;
}

void signals_block(void)
{
	sigset_t set = our_set();

	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

static void on_signal(struct io *io, unsigned events)
{
	struct signals *s = container_of(io, struct signals, io);
	struct signalfd_siginfo info;

	(void)events;
	while (io->fd >= 0 && read(io->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		s->fn((int)info.ssi_signo, s->arg);
	}
}

struct signals *signals_new(struct loop *l, signal_fn *fn, void *arg)
{
	struct signals *s = MEM_NEW(struct signals);
	sigset_t set = our_set();
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);

	s->loop = l;
	s->fn = fn;
	s->arg = arg;
	ASSERT(fd >= 0);
	ASSERT(io_add(l, &s->io, fd, on_signal) == ERR_OK);
	return s;
}

void signals_free(struct signals **sp)
{
	struct signals *s = *sp;
	int fd;

	if (!s) {
		return;
	}
	*sp = NULL;
	fd = s->io.fd;
	io_remove(s->loop, &s->io);
	(void)close(fd);
	mem_free(s);
}
