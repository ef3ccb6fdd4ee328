/*
 * Chunked bodies: each case is decoded whole, cut at every point and byte by
 * byte, with the same result.
 */
#include "unit.h"

#include "base/buf.h"
#include "http/h1.h"

#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

struct result {
	enum err e;
	bool done;
	size_t used;
	struct buf body;
};

static void feed(struct h1_chunked *d, struct str bytes, struct result *r)
{
	struct buf own = {0}; /* it is written to */
	size_t used = 1;
	struct str in;

	buf_put(&own, bytes);
	in = buf_str(&own);
	while (r->e == ERR_OK && used > 0 && !d->done) {
		struct str data;

		r->e = h1_chunked_next(d, in, &used, &data);
		if (r->e == ERR_OK) {
			buf_put(&r->body, data);
			in = str_skip(in, used);
			r->used += used;
		}
	}
	buf_free(&own);
	r->done = d->done;
}

static struct result decode_cut(struct str in, size_t cut)
{
	struct h1_chunked d = {0};
	struct result r = {0};

	feed(&d, str_slice(in, 0, cut), &r);
	if (!r.done) {
		feed(&d, str_skip(in, cut), &r);
	}
	return r;
}

static struct result decode_bytes(struct str in)
{
	struct h1_chunked d = {0};
	struct result r = {0};

	for (size_t i = 0; i < in.n && !r.done; i++) {
		feed(&d, str_slice(in, i, 1), &r);
	}
	return r;
}

static void assert_decodes(struct str in, struct str body, size_t used)
{
	for (size_t cut = 0; cut <= in.n + 1; cut++) {
		struct result r = cut > in.n ? decode_bytes(in) : decode_cut(in, cut);

		assert_ok(r.e);
		assert_true(r.done);
		assert_int_equal(r.used, used);
		assert_str(buf_str(&r.body), body);
		buf_free(&r.body);
	}
}

static void feed_cut(struct h1_chunked *d, struct str in, size_t cut)
{
	struct result r = {0};

	feed(d, str_slice(in, 0, cut), &r);
	feed(d, str_skip(in, cut), &r);
	assert_ok(r.e);
	assert_true(r.done);
	buf_free(&r.body);
}

static void test_trailers_kept(void **state)
{
	struct str in = STR("1\r\nx\r\n0\r\nSum: \t7 \r\nEmpty:\r\nTwo:a:b\r\n\r\n");

	(void)state;
	for (size_t cut = 0; cut < in.n; cut++) {
		struct arena a;
		struct h1_chunked d = {.keep = &a};

		arena_init(&a, 0);
		feed_cut(&d, in, cut);
		assert_int_equal(d.trailers.n, 3);
		assert_str(d.trailers.v[0].name, STR("Sum"));
		assert_str(d.trailers.v[0].value, STR("7"));
		assert_str(http_header_get(&d.trailers, STR("empty")), STR(""));
		assert_str(http_header_get(&d.trailers, STR("two")), STR("a:b"));
		arena_fini(&a);
	}
}

static void test_trailers_count(void **state)
{
	struct buf b = {0};

	(void)state;
	buf_puts(&b, "0\r\n");
	for (int i = 0; i <= H1_TRAILERS_MAX; i++) {
		struct arena a;
		struct h1_chunked d = {.keep = &a};
		struct result r = {0};
		size_t n = b.n;

		arena_init(&a, 0);
		buf_puts(&b, "\r\n");
		feed(&d, buf_str(&b), &r);
		assert_ok(r.e);
		assert_int_equal(d.trailers.n, i);
		arena_fini(&a);
		b.n = n;
		buf_puts(&b, "a:\r\n");
	}
	struct arena a;
	struct h1_chunked d = {.keep = &a};
	struct result r = {0};

	arena_init(&a, 0);
	feed(&d, buf_str(&b), &r);
	assert_err(r.e, ERR_PROTO);
	arena_fini(&a);
	buf_free(&b);
}

static void assert_refused(struct str in)
{
	for (size_t cut = 0; cut <= in.n + 1; cut++) {
		struct result r = cut > in.n ? decode_bytes(in) : decode_cut(in, cut);

		if (r.e != ERR_PROTO) {
			fail_msg("taken (cut %zu): %.*s", cut, STR_ARG(in));
		}
		buf_free(&r.body);
	}
}

