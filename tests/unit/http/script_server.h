/*
 * script_server - a peer that says exactly what a test wants, on the test's own loop
 *
 * Each request that arrives, on whatever connection, takes the next step of the
 * script. With `piece` set an answer leaves in pieces of that size, one a turn, so
 * that the reader sees every split without waiting for a clock.
 */
#pragma once
#include "base/buf.h"
#include "base/mem.h"
#include "http/listening.h"
#include "loop/loop.h"
#include "net/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum step_then { KEEP, CLOSE, RESET };

struct step {
	const char *reply; /* NULL = none */
	enum step_then then;
	size_t body; /* bytes that the request has behind its head */
	size_t n;    /* of the reply when it holds NUL */
};

struct script_server {
	struct loop *loop;
	struct io io;
	const struct step *steps; /* up to one that is all zero */
	size_t piece;
	unsigned connections, closed;
	uint16_t port;
	struct buf got; /* all requests */
	struct list conns;
	void (*on_closed)(struct script_server *s); /* a client has gone; may be NULL */
};

struct script_conn {
	struct list_node node;
	struct script_server *server;
	struct stream *stream;
	struct str left; /* of the reply */
	enum step_then then;
	struct later more;
};

static void script_conn_end(struct script_conn *c)
{
	list_remove(&c->node);
	later_cancel(&c->more);
	mem_free(c);
}

static void script_on_more(struct later *w)
{
	struct script_conn *c = container_of(w, struct script_conn, more);
	size_t n = c->server->piece ? MIN(c->server->piece, c->left.n) : c->left.n;

	stream_write(c->stream, str_slice(c->left, 0, n));
	c->left = str_skip(c->left, n);
	if (c->left.n > 0 || (c->then != KEEP && stream_pending(c->stream) > 0)) {
		loop_next_turn(c->server->loop, &c->more, script_on_more);
		return;
	}
	if (c->then == RESET) {
		struct linger now = {.l_onoff = 1};

		(void)setsockopt(c->stream->io.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	}
	if (c->then != KEEP) {
		stream_abort(c->stream);
		script_conn_end(c);
	}
}

static size_t script_on_data(struct stream *s, char *p, size_t n)
{
	struct script_conn *c = s->user;
	struct script_server *v = c->server;
	ptrdiff_t end = str_find(str_of(p, n), STR("\r\n\r\n"));
	const struct step *step = v->steps;

	if (end < 0 || n < (size_t)end + 4 + step->body) {
		return 0;
	}
	n = (size_t)end + 4 + step->body;
	buf_append(&v->got, p, n);
	if (!step->reply && step->then == KEEP) {
		return n; /* no answer, ever */
	}
	v->steps++;
	c->left = step->n ? str_of(step->reply, step->n) : str_c(step->reply);
	c->then = step->then;
	loop_next_turn(v->loop, &c->more, script_on_more);
	return n;
}

static void script_on_close(struct stream *s, enum err why)
{
	struct script_conn *c = s->user;
	struct script_server *v = c->server;

	(void)why;
	v->closed++;
	script_conn_end(c);
	if (v->on_closed) {
		v->on_closed(v);
	}
}

static const struct stream_handler script_events = {
	.on_data = script_on_data,
	.on_close = script_on_close,
};

static void script_on_accept(struct io *io, unsigned events)
{
	struct script_server *v = container_of(io, struct script_server, io);
	int fd;

	(void)events;
	while ((fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct script_conn *c = MEM_NEW(struct script_conn);

		v->connections++;
		c->server = v;
		c->stream = stream_new(v->loop, fd, &script_events, c);
		list_push(&v->conns, &c->node);
	}
}

static void script_open(struct script_server *v, struct loop *l, const struct step *steps)
{
	*v = (struct script_server){.loop = l, .steps = steps};
	list_init(&v->conns);
	v->port = listen_anywhere(l, &v->io, script_on_accept);
}

static void script_close(struct script_server *v)
{
	struct list_node *n;
	int fd = v->io.fd;

	while ((n = list_first(&v->conns))) {
		struct script_conn *c = container_of(n, struct script_conn, node);

		stream_abort(c->stream);
		script_conn_end(c);
	}
	io_remove(v->loop, &v->io);
	(void)close(fd);
	buf_free(&v->got);
}
