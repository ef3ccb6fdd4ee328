#include "relay/body_send.h"

#include <fcntl.h>

struct body_send {
	struct exchange *x;
	struct blob_reader *reader;
	uint64_t offset;
};

static void on_sent(void *arg)
{
	struct blob_reader *reader = arg;

	blob_close(&reader);
}

static bool send_file(struct exchange *x, struct exchange_answer *a, struct blob_reader **reader)
{
	int fd = blob_fd(*reader);

	if (fd < 0 || (fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0) {
		return false;
	}
	a->kind = EXCHANGE_BODY_FILE;
	a->fd = fd;
	a->file_size = blob_size(*reader);
	exchange_reply(x, a);
	blob_close(reader);
	return true;
}

static bool send_piece(struct exchange *x, struct exchange_answer *a, struct blob_reader **reader)
{
	struct str all = blob_fd(*reader) < 0 ? blob_span(*reader, 0) : STR_NULL;

	if (all.n != blob_size(*reader)) {
		return false;
	}
	a->kind = EXCHANGE_BODY_MEM;
	a->body = all;
	a->release = on_sent;
	a->arg = *reader;
	*reader = NULL;
	exchange_reply(x, a);
	return true;
}

struct body_send *body_send_start(struct exchange *x, int status, const struct http_header *headers,
				  size_t n_headers, struct blob_reader **reader)
{
	struct exchange_answer a = {.status = status, .headers = headers, .n_headers = n_headers};

	if (send_file(x, &a, reader) || send_piece(x, &a, reader)) {
		return NULL;
	}
	struct body_send *b = ARENA_NEW(exchange_arena(x), struct body_send);

	*b = (struct body_send){.x = x, .reader = *reader};
	*reader = NULL;
	exchange_start(x, status, headers, n_headers, (int64_t)blob_size(b->reader));
	return body_send_more(b) ? b : NULL;
}

bool body_send_more(struct body_send *b)
{
	char piece[16384];
	struct exchange *x = b->x;
	size_t n = 0;

	while (exchange_pending(x) < STREAM_HIGH_WATER) {
		if (blob_read(b->reader, b->offset, piece, sizeof(piece), &n) != ERR_OK) {
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
		exchange_write(x, str_of(piece, n));
	}
	return true;
}

void body_send_stop(struct body_send *b)
{
	blob_close(&b->reader);
}
