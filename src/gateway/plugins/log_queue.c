/*
 * Who holds whom: log_queues has the list of queues, a queue a lane for each loop. A lane is
 * touched by its loop only; the counters are read by others. `batch` is what is under way: its
 * records are kept until the answer, as the body that was made of them.
 *
 * A queue counts its users and its busy lanes, those that hold anything or have a call. Who
 * takes the last of both away frees it: lane_settle and log_queue_close, which therefore come
 * last in whatever calls them.
 */
#include "gateway/plugins/log_queue.h"

#include "base/enc.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/client.h"
#include "loop/loop.h"
#include "tls/context.h"

#include <pthread.h>

enum {
	REPORT_MS = 10000,
	OK_BELOW = 400,
	BACKOFF_MAX_SHIFT = 40,
	QUEUE_BYTES = 32 << 20,	  /* of all lanes, where the settings do not say */
	LANE_BYTES_MIN = 1 << 20, /* any record fits */
};

struct log_queue_settings {
	_Atomic unsigned refs;
	struct arena arena;
	struct log_queue_options o;
	struct uri uri;
	struct http_header *headers;
	size_t n_headers;
	struct tls_client *tls; /* NULL = of the client */
};

struct record {
	struct list_node node;
	size_t n;
	char text[];
};

enum lane_state { LANE_IDLE, LANE_COLLECTING, LANE_SENDING, LANE_WAITING };

struct lane {
	struct log_queue *queue;
	struct loop *loop;
	struct log_queue_settings *settings; /* counted */
	enum lane_state state;
	struct timer timer;
	struct list records;
	size_t n_records, n_bytes; /* of `records` */
	struct buf batch;
	size_t n_batch, batch_bytes;
	struct http_call *call;
	int status; /* of the answer */
	unsigned attempts;
	bool is_busy;
	bool is_flushing;
	uint64_t first_attempt_ms;
	uint64_t reported_at_ms, reported;
	_Atomic uint64_t sent, dropped, failures;
} __attribute__((aligned(CACHE_LINE)));

struct log_queue {
	struct list_node node;
	struct log_queues *owner;
	struct guid id;
	struct lane *lanes;   /* by index of the loop */
	unsigned users, busy; /* guarded by the owner's mtx */
};

struct log_queues {
	unsigned n_loops;
	pthread_mutex_t mtx;
	/* guarded by mtx */
	struct list queues;
	struct log_queues_stats gone; /* of those that were freed */
};

/* ---- settings ---- */

static void add_header(struct log_queue_settings *s, struct str name, struct str value)
{
	s->headers[s->n_headers++] = (struct http_header){.name = str_dup(&s->arena, name),
							  .value = str_dup(&s->arena, value)};
}

/* https://name:password@host */
static void add_basic(struct log_queue_settings *s)
{
	struct buf plain = {0}, value = {0};

	if (s->uri.userinfo.n == 0) {
		return;
	}
	if (percent_decode(&plain, s->uri.userinfo) == ERR_OK) {
		buf_puts(&value, "Basic ");
		base64_encode(&value, buf_str(&plain));
		add_header(s, STR("Authorization"), buf_str(&value));
	}
	buf_free(&plain);
	buf_free(&value);
}

static enum err make_tls(struct log_queue_settings *s, struct fault *f)
{
	struct tls_client_options o = {
		.alpn = TLS_ALPN_HTTP1, .insecure = s->o.insecure, .ca = s->o.ca};

	if (!s->uri.tls || (!o.insecure && o.ca.n == 0)) {
		return ERR_OK;
	}
	return tls_client_new(&o, &s->tls, f);
}

enum err log_queue_settings_new(const struct log_queue_options *o, struct log_queue_settings **out,
				struct fault *f)
{
	struct log_queue_settings *s = MEM_NEW(struct log_queue_settings);
	enum err e;

	ASSERT(o->max_batch_size > 0);
	atomic_init(&s->refs, 1);
	arena_init(&s->arena, 0);
	s->o = *o;
	s->o.method = str_dup(&s->arena, o->method);
	e = uri_parse(str_dup(&s->arena, o->url), &s->uri, f);
	if (e != ERR_OK) {
		log_queue_settings_unref(&s);
		return e;
	}
	s->headers = ARENA_NEW_ARRAY(&s->arena, struct http_header, o->n_headers + 2);
	add_header(s, STR("Content-Type"), o->content_type);
	for (size_t i = 0; i < o->n_headers; i++) {
		add_header(s, o->headers[i].name, o->headers[i].value);
	}
	add_basic(s);
	e = make_tls(s, f);
	if (e != ERR_OK) {
		log_queue_settings_unref(&s);
		return e;
	}
	*out = s;
	return ERR_OK;
}

