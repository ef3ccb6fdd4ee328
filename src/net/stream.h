/*
 * stream - one connection as bytes in, bytes out
 *
 * Completion-shaped: the owner is handed bytes and queues bytes; when and how they
 * move is the stream's affair (readiness today, io_uring later, TLS in between
 * through stream_ops, see tls/stream.h). Reading happens only after epoll said so and into the
 * loop's scratch; a stream holds input memory only for bytes that its owner did not
 * consume, and output memory only while something is unsent. Everything queued in
 * one turn leaves in one system call at the turn's end. TCP_NODELAY is always on.
 *
 * Life  stream_new takes the descriptor. The stream ends once, in one of two ways:
 *       the owner calls stream_close or stream_abort and is not called again; or
 *       on_close is called, last of all. In both cases the stream frees itself; one
 *       that is still closing at loop_free ends there (loop_has_ends tells before).
 *
 * Back-pressure  stream_pause_read stops on_data; stream_pending says what is
 *       unsent, and on_drained tells when it is all gone after it had been at or above
 *       STREAM_HIGH_WATER. A peer that takes nothing for write_timeout_ms, or not
 *       all by write_by_ms, is dropped with ERR_TIMEOUT.
 *
 * Threads  the loop that owns it. stream_detach / stream_attach move it: from its own
 *          on_data, a timer, a message or deferred work, never from another stream's event.
 */
#pragma once
#include "loop/loop.h"
#include "net/addr.h"

#define STREAM_HIGH_WATER ((size_t)256 << 10)

struct stream;

struct stream_handler {
	/*
	 * Bytes `p[0..n)` are there (may be modified in place). Returns how many
	 * were consumed; the rest is shown again, with more behind it, at the next
	 * read or stream_resume_read. May close the stream (the return value is then ignored);
	 * `p` stays valid until it returns in any case.
	 */
	size_t (*on_data)(struct stream *s, char *p, size_t n);
	/* The peer will send no more. NULL: treated as on_close(ERR_CLOSED). */
	void (*on_eof)(struct stream *s);
	/* May be NULL. */
	void (*on_drained)(struct stream *s);
	/* Broken (ERR_IO), timed out (ERR_TIMEOUT) or closed by the peer (ERR_CLOSED). */
	void (*on_close)(struct stream *s, enum err why);
};

/*
 * What TLS and pipes (net/pipe_stream.h) replace. Results: > 0 bytes, 0 end of stream (sendfile:
 * the file gives no more), -1 try later, -2 broken. sendv: bytes that the kernel has; a transport
 * which transformed some and could not send all of it says -1, and their number when it could: it
 * is shown the same bytes at the front again.
 */
struct stream_ops {
	ptrdiff_t (*recv)(struct stream *s, void *p, size_t n);
	ptrdiff_t (*sendv)(struct stream *s, const struct str *v, unsigned n);
	/* NULL: the stream reads the file and uses sendv. */
	ptrdiff_t (*sendfile)(struct stream *s, int fd, int64_t *offset, size_t n);
	/* 0 done. May be called again after -1. */
	ptrdiff_t (*shutdown)(struct stream *s);
	/* Sends what the transport itself holds: 0 nothing left. NULL: it holds nothing. */
	ptrdiff_t (*flush)(struct stream *s);
	void (*free)(struct stream *s);
	/* Before the stream leaves its loop. NULL: its descriptor is all that has to move. */
	void (*detach)(struct stream *s);
	/* NULL: the socket knows. */
	enum err (*peer)(const struct stream *s, struct addr *out);
	bool close_is_fin; /* close() of the descriptor ends it in order, without shutdown */
	/* A read that returns less than asked emptied the socket, unless it sets stream.more. */
	bool short_read_drains;
};

struct stream {
	/* constant after stream_new */
	const struct stream_ops *ops;
	void *transport; /* of ops: TLS state; NULL for TCP */
	/* owning loop only */
	struct loop *loop; /* NULL while detached */
	const struct stream_handler *handler;
	void *user;
	struct io io;
	int detached_fd;
	struct buf in;	  /* bytes not consumed yet */
	struct buf out;	  /* bytes to send first ... */
	struct list segs; /* ... then these */
	struct later flush;
	struct later redeliver;
	struct later end;   /* while closing: it has no owner */
	struct timer timer; /* connecting, a blocked write, lingering: one at a time */
	void (*on_connect)(struct stream *s, void *user, enum err result);
	uint32_t discarded; /* while closing */
	bool *moved;	    /* on the stack of a running on_data: set by stream_detach */
	struct grave grave;
	uint32_t write_timeout_ms;
	uint64_t write_by_ms; /* loop time by which all that is queued must be gone, and then 0 */
	bool readable : 1;    /* the last read filled its buffer, or reading was paused */
	bool read_paused : 1;
	bool eof : 1; /* peer sent FIN */
	bool eof_told : 1;
	bool hangup : 1;
	bool more : 1; /* a transport gave less than it was asked for, but there is more */
	bool write_blocked : 1;
	bool write_broken : 1; /* sending failed: what can still be read is shown, then the end */
	bool was_high : 1;
	bool connecting : 1;
	bool closing : 1;    /* flush, then end */
	bool last_said : 1;  /* the peer has: nothing to wait for then */
	bool open_ended : 1; /* an end would say that all was written ... */
	bool complete : 1;   /* ... and it was */
	bool lingering : 1;  /* sent FIN, waiting for the peer's */
	bool dead : 1;
	uint8_t linger_steps; /* of a peer that sends on */
	uint8_t reads;	      /* in the turn ... */
	uint32_t sent;	      /* ... likewise, bytes ... */
	uint64_t turn;	      /* ... with this number */
	uint64_t bytes_in, bytes_out;
};

