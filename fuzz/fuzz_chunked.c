/*
 * Chunked bodies: decoded whole, cut at every point and byte by byte they are
 * the same, and what was decoded survives being encoded again.
 */
#include "base/buf.h"
#include "http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct result {
	struct h1_chunked d;
	enum err e;
	size_t used;
	struct buf body;
};

static void feed(struct result *r, struct str in)
{
	size_t used = 1;

	while (r->e == ERR_OK && used > 0 && !r->d.done) {
		struct str data;

		r->e = h1_chunked_next(&r->d, in, &used, &data);
		if (r->e == ERR_OK) {
			ASSERT(used <= in.n && data.n <= used);
			buf_put(&r->body, data);
			in = str_skip(in, used);
			r->used += used;
		}
	}
}

static void check_same(const struct result *a, const struct result *b)
{
	ASSERT(a->e == b->e && a->d.done == b->d.done);
	ASSERT(str_eq(buf_str(&a->body), buf_str(&b->body)));
	ASSERT(a->e != ERR_OK || a->used == b->used);
}

static void check_encoded_again(const struct result *r)
{
	struct result again = {0};
	struct buf b = {0};

	if (r->body.n > 0) {
		h1_write_chunk_head(&b, r->body.n);
		buf_put(&b, buf_str(&r->body));
		buf_puts(&b, "\r\n");
	}
	buf_puts(&b, "0\r\n\r\n");
	feed(&again, buf_str(&b));
	ASSERT(again.e == ERR_OK && again.d.done && again.used == b.n);
	ASSERT(str_eq(buf_str(&again.body), buf_str(&r->body)));
	buf_free(&again.body);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = str_of(data, n);
	struct result whole = {0}, bytes = {0};

	feed(&whole, in);
	for (size_t i = 0; i < n; i++) {
		feed(&bytes, str_slice(in, i, 1));
	}
	check_same(&whole, &bytes);
	for (size_t cut = 1; cut < n && n <= 4096; cut += 1 + n / 128) {
		struct result r = {0};

		feed(&r, str_slice(in, 0, cut));
		feed(&r, str_skip(in, cut));
		check_same(&whole, &r);
		buf_free(&r.body);
	}
	if (whole.d.done) {
		check_encoded_again(&whole);
	}
	buf_free(&whole.body);
	buf_free(&bytes.body);
	return 0;
}
