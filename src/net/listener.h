/*
 * listener - accepts connections, on every loop, through SO_REUSEPORT
 *
 * One listener has a socket for each loop; the kernel spreads connections over
 * them. Sockets inherited for the address (net/inherit.h) are used first. Running out of
 * descriptors, or of those that are no reserve (net/descriptors.h), pauses accepting for
 * 100 ms instead of spinning.
 *
 * Threads  open, start, stop: the main thread, through loop_call. on_accept: each loop.
 */
#pragma once
#include "loop/loop.h"
#include "net/addr.h"

struct listener;

/* Owns `fd`, which is non-blocking and close-on-exec. */
typedef void accept_fn(struct loop *l, int fd, const struct addr *peer, void *arg);

struct listener_options {
	struct str address; /* port 0 picks one port for all loops */
	accept_fn *fn;
	void *arg;
	bool uses_reserve; /* accepts to the last descriptor */
};

/* Binds for all loops. `f` says which address and why. */
enum err listener_open(struct loops *loops, const struct listener_options *o, struct listener **out,
		       struct fault *f) MUST_USE;
/* The bound address, with the real port. */
const struct addr *listener_addr(const struct listener *l);
/*
 * From now on it accepts; nothing when it does already. Until then it takes nothing out of queues
 * that are shared with the process before us, nor adds queues to them: it may give up unnoticed.
 */
void listener_start(struct listener *l);
/* No more connections; those accepted live on. */
void listener_stop(struct listener *l);
void listener_free(struct listener **l);
