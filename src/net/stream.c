/*
 * A stream is in one of these conditions; the flags in struct stream say which:
 *
 *   connecting -> open -> closing (flushing) -> lingering (FIN sent) -> dead
 *        \__________\__________\____________________\________________^
 *
 * `dead` streams are off their loop and freed at the end of the turn. Output is
 * s->out followed by s->segs; once a segment is queued, later bytes go behind it
 * into buffer segments, so order is kept without copying what was given by reference.
 */
#include "net/stream.h"

#include "base/mem.h"
#include "net/descriptors.h"
#include "net/stream_int.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define READS_PER_TURN 4
#define LINGER_MS 2000
#define CLOSING_WRITE_TIMEOUT_MS 10000
/*
 * What a peer may well have under way when it is told to stop: the window of a HTTP/2 connection.
 * Of who sends more a share a step is read, for as long again: 12 MiB/s, so that one which looks
 * for our answer after the last of its bytes finds it, and one that never does costs little.
 */
#define DISCARD_MAX ((uint32_t)1 << 20)
#define LINGER_STEP_MS 20
#define LINGER_STEP_BYTES ((uint32_t)256 << 10)

static void on_io(struct io *io, unsigned events);
static void on_redeliver(struct later *w);

/* ---- the end ---- */

static void free_buried(struct grave *g)
{
	mem_free(container_of(g, struct stream, grave));
}

static void teardown(struct stream *s)
{
	static const struct linger reset = {.l_onoff = 1, .l_linger = 0};
	int fd = s->loop ? s->io.fd : s->detached_fd;

	s->dead = true;
	later_cancel(&s->flush);
	later_cancel(&s->redeliver);
	later_cancel(&s->end);
	if (s->loop) {
		timer_stop(s->loop, &s->timer);
		io_remove(s->loop, &s->io);
	}
	if (s->ops->free) {
		s->ops->free(s);
	}
	if (s->open_ended && fd >= 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	}
	if (fd >= 0) {
		(void)close(fd);
	}
	buf_free(&s->in);
	stream_drop_output(s);
	if (s->loop) {
		loop_bury(s->loop, &s->grave, free_buried);
	} else {
		mem_free(s); /* lost between two loops: nobody else knows it */
	}
}

void stream_fail(struct stream *s, enum err why)
{
	const struct stream_handler *h = s->handler;

	if (s->dead) {
		return;
	}
	teardown(s);
	if (h && !s->closing) {
		h->on_close(s, why);
	}
}

static void on_linger_timeout(struct timer *t)
{
	stream_fail(container_of(t, struct stream, timer), ERR_TIMEOUT);
}

static void on_linger_step(struct timer *t)
{
	struct stream *s = container_of(t, struct stream, timer);

	if (++s->linger_steps > LINGER_MS / LINGER_STEP_MS) {
		stream_fail(s, ERR_TIMEOUT);
		return;
	}
	s->discarded = DISCARD_MAX - LINGER_STEP_BYTES;
	s->read_paused = false;
	s->readable = true;
	timer_start(s->loop, &s->timer, LINGER_STEP_MS, on_linger_step);
	loop_later(s->loop, &s->redeliver, on_redeliver);
}

void stream_finish_closing(struct stream *s)
{
	bool has_ended = s->eof || (s->last_said && !s->readable);

	if (s->lingering) {
		return;
	}
	if (s->open_ended && !s->complete) {
		stream_fail(s, ERR_CLOSED);
		return;
	}
	s->open_ended = false; /* all is sent */
	if (!(has_ended && s->ops->close_is_fin) && s->ops->shutdown(s) == -1) {
		stream_block(s); /* and comes back here */
		return;
	}
	if (has_ended) {
		stream_fail(s, ERR_CLOSED);
		return;
	}
	s->lingering = true;
	s->readable = true;
	if (s->discarded >= DISCARD_MAX) {
		timer_start(s->loop, &s->timer, LINGER_STEP_MS, on_linger_step);
		return;
	}
	s->read_paused = false;
	timer_start(s->loop, &s->timer, LINGER_MS, on_linger_timeout);
	loop_later(s->loop, &s->redeliver, on_redeliver);
}

/* ---- input ---- */

