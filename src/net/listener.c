#include "net/listener.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/descriptors.h"
#include "net/inherit.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 16
#define EXHAUSTED_PAUSE_MS 100
#define EXHAUSTED_SAY_MS 10000
#define BACKLOG 4096

struct acceptor {
	struct io io;
	struct later again;
	struct timer pause;
	struct loop *loop;
	struct listener *owner;
	uint64_t said_ms; /* when we last complained */
};

struct listener {
	bool started;
	/* constant after listener_open */
	struct addr addr;
	accept_fn *fn;
	void *arg;
	bool uses_reserve;
	unsigned n;
	/* each touched by its own loop */
	struct acceptor *acceptors;
};

static void accept_some(struct acceptor *a);

static void on_again(struct later *w)
{
	accept_some(container_of(w, struct acceptor, again));
}

static void on_pause_over(struct timer *t)
{
	accept_some(container_of(t, struct acceptor, pause));
}

static void say_exhausted(struct acceptor *a)
{
	uint64_t now = loop_now_ms(a->loop);

	if (a->said_ms == 0 || now - a->said_ms >= EXHAUSTED_SAY_MS) {
		a->said_ms = now;
		log_warn("net",
			 "out of descriptors: accepting pauses; raise the limit of open files",
			 LOG_INT("pause_ms", EXHAUSTED_PAUSE_MS));
	}
}

static void pause_accepting(struct acceptor *a)
{
	say_exhausted(a);
	timer_start(a->loop, &a->pause, EXHAUSTED_PAUSE_MS, on_pause_over);
}

/* How many are in use only the number of a new one tells; those behind it wait in the queue. */
static bool may_keep(const struct listener *l, int fd)
{
	return l->uses_reserve || !descriptor_is_reserve(fd);
}

static void accept_some(struct acceptor *a)
{
	for (unsigned i = 0; i < ACCEPTS_PER_TURN && a->io.fd >= 0; i++) {
		struct addr peer = {.len = sizeof(peer.sa)};
		int fd = accept4(a->io.fd, (struct sockaddr *)&peer.sa, &peer.len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0 && may_keep(a->owner, fd)) {
			a->owner->fn(a->loop, fd, &peer, a->owner->arg);
		} else if (fd >= 0) {
			(void)close(fd);
			pause_accepting(a);
			return;
		} else if (errno == EAGAIN) {
			return;
		} else if (descriptors_are_out(errno)) {
			pause_accepting(a);
			return;
		}
		/* Anything else concerned that one connection only. */
	}
	if (a->io.fd >= 0) {
		loop_next_turn(a->loop, &a->again, on_again);
	}
}

static void on_acceptable(struct io *io, unsigned events)
{
	struct acceptor *a = container_of(io, struct acceptor, io);

	if (events & IO_READ && !timer_is_armed(&a->pause)) {
		accept_some(a);
	}
}

