#include "gateway/hash.h"

#include "unit.h"

/* Vectors that are widely published. */
static void test_vectors(void **state)
{
	(void)state;
	assert_int_equal(hash_xx32(STR(""), 0), 0x02CC5D05);
	assert_int_equal(hash_xx32(STR("a"), 0), 0x550D7456);
	assert_int_equal(hash_xx32(STR("abc"), 0), 0x32D153FF);
	assert_int_equal(hash_xx32(STR("Nobody inspects the spammish repetition"), 0), 0xE2293B2F);
}

/* Made with the reference implementation over its own sanity buffer. */
static void test_lengths(void **state)
{
	static const struct {
		size_t n;
		uint32_t seed, want;
	} cases[] = {
		{1, 0, 0xB85CBEE5},   {1, 2654435761u, 0xD5845D64},
		{3, 0, 0xEE0C3F84},   {3, 2654435761u, 0x195765CE},
		{4, 0, 0x62730640},   {4, 2654435761u, 0x969FC498},
		{15, 0, 0x16524340},  {15, 2654435761u, 0xBDED3172},
		{16, 0, 0xA67A94D9},  {16, 2654435761u, 0x65CCCC3D},
		{17, 0, 0xC23B989A},  {17, 2654435761u, 0xD4A6C5EC},
		{31, 0, 0x8D47C77A},  {31, 2654435761u, 0x8684E057},
		{32, 0, 0x487F215C},  {32, 2654435761u, 0x52CD0C6B},
		{33, 0, 0x525311B8},  {33, 2654435761u, 0x3AAEB5E9},
		{64, 0, 0xBA0B9EE8},  {64, 2654435761u, 0x83378117},
		{100, 0, 0x99D2AD7F}, {100, 2654435761u, 0x1BA9A063},
		{101, 0, 0x1F1AA412}, {101, 2654435761u, 0x498EC8E2},
	};
	uint8_t bytes[101];
	uint32_t gen = 2654435761u;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (uint8_t)(gen >> 24);
		gen *= gen;
	}
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(hash_xx32(str_of(bytes, cases[i].n), cases[i].seed),
				 cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors),
					   cmocka_unit_test(test_lengths)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
