#include "connector/backlog.h"

struct head {
	uint64_t seq;
	uint64_t expires_ms;
	uint64_t len;
};

void backlog_init(struct backlog *b, size_t max, size_t max_bytes)
{
	*b = (struct backlog){.max = max, .max_bytes = max_bytes};
}

void backlog_fini(struct backlog *b)
{
	buf_free(&b->bytes);
	b->n = 0;
}

static bool is_full(const struct backlog *b, size_t more)
{
	return b->n > 0 && (b->n >= b->max || b->bytes.n + more > b->max_bytes);
}

void backlog_put(struct backlog *b, const struct backlog_entry *e)
{
	struct head h = {e->seq, e->expires_ms, e->text.n};

	while (is_full(b, e->text.n)) {
		backlog_drop_first(b);
		b->forgotten++;
	}
	buf_append(&b->bytes, &h, sizeof(h));
	buf_put(&b->bytes, e->text);
	b->n++;
}

bool backlog_first(const struct backlog *b, struct backlog_entry *out)
{
	struct head h;

	if (b->n == 0) {
		return false;
	}
	memcpy(&h, buf_head(&b->bytes), sizeof(h));
	*out = (struct backlog_entry){h.seq, h.expires_ms,
				      str_of(buf_head(&b->bytes) + sizeof(h), h.len)};
	return true;
}

void backlog_drop_first(struct backlog *b)
{
	struct backlog_entry e;

	if (backlog_first(b, &e)) {
		buf_consume(&b->bytes, sizeof(struct head) + e.text.n);
		b->n--;
	}
	if (b->n == 0 && b->bytes.cap > (size_t)64 << 10) {
		buf_free(&b->bytes);
	}
}

void backlog_confirm(struct backlog *b, uint64_t seq)
{
	struct backlog_entry e;

	while (backlog_first(b, &e) && e.seq <= seq) {
		backlog_drop_first(b);
	}
}

void backlog_expire(struct backlog *b, struct str record)
{
	char *at = buf_head(&b->bytes);
	struct head h;

	for (size_t i = 0; i < b->n; i++) {
		memcpy(&h, at, sizeof(h));
		if (str_starts(record, str_of(at + sizeof(h), h.len))) {
			h.expires_ms = 0;
			memcpy(at, &h, sizeof(h));
			return;
		}
		at += sizeof(h) + h.len;
	}
}

void backlog_move(struct backlog *from, struct backlog *to)
{
	struct backlog_entry e;

	while (backlog_first(from, &e)) {
		backlog_put(to, &e);
		backlog_drop_first(from);
	}
	to->forgotten += from->forgotten;
	from->forgotten = 0;
}
