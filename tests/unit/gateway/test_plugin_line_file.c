/* Lines into pipes that are full, disks that are full, and files that were renamed meanwhile. */
#include "base/mem.h"
#include "gateway/plugins/line_file.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DISK = 10000 /* bytes that a file may have */ };

static char folder[] = "/tmp/posthouse-lines-XXXXXX";

struct fixture {
	char path[120], moved[120];
	struct line_file file;
	int reader; /* of the FIFO */
	struct buf got;
	unsigned put;
};

/* Lines "<number> xxx…" of that many bytes. */
static void put_lines(struct fixture *f, unsigned n, size_t line_bytes)
{
	struct line_batch *b = MEM_NEW(struct line_batch);
	struct list one;

	for (unsigned i = 0; i < n; i++) {
		size_t before = b->lines.n;

		buf_printf(&b->lines, "%u ", f->put++);
		while (b->lines.n < before + line_bytes - 1) {
			buf_putc(&b->lines, 'x');
		}
		buf_putc(&b->lines, '\n');
	}
	atomic_fetch_add(&f->file.waiting, (int64_t)b->lines.n);
	list_init(&one);
	list_push(&one, &b->node);
	line_file_put(&f->file, &one);
	line_file_write(&f->file);
}

static void free_done(struct fixture *f)
{
	for (struct list_node *node; (node = list_pop(&f->file.done)) != NULL;) {
		struct line_batch *b = container_of(node, struct line_batch, node);

		buf_free(&b->lines);
		mem_free(b);
	}
}

/* What the pipe has; false = nothing. */
static bool read_some(struct fixture *f)
{
	ssize_t n = read(f->reader, buf_reserve(&f->got, 1 << 16), 1 << 16);

	if (n > 0) {
		buf_commit(&f->got, (size_t)n);
	}
	return n > 0;
}

static void read_file(struct fixture *f, const char *path)
{
	f->reader = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(f->reader >= 0);
	while (read_some(f)) {
	}
	(void)close(f->reader);
}

/* All are whole lines of that length, numbered without a step back; returns how many. */
static unsigned assert_whole(const struct fixture *f, size_t line_bytes)
{
	struct str rest = buf_str(&f->got), line;
	unsigned n = 0;
	uint64_t next = 0;

	assert_int_equal(rest.n % line_bytes, 0);
	for (; str_split(&rest, '\n', &line); n++) {
		struct str number;
		uint64_t i;

		assert_int_equal(line.n, line_bytes - 1);
		assert_true(str_split(&line, ' ', &number));
		assert_true(str_to_u64(number, &i) && i >= next);
		next = i + 1;
	}
	return n;
}

static void begin(struct fixture *f)
{
	*f = (struct fixture){.reader = -1};
	(void)snprintf(f->path, sizeof(f->path), "%s/log", folder);
	(void)snprintf(f->moved, sizeof(f->moved), "%s/log.1", folder);
	line_file_init(&f->file, f->path);
}

