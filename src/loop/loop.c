#include "loop/loop.h"

#include "base/blocks.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/timer_heap.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_PER_TURN 64 /* what they caused is sent behind them */
#define BUFS_KEPT 64

struct loop {
	unsigned index;
	int epoll_fd;
	uint64_t now_ms;
	uint64_t turn;
	struct io wake;
	struct timer_heap timers;
	struct list laters, flushes, next_turn, heavies, ends;
	unsigned soon; /* of this turn, so far */
	struct grave *graves;
	char *scratch;
	struct buf bufs[BUFS_KEPT];
	unsigned n_bufs;
	struct blocks blocks;
	void *locals[LOOP_LOCALS];
	/* any thread */
	_Atomic(struct msg *) inbox; /* newest first */
	atomic_bool sleeping;	     /* in epoll_wait, or about to: a post must wake it */
	atomic_bool stopping;
	/* written by the loop alone */
	atomic_uint_fast64_t turns[LOOP_TURN_BOUNDS + 1];
	atomic_uint_fast64_t busy_ns;
};

const unsigned loop_turn_bounds_us[LOOP_TURN_BOUNDS] = {50,   100,  200,   500,	  1000,
							2000, 5000, 10000, 50000, 200000};

static _Thread_local struct loop *current;

static void run_laters(struct list *list);

static void on_wake(struct io *io, unsigned events)
{
	uint64_t count;

	(void)events;
	/* Only resets the counter: the turn takes the inbox in any case. */
	ssize_t n = read(io->fd, &count, sizeof(count));
	(void)n;
}

struct loop *loop_new(unsigned index)
{
	struct loop *l = MEM_NEW(struct loop);
	int fd;

	l->index = index;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ASSERT(l->epoll_fd >= 0 && fd >= 0);
	list_init(&l->laters);
	list_init(&l->flushes);
	list_init(&l->next_turn);
	list_init(&l->heavies);
	list_init(&l->ends);
	l->scratch = mem_alloc(LOOP_SCRATCH);
	l->now_ms = clock_mono_ms();
	l->wake.fd = -1;
	ASSERT(io_add(l, &l->wake, fd, on_wake) == ERR_OK);
	return l;
}

static struct msg *take_inbox(struct loop *l)
{
	struct msg *m = atomic_exchange_explicit(&l->inbox, NULL, memory_order_acquire);
	struct msg *in_order = NULL;

	while (m) {
		struct msg *next = m->next;

		m->next = in_order;
		in_order = m;
		m = next;
	}
	return in_order;
}

static void run_graves(struct loop *l)
{
	while (l->graves) {
		struct grave *g = l->graves;

		l->graves = g->next;
		g->fn(g);
	}
}

void loop_free(struct loop **lp)
{
	struct loop *l = *lp;

	if (!l) {
		return;
	}
	*lp = NULL;
	for (struct msg *m = take_inbox(l), *next; m; m = next) {
		next = m->next;
		if (m->drop) {
			m->drop(m);
		}
	}
	run_laters(&l->ends);
	run_graves(l);
	(void)close(l->wake.fd);
	(void)close(l->epoll_fd);
	for (unsigned i = 0; i < l->n_bufs; i++) {
		buf_free(&l->bufs[i]);
	}
	blocks_free(&l->blocks);
	timer_heap_free(&l->timers);
	mem_free(l->scratch);
	mem_free(l);
}

unsigned loop_index(const struct loop *l)
{
	return l->index;
}

struct loop *loop_current(void)
{
	return current;
}

uint64_t loop_now_ms(const struct loop *l)
{
	return l->now_ms;
}

uint64_t loop_turn(const struct loop *l)
{
	return l->turn;
}

/* ---- readiness ---- */

enum err io_add(struct loop *l, struct io *io, int fd, io_fn *fn)
{
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = io,
	};

	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0) {
		return errno == ENOSPC || errno == ENOMEM ? ERR_LIMIT : ERR_IO;
	}
	io->fd = fd;
	io->fn = fn;
	return ERR_OK;
}

