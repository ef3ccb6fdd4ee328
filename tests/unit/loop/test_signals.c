#include "loop/signals.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void test_a_closed_pipe_is_an_error(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(write(fds[1], "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(close(fds[1]), 0);
}

static void test_a_file_at_its_limit_is_an_error(void **state)
{
	FILE *f = tmpfile();
	struct rlimit old, low;
	ssize_t first, second;
	int why;

	(void)state;
	assert_non_null(f);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = (struct rlimit){.rlim_cur = 4, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	first = write(fileno(f), "Hello", 5);
	second = write(fileno(f), "Hello", 5);
	why = errno;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(first, 4);
	assert_int_equal(second, -1);
	assert_int_equal(why, EFBIG);
	assert_int_equal(fclose(f), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_closed_pipe_is_an_error),
		cmocka_unit_test(test_a_file_at_its_limit_is_an_error),
	};

	signals_block();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