static enum err bind_one(const struct addr *addr, bool listens, int *out_fd, struct fault *f)
{
	int one = 1, zero = 0;
	int fd = socket(addr->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	char text[ADDR_TEXT_MAX];

	(void)addr_format(addr, text);
	if (fd < 0) {
		return fault_set(f, ERR_UNAVAILABLE, "cannot open a socket for %s: %s", text,
				 strerrordesc_np(errno));
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (addr->sa.ss_family == AF_INET6) {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	}
	if (bind(fd, (const struct sockaddr *)&addr->sa, addr->len) != 0 ||
	    (listens && listen(fd, BACKLOG) != 0)) {
		int e = errno;

		(void)close(fd);
		return fault_set(f, ERR_UNAVAILABLE, "cannot listen on %s: %s", text,
				 strerrordesc_np(e));
	}
	*out_fd = fd;
	return ERR_OK;
}

/*
 * SO_REUSEPORT would let a second server share the port unseen. The first bind is
 * tried without it, so that "address in use" is reported.
 */
static enum err probe(const struct addr *addr, struct fault *f)
{
	int one = 1, zero = 0;
	int fd = socket(addr->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[ADDR_TEXT_MAX];
	int e = 0;

	if (fd < 0) {
		return ERR_OK; /* bind_one says why */
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (addr->sa.ss_family == AF_INET6) {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	}
	if (bind(fd, (const struct sockaddr *)&addr->sa, addr->len) != 0) {
		e = errno;
	}
	(void)close(fd);
	if (e == EADDRINUSE) {
		(void)addr_format(addr, text);
		return fault_set(f, ERR_UNAVAILABLE,
				 "cannot listen on %s: another process listens there", text);
	}
	return ERR_OK;
}

static void start_accepting(struct loop *l, void *arg)
{
	struct acceptor *a = arg;
	int fd = a->io.fd;

	a->io.fd = -1;
	if (listen(fd, BACKLOG) != 0 || io_add(l, &a->io, fd, on_acceptable) != ERR_OK) {
		(void)close(fd);
		log_error("net", "cannot accept from a listening socket");
	}
}

static void stop_accepting(struct loop *l, void *arg)
{
	struct acceptor *a = arg;
	int fd = a->io.fd;

	timer_stop(l, &a->pause);
	later_cancel(&a->again);
	io_remove(l, &a->io);
	if (fd >= 0) {
		(void)close(fd);
	}
}

static void acceptor_add(struct listener *l, struct loops *loops, int fd)
{
	struct acceptor *a = &l->acceptors[l->n];

	a->loop = loops->v[l->n % loops->n];
	a->owner = l;
	a->io.fd = fd;
	l->n++;
}

static void acceptors_add(struct listener *l, struct loops *loops, const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		acceptor_add(l, loops, fds[i]);
	}
}

/*
 * One socket for each loop; more, if the process before us had more loops, or listened at parts of
 * the address: all have a queue. Where that one listens no other process does.
 */
static enum err bind_all(struct listener *l, struct loops *loops, struct fault *f)
{
	int *fds, *parts;
	size_t n = inherit_take(&l->addr, &fds);
	size_t n_parts = inherit_take_parts(&l->addr, &parts);
	bool is_new = n == 0 && n_parts == 0 && !inherit_covers(&l->addr);

	l->acceptors = MEM_NEW_ARRAY(struct acceptor, MAX(n, loops->n) + n_parts);
	acceptors_add(l, loops, fds, n);
	acceptors_add(l, loops, parts, n_parts);
	mem_free(fds);
	mem_free(parts);
	if (is_new) {
		TRY(probe(&l->addr, f));
	}
	while (l->n < loops->n + n_parts) {
		int fd = -1;

		TRY(bind_one(&l->addr, is_new, &fd, f));
		acceptor_add(l, loops, fd);
		if (l->n == 1) {
			l->addr.len = sizeof(l->addr.sa);
			(void)getsockname(fd, (struct sockaddr *)&l->addr.sa, &l->addr.len);
		}
	}
	return ERR_OK;
}

static void free_unstarted(struct listener *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		(void)close(l->acceptors[i].io.fd);
	}
	mem_free(l->acceptors);
	mem_free(l);
}

enum err listener_open(struct loops *loops, const struct listener_options *o, struct listener **out,
		       struct fault *f)
{
	struct addr addr;
	struct listener *l;
	enum err e;

	if (addr_parse(o->address, &addr) != ERR_OK) {
		return fault_set(
			f, ERR_INVALID,
			"\"%.*s\" is no address to listen on (try 127.0.0.1:5000 or [::]:5000)",
			STR_ARG(o->address));
	}
	l = MEM_NEW(struct listener);
	l->addr = addr;
	l->fn = o->fn;
	l->arg = o->arg;
	l->uses_reserve = o->uses_reserve;
	e = bind_all(l, loops, f);
	if (e != ERR_OK) {
		free_unstarted(l);
		return e;
	}
	*out = l;
	return ERR_OK;
}

void listener_start(struct listener *l)
{
	for (unsigned i = 0; i < l->n && !l->started; i++) {
		loop_call(l->acceptors[i].loop, start_accepting, &l->acceptors[i]);
	}
	l->started = true;
}

const struct addr *listener_addr(const struct listener *l)
{
	return &l->addr;
}

void listener_stop(struct listener *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		loop_call(l->acceptors[i].loop, stop_accepting, &l->acceptors[i]);
	}
	l->n = 0;
}

void listener_free(struct listener **lp)
{
	struct listener *l = *lp;

	if (!l) {
		return;
	}
	*lp = NULL;
	listener_stop(l);
	mem_free(l->acceptors);
	mem_free(l);
}
