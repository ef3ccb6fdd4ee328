/*
 * takeover - a new process of the server takes over from the running one; nobody is refused
 *
 * On SIGUSR2 the running process starts its program again, from the same path (a newer
 * file may stand there now) and with the same arguments, and leaves it the listening
 * sockets, and in a memory file what else would end with it. Both accept until the heir is ready,
 * which then sends SIGTERM to the former: that one stops accepting, ends what is under way and
 * goes. An heir that fails changes nothing. See docs/internals/takeover.md.
 *
 * Threads  the main thread.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct takeover {
	char program[PATH_MAX]; /* as it was at the start */
	pid_t former;		/* whose heir we are; 0 = nobody's */
	int left;		/* the memory file of the former; -1 = none */
	pid_t heir;		/* who starts now; 0 = nobody */
};

/* Before the first listener opens. */
void takeover_begin(struct takeover *t);
/* What the former process saved, and nothing if there is none. Once. */
enum err takeover_saved(struct takeover *t, struct buf *out, struct fault *f) MUST_USE;
/* We serve: inherited sockets that nobody wanted are closed, the former process is told. */
void takeover_ready(struct takeover *t);
/* `saved` is for takeover_saved of the heir; nobody else can read it. */
enum err takeover_start(struct takeover *t, struct str saved, struct fault *f) MUST_USE;
/* Whether `from`, who sent SIGTERM, is the heir and so is ready. */
bool takeover_is_heir(const struct takeover *t, pid_t from);
/* The service is to end: so is an heir that still starts. */
void takeover_stop(const struct takeover *t);
/* After SIGCHLD: when the heir ended, `f` says how and it is forgotten. */
bool takeover_failed(struct takeover *t, struct fault *f);
