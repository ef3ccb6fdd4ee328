#include "relay/body_send.h"

#include "base/mem.h"
#include "relay/config.h"

#include <fcntl.h>

struct held {
	struct relay_loop *rl;
	struct body_source body;
};

struct body_send {
	struct exchange *x;
	struct held *held;
	uint64_t offset;
	uint64_t by_ms;
};

static struct held *hold(struct relay_loop *rl, const struct body_source *from)
{
	struct held *h = MEM_NEW(struct held);

	*h = (struct held){rl, *from};
	return h;
}

static void let_go(void *arg)
{
	struct held *h = arg;

	blob_close(&h->body.reader);
	body_count_unref(&h->body.count, h->rl);
	mem_free(h);
}

/* Loop time by which a client that is not too slow has it. */
static uint64_t due_ms(const struct held *h)
{
	const struct relay_config *c = h->rl->epoch->config;
	uint64_t rate = MAX((uint64_t)c->answer_rate_min, 1);

	return loop_now_ms(h->rl->loop) + (uint64_t)c->endpoint_timeout_ms +
	       blob_size(h->body.reader) / rate * 1000;
}

static bool send_file(struct exchange *x, struct exchange_answer *a, struct held *h)
{
	struct blob_reader *reader = h->body.reader;
	int fd = blob_fd(reader);

	if (fd < 0 || (fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0) {
		return false;
	}
	a->kind = EXCHANGE_BODY_FILE;
	a->fd = fd;
	a->file_size = blob_size(reader);
	blob_close(&h->body.reader);
	exchange_reply(x, a);
	return true;
}

static bool send_piece(struct exchange *x, struct exchange_answer *a, struct held *h)
{
	struct blob_reader *reader = h->body.reader;
	struct str all = blob_fd(reader) < 0 ? blob_span(reader, 0) : STR_NULL;

	if (all.n != blob_size(reader)) {
		return false;
	}
	a->kind = EXCHANGE_BODY_MEM;
	a->body = all;
	exchange_reply(x, a);
	return true;
}

struct body_send *body_send_start(struct exchange *x, struct relay_loop *rl,
				  const struct exchange_answer *head,
				  const struct body_source *from)
{
	struct held *h = hold(rl, from);
	struct exchange_answer a = *head;
	uint64_t by_ms = due_ms(h);

	a.release = let_go;
	a.arg = h;
	exchange_take_by(x, by_ms);
	if (send_file(x, &a, h) || send_piece(x, &a, h)) {
		return NULL;
	}
	struct body_send *b = ARENA_NEW(exchange_arena(x), struct body_send);

	*b = (struct body_send){.x = x, .held = h, .by_ms = by_ms};
	exchange_start(x, a.status, a.headers, a.n_headers, (int64_t)blob_size(h->body.reader));
	return body_send_more(b) ? b : NULL;
}

bool body_send_more(struct body_send *b)
{
	char piece[16384];
	struct exchange *x = b->x;
	size_t n = 0;

	while (exchange_pending(x) < STREAM_HIGH_WATER) {
		if (blob_read(b->held->body.reader, b->offset, piece, sizeof(piece), &n) !=
		    ERR_OK) {
			body_send_stop(b);
			exchange_cut(x);
			return false;
		}
		if (n == 0) {
			body_send_stop(b);
			exchange_finish(x);
			return false;
		}
		b->offset += n;
		exchange_take_by(x, b->by_ms);
		exchange_write(x, str_of(piece, n));
	}
	return true;
}

void body_send_stop(struct body_send *b)
{
	let_go(b->held);
}
