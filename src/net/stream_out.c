/* The output side of a stream: what is queued, and sending it once a turn. */
#include "base/mem.h"
#include "net/stream_int.h"

#include <unistd.h>

#define SEND_PER_TURN ((size_t)1 << 20)
#define COPY_BELOW 4096
#define DIRECT_MIN ((size_t)16 << 10)
#define PIECES 16

enum seg_kind { SEG_BUF, SEG_MEM, SEG_FILE };

struct seg {
	struct list_node node;
	enum seg_kind kind;
	struct buf buf; /* SEG_BUF */
	struct str mem; /* SEG_MEM: what is left */
	void (*release)(void *arg);
	void *arg;
	int fd; /* SEG_FILE */
	int64_t offset;
	uint64_t left;
};

static struct seg *seg_new(struct stream *s, enum seg_kind kind)
{
	struct seg *g = MEM_NEW(struct seg);

	g->kind = kind;
	g->fd = -1;
	list_push(&s->segs, &g->node);
	return g;
}

static void seg_free(struct seg *g)
{
	list_remove(&g->node);
	buf_free(&g->buf);
	if (g->release) {
		g->release(g->arg);
	}
	if (g->fd >= 0) {
		(void)close(g->fd);
	}
	mem_free(g);
}

static uint64_t seg_left(const struct seg *g)
{
	switch (g->kind) {
	case SEG_BUF:
		return g->buf.n;
	case SEG_MEM:
		return g->mem.n;
	case SEG_FILE:
		return g->left;
	}
	return 0;
}

static struct seg *first_seg(const struct stream *s)
{
	return list_is_empty(&s->segs) ? NULL : container_of(s->segs.head.next, struct seg, node);
}

/* ---- queueing ---- */

struct buf *stream_out(struct stream *s)
{
	struct buf *b = &s->out;

	if (!list_is_empty(&s->segs)) {
		struct seg *last = container_of(s->segs.head.prev, struct seg, node);

		b = last->kind == SEG_BUF ? &last->buf : &seg_new(s, SEG_BUF)->buf;
	}
	if (!b->p) {
		if (s->loop) {
			loop_buf_get(s->loop, b);
		} else {
			(void)buf_reserve(b, LOOP_BUF_SIZE);
		}
	}
	return b;
}

static void on_flush(struct later *w)
{
	struct stream *s = container_of(w, struct stream, flush);

	if (!s->write_blocked) {
		stream_send_queued(s);
	}
}

void stream_flush(struct stream *s)
{
	if (s->dead) {
		return;
	}
	if (s->write_broken) {
		stream_drop_output(s);
		return;
	}
	if (!s->was_high && stream_pending(s) >= STREAM_HIGH_WATER) {
		s->was_high = true;
	}
	if (s->loop && !s->write_blocked && !s->connecting) {
		loop_flush_later(s->loop, &s->flush, on_flush);
	}
}

static bool has_share_left(struct stream *s)
{
	stream_see_turn(s);
	return s->sent < SEND_PER_TURN;
}

static void count_sent(struct stream *s, ptrdiff_t n)
{
	s->bytes_out += (uint64_t)n;
	s->sent += (uint32_t)MIN((size_t)n, SEND_PER_TURN);
}

/* Nobody waits for a word about what is queued, and the transport has not refused any of it. */
static bool may_send_now(struct stream *s)
{
	return s->loop && !s->connecting && !s->closing && !s->write_blocked && !s->write_broken &&
	       !s->was_high && list_is_empty(&s->segs) && has_share_left(s);
}

/*
 * What is long goes straight to the transport, behind what is queued, while it is in the cache:
 * a copy until the end of the turn costs more than a system call. Returns how much of it is gone.
 * A failure shows again when the rest is sent, where the owner may be told.
 */
