/*
 * test_log - see base/log.h
 *
 * Each case runs in a child whose stderr is a pipe, so that what was written can
 * be read and no state of the log is left behind.
 */
#include "base/log.h"
#include "unit.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/utf8.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

typedef void scene_fn(void);

static void drain(int fd, struct buf *out)
{
	ssize_t n;

	while ((n = read(fd, buf_reserve(out, 65536), 65536)) > 0) {
		buf_commit(out, (size_t)n);
	}
	(void)close(fd);
}

static pid_t start_scene(scene_fn *scene, int *out_fd)
{
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(fds[1], STDERR_FILENO);
		(void)close(fds[0]);
		(void)close(fds[1]);
		scene();
		_exit(0);
	}
	(void)close(fds[1]);
	*out_fd = fds[0];
	return pid;
}

static void end_scene(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void play(scene_fn *scene, struct buf *out)
{
	int fd;
	pid_t pid = start_scene(scene, &fd);

	drain(fd, out);
	end_scene(pid);
}

/* Without the clock at the front, which is checked for its form. */
static struct str after_clock(struct str line)
{
	static const char form[] = "00:00:00.000 ";

	assert_true(line.n > sizeof(form) - 1);
	for (size_t i = 0; i < sizeof(form) - 1; i++) {
		bool is_digit = line.p[i] >= '0' && line.p[i] <= '9';

		assert_true(form[i] == '0' ? is_digit : line.p[i] == form[i]);
	}
	return str_skip(line, sizeof(form) - 1);
}

#define EVIL STR("a\"b\\c\n\r\t\x1b[31m\x7f\xc2\x9b\xff\xc3\xa4\xe2\x82")

static void say_some(void)
{
	log_debug("relay", "not shown");
	log_info("relay", "started", LOG_INT("port", 5000), LOG_STR("tenant", STR("acme")));
	log_warn("relay", "odd", LOG_STR("a", STR("")), LOG_STR("b", STR_NULL),
		 LOG_STR("c", STR("two words")), LOG_STR("d", STR("x=y")), LOG_CSTR("e", "1.2.3"));
	log_error("relay", "evil", LOG_STR("name", EVIL), LOG_INT("n", INT64_MIN));
	log_info("relay", "bare");
}

static const char *const text_lines[] = {
	"INFO relay: started port=5000 tenant=acme",
	"WARN relay: odd a=\"\" b=null c=\"two words\" d=\"x=y\" e=1.2.3",
	("ERROR relay: evil name=\"a\\\"b\\\\c\\n\\r\\t\\u001b[31m\\u007f\\u009b\\xff\xc3\xa4\\xe2"
	 "\\x82\" n=-9223372036854775808"),
	"INFO relay: bare",
};

static void check_text(scene_fn *scene)
{
	struct buf out = {0};
	struct str rest, line;

	play(scene, &out);
	rest = buf_str(&out);
	for (size_t i = 0; i < ARRAY_LEN(text_lines); i++) {
		assert_true(str_split(&rest, '\n', &line));
		assert_str(after_clock(line), str_c(text_lines[i]));
	}
	assert_int_equal(rest.n, 0);
	buf_free(&out);
}

static void start_text(void)
{
	log_start(LOG_INFO, LOG_FORMAT_TEXT);
	say_some();
	log_stop();
	log_stop(); /* once more does nothing */
}

static void text(void **state)
{
	(void)state;
	check_text(start_text);
}

static void direct_without_start(void **state)
{
	(void)state;
	check_text(say_some);
}

static void stop_in_between(void)
{
	log_info("relay", "started", LOG_INT("port", 5000), LOG_STR("tenant", STR("acme")));
	log_start(LOG_WARN, LOG_FORMAT_TEXT);
	log_info("relay", "not shown");
	log_warn("relay", "odd", LOG_STR("a", STR("")), LOG_STR("b", STR_NULL),
		 LOG_STR("c", STR("two words")), LOG_STR("d", STR("x=y")), LOG_CSTR("e", "1.2.3"));
	log_stop();
	log_error("relay", "evil", LOG_STR("name", EVIL), LOG_INT("n", INT64_MIN));
	log_start(LOG_INFO, LOG_FORMAT_TEXT);
	log_info("relay", "bare");
	log_stop();
}

static void it_starts_again(void **state)
{
	(void)state;
	check_text(stop_in_between);
}

static struct str member(const struct json *obj, const char *name)
{
	return json_str(json_get(obj, str_c(name)));
}

static void check_json(scene_fn *scene, const char *time, const char *level, const char *message,
		       const char *const levels[4])
{
	static const char *const messages[] = {"started", "odd", "evil", "bare"};
	struct buf out = {0};
	struct str rest, line;
	struct json *obj;
	struct arena a;
	int64_t n;

	arena_init(&a, 0);
	play(scene, &out);
	rest = buf_str(&out);
	for (size_t i = 0; i < 4; i++) {
		assert_true(str_split(&rest, '\n', &line));
		assert_ok(json_parse(&a, line, &obj, NULL));
		assert_int_equal(member(obj, time).n, 24);
		assert_str(member(obj, level), str_c(levels[i]));
		assert_str(member(obj, "role"), STR("relay"));
		assert_str(member(obj, message), str_c(messages[i]));
		if (i == 0) {
			assert_true(json_int(json_get(obj, STR("port")), &n) && n == 5000);
		}
		if (i == 1) {
			assert_true(json_is_null(json_get(obj, STR("b"))));
			assert_str(member(obj, "c"), STR("two words"));
		}
		if (i == 2) {
			assert_str(member(obj, "name"),
				   STR("a\"b\\c\n\r\t\x1b[31m\x7f\xc2\x9b\xef\xbf\xbd\xc3\xa4"
				       "\xef\xbf\xbd\xef\xbf\xbd"));
		}
	}
	assert_int_equal(rest.n, 0);
	arena_fini(&a);
	buf_free(&out);
}

static void start_json(void)
{
	log_start(LOG_INFO, LOG_FORMAT_JSON);
	say_some();
	log_stop();
}

static void start_clef(void)
{
	log_start(LOG_INFO, LOG_FORMAT_CLEF);
	say_some();
	log_stop();
}

static void json(void **state)
{
	static const char *const levels[] = {"info", "warn", "error", "info"};

	(void)state;
	check_json(start_json, "time", "level", "message", levels);
}

static void clef(void **state)
{
	static const char *const levels[] = {"Information", "Warning", "Error", "Information"};

	(void)state;
	check_json(start_clef, "@t", "@l", "@m", levels);
}

static char long_text[10000];

static void say_too_much(void)
{
	struct str s = str_of(long_text, sizeof(long_text));

	log_info("relay", "long", LOG_STR("a", s), LOG_INT("b", 1));
	log_info("relay", "longer", LOG_STR("a", s), LOG_STR("b", s), LOG_STR("c", s),
		 LOG_STR("d", s), LOG_INT("e", 1));
}

static void say_too_much_json(void)
{
	log_start(LOG_INFO, LOG_FORMAT_JSON);
	say_too_much();
	log_stop();
}

/* With every filling, also characters of several bytes and those that get escaped. */
static void long_lines_are_cut(void **state)
{
	static const struct str fillings[] = {STR_INIT("x"), STR_INIT("\n"), STR_INIT("\x01"),
					      STR_INIT("\xe2\x82\xac"), STR_INIT("\xff")};
	struct json *obj;
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(fillings); i++) {
		struct buf out = {0};
		struct str rest, line;
		int64_t n;

		for (size_t k = 0; k < sizeof(long_text); k++) {
			long_text[k] = fillings[i].p[k % fillings[i].n];
		}
		play(say_too_much, &out);
		rest = buf_str(&out);
		assert_true(utf8_is_valid(rest));
		assert_true(str_split(&rest, '\n', &line));
		assert_true(line.n < 4096 && str_ends(line, STR("…\" b=1")));
		assert_true(str_split(&rest, '\n', &line));
		assert_true(line.n < 4096 && str_ends(line, STR(" truncated=true")));
		assert_int_equal(rest.n, 0);
		buf_clear(&out);

		play(say_too_much_json, &out);
		rest = buf_str(&out);
		assert_true(str_split(&rest, '\n', &line));
		assert_ok(json_parse(&a, line, &obj, NULL));
		assert_true(json_int(json_get(obj, STR("b")), &n) && n == 1);
		assert_true(str_split(&rest, '\n', &line));
		assert_ok(json_parse(&a, line, &obj, NULL));
		assert_true(json_bool(json_get(obj, STR("truncated"))));
		buf_free(&out);
	}
	arena_fini(&a);
}

