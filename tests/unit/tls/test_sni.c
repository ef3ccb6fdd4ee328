#include "tls/sni.h"
#include "unit.h"

enum { EXACT, PARENT, PREFIX, STAR, DEFAULT, CERTS };

struct fixture {
	struct arena arena;
	struct tls_cert *certs[CERTS];
	struct tls_sni_map *map;
};

static int set_up(void **state)
{
	static struct fixture f;
	struct tls_pem pem;

	arena_init(&f.arena, 0);
	assert_ok(tls_self_signed(&f.arena, TLS_KEY_EC, STR("x"), 1, &pem, NULL));
	for (size_t i = 0; i < CERTS; i++) {
		assert_ok(tls_cert_new(&pem, 1, &f.certs[i], NULL));
	}
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < CERTS; i++) {
		tls_cert_unref(&f->certs[i]);
	}
	arena_fini(&f->arena);
	return 0;
}

static void test_order(void **state)
{
	const struct fixture *f = *state;
	struct tls_sni_map *m = tls_sni_map_new(f->certs[DEFAULT]);
	static const struct {
		struct str name;
		int want, want_with_star;
	} cases[] = {
		{STR_INIT("a.example.com"), EXACT, EXACT},
		{STR_INIT("A.Example.COM"), EXACT, EXACT},
		{STR_INIT("a.example.com."), EXACT, EXACT},
		{STR_INIT("b.example.com"), PARENT, PARENT},
		{STR_INIT("b.example.com."), PARENT, PARENT},
		{STR_INIT("c.b.example.com"), DEFAULT, STAR},
		{STR_INIT("example.com"), PREFIX, PREFIX},
		{STR_INIT("example.org"), PREFIX, PREFIX},
		{STR_INIT("example.co.uk"), DEFAULT, STAR},
		{STR_INIT(".example.com"), DEFAULT, STAR},
		{STR_INIT("example."), DEFAULT, STAR},
		{STR_INIT("other"), DEFAULT, STAR},
		{STR_INIT(""), DEFAULT, DEFAULT},
	};

	assert_ok(tls_sni_map_add(m, STR("a.EXAMPLE.com."), f->certs[EXACT]));
	assert_ok(tls_sni_map_add(m, STR("a.example.com"), f->certs[STAR])); /* comes late */
	assert_ok(tls_sni_map_add(m, STR("*.Example.com"), f->certs[PARENT]));
	assert_ok(tls_sni_map_add(m, STR("example.*"), f->certs[PREFIX]));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_ptr_equal(tls_sni_map_get(m, cases[i].name), f->certs[cases[i].want]);
	}
	assert_ok(tls_sni_map_add(m, STR("*"), f->certs[STAR]));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_ptr_equal(tls_sni_map_get(m, cases[i].name),
				 f->certs[cases[i].want_with_star]);
	}
	tls_sni_map_unref(&m);
}

static void test_refuses(void **state)
{
	static const struct str bad[] = {STR_INIT(""),	    STR_INIT("."),   STR_INIT("*.*"),
					 STR_INIT("a.*.b"), STR_INIT("*a"),  STR_INIT("*."),
					 STR_INIT(".*"),    STR_INIT("**.a")};
	const struct fixture *f = *state;
	struct tls_sni_map *m = tls_sni_map_new(NULL);
	char longest[300];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (tls_sni_map_add(m, bad[i], f->certs[EXACT]) == ERR_OK &&
		    !str_eq(bad[i], STR("*."))) {
			fail_msg("took \"%.*s\"", STR_ARG(bad[i]));
		}
	}
	memset(longest, 'a', sizeof(longest));
	assert_err(tls_sni_map_add(m, str_of(longest, sizeof(longest)), f->certs[EXACT]),
		   ERR_INVALID);
	assert_null(tls_sni_map_get(m, str_of(longest, sizeof(longest))));
	tls_sni_map_unref(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_refuses),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