static void tell_eof(struct stream *s)
{
	if (s->dead || !s->eof || s->eof_told || s->read_paused) {
		return;
	}
	if (s->closing && !s->lingering) {
		return; /* it may still listen to what is being sent; stream_finish_closing ends it
			 */
	}
	s->eof_told = true;
	if (s->write_broken) {
		stream_fail(s, ERR_IO); /* neither direction works any more */
	} else if (s->lingering || !s->handler || !s->handler->on_eof) {
		stream_fail(s, ERR_CLOSED);
	} else {
		s->handler->on_eof(s);
	}
}

/* A peer that goes on and on is read in steps. */
static void discard(struct stream *s, size_t n)
{
	buf_free(&s->in);
	s->discarded += (uint32_t)MIN(n, DISCARD_MAX);
	if (s->discarded < DISCARD_MAX) {
		return;
	}
	s->read_paused = true;
	if (s->lingering && s->linger_steps == 0) {
		timer_start(s->loop, &s->timer, LINGER_STEP_MS, on_linger_step);
	}
}

/*
 * Shows what is unconsumed, with `n` new bytes at `fresh` when nothing was left before.
 * False: the owner has moved the stream to another loop, where it may live already.
 */
static bool deliver(struct stream *s, char *fresh, size_t n)
{
	struct buf held = {0}; /* out of the stream, so that the bytes outlive its end */
	bool from_in = s->in.n > 0;
	bool moved = false;
	size_t len, used;

	if (s->closing) {
		discard(s, n);
		return true;
	}
	if (from_in) {
		buf_move(&held, &s->in);
	}
	len = from_in ? held.n : n;
	s->moved = &moved;
	used = s->handler->on_data(s, from_in ? buf_head(&held) : fresh, len);
	if (moved) {
		buf_free(&held);
		return false;
	}
	s->moved = NULL;
	if (s->dead || s->closing) {
		buf_free(&held);
		return true;
	}
	ASSERT(used <= len);
	if (!from_in) {
		buf_append(&s->in, fresh + used, n - used);
		return true;
	}
	buf_consume(&held, used);
	if (held.n > 0) {
		buf_move(&s->in, &held);
	} else {
		buf_free(&held);
	}
	return true;
}

/* False: as deliver. */
static bool read_once(struct stream *s)
{
	char *scratch = loop_scratch(s->loop);
	size_t room = LOOP_SCRATCH;
	bool into_in = s->in.n > 0;
	ptrdiff_t n;

	if (into_in) {
		room = MAX(s->in.n, (size_t)4096);
		room = MIN(room, LOOP_SCRATCH);
	}
	n = s->ops->recv(s, into_in ? buf_reserve(&s->in, room) : scratch, room);
	if (n > 0) {
		s->bytes_in += (uint64_t)n;
		if ((size_t)n < room && !s->hangup && !s->more && s->ops->short_read_drains) {
			s->readable = false;
		}
		if (into_in) {
			buf_commit(&s->in, (size_t)n);
		}
		return deliver(s, scratch, (size_t)n);
	}
	if (n == 0) {
		s->readable = false;
		s->eof = true;
		tell_eof(s);
	} else if (n == -1) {
		s->readable = false;
	} else {
		stream_fail(s, ERR_IO);
	}
	return true;
}

static bool may_read(const struct stream *s)
{
	return !s->dead && s->readable && !s->read_paused && !s->eof;
}

void stream_see_turn(struct stream *s)
{
	if (s->turn != loop_turn(s->loop)) {
		s->turn = loop_turn(s->loop);
		s->reads = 0;
		s->sent = 0;
	}
}

/* False: as deliver. */
static bool read_some(struct stream *s)
{
	stream_see_turn(s);
	while (s->reads < READS_PER_TURN && may_read(s)) {
		s->reads++;
		if (!read_once(s)) {
			return false;
		}
	}
	if (may_read(s)) {
		loop_next_turn(s->loop, &s->redeliver, on_redeliver);
	}
	return true;
}

static void on_redeliver(struct later *w)
{
	struct stream *s = container_of(w, struct stream, redeliver);

	if (s->in.n > 0 && !s->read_paused && !deliver(s, NULL, 0)) {
		return;
	}
	if (read_some(s)) {
		tell_eof(s);
	}
}

static void on_broken_timeout(struct timer *t)
{
	stream_fail(container_of(t, struct stream, timer), ERR_IO);
}

/*
 * A peer that refuses a request early answers and closes: our next send fails while
 * its answer waits to be read. Show it before the end.
 */
