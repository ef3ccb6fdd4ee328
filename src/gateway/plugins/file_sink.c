/*
 * Who holds whom: file_sinks has the list of sinks, and the writer thread. A sink has a lane
 * for each loop, and a lane the batch that it fills. Full ones are on the writer's queue
 * (guarded by mtx) and point to their sink, which lives as long as file_sinks. Batches that are
 * written go to lanes again: growing a fresh one costs more than writing its lines.
 */
#include "gateway/plugins/file_sink.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

enum {
	BATCH_BYTES = 64 << 10,
	BATCH_MS = 100,
	WAITING_MAX = 8 << 20, /* of one path */
	REPORT_MS = 10000,
	FILE_MODE = 0644,
	END_MS = 5000,
	SPARE_BYTES = 256 << 10, /* one that held longer lines is not kept */
};

struct lane {
	struct file_sink *sink;
	struct timer timer;
	struct batch *batch; /* NULL = no line since the last one: an idle lane holds no memory */
} __attribute__((aligned(64)));

struct file_sink {
	struct list_node node;
	struct file_sinks *owner;
	const char *path;
	struct lane *lanes;	 /* by index of the loop */
	_Atomic int64_t waiting; /* bytes with the writer */
	_Atomic uint64_t dropped;
	/* guarded by owner->mtx */
	unsigned users;
	bool reopen;
	/* writer only */
	int fd;
	uint64_t reported_at_ms, reported;
	int last_error;
};

/* One batch for the writer; without lines: look whether the file is to be closed. */
struct batch {
	struct list_node node;
	struct file_sink *sink;
	struct buf lines;
	uint64_t n_lines;
};

struct file_sinks {
	unsigned n_loops;
	pthread_t writer;
	pthread_mutex_t mtx;
	pthread_cond_t wake;
	/* guarded by mtx */
	struct list sinks;
	struct list queue;
	struct list spares; /* empty batches, at most one a loop */
	unsigned n_spares;
	bool is_stopping;
	pthread_cond_t ended; /* of the writer */
	bool has_ended;
};

/* ---- the writer ---- */

/* Not for every batch: a disk stays full for long. */
static void report(struct file_sink *s)
{
	uint64_t now = clock_mono_ms(), dropped = atomic_load(&s->dropped);

	if ((s->last_error == 0 && dropped == s->reported) ||
	    (s->reported_at_ms != 0 && now - s->reported_at_ms < REPORT_MS)) {
		return;
	}
	log_error("gateway", "cannot write log file", LOG_CSTR("path", s->path),
		  LOG_CSTR("error", s->last_error ? strerrordesc_np(s->last_error) : "too slow"),
		  LOG_INT("lines_dropped", dropped - s->reported));
	s->reported_at_ms = MAX(now, 1);
	s->reported = dropped;
	s->last_error = 0;
}

static bool open_file(struct file_sink *s)
{
	if (s->fd < 0) {
		/* O_NONBLOCK: a FIFO without a reader must not hold up the other files. */
		s->fd = open(s->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK,
			     FILE_MODE);
	}
	if (s->fd < 0) {
		s->last_error = errno;
	}
	return s->fd >= 0;
}

static void close_file(struct file_sink *s)
{
	if (s->fd >= 0) {
		(void)close(s->fd);
		s->fd = -1;
	}
}

static bool write_all(struct file_sink *s, struct str data)
{
	while (data.n > 0) {
		ssize_t n = write(s->fd, data.p, data.n);

		if (n >= 0) {
			data = str_skip(data, (size_t)n);
		} else if (errno != EINTR) {
			s->last_error = errno;
			return false;
		}
	}
	return true;
}

static void write_batch(struct batch *b, bool is_reopening, bool is_unused)
{
	struct file_sink *s = b->sink;

	if (b->lines.n > 0) {
		if (is_reopening) {
			close_file(s);
		}
		if (!open_file(s) || !write_all(s, buf_str(&b->lines))) {
			atomic_fetch_add(&s->dropped, b->n_lines);
			close_file(s);
		}
		atomic_fetch_sub(&s->waiting, (int64_t)b->lines.n);
	}
	if (is_unused) {
		close_file(s);
	}
	report(s);
}

static void batch_free(struct batch *b)
{
	if (b) {
		buf_free(&b->lines);
		mem_free(b);
	}
}

/* With the mutex. */
static void give_back(struct file_sinks *s, struct batch *b)
{
	if (s->n_spares == s->n_loops || b->lines.n < BATCH_BYTES || b->lines.cap > SPARE_BYTES) {
		batch_free(b);
		return;
	}
	buf_clear(&b->lines);
	b->n_lines = 0;
	s->n_spares++;
	list_push(&s->spares, &b->node);
}