static size_t send_now(struct stream *s, struct str data)
{
	struct str v[2] = {buf_str(&s->out), data};
	size_t queued = s->out.n, part;
	ptrdiff_t sent = s->ops->sendv(s, queued > 0 ? v : v + 1, queued > 0 ? 2 : 1);

	if (sent == -1) {
		stream_block(s);
	}
	if (sent <= 0) {
		return 0;
	}
	count_sent(s, sent);
	timer_pause(&s->timer);
	part = MIN((size_t)sent, queued);
	buf_consume(&s->out, part);
	if (s->out.n == 0) {
		loop_buf_put(s->loop, &s->out);
	}
	if ((size_t)sent == queued + data.n) {
		s->write_by_ms = 0;
	}
	return (size_t)sent - part;
}

void stream_write(struct stream *s, struct str data)
{
	if (s->dead) {
		return;
	}
	if (data.n >= DIRECT_MIN && may_send_now(s)) {
		data = str_skip(data, send_now(s, data));
	}
	if (data.n > 0) {
		buf_put(stream_out(s), data);
		stream_flush(s);
	}
}

void stream_write_mem(struct stream *s, struct str data, void (*release)(void *arg), void *arg)
{
	if (s->dead || data.n < COPY_BELOW) {
		stream_write(s, data);
		if (release) {
			release(arg);
		}
		return;
	}
	struct seg *g = seg_new(s, SEG_MEM);

	g->mem = data;
	g->release = release;
	g->arg = arg;
	stream_flush(s);
}

void stream_write_file(struct stream *s, int fd, int64_t offset, uint64_t n,
		       void (*release)(void *arg), void *arg)
{
	if (s->dead || n == 0) {
		(void)close(fd);
		if (release) {
			release(arg);
		}
		return;
	}
	struct seg *g = seg_new(s, SEG_FILE);

	g->fd = fd;
	g->offset = offset;
	g->left = n;
	g->release = release;
	g->arg = arg;
	stream_flush(s);
}

size_t stream_pending(const struct stream *s)
{
	size_t n = s->out.n;

	LIST_EACH (&s->segs, it) {
		n += seg_left(container_of(it, struct seg, node));
	}
	return n;
}

void stream_drop_output(struct stream *s)
{
	struct seg *g;

	if (s->loop) {
		loop_buf_put(s->loop, &s->out);
	} else {
		buf_free(&s->out);
	}
	while ((g = first_seg(s))) {
		seg_free(g);
	}
}

/* ---- sending ---- */

static unsigned gather(const struct stream *s, struct str v[PIECES])
{
	unsigned n = 0;

	if (s->out.n > 0) {
		v[n++] = buf_str(&s->out);
	}
	LIST_EACH (&s->segs, it) {
		struct seg *g = container_of(it, struct seg, node);

		if (g->kind == SEG_FILE || n == PIECES) {
			break;
		}
		v[n++] = g->kind == SEG_BUF ? buf_str(&g->buf) : g->mem;
	}
	return n;
}

static void consume(struct stream *s, size_t n)
{
	size_t part = MIN(n, s->out.n);
	struct seg *g;

	buf_consume(&s->out, part);
	n -= part;
	while ((g = first_seg(s)) && (n > 0 || seg_left(g) == 0)) {
		part = (size_t)MIN(n, seg_left(g));
		switch (g->kind) {
		case SEG_BUF:
			buf_consume(&g->buf, part);
			break;
		case SEG_MEM:
			g->mem = str_skip(g->mem, part);
			break;
		case SEG_FILE:
			g->left -= part;
			break;
		}
		n -= part;
		if (seg_left(g) > 0) {
			return;
		}
		seg_free(g);
	}
}

/* Without sendfile: a piece through the scratch buffer. */
static ptrdiff_t send_file_copied(struct stream *s, struct seg *g)
{
	char *p = loop_scratch(s->loop);
	ssize_t n = pread(g->fd, p, (size_t)MIN(LOOP_SCRATCH, g->left), g->offset);
	struct str piece;
	ptrdiff_t sent;

	if (n <= 0) {
		return 0;
	}
	piece = str_of(p, (size_t)n);
	sent = s->ops->sendv(s, &piece, 1);
	if (sent > 0) {
		g->offset += sent;
	}
	return sent;
}

