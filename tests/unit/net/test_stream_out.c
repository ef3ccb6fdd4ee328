/* What is queued on a stream leaves whole, in order, or not at all. */
#include "stream_fixture.h"

#include <stdatomic.h>

#define FILE_SIZE 200000
#define MEM_SIZE 50000

/* ---- order ---- */

static int make_file(const char *p, size_t n)
{
	char path[] = "/tmp/posthouse-stream-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	assert_true(fd >= 0);
	(void)unlink(path);
	assert_int_equal(write(fd, p, n), n);
	return fd;
}

struct mix {
	struct fixture *f;
	const char *p;
	struct buf want;
	int file[2];
	int sndbuf; /* 0 = as it is */
	bool copy_files;
	unsigned refs;
};

static void put(struct mix *m, struct stream *s, const char *p, size_t n)
{
	stream_write(s, str_of(p, n));
	buf_append(&m->want, p, n);
}

static void put_mem(struct mix *m, struct stream *s, const char *p, size_t n)
{
	stream_write_mem(s, str_of(p, n), on_release, m->f);
	buf_append(&m->want, p, n);
	m->refs++;
}

static void put_file(struct mix *m, struct stream *s, int fd, size_t offset, size_t n)
{
	stream_write_file(s, fd, (int64_t)offset, n, NULL, NULL);
	buf_append(&m->want, m->p + offset, n);
}

/* Each kind behind each other kind, and more pieces than one system call takes. */
static void run_mix(struct loop *l, void *arg)
{
	struct mix *m = arg;
	struct stream *s = m->f->s;

	(void)l;
	if (m->sndbuf > 0) {
		(void)setsockopt(s->io.fd, SOL_SOCKET, SO_SNDBUF, &m->sndbuf, sizeof(m->sndbuf));
	}
	if (m->copy_files) {
		m->f->ops.sendfile = NULL;
	}
	put(m, s, m->p, 100);
	put_mem(m, s, m->p + 100, MEM_SIZE);
	put_mem(m, s, m->p + 7, 10); /* small: copied */
	buf_puts(stream_out(s), "appended");
	buf_puts(&m->want, "appended");
	stream_flush(s);
	put_file(m, s, m->file[0], 11, FILE_SIZE - 11);
	put_file(m, s, m->file[1], 0, 1);
	put(m, s, m->p + 5000, 20000); /* larger than a standard buffer */
	for (unsigned i = 0; i < 40; i++) {
		put_mem(m, s, m->p + i, 4096 + i);
	}
	put(m, s, "end", 3);
}

static void check_mix(int sndbuf, bool copy_files)
{
	char *p = pattern(FILE_SIZE);
	struct fixture f;
	struct mix m = {.f = &f, .p = p, .sndbuf = sndbuf, .copy_files = copy_files};

	m.file[0] = make_file(p, FILE_SIZE);
	m.file[1] = make_file(p, FILE_SIZE);
	set_up(&f);
	loop_call(f.loops.v[0], run_mix, &m);
	peer_expect(&f, buf_str(&m.want));
	WAIT(&f, f.released == m.refs);
	settle(&f);
	assert_int_equal(pending(&f), 0);
	assert_int_equal(f.s->bytes_out, m.want.n);
	assert_int_equal(fcntl(m.file[0], F_GETFD), -1);
	assert_int_equal(fcntl(m.file[1], F_GETFD), -1);
	tear_down(&f);
	buf_free(&m.want);
	mem_free(p);
}

static void test_order(void **state)
{
	(void)state;
	check_mix(0, false);
}

static void test_order_cut_anywhere(void **state)
{
	(void)state;
	check_mix(4608, false);
}

static void test_order_without_sendfile(void **state)
{
	(void)state;
	check_mix(4608, true);
}

/* ---- long data, which does not wait for the end of the turn ---- */

enum { LONG = 20000 };

