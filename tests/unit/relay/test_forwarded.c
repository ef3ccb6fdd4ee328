#include "unit.h"

#include "relay/config.h"
#include "relay/forwarded.h"

struct fixture {
	struct arena a;
	struct http_headers h;
	struct forwarded f;
};

static int setup(void **state)
{
	struct fixture *x = test_calloc(1, sizeof(*x));

	arena_init(&x->a, 0);
	x->f.mode = FORWARDED_X;
	x->f.host = STR("relay.example:8080");
	assert_ok(addr_parse(STR("10.1.2.3:999"), &x->f.peer));
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	arena_fini(&x->a);
	test_free(x);
	return 0;
}

static void add(struct fixture *x, const char *name, const char *value)
{
	http_header_add(&x->a, &x->h, str_c(name), str_c(value));
}

static struct str get(struct fixture *x, const char *name)
{
	return http_header_get(&x->h, str_c(name));
}

static void test_plain(void **state)
{
	struct fixture *x = *state;

	forwarded_apply(&x->a, &x->f, &x->h);
	assert_str(get(x, "X-Forwarded-For"), STR("10.1.2.3"));
	assert_str(get(x, "X-Forwarded-Host"), STR("relay.example"));
	assert_str(get(x, "X-Forwarded-Port"), STR("8080"));
	assert_str(get(x, "X-Forwarded-Proto"), STR("http"));
	assert_null(get(x, "Forwarded").p);
}

static void test_stranger_is_replaced(void **state)
{
	struct fixture *x = *state;

	add(x, "x-forwarded-for", "1.1.1.1");
	add(x, "X_Forwarded_Proto", "https");
	add(x, "X-Forwarded-Proto", "https");
	add(x, "Forwarded", "for=1.1.1.1");
	forwarded_apply(&x->a, &x->f, &x->h);
	assert_str(get(x, "X-Forwarded-For"), STR("10.1.2.3"));
	assert_str(get(x, "X-Forwarded-Proto"), STR("http"));
	assert_null(get(x, "X_Forwarded_Proto").p);
	assert_null(get(x, "Forwarded").p);
}

static void test_trusted_is_appended_to(void **state)
{
	struct fixture *x = *state;

	x->f.peer_is_trusted = true;
	add(x, "X-Forwarded-For", "1.1.1.1");
	add(x, "X-Forwarded-For", "2.2.2.2");
	add(x, "X-Forwarded-Proto", "https");
	add(x, "X-Forwarded-Host", "public.example");
	forwarded_apply(&x->a, &x->f, &x->h);
	assert_str(get(x, "X-Forwarded-For"), STR("1.1.1.1, 2.2.2.2, 10.1.2.3"));
	assert_str(get(x, "X-Forwarded-Proto"), STR("https"));
	assert_str(get(x, "X-Forwarded-Host"), STR("public.example"));
	assert_int_equal(http_header_remove(&x->h, STR("X-Forwarded-For")), 1);
}

static void test_rfc7239(void **state)
{
	struct fixture *x = *state;

	x->f.mode = FORWARDED_RFC7239;
	x->f.is_tls = true;
	assert_ok(addr_parse(STR("[2001:db8::1]:999"), &x->f.peer));
	add(x, "Forwarded", "for=1.1.1.1");
	forwarded_apply(&x->a, &x->f, &x->h);
	assert_str(get(x, "Forwarded"),
		   STR("for=\"[2001:db8::1]\";host=\"relay.example:8080\";proto=https"));
	assert_null(get(x, "X-Forwarded-For").p);
}

/* Where we say nothing in X-Forwarded-*, a stranger does not either. */
static void test_rfc7239_replaces_the_others_too(void **state)
{
	struct fixture *x = *state;
	static const char *const names[] = {"X-Forwarded-For", "x-forwarded-host",
					    "X-Forwarded-Proto", "X_Forwarded_Port"};

	x->f.mode = FORWARDED_RFC7239;
	x->f.peer_is_trusted = true;
	add(x, "X-Forwarded-For", "1.1.1.1");
	forwarded_apply(&x->a, &x->f, &x->h);
	assert_str(get(x, "X-Forwarded-For"), STR("1.1.1.1"));
	x->f.peer_is_trusted = false;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		add(x, names[i], "1");
	}
	forwarded_apply(&x->a, &x->f, &x->h);
	assert_int_equal(x->h.n, 1);
	assert_str(x->h.v[0].name, STR("Forwarded"));
}