enum { THREADS = 4, LINES = 2000 };

static void *say_many(void *arg)
{
	for (int i = 0; i < LINES; i++) {
		log_info("relay", "line", LOG_INT("thread", (intptr_t)arg), LOG_INT("i", i));
	}
	return NULL;
}

static void many_threads(void)
{
	pthread_t threads[THREADS];

	log_start(LOG_INFO, LOG_FORMAT_TEXT);
	for (intptr_t i = 0; i < THREADS; i++) {
		(void)pthread_create(&threads[i], NULL, say_many, (void *)i);
	}
	for (int i = 0; i < THREADS; i++) {
		(void)pthread_join(threads[i], NULL);
	}
	log_stop();
	if (log_dropped() > 0) {
		_exit(1); /* all of it fits into the ring */
	}
}

static void lines_stay_whole_and_in_order(void **state)
{
	int next[THREADS] = {0}, total = 0;
	struct buf out = {0};
	struct str rest, line;

	(void)state;
	play(many_threads, &out);
	rest = buf_str(&out);
	while (str_split(&rest, '\n', &line)) {
		char copy[128];
		int thread, i;

		(void)snprintf(copy, sizeof(copy), "%.*s", STR_ARG(after_clock(line)));
		assert_int_equal(sscanf(copy, "INFO relay: line thread=%d i=%d", &thread, &i), 2);
		assert_in_range(thread, 0, THREADS - 1);
		assert_int_equal(i, next[thread]++);
		total++;
	}
	assert_int_equal(total, THREADS * LINES);
	buf_free(&out);
}

