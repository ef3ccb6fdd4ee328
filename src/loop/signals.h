/*
 * signals - SIGTERM, SIGINT, SIGHUP and their kin as events of one loop
 *
 * signals_block before any thread starts; then one loop gets them by signalfd.
 */
#pragma once
#include "loop/loop.h"

struct signals;
typedef void signal_fn(int signo, void *arg);

/* Blocks TERM, INT, HUP, USR1, USR2 for this and all later threads; ignores PIPE. */
void signals_block(void);
struct signals *signals_new(struct loop *l, signal_fn *fn, void *arg);
void signals_free(struct signals **s);
