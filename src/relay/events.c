#include "relay/events.h"

#include "base/arena.h"
#include "base/mem.h"

enum {
	FLUSH_MS = 1000,
	/* Lengths of the columns (RelayServer's schema). */
	URL_MAX = 1000,
	TARGET_MAX = 100,
	METHOD_MAX = 10,
};

struct relay_event_batch {
	struct job job;
	struct relay_event_log *log;
	const struct relay_event_ops *ops;
	struct arena arena;
	size_t lost; /* by the writer */
	size_t n;
	struct relay_event v[RELAY_EVENT_BATCH];
};

static void batch_free(struct relay_event_batch *b)
{
	arena_fini(&b->arena);
	mem_free(b);
}

static void batch_run(struct job *j, void *worker)
{
	struct relay_event_batch *b = container_of(j, struct relay_event_batch, job);

	b->lost = b->ops->write(b->ops, worker, b->v, b->n);
}

static void count_dropped(struct relay_event_log *log, size_t n)
{
	(void)atomic_fetch_add_explicit(log->dropped, n, memory_order_relaxed);
}

static void batch_done(struct job *j)
{
	struct relay_event_batch *b = container_of(j, struct relay_event_batch, job);

	b->log->in_flight--;
	count_dropped(b->log, b->job.expired ? b->n : b->lost);
	batch_free(b);
}

void relay_event_log_init(struct relay_event_log *log, struct loop *loop, struct pool *pool,
			  const struct relay_event_ops *ops, _Atomic uint64_t *dropped)
{
	*log = (struct relay_event_log){.loop = loop, .pool = pool, .ops = ops, .dropped = dropped};
}

void relay_event_flush(struct relay_event_log *log)
{
	struct relay_event_batch *b = log->batch;

	timer_pause(&log->timer);
	if (!b) {
		return;
	}
	log->batch = NULL;
	b->job = (struct job){
		.run = batch_run, .done = batch_done, .home = log->loop, .writes = true};
	if (log->in_flight >= RELAY_EVENT_BATCHES_MAX ||
	    pool_submit(log->pool, &b->job) != ERR_OK) {
		count_dropped(log, b->n);
		batch_free(b);
		return;
	}
	log->in_flight++;
}

static void on_due(struct timer *t)
{
	relay_event_flush(container_of(t, struct relay_event_log, timer));
}

static struct relay_event_batch *batch_of(struct relay_event_log *log)
{
	if (!log->batch) {
		log->batch = MEM_NEW(struct relay_event_batch);
		log->batch->log = log;
		log->batch->ops = log->ops;
		arena_init(&log->batch->arena, 0);
		timer_start(log->loop, &log->timer, FLUSH_MS, on_due);
	}
	return log->batch;
}

void relay_event_put(struct relay_event_log *log, const struct relay_event *e)
{
	if (!log->ops || log->closed) {
		return;
	}
	struct relay_event_batch *b = batch_of(log);
	struct relay_event *to = &b->v[b->n++];
	struct arena *a = &b->arena;

	*to = *e;
	to->tenant = str_dup(a, e->tenant);
	to->connection_id = str_dup(a, e->connection_id);
	to->remote_ip = str_dup(a, e->remote_ip);
	to->target = str_dup(a, str_slice(e->target, 0, TARGET_MAX));
	to->url = str_dup(a, str_slice(e->url, 0, URL_MAX));
	to->method = str_dup(a, str_slice(e->method, 0, METHOD_MAX));
	if (b->n == RELAY_EVENT_BATCH) {
		relay_event_flush(log);
	}
}

void relay_event_log_close(struct relay_event_log *log)
{
	if (log->closed) {
		return;
	}
	if (log->ops) {
		relay_event_flush(log);
	}
	timer_stop(log->loop, &log->timer);
	log->closed = true;
}
