/* Lines of several loops into files, and disks that will not have them. */
#include "base/json.h"
#include "gateway/plugins/file_sink.h"
#include "gateway/plugins/log_fields.h"
#include "loop/loop.h"
#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOPS = 2, LINES = 3000 };

static char folder[] = "/tmp/posthouse-sink-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[120];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void put_line(struct file_sink *sink, struct loop *l, int i)
{
	struct buf *b = file_sink_begin_line(sink, l);

	if (b) {
		buf_printf(b, "{\"loop\":%u,\"i\":%d}", loop_index(l), i);
		file_sink_end_line(sink, l);
	}
}

static void put_lines(struct loop *l, void *sink)
{
	for (int i = 0; i < LINES; i++) {
		put_line(sink, l, i);
	}
}

static void put_one(struct loop *l, void *sink)
{
	put_line(sink, l, 0);
}

/* Lines of each loop, in order; any other line fails. */
static void count_lines(const char *path, int next[LOOPS])
{
	FILE *f = fopen(path, "r");
	unsigned loop;
	int i;

	assert_non_null(f);
	while (fscanf(f, "{\"loop\":%u,\"i\":%d}\n", &loop, &i) == 2) {
		assert_true(loop < LOOPS);
		assert_int_equal(i, next[loop]++);
	}
	assert_int_equal(fgetc(f), EOF);
	(void)fclose(f);
}

/* Waits until the condition holds: a flush is due within 100 ms. */
#define WAIT_FOR(condition)                                                                        \
	for (int tries_ = 0; !(condition); tries_++) {                                             \
		assert_true(tries_ < 1000);                                                        \
		(void)poll(NULL, 0, 5);                                                            \
	}

static off_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : 0;
}

struct part {
	struct file_sink *sink;
	int from, to;
};

static void put_part(struct loop *l, void *arg)
{
	const struct part *p = arg;

	for (int i = p->from; i < p->to; i++) {
		put_line(p->sink, l, i);
	}
}

/* What was written comes back to be filled again: nothing of before may be left in it. */
static void test_batches_are_used_again(void **state)
{
	struct loops loops = {0};
	struct file_sinks *s;
	struct part part = {0};
	int next[LOOPS] = {0};
	const char *path = path_of("again");

	(void)state;
	assert_ok(loops_start(&loops, LOOPS, NULL));
	s = file_sinks_new(&loops);
	part.sink = file_sink_open(s, str_c(path), FILE_SINK_KEEP);
	for (int round = 0; round < 10; round++) {
		off_t before = size_of(path);

		part.from = part.to;
		part.to += LINES * 2; /* more than one batch, less than two */
		loop_call(loops.v[round % 2], put_part, &part);
		loop_call(loops.v[(round + 1) % 2], put_part, &part);
		WAIT_FOR(size_of(path) >= before + (off_t)4 * LINES * 18);
	}
	file_sink_close(part.sink, FILE_SINK_KEEP);
	loops_join(&loops);
	loops_free(&loops);
	file_sinks_free(&s);
	count_lines(path, next);
	assert_int_equal(next[0], part.to);
	assert_int_equal(next[1], part.to);
}

static void test_whole_lines_in_order(void **state)
{
	struct loops loops = {0};
	struct file_sinks *s;
	struct file_sink *sink;
	int next[LOOPS] = {0};
	const char *path = path_of("lines");

	(void)state;
	assert_ok(loops_start(&loops, LOOPS, NULL));
	s = file_sinks_new(&loops);
	sink = file_sink_open(s, str_c(path), FILE_SINK_KEEP);
	assert_ptr_equal(file_sink_open(s, str_c(path), FILE_SINK_KEEP), sink);
	for (unsigned i = 0; i < LOOPS; i++) {
		loop_call(loops.v[i], put_lines, sink);
	}
	file_sink_close(sink, FILE_SINK_KEEP);
	file_sink_close(sink, FILE_SINK_KEEP);
	assert_int_equal(file_sinks_dropped(s), 0);
	loops_join(&loops);
	loops_free(&loops);
	file_sinks_free(&s);
	count_lines(path, next);
	assert_int_equal(next[0], LINES);
	assert_int_equal(next[1], LINES);
}

static void test_flushed_by_time_and_reopened(void **state)
{
	struct loops loops = {0};
	struct file_sinks *s;
	struct file_sink *sink;
	char moved[160];
	const char *path = path_of("reopened");

	(void)state;
	(void)snprintf(moved, sizeof(moved), "%s.1", path);
	assert_ok(loops_start(&loops, LOOPS, NULL));
	s = file_sinks_new(&loops);
	sink = file_sink_open(s, str_c(path), FILE_SINK_REOPEN);
	loop_call(loops.v[0], put_one, sink);
	WAIT_FOR(access(path, F_OK) == 0);
	assert_int_equal(rename(path, moved), 0);
	loop_call(loops.v[0], put_one, sink);
	WAIT_FOR(access(path, F_OK) == 0);
	file_sink_close(sink, FILE_SINK_REOPEN);
	loops_join(&loops);
	loops_free(&loops);
	file_sinks_free(&s);
}

/* For rotation: any that has the path open may ask for it. */
static void test_reopened_if_any_wants_it(void **state)
{
	struct loops loops = {0};
	struct file_sinks *s;
	struct file_sink *sink;
	char moved[160];
	const char *path = path_of("reopened");

	(void)state;
	(void)snprintf(moved, sizeof(moved), "%s.1", path);
	assert_ok(loops_start(&loops, LOOPS, NULL));
	s = file_sinks_new(&loops);
	sink = file_sink_open(s, str_c(path), FILE_SINK_REOPEN);
	assert_ptr_equal(file_sink_open(s, str_c(path), FILE_SINK_KEEP), sink);
	for (int i = 0; i < 2; i++) {
		loop_call(loops.v[0], put_one, sink);
		WAIT_FOR(size_of(path) > 0);
		assert_int_equal(rename(path, moved), 0);
	}
	file_sink_close(sink, FILE_SINK_REOPEN);
	loop_call(loops.v[0], put_one, sink);
	loops_join(&loops);
	loops_free(&loops);
	file_sinks_free(&s);
	assert_int_equal(access(path, F_OK), -1); /* who is left keeps it open */
}

