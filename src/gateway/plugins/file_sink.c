/*
 * Who holds whom: file_sinks has the list of sinks, and the writer thread. A sink has a lane
 * for each loop, and a lane the batch that it fills. Full ones go to the sink's `fresh`, and the
 * sink to `work` (guarded by mtx), where the writer finds it; a sink whose pipe takes no more is
 * in `full` until it does. Batches that are written go to lanes again: growing a fresh one
 * costs more than writing its lines.
 */
#include "gateway/plugins/file_sink.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/plugins/line_file.h"
#include "loop/loop.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
	BATCH_BYTES = 64 << 10,
	BATCH_MS = 100,
	WAITING_MAX = 8 << 20, /* of one path */
	REPORT_MS = 10000,
	FULL_END_MS = 2000, /* at the end, for pipes that take no more */
	END_MS = 5000,
	SPARE_BYTES = 256 << 10, /* one that held longer lines is not kept */
};

struct lane {
	struct file_sink *sink;
	struct timer timer;
	struct line_batch
		*batch; /* NULL = no line since the last one: an idle lane holds no memory */
} __attribute__((aligned(CACHE_LINE)));

struct file_sink {
	struct list_node node;
	struct file_sinks *owner;
	const char *path;
	struct lane *lanes; /* by index of the loop */
	/* guarded by owner->mtx */
	struct list_node work; /* in `work` or `full` of the owner */
	struct list fresh;     /* batches for the writer */
	unsigned users, reopeners;
	bool is_to_reopen;
	/* writer only, but for its counters */
	struct line_file file;
	uint64_t reported_at_ms, reported;
};

struct file_sinks {
	unsigned n_loops;
	pthread_t writer;
	pthread_mutex_t mtx;
	int wake_fd;
	/* guarded by mtx */
	struct list sinks;
	struct list work, full;
	struct list spares; /* empty batches, at most one a loop */
	unsigned n_spares;
	bool is_stopping;
	uint64_t full_until_ms; /* when it is stopping */
	pthread_cond_t ended;	/* of the writer */
	bool has_ended;
	/* writer only */
	struct pollfd *polled;
};

/* ---- the writer ---- */

static void report_now(struct file_sink *s)
{
	uint64_t lost = atomic_load(&s->file.lost);
	int error = s->file.last_error;

	log_error("gateway", "cannot write log file", LOG_CSTR("path", s->path),
		  LOG_CSTR("error", error ? strerrordesc_np(error) : "too slow"),
		  LOG_INT("lines_dropped", lost - s->reported));
	s->reported_at_ms = MAX(clock_mono_ms(), 1);
	s->reported = lost;
	s->file.last_error = 0;
}

static bool has_trouble(const struct file_sink *s)
{
	return s->file.last_error != 0 || atomic_load(&s->file.lost) != s->reported;
}

/* Not for every batch: a disk stays full for long. */
static void report(struct file_sink *s)
{
	bool is_early = s->reported_at_ms != 0 && clock_mono_ms() - s->reported_at_ms < REPORT_MS;

	if (has_trouble(s) && !is_early) {
		report_now(s);
	}
}

static void batch_free(struct line_batch *b)
{
	if (b) {
		buf_free(&b->lines);
		mem_free(b);
	}
}

static void free_batches(struct list *batches)
{
	for (struct list_node *node; (node = list_pop(batches)) != NULL;) {
		batch_free(container_of(node, struct line_batch, node));
	}
}

/* With the mutex. */
static void give_back(struct file_sinks *s, struct line_batch *b)
{
	if (s->n_spares == s->n_loops || b->lines.n < BATCH_BYTES || b->lines.cap > SPARE_BYTES) {
		batch_free(b);
		return;
	}
	buf_clear(&b->lines);
	b->at = 0;
	s->n_spares++;
	list_push(&s->spares, &b->node);
}

/* With the mutex. */
static struct line_batch *take_spare(struct file_sinks *s)
{
	struct list_node *node = list_pop(&s->spares);