static void run_long(struct loop *l, void *arg)
{
	struct mix *m = arg;
	struct stream *s = m->f->s;

	(void)l;
	put(m, s, "head", 4);
	assert_int_equal(s->bytes_out, 0);
	put(m, s, m->p, LONG);
	assert_true(s->bytes_out > 4);
	assert_int_equal(s->bytes_out + stream_pending(s), 4 + LONG);
}

static void test_long_data_goes_at_once(void **state)
{
	char *p = pattern(LONG);
	struct fixture f;
	struct mix m = {.f = &f, .p = p};

	(void)state;
	set_up(&f);
	loop_call(f.loops.v[0], run_long, &m);
	peer_expect(&f, buf_str(&m.want));
	tear_down(&f);
	buf_free(&m.want);
	mem_free(p);
}

static void run_long_and_short(struct loop *l, void *arg)
{
	struct mix *m = arg;
	struct stream *s = m->f->s;

	(void)l;
	(void)setsockopt(s->io.fd, SOL_SOCKET, SO_SNDBUF, &m->sndbuf, sizeof(m->sndbuf));
	for (size_t i = 0; i < 20; i++) {
		put(m, s, m->p + i, 7 + i);
		put(m, s, m->p + 100 * i, LONG + i);
	}
	put_mem(m, s, m->p, LONG);
	put(m, s, m->p + 1, LONG);
}

/* The socket takes a part of it, and then nothing. */
static void test_long_data_in_order(void **state)
{
	char *p = pattern(FILE_SIZE);
	struct fixture f;
	struct mix m = {.f = &f, .p = p, .sndbuf = 4608};

	(void)state;
	set_up(&f);
	loop_call(f.loops.v[0], run_long_and_short, &m);
	peer_expect(&f, buf_str(&m.want));
	settle(&f);
	assert_int_equal(pending(&f), 0);
	assert_int_equal(f.s->bytes_out, m.want.n);
	tear_down(&f);
	buf_free(&m.want);
	mem_free(p);
}

static void run_long_behind_high_water(struct loop *l, void *arg)
{
	struct mix *m = arg;
	struct stream *s = m->f->s;

	(void)l;
	while (stream_pending(s) < STREAM_HIGH_WATER) {
		put(m, s, m->p, 8000);
	}
	put(m, s, m->p, LONG);
	assert_int_equal(s->bytes_out, 0);
}

/* Who waits for on_drained has it, though the last piece could have gone with all before it. */
static void test_long_data_behind_high_water(void **state)
{
	char *p = pattern(LONG);
	struct fixture f;
	struct mix m = {.f = &f, .p = p};

	(void)state;
	set_up(&f);
	loop_call(f.loops.v[0], run_long_behind_high_water, &m);
	peer_expect(&f, buf_str(&m.want));
	WAIT(&f, f.count[EV_DRAINED] == 1);
	tear_down(&f);
	buf_free(&m.want);
	mem_free(p);
}

static void run_mix_and_close(struct loop *l, void *arg)
{
	struct mix *m = arg;

	run_mix(l, arg);
	stream_close(m->f->s);
}

static void test_close_sends_all_first(void **state)
{
	char *p = pattern(FILE_SIZE);
	struct fixture f;
	struct mix m = {.f = &f, .p = p, .sndbuf = 4608};

	(void)state;
	m.file[0] = make_file(p, FILE_SIZE);
	m.file[1] = make_file(p, FILE_SIZE);
	set_up(&f);
	loop_call(f.loops.v[0], run_mix_and_close, &m);
	peer_expect(&f, buf_str(&m.want));
	peer_expect_end(&f);
	(void)shutdown(f.peer, SHUT_WR);
	WAIT(&f, f.freed == 1);
	assert_int_equal(f.count[EV_CLOSE] + f.count[EV_DRAINED], 0);
	fixture_fini(&f);
	buf_free(&m.want);
	mem_free(p);
}

static void run_mix_and_abort(struct loop *l, void *arg)
{
	struct mix *m = arg;

	run_mix(l, arg);
	stream_abort(m->f->s);
}

