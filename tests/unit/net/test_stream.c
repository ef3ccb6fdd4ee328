/* Input and the end; test_stream_out.c has the output, test_stream_life.c the rest. */
#include "net/stream.h"

#include "stream_fixture.h"

/* ---- input ---- */

static void test_partial_consumption(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	set_eat(&f, 2);
	peer_send(&f, STR("abcdef"));
	WAIT(&f, f.count[EV_DATA] == 1);
	expect_bytes(&f, &f.shown, STR("abcdef"));

	peer_send(&f, STR("gh"));
	WAIT(&f, f.count[EV_DATA] == 2);
	expect_bytes(&f, &f.shown, STR("cdefgh"));
	set_eat(&f, SIZE_MAX);

	peer_send(&f, STR("i"));
	WAIT(&f, f.count[EV_DATA] == 3);
	expect_bytes(&f, &f.shown, STR("efghi"));
	expect_bytes(&f, &f.eaten, STR("abcdefghi"));

	peer_send(&f, STR("j"));
	WAIT(&f, f.count[EV_DATA] == 4);
	expect_bytes(&f, &f.shown, STR("j"));
	tear_down(&f);
}

static void test_resume_shows_the_rest_again(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	set_eat(&f, 0);
	peer_send(&f, STR("abc"));
	WAIT(&f, f.count[EV_DATA] == 1);
	settle(&f);
	assert_int_equal(f.count[EV_DATA], 1);
	set_eat(&f, SIZE_MAX);
	act(&f, ACT_RESUME);
	WAIT(&f, f.count[EV_DATA] == 2);
	expect_bytes(&f, &f.eaten, STR("abc"));
	tear_down(&f);
}

/* Input larger than the scratch, kept whole by the stream until the owner takes it. */
static void test_large_rest(void **state)
{
	const size_t total = 300000;
	char *p = pattern(total);
	struct fixture f;

	(void)state;
	set_up(&f);
	set_eat(&f, 0);
	peer_send(&f, str_of(p, total));
	WAIT(&f, f.shown.n == total);
	set_eat(&f, SIZE_MAX);
	act(&f, ACT_RESUME);
	WAIT(&f, f.eaten.n == total);
	expect_bytes(&f, &f.eaten, str_of(p, total));
	tear_down(&f);
	mem_free(p);
}

static void test_pause(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	act(&f, ACT_PAUSE);
	peer_send(&f, STR("abc"));
	(void)shutdown(f.peer, SHUT_WR);
	settle(&f);
	assert_int_equal(f.count[EV_DATA], 0);
	assert_int_equal(f.count[EV_EOF], 0);
	act(&f, ACT_RESUME);
	WAIT(&f, f.count[EV_EOF] == 1);
	expect_bytes(&f, &f.eaten, STR("abc"));
	tear_down(&f);
}

static void test_pause_inside_on_data(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	react(&f, EV_DATA, ACT_PAUSE);
	set_eat(&f, 1);
	peer_send(&f, STR("abc"));
	WAIT(&f, f.count[EV_DATA] == 1);
	peer_send(&f, STR("def"));
	for (unsigned i = 2; i <= 6; i++) {
		settle(&f);
		assert_int_equal(f.count[EV_DATA], i - 1);
		act(&f, ACT_RESUME);
		WAIT(&f, f.count[EV_DATA] == i);
	}
	expect_bytes(&f, &f.eaten, STR("abcdef"));
	tear_down(&f);
}

static void test_counts_bytes(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	f.say = STR("four");
	peer_send(&f, STR("abc"));
	WAIT(&f, f.count[EV_DATA] == 1);
	act(&f, ACT_WRITE);
	peer_expect(&f, STR("four"));
	settle(&f);
	assert_int_equal(f.s->bytes_in, 3);
	assert_int_equal(f.s->bytes_out, 4);
	tear_down(&f);
}

/* ---- the end ---- */

