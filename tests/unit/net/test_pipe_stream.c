/*
 * Both ends live on loops that the test itself turns, so each step is the test's: what happened
 * in a turn is known before the next begins.
 */
#include "net/pipe_stream.h"

#include "base/clock.h"
#include "base/mem.h"
#include "unit.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum act { ACT_NOTHING, ACT_CLOSE, ACT_ABORT, ACT_PAUSE, ACT_ECHO, ACT_ABORT_OTHER };

struct end {
	struct stream *s;
	struct end *other;
	struct buf got;
	size_t eat; /* at a call */
	size_t shown;
	enum act on_data, on_eof;
	unsigned datas, eofs, drains, closes;
	enum err why;
};

struct pipe {
	struct loop *loop;
	struct end a, b;
};

/* ---- turning a loop ---- */

struct turning {
	struct later work;
	struct loop *loop;
	unsigned left;
};

static void on_turn(struct later *w)
{
	struct turning *t = container_of(w, struct turning, work);

	if (--t->left == 0) {
		loop_stop(t->loop);
	} else {
		loop_next_turn(t->loop, &t->work, on_turn);
	}
}

static void turn(struct loop *l, unsigned n)
{
	struct turning t = {.loop = l, .left = n};

	loop_next_turn(l, &t.work, on_turn);
	loop_run(l);
}

struct sleeping {
	struct timer timer;
	struct loop *loop;
};

static void on_awake(struct timer *t)
{
	loop_stop(container_of(t, struct sleeping, timer)->loop);
}

/* Until something stops it, or that long. */
static void turn_for(struct loop *l, unsigned ms)
{
	struct sleeping s = {.loop = l};

	timer_start(l, &s.timer, ms, on_awake);
	loop_run(l);
	timer_stop(l, &s.timer);
}

/* ---- ends ---- */

static void perform(struct end *e, enum act a)
{
	switch (a) {
	case ACT_CLOSE:
		stream_close(e->s);
		break;
	case ACT_ABORT:
		stream_abort(e->s);
		break;
	case ACT_PAUSE:
		stream_pause_read(e->s);
		break;
	case ACT_ABORT_OTHER:
		stream_abort(e->other->s);
		break;
	case ACT_ECHO:
	case ACT_NOTHING:
		break;
	}
}

static size_t on_data(struct stream *s, char *p, size_t n)
{
	struct end *e = s->user;
	size_t used = MIN(n, e->eat);

	e->datas++;
	e->shown = n;
	buf_append(&e->got, p, used);
	if (e->on_data == ACT_ECHO) {
		stream_write(s, str_of(p, used));
	}
	perform(e, e->on_data);
	return used;
}

static void on_eof(struct stream *s)
{
	struct end *e = s->user;

	e->eofs++;
	perform(e, e->on_eof);
}

static void on_drained(struct stream *s)
{
	struct end *e = s->user;

	e->drains++;
}

static void on_close(struct stream *s, enum err why)
{
	struct end *e = s->user;

	e->closes++;
	e->why = why;
}

static const struct stream_handler handler = {on_data, on_eof, on_drained, on_close};
static const struct stream_handler handler_without_eof = {.on_data = on_data, .on_close = on_close};

static void open_pipe(struct pipe *p)
{
	struct stream *ends[2];

	pipe_stream_new(p->loop, ends);
	p->a = (struct end){.s = ends[0], .other = &p->b, .eat = SIZE_MAX};
	p->b = (struct end){.s = ends[1], .other = &p->a, .eat = SIZE_MAX};
	stream_set_handler(ends[0], &handler, &p->a);
	stream_set_handler(ends[1], &handler, &p->b);
}

static void set_up(struct pipe *p)
{
	p->loop = loop_new(0);
	open_pipe(p);
}

static void drop_bytes(struct pipe *p)
{
	buf_free(&p->a.got);
	buf_free(&p->b.got);
}

