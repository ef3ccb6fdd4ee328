/*
 * Chunked bodies: decoded whole, cut at every point and byte by byte, where no piece has another
 * one to be moved up to, they are the same, trailers included, and what was decoded survives being
 * encoded again.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct result {
	struct arena arena;
	struct h1_chunked d;
	enum err e;
	size_t used;
	struct buf body;
};

static void begin(struct result *r)
{
	*r = (struct result){0};
	arena_init(&r->arena, 0);
	r->d.keep = &r->arena;
}

static void end(struct result *r)
{
	arena_fini(&r->arena);
	buf_free(&r->body);
}

static void feed(struct result *r, struct str bytes)
{
	struct buf own = {0}; /* it is written to */
	struct str in;
	size_t used = 1;

	buf_put(&own, bytes);
	in = buf_str(&own);
	while (r->e == ERR_OK && used > 0 && !r->d.done) {
		struct str data;

		r->e = h1_chunked_next(&r->d, in, &used, &data);
		if (r->e == ERR_OK) {
			ASSERT(used <= in.n && data.n <= used);
			ASSERT(data.n == 0 || (data.p >= in.p && data.p + data.n <= in.p + used));
			buf_put(&r->body, data);
			in = str_skip(in, used);
			bytes = str_skip(bytes, used);
			ASSERT(str_eq(in, bytes));
			r->used += used;
		}
	}
	buf_free(&own);
}

static void check_same_trailers(const struct http_headers *a, const struct http_headers *b)
{
	ASSERT(a->n == b->n);
	for (size_t i = 0; i < a->n; i++) {
		ASSERT(str_eq(a->v[i].name, b->v[i].name) && str_eq(a->v[i].value, b->v[i].value));
	}
}

static void check_same(const struct result *a, const struct result *b)
{
	ASSERT(a->e == b->e && a->d.done == b->d.done);
	ASSERT(str_eq(buf_str(&a->body), buf_str(&b->body)));
	ASSERT(a->e != ERR_OK || a->used == b->used);
	check_same_trailers(&a->d.trailers, &b->d.trailers);
}

static void check_encoded_again(const struct result *r)
{
	struct result again;
	struct buf b = {0};

	begin(&again);
	if (r->body.n > 0) {
		h1_write_chunk_head(&b, r->body.n);
		buf_put(&b, buf_str(&r->body));
		buf_puts(&b, "\r\n");
	}
	buf_puts(&b, "0\r\n\r\n");
	feed(&again, buf_str(&b));
	ASSERT(again.e == ERR_OK && again.d.done && again.used == b.n);
	ASSERT(str_eq(buf_str(&again.body), buf_str(&r->body)));
	end(&again);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = str_of(data, n);
	struct result whole, bytes;

	begin(&whole);
	begin(&bytes);
	feed(&whole, in);
	for (size_t i = 0; i < n; i++) {
		feed(&bytes, str_slice(in, i, 1));
	}
	check_same(&whole, &bytes);
	for (size_t cut = 1; cut < n && n <= 4096; cut += 1 + n / 128) {
		struct result r;

		begin(&r);
		feed(&r, str_slice(in, 0, cut));
		feed(&r, str_skip(in, cut));
		check_same(&whole, &r);
		end(&r);
	}
	if (whole.d.done) {
		check_encoded_again(&whole);
	}
	end(&whole);
	end(&bytes);
	return 0;
}
