/*
 * takeover - a new process of the server takes over from the running one; nobody is refused
 *
 * On SIGUSR2 the running process starts its program again, from the same path (a newer
 * file may stand there now) and with the same arguments, and leaves it the listening
 * sockets. Both accept until the heir is ready, which then sends SIGTERM to the former:
 * that one stops accepting, ends what is under way and goes. An heir that fails changes
 * nothing. See docs/internals/takeover.md.
 *
 * Threads  the main thread.
 */
#pragma once
#include "base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct takeover {
	char program[PATH_MAX]; /* as it was at the start */
	pid_t former;		/* whose heir we are; 0 = nobody's */
	pid_t heir;		/* who starts now; 0 = nobody */
};

/* Before the first listener opens. */
void takeover_begin(struct takeover *t);
/* We serve: inherited sockets that nobody wanted are closed, the former process is told. */
void takeover_ready(struct takeover *t);
enum err takeover_start(struct takeover *t, struct fault *f) MUST_USE;
/* Whether `from`, who sent SIGTERM, is the heir and so is ready. */
bool takeover_is_heir(const struct takeover *t, pid_t from);
/* The service is to end: so is an heir that still starts. */
void takeover_stop(const struct takeover *t);
/* After SIGCHLD: when the heir ended, `f` says how and it is forgotten. */
bool takeover_failed(struct takeover *t, struct fault *f);