static void tear_down(struct pipe *p)
{
	drop_bytes(p);
	loop_free(&p->loop);
}

static void abort_both(struct pipe *p)
{
	stream_abort(p->a.s);
	stream_abort(p->b.s);
	tear_down(p);
}

/* `n` bytes in which a lost, doubled or swapped piece shows. */
static char *pattern(size_t n)
{
	char *p = mem_alloc(n);

	for (size_t i = 0; i < n; i++) {
		p[i] = (char)(i * 7 + (i >> 8) + (i >> 16));
	}
	return p;
}

/* ---- bytes ---- */

static void test_bytes_both_ways(void **state)
{
	struct pipe p;

	(void)state;
	set_up(&p);
	stream_write(p.a.s, STR("question"));
	stream_write(p.b.s, STR("ans"));
	stream_write(p.b.s, STR("wer"));
	assert_int_equal(p.a.datas + p.b.datas, 0);
	turn(p.loop, 1);
	assert_str(buf_str(&p.b.got), STR("question"));
	assert_str(buf_str(&p.a.got), STR("answer"));
	assert_int_equal(p.a.datas, 1);
	assert_int_equal(stream_pending(p.a.s), 0);
	assert_int_equal(p.a.s->bytes_out, 8);
	assert_int_equal(p.b.s->bytes_in, 8);
	assert_false(p.b.s->readable);
	abort_both(&p);
}

/* A question and its answer need one turn. */
static void test_answer_in_the_same_turn(void **state)
{
	struct pipe p;

	(void)state;
	set_up(&p);
	p.b.on_data = ACT_ECHO;
	stream_write(p.a.s, STR("x"));
	turn(p.loop, 1);
	assert_str(buf_str(&p.a.got), STR("x"));
	abort_both(&p);
}

/* Two ends that answer each other for ever still let the turn end. */
static void test_echo_without_end(void **state)
{
	struct pipe p;
	unsigned before;

	(void)state;
	set_up(&p);
	p.a.on_data = p.b.on_data = ACT_ECHO;
	stream_write(p.a.s, STR("x"));
	turn(p.loop, 1);
	before = p.a.datas;
	assert_in_range(before, LOOP_SOON_MAX / 2 - 1, LOOP_SOON_MAX / 2 + 1);
	turn(p.loop, 3);
	assert_in_range(p.a.datas, before + 1, 4 * (LOOP_SOON_MAX / 2 + 1));
	abort_both(&p);
}

static void test_unconsumed_is_shown_again(void **state)
{
	struct pipe p;

	(void)state;
	set_up(&p);
	p.b.eat = 0;
	stream_write(p.a.s, STR("ab"));
	turn(p.loop, 1);
	stream_write(p.a.s, STR("cd"));
	turn(p.loop, 1);
	assert_int_equal(p.b.shown, 4);
	p.b.eat = SIZE_MAX;
	stream_resume_read(p.b.s);
	turn(p.loop, 1);
	assert_str(buf_str(&p.b.got), STR("abcd"));
	abort_both(&p);
}

/* What an owner leaves does not fill the queue: more always comes, as from a socket. */
static void test_more_than_the_room_may_be_left(void **state)
{
	const size_t n = 5 * PIPE_STREAM_ROOM + 77;
	char *bytes = pattern(n);
	struct pipe p;

	(void)state;
	set_up(&p);
	p.b.eat = 0;
	stream_write(p.a.s, str_of(bytes, n));
	turn(p.loop, 20);
	assert_int_equal(p.b.shown, n);
	p.b.eat = SIZE_MAX;
	stream_resume_read(p.b.s);
	turn(p.loop, 1);
	assert_str(buf_str(&p.b.got), str_of(bytes, n));
	mem_free(bytes);
	abort_both(&p);
}

/* ---- back-pressure ---- */