/* With the mutex. */
static struct batch *take_spare(struct file_sinks *s)
{
	struct list_node *node = list_pop(&s->spares);

	if (!node) {
		return NULL;
	}
	s->n_spares--;
	return container_of(node, struct batch, node);
}

static void *writer_main(void *arg)
{
	struct file_sinks *s = arg;

	(void)pthread_mutex_lock(&s->mtx);
	for (;;) {
		struct list_node *node = list_pop(&s->queue);
		struct batch *b;
		bool is_reopening, is_unused;

		if (!node) {
			if (s->is_stopping) {
				break;
			}
			(void)pthread_cond_wait(&s->wake, &s->mtx);
			continue;
		}
		b = container_of(node, struct batch, node);
		is_reopening = b->sink->reopen;
		is_unused = b->sink->users == 0;
		(void)pthread_mutex_unlock(&s->mtx);
		write_batch(b, is_reopening, is_unused);
		(void)pthread_mutex_lock(&s->mtx);
		give_back(s, b);
	}
	s->has_ended = true;
	(void)pthread_cond_signal(&s->ended);
	(void)pthread_mutex_unlock(&s->mtx);
	return NULL;
}

/* The mutex is held for a few assignments, never over I/O. */
static void hand_over(struct file_sink *s, struct batch *b)
{
	struct file_sinks *owner = s->owner;

	b->sink = s;
	atomic_fetch_add(&s->waiting, (int64_t)b->lines.n);
	(void)pthread_mutex_lock(&owner->mtx);
	list_push(&owner->queue, &b->node);
	(void)pthread_cond_signal(&owner->wake);
	(void)pthread_mutex_unlock(&owner->mtx);
}

/* ---- lanes ---- */

static void flush_lane(struct lane *lane)
{
	struct batch *b = lane->batch;

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

static struct batch *batch_for(struct file_sinks *s)
{
	struct batch *b;

	(void)pthread_mutex_lock(&s->mtx);
	b = take_spare(s);
	(void)pthread_mutex_unlock(&s->mtx);
	return b ? b : MEM_NEW(struct batch);
}

struct buf *file_sink_begin_line(struct file_sink *sink, struct loop *l)
{
	struct lane *lane = &sink->lanes[loop_index(l)];

	if (atomic_load_explicit(&sink->waiting, memory_order_relaxed) > WAITING_MAX) {
		atomic_fetch_add_explicit(&sink->dropped, 1, memory_order_relaxed);
		return NULL;
	}
	if (!lane->batch) {
		lane->batch = batch_for(sink->owner);
	}
	return &lane->batch->lines;
}

void file_sink_end_line(struct file_sink *sink, struct loop *l)
{
	struct lane *lane = &sink->lanes[loop_index(l)];
	struct batch *b = lane->batch;

	buf_putc(&b->lines, '\n');
	if (b->n_lines++ == 0) {
		timer_start(l, &lane->timer, BATCH_MS, on_lane_timer);
	}
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
	s->fd = -1;
	s->lanes = MEM_NEW_ARRAY(struct lane, n);
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
	s->reopen = mode == FILE_SINK_REOPEN;
	(void)pthread_mutex_unlock(&owner->mtx);
	return s;
}

void file_sink_close(struct file_sink *sink)
{
	bool is_last;

	(void)pthread_mutex_lock(&sink->owner->mtx);
	is_last = --sink->users == 0;
	(void)pthread_mutex_unlock(&sink->owner->mtx);
	if (is_last) {
		hand_over(sink, MEM_NEW(struct batch));
	}
}

static void sink_free(struct file_sink *s)
{
	for (unsigned i = 0; i < s->owner->n_loops; i++) {
		batch_free(s->lanes[i].batch);
	}
	close_file(s);
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
	list_init(&s->queue);
	list_init(&s->spares);
	(void)pthread_mutex_init(&s->mtx, NULL);
	(void)pthread_cond_init(&s->wake, NULL);
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
	(void)pthread_cond_signal(&s->wake);
	(void)pthread_mutex_unlock(&s->mtx);
	if (!join_writer(s)) {
		*sinks = NULL;
		return; /* it still works on them */
	}
	for (struct list_node *node; (node = list_pop(&s->sinks)) != NULL;) {
		sink_free(container_of(node, struct file_sink, node));
	}
	for (struct batch *b; (b = take_spare(s)) != NULL;) {
		batch_free(b);
	}
	(void)pthread_cond_destroy(&s->wake);
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
		n += atomic_load(&container_of(node, struct file_sink, node)->dropped);
	}
	(void)pthread_mutex_unlock(&owner->mtx);
	return n;
}
