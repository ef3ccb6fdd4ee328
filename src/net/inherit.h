/*
 * inherit - listening sockets left to us by the process that started this one
 *
 * The kernel queues connections at the socket, not at the process: while one of the two
 * has it open none is refused or reset. inherit_begin takes what was left, listener_open
 * those of its address and of parts of it, inherit_end closes what no listener wanted.
 *
 * Threads  the main thread, before and while listeners open.
 */
#pragma once
#include "net/addr.h"

/* Collects the listening sockets among our descriptors. */
void inherit_begin(void);
/* Takes those bound to `addr` out of them; how many. They and the array are the caller's. */
size_t inherit_take(const struct addr *addr, int **out);
/* The same with those at a part of it: whoever waits there is its client now. */
size_t inherit_take_parts(const struct addr *addr, int **out);
/* Whether `addr` is part of where one of those listens that are left. */
bool inherit_covers(const struct addr *addr);
void inherit_end(void);

/* All descriptors of this process that listen, for whoever leaves them to another; mem_free. */
size_t inherit_listening(int **out);
