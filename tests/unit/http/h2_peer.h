/*
 * h2_peer - a server of HTTP/2 that writes frames by hand, on the test's own loop
 *
 * Each request that arrives, on whatever connection, takes the next step of the script.
 */
#pragma once
#include "base/mem.h"
#include "http/h2_record.h"
#include "http/listening.h"
#include "net/stream.h"

#include <unistd.h>

#define FRAME(len, type, flags, id) "\0\0" len type flags "\0\0\0" id
#define SETTINGS FRAME("\0", "\4", "\0", "\0")
/* :status 200 and 204 from the static table. */
#define OK_HEAD FRAME("\1", "\1", "\4", "\1") "\x88"
#define OK_ALONE FRAME("\1", "\1", "\5", "\1") "\x88"
#define CODE(c) "\0\0\0" c

/* A step is taken for each request, on whatever connection. */
struct step {
	const char *bytes;
	size_t n;
	bool close;
	const char *record;
	unsigned connections;
};
#define STEP(text) .bytes = (text), .n = sizeof(text) - 1

struct peer {
	struct loop *loop;
	struct io io;
	const struct step *step;
	size_t piece; /* bytes a turn; 0 = all at once */
	unsigned connections;
	struct list conns;
	size_t body_bytes; /* of all requests; no window is given back for them */
	void (*on_body)(struct peer *v);
};

struct peer_conn {
	struct list_node node;
	struct peer *peer;
	struct stream *stream;
	size_t skip;	 /* of the preface */
	struct buf left; /* a step is whole before the next one begins */
	bool close;
	struct later more;
};

static void peer_conn_end(struct peer_conn *c)
{
	list_remove(&c->node);
	later_cancel(&c->more);
	buf_free(&c->left);
	mem_free(c);
}

static void peer_more(struct later *w)
{
	struct peer_conn *c = container_of(w, struct peer_conn, more);
	size_t n = c->peer->piece ? MIN(c->peer->piece, c->left.n) : c->left.n;

	stream_write(c->stream, str_slice(buf_str(&c->left), 0, n));
	buf_consume(&c->left, n);
	if (c->left.n > 0) {
		loop_next_turn(c->peer->loop, &c->more, peer_more);
	} else if (c->close) {
		stream_close(c->stream);
		peer_conn_end(c);
	}
}

/* A frame at a time; HEADERS are requests. */
static size_t peer_on_data(struct stream *s, char *p, size_t n)
{
	struct peer_conn *c = s->user;
	const uint8_t *b = (const uint8_t *)p;
	size_t at = MIN(n, c->skip);

	c->skip -= at;
	while (n - at >= 9) {
		size_t len = (size_t)b[at] << 16 | (size_t)b[at + 1] << 8 | b[at + 2];

		if (n - at < 9 + len) {
			break;
		}
		if (b[at + 3] == 1 && c->peer->step->bytes) {
			buf_put(&c->left, str_of(c->peer->step->bytes, c->peer->step->n));
			c->close = c->peer->step->close;
			c->peer->step++;
			loop_next_turn(c->peer->loop, &c->more, peer_more);
		} else if (b[at + 3] == 0) {
			c->peer->body_bytes += len;
			if (c->peer->on_body) {
				c->peer->on_body(c->peer);
			}
		}
		at += 9 + len;
	}
	return at;
}

static void peer_on_close(struct stream *s, enum err why)
{
	(void)why;
	peer_conn_end(s->user);
}

static const struct stream_handler peer_events = {.on_data = peer_on_data,
						  .on_close = peer_on_close};

static void peer_on_accept(struct io *io, unsigned events_)
{
	struct peer *v = container_of(io, struct peer, io);
	int fd;

	(void)events_;
	while ((fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct peer_conn *c = MEM_NEW(struct peer_conn);

		v->connections++;
		c->peer = v;
		c->skip = 24;
		c->stream = stream_new(v->loop, fd, &peer_events, c);
		list_push(&v->conns, &c->node);
	}
}

static uint16_t peer_open(struct peer *v, struct loop *l, const struct step *steps)
{
	*v = (struct peer){.loop = l, .step = steps};
	list_init(&v->conns);
	return listen_anywhere(l, &v->io, peer_on_accept);
}

static void peer_close(struct peer *v)
{
	struct list_node *n;
	int fd = v->io.fd;

	while ((n = list_first(&v->conns))) {
		struct peer_conn *c = container_of(n, struct peer_conn, node);

		stream_abort(c->stream);
		peer_conn_end(c);
	}
	io_remove(v->loop, &v->io);
	(void)close(fd);
}
