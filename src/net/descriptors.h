/*
 * descriptors - whether they, or what else connections need of this machine, run out
 *
 * Clients come unasked, and each is a descriptor. Those who accept them leave a reserve to the
 * connections and files that serving them takes: to services, to the database, of the Admin API.
 *
 * Threads  any.
 */
#pragma once
#include <stdbool.h>

/* Of errno after socket, connect or accept: it says nothing of the peer. */
bool descriptors_are_out(int e);
/*
 * Whether so many are in use that `fd`, which is new, is of the reserve: the kernel gives the
 * lowest free number. An eighth of the limit of open files, 16 at least and 4096 at most.
 */
bool descriptor_is_reserve(int fd);
