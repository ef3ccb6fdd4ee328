/*
 * signals - SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD as return values of the main thread
 *
 * signals_block comes before any thread starts, so that only signals_wait gets
 * them; what follows a signal is then straight-line code that may block.
 */
#pragma once
#include "base/attr.h"

#include <sys/types.h>

/*
 * Blocks them for this and all later threads. Ignores SIGPIPE and SIGXFSZ: whoever writes to what
 * is closed or to a file that has grown to its limit is told by errno.
 */
void signals_block(void);
/* The next signal, or 0 after `timeout_ms` (< 0 = forever). */
int signals_wait(int timeout_ms);
/* The same; `*out_from` is who sent it, 0 when no process did. */
int signals_wait_from(int timeout_ms, pid_t *out_from);
/*
 * From now on SIGTERM and SIGINT end the process at once, whatever its threads wait for. With
 * `ms` > 0 it ends so after that time in any case.
 */
void signals_release(int ms);
