/*
 * WebSocket frames of both roles: a longer input never changes a verdict, and a
 * whole frame survives being written again.
 */
#include "ws/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool same_frame(const struct ws_frame *a, const struct ws_frame *b)
{
	return a->opcode == b->opcode && a->fin == b->fin && a->masked == b->masked &&
	       a->n == b->n && a->head_len == b->head_len && memcmp(a->mask, b->mask, 4) == 0;
}

static void check_cuts(struct str in, enum ws_role role, enum err want, const struct ws_frame *f)
{
	for (size_t cut = 0; cut < MIN(in.n, 16); cut++) {
		struct ws_frame g = {0};
		enum err e = ws_frame_parse(str_slice(in, 0, cut), role, &g);

		ASSERT(e == ERR_AGAIN || e == want);
		ASSERT(e != ERR_OK || same_frame(f, &g));
	}
}

static void check_written_again(struct str in, enum ws_role role, const struct ws_frame *f)
{
	enum ws_role writer = role == WS_SERVER ? WS_CLIENT : WS_SERVER;
	struct buf b = {0};
	struct ws_frame g;
	size_t mark = ws_frame_begin(&b);

	buf_append(&b, in.p + f->head_len, (size_t)f->n);
	ws_mask((uint8_t *)buf_head(&b) + mark + WS_HEAD_MAX, (size_t)f->n, f->mask, 0);
	ws_frame_finish(&b, mark, writer, f->opcode);
	ASSERT(ws_frame_parse(buf_str(&b), role, &g) == ERR_OK);
	ASSERT(g.opcode == f->opcode && g.n == f->n && g.head_len == f->head_len);
	ws_mask((uint8_t *)buf_head(&b) + g.head_len, (size_t)g.n, g.mask, 0);
	ws_mask((uint8_t *)buf_head(&b) + g.head_len, (size_t)g.n, f->mask, 0);
	ASSERT(g.n == 0 || memcmp(buf_head(&b) + g.head_len, in.p + f->head_len, (size_t)g.n) == 0);
	buf_free(&b);
}

static void check_role(struct str in, enum ws_role role)
{
	struct ws_frame f = {0};
	enum err e = ws_frame_parse(in, role, &f);

	check_cuts(in, role, e, &f);
	if (e == ERR_OK && f.n <= in.n - f.head_len) {
		check_written_again(in, role, &f);
		check_role(str_skip(in, f.head_len + (size_t)f.n), role);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = str_of(data, MIN(n, 4096));

	check_role(in, WS_SERVER);
	check_role(in, WS_CLIENT);
	return 0;
}