void stream_write_failed(struct stream *s)
{
	if (s->closing || s->read_paused || s->eof) {
		stream_fail(s, ERR_IO);
		return;
	}
	s->write_broken = true;
	stream_drop_output(s);
	timer_start(s->loop, &s->timer, LINGER_MS, on_broken_timeout);
	s->readable = true;
	s->hangup = true;
	loop_later(s->loop, &s->redeliver, on_redeliver);
}

void stream_readable(struct stream *s)
{
	s->readable = true;
	s->reads = 0; /* loop_soon has shares of its own */
	if (!s->dead && !s->read_paused) {
		loop_soon(s->loop, &s->redeliver, on_redeliver);
	}
}

void stream_pause_read(struct stream *s)
{
	s->read_paused = true;
}

void stream_resume_read(struct stream *s)
{
	s->read_paused = false;
	if (!s->dead && s->loop && (s->readable || s->in.n > 0 || s->eof)) {
		loop_later(s->loop, &s->redeliver, on_redeliver);
	}
}

/* ---- connecting ---- */

static void finish_connect(struct stream *s, enum err result)
{
	s->connecting = false;
	timer_pause(&s->timer);
	if (result == ERR_OK) {
		s->on_connect(s, s->user, ERR_OK);
		return;
	}
	teardown(s);
	s->on_connect(s, s->user, result);
}

static void on_connect_timeout(struct timer *t)
{
	finish_connect(container_of(t, struct stream, timer), ERR_TIMEOUT);
}

static void on_unreachable(struct later *w)
{
	finish_connect(container_of(w, struct stream, redeliver), ERR_UNAVAILABLE);
}

static void on_exhausted(struct later *w)
{
	finish_connect(container_of(w, struct stream, redeliver), ERR_EXHAUSTED);
}