void io_remove(struct loop *l, struct io *io)
{
	if (io->fd >= 0) {
		(void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
		io->fd = -1;
	}
}

/* ---- watching for callbacks that hold up the loop ---- */

#ifdef POSTHOUSE_WATCH
#define SLOW_CALLBACK_NS (5 * 1000000u)

static uint64_t watch_begin(void)
{
	return clock_mono_ns();
}

/* addr2line -f -e build/posthouse tells the name of an address. */
static void watch_end(uint64_t began, const char *kind, const void *fn)
{
	uint64_t took = clock_mono_ns() - began;
	char text[32];

	if (took > SLOW_CALLBACK_NS) {
		(void)snprintf(text, sizeof(text), "%p", fn);
		log_warn("loop", "slow callback", LOG_CSTR("kind", kind),
			 LOG_CSTR("function", text), LOG_INT("us", took / 1000));
	}
}
#else
static uint64_t watch_begin(void)
{
	return 0;
}

static void watch_end(uint64_t began, const char *kind, const void *fn)
{
	(void)began;
	(void)kind;
	(void)fn;
}
#endif

static void run_io(const struct epoll_event *ev)
{
	struct io *io = ev->data.ptr;
	unsigned events = 0;

	if (io->fd < 0) {
		return; /* removed earlier in this turn; its memory lives until the end of it */
	}
	events |= ev->events & EPOLLIN ? IO_READ : 0;
	events |= ev->events & EPOLLOUT ? IO_WRITE : 0;
	events |= ev->events & (EPOLLRDHUP | EPOLLHUP) ? IO_HANGUP : 0;
	events |= ev->events & EPOLLERR ? IO_ERROR : 0;
	io_fn *fn = io->fn;
	uint64_t began = watch_begin();

	fn(io, events);
	watch_end(began, "io", (const void *)(uintptr_t)fn);
}

/* ---- timers ---- */

void timer_start(struct loop *l, struct timer *t, uint64_t delay_ms, timer_fn *fn)
{
	uint64_t want = l->now_ms + MAX(delay_ms, 1);

	t->fn = fn;
	t->want_ms = want;
	if (t->pos != 0) {
		if (t->due_ms <= want) {
			return; /* corrected when it comes due */
		}
		timer_heap_remove(&l->timers, t);
	}
	t->due_ms = want;
	timer_heap_insert(&l->timers, t);
}

void timer_pause(struct timer *t)
{
	t->want_ms = 0;
}

void timer_stop(struct loop *l, struct timer *t)
{
	if (t->pos != 0) {
		timer_heap_remove(&l->timers, t);
	}
	t->want_ms = 0;
}

static void run_timers(struct loop *l)
{
	struct timer *t;

	while ((t = timer_heap_first(&l->timers)) && t->due_ms <= l->now_ms) {
		timer_heap_remove(&l->timers, t);
		if (t->want_ms == 0) {
			continue;
		}
		if (t->want_ms > l->now_ms) {
			t->due_ms = t->want_ms;
			timer_heap_insert(&l->timers, t);
			continue;
		}
		t->want_ms = 0;
		timer_fn *fn = t->fn;
		uint64_t began = watch_begin();

		fn(t);
		watch_end(began, "timer", (const void *)(uintptr_t)fn);
	}
}

/* ---- deferred work ---- */

static void defer(struct list *list, struct later *w, later_fn *fn)
{
	if (!list_is_linked(&w->node)) {
		w->fn = fn;
		list_push(list, &w->node);
	}
}

void loop_later(struct loop *l, struct later *w, later_fn *fn)
{
	defer(&l->laters, w, fn);
}

void loop_soon(struct loop *l, struct later *w, later_fn *fn)
{
	if (list_is_linked(&w->node)) {
		return;
	}
	defer(l->soon++ < LOOP_SOON_MAX ? &l->laters : &l->next_turn, w, fn);
}

void loop_flush_later(struct loop *l, struct later *w, later_fn *fn)
{
	defer(&l->flushes, w, fn);
}

void loop_next_turn(struct loop *l, struct later *w, later_fn *fn)
{
	defer(&l->next_turn, w, fn);
}

void loop_heavy(struct loop *l, struct later *w, later_fn *fn)
{
	defer(&l->heavies, w, fn);
}

void loop_at_end(struct loop *l, struct later *w, later_fn *fn)
{
	defer(&l->ends, w, fn);
}

bool loop_has_ends(const struct loop *l)
{
	return !list_is_empty(&l->ends);
}

void later_cancel(struct later *w)
{
	list_remove(&w->node);
}

/* False: there is none. */
static bool run_later(struct list *list)
{
	struct list_node *n = list_pop(list);

	if (n) {
		struct later *w = container_of(n, struct later, node);
		later_fn *fn = w->fn;
		uint64_t began = watch_begin();

		fn(w);
		watch_end(began, "later", (const void *)(uintptr_t)fn);
	}
	return n != NULL;
}

static void run_laters(struct list *list)
{
	while (run_later(list)) {
	}
}

void loop_bury(struct loop *l, struct grave *g, void (*fn)(struct grave *g))
{
	g->fn = fn;
	g->next = l->graves;
	l->graves = g;
}

/* ---- messages ---- */

void loop_post(struct loop *l, struct msg *m)
{
	struct msg *head = atomic_load_explicit(&l->inbox, memory_order_relaxed);

	do {
		m->next = head;
	} while (!atomic_compare_exchange_weak(&l->inbox, &head, m));
	/*
	 * Sequentially consistent with run_turn: either we see it sleeping, or it sees
	 * our message before it sleeps. A busy loop costs its senders no system call.
	 */
	if (!head && current != l && atomic_exchange(&l->sleeping, false)) {
		uint64_t one = 1;
		ssize_t n = write(l->wake.fd, &one, sizeof(one));
		(void)n; /* EAGAIN: the counter is full, so the loop will wake */
	}
}

static void run_inbox(struct loop *l)
{
	for (struct msg *m = take_inbox(l), *next; m; m = next) {
		void (*run)(struct msg *, struct loop *) = m->run;
		uint64_t began = watch_begin();

		next = m->next;
		run(m, l);
		watch_end(began, "message", (const void *)(uintptr_t)run);
	}
}

void loop_stop(struct loop *l)
{
	uint64_t one = 1;
	ssize_t n;

	atomic_store(&l->stopping, true);
	n = write(l->wake.fd, &one, sizeof(one));
	(void)n;
}

/* ---- the turn ---- */

static void count(atomic_uint_fast64_t *sum, uint64_t n)
{
	uint64_t was = atomic_load_explicit(sum, memory_order_relaxed);

	atomic_store_explicit(sum, was + n, memory_order_relaxed);
}

static void count_turn(struct loop *l, uint64_t took_ns)
{
	unsigned i = 0;

	while (i < LOOP_TURN_BOUNDS && took_ns > (uint64_t)loop_turn_bounds_us[i] * 1000) {
		i++;
	}
	count(&l->turns[i], 1);
	count(&l->busy_ns, took_ns);
}

void loop_stats_add(const struct loop *l, struct loop_stats *sum)
{
	for (size_t i = 0; i < ARRAY_LEN(l->turns); i++) {
		sum->turns[i] += atomic_load_explicit(&l->turns[i], memory_order_relaxed);
	}
	sum->busy_ns += atomic_load_explicit(&l->busy_ns, memory_order_relaxed);
}

static int wait_ms(struct loop *l)
{
	struct timer *t = timer_heap_first(&l->timers);

	/* The lists of this turn are filled only by what was asked for before loop_run. */
	if (!list_is_empty(&l->next_turn) || !list_is_empty(&l->heavies) ||
	    !list_is_empty(&l->laters) || !list_is_empty(&l->flushes) || atomic_load(&l->inbox)) {
		return 0;
	}
	if (!t) {
		return -1;
	}
	if (t->due_ms <= l->now_ms) {
		return 0;
	}
	return (int)MIN(t->due_ms - l->now_ms, 60000);
}

static void run_turn(struct loop *l)
{
	struct epoll_event events[EVENTS_PER_TURN];
	struct list carried;
	uint64_t began_ns;
	int n;

	atomic_store(&l->sleeping, true);
	n = epoll_wait(l->epoll_fd, events, EVENTS_PER_TURN, wait_ms(l));
	atomic_store_explicit(&l->sleeping, false, memory_order_relaxed);
	began_ns = clock_mono_ns();
	l->now_ms = began_ns / 1000000;
	l->turn++;
	l->soon = 0;
	list_init(&carried);
	list_splice(&carried, &l->next_turn);
	for (int i = 0; i < n; i++) {
		run_io(&events[i]);
	}
	run_laters(&carried);
	run_timers(l);
	run_inbox(l);
	(void)run_later(&l->heavies);
	/* Flushing may ask for more work of the first kind, and so on. */
	while (!list_is_empty(&l->laters) || !list_is_empty(&l->flushes)) {
		run_laters(&l->laters);
		run_laters(&l->flushes);
	}
	run_graves(l);
	count_turn(l, clock_mono_ns() - began_ns);
}

void loop_run(struct loop *l)
{
	current = l;
	while (!atomic_load_explicit(&l->stopping, memory_order_relaxed)) {
		run_turn(l);
	}
	atomic_store(&l->stopping, false);
	current = NULL;
}

/* ---- memory and locals ---- */

char *loop_scratch(struct loop *l)
{
	return l->scratch;
}

void loop_buf_get(struct loop *l, struct buf *b)
{
	if (l->n_bufs > 0) {
		*b = l->bufs[--l->n_bufs];
	} else {
		(void)buf_reserve(b, LOOP_BUF_SIZE);
	}
}

void loop_buf_put(struct loop *l, struct buf *b)
{
	if (b->cap == LOOP_BUF_SIZE && l->n_bufs < BUFS_KEPT) {
		buf_clear(b);
		l->bufs[l->n_bufs++] = *b;
		*b = (struct buf){0};
	} else {
		buf_free(b);
	}
}

struct blocks *loop_blocks(struct loop *l)
{
	return &l->blocks;
}

void loop_set_local(struct loop *l, unsigned key, void *value)
{
	ASSERT(key < LOOP_LOCALS);
	l->locals[key] = value;
}

void *loop_local(const struct loop *l, unsigned key)
{
	ASSERT(key < LOOP_LOCALS);
	return l->locals[key];
}
