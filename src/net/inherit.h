/*
 * inherit - listening sockets left to us by the process that started this one
 *
 * The kernel queues connections at the socket, not at the process: while one of the two
 * has it open none is refused or reset. inherit_begin takes what was left, listener_open
 * those of its address, inherit_end closes what no listener wanted.
 *
 * Threads  the main thread, before and while listeners open.
 */
#pragma once
#include "net/addr.h"

#define INHERIT_MAX 512

/* Collects the listening sockets among our descriptors. */
void inherit_begin(void);
/* Moves those bound to `addr` into `fds`, at most `max`; how many. They are the caller's. */
size_t inherit_take(const struct addr *addr, int *fds, size_t max);
void inherit_end(void);

/* All descriptors of this process that listen: for whoever leaves them to another. */
size_t inherit_listening(int *fds, size_t max);