static void test_back_pressure(void **state)
{
	const size_t n = 20 * PIPE_STREAM_ROOM;
	char *bytes = pattern(n);
	struct pipe p;

	(void)state;
	set_up(&p);
	stream_pause_read(p.b.s);
	stream_write(p.a.s, str_of(bytes, n));
	turn(p.loop, 3);
	assert_int_equal(p.b.datas, 0);
	assert_int_equal(stream_pending(p.a.s), n - PIPE_STREAM_ROOM);
	assert_int_equal(p.a.drains, 0);
	stream_resume_read(p.b.s);
	turn(p.loop, 5);
	assert_str(buf_str(&p.b.got), str_of(bytes, n));
	assert_int_equal(p.a.drains, 1);
	assert_int_equal(stream_pending(p.a.s), 0);
	mem_free(bytes);
	abort_both(&p);
}

static void test_pause_after_each_piece(void **state)
{
	const size_t n = 3 * PIPE_STREAM_ROOM + 5;
	char *bytes = pattern(n);
	struct pipe p;

	(void)state;
	set_up(&p);
	p.b.on_data = ACT_PAUSE;
	stream_write(p.a.s, str_of(bytes, n));
	for (unsigned i = 1; i < 100 && p.b.got.n < n; i++) {
		turn(p.loop, 2);
		assert_int_equal(p.b.datas, i);
		assert_in_range(n - p.b.got.n - stream_pending(p.a.s), 0, PIPE_STREAM_ROOM);
		stream_resume_read(p.b.s);
	}
	assert_str(buf_str(&p.b.got), str_of(bytes, n));
	mem_free(bytes);
	abort_both(&p);
}

static void test_writer_times_out(void **state)
{
	const size_t n = 2 * PIPE_STREAM_ROOM;
	char *bytes = pattern(n);
	struct pipe p;

	(void)state;
	set_up(&p);
	p.a.s->write_timeout_ms = 10;
	stream_pause_read(p.b.s);
	stream_write(p.a.s, str_of(bytes, n));
	turn_for(p.loop, 60);
	assert_int_equal(p.a.closes, 1);
	assert_err(p.a.why, ERR_TIMEOUT);
	assert_int_equal(p.b.closes, 0);
	stream_resume_read(p.b.s);
	turn(p.loop, 2);
	assert_str(buf_str(&p.b.got), str_of(bytes, PIPE_STREAM_ROOM));
	assert_int_equal(p.b.closes, 1);
	assert_err(p.b.why, ERR_IO);
	mem_free(bytes);
	tear_down(&p);
}

/* The time counts from the last bytes that the other took, however long all of it takes. */
static void test_writer_waits_for_a_slow_reader(void **state)
{
	const size_t n = 6 * PIPE_STREAM_ROOM;
	char *bytes = pattern(n);
	uint64_t begin = clock_mono_ms();
	struct pipe p;

	(void)state;
	set_up(&p);
	p.a.s->write_timeout_ms = 1000;
	p.b.on_data = ACT_PAUSE;
	stream_write(p.a.s, str_of(bytes, n));
	while (p.a.closes == 0 && p.b.got.n < n) {
		turn_for(p.loop, 300);
		stream_resume_read(p.b.s);
	}
	assert_int_equal(p.a.closes, 0);
	assert_str(buf_str(&p.b.got), str_of(bytes, n));
	assert_true(clock_mono_ms() - begin > p.a.s->write_timeout_ms);
	mem_free(bytes);
	abort_both(&p);
}

static void count_release(void *arg)
{
	++*(unsigned *)arg;
}