static void test_abort_drops_all(void **state)
{
	char *p = pattern(FILE_SIZE);
	struct fixture f;
	struct mix m = {.f = &f, .p = p};

	(void)state;
	m.file[0] = make_file(p, FILE_SIZE);
	m.file[1] = make_file(p, FILE_SIZE);
	set_up(&f);
	loop_call(f.loops.v[0], run_mix_and_abort, &m);
	assert_int_equal(f.released, m.refs);
	assert_int_equal(f.freed, 1);
	assert_int_equal(fcntl(m.file[0], F_GETFD), -1);
	peer_expect_end(&f);
	fixture_fini(&f);
	buf_free(&m.want);
	mem_free(p);
}

/* Writing to a stream that has ended takes what it is given, and does nothing. */
static void run_write_to_the_dead(struct loop *l, void *arg)
{
	struct mix *m = arg;
	struct stream *s = m->f->s;

	(void)l;
	stream_abort(s);
	stream_write(s, STR("x"));
	stream_write_mem(s, str_of(m->p, MEM_SIZE), on_release, m->f);
	stream_write_file(s, m->file[0], 0, FILE_SIZE, NULL, NULL);
	stream_close(s);
	stream_abort(s);
}

static void test_writes_after_the_end(void **state)
{
	char *p = pattern(FILE_SIZE);
	struct fixture f;
	struct mix m = {.f = &f, .p = p};

	(void)state;
	m.file[0] = make_file(p, FILE_SIZE);
	set_up(&f);
	loop_call(f.loops.v[0], run_write_to_the_dead, &m);
	assert_int_equal(f.released, 1);
	assert_int_equal(fcntl(m.file[0], F_GETFD), -1);
	fixture_fini(&f);
	mem_free(p);
}

static void run_write_short_file(struct loop *l, void *arg)
{
	struct mix *m = arg;

	(void)l;
	m->f->ops.sendfile = m->copy_files ? NULL : m->f->ops.sendfile;
	stream_write_file(m->f->s, m->file[0], 0, 100, NULL, NULL);
}

/* The announced length cannot be kept, so the connection must not look complete. */
static void test_file_shorter_than_announced(void **state)
{
	(void)state;
	for (int copy = 0; copy < 2; copy++) {
		struct fixture f;
		struct mix m = {.f = &f, .copy_files = copy};

		m.file[0] = make_file("0123456789", 10);
		set_up(&f);
		loop_call(f.loops.v[0], run_write_short_file, &m);
		peer_expect(&f, STR("0123456789"));
		peer_expect_end(&f);
		WAIT(&f, f.count[EV_CLOSE] == 1);
		assert_err(f.why, ERR_IO);
		fixture_fini(&f);
	}
}

/* ---- back-pressure ---- */

/* What waits for the end of the turn, however long it is. */
static void run_queue(struct loop *l, void *arg)
{
	struct fixture *f = arg;

	(void)l;
	buf_put(stream_out(f->s), f->say);
	stream_flush(f->s);
}

static void test_drained_only_after_high_water(void **state)
{
	const size_t low = STREAM_HIGH_WATER - 1, high = (size_t)8 << 20;
	char *p = pattern(high);
	struct fixture f;

	(void)state;
	set_up(&f);
	f.say = str_of(p, low);
	act(&f, ACT_WRITE);
	peer_expect(&f, f.say);
	settle(&f);
	assert_int_equal(f.count[EV_DRAINED], 0);

	f.say = str_of(p, high);
	act(&f, ACT_WRITE);
	settle(&f);
	assert_true(pending(&f) > STREAM_HIGH_WATER);
	assert_int_equal(f.count[EV_DRAINED], 0);
	peer_expect(&f, f.say);
	WAIT(&f, f.count[EV_DRAINED] == 1);
	assert_int_equal(pending(&f), 0);

	f.say = STR("again");
	act(&f, ACT_WRITE);
	peer_expect(&f, f.say);
	settle(&f);
	assert_int_equal(f.count[EV_DRAINED], 1);

	f.say = str_of(p, STREAM_HIGH_WATER); /* to the byte: a producer waits there */
	loop_call(f.loops.v[0], run_queue, &f);
	peer_expect(&f, f.say);
	WAIT(&f, f.count[EV_DRAINED] == 2);
	tear_down(&f);
	mem_free(p);
}