/* A peer that has said all may still listen. */
static void test_eof_leaves_the_other_way_open(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	f.say = STR("answer");
	react(&f, EV_EOF, ACT_WRITE);
	peer_send(&f, STR("ask"));
	(void)shutdown(f.peer, SHUT_WR);
	peer_expect(&f, STR("answer"));
	settle(&f);
	assert_int_equal(f.count[EV_EOF], 1);
	assert_int_equal(f.count[EV_CLOSE], 0);
	tear_down(&f);
}

static void test_eof_unheard_closes(void **state)
{
	struct fixture f;

	(void)state;
	set_up_with(&f, &handler_without_eof);
	(void)shutdown(f.peer, SHUT_WR);
	WAIT(&f, f.count[EV_CLOSE] == 1);
	assert_err(f.why, ERR_CLOSED);
	peer_expect_end(&f);
	assert_int_equal(f.freed, 1);
	fixture_fini(&f);
}

static void test_reset_is_told_once(void **state)
{
	char *p = pattern(4 << 20);
	struct fixture f;

	(void)state;
	set_up(&f);
	f.say = str_of(p, 4 << 20); /* so that both directions see the reset */
	act(&f, ACT_WRITE);
	peer_reset(&f);
	WAIT(&f, f.count[EV_CLOSE] == 1);
	assert_err(f.why, ERR_IO);
	settle(&f);
	assert_int_equal(f.count[EV_CLOSE], 1);
	assert_int_equal(f.freed, 1);
	fixture_fini(&f);
	mem_free(p);
}

static void test_close_sends_fin_and_waits_for_the_peers(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	act(&f, ACT_CLOSE);
	peer_expect_end(&f);
	peer_send(&f, STR("late words"));
	settle(&f);
	assert_int_equal(f.freed, 0);
	(void)shutdown(f.peer, SHUT_WR);
	WAIT(&f, f.freed == 1);
	assert_int_equal(f.count[EV_DATA] + f.count[EV_EOF] + f.count[EV_CLOSE], 0);
	fixture_fini(&f);
}

static void run_end(struct loop *l, void *arg)
{
	struct fixture *f = arg;

	(void)l;
	stream_write(f->s, STR("bye"));
	stream_close_last(f->s);
}

static void test_end_does_not_wait_for_the_peer(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	loop_call(f.loops.v[0], run_end, &f);
	peer_expect(&f, STR("bye"));
	peer_expect_end(&f);
	settle(&f);
	assert_int_equal(f.freed, 1);
	assert_int_equal(f.count[EV_CLOSE], 0);
	fixture_fini(&f);
}

/* A peer that said it would send no more, and did: a reset would eat the answer. */
static void test_end_waits_for_a_peer_that_goes_on(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	act(&f, ACT_PAUSE);
	peer_send(&f, STR("more"));
	settle(&f);
	loop_call(f.loops.v[0], run_end, &f);
	peer_expect(&f, STR("bye"));
	peer_expect_end(&f);
	settle(&f);
	assert_int_equal(f.freed, 0);
	(void)shutdown(f.peer, SHUT_WR);
	WAIT(&f, f.freed == 1);
	fixture_fini(&f);
}

static void test_close_does_not_wait_for_ever(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	act(&f, ACT_CLOSE);
	WAIT(&f, f.freed == 1); /* the peer keeps its end open */
	assert_int_equal(f.count[EV_CLOSE], 0);
	fixture_fini(&f);
}

/* Unread input at close(2) makes TCP send RST, which eats the answer on its way. */
static void test_close_with_unread_input_keeps_the_answer(void **state)
{
	char *p = pattern(200000);
	struct fixture f;

	(void)state;
	set_up(&f);
	act(&f, ACT_PAUSE);
	peer_send(&f, str_of(p, 200000));
	f.say = STR("413");
	act(&f, ACT_WRITE);
	act(&f, ACT_CLOSE);
	peer_send(&f, str_of(p, 200000));
	peer_expect(&f, STR("413"));
	peer_expect_end(&f);
	(void)shutdown(f.peer, SHUT_WR);
	WAIT(&f, f.freed == 1);
	fixture_fini(&f);
	mem_free(p);
}