void log_queue_settings_unref(struct log_queue_settings **sp)
{
	struct log_queue_settings *s = *sp;

	*sp = NULL;
	if (s && atomic_fetch_sub(&s->refs, 1) == 1) {
		tls_client_unref(&s->tls);
		arena_fini(&s->arena);
		mem_free(s);
	}
}

/* ---- what is lost ---- */

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* Not for every record: an outage lasts. */
static void report(struct lane *lane, const char *why)
{
	uint64_t now = loop_now_ms(lane->loop), dropped = atomic_load(&lane->dropped);
	char id[GUID_D_LEN];

	if (lane->reported_at_ms != 0 && now - lane->reported_at_ms < REPORT_MS) {
		return;
	}
	guid_d(&lane->queue->id, id);
	log_warn("gateway", "cannot send log records", LOG_STR("plugin", str_of(id, GUID_D_LEN)),
		 LOG_CSTR("error", why), LOG_INT("status", lane->status),
		 LOG_INT("records_dropped", dropped - lane->reported));
	lane->reported_at_ms = MAX(now, 1);
	lane->reported = dropped;
}

static void record_free(struct lane *lane, struct record *r)
{
	lane->n_records--;
	lane->n_bytes -= r->n;
	mem_free(r);
}

static struct record *oldest(const struct lane *lane)
{
	struct list_node *n = list_first(&lane->records);

	return n ? container_of(n, struct record, node) : NULL;
}

static void drop_oldest(struct lane *lane)
{
	struct record *r = oldest(lane);

	list_remove(&r->node);
	record_free(lane, r);
	count(&lane->dropped, 1);
	report(lane, "the queue is full");
}

/* By default one client with long requests must not fill the memory while the server is away. */
static size_t max_bytes(const struct lane *lane)
{
	size_t own = lane->settings->o.max_bytes;

	return own > 0 ? own : MAX(QUEUE_BYTES / lane->queue->owner->n_loops, LANE_BYTES_MIN);
}

static bool fits(const struct lane *lane, size_t n)
{
	return lane->n_records + lane->n_batch < lane->settings->o.max_entries &&
	       lane->n_bytes + lane->batch_bytes + n <= max_bytes(lane);
}

static bool make_room(struct lane *lane, size_t n)
{
	while (!fits(lane, n) && lane->n_records > 0) {
		drop_oldest(lane);
	}
	if (fits(lane, n)) {
		return true;
	}
	count(&lane->dropped, 1);
	report(lane, "the queue is full");
	return false;
}

/* ---- sending ---- */

static void advance(struct lane *lane);
static void lane_settle(struct lane *lane);
static void on_timer(struct timer *t);

static void wait_for(struct lane *lane, enum lane_state state, uint64_t ms)
{
	lane->state = state;
	timer_start(lane->loop, &lane->timer, ms, on_timer);
}

static void fill_batch(struct lane *lane)
{
	const struct log_queue_options *o = &lane->settings->o;
	bool is_array = o->max_batch_size > 1;
	struct record *r;

	while (lane->n_batch < o->max_batch_size && (r = oldest(lane)) != NULL) {
		if (is_array) {
			buf_putc(&lane->batch, lane->n_batch == 0 ? '[' : ',');
		}
		buf_append(&lane->batch, r->text, r->n);
		lane->n_batch++;
		lane->batch_bytes += r->n;
		list_remove(&r->node);
		record_free(lane, r);
	}
	if (is_array) {
		buf_putc(&lane->batch, ']');
	}
	lane->attempts = 0;
	lane->first_attempt_ms = loop_now_ms(lane->loop);
}

static void end_batch(struct lane *lane, _Atomic uint64_t *counter)
{
	count(counter, lane->n_batch);
	buf_free(&lane->batch);
	lane->n_batch = 0;
	lane->batch_bytes = 0;
	lane->state = LANE_IDLE;
}

static uint64_t backoff_ms(const struct lane *lane)
{
	const struct log_queue_options *o = &lane->settings->o;
	uint64_t shift = MIN(lane->attempts, BACKOFF_MAX_SHIFT);

	if (o->initial_retry_delay_ms > o->max_retry_delay_ms >> shift) {
		return o->max_retry_delay_ms;
	}
	return o->initial_retry_delay_ms << shift;
}

static void on_failure(struct lane *lane, const char *why)
{
	uint64_t passed = loop_now_ms(lane->loop) - lane->first_attempt_ms;

	count(&lane->failures, 1);
	if (passed >= lane->settings->o.max_retry_time_ms) {
		end_batch(lane, &lane->dropped);
		report(lane, why);
		advance(lane);
		lane_settle(lane);
		return;
	}
	report(lane, why);
	wait_for(lane, LANE_WAITING, MAX(backoff_ms(lane), 1));
	lane->attempts++;
}

