/*
 * stream_fixture - a stream on a loop's own thread; the test is its peer
 *
 * The peer's end is a blocking socket, so a test reads top to bottom: it lets the
 * loop act with `act` or loop_call, talks over `peer`, and waits with WAIT for what the
 * stream's owner saw. `react` sets what the owner does inside each callback.
 *
 * Threads  fields under "guarded by mtx" are written by the loop's thread.
 */
#pragma once
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "net/stream.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 20000

enum act { ACT_NOTHING, ACT_CLOSE, ACT_ABORT, ACT_PAUSE, ACT_RESUME, ACT_WRITE };
static const enum act ends[] = {ACT_CLOSE, ACT_ABORT};
enum event { EV_DATA, EV_EOF, EV_DRAINED, EV_CLOSE, EV_CONNECT, EVENTS };

struct fixture {
	struct loops loops;
	struct stream *s; /* touched on its loop only */
	struct stream_ops ops;
	int peer;
	struct str say; /* ACT_WRITE; set before react or act */
	pthread_mutex_t mtx;
	pthread_cond_t cond;
	/* guarded by mtx */
	enum act react[EVENTS];
	size_t eat;	  /* what on_data may consume at a call */
	struct buf shown; /* by the last on_data */
	struct buf eaten;
	_Atomic unsigned count[EVENTS]; /* may be read without the mutex */
	_Atomic unsigned freed, released;
	enum err why; /* of on_close or on_connect */
};

struct opening {
	struct fixture *f;
	int fd;
	const struct stream_handler *handler;
};

extern const struct stream_handler handler, handler_without_eof;

/* Waits for `cond`, which may read what the mutex guards. */
#define WAIT(f, cond_)                                                                             \
	do {                                                                                       \
		uint64_t end_ = clock_mono_ms() + PATIENCE_MS;                                     \
		bool in_time_ = true;                                                              \
		(void)pthread_mutex_lock(&(f)->mtx);                                               \
		while (in_time_ && !(cond_)) {                                                     \
			in_time_ = fixture_wait(f, end_);                                          \
		}                                                                                  \
		(void)pthread_mutex_unlock(&(f)->mtx);                                             \
		if (!in_time_) {                                                                   \
			fail_msg("waited in vain for %s", #cond_);                                 \
		}                                                                                  \
	} while (0)

bool fixture_wait(struct fixture *f, uint64_t end_ms);
/* On the loop; `act` is the same from the test. */
void perform(struct fixture *f, struct stream *s, enum act a);
/* Counts the event, then does what the test wants done inside it. */
void note(struct fixture *f, struct stream *s, enum event e);
void react(struct fixture *f, enum event e, enum act a);
void set_eat(struct fixture *f, size_t n);
/* What stream_handler and stream_write_mem call. */
size_t on_data(struct stream *s, char *p, size_t n);
void on_eof(struct stream *s);
void on_drained(struct stream *s);
void on_close(struct stream *s, enum err why);
void on_release(void *arg);
/* Its own copy of the stream's operations tells the fixture when the stream goes. */
void hook_ops(struct fixture *f, struct stream *s);
void act(struct fixture *f, enum act a);
void on_turn(struct loop *l, void *arg);
/* All that the loop had to do when this was called is done. */
void settle(struct fixture *f);
size_t pending(struct fixture *f);
/* What the owner was shown last, or consumed so far. */
void expect_bytes(struct fixture *f, const struct buf *which, struct str want);
/* A connected pair over loopback TCP; pair[0] does not block. */
void tcp_pair(int pair[2]);
void fixture_init(struct fixture *f, unsigned loops);
void run_open(struct loop *l, void *arg);
void set_up_with(struct fixture *f, const struct stream_handler *h);
void set_up(struct fixture *f);
void fixture_fini(struct fixture *f);
/* For tests whose stream still lives. */
void tear_down(struct fixture *f);

/* ---- the peer ---- */

void peer_send(struct fixture *f, struct str s);
/* Reads exactly `n` bytes; 0 bytes = expects the end. */
void peer_read(struct fixture *f, char *p, size_t n);
void peer_expect(struct fixture *f, struct str want);
void peer_expect_end(struct fixture *f);
void peer_reset(struct fixture *f);
/* `n` bytes in which a lost, doubled or swapped piece shows. */
char *pattern(size_t n);
