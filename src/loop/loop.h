/*
 * loop - one event loop, one thread: readiness, timers, messages, deferred work
 *
 * A turn: wait for epoll, run I/O callbacks, run due timers, take the inbox, run
 * what was deferred with loop_later, free what was buried. Everything a callback
 * may do is safe at any point of the turn, because objects die in loop_bury only
 * at its end.
 *
 * Descriptors are watched edge-triggered for reading and writing from io_add to
 * io_remove; there is no re-arming. After a callback the owner reads until a short
 * read (or takes the rest in loop_later) and writes until EAGAIN.
 *
 * Threads  loop_post and loop_stop: any. Everything else: the loop's own thread
 *          (or before loop_run).
 * Failure  posting cannot fail; messages still queued at loop_free are dropped
 *          through their drop().
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"

#include <stdatomic.h>

struct loop;

struct loop *loop_new(unsigned index);
void loop_free(struct loop **l);
/* Returns after loop_stop, at once if that came before. May be run again. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

unsigned loop_index(const struct loop *l);
/* The loop whose thread this is, or NULL. */
struct loop *loop_current(void);
/* Monotonic milliseconds at the start of the turn. */
uint64_t loop_now_ms(const struct loop *l);
/* The number of the turn: for what is allowed so often in one. */
uint64_t loop_turn(const struct loop *l);

/*
 * How long its turns took, the wait for events not counted: what arrives during a turn waits for
 * its end. turns[i] took at most loop_turn_bounds_us[i] and more than the bound before; the last
 * one is without a bound.
 */
#define LOOP_TURN_BOUNDS 10
extern const unsigned loop_turn_bounds_us[LOOP_TURN_BOUNDS];

struct loop_stats {
	uint64_t turns[LOOP_TURN_BOUNDS + 1];
	uint64_t busy_ns; /* in all turns */
};
/* Adds those of `l` to `sum`. Any thread. */
void loop_stats_add(const struct loop *l, struct loop_stats *sum);

/* Readiness of one descriptor. Embedded in its owner. */
struct io;
enum { IO_READ = 1, IO_WRITE = 2, IO_HANGUP = 4 /* peer will send no more */, IO_ERROR = 8 };
typedef void io_fn(struct io *io, unsigned events);

struct io {
	int fd; /* -1 = not watched */
	io_fn *fn;
};

/* Registers `fd`; the descriptor stays the caller's to close, after io_remove. */
enum err io_add(struct loop *l, struct io *io, int fd, io_fn *fn) MUST_USE;
void io_remove(struct loop *l, struct io *io);

/*
 * One-shot timer, embedded; all-zero is idle. Moving an armed timer later and
 * pausing it cost nothing, so per-request deadlines do not touch the heap.
 */
struct timer;
typedef void timer_fn(struct timer *t);

struct timer {
	uint64_t want_ms; /* when to fire; 0 = paused */
	uint64_t due_ms;  /* key in the heap, never after want_ms */
	uint32_t pos;	  /* heap index + 1; 0 = not in the heap */
	timer_fn *fn;
};

void timer_start(struct loop *l, struct timer *t, uint64_t delay_ms, timer_fn *fn);
/* Will not fire; still linked: timer_stop before the memory goes. */
void timer_pause(struct timer *t);
void timer_stop(struct loop *l, struct timer *t);
static inline bool timer_is_armed(const struct timer *t)
{
	return t->want_ms != 0;
}

/* Work for the end of this turn, once however often asked. Embedded; zero is idle. */
struct later;
typedef void later_fn(struct later *w);

struct later {
	struct list_node node;
	later_fn *fn;
};

/* Runs before anything is sent: for producers that fill output buffers. */
void loop_later(struct loop *l, struct later *w, later_fn *fn);
/*
 * The same for work that may cause more of its kind: what is beyond LOOP_SOON_MAX in this turn
 * runs in the next, so that a turn always ends.
 */
#define LOOP_SOON_MAX 64
void loop_soon(struct loop *l, struct later *w, later_fn *fn);
/* Runs after all others: the one write per turn. */
void loop_flush_later(struct loop *l, struct later *w, later_fn *fn);
/* Runs in the next turn, after other events had their chance. */
void loop_next_turn(struct loop *l, struct later *w, later_fn *fn);
/*
 * For work that takes long and of which much may come at once: one piece of it runs in a turn,
 * the oldest first, so that everybody else waits for one and not for all.
 */
void loop_heavy(struct loop *l, struct later *w, later_fn *fn);
/* Runs at loop_free unless canceled before: for what nobody else holds any more. */
void loop_at_end(struct loop *l, struct later *w, later_fn *fn);
/* Whether anything waits for loop_free. */
bool loop_has_ends(const struct loop *l);
void later_cancel(struct later *w);

/* Frees `obj` with `fn` at the end of the turn. */
struct grave {
	struct grave *next;
	void (*fn)(struct grave *g);
};
void loop_bury(struct loop *l, struct grave *g, void (*fn)(struct grave *g));

/* A message from any thread; the receiver owns it and frees it. */
struct msg {
	struct msg *next;
	void (*run)(struct msg *m, struct loop *l);
	void (*drop)(struct msg *m); /* undelivered: free only */
};
/* In posting order per sender. Wakes the loop only when its inbox was empty. */
void loop_post(struct loop *l, struct msg *m);

/* Scratch for one read, LOOP_SCRATCH bytes, valid until the callback returns. */
#define LOOP_SCRATCH ((size_t)64 << 10)
char *loop_scratch(struct loop *l);

/* Output buffers of a standard size, kept per loop so that idle connections hold none. */
#define LOOP_BUF_SIZE ((size_t)8 << 10)
void loop_buf_get(struct loop *l, struct buf *b);
/* Keeps it for the next one if it has the standard size, else frees. */
void loop_buf_put(struct loop *l, struct buf *b);

/* For what comes and goes with messages on this loop; see base/blocks.h. */
struct blocks *loop_blocks(struct loop *l);

/* Something that must end before loop_free: per-loop singletons of upper rooms. */
void loop_set_local(struct loop *l, unsigned key, void *value);
void *loop_local(const struct loop *l, unsigned key);
enum { LOOP_LOCAL_DNS, LOOP_LOCAL_HTTP_CLIENT, LOOP_LOCAL_HTTP_SERVER, LOOP_LOCALS };

/* A set of loops, one thread each. */
struct loops {
	struct loop **v;
	unsigned n;
	void *threads; /* private */
};
enum err loops_start(struct loops *s, unsigned n, struct fault *f) MUST_USE;
/* Stops and joins all; the loops still exist (their owners take things down), then loops_free. */
void loops_join(struct loops *s);
void loops_free(struct loops *s);
/*
 * Waits until every loop has begun another turn: what was unpublished before is not
 * looked at any more. Not from a loop.
 */
void loops_quiesce(struct loops *s);
/* Runs fn(loop, arg) on that loop and waits for it to return. Not from a loop. */
void loop_call(struct loop *l, void (*fn)(struct loop *l, void *arg), void *arg);