static void on_head(struct http_call *c, const struct http_response *r)
{
	struct lane *lane = http_call_user(c);

	lane->status = r->status;
}

static void on_data(struct http_call *c, struct str data)
{
	(void)c;
	(void)data;
}

static void on_end(struct http_call *c)
{
	struct lane *lane = http_call_user(c);

	lane->call = NULL;
	if (lane->status >= OK_BELOW) {
		on_failure(lane, "the answer is an error");
		return;
	}
	end_batch(lane, &lane->sent);
	advance(lane);
	lane_settle(lane);
}

static void on_fail(struct http_call *c, enum err why)
{
	struct lane *lane = http_call_user(c);

	lane->call = NULL;
	lane->status = 0;
	on_failure(lane, err_name(why));
}

static const struct http_call_handler events = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_fail = on_fail,
};

static void send_batch(struct lane *lane)
{
	const struct log_queue_settings *s = lane->settings;
	struct http_call_spec spec = {
		.uri = s->uri,
		.method = s->o.method,
		.headers = s->headers,
		.n_headers = s->n_headers,
		.body_kind = HTTP_CALL_MEM,
		.body = buf_str(&lane->batch),
		.timeout_ms = s->o.timeout_ms,
		.connect_timeout_ms = s->o.timeout_ms,
		.idle_timeout_ms = s->o.timeout_ms,
		.close = !s->o.keep_alive,
		.tls = s->tls,
	};

	lane->state = LANE_SENDING;
	lane->status = 0;
	lane->call = http_call_start(http_client_of(lane->loop), &spec, &events, lane);
}

/* What an idle or collecting lane is to do with what it has. */
static void advance(struct lane *lane)
{
	const struct log_queue_options *o = &lane->settings->o;

	if (lane->n_records == 0) {
		return;
	}
	if (lane->n_records >= o->max_batch_size || lane->is_flushing) {
		timer_pause(&lane->timer);
		fill_batch(lane);
		send_batch(lane);
	} else if (lane->state == LANE_IDLE) {
		wait_for(lane, LANE_COLLECTING, o->max_coalescing_delay_ms);
	}
}

static void on_timer(struct timer *t)
{
	struct lane *lane = container_of(t, struct lane, timer);

	if (lane->state == LANE_COLLECTING) {
		fill_batch(lane);
	}
	send_batch(lane);
}

/* ---- putting ---- */

static void take_settings(struct lane *lane, struct log_queue_settings *s)
{
	if (lane->settings != s) {
		atomic_fetch_add(&s->refs, 1);
		log_queue_settings_unref(&lane->settings);
		lane->settings = s;
	}
}

void log_queue_put(struct log_queue *q, struct loop *l, struct log_queue_settings *settings,
		   struct str text)
{
	struct lane *lane = &q->lanes[loop_index(l)];
	struct record *r;

	lane->loop = l;
	take_settings(lane, settings);
	if (!make_room(lane, text.n)) {
		lane_settle(lane);
		return;
	}
	r = mem_alloc(sizeof(*r) + text.n);
	*r = (struct record){.n = text.n};
	memcpy(r->text, text.p, text.n);
	list_push(&lane->records, &r->node);
	lane->n_records++;
	lane->n_bytes += text.n;
	if (lane->state == LANE_IDLE || lane->state == LANE_COLLECTING) {
		advance(lane);
	}
	lane_settle(lane);
}

/* ---- queues ---- */

struct log_queues *log_queues_new(unsigned n_loops)
{
	struct log_queues *s = MEM_NEW(struct log_queues);

	s->n_loops = n_loops;
	list_init(&s->queues);
	(void)pthread_mutex_init(&s->mtx, NULL);
	return s;
}

static struct log_queue *queue_find(struct log_queues *s, const struct guid *id)
{
	LIST_EACH (&s->queues, node) {
		struct log_queue *q = container_of(node, struct log_queue, node);

		if (guid_eq(&q->id, id)) {
			return q;
		}
	}
	return NULL;
}

static struct log_queue *queue_new(struct log_queues *s, const struct guid *id)
{
	struct log_queue *q = MEM_NEW(struct log_queue);

	q->owner = s;
	q->id = *id;
	q->lanes = MEM_NEW_LINES(struct lane, s->n_loops);
	for (unsigned i = 0; i < s->n_loops; i++) {
		q->lanes[i].queue = q;
		list_init(&q->lanes[i].records);
	}
	list_push(&s->queues, &q->node);
	return q;
}