static void bodies_are_put_together(void **state)
{
	static const struct {
		struct str in, body;
		size_t left;
	} cases[] = {
		{STR_INIT("0\r\n\r\n"), {0}, 0},
		{STR_INIT("5\r\nhello\r\n0\r\n\r\n"), STR_INIT("hello"), 0},
		{STR_INIT("5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1"), STR_INIT("hello"), 14},
		{STR_INIT("3;a=b;c=\"d e\"\r\n\r\n0\r\n00;x\r\n\r\n"), STR_INIT("\r\n0"), 0},
		{STR_INIT("10;x=\ty\r\n0123456789abcdef\r\n00A\r\n0123456789\r\n0\r\n\r\n"),
		 STR_INIT("0123456789abcdef0123456789"), 0},
		{STR_INIT("2;\r\n\0\n\r\n0\r\n\r\n"), STR_INIT("\0\n"), 0},
		{STR_INIT("0\r\nX: y\r\nEtag:\r\nA-Long-Name-Of-A-Trailer-Line: \t z\xe4\r\n\r\n"),
		 {0},
		 0},
		{STR_INIT("0\r\nContent-Lengths: 1\r\nx-host: a\r\n\r\n."), {0}, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_decodes(cases[i].in, cases[i].body, cases[i].in.n - cases[i].left);
	}
}

static void every_ambiguity_is_refused(void **state)
{
	static const struct str cases[] = {
		/* sizes that somebody reads otherwise */
		STR_INIT("\r\n\r\n"),
		STR_INIT(";x\r\n\r\n"),
		STR_INIT("0x0\r\n\r\n"),
		STR_INIT("0x5\r\nhello\r\n0\r\n\r\n"),
		STR_INIT("+5\r\nhello\r\n"),
		STR_INIT("-5\r\nhello\r\n"),
		STR_INIT("-0\r\n\r\n"),
		STR_INIT("1_0\r\n"),
		STR_INIT("5g\r\nhello\r\n"),
		STR_INIT("g\r\n"),
		STR_INIT("5,\r\nhello\r\n"),
		STR_INIT(" 5\r\nhello\r\n"),
		STR_INIT("\t5\r\nhello\r\n"),
		STR_INIT("5 \r\nhello\r\n"),
		STR_INIT("5\t\r\nhello\r\n"),
		STR_INIT("5 ;x\r\nhello\r\n"),
		STR_INIT("5\0\r\nhello\r\n"),
		STR_INIT("\xb5\r\n"),
		STR_INIT("5\xa0\r\nhello\r\n"),
		STR_INIT("10000000000000005\r\nhello\r\n"),
		STR_INIT("ffffffffffffffff\r\n"),
		STR_INIT("8000000000000000\r\n"),
		STR_INIT("100000000000000000000\r\n"),
		STR_INIT("0000000000000005\r\nhello\r\n"),
		/* extensions */
		STR_INIT("5;a\rb\r\nhello\r\n"),
		STR_INIT("5;a\nhello\r\n"),
		STR_INIT("5;a\0\r\nhello\r\n"),
		STR_INIT("5;\x7f\r\nhello\r\n"),
		STR_INIT("5;a\r\rhello\r\n"),
		STR_INIT("5;" X64 X64 X64 X64 "x\r\nhello\r\n"),
		/* line ends */
		STR_INIT("5\nhello\r\n0\r\n\r\n"),
		STR_INIT("5\rhello\r\n0\r\n\r\n"),
		STR_INIT("5\r\r\nhello\r\n"),
		STR_INIT("5\r\nhello\n0\r\n\r\n"),
		STR_INIT("5\r\nhello\r0\r\n\r\n"),
		STR_INIT("5\r\nhelloXX0\r\n\r\n"),
		STR_INIT("5\r\nhello!\r\n0\r\n\r\n"),
		STR_INIT("5\r\nhello\r\nXX0\r\n\r\n"),
		STR_INIT("5\r\nhello\r\n\r\n0\r\n\r\n"),
		STR_INIT("5\r\nhello0\r\n\r\n"),
		STR_INIT("5\r\nhello\r\n\n"),
		STR_INIT("0\n\n"),
		STR_INIT("0\r\n\n"),
		STR_INIT("0\r\n\rX"),
		STR_INIT("0\r\nX\r\n\r\n"),
		STR_INIT("0\r\n0\r\n\r\n"),
		/* trailers */
		STR_INIT("0\r\nContent-Length: 5\r\n\r\n"),
		STR_INIT("0\r\nContent_Length: 5\r\n\r\n"),
		STR_INIT("0\r\nTransfer-Encoding: chunked\r\n\r\n"),
		STR_INIT("0\r\nTRANSFER_ENCODING: chunked\r\n\r\n"),
		STR_INIT("0\r\nX: y\r\nHOST: a\r\n\r\n"),
		STR_INIT("0\r\nConnection: close\r\n\r\n"),
		STR_INIT("0\r\nTE: x\r\n\r\n"),
		STR_INIT("0\r\nTrailer: x\r\n\r\n"),
		STR_INIT("0\r\nUpgrade: x\r\n\r\n"),
		STR_INIT("0\r\nExpect: x\r\n\r\n"),
		STR_INIT("0\r\nKeep-Alive: x\r\n\r\n"),
		STR_INIT("0\r\n: x\r\n\r\n"),
		STR_INIT("0\r\nX : y\r\n\r\n"),
		STR_INIT("0\r\n X: y\r\n\r\n"),
		STR_INIT("0\r\nX: a\r\n b\r\n\r\n"),
		STR_INIT("0\r\nX: a\0\r\n\r\n"),
		STR_INIT("0\r\nX: a\rb\r\n\r\n"),
		STR_INIT("0\r\nX: a\nb: c\r\n\r\n"),
		STR_INIT("0\r\nX\xe4: a\r\n\r\n"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_refused(cases[i]);
	}
}

static enum err flood(struct str first, struct str unit, size_t times)
{
	struct h1_chunked d = {0};
	struct result r = {0};

	feed(&d, first, &r);
	for (size_t i = 0; i < times && r.e == ERR_OK; i++) {
		feed(&d, unit, &r);
	}
	buf_free(&r.body);
	return r.e;
}

static void floods_end(void **state)
{
	struct str ext = STR("1;" X64 X64 X64 X64 "\r\nx\r\n");

	(void)state;
	assert_ok(flood(STR(""), ext, 64));
	assert_err(flood(STR(""), ext, 65), ERR_PROTO);
	assert_ok(flood(STR("0\r\n"), STR("abc:" X64), 1));
	assert_err(flood(STR("0\r\nx:"), STR(X64), H1_TRAILER_BYTES_MAX / 64), ERR_PROTO);
	assert_err(flood(STR("0\r\n"), STR("x"), H1_TRAILER_BYTES_MAX + 1), ERR_PROTO);
	assert_ok(flood(STR(""), STR("1\r\nx\r\n"), 100000));
}

static void large_sizes_stream(void **state)
{
	struct h1_chunked d = {0};
	struct str data;
	size_t used;

	(void)state;
	assert_ok(h1_chunked_next(&d, STR("fffffffffffffff\r\nabc"), &used, &data));
	assert_int_equal(used, 20);
	assert_str(data, STR("abc"));
	assert_true(d.left == UINT64_C(0xffffffffffffffc));
	assert_ok(h1_chunked_next(&d, STR(""), &used, &data));
	assert_int_equal(used, 0);
}

static void put_chunk(struct buf *b, char c, size_t n)
{
	h1_write_chunk_head(b, n);
	memset(buf_reserve(b, n), c, n);
	buf_commit(b, n);
	buf_puts(b, "\r\n");
}

struct run {
	struct str data;
	size_t at; /* of its first byte, in the input */
};

static size_t read_runs(struct buf *b, struct run *out, size_t max)
{
	struct h1_chunked d = {0};
	struct str in = buf_str(b);
	size_t n = 0, used = 1;

	while (in.n > 0 && used > 0 && !d.done && n < max) {
		assert_ok(h1_chunked_next(&d, in, &used, &out[n].data));
		in = str_skip(in, used);
		if (out[n].data.n > 0) {
			out[n].at = (size_t)(out[n].data.p - buf_head(b));
			n++;
		}
	}
	assert_true(d.done);
	return n;
}

static void short_pieces_are_one(void **state)
{
	struct buf b = {0};
	struct run run;

	(void)state;
	for (int i = 0; i < 26; i++) {
		put_chunk(&b, (char)('a' + i), 1);
	}
	buf_puts(&b, "0\r\n\r\n");
	assert_int_equal(read_runs(&b, &run, 1), 1);
	assert_str(run.data, STR("abcdefghijklmnopqrstuvwxyz"));
	buf_free(&b);
}

static void long_pieces_stay_where_they_are(void **state)
{
	const size_t least = H1_PIECE_MOVED_BELOW;
	struct run runs[4];
	struct buf b = {0};

	(void)state;
	put_chunk(&b, 'a', 1);
	put_chunk(&b, 'b', least);
	put_chunk(&b, 'c', least - 1);
	put_chunk(&b, 'd', least);
	buf_puts(&b, "0\r\n\r\n");
	assert_int_equal(read_runs(&b, runs, 4), 3);
	assert_str(runs[0].data, STR("a"));
	assert_int_equal(runs[1].data.n, least + least - 1);
	assert_int_equal(runs[1].at, strlen("1\r\na\r\n400\r\n"));
	assert_int_equal(runs[1].data.p[least - 1], 'b');
	assert_int_equal(runs[1].data.p[least], 'c');
	assert_int_equal(runs[1].data.p[least + least - 2], 'c');
	assert_int_equal(runs[2].data.n, least);
	assert_int_equal(runs[2].data.p[0], 'd');
	assert_int_equal(runs[2].at, b.n - strlen("\r\n0\r\n\r\n") - least);
	buf_free(&b);
}

static void what_came_before_a_fault_is_handed_over(void **state)
{
	char text[] = "1\r\na\r\n1\r\nb\r\nx\r\n";
	struct str in = str_c(text), data;
	struct h1_chunked d = {0};
	size_t used;

	(void)state;
	assert_ok(h1_chunked_next(&d, in, &used, &data));
	assert_str(data, STR("ab"));
	in = str_skip(in, used);
	assert_true(in.n > 0);
	assert_err(h1_chunked_next(&d, in, &used, &data), ERR_PROTO);
	assert_err(h1_chunked_next(&d, STR("0\r\n\r\n"), &used, &data), ERR_PROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_are_put_together),
		cmocka_unit_test(every_ambiguity_is_refused),
		cmocka_unit_test(floods_end),
		cmocka_unit_test(test_trailers_kept),
		cmocka_unit_test(test_trailers_count),
		cmocka_unit_test(large_sizes_stream),
		cmocka_unit_test(short_pieces_are_one),
		cmocka_unit_test(long_pieces_stay_where_they_are),
		cmocka_unit_test(what_came_before_a_fault_is_handed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
