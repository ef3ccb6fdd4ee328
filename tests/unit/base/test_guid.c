/*
 * test_guid - see base/guid.h
 */
#include "base/arena.h"
#include "base/guid.h"
#include "unit.h"

static const struct guid sample = {{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc,
				    0xba, 0x98, 0x76, 0x54, 0x32, 0x10}};
#define SAMPLE_D "01234567-89ab-cdef-fedc-ba9876543210"
#define SAMPLE_N "0123456789abcdeffedcba9876543210"

static void four_formats(void **state)
{
	static const struct str forms[] = {
		STR_INIT(SAMPLE_D),
		STR_INIT(SAMPLE_N),
		STR_INIT("{" SAMPLE_D "}"),
		STR_INIT("(" SAMPLE_D ")"),
		STR_INIT("01234567-89AB-CDEF-FEDC-BA9876543210"),
		STR_INIT("0123456789ABCDEFFEDCBA9876543210"),
		STR_INIT("{01234567-89aB-cDEF-feDC-Ba9876543210}"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct guid g = {{0}};

		assert_ok(guid_parse(forms[i], &g));
		assert_true(guid_eq(&g, &sample));
	}
}

static void the_rest_is_refused(void **state)
{
	static const struct str bad[] = {
		{NULL, 0},
		STR_INIT(""),
		STR_INIT("{" SAMPLE_D ")"),
		STR_INIT("(" SAMPLE_D "}"),
		STR_INIT("[" SAMPLE_D "]"),
		STR_INIT("{" SAMPLE_N "}"),
		STR_INIT(SAMPLE_D " "),
		STR_INIT(" " SAMPLE_D),
		STR_INIT("0123456789ab-cdef-fedc-ba98-76543210"),
		STR_INIT("01234567_89ab_cdef_fedc_ba9876543210"),
		STR_INIT("0123456-789ab-cdef-fedc-ba9876543210"),
		STR_INIT("0123456789abcdeffedcba987654321g"),
		STR_INIT("01234567-89ab-cdef-fedc-ba987654321g"),
		STR_INIT("01234567-89ab-cdef-fedc-ba987654-210"),
	};
	struct guid g = sample;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_err(guid_parse(bad[i], &g), ERR_INVALID);
	}
	for (size_t n = 0; n < GUID_D_LEN; n++) {
		if (n != GUID_N_LEN) {
			assert_err(guid_parse(str_of(SAMPLE_D, n), &g), ERR_INVALID);
		}
	}
	assert_true(guid_eq(&g, &sample)); /* untouched by failures */
}

static void writes_lower_case(void **state)
{
	char d[GUID_D_LEN], n[GUID_N_LEN];
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	guid_d(&sample, d);
	guid_n(&sample, n);
	assert_str(str_of(d, sizeof(d)), STR(SAMPLE_D));
	assert_str(str_of(n, sizeof(n)), STR(SAMPLE_N));
	assert_str(guid_d_str(&a, &sample), STR(SAMPLE_D));
	arena_fini(&a);
}

static void new_ones_are_version_4(void **state)
{
	struct guid former = {{0}};

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct guid g = guid_new();

		assert_int_equal(g.b[6] >> 4, 4);
		assert_int_equal(g.b[8] >> 6, 2);
		assert_false(guid_eq(&g, &former));
		former = g;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(four_formats),
		cmocka_unit_test(the_rest_is_refused),
		cmocka_unit_test(writes_lower_case),
		cmocka_unit_test(new_ones_are_version_4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
