/*
 * log - the ring between callers and the writer thread, see log.h
 *
 * Callers copy whole lines into the ring under the mutex; the writer takes what
 * is there, writes it without the mutex and only then gives the room back. So
 * the mutex is never held over I/O and a slow stderr costs lines, not time.
 * Until log_start and after log_stop lines are written by the caller.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/log_int.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { RING_BYTES = 1 << 20 };

static const char *const level_names[] = {"trace", "debug", "info", "warn", "error", "off"};

static atomic_int level_min = LOG_INFO;
static atomic_uint_least64_t dropped;

static struct {
	pthread_mutex_t mtx;
	pthread_cond_t wake;
	/* guarded by mtx */
	char *ring; /* NULL = no writer: callers write */
	size_t head, n;
	bool is_stopping;
	enum log_format format;
	/* log_start and log_stop only */
	pthread_t writer;
} sink = {.mtx = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

/* Gives up on errors: there is nowhere left to complain to. */
static void write_stderr(const char *p, size_t n)
{
	struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};

	while (n > 0) {
		ssize_t done = write(STDERR_FILENO, p, n);

		if (done > 0) {
			p += done;
			n -= (size_t)done;
		} else if (errno == EAGAIN) {
			(void)poll(&ready, 1, -1);
		} else if (errno != EINTR) {
			return;
		}
	}
}

/* Called by the writer once a span: one line, however many were lost. */
static void report_dropped(enum log_format format, uint64_t *reported)
{
	uint64_t total = log_dropped();
	struct log_field field = LOG_INT("count", total - *reported);
	struct log_event e = {.wall_ms = clock_wall_ms(),
			      .level = LOG_WARN,
			      .role = "log",
			      .message = "lines dropped, stderr is too slow",
			      .fields = &field,
			      .n_fields = 1};
	struct log_line line;

	if (total != *reported) {
		*reported = total;
		log_format_line(format, &e, &line);
		write_stderr(line.p, line.n);
	}
}

static void *writer_main(void *arg)
{
	uint64_t reported = log_dropped();

	(void)arg;
	(void)pthread_mutex_lock(&sink.mtx);
	for (;;) {
		size_t n = MIN(sink.n, RING_BYTES - sink.head);
		enum log_format format = sink.format;

		if (n == 0 && sink.is_stopping) {
			break;
		}
		if (n == 0) {
			(void)pthread_cond_wait(&sink.wake, &sink.mtx);
			continue;
		}
		(void)pthread_mutex_unlock(&sink.mtx);
		write_stderr(sink.ring + sink.head, n);
		report_dropped(format, &reported);
		(void)pthread_mutex_lock(&sink.mtx);
		sink.n -= n;
		/* Empty: at the front again, so that a quiet log touches one page and not all. */
		sink.head = sink.n == 0 ? 0 : (sink.head + n) % RING_BYTES;
	}
	(void)pthread_mutex_unlock(&sink.mtx);
	report_dropped(sink.format, &reported);
	return NULL;
}

void log_start(enum log_level min_level, enum log_format format)
{
	sigset_t all, former;

	ASSERT(!sink.ring);
	log_set_level(min_level);
	sink.head = sink.n = 0;
	sink.is_stopping = false;
	sink.format = format;
	sink.ring = mem_alloc(RING_BYTES);

	/* Signals are for the threads that wait for them. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &former);
	ASSERT(pthread_create(&sink.writer, NULL, writer_main, NULL) == 0);
	(void)pthread_sigmask(SIG_SETMASK, &former, NULL);
}

void log_stop(void)
{
	if (!sink.ring) {
		return;
	}
	(void)pthread_mutex_lock(&sink.mtx);
	sink.is_stopping = true;
	(void)pthread_cond_signal(&sink.wake);
	(void)pthread_mutex_unlock(&sink.mtx);
	(void)pthread_join(sink.writer, NULL);

	(void)pthread_mutex_lock(&sink.mtx);
	mem_free(sink.ring);
	sink.ring = NULL;
	(void)pthread_mutex_unlock(&sink.mtx);
}

void log_set_level(enum log_level min_level)
{
	atomic_store_explicit(&level_min, (int)min_level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&level_min, memory_order_relaxed);
}

bool log_is_on(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&level_min, memory_order_relaxed);
}

uint64_t log_dropped(void)
{
	return atomic_load_explicit(&dropped, memory_order_relaxed);
}

bool log_level_parse(struct str s, enum log_level *out)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (str_eq_nocase(s, str_c(level_names[i]))) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* sink.mtx is held and there is room. */
static void ring_put(const char *p, size_t n)
{
	size_t tail = (sink.head + sink.n) % RING_BYTES;
	size_t first = MIN(n, RING_BYTES - tail);

	memcpy(sink.ring + tail, p, first);
	memcpy(sink.ring, p + first, n - first);
	sink.n += n;
}

/* False when there is no writer to take the line. */
static bool hand_over(const struct log_line *line)
{
	bool has_writer;

	(void)pthread_mutex_lock(&sink.mtx);
	has_writer = sink.ring && !sink.is_stopping;
	if (has_writer && line->n > RING_BYTES - sink.n) {
		(void)atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
	} else if (has_writer) {
		ring_put(line->p, line->n);
		if (sink.n == line->n) {
			(void)pthread_cond_signal(&sink.wake);
		}
	}
	(void)pthread_mutex_unlock(&sink.mtx);
	return has_writer;
}

void log_write(enum log_level level, const char *role, const char *message,
	       const struct log_field *fields, size_t n_fields)
{
	struct log_event e = {.wall_ms = clock_wall_ms(),
			      .level = level,
			      .role = role,
			      .message = message,
			      .fields = fields,
			      .n_fields = n_fields};
	struct log_line line;

	/* Set by log_start, before other threads exist. */
	log_format_line(sink.format, &e, &line);
	if (!hand_over(&line)) {
		write_stderr(line.p, line.n);
	}
}
