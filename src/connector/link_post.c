/*
 * What server-sent events and long polling share: the client-to-server half, one POST
 * at a time with the records that came up since the one before, and the end of the GET.
 *
 * What the server takes in one POST is not known, and what stands before it may take
 * less. So there is a limit of our own, and whoever finds a POST too large gets less;
 * a record that is too large alone would be in the way for ever: it is dropped.
 */
#include "connector/connector_int.h"

#define POST_BYTES_MAX ((size_t)512 << 10)

static void flush(struct link *l);

/* All that fits, from `next`. */
static void fill(struct link_post *p)
{
	size_t n = records_fit(buf_str(&p->next), p->max ? p->max : POST_BYTES_MAX);
	struct buf swap = p->sending;

	if (n < p->next.n) {
		buf_put(&p->sending, str_slice(buf_str(&p->next), 0, n));
		buf_consume(&p->next, n);
	} else {
		p->sending = p->next;
		p->next = swap;
	}
}

static void empty(struct link_post *p)
{
	if (p->sending.cap > STREAM_HIGH_WATER) {
		buf_free(&p->sending);
	}
	buf_clear(&p->sending);
}

/* Nothing of it was taken: again in smaller pieces. */
static void on_too_large(struct link *l)
{
	struct link_post *p = &l->post;
	struct buf swap = p->sending;

	if (records_fit(buf_str(&swap), 1) == swap.n) {
		link_refused(l, buf_str(&swap));
		return;
	}
	p->max = swap.n / 2;
	buf_put(&swap, buf_str(&p->next));
	p->sending = p->next;
	p->next = swap;
}

static bool is_taken(const struct http_fetch_result *r)
{
	return r->err == ERR_OK && r->status >= 200 && r->status <= 299;
}

static void on_posted(void *arg, const struct http_fetch_result *r)
{
	struct link *l = arg;
	struct link_post *p = &l->post;

	p->fetch = NULL;
	if (r->status == 413 && l->state == LINK_OPEN) {
		on_too_large(l);
	} else if (!is_taken(r)) {
		if (p->when_sent) {
			link_poll_ops.abort(l);
		} else {
			link_lost(l, r->err == ERR_OK ? ERR_IO : r->err, r->status);
		}
		return;
	}
	empty(p);
	if (p->next.n == 0 && l->state == LINK_OPEN) {
		link_drained(l);
	}
	if (p->next.n > 0 || p->when_sent) {
		flush(l);
	}
}

static void post(struct link *l, struct str authorization)
{
	struct link_post *p = &l->post;
	struct http_header headers[LINK_HEADERS];
	struct arena a;

	fill(p);
	arena_init(&a, 0);
	struct http_call_spec spec = link_call(
		l, &a, STR("POST"), authorization,
		(struct http_header){STR("Content-Type"), STR("text/plain;charset=UTF-8")},
		headers);

	spec.body_kind = HTTP_CALL_MEM;
	spec.body = buf_str(&p->sending);
	spec.idle_timeout_ms = LINK_TIMEOUT_MS;
	p->fetch = http_fetch_start(l->c->http, &spec, 4096, on_posted, l);
	arena_fini(&a);
}

static void on_post_grant(struct grant_wait *w, enum err e, struct str authorization)
{
	struct link *l = container_of(w, struct link, post.grant);

	if (e != ERR_OK) {
		link_lost(l, e, 0);
	} else {
		post(l, authorization);
	}
}

static void flush(struct link *l)
{
	struct link_post *p = &l->post;

	if (p->fetch || list_is_linked(&p->grant.node)) {
		return;
	}
	if (p->next.n > 0) {
		grant_get(&l->c->grant, &p->grant, on_post_grant);
	} else if (p->when_sent) {
		void (*fn)(struct link *) = p->when_sent;

		p->when_sent = NULL;
		fn(l);
	}
}

static void on_work(struct later *w)
{
	flush(container_of(w, struct link, post.work));
}

struct buf *link_post_begin(struct link *l)
{
	return &l->post.next;
}

void link_post_send(struct link *l)
{
	loop_later(l->c->loop, &l->post.work, on_work);
}

size_t link_post_pending(const struct link *l)
{
	return l->post.next.n + l->post.sending.n;
}

void link_post_abort(struct link *l)
{
	struct link_post *p = &l->post;

	grant_cancel(&p->grant);
	later_cancel(&p->work);
	if (p->fetch) {
		http_fetch_cancel(p->fetch);
		p->fetch = NULL;
	}
	p->when_sent = NULL;
	p->max = 0;
	buf_free(&p->next);
	buf_free(&p->sending);
	if (l->get) {
		http_call_cancel(l->get);
		l->get = NULL;
	}
}

void link_get_lost(struct link *l, enum err why, int status)
{
	l->get = NULL;
	link_lost(l, why, status);
}

void link_get_failed(struct http_call *call, enum err why)
{
	link_get_lost(http_call_user(call), why, 0);
}