static uint64_t queue_free(struct log_queue *q);

/* With the owner's mutex held. */
static void free_if_unused(struct log_queue *q)
{
	if (q->users == 0 && q->busy == 0) {
		list_remove(&q->node);
		(void)queue_free(q);
	}
}

/* Last of all: the queue may be gone after it. */
static void lane_settle(struct lane *lane)
{
	struct log_queues *s = lane->queue->owner;
	bool busy = lane->n_records + lane->n_batch > 0 || lane->call;

	if (busy == lane->is_busy) {
		return;
	}
	lane->is_busy = busy;
	if (!busy) {
		lane->state = LANE_IDLE;
		timer_stop(lane->loop, &lane->timer);
	}
	(void)pthread_mutex_lock(&s->mtx);
	if (busy) {
		lane->queue->busy++;
	} else {
		lane->queue->busy--;
		free_if_unused(lane->queue);
	}
	(void)pthread_mutex_unlock(&s->mtx);
}

struct log_queue *log_queue_open(struct log_queues *s, const struct guid *id)
{
	struct log_queue *q;

	(void)pthread_mutex_lock(&s->mtx);
	q = queue_find(s, id);
	if (!q) {
		q = queue_new(s, id);
	}
	q->users++;
	(void)pthread_mutex_unlock(&s->mtx);
	return q;
}

void log_queue_close(struct log_queue **qp)
{
	struct log_queue *q = *qp;
	struct log_queues *s;

	*qp = NULL;
	if (!q) {
		return;
	}
	s = q->owner;
	(void)pthread_mutex_lock(&s->mtx);
	q->users--;
	free_if_unused(q);
	(void)pthread_mutex_unlock(&s->mtx);
}

/* ---- the end ---- */

static bool lane_flush(struct lane *lane)
{
	bool is_first = !lane->is_flushing;

	lane->is_flushing = true;
	if (lane->state == LANE_COLLECTING || (is_first && lane->state == LANE_WAITING)) {
		timer_pause(&lane->timer);
		on_timer(&lane->timer);
	}
	return !lane->is_busy;
}

bool log_queues_flush(struct log_queues *s, struct loop *l)
{
	bool done = true;

	(void)pthread_mutex_lock(&s->mtx);
	LIST_EACH (&s->queues, node) {
		const struct log_queue *q = container_of(node, struct log_queue, node);

		done = lane_flush(&q->lanes[loop_index(l)]) && done;
	}
	(void)pthread_mutex_unlock(&s->mtx);
	return done;
}

/* The calls went with the loop's client, the timers with the loop. */
static uint64_t lane_fini(struct lane *lane)
{
	uint64_t lost = lane->n_records + lane->n_batch;

	while (lane->n_records > 0) {
		struct record *r = oldest(lane);

		list_remove(&r->node);
		record_free(lane, r);
	}
	buf_free(&lane->batch);
	log_queue_settings_unref(&lane->settings);
	return lost;
}

static void add_counters(const struct log_queue *q, struct log_queues_stats *sum)
{
	for (unsigned i = 0; i < q->owner->n_loops; i++) {
		sum->sent += atomic_load(&q->lanes[i].sent);
		sum->dropped += atomic_load(&q->lanes[i].dropped);
		sum->failures += atomic_load(&q->lanes[i].failures);
	}
}

/* Returns how many records it still had. */
static uint64_t queue_free(struct log_queue *q)
{
	uint64_t lost = 0;

	add_counters(q, &q->owner->gone);
	for (unsigned i = 0; i < q->owner->n_loops; i++) {
		lost += lane_fini(&q->lanes[i]);
	}
	mem_free(q->lanes);
	mem_free(q);
	return lost;
}

void log_queues_free(struct log_queues **sp)
{
	struct log_queues *s = *sp;
	uint64_t lost = 0;

	if (!s) {
		return;
	}
	*sp = NULL;
	for (struct list_node *node; (node = list_pop(&s->queues)) != NULL;) {
		lost += queue_free(container_of(node, struct log_queue, node));
	}
	if (lost > 0) {
		log_warn("gateway", "log records were not sent before the end",
			 LOG_INT("records", lost));
	}
	(void)pthread_mutex_destroy(&s->mtx);
	mem_free(s);
}

void log_queues_stats(struct log_queues *s, struct log_queues_stats *out)
{
	struct log_queues_stats sum;

	(void)pthread_mutex_lock(&s->mtx);
	sum = s->gone;
	LIST_EACH (&s->queues, node) {
		sum.queues++;
		add_counters(container_of(node, struct log_queue, node), &sum);
	}
	(void)pthread_mutex_unlock(&s->mtx);
	*out = sum;
}
