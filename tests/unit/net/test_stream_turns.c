/*
 * What a stream may read and send in a turn of its loop, whoever asks it to go on: here are peers
 * that give and take as much as they are asked for, at once.
 */
#include "base/mem.h"
#include "net/stream.h"
#include "unit.h"

#include <sys/eventfd.h>

#define TURNS 20
#define READS_MAX 4
#define SENT_MAX ((size_t)1 << 20)
#define PIECE 1000 /* too short to be sent at once */
/* Then they are silent: without a limit there is no other end. */
#define READS_IN_ALL 4000
#define SENDS_IN_ALL 4000

static char page[STREAM_HIGH_WATER];

static struct world {
	struct loop *loop;
	struct stream *in, *out;
	struct later work;
	unsigned turns_left;
	/* of this turn, and the most of any */
	size_t reads, reads_most, sent, sent_most;
	size_t reads_in_all, sends_in_all;
} w;

static ptrdiff_t endless_recv(struct stream *s, void *p, size_t n)
{
	(void)s;
	memset(p, 'x', n);
	w.reads++;
	w.reads_most = MAX(w.reads_most, w.reads);
	return ++w.reads_in_all <= READS_IN_ALL ? (ptrdiff_t)n : -1;
}

static ptrdiff_t endless_sendv(struct stream *s, const struct str *v, unsigned n)
{
	size_t sum = 0;

	(void)s;
	for (unsigned i = 0; i < n; i++) {
		sum += v[i].n;
	}
	w.sent += sum;
	w.sent_most = MAX(w.sent_most, w.sent);
	return ++w.sends_in_all <= SENDS_IN_ALL ? (ptrdiff_t)sum : -1;
}

static const struct stream_ops endless = {.recv = endless_recv, .sendv = endless_sendv};

static size_t pass_on(struct stream *s, char *p, size_t n)
{
	struct str in = str_of(p, n);

	while (in.n > 0) {
		struct str piece = str_slice(in, 0, PIECE);

		stream_write(w.out, piece);
		in = str_skip(in, piece.n);
	}
	if (stream_pending(w.out) >= STREAM_HIGH_WATER) {
		stream_pause_read(s);
	}
	return n;
}

static void read_more(struct stream *s)
{
	(void)s;
	stream_resume_read(w.in);
}

static void write_more(struct stream *s)
{
	stream_write_mem(s, str_of(page, sizeof(page)), NULL, NULL);
}

static void on_close(struct stream *s, enum err why)
{
	(void)s;
	fail_msg("closed: %s", err_name(why));
}

static const struct stream_handler reader = {.on_data = pass_on, .on_close = on_close};
static const struct stream_handler relay = {.on_drained = read_more, .on_close = on_close};
static const struct stream_handler source = {.on_drained = write_more, .on_close = on_close};

static struct stream *open_endless(const struct stream_handler *h)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct stream *s = stream_new(w.loop, fd, h, NULL);

	s->ops = &endless;
	return s;
}

/* First in its turn: what was put off to it comes behind. */
static void on_turn(struct later *work)
{
	w.reads = w.sent = 0;
	if (--w.turns_left > 0) {
		loop_next_turn(w.loop, work, on_turn);
	} else {
		loop_stop(w.loop);
	}
}

static void run_turns(void)
{
	w.turns_left = TURNS;
	loop_next_turn(w.loop, &w.work, on_turn);
	loop_run(w.loop);
}

static void tear_down(void)
{
	stream_abort(w.in);
	stream_abort(w.out);
	loop_free(&w.loop);
}

static void set_up(const struct stream_handler *out)
{
	w = (struct world){.loop = loop_new(0)};
	w.in = open_endless(&reader);
	w.out = open_endless(out);
}

/* It drains as fast as the other one fills, so both could go on for ever. */
static void test_passing_on_ends_its_turn(void **state)
{
	(void)state;
	set_up(&relay);
	stream_readable(w.in);
	run_turns();
	assert_in_range(w.reads_most, 1, READS_MAX);
	assert_in_range(w.reads_in_all, TURNS, TURNS * READS_MAX);
	tear_down();
}

static void test_sending_ends_its_turn(void **state)
{
	(void)state;
	set_up(&source);
	write_more(w.out);
	run_turns();
	assert_in_range(w.sent_most, sizeof(page), SENT_MAX);
	assert_true(w.sends_in_all >= TURNS);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passing_on_ends_its_turn),
		cmocka_unit_test(test_sending_ends_its_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
