/*
 * Each end holds the queue that it reads from and a pointer to the other, until that has gone.
 * Nobody is called back from here: a write, an end and new room only mark the other stream and
 * put it off (stream_readable, stream_unblock).
 */
#include "net/pipe_stream.h"

#include "base/mem.h"
#include "net/stream_int.h"

#include <sys/socket.h>

struct pipe_end {
	struct stream *stream;
	struct pipe_end *other; /* NULL = gone */
	struct buf in;		/* from the other, not read yet */
	bool fin;		/* nothing comes behind `in`; gone without it = cut off */
	struct addr name;	/* of the other; len 0 = it has none */
};

static void tell_end(struct pipe_end *e)
{
	e->stream->hangup = true;
	stream_readable(e->stream);
}

static ptrdiff_t pipe_recv(struct stream *s, void *p, size_t n)
{
	struct pipe_end *e = s->transport;
	size_t got = MIN(n, e->in.n);

	if (got == 0) {
		return e->fin ? 0 : e->other ? -1 : -2;
	}
	memcpy(p, buf_head(&e->in), got);
	buf_consume(&e->in, got);
	if (e->in.n == 0) {
		loop_buf_put(s->loop, &e->in);
	}
	if (e->other && e->other->stream->write_blocked && e->in.n <= PIPE_STREAM_ROOM / 2) {
		stream_unblock(e->other->stream);
	}
	return (ptrdiff_t)got;
}

static ptrdiff_t pipe_sendv(struct stream *s, const struct str *v, unsigned n)
{
	struct pipe_end *to = ((struct pipe_end *)s->transport)->other;
	size_t room, total = 0;

	if (!to) {
		return -2;
	}
	room = PIPE_STREAM_ROOM - to->in.n;
	for (unsigned i = 0; i < n; i++) {
		total += v[i].n;
	}
	total = MIN(total, room);
	if (total == 0) {
		return -1;
	}
	if (!to->in.p && total <= LOOP_BUF_SIZE) {
		loop_buf_get(s->loop, &to->in);
	}
	(void)buf_reserve(&to->in, total);
	for (size_t left = total; left > 0; v++) {
		size_t part = MIN(left, v->n);

		buf_append(&to->in, v->p, part);
		left -= part;
	}
	stream_readable(to->stream);
	return (ptrdiff_t)total;
}

static ptrdiff_t pipe_shutdown(struct stream *s)
{
	struct pipe_end *e = s->transport;

	if (e->other) {
		e->other->fin = true;
		tell_end(e->other);
	}
	return 0;
}

static void pipe_free(struct stream *s)
{
	struct pipe_end *e = s->transport, *other = e->other;

	s->transport = NULL;
	if (other) {
		other->other = NULL;
		tell_end(other);
		if (other->stream->write_blocked) {
			stream_unblock(other->stream); /* and finds that it can write no more */
		}
	}
	loop_buf_put(s->loop, &e->in);
	mem_free(e);
}

static enum err pipe_peer(const struct stream *s, struct addr *out)
{
	const struct pipe_end *e = s->transport;

	if (e->name.len == 0) {
		return ERR_NOT_FOUND;
	}
	*out = e->name;
	return ERR_OK;
}

/* ---- when the ends part ---- */

/* What has come stays in front of what the socket will give. */
static struct stream *leave_pipe(struct pipe_end *e)
{
	struct stream *s = e->stream;

	buf_put(&s->in, buf_str(&e->in));
	loop_buf_put(s->loop, &e->in);
	s->ops = &stream_tcp_ops;
	s->transport = NULL;
	mem_free(e);
	return s;
}

static void stay_behind(struct pipe_end *e, int fd)
{
	struct stream *s = leave_pipe(e);

	stream_use_fd(s, fd);
	if (s->write_blocked) {
		stream_unblock(s);
	}
	if (!s->read_paused) {
		stream_resume_read(s);
	}
}

/* The descriptor is watched from stream_attach on; without one the stream looks broken off. */
static void pipe_detach(struct stream *s)
{
	struct pipe_end *e = s->transport, *other = e->other;
	int fds[2];

	if (!other ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) {
		fds[0] = fds[1] = -1;
	} else if (e->fin) {
		(void)shutdown(fds[1], SHUT_WR);
	}
	(void)leave_pipe(e);
	s->io.fd = fds[0];
	if (other) {
		stay_behind(other, fds[1]);
	}
}

/* ---- */

static const struct stream_ops pipe_ops = {
	.recv = pipe_recv,
	.sendv = pipe_sendv,
	.shutdown = pipe_shutdown,
	.free = pipe_free,
	.detach = pipe_detach,
	.peer = pipe_peer,
	.short_read_drains = true,
};

static struct pipe_end *end_new(struct loop *l)
{
	struct pipe_end *e = MEM_NEW(struct pipe_end);

	e->stream = stream_make(l, NULL, NULL);
	e->stream->ops = &pipe_ops;
	e->stream->transport = e;
	return e;
}

void pipe_stream_new(struct loop *l, struct stream *out[2])
{
	struct pipe_end *a = end_new(l), *b = end_new(l);

	a->other = b;
	b->other = a;
	out[0] = a->stream;
	out[1] = b->stream;
}

void pipe_stream_set_name(struct stream *s, const struct addr *name)
{
	const struct pipe_end *e = s->transport;

	if (!e || !e->other) {
		return;
	}
	e->other->name.len = name ? name->len : 0;
	if (name) {
		memcpy(&e->other->name.sa, &name->sa, name->len);
	}
}