static int flood_ended_fd;

/* Nobody reads: the pipe and the ring fill up, and log_info returns all the same. */
static void flood(void)
{
	log_start(LOG_INFO, LOG_FORMAT_TEXT);
	while (log_dropped() < 100) {
		log_info("relay", "flood",
			 LOG_STR("text", STR("some forty bytes of text in every line")));
	}
	(void)!write(flood_ended_fd, "x", 1);
	log_stop();
}

static uint64_t dropped_in(struct str rest)
{
	static const struct str mark =
		STR_INIT("WARN log: lines dropped, stderr is too slow count=");
	uint64_t total = 0, n;
	struct str line;

	while (str_split(&rest, '\n', &line)) {
		line = after_clock(line);
		if (str_starts(line, mark)) {
			assert_true(str_to_u64(str_skip(line, mark.n), &n));
			total += n;
		}
	}
	return total;
}

static void a_full_ring_drops_and_counts(void **state)
{
	struct buf out = {0};
	int fd, ended[2];
	pid_t pid;
	char c;

	(void)state;
	assert_int_equal(pipe(ended), 0);
	flood_ended_fd = ended[1];
	pid = start_scene(flood, &fd);
	assert_int_equal(read(ended[0], &c, 1), 1);
	drain(fd, &out);
	end_scene(pid);
	assert_true(out.n > 1000000);
	assert_int_equal(dropped_in(buf_str(&out)), 100);
	buf_free(&out);
	(void)close(ended[0]);
	(void)close(ended[1]);
}

static void levels(void **state)
{
	static const char *const names[] = {"trace", "debug", "info", "WARN", "Error", "off"};
	enum log_level level = LOG_INFO;

	(void)state;
	for (int i = 0; i <= LOG_OFF; i++) {
		assert_true(log_level_parse(str_c(names[i]), &level));
		assert_int_equal(level, i);
		log_set_level(level);
		assert_int_equal(log_is_on(LOG_ERROR), i <= LOG_ERROR);
		assert_int_equal(log_is_on(LOG_TRACE), i == LOG_TRACE);
	}
	assert_false(log_level_parse(STR("warning"), &level));
	assert_false(log_level_parse(STR(""), &level));
	log_set_level(LOG_INFO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text),
		cmocka_unit_test(direct_without_start),
		cmocka_unit_test(it_starts_again),
		cmocka_unit_test(json),
		cmocka_unit_test(clef),
		cmocka_unit_test(long_lines_are_cut),
		cmocka_unit_test(lines_stay_whole_and_in_order),
		cmocka_unit_test(a_full_ring_drops_and_counts),
		cmocka_unit_test(levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