static void test_memory_and_files(void **state)
{
	char path[] = "/tmp/posthouse-pipe-XXXXXX";
	const size_t n = 300000;
	char *bytes = pattern(n);
	unsigned released = 0;
	struct pipe p;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	(void)unlink(path);
	assert_int_equal(write(fd, bytes, n), n);
	set_up(&p);
	stream_write(p.a.s, STR("<"));
	stream_write_mem(p.a.s, str_of(bytes, n), count_release, &released);
	stream_write_file(p.a.s, fd, 0, n, NULL, NULL);
	stream_write(p.a.s, STR(">"));
	turn(p.loop, 10);
	assert_int_equal(released, 1);
	assert_int_equal(p.b.got.n, 2 * n + 2);
	assert_memory_equal(buf_head(&p.b.got) + 1, bytes, n);
	assert_memory_equal(buf_head(&p.b.got) + 1 + n, bytes, n);
	mem_free(bytes);
	abort_both(&p);
}

/* ---- ends ---- */

static void test_close_after_bytes(void **state)
{
	const size_t n = 7 * PIPE_STREAM_ROOM + 3;
	char *bytes = pattern(n);
	struct pipe p;

	(void)state;
	set_up(&p);
	p.b.on_eof = ACT_CLOSE;
	stream_write(p.a.s, str_of(bytes, n));
	stream_close(p.a.s);
	turn(p.loop, 10);
	assert_str(buf_str(&p.b.got), str_of(bytes, n));
	assert_int_equal(p.b.eofs, 1);
	assert_int_equal(p.b.closes, 0);
	assert_int_equal(p.a.closes, 0);
	assert_false(loop_has_ends(p.loop));
	mem_free(bytes);
	tear_down(&p);
}

static void test_end_without_on_eof(void **state)
{
	struct pipe p;

	(void)state;
	set_up(&p);
	stream_set_handler(p.b.s, &handler_without_eof, &p.b);
	stream_write(p.a.s, STR("last"));
	stream_close(p.a.s);
	turn(p.loop, 2);
	assert_str(buf_str(&p.b.got), STR("last"));
	assert_int_equal(p.b.closes, 1);
	assert_err(p.b.why, ERR_CLOSED);
	assert_false(loop_has_ends(p.loop));
	tear_down(&p);
}

/* The one that has closed first still gets rid of the other's bytes, and waits for its end. */
static void test_half_closed(void **state)
{
	const size_t n = 3 * PIPE_STREAM_ROOM;
	char *bytes = pattern(n);
	struct pipe p;

	(void)state;
	set_up(&p);
	stream_close(p.a.s);
	turn(p.loop, 1);
	assert_int_equal(p.b.eofs, 1);
	stream_write(p.b.s, str_of(bytes, n));
	turn(p.loop, 5);
	assert_int_equal(stream_pending(p.b.s), 0);
	assert_true(loop_has_ends(p.loop));
	stream_close(p.b.s);
	turn(p.loop, 2);
	assert_false(loop_has_ends(p.loop));
	assert_int_equal(p.a.datas, 0);
	mem_free(bytes);
	tear_down(&p);
}

static void test_abort_shows_what_has_come(void **state)
{
	struct pipe p;

	(void)state;
	set_up(&p);
	stream_pause_read(p.b.s);
	stream_write(p.a.s, STR("half an answer"));
	turn(p.loop, 1);
	stream_abort(p.a.s);
	turn(p.loop, 1);
	assert_int_equal(p.b.closes, 0);
	stream_resume_read(p.b.s);
	turn(p.loop, 1);
	assert_str(buf_str(&p.b.got), STR("half an answer"));
	assert_int_equal(p.b.eofs, 0);
	assert_int_equal(p.b.closes, 1);
	assert_err(p.b.why, ERR_IO);
	tear_down(&p);
}

static void test_write_to_nobody(void **state)
{
	struct pipe p;

	(void)state;
	set_up(&p);
	stream_pause_read(p.a.s);
	stream_abort(p.b.s);
	turn(p.loop, 1);
	assert_int_equal(p.a.closes, 0);
	stream_write(p.a.s, STR("hello?"));
	turn(p.loop, 1);
	assert_int_equal(p.a.closes, 1);
	assert_err(p.a.why, ERR_IO);
	tear_down(&p);
}

