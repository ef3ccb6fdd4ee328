#include "unit.h"

#include "ws/frame.h"

static void heads_are_read(void **state)
{
	static const struct {
		struct str in;
		enum ws_role role;
		enum ws_opcode op;
		uint64_t n;
		size_t head;
		bool fin;
	} cases[] = {
		{STR_INIT("\x81\x05"), WS_CLIENT, WS_TEXT, 5, 2, true},
		{STR_INIT("\x01\x7d"), WS_CLIENT, WS_TEXT, 125, 2, false},
		{STR_INIT("\x00\x00"), WS_CLIENT, WS_CONT, 0, 2, false},
		{STR_INIT("\x82\x7e\x00\x7e"), WS_CLIENT, WS_BINARY, 126, 4, true},
		{STR_INIT("\x82\x7e\xff\xff"), WS_CLIENT, WS_BINARY, 65535, 4, true},
		{STR_INIT("\x82\x7f\0\0\0\0\0\x01\0\0"), WS_CLIENT, WS_BINARY, 65536, 10, true},
		{STR_INIT("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), WS_CLIENT, WS_BINARY,
		 INT64_MAX, 10, true},
		{STR_INIT("\x89\xfd\1\2\3\4"), WS_SERVER, WS_PING, 125, 6, true},
		{STR_INIT("\x82\xff\0\0\0\0\0\x01\0\0\1\2\3\4"), WS_SERVER, WS_BINARY, 65536, 14,
		 true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ws_frame f;

		for (size_t cut = 0; cut < cases[i].in.n; cut++) {
			assert_err(ws_frame_parse(str_of(cases[i].in.p, cut), cases[i].role, &f),
				   ERR_AGAIN);
		}
		assert_ok(ws_frame_parse(cases[i].in, cases[i].role, &f));
		assert_int_equal(f.opcode, cases[i].op);
		assert_true(f.n == cases[i].n);
		assert_int_equal(f.head_len, cases[i].head);
		assert_int_equal(f.fin, cases[i].fin);
		assert_int_equal(f.masked, cases[i].role == WS_SERVER);
		if (f.masked) {
			assert_memory_equal(f.mask, "\1\2\3\4", 4);
		}
	}
}

static void broken_heads_are_refused(void **state)
{
	static const struct {
		struct str in;
		enum ws_role role;
	} cases[] = {
		{STR_INIT("\xc1\x00"), WS_CLIENT}, /* reserved bits */
		{STR_INIT("\xa1\x00"), WS_CLIENT},
		{STR_INIT("\x91\x00"), WS_CLIENT},
		{STR_INIT("\x83\x00"), WS_CLIENT}, /* opcodes */
		{STR_INIT("\x87\x00"), WS_CLIENT},
		{STR_INIT("\x8b\x00"), WS_CLIENT},
		{STR_INIT("\x8f\x00"), WS_CLIENT},
		{STR_INIT("\x81\x80"), WS_CLIENT}, /* masks */
		{STR_INIT("\x81\x00"), WS_SERVER},
		{STR_INIT("\x09\x00"), WS_CLIENT}, /* control frames */
		{STR_INIT("\x89\x7e"), WS_CLIENT},
		{STR_INIT("\x88\xff"), WS_SERVER},
		{STR_INIT("\x81\x7e\x00\x7d"), WS_CLIENT}, /* lengths */
		{STR_INIT("\x81\x7f\0\0\0\0\0\0\xff\xff"), WS_CLIENT},
		{STR_INIT("\x81\x7f\x80\0\0\0\0\0\0\0"), WS_CLIENT},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ws_frame f;

		assert_err(ws_frame_parse(cases[i].in, cases[i].role, &f), ERR_PROTO);
	}
}

/* Every start, length and alignment up to a few vectors. */
static void masking_is_plain_xor(void **state)
{
	const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	uint8_t data[80], want[80];

	(void)state;
	for (size_t from = 0; from < 17; from++) {
		for (size_t n = 0; n + from <= 60; n++) {
			for (size_t i = 0; i < sizeof(data); i++) {
				data[i] = want[i] = (uint8_t)(i * 7);
			}
			for (size_t i = 0; i < n; i++) {
				want[from + i] ^= mask[(i + n) & 3];
			}
			ws_mask(data + from, n, mask, n);
			assert_memory_equal(data, want, sizeof(data));
		}
	}
}

static void fill(struct buf *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_putc(b, (char)(i * 31));
	}
}

/* Reads the frame at `at` and checks that it holds the bytes of fill(n). */
static size_t check_frame(struct buf *b, size_t at, enum ws_role writer, size_t n)
{
	enum ws_role reader = writer == WS_CLIENT ? WS_SERVER : WS_CLIENT;
	struct ws_frame f;
	uint8_t *p;

	assert_ok(ws_frame_parse(str_skip(buf_str(b), at), reader, &f));
	assert_true(f.fin && f.opcode == WS_BINARY && f.n == n);
	assert_true(at + f.head_len + n <= b->n);
	p = (uint8_t *)buf_head(b) + at + f.head_len;
	if (f.masked) {
		ws_mask(p, n, f.mask, 0);
	}
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(p[i], (uint8_t)(i * 31));
	}
	return at + f.head_len + n;
}