	if (!node) {
		return NULL;
	}
	s->n_spares--;
	return container_of(node, struct line_batch, node);
}

/* With the mutex, which is never held over I/O. */
static void work_on(struct file_sinks *s, struct file_sink *sink)
{
	struct line_file *f = &sink->file;
	bool is_unused = sink->users == 0;

	if (sink->is_to_reopen || (sink->reopeners > 0 && !list_is_empty(&sink->fresh))) {
		line_file_reopen(f);
	}
	sink->is_to_reopen = false;
	line_file_put(f, &sink->fresh);
	(void)pthread_mutex_unlock(&s->mtx);
	line_file_write(f);
	if (is_unused && !f->is_full) {
		line_file_close(f);
	}
	report(sink);
	(void)pthread_mutex_lock(&s->mtx);
	for (struct list_node *node; (node = list_pop(&f->done)) != NULL;) {
		give_back(s, container_of(node, struct line_batch, node));
	}
	if (f->is_full && !list_is_linked(&sink->work)) {
		list_push(&s->full, &sink->work);
	}
}

/* With the mutex. How long to wait for pipes at most: they are looked at for the report, too. */
static int wait_ms(const struct file_sinks *s)
{
	uint64_t now = clock_mono_ms();

	if (list_is_empty(&s->full)) {
		return -1;
	}
	if (!s->is_stopping) {
		return REPORT_MS;
	}
	return now < s->full_until_ms ? (int)(s->full_until_ms - now) : 0;
}

/* With the mutex, which is not held meanwhile. */
static void wait_for_work(struct file_sinks *s)
{
	int timeout_ms = wait_ms(s);
	uint64_t count;
	nfds_t n = 1;

	LIST_EACH (&s->full, node) {
		n++;
	}
	s->polled = mem_resize(s->polled, n * sizeof(*s->polled));
	s->polled[0] = (struct pollfd){.fd = s->wake_fd, .events = POLLIN};
	n = 1;
	LIST_EACH (&s->full, node) {
		const struct file_sink *sink = container_of(node, struct file_sink, work);

		s->polled[n++] = (struct pollfd){.fd = sink->file.fd, .events = POLLOUT};
	}
	(void)pthread_mutex_unlock(&s->mtx);
	(void)poll(s->polled, n, timeout_ms);
	/* Only resets the counter. */
	(void)!read(s->wake_fd, &count, sizeof(count));
	(void)pthread_mutex_lock(&s->mtx);
	list_splice(&s->work, &s->full);
}

/* With the mutex. */
static bool is_over(const struct file_sinks *s)
{
	return s->is_stopping && (list_is_empty(&s->full) || clock_mono_ms() >= s->full_until_ms);
}

/* No sink and no line comes any more. */
static void end_sinks(struct file_sinks *s)
{
	LIST_EACH (&s->sinks, node) {
		struct file_sink *sink = container_of(node, struct file_sink, node);

		line_file_put(&sink->file, &sink->fresh);
		line_file_close(&sink->file);
		if (has_trouble(sink)) {
			report_now(sink);
		}
	}
}

static void *writer_main(void *arg)
{
	struct file_sinks *s = arg;
	struct list_node *node;

	(void)pthread_mutex_lock(&s->mtx);
	while ((node = list_pop(&s->work)) != NULL || !is_over(s)) {
		if (node) {
			work_on(s, container_of(node, struct file_sink, work));
		} else {
			wait_for_work(s);
		}
	}
	(void)pthread_mutex_unlock(&s->mtx);
	end_sinks(s);
	(void)pthread_mutex_lock(&s->mtx);
	s->has_ended = true;
	(void)pthread_cond_signal(&s->ended);
	(void)pthread_mutex_unlock(&s->mtx);
	return NULL;
}

static void wake(struct file_sinks *s)
{
	const uint64_t one = 1;

	(void)!write(s->wake_fd, &one, sizeof(one));
}