static void test_end_inside_on_drained(void **state)
{
	const size_t n = (size_t)1 << 20;
	char *p = pattern(n);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct fixture f;

		set_up(&f);
		react(&f, EV_DRAINED, ends[i]);
		f.say = str_of(p, n);
		loop_call(f.loops.v[0], run_queue, &f);
		peer_expect(&f, f.say);
		peer_expect_end(&f);
		(void)shutdown(f.peer, SHUT_WR);
		WAIT(&f, f.freed == 1);
		assert_int_equal(f.count[EV_CLOSE], 0);
		fixture_fini(&f);
	}
	mem_free(p);
}

struct stuck {
	struct fixture *f;
	uint32_t timeout_ms;
	bool armed; /* out */
};

static void run_limit_write(struct loop *l, void *arg)
{
	struct stuck *k = arg;

	(void)l;
	k->f->s->write_timeout_ms = k->timeout_ms;
}

static void test_peer_that_takes_nothing(void **state)
{
	const size_t n = (size_t)16 << 20;
	char *p = pattern(n);
	struct fixture f;
	struct stuck k = {.f = &f, .timeout_ms = 50};

	(void)state;
	set_up(&f);
	loop_call(f.loops.v[0], run_limit_write, &k);
	f.say = str_of(p, n);
	act(&f, ACT_WRITE);
	WAIT(&f, f.count[EV_CLOSE] == 1);
	assert_err(f.why, ERR_TIMEOUT);
	assert_int_equal(f.freed, 1);
	settle(&f);
	assert_int_equal(f.count[EV_CLOSE], 1);
	fixture_fini(&f);
	mem_free(p);
}

/* In one turn: the limit must not pass between the two. */
static void run_write_and_close(struct loop *l, void *arg)
{
	struct fixture *f = arg;

	(void)l;
	perform(f, f->s, ACT_WRITE);
	perform(f, f->s, ACT_CLOSE);
}

static void test_closed_with_a_peer_that_takes_nothing(void **state)
{
	const size_t n = (size_t)16 << 20;
	char *p = pattern(n);
	struct fixture f;
	struct stuck k = {.f = &f, .timeout_ms = 50};

	(void)state;
	set_up(&f);
	loop_call(f.loops.v[0], run_limit_write, &k);
	f.say = str_of(p, n);
	loop_call(f.loops.v[0], run_write_and_close, &f);
	WAIT(&f, f.freed == 1);
	assert_int_equal(f.count[EV_CLOSE], 0);
	fixture_fini(&f);
	mem_free(p);
}

static void run_is_armed(struct loop *l, void *arg)
{
	struct stuck *k = arg;

	(void)l;
	k->armed = timer_is_armed(&k->f->s->timer);
}

/* Blocked without a limit, then closed: nobody watches it any more, so a limit must begin. */
static void test_close_limits_a_write_that_is_blocked_already(void **state)
{
	const size_t n = (size_t)16 << 20;
	char *p = pattern(n);
	struct fixture f;
	struct stuck k = {.f = &f};

	(void)state;
	set_up(&f);
	f.say = str_of(p, n);
	act(&f, ACT_WRITE);
	settle(&f);
	act(&f, ACT_CLOSE);
	loop_call(f.loops.v[0], run_is_armed, &k);
	assert_true(k.armed);
	tear_down(&f);
	mem_free(p);
}

static void run_has_ends(struct loop *l, void *arg)
{
	*(bool *)arg = loop_has_ends(l);
}

static bool has_ends(struct fixture *f)
{
	bool any;

	loop_call(f->loops.v[0], run_has_ends, &any);
	return any;
}