/* Whether there is an address to send from: where IPv6 is off there is none for ::1. */
static bool has_source_for(const struct addr *to)
{
	int fd = socket(to->sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool has = fd < 0 || connect(fd, (const struct sockaddr *)&to->sa, to->len) == 0;

	if (fd >= 0) {
		(void)close(fd);
	}
	return has;
}

/* EADDRNOTAVAIL is a want of ports, or of an address to send from, which no waiting brings. */
static void fail_later(struct stream *s, const struct addr *to, int e)
{
	bool exhausted = descriptors_are_out(e) && (e != EADDRNOTAVAIL || has_source_for(to));

	loop_later(s->loop, &s->redeliver, exhausted ? on_exhausted : on_unreachable);
}

static void on_connect_event(struct stream *s)
{
	int e = 0;
	socklen_t n = sizeof(e);

	if (getsockopt(s->io.fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0 || e != 0) {
		finish_connect(s, ERR_UNAVAILABLE);
	} else {
		finish_connect(s, ERR_OK);
	}
}

static void on_io(struct io *io, unsigned events)
{
	struct stream *s = container_of(io, struct stream, io);

	if (s->connecting) {
		if (events & (IO_WRITE | IO_ERROR)) {
			on_connect_event(s);
		}
		if (s->dead || s->connecting) {
			return;
		}
	}
	if (events & IO_WRITE && s->write_blocked) {
		s->write_blocked = false;
		stream_send_queued(s);
	}
	if (s->dead || !s->loop || !(events & (IO_READ | IO_HANGUP | IO_ERROR))) {
		return;
	}
	s->readable = true;
	s->hangup = s->hangup || (events & (IO_HANGUP | IO_ERROR));
	(void)read_some(s);
}

/* ---- the beginning ---- */

struct stream *stream_make(struct loop *l, const struct stream_handler *h, void *user)
{
	struct stream *s = MEM_NEW(struct stream);

	s->ops = &stream_tcp_ops;
	s->loop = l;
	s->handler = h;
	s->user = user;
	s->io.fd = -1;
	list_init(&s->segs);
	return s;
}

void stream_use_fd(struct stream *s, int fd)
{
	if (io_add(s->loop, &s->io, fd, on_io) != ERR_OK) {
		/* Out of kernel memory: looks like a peer that broke off. */
		s->io.fd = fd;
		s->eof = true;
		loop_later(s->loop, &s->redeliver, on_redeliver);
	}
}

struct stream *stream_new(struct loop *l, int fd, const struct stream_handler *h, void *user)
{
	struct stream *s = stream_make(l, h, user);

	stream_use_fd(s, fd);
	return s;
}

struct stream *stream_connect(struct loop *l, const struct addr *to, uint32_t timeout_ms,
			      stream_connect_fn *on_connect, const struct stream_handler *h,
			      void *user)
{
	struct stream *s = stream_make(l, h, user);
	int one = 1;
	int fd = socket(to->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	s->connecting = true;
	s->on_connect = on_connect;
	if (fd < 0) {
		fail_later(s, to, errno);
		return s;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (const struct sockaddr *)&to->sa, to->len) != 0 && errno != EINPROGRESS) {
		s->io.fd = fd; /* closed by teardown */
		fail_later(s, to, errno);
		return s;
	}
	if (io_add(l, &s->io, fd, on_io) != ERR_OK) {
		s->io.fd = fd;
		fail_later(s, to, ENOMEM);
		return s;
	}
	if (timeout_ms > 0) {
		timer_start(l, &s->timer, timeout_ms, on_connect_timeout);
	}
	return s;
}

void stream_set_handler(struct stream *s, const struct stream_handler *h, void *user)
{
	s->handler = h;
	s->user = user;
}

/* ---- closing and moving ---- */

static void on_loop_end(struct later *w)
{
	stream_abort(container_of(w, struct stream, end));
}

void stream_close(struct stream *s)
{
	if (s->dead || s->closing) {
		return;
	}
	s->closing = true;
	s->handler = NULL;
	if (s->write_timeout_ms == 0) {
		s->write_timeout_ms = CLOSING_WRITE_TIMEOUT_MS;
	}
	loop_at_end(s->loop, &s->end, on_loop_end);
	if (s->connecting || stream_pending(s) == 0) {
		if (s->connecting) {
			stream_fail(s, ERR_CANCELED);
		} else {
			stream_finish_closing(s);
		}
		return;
	}
	if (s->write_blocked) {
		stream_watch_blocked(s); /* it waits since before there was a limit */
	}
	stream_flush(s);
}

void stream_close_last(struct stream *s)
{
	s->last_said = true;
	stream_close(s);
}

void stream_abort(struct stream *s)
{
	if (!s->dead) {
		s->closing = true;
		s->handler = NULL;
		teardown(s);
	}
}

void stream_cut(struct stream *s)
{
	if (!s->dead && !s->open_ended) {
		stream_send_what_fits(s);
	}
	stream_abort(s);
}

void stream_open_ended(struct stream *s)
{
	s->open_ended = true;
	s->complete = false;
}

void stream_complete(struct stream *s)
{
	s->complete = true;
}

void stream_leave(struct stream *s, enum err why)
{
	const struct stream_handler *h = s->handler;

	if (s->dead || s->closing) {
		stream_fail(s, why);
		return;
	}
	stream_drop_output(s);
	stream_close(s);
	if (h) {
		h->on_close(s, why);
	}
}

void stream_detach(struct stream *s)
{
	ASSERT(!s->dead && !s->closing && !s->connecting);
	if (s->moved) {
		*s->moved = true;
		s->moved = NULL;
	}
	if (s->ops->detach) {
		s->ops->detach(s);
	}
	later_cancel(&s->flush);
	later_cancel(&s->redeliver);
	timer_stop(s->loop, &s->timer);
	/* The descriptor stays open: io.fd is kept aside for stream_attach. */
	s->detached_fd = s->io.fd;
	io_remove(s->loop, &s->io);
	s->loop = NULL;
}

void stream_attach(struct stream *s, struct loop *l)
{
	ASSERT(!s->loop);
	s->loop = l;
	s->write_blocked = false;
	if (io_add(l, &s->io, s->detached_fd, on_io) != ERR_OK) {
		s->io.fd = s->detached_fd;
		s->eof = true;
	}
	if (stream_pending(s) > 0 || s->ops->flush) {
		stream_flush(s);
	}
	if (!s->read_paused) {
		stream_resume_read(s);
	}
}

enum err stream_peer(const struct stream *s, struct addr *out)
{
	struct addr a = {.len = sizeof(a.sa)};

	if (s->ops->peer) {
		return s->ops->peer(s, out);
	}
	if (getpeername(s->io.fd, (struct sockaddr *)&a.sa, &a.len) != 0) {
		return ERR_IO;
	}
	*out = a;
	return ERR_OK;
}

enum err stream_local(const struct stream *s, struct addr *out)
{
	struct addr a = {.len = sizeof(a.sa)};

	if (s->io.fd < 0) {
		return ERR_NOT_FOUND;
	}
	if (getsockname(s->io.fd, (struct sockaddr *)&a.sa, &a.len) != 0) {
		return ERR_IO;
	}
	*out = a;
	return ERR_OK;
}