/* With the mutex. One that is full gets its turn when it is writable. */
static void give_work(struct file_sink *s)
{
	if (!list_is_linked(&s->work)) {
		list_push(&s->owner->work, &s->work);
		wake(s->owner);
	}
}

static void hand_over(struct file_sink *s, struct line_batch *b)
{
	struct file_sinks *owner = s->owner;

	atomic_fetch_add(&s->file.waiting, (int64_t)b->lines.n);
	(void)pthread_mutex_lock(&owner->mtx);
	list_push(&s->fresh, &b->node);
	give_work(s);
	(void)pthread_mutex_unlock(&owner->mtx);
}

/* ---- lanes ---- */

static void flush_lane(struct lane *lane)
{
	struct line_batch *b = lane->batch;

	timer_pause(&lane->timer);
	lane->batch = NULL;
	if (b) {
		hand_over(lane->sink, b);
	}
}

static void on_lane_timer(struct timer *t)
{
	flush_lane(container_of(t, struct lane, timer));
}

static struct line_batch *batch_for(struct file_sinks *s)
{
	struct line_batch *b;

	(void)pthread_mutex_lock(&s->mtx);
	b = take_spare(s);
	(void)pthread_mutex_unlock(&s->mtx);
	return b ? b : MEM_NEW(struct line_batch);
}

struct buf *file_sink_begin_line(struct file_sink *sink, struct loop *l)
{
	struct lane *lane = &sink->lanes[loop_index(l)];

	if (atomic_load_explicit(&sink->file.waiting, memory_order_relaxed) > WAITING_MAX) {
		atomic_fetch_add_explicit(&sink->file.lost, 1, memory_order_relaxed);
		return NULL;
	}
	if (!lane->batch) {
		lane->batch = batch_for(sink->owner);
		timer_start(l, &lane->timer, BATCH_MS, on_lane_timer);
	}
	return &lane->batch->lines;
}

void file_sink_end_line(struct file_sink *sink, struct loop *l)
{
	struct lane *lane = &sink->lanes[loop_index(l)];
	struct line_batch *b = lane->batch;

	buf_putc(&b->lines, '\n');
	if (b->lines.n >= BATCH_BYTES) {
		flush_lane(lane);
	}
}

/* ---- sinks ---- */

static struct file_sink *sink_new(struct file_sinks *owner, struct str path)
{
	struct file_sink *s = MEM_NEW(struct file_sink);
	unsigned n = owner->n_loops;
	char *text = mem_alloc(path.n + 1);

	memcpy(text, path.p, path.n);
	text[path.n] = 0;
	s->owner = owner;
	s->path = text;
	line_file_init(&s->file, text);
	list_init(&s->fresh);
	s->lanes = MEM_NEW_LINES(struct lane, n);
	for (unsigned i = 0; i < n; i++) {
		s->lanes[i].sink = s;
	}
	list_push(&owner->sinks, &s->node);
	return s;
}

static struct file_sink *sink_find(struct file_sinks *owner, struct str path)
{
	LIST_EACH (&owner->sinks, node) {
		struct file_sink *s = container_of(node, struct file_sink, node);

		if (str_eq(str_c(s->path), path)) {
			return s;
		}
	}
	return NULL;
}

struct file_sink *file_sink_open(struct file_sinks *owner, struct str path,
				 enum file_sink_mode mode)
{
	struct file_sink *s;

	(void)pthread_mutex_lock(&owner->mtx);
	s = sink_find(owner, path);
	if (!s) {
		s = sink_new(owner, path);
	}
	s->users++;
	s->reopeners += mode == FILE_SINK_REOPEN;
	(void)pthread_mutex_unlock(&owner->mtx);
	return s;
}

void file_sink_close(struct file_sink *sink, enum file_sink_mode mode)
{
	(void)pthread_mutex_lock(&sink->owner->mtx);
	sink->reopeners -= mode == FILE_SINK_REOPEN;
	if (--sink->users == 0) {
		give_work(sink);
	}
	(void)pthread_mutex_unlock(&sink->owner->mtx);
}