/* Nobody holds a closing stream but its loop, which tells of it and ends it. */
static void test_loop_ends_what_is_closing(void **state)
{
	const size_t n = (size_t)16 << 20;
	char *p = pattern(n);
	struct fixture f;

	(void)state;
	set_up(&f);
	f.say = str_of(p, n);
	act(&f, ACT_WRITE);
	assert_false(has_ends(&f));
	act(&f, ACT_CLOSE);
	assert_true(has_ends(&f));
	loops_join(&f.loops);
	assert_int_equal(f.freed, 0);
	loops_free(&f.loops);
	assert_int_equal(f.freed, 1);
	fixture_fini(&f);
	mem_free(p);
}

/* The peer said all, then its FIN arrives while the answer is still leaving. */
static void test_half_closed_peer_gets_the_whole_answer(void **state)
{
	const size_t n = (size_t)16 << 20;
	char *p = pattern(n);
	struct fixture f;

	(void)state;
	set_up(&f);
	f.say = str_of(p, n);
	act(&f, ACT_WRITE);
	act(&f, ACT_CLOSE);
	(void)shutdown(f.peer, SHUT_WR);
	settle(&f);
	peer_expect(&f, f.say);
	peer_expect_end(&f);
	WAIT(&f, f.freed == 1);
	fixture_fini(&f);
	mem_free(p);
}

/* ---- both ways at once ---- */

static size_t on_data_echo(struct stream *s, char *p, size_t n)
{
	stream_write(s, str_of(p, n));
	if (stream_pending(s) > STREAM_HIGH_WATER) {
		stream_pause_read(s);
	}
	return n;
}

static void on_drained_resume(struct stream *s)
{
	stream_resume_read(s);
}

struct sender {
	int fd;
	const char *p;
	size_t n;
};

static void *send_all(void *arg)
{
	struct sender *d = arg;
	ssize_t n;

	for (size_t sent = 0; sent < d->n; sent += (size_t)n) {
		n = send(d->fd, d->p + sent, MIN(d->n - sent, 100000), MSG_NOSIGNAL);
		ASSERT(n > 0);
	}
	(void)shutdown(d->fd, SHUT_WR);
	return NULL;
}

static void test_echo_holds_back_its_peer(void **state)
{
	static const struct stream_handler h = {on_data_echo, on_eof, on_drained_resume, on_close};
	const size_t n = (size_t)32 << 20;
	char *p = pattern(n);
	struct fixture f;
	struct sender d = {.p = p, .n = n};
	pthread_t t;

	(void)state;
	set_up_with(&f, &h);
	react(&f, EV_EOF, ACT_CLOSE);
	d.fd = f.peer;
	assert_int_equal(pthread_create(&t, NULL, send_all, &d), 0);
	peer_expect(&f, str_of(p, n));
	peer_expect_end(&f);
	(void)pthread_join(t, NULL);
	WAIT(&f, f.freed == 1);
	fixture_fini(&f);
	mem_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_order_cut_anywhere),
		cmocka_unit_test(test_order_without_sendfile),
		cmocka_unit_test(test_long_data_goes_at_once),
		cmocka_unit_test(test_long_data_in_order),
		cmocka_unit_test(test_long_data_behind_high_water),
		cmocka_unit_test(test_close_sends_all_first),
		cmocka_unit_test(test_abort_drops_all),
		cmocka_unit_test(test_writes_after_the_end),
		cmocka_unit_test(test_file_shorter_than_announced),
		cmocka_unit_test(test_drained_only_after_high_water),
		cmocka_unit_test(test_end_inside_on_drained),
		cmocka_unit_test(test_peer_that_takes_nothing),
		cmocka_unit_test(test_closed_with_a_peer_that_takes_nothing),
		cmocka_unit_test(test_close_limits_a_write_that_is_blocked_already),
		cmocka_unit_test(test_loop_ends_what_is_closing),
		cmocka_unit_test(test_half_closed_peer_gets_the_whole_answer),
		cmocka_unit_test(test_echo_holds_back_its_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