/* What the kernel takes of a peer that sends for as long as it can. */
static size_t pour(struct fixture *f)
{
	const size_t most = (size_t)1 << 30;
	char *p = pattern(1 << 20);
	size_t total = 0;
	ssize_t n;

	while (total < most && (n = send(f->peer, p, 1 << 20, MSG_NOSIGNAL)) > 0) {
		total += (size_t)n;
	}
	mem_free(p);
	return total;
}

static void test_close_does_not_read_on_and_on(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	f.say = STR("414");
	act(&f, ACT_WRITE);
	act(&f, ACT_CLOSE);
	peer_expect(&f, STR("414"));
	peer_expect_end(&f);
	assert_true(pour(&f) < (size_t)64 << 20);
	WAIT(&f, f.freed == 1);
	fixture_fini(&f);
}

/* Nor while the answer is not out. */
static void test_close_of_a_blocked_write_does_not_read_on_and_on(void **state)
{
	const size_t total = 16 << 20;
	char *p = pattern(total);
	struct fixture f;

	(void)state;
	set_up(&f);
	f.s->write_timeout_ms = 1000;
	f.say = str_of(p, total);
	act(&f, ACT_WRITE);
	act(&f, ACT_CLOSE);
	assert_true(pour(&f) < (size_t)64 << 20);
	WAIT(&f, f.freed == 1);
	fixture_fini(&f);
	mem_free(p);
}

static void test_abort(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	act(&f, ACT_ABORT);
	peer_expect_end(&f);
	assert_int_equal(f.freed, 1);
	assert_int_equal(f.count[EV_CLOSE], 0);
	fixture_fini(&f);
}

static void run_cut(struct loop *l, void *arg)
{
	struct fixture *f = arg;

	(void)l;
	stream_write(f->s, STR("half of"));
	stream_cut(f->s);
}

static void test_cut(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	loop_call(f.loops.v[0], run_cut, &f);
	peer_expect(&f, STR("half of"));
	peer_expect_end(&f);
	assert_int_equal(f.freed, 1);
	assert_int_equal(f.count[EV_CLOSE], 0);
	fixture_fini(&f);
}

static void run_open_ended(struct loop *l, void *arg)
{
	struct fixture *f = arg;

	(void)l;
	stream_complete(f->s); /* something before it */
	stream_write(f->s, STR("half of"));
	stream_open_ended(f->s);
}

static void run_complete(struct loop *l, void *arg)
{
	struct fixture *f = arg;

	run_open_ended(l, arg);
	stream_complete(f->s);
	stream_close(f->s);
}

static void run_cut_open_ended(struct loop *l, void *arg)
{
	run_open_ended(l, arg);
	stream_cut(((struct fixture *)arg)->s);
}

static void expect_reset(struct fixture *f)
{
	char c;

	while (recv(f->peer, &c, 1, 0) == 1) {
	}
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(f->freed, 1);
}

/* However it ends, it does not look so. */
static void test_open_ended(void **state)
{
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		set_up(&f);
		loop_call(f.loops.v[0], run_open_ended, &f);
		act(&f, ends[i]);
		expect_reset(&f);
		fixture_fini(&f);
	}
	set_up(&f);
	loop_call(f.loops.v[0], run_cut_open_ended, &f);
	expect_reset(&f);
	fixture_fini(&f);

	set_up(&f);
	loop_call(f.loops.v[0], run_complete, &f);
	peer_expect(&f, STR("half of"));
	peer_expect_end(&f);
	fixture_fini(&f);
}

static void test_end_inside_on_data(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct fixture f;

		set_up(&f);
		react(&f, EV_DATA, ends[i]);
		peer_send(&f, STR("abc"));
		peer_expect_end(&f);
		(void)shutdown(f.peer, SHUT_WR);
		WAIT(&f, f.freed == 1 && f.count[EV_DATA] == 1);
		assert_int_equal(f.count[EV_CLOSE], 0);
		fixture_fini(&f);
	}
}