/* Blocked by a full queue, whose reader goes. */
static void test_reader_goes(void **state)
{
	static const enum act ways[] = {ACT_CLOSE, ACT_ABORT};
	const size_t n = 4 * PIPE_STREAM_ROOM;
	char *bytes = pattern(n);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		struct pipe p;

		set_up(&p);
		p.a.on_eof = ACT_CLOSE;
		stream_pause_read(p.b.s);
		stream_write(p.a.s, str_of(bytes, n));
		turn(p.loop, 1);
		perform(&p.b, ways[i]);
		turn(p.loop, 5);
		assert_int_equal(p.a.closes, ways[i] == ACT_ABORT);
		assert_int_equal(p.a.eofs, ways[i] == ACT_CLOSE);
		assert_int_equal(p.b.datas + p.b.closes, 0);
		assert_false(loop_has_ends(p.loop));
		tear_down(&p);
	}
	mem_free(bytes);
}

/*
 * Every order: who ends first and how, with bytes unread, unsent or neither, in one turn or
 * several; then the other, unless it is gone by then. Both must be freed (the sanitizer looks)
 * and nobody told twice.
 */
static void end_in_order(struct pipe *p, enum act first, enum act second, size_t bytes,
			 unsigned turns, bool paused)
{
	char *data = pattern(MAX(bytes, 1));
	bool stuck;

	set_up(p);
	p->a.on_eof = p->b.on_eof = ACT_NOTHING;
	if (paused) {
		stream_pause_read(p->a.s);
		stream_pause_read(p->b.s);
	}
	stream_write(p->a.s, str_of(data, bytes));
	stream_write(p->b.s, str_of(data, bytes));
	if (turns > 1) {
		turn(p->loop, 1);
	}
	perform(&p->a, first);
	if (turns > 0) {
		turn(p->loop, turns);
	}
	assert_int_equal(p->a.closes, 0);
	assert_in_range(p->b.eofs + p->b.closes, 0, 1);
	if (p->b.closes == 0) {
		perform(&p->b, second);
	}
	turn(p->loop, 8);
	assert_int_equal(p->a.closes + p->a.eofs, 0);
	assert_in_range(p->b.eofs + p->b.closes, 0, 1);
	/* Two that close with full queues and read nothing wait for each other: until a timeout. */
	stuck = paused && first == ACT_CLOSE && second == ACT_CLOSE && bytes > PIPE_STREAM_ROOM;
	assert_int_equal(loop_has_ends(p->loop), stuck);
	tear_down(p);
	mem_free(data);
}

static void test_every_order_of_ends(void **state)
{
	static const enum act ways[] = {ACT_CLOSE, ACT_ABORT};
	static const size_t sizes[] = {0, 100, PIPE_STREAM_ROOM, 3 * PIPE_STREAM_ROOM};

	(void)state;
	for (unsigned i = 0; i < 2 * 2 * ARRAY_LEN(sizes) * 4 * 2; i++) {
		struct pipe p;

		end_in_order(&p, ways[i & 1], ways[i >> 1 & 1], sizes[i >> 2 & 3], i >> 4 & 3,
			     i >> 6 & 1);
	}
}

static void test_end_inside_on_data(void **state)
{
	static const enum act ways[] = {ACT_CLOSE, ACT_ABORT, ACT_ABORT_OTHER};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		struct pipe p;

		set_up(&p);
		p.a.on_eof = ACT_CLOSE;
		p.b.on_data = ways[i];
		stream_write(p.a.s, STR("x"));
		turn(p.loop, 3);
		assert_int_equal(p.b.datas, 1);
		assert_int_equal(p.a.eofs, ways[i] == ACT_CLOSE);
		assert_int_equal(p.a.closes, ways[i] == ACT_ABORT);
		assert_int_equal(p.b.closes, ways[i] == ACT_ABORT_OTHER);
		assert_false(loop_has_ends(p.loop));
		tear_down(&p);
	}
}