static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 70000};

static void written_frames_read_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes) * 2; i++) {
		enum ws_role role = i % 2 ? WS_CLIENT : WS_SERVER;
		struct buf payload = {0}, out = {0};

		fill(&payload, sizes[i / 2]);
		ws_frame_write(&out, role, WS_BINARY, buf_str(&payload));
		assert_int_equal(check_frame(&out, 0, role, sizes[i / 2]), out.n);
		buf_clear(&out);
		ws_frame_write_head(&out, WS_BINARY, sizes[i / 2]);
		buf_put(&out, buf_str(&payload));
		assert_int_equal(check_frame(&out, 0, WS_SERVER, sizes[i / 2]), out.n);
		buf_free(&payload);
		buf_free(&out);
	}
}

/* Behind nothing, behind a short frame and behind a long one: both ways to close the gap. */
static void frames_built_in_place_read_back(void **state)
{
	static const size_t before[] = {0, 3, 90000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes) * 2 * ARRAY_LEN(before); i++) {
		enum ws_role role = i % 2 ? WS_CLIENT : WS_SERVER;
		size_t n = sizes[i / 2 % ARRAY_LEN(sizes)],
		       first = before[i / 2 / ARRAY_LEN(sizes)];
		struct buf payload = {0}, out = {0};
		size_t mark, at = 0;

		fill(&payload, first);
		if (first > 0) {
			ws_frame_write(&out, role, WS_BINARY, buf_str(&payload));
		}
		mark = ws_frame_begin(&out);
		fill(&out, n);
		ws_frame_finish(&out, mark, role, WS_BINARY);
		if (first > 0) {
			at = check_frame(&out, 0, role, first);
		}
		assert_int_equal(check_frame(&out, at, role, n), out.n);
		buf_free(&payload);
		buf_free(&out);
	}
}

static void close_codes(void **state)
{
	static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999};
	static const unsigned bad[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(ws_close_code_is_valid(good[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(ws_close_code_is_valid(bad[i]));
	}
}

/* RFC 6455 1.3 */
static void accept_key(void **state)
{
	char out[28];

	(void)state;
	ws_accept_key(STR("dGhlIHNhbXBsZSBub25jZQ=="), out);
	assert_memory_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_are_read),
		cmocka_unit_test(broken_heads_are_refused),
		cmocka_unit_test(masking_is_plain_xor),
		cmocka_unit_test(written_frames_read_back),
		cmocka_unit_test(frames_built_in_place_read_back),
		cmocka_unit_test(close_codes),
		cmocka_unit_test(accept_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