/* Takes `fd` (non-blocking). The caller sets the handler before returning to the loop. */
struct stream *stream_new(struct loop *l, int fd, const struct stream_handler *h, void *user);
/*
 * Starts a TCP connection; on_drained is not called for it, `on_connect` is, once,
 * with ERR_OK (the stream is usable) or a failure (the stream is gone; on_close is not called):
 * ERR_UNAVAILABLE, ERR_TIMEOUT, or ERR_EXHAUSTED, which says nothing of the peer.
 */
typedef void stream_connect_fn(struct stream *s, void *user, enum err result);
struct stream *stream_connect(struct loop *l, const struct addr *to, uint32_t timeout_ms,
			      stream_connect_fn *on_connect, const struct stream_handler *h,
			      void *user);
void stream_set_handler(struct stream *s, const struct stream_handler *h, void *user);

/* Where to append bytes to send; valid until the next call on the stream. Then stream_flush. */
struct buf *stream_out(struct stream *s);
/* Sends at the end of the turn. */
void stream_flush(struct stream *s);
/* Copies, and stream_flush; long data is sent at once, and copied as far as it does not go. */
void stream_write(struct stream *s, struct str data);
/* Queues memory without a copy; `release(arg)` when sent or dropped (may be NULL). */
void stream_write_mem(struct stream *s, struct str data, void (*release)(void *arg), void *arg);
/* Queues a piece of a file; takes `fd` and closes it. `release` as above. */
void stream_write_file(struct stream *s, int fd, int64_t offset, uint64_t n,
		       void (*release)(void *arg), void *arg);
/* Bytes not yet given to the kernel. */
size_t stream_pending(const struct stream *s);

void stream_pause_read(struct stream *s);
void stream_resume_read(struct stream *s);

/*
 * Sends what is queued, then FIN, and waits shortly for the peer's (so that no RST eats the
 * answer). A little of what comes meanwhile is read and thrown away, the rest left with the kernel.
 */
void stream_close(struct stream *s);
/* The same for a peer that said it sends nothing more: closed when all is sent, unless it does. */
void stream_close_last(struct stream *s);
/* At once; unsent bytes are dropped. */
void stream_abort(struct stream *s);
/*
 * At once, in the middle of something: of the unsent bytes goes what the transport takes now. The
 * peer sees that they end too early.
 */
void stream_cut(struct stream *s);
/*
 * What is written from now on is whole when the stream ends. Until stream_complete and until all
 * is sent it therefore has no end: however it is closed, by us or by a fault, the peer sees an
 * error, and may lose what it has not read.
 */
void stream_open_ended(struct stream *s);
/* Of no consequence where nothing was open-ended. */
void stream_complete(struct stream *s);

/* Off its loop, to travel in a message; then onto another. Only outside on_data, or from it if it
 * returns n. */
void stream_detach(struct stream *s);
void stream_attach(struct stream *s, struct loop *l);

/* How long a peer that takes nothing now may go on so. */
static inline uint64_t stream_patience_ms(uint64_t now_ms, uint32_t timeout_ms, uint64_t by_ms)
{
	if (by_ms == 0) {
		return timeout_ms;
	}
	return MIN(timeout_ms, by_ms > now_ms ? by_ms - now_ms : 1);
}

/* ---- for transports ---- */

/* Those of TCP, on the bare descriptor. */
extern const struct stream_ops stream_tcp_ops;
/* Ends the stream at once: on_close(why), unless its owner closed it. */
void stream_fail(struct stream *s, enum err why);
/*
 * The owner is told on_close(why) and has lost it; the stream drops what is queued, but
 * still sends what its transport holds (an alert), and closes in order.
 */
void stream_leave(struct stream *s, enum err why);
/* recv has something now, the end included: it is asked later in this turn. */
void stream_readable(struct stream *s);
/* sendv said -1, but may be asked again, though the descriptor tells no such event. */
void stream_unblock(struct stream *s);
/* The transport holds bytes that recv's own work left behind: flush is called in time. */
void stream_block(struct stream *s);

enum err stream_peer(const struct stream *s, struct addr *out) MUST_USE;
enum err stream_local(const struct stream *s, struct addr *out) MUST_USE;