/* What the gateway of this process wrote stands; only `Forwarded` is ours to add. */
static void test_by_gateway(void **state)
{
	struct fixture *x = *state;

	x->f.by_gateway = true;
	x->f.host = STR("relay");
	x->f.mode = FORWARDED_BOTH;
	add(x, "X-Forwarded-For", "10.1.2.3");
	add(x, "X-Forwarded-Host", "shop.example");
	add(x, "X-Forwarded-Port", "8443");
	add(x, "X-Forwarded-Proto", "https");
	add(x, "Forwarded", "for=1.1.1.1");
	forwarded_apply(&x->a, &x->f, &x->h);
	assert_int_equal(x->h.n, 5);
	assert_str(get(x, "X-Forwarded-For"), STR("10.1.2.3"));
	assert_str(get(x, "X-Forwarded-Host"), STR("shop.example"));
	assert_str(get(x, "Forwarded"), STR("for=10.1.2.3;host=\"shop.example:8443\";proto=https"));
	assert_str(forwarded_scheme(&x->f, &x->h), STR("https"));
	http_header_set(&x->a, &x->h, STR("X-Forwarded-Port"), STR("443"));
	(void)http_header_remove(&x->h, STR("Forwarded"));
	forwarded_apply(&x->a, &x->f, &x->h);
	assert_str(get(x, "Forwarded"), STR("for=10.1.2.3;host=\"shop.example\";proto=https"));
	x->f.mode = FORWARDED_X;
	forwarded_apply(&x->a, &x->f, &x->h);
	assert_null(get(x, "Forwarded").p);
	assert_str(get(x, "X-Forwarded-For"), STR("10.1.2.3"));
}

static void test_none_touches_nothing(void **state)
{
	struct fixture *x = *state;

	x->f.mode = FORWARDED_NONE;
	add(x, "X-Forwarded-For", "1.1.1.1");
	forwarded_apply(&x->a, &x->f, &x->h);
	assert_int_equal(x->h.n, 1);
	assert_str(get(x, "X-Forwarded-For"), STR("1.1.1.1"));
}

static void test_scheme(void **state)
{
	struct fixture *x = *state;

	add(x, "X-Forwarded-Proto", "https");
	assert_str(forwarded_scheme(&x->f, &x->h), STR("http"));
	x->f.peer_is_trusted = true;
	assert_str(forwarded_scheme(&x->f, &x->h), STR("https"));
	http_header_set(&x->a, &x->h, STR("X-Forwarded-Proto"), STR("javascript"));
	assert_str(forwarded_scheme(&x->f, &x->h), STR("http"));
}

static void client_is(struct fixture *x, struct addr_nets trusted, const char *want)
{
	char text[ADDR_TEXT_MAX];
	const struct addr *a = forwarded_client(&x->a, &x->f.peer, trusted, &x->h);

	assert_str(str_of(text, addr_format_ip(a, text)), str_c(want));
}

static void test_client(void **state)
{
	struct fixture *x = *state;
	struct addr_net nets[2];
	const struct addr_nets trusted = {nets, 2};

	assert_ok(addr_net_parse(STR("10.1.2.3"), &nets[0]));
	assert_ok(addr_net_parse(STR("192.168.0.0/16"), &nets[1]));
	client_is(x, trusted, "10.1.2.3");
	add(x, "X-Forwarded-For", "1.1.1.1, 2.2.2.2");
	client_is(x, (struct addr_nets){nets, 0}, "10.1.2.3");
	client_is(x, trusted, "2.2.2.2");
	add(x, "x-forwarded-for", "192.168.7.7");
	client_is(x, trusted, "2.2.2.2");
	http_header_set(&x->a, &x->h, STR("X-Forwarded-For"), STR("unknown"));
	client_is(x, trusted, "10.1.2.3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stranger_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trusted_is_appended_to, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rfc7239, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rfc7239_replaces_the_others_too, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_by_gateway, setup, teardown),
		cmocka_unit_test_setup_teardown(test_none_touches_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scheme, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