/* One that is still closing ends with the loop. */
static void test_loop_ends(void **state)
{
	struct pipe p;

	(void)state;
	set_up(&p);
	stream_close(p.a.s);
	turn(p.loop, 1);
	stream_abort(p.b.s);
	open_pipe(&p);
	stream_close(p.a.s);
	stream_close(p.b.s);
	tear_down(&p);
}

/* ---- names ---- */

static void test_names(void **state)
{
	struct addr name, got;
	struct pipe p;

	(void)state;
	assert_ok(addr_parse(STR("[2001:db8::7]:81"), &name));
	set_up(&p);
	assert_err(stream_peer(p.b.s, &got), ERR_NOT_FOUND);
	pipe_stream_set_name(p.a.s, &name);
	assert_ok(stream_peer(p.b.s, &got));
	assert_int_equal(addr_port(&got), 81);
	assert_err(stream_peer(p.a.s, &got), ERR_NOT_FOUND);
	pipe_stream_set_name(p.a.s, NULL);
	assert_err(stream_peer(p.b.s, &got), ERR_NOT_FOUND);
	stream_abort(p.b.s);
	pipe_stream_set_name(p.a.s, &name);
	stream_abort(p.a.s);
	tear_down(&p);
}

/* ---- to another loop ---- */

static void move(struct stream *s, struct loop *to)
{
	stream_detach(s);
	stream_attach(s, to);
}

/* Turns both until nothing has moved for a while. */
static void turn_both(struct loop *l, struct loop *m)
{
	for (unsigned i = 0; i < 40; i++) {
		turn(l, 1);
		turn(m, 1);
	}
}

static void test_move(void **state)
{
	struct loop *there = loop_new(1);
	struct pipe p;

	(void)state;
	set_up(&p);
	stream_write(p.a.s, STR("before"));
	turn(p.loop, 1);
	move(p.b.s, there);
	stream_write(p.a.s, STR(" after"));
	stream_write(p.b.s, STR("back"));
	turn_both(p.loop, there);
	assert_str(buf_str(&p.b.got), STR("before after"));
	assert_str(buf_str(&p.a.got), STR("back"));
	p.b.on_eof = ACT_CLOSE;
	stream_close(p.a.s);
	turn_both(p.loop, there);
	assert_int_equal(p.b.eofs, 1);
	assert_false(loop_has_ends(p.loop));
	assert_false(loop_has_ends(there));
	drop_bytes(&p);
	loop_free(&there);
	loop_free(&p.loop);
}

/* Queued in the pipe, left by the owners, unsent: all of it arrives once and in order. */
static void test_move_with_both_directions_full(void **state)
{
	const size_t n = 10 * PIPE_STREAM_ROOM + 11;
	struct loop *there = loop_new(1);
	char *bytes = pattern(n);
	struct pipe p;

	(void)state;
	set_up(&p);
	p.a.eat = p.b.eat = 0;
	stream_write(p.a.s, STR("ab"));
	stream_write(p.b.s, STR("ab"));
	turn(p.loop, 1);
	stream_pause_read(p.a.s);
	stream_pause_read(p.b.s);
	stream_write(p.a.s, str_of(bytes, n));
	stream_write(p.b.s, str_of(bytes, n));
	turn(p.loop, 1);
	move(p.b.s, there);
	turn_both(p.loop, there);
	assert_int_equal(p.a.datas + p.b.datas, 2);
	p.a.eat = p.b.eat = SIZE_MAX;
	stream_resume_read(p.a.s);
	stream_resume_read(p.b.s);
	turn_both(p.loop, there);
	assert_int_equal(p.b.got.n, n + 2);
	assert_memory_equal(buf_head(&p.b.got), "ab", 2);
	assert_memory_equal(buf_head(&p.b.got) + 2, bytes, n);
	assert_int_equal(p.a.got.n, n + 2);
	assert_memory_equal(buf_head(&p.a.got) + 2, bytes, n);
	stream_abort(p.a.s);
	stream_abort(p.b.s);
	drop_bytes(&p);
	mem_free(bytes);
	loop_free(&there);
	loop_free(&p.loop);
}

