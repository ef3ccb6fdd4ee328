#include "unit.h"

#include "app/cli/cli.h"
#include "app/cli/stats.h"
#include "app/cli/tenant_values.h"
#include "app/commands.h"
#include "base/clock.h"

static void foreign_text_cannot_drive_a_terminal(void **state)
{
	static const struct {
		struct str in, out;
	} cases[] = {
		{STR_INIT("plain"), STR_INIT("plain")},
		{STR_INIT("m\xc3\xbcller"), STR_INIT("m\xc3\xbcller")},
		{STR_INIT("a\x1b[2Jb\nc\x7f"), STR_INIT("a?[2Jb?c?")},
		{STR_INIT("\xc2\x9b"
			  "31m"),
		 STR_INIT("?31m")},
		{STR_INIT("\xff\xc3"), STR_INIT("??")},
	};
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_str(cli_printable(&a, cases[i].in), cases[i].out);
	}
	arena_fini(&a);
}

static void only_given_values_change(void **state)
{
	struct tenant_row row = {
		.display = STR("old"), .description = STR("gone"), .max_concurrent = 3};
	struct tenant_values v = {.description = STR(""),
				  .require_authentication = STR("Yes"),
				  .reconnect_max = STR("5m"),
				  .enable_tracing = STR("no")};

	(void)state;
	assert_ok(tenant_values_apply(&v, &row, NULL));
	assert_str(row.display, STR("old"));
	assert_null(row.description.p);
	assert_true(row.require_authentication);
	assert_int_equal(row.max_concurrent, 3);
	assert_true(row.configure.enable_tracing.has && !row.configure.enable_tracing.v);
	assert_int_equal(row.configure.reconnect_maximum_delay_ms.v, 300000);
	assert_false(row.configure.keep_alive_interval_ms.has);
}

static void wrong_values_name_their_option(void **state)
{
	static const struct {
		struct tenant_values v;
		const char *text;
	} cases[] = {
		{{.require_authentication = STR_INIT("maybe")}, "--require-authentication"},
		{{.enable_tracing = STR_INIT("")}, "--enable-tracing"},
		{{.max_concurrent = STR_INIT("65536")}, "--max-concurrent"},
		{{.max_concurrent = STR_INIT("-1")}, "--max-concurrent"},
		{{.keep_alive = STR_INIT("soon")}, "--keep-alive"},
		{{.keep_alive = STR_INIT("300ms")}, "--keep-alive"},
		{{.reconnect_min = STR_INIT("0s")}, "--reconnect-min"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tenant_row row = {0};
		struct fault f = {0};

		assert_err(tenant_values_apply(&cases[i].v, &row, &f), ERR_INVALID);
		assert_non_null(strstr(f.text, cases[i].text));
	}
}

static void times_are_given_or_ago(void **state)
{
	struct opt_i64 at;
	int64_t now = clock_wall_ms();

	(void)state;
	assert_ok(stats_read_time(STR_NULL, "from", &at, NULL));
	assert_false(at.has);
	assert_ok(stats_read_time(STR("2026-11-20T22:31:03Z"), "from", &at, NULL));
	assert_int_equal(at.v, 1795213863000LL);
	assert_ok(stats_read_time(STR("2h"), "from", &at, NULL));
	assert_in_range(now - at.v, 7200000 - 60000, 7200000);
	assert_err(stats_read_time(STR("then"), "from", &at, NULL), ERR_INVALID);
}

static void sizes_are_readable(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	assert_str(stats_bytes(&a, 0), STR("0"));
	assert_str(stats_bytes(&a, 1023), STR("1023"));
	assert_str(stats_bytes(&a, 1536), STR("1.5 KiB"));
	assert_str(stats_bytes(&a, 50 << 20), STR("50.0 MiB"));
	arena_fini(&a);
}

static void limits_are_checked(void **state)
{
	int64_t n;

	(void)state;
	assert_ok(stats_read_limit(STR_NULL, &n, NULL));
	assert_int_equal(n, 50);
	assert_ok(stats_read_limit(STR("7"), &n, NULL));
	assert_int_equal(n, 7);
	assert_err(stats_read_limit(STR("0"), &n, NULL), ERR_INVALID);
	assert_err(stats_read_limit(STR("all"), &n, NULL), ERR_INVALID);
}

/* Parsing relies on these; help would look odd without the others. */
static void commands_are_complete(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_commands; i++) {
		const struct command *c = commands[i];

		assert_non_null(c->run);
		assert_true(str_ends(str_c(c->doc), STR(".")));
		assert_true(c->args_min <= c->args_max);
		assert_true(c->args_max == 0 || c->usage);
		for (size_t k = 0; k < c->n_options; k++) {
			assert_non_null(c->options[k].doc);
			assert_true(c->options[k].offset < c->options_size);
		}
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(c->name, commands[k]->name);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(foreign_text_cannot_drive_a_terminal),
		cmocka_unit_test(only_given_values_change),
		cmocka_unit_test(wrong_values_name_their_option),
		cmocka_unit_test(times_are_given_or_ago),
		cmocka_unit_test(sizes_are_readable),
		cmocka_unit_test(limits_are_checked),
		cmocka_unit_test(commands_are_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