void file_sinks_reopen(struct file_sinks *s)
{
	(void)pthread_mutex_lock(&s->mtx);
	LIST_EACH (&s->sinks, node) {
		struct file_sink *sink = container_of(node, struct file_sink, node);

		sink->is_to_reopen = true;
		give_work(sink);
	}
	(void)pthread_mutex_unlock(&s->mtx);
}

static void sink_free(struct file_sink *s)
{
	for (unsigned i = 0; i < s->owner->n_loops; i++) {
		batch_free(s->lanes[i].batch);
	}
	free_batches(&s->file.done);
	mem_free(s->lanes);
	mem_free((char *)(uintptr_t)s->path);
	mem_free(s);
}

struct file_sinks *file_sinks_new(struct loops *loops)
{
	struct file_sinks *s = MEM_NEW(struct file_sinks);
	pthread_condattr_t monotonic;

	s->n_loops = loops->n;
	list_init(&s->sinks);
	list_init(&s->work);
	list_init(&s->full);
	list_init(&s->spares);
	s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ASSERT(s->wake_fd >= 0);
	(void)pthread_mutex_init(&s->mtx, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->ended, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	ASSERT(pthread_create(&s->writer, NULL, writer_main, s) == 0);
	return s;
}

/* A file system that hangs must not keep the process from its end. */
static bool join_writer(struct file_sinks *s)
{
	uint64_t until = clock_mono_ms() + END_MS;
	struct timespec at = {.tv_sec = (time_t)(until / 1000),
			      .tv_nsec = (long)(until % 1000) * 1000000};
	bool has_ended, is_late = false;

	(void)pthread_mutex_lock(&s->mtx);
	while (!s->has_ended && !is_late) {
		is_late = pthread_cond_timedwait(&s->ended, &s->mtx, &at) != 0;
	}
	has_ended = s->has_ended;
	(void)pthread_mutex_unlock(&s->mtx);
	if (has_ended) {
		(void)pthread_join(s->writer, NULL);
		return true;
	}
	log_warn("gateway", "lines of logs were not written before the end");
	return false;
}

void file_sinks_free(struct file_sinks **sinks)
{
	struct file_sinks *s = *sinks;

	if (!s) {
		return;
	}
	LIST_EACH (&s->sinks, node) {
		struct file_sink *sink = container_of(node, struct file_sink, node);

		for (unsigned i = 0; i < s->n_loops; i++) {
			struct lane *lane = &sink->lanes[i];

			if (lane->batch) {
				hand_over(sink, lane->batch);
				lane->batch = NULL;
			}
		}
	}
	(void)pthread_mutex_lock(&s->mtx);
	s->is_stopping = true;
	s->full_until_ms = clock_mono_ms() + FULL_END_MS;
	wake(s);
	(void)pthread_mutex_unlock(&s->mtx);
	if (!join_writer(s)) {
		*sinks = NULL;
		return; /* it still works on them */
	}
	for (struct list_node *node; (node = list_pop(&s->sinks)) != NULL;) {
		sink_free(container_of(node, struct file_sink, node));
	}
	free_batches(&s->spares);
	mem_free(s->polled);
	(void)close(s->wake_fd);
	(void)pthread_cond_destroy(&s->ended);
	(void)pthread_mutex_destroy(&s->mtx);
	mem_free(s);
	*sinks = NULL;
}

uint64_t file_sinks_dropped(const struct file_sinks *s)
{
	struct file_sinks *owner = (struct file_sinks *)(uintptr_t)s;
	uint64_t n = 0;

	(void)pthread_mutex_lock(&owner->mtx);
	LIST_EACH (&owner->sinks, node) {
		n += atomic_load(&container_of(node, struct file_sink, node)->file.lost);
	}
	(void)pthread_mutex_unlock(&owner->mtx);
	return n;
}