static ptrdiff_t send_once(struct stream *s)
{
	struct str v[PIECES];
	unsigned n = gather(s, v);
	struct seg *g;

	if (n > 0) {
		return s->ops->sendv(s, v, n);
	}
	g = first_seg(s);
	if (s->ops->sendfile) {
		return s->ops->sendfile(s, g->fd, &g->offset, (size_t)MIN(SEND_PER_TURN, g->left));
	}
	return send_file_copied(s, g);
}

/* The file is shorter than announced or cannot be read: what it is part of stays incomplete. */
static bool is_file_at_its_end(const struct stream *s, ptrdiff_t sent)
{
	const struct seg *g = first_seg(s);

	return sent == 0 && s->out.n == 0 && g && g->kind == SEG_FILE;
}

static void on_write_timeout(struct timer *t)
{
	stream_fail(container_of(t, struct stream, timer), ERR_TIMEOUT);
}

static void on_all_sent(struct stream *s)
{
	loop_buf_put(s->loop, &s->out);
	timer_pause(&s->timer);
	s->write_by_ms = 0;
	if (s->closing) {
		stream_finish_closing(s);
	} else if (s->was_high) {
		s->was_high = false;
		if (s->handler->on_drained) {
			s->handler->on_drained(s);
		}
	}
}

void stream_watch_blocked(struct stream *s)
{
	if (s->write_timeout_ms > 0 && !timer_is_armed(&s->timer)) {
		timer_start(s->loop, &s->timer,
			    stream_patience_ms(loop_now_ms(s->loop), s->write_timeout_ms,
					       s->write_by_ms),
			    on_write_timeout);
	}
}

void stream_block(struct stream *s)
{
	s->write_blocked = true;
	stream_watch_blocked(s);
}

void stream_unblock(struct stream *s)
{
	s->write_blocked = false;
	stream_flush(s);
}

/* What the transport held goes first. False: not now, or never. */
static bool flush_transport(struct stream *s)
{
	ptrdiff_t n = s->ops->flush(s);

	if (n == -1) {
		stream_block(s);
	} else if (n < 0) {
		stream_write_failed(s);
	}
	return n == 0;
}

void stream_send_queued(struct stream *s)
{
	bool any = s->out.n > 0 || first_seg(s);

	if (s->ops->flush && !flush_transport(s)) {
		return;
	}
	if (!any) {
		if (s->closing) {
			stream_finish_closing(s);
		}
		return;
	}
	while (s->out.n > 0 || first_seg(s)) {
		if (!has_share_left(s)) {
			loop_next_turn(s->loop, &s->flush, on_flush);
			return;
		}
		ptrdiff_t n = send_once(s);

		if (n == -1) {
			stream_block(s);
			return;
		}
		if (is_file_at_its_end(s, n)) {
			stream_fail(s, ERR_IO);
			return;
		}
		if (n < 0) {
			stream_write_failed(s);
			return;
		}
		count_sent(s, n);
		timer_pause(&s->timer); /* progress: the next block starts a new wait */
		consume(s, (size_t)n);
	}
	on_all_sent(s);
}

void stream_send_what_fits(struct stream *s)
{
	size_t budget = SEND_PER_TURN;
	struct str v[PIECES];
	unsigned n;

	if (!s->loop || s->connecting || s->write_blocked || s->write_broken ||
	    (s->ops->flush && s->ops->flush(s) != 0)) {
		return;
	}
	while (budget > 0 && (n = gather(s, v)) > 0) {
		ptrdiff_t sent = s->ops->sendv(s, v, n);

		if (sent <= 0) {
			return;
		}
		s->bytes_out += (uint64_t)sent;
		consume(s, (size_t)sent);
		budget -= MIN(budget, (size_t)sent);
	}
}