static void begin_pipe(struct fixture *f, int pipe_bytes)
{
	begin(f);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	f->reader = open(f->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(f->reader >= 0);
	assert_true(fcntl(f->reader, F_SETPIPE_SZ, pipe_bytes) >= 0);
}

static void end(struct fixture *f)
{
	line_file_close(&f->file);
	assert_int_equal(atomic_load(&f->file.waiting), 0);
	free_done(f);
	buf_free(&f->got);
	(void)unlink(f->path);
	(void)unlink(f->moved);
}

static void set_disk(rlim_t bytes)
{
	struct rlimit limit;

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_full_pipe_loses_nothing(void **state)
{
	struct fixture f;

	(void)state;
	begin_pipe(&f, 1 << 14);
	put_lines(&f, 100, 1500);
	put_lines(&f, 100, 1500);
	assert_true(f.file.is_full);
	while (read_some(&f)) {
		line_file_write(&f.file);
	}
	assert_false(f.file.is_full);
	assert_int_equal(assert_whole(&f, 1500), 200);
	assert_int_equal(f.file.lost, 0);
	(void)close(f.reader);
	end(&f);
}

/* Somebody else may write whenever the pipe is full for us. */
static void test_pieces_for_a_pipe_are_whole_lines(void **state)
{
	struct fixture f;

	(void)state;
	begin_pipe(&f, 1 << 14);
	put_lines(&f, 100, 1500);
	while (read_some(&f)) {
		(void)assert_whole(&f, 1500);
		line_file_write(&f.file);
	}
	assert_int_equal(assert_whole(&f, 1500), 100);
	(void)close(f.reader);
	end(&f);
}

static void test_line_longer_than_the_pipe(void **state)
{
	struct fixture f;

	(void)state;
	begin_pipe(&f, 1 << 12);
	put_lines(&f, 3, 40000);
	while (read_some(&f)) {
		line_file_write(&f.file);
	}
	assert_int_equal(assert_whole(&f, 40000), 3);
	assert_int_equal(f.file.lost, 0);
	(void)close(f.reader);
	end(&f);
}

static void test_pipe_without_reader(void **state)
{
	struct fixture f;

	(void)state;
	begin_pipe(&f, 1 << 14);
	(void)close(f.reader);
	put_lines(&f, 5, 1500);
	assert_int_equal(f.file.last_error, ENXIO);
	assert_int_equal(f.file.lost, 5);
	f.reader = open(f.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	put_lines(&f, 3, 1500);
	(void)read_some(&f);
	assert_int_equal(assert_whole(&f, 1500), 3);
	(void)close(f.reader);
	put_lines(&f, 2, 1500);
	assert_int_equal(f.file.last_error, EPIPE);
	assert_int_equal(f.file.lost, 7);
	end(&f);
}

static void test_close_loses_what_waits(void **state)
{
	struct fixture f;

	(void)state;
	begin_pipe(&f, 1 << 14);
	put_lines(&f, 100, 1500);
	line_file_close(&f.file);
	while (read_some(&f)) {
	}
	assert_int_equal(f.file.lost, 100 - assert_whole(&f, 1500));
	(void)close(f.reader);
	end(&f);
}

/* The line that the disk did not take to its end is ended when it takes more. */
static void test_full_disk(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	set_disk(DISK);
	put_lines(&f, 20, 999);
	assert_int_equal(f.file.last_error, EFBIG);
	assert_int_equal(f.file.lost, 9); /* 10 stand there, and a part of the 11th */
	put_lines(&f, 5, 999);
	assert_int_equal(f.file.lost, 14);
	assert_int_equal(f.file.waiting, 11 * 999 - DISK);
	set_disk(RLIM_INFINITY);
	put_lines(&f, 5, 999);
	read_file(&f, f.path);
	assert_int_equal(assert_whole(&f, 999), 30 - 14);
	assert_int_equal(f.file.lost, 14);
	end(&f);
}

/* The half line is ended where it began, or nowhere. */
static void check_renamed_when_full(rlim_t disk_then, unsigned lost, off_t first_size)
{
	struct fixture f;
	struct stat st;

	begin(&f);
	set_disk(DISK);
	put_lines(&f, 20, 999);
	assert_int_equal(rename(f.path, f.moved), 0);
	set_disk(disk_then);
	put_lines(&f, 5, 999);
	set_disk(RLIM_INFINITY);
	assert_int_equal(f.file.lost, lost);
	assert_int_equal(stat(f.moved, &st), 0);
	assert_int_equal(st.st_size, first_size);
	read_file(&f, f.path);
	assert_int_equal(assert_whole(&f, 999), 5);
	end(&f);
}

static void test_renamed_when_full(void **state)
{
	(void)state;
	check_renamed_when_full(RLIM_INFINITY, 9, (off_t)11 * 999);
	check_renamed_when_full(DISK, 10, DISK);
}

static void test_reopened(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	line_file_reopen(&f.file);
	line_file_write(&f.file);
	assert_int_equal(access(f.path, F_OK), -1); /* nothing to write as yet */
	put_lines(&f, 2, 99);
	assert_int_equal(rename(f.path, f.moved), 0);
	line_file_reopen(&f.file);
	line_file_write(&f.file);
	assert_int_equal(access(f.path, F_OK), 0);
	put_lines(&f, 3, 99);
	read_file(&f, f.path);
	assert_int_equal(assert_whole(&f, 99), 3);
	end(&f);
}

static int setup(void **state)
{
	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_pipe_loses_nothing),
		cmocka_unit_test(test_pieces_for_a_pipe_are_whole_lines),
		cmocka_unit_test(test_line_longer_than_the_pipe),
		cmocka_unit_test(test_pipe_without_reader),
		cmocka_unit_test(test_close_loses_what_waits),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_renamed_when_full),
		cmocka_unit_test(test_reopened),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