/* One that lies idle as well. */
static void test_all_are_reopened(void **state)
{
	struct loops loops = {0};
	struct file_sinks *s;
	struct file_sink *sink;
	char moved[160];
	const char *path = path_of("reopened");

	(void)state;
	(void)snprintf(moved, sizeof(moved), "%s.1", path);
	(void)unlink(path);
	assert_ok(loops_start(&loops, LOOPS, NULL));
	s = file_sinks_new(&loops);
	sink = file_sink_open(s, str_c(path), FILE_SINK_KEEP);
	loop_call(loops.v[0], put_one, sink);
	WAIT_FOR(size_of(path) > 0);
	assert_int_equal(rename(path, moved), 0);
	file_sinks_reopen(s);
	WAIT_FOR(access(path, F_OK) == 0);
	loop_call(loops.v[0], put_one, sink);
	WAIT_FOR(size_of(path) > 0);
	loops_join(&loops);
	loops_free(&loops);
	file_sinks_free(&s);
}

/* A pipe that is full gets all when it is read, and holds up no other path meanwhile. */
static void test_full_pipe(void **state)
{
	struct loops loops = {0};
	struct file_sinks *s;
	struct file_sink *full, *other;
	char fifo[120];
	const char *path = path_of("beside");
	int reader, next[LOOPS] = {0};
	FILE *got;

	(void)state;
	(void)snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fcntl(reader, F_SETPIPE_SZ, 4096) >= 0);
	assert_ok(loops_start(&loops, LOOPS, NULL));
	s = file_sinks_new(&loops);
	full = file_sink_open(s, str_c(fifo), FILE_SINK_KEEP);
	other = file_sink_open(s, str_c(path), FILE_SINK_KEEP);
	for (unsigned i = 0; i < LOOPS; i++) {
		loop_call(loops.v[i], put_lines, full);
	}
	loop_call(loops.v[0], put_one, other);
	WAIT_FOR(size_of(path) > 0);
	assert_int_equal(file_sinks_dropped(s), 0);
	assert_int_equal(fcntl(reader, F_SETFL, 0), 0);
	got = fdopen(reader, "r");
	for (int n = 0; n < LOOPS * LINES; n++) {
		unsigned loop;
		int i;

		assert_int_equal(fscanf(got, " {\"loop\":%u,\"i\":%d}", &loop, &i), 2);
		assert_int_equal(i, next[loop]++);
	}
	assert_int_equal(file_sinks_dropped(s), 0);
	loops_join(&loops);
	loops_free(&loops);
	file_sinks_free(&s);
	(void)fclose(got);
}

static void test_full_disk_drops_and_counts(void **state)
{
	struct loops loops = {0};
	struct file_sinks *s;
	struct file_sink *full, *missing;

	(void)state;
	if (access("/dev/full", W_OK) != 0) {
		skip();
	}
	assert_ok(loops_start(&loops, LOOPS, NULL));
	s = file_sinks_new(&loops);
	full = file_sink_open(s, STR("/dev/full"), FILE_SINK_KEEP);
	missing = file_sink_open(s, str_c(path_of("no/such/folder")), FILE_SINK_KEEP);
	loop_call(loops.v[0], put_one, full);
	loop_call(loops.v[1], put_lines, missing);
	WAIT_FOR(file_sinks_dropped(s) == 1 + LINES);
	loops_join(&loops);
	loops_free(&loops);
	file_sinks_free(&s);
}

static void test_constants(void **state)
{
	static const char *const good =
		"{\"a\":\"return 'x'\",\"b\":\" return 12.5 \",\"c\":\"return true\"}";
	static const char *const bad[] = {"{\"a\":\"return nil\"}", "{\"a\":\"return kong.x()\"}",
					  "{\"a\":\"return 'a' .. 'b'\"}", "{\"a\":\"'x'\"}",
					  "{\"a\":\"returning 'x'\"}"};
	struct arena a;
	struct json *map;
	struct str text;
	struct buf record = {0};

	(void)state;
	arena_init(&a, 0);
	assert_ok(json_parse(&a, str_c(good), &map, NULL));
	assert_ok(log_fields_compile(&a, map, &text, NULL));
	buf_puts(&record, "{\"status\":200}");
	log_fields_add(&record, text);
	assert_str(buf_str(&record), STR("{\"status\":200,\"a\":\"x\",\"b\":12.5,\"c\":true}"));
	buf_free(&record);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_ok(json_parse(&a, str_c(bad[i]), &map, NULL));
		assert_err(log_fields_compile(&a, map, &text, NULL), ERR_INVALID);
	}
	assert_ok(log_fields_compile(&a, NULL, &text, NULL));
	assert_null(text.p);
	arena_fini(&a);
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const names[] = {"lines",	  "again", "reopened",
					    "reopened.1", "fifo",  "beside"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)unlink(path_of(names[i]));
	}
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_lines_in_order),
		cmocka_unit_test(test_batches_are_used_again),
		cmocka_unit_test(test_flushed_by_time_and_reopened),
		cmocka_unit_test(test_reopened_if_any_wants_it),
		cmocka_unit_test(test_all_are_reopened),
		cmocka_unit_test(test_full_pipe),
		cmocka_unit_test(test_full_disk_drops_and_counts),
		cmocka_unit_test(test_constants),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