/* The bytes shown are the stream's own buffer here; they must outlive the call. */
static size_t on_data_abort_then_look(struct stream *s, char *p, size_t n)
{
	struct fixture *f = s->user;

	if (n < 4) {
		note(f, s, EV_DATA);
		return 0;
	}
	stream_abort(s);
	(void)pthread_mutex_lock(&f->mtx);
	buf_append(&f->eaten, p, n);
	(void)pthread_mutex_unlock(&f->mtx);
	note(f, s, EV_DATA);
	return n;
}

static void test_abort_keeps_the_bytes_shown(void **state)
{
	static const struct stream_handler h = {.on_data = on_data_abort_then_look,
						.on_close = on_close};
	struct fixture f;

	(void)state;
	set_up_with(&f, &h);
	peer_send(&f, STR("abc"));
	WAIT(&f, f.count[EV_DATA] == 1);
	peer_send(&f, STR("d"));
	WAIT(&f, f.count[EV_DATA] == 2);
	expect_bytes(&f, &f.eaten, STR("abcd"));
	fixture_fini(&f);
}

static void test_end_inside_on_eof(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct fixture f;

		set_up(&f);
		react(&f, EV_EOF, ends[i]);
		(void)shutdown(f.peer, SHUT_WR);
		WAIT(&f, f.freed == 1);
		peer_expect_end(&f);
		assert_int_equal(f.count[EV_CLOSE], 0);
		fixture_fini(&f);
	}
}

static void test_end_inside_on_close_is_harmless(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct fixture f;

		set_up(&f);
		react(&f, EV_CLOSE, ends[i]);
		peer_reset(&f);
		WAIT(&f, f.count[EV_CLOSE] == 1);
		settle(&f);
		assert_int_equal(f.count[EV_CLOSE], 1);
		assert_int_equal(f.freed, 1);
		fixture_fini(&f);
	}
}

/* A descriptor that epoll does not take looks like a peer that broke off. */
static void test_unusable_descriptor(void **state)
{
	struct fixture f;
	struct opening o = {.f = &f, .handler = &handler_without_eof};

	(void)state;
	fixture_init(&f, 1);
	o.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	loop_call(f.loops.v[0], run_open, &o);
	WAIT(&f, f.count[EV_CLOSE] == 1);
	assert_int_equal(f.freed, 1);
	assert_int_equal(fcntl(o.fd, F_GETFD), -1);
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_partial_consumption),
		cmocka_unit_test(test_resume_shows_the_rest_again),
		cmocka_unit_test(test_large_rest),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_pause_inside_on_data),
		cmocka_unit_test(test_counts_bytes),
		cmocka_unit_test(test_eof_leaves_the_other_way_open),
		cmocka_unit_test(test_eof_unheard_closes),
		cmocka_unit_test(test_reset_is_told_once),
		cmocka_unit_test(test_close_sends_fin_and_waits_for_the_peers),
		cmocka_unit_test(test_end_does_not_wait_for_the_peer),
		cmocka_unit_test(test_end_waits_for_a_peer_that_goes_on),
		cmocka_unit_test(test_close_does_not_wait_for_ever),
		cmocka_unit_test(test_close_with_unread_input_keeps_the_answer),
		cmocka_unit_test(test_close_does_not_read_on_and_on),
		cmocka_unit_test(test_close_of_a_blocked_write_does_not_read_on_and_on),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_open_ended),
		cmocka_unit_test(test_end_inside_on_data),
		cmocka_unit_test(test_abort_keeps_the_bytes_shown),
		cmocka_unit_test(test_end_inside_on_eof),
		cmocka_unit_test(test_end_inside_on_close_is_harmless),
		cmocka_unit_test(test_unusable_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