/* The other end was closed or has gone before the move: bytes, then the end. */
static void test_move_after_the_end(void **state)
{
	static const enum act ways[] = {ACT_CLOSE, ACT_ABORT};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		struct loop *there = loop_new(1);
		struct pipe p;

		set_up(&p);
		stream_pause_read(p.b.s);
		stream_write(p.a.s, STR("last"));
		turn(p.loop, 1);
		perform(&p.a, ways[i]);
		turn(p.loop, 1);
		move(p.b.s, there);
		stream_resume_read(p.b.s);
		turn_both(p.loop, there);
		assert_str(buf_str(&p.b.got), STR("last"));
		assert_int_equal(p.b.eofs, 1);
		stream_close(p.b.s);
		turn_both(p.loop, there);
		assert_false(loop_has_ends(p.loop));
		assert_false(loop_has_ends(there));
		drop_bytes(&p);
		loop_free(&there);
		loop_free(&p.loop);
	}
}

/* Lost between two loops. */
static void test_end_while_detached(void **state)
{
	struct pipe p;

	(void)state;
	set_up(&p);
	stream_detach(p.b.s);
	stream_abort(p.b.s);
	turn(p.loop, 3);
	assert_int_equal(p.a.eofs, 1);
	stream_close(p.a.s);
	turn(p.loop, 1);
	tear_down(&p);
}

static void test_move_without_descriptors(void **state)
{
	struct loop *there = loop_new(1);
	struct rlimit was, none;
	struct pipe p;

	(void)state;
	set_up(&p);
	stream_pause_read(p.b.s);
	stream_write(p.a.s, STR("last"));
	turn(p.loop, 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){.rlim_cur = 3, .rlim_max = was.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	move(p.b.s, there);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	stream_resume_read(p.b.s);
	turn_both(p.loop, there);
	assert_int_equal(p.a.eofs + p.a.closes, 1);
	assert_int_equal(p.b.eofs + p.b.closes, 1);
	assert_str(buf_str(&p.b.got), STR("last"));
	if (p.a.closes == 0) {
		stream_abort(p.a.s);
	}
	if (p.b.closes == 0) {
		stream_abort(p.b.s);
	}
	drop_bytes(&p);
	loop_free(&there);
	loop_free(&p.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_both_ways),
		cmocka_unit_test(test_answer_in_the_same_turn),
		cmocka_unit_test(test_echo_without_end),
		cmocka_unit_test(test_unconsumed_is_shown_again),
		cmocka_unit_test(test_more_than_the_room_may_be_left),
		cmocka_unit_test(test_back_pressure),
		cmocka_unit_test(test_pause_after_each_piece),
		cmocka_unit_test(test_writer_times_out),
		cmocka_unit_test(test_writer_waits_for_a_slow_reader),
		cmocka_unit_test(test_memory_and_files),
		cmocka_unit_test(test_close_after_bytes),
		cmocka_unit_test(test_end_without_on_eof),
		cmocka_unit_test(test_half_closed),
		cmocka_unit_test(test_abort_shows_what_has_come),
		cmocka_unit_test(test_write_to_nobody),
		cmocka_unit_test(test_reader_goes),
		cmocka_unit_test(test_every_order_of_ends),
		cmocka_unit_test(test_end_inside_on_data),
		cmocka_unit_test(test_loop_ends),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_move_with_both_directions_full),
		cmocka_unit_test(test_move_after_the_end),
		cmocka_unit_test(test_end_while_detached),
		cmocka_unit_test(test_move_without_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
