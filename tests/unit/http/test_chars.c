/*
 * test_chars - see http/chars.h, and base/str_copy.h with the classes that are used with it
 */
#include "base/json_int.h"
#include "base/mem.h"
#include "base/str_copy.h"
#include "http/chars.h"
#include "unit.h"

enum { LONGEST = 70 };

/* What mark_controls and json_mark_unusual say, byte by byte. */
static bool is_control(uint8_t c)
{
	return (c < 0x20 && c != '\t') || c == 0x7f;
}

static bool is_unusual(uint8_t c)
{
	return c < 0x20 || c == '"' || c == '\\' || c >= 0x80;
}

/* Both ends of the blocks are the heap's, so that ASan sees a byte too many. */
static void check(size_t n, size_t at, uint8_t odd)
{
	char *from = mem_alloc(MAX(n, (size_t)1)), *to = mem_alloc(MAX(n, (size_t)1));
	byte_marks controls = {0}, unusual = {0};

	memset(from, 'x', n);
	if (n > 0) {
		from[at] = (char)odd;
	}
	assert_ptr_equal(str_copy_marking(to, str_of(from, n), mark_controls, &controls), to + n);
	assert_memory_equal(from, to, n);
	memset(to, 0, n);
	assert_ptr_equal(str_copy_marking(to, str_of(from, n), json_mark_unusual, &unusual),
			 to + n);
	assert_memory_equal(from, to, n);
	memset(to, 0, n);
	assert_ptr_equal(str_copy_lower(to, str_of(from, n)), to + n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(to[i], ascii_lower(from[i]));
	}
	assert_true(str_eq_nocase(str_of(from, n), str_of(to, n)));
	if (n > 0) {
		to[at] ^= 0x40;
		assert_false(str_eq_nocase(str_of(from, n), str_of(to, n)));
	}
	assert_int_equal(marks_any(controls), n > 0 && is_control(odd));
	assert_int_equal(marks_any(unusual), n > 0 && is_unusual(odd));
	mem_free(from);
	mem_free(to);
}

static void every_length_and_place(void **state)
{
	(void)state;
	check(0, 0, 'x');
	for (size_t n = 1; n < LONGEST; n++) {
		for (size_t at = 0; at < n; at++) {
			check(n, at, '\n');
			check(n, at, '"');
			check(n, at, 0xc3);
			check(n, at, '\t');
			check(n, at, '-');
			check(n, at, 'Q');
		}
	}
}

static void every_byte(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		for (size_t n = 1; n <= 33; n += 4) {
			check(n, n - 1, (uint8_t)c);
		}
	}
}

/* What one copy has found, the next does not lose. */
static void marks_gather(void **state)
{
	char to[32];
	byte_marks marks = {0};

	(void)state;
	(void)str_copy_marking(to, STR("a\nb"), mark_controls, &marks);
	(void)str_copy_marking(to, STR("plain"), mark_controls, &marks);
	(void)str_copy_marking(to, STR("and a longer one, plain"), mark_controls, &marks);
	assert_true(marks_any(marks));
}

/* Under four bytes, under eight, and a word with what is left over. */
static void tokens_are_told_apart(void **state)
{
	(void)state;
	assert_true(TOKEN_IS(STR("te"), "te"));
	assert_true(TOKEN_IS(STR("Via"), "via"));
	assert_true(TOKEN_IS(STR("CLOSE"), "close"));
	assert_true(TOKEN_IS(STR("Upgrade"), "upgrade"));
	assert_true(TOKEN_IS(STR("Trailers"), "trailers"));
	assert_true(TOKEN_IS(STR("Connection"), "connection"));
	assert_true(TOKEN_IS(STR("Transfer-ENCODING"), "transfer-encoding"));
	assert_false(TOKEN_IS(STR("vib"), "via"));
	assert_false(TOKEN_IS(STR("vi"), "via"));
	assert_false(TOKEN_IS(STR("wia"), "via"));
	assert_false(TOKEN_IS(STR("vja"), "via"));
	assert_false(TOKEN_IS(STR("close1"), "close"));
	assert_false(TOKEN_IS(STR("clpse"), "close"));
	assert_false(TOKEN_IS(STR("connectioN1"), "connection"));
	assert_false(TOKEN_IS(STR("connectiom"), "connection"));
	assert_false(TOKEN_IS(STR("Donnection"), "connection"));
	assert_false(TOKEN_IS(STR_NULL, "via"));
}

static void names_are_skipped(void **state)
{
	char line[64];

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		bool is_name = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			       (c >= '0' && c <= '9') || c == '-';

		for (size_t at = 0; at < 16; at++) {
			size_t end;

			memset(line, 'N', sizeof(line));
			line[at + 8] = (char)c;
			end = str_skip_name(str_of(line, sizeof(line)), 8);
#ifdef __SSE2__
			assert_int_equal(end, is_name ? 24 : at + 8);
#else
			assert_int_equal(end, 8);
#endif
		}
	}
	/* Too little left to look at a block. */
	assert_int_equal(str_skip_name(STR("Host: a\r\n"), 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_and_place), cmocka_unit_test(every_byte),
		cmocka_unit_test(marks_gather),		  cmocka_unit_test(tokens_are_told_apart),
		cmocka_unit_test(names_are_skipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
