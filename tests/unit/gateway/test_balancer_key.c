#include "balancer_fixture.h"
#include "gateway/balancer.h"
#include "gateway/hash.h"
#include "unit.h"

/* A request as the callback sees it: what is there, by kind and name. */
struct value {
	enum balancer_hash_on on;
	const char *name;
	const char *v[3];
};

/* How often a request was looked through. */
static int looks;

static size_t values_of(void *arg, const struct balancer_hash *h,
			struct str out[BALANCER_VALUES_MAX])
{
	size_t n = 0;

	looks++;
	for (const struct value *v = arg; v->on != BALANCER_HASH_NONE; v++) {
		if (v->on != h->on || !str_eq(str_c(v->name), h->name)) {
			continue;
		}
		for (; n < ARRAY_LEN(v->v) && v->v[n]; n++) {
			out[n] = str_c(v->v[n]);
		}
		break;
	}
	return n;
}

static void set_up_key(struct fixture *f, struct balancer_hash hash, struct balancer_hash fallback)
{
	set_up(f);
	f->c.algorithm = BALANCER_CONSISTENT_HASHING;
	f->c.hash = hash;
	f->c.fallback = fallback;
	apply(f);
}

static struct balancer_key make(struct fixture *f, struct value *request)
{
	struct balancer_key k;

	balancer_key_make(f->b, values_of, request, &k);
	return k;
}

static const struct balancer_hash none = {BALANCER_HASH_NONE};

static void test_primary_and_fallback(void **state)
{
	struct value both[] = {
		{BALANCER_HASH_HEADER, "x-user", {"anna"}},
		{BALANCER_HASH_IP, NULL, {"10.1.2.3"}},
		{BALANCER_HASH_NONE},
	};
	struct fixture f;

	(void)state;
	set_up_key(&f, (struct balancer_hash){BALANCER_HASH_HEADER, STR("x-user")},
		   (struct balancer_hash){BALANCER_HASH_IP});
	assert_true(make(&f, both).has);
	assert_int_equal(make(&f, both).hash, hash_xx32(STR("anna"), 0));
	assert_true(make(&f, both + 1).has);
	assert_int_equal(make(&f, both + 1).hash, hash_xx32(STR("10.1.2.3"), 0));
	assert_false(make(&f, both + 2).has);
	tear_down(&f);
}

/* The order of query arguments does not matter, that of headers does. */
static void test_many_values(void **state)
{
	struct value a[] = {{BALANCER_HASH_QUERY_ARG, "q", {"1", "2"}}, {BALANCER_HASH_NONE}};
	struct value b[] = {{BALANCER_HASH_QUERY_ARG, "q", {"2", "1"}}, {BALANCER_HASH_NONE}};
	struct value c[] = {{BALANCER_HASH_QUERY_ARG, "q", {"2", "3"}}, {BALANCER_HASH_NONE}};
	struct fixture f;

	(void)state;
	set_up_key(&f, (struct balancer_hash){BALANCER_HASH_QUERY_ARG, STR("q")}, none);
	looks = 0;
	assert_int_equal(make(&f, a).hash, make(&f, b).hash);
	assert_int_not_equal(make(&f, a).hash, make(&f, c).hash);
	assert_int_equal(looks, 4); /* a long query is decoded once, however many values it has */
	f.c.hash.on = BALANCER_HASH_HEADER;
	apply(&f);
	a[0].on = b[0].on = BALANCER_HASH_HEADER;
	assert_int_not_equal(make(&f, a).hash, make(&f, b).hash);
	tear_down(&f);
}

static void test_cookie(void **state)
{
	struct value has[] = {{BALANCER_HASH_COOKIE, "sid", {"abc"}}, {BALANCER_HASH_NONE}};
	struct value not [] = {{BALANCER_HASH_NONE}};
	struct balancer_key k;
	struct fixture f;
	struct str cookie;
	struct guid id;

	(void)state;
	set_up_key(&f, (struct balancer_hash){BALANCER_HASH_COOKIE, STR("sid")}, none);
	k = make(&f, has);
	assert_true(k.has);
	assert_false(k.set_cookie);
	/* A new client: the hash is that of the cookie it will send from now on. */
	k = make(&f, not );
	assert_true(k.has && k.set_cookie);
	assert_ok(guid_parse(str_of(k.uuid, sizeof(k.uuid)), &id));
	assert_int_equal(k.hash, hash_xx32(str_of(k.uuid, sizeof(k.uuid)), 0));
	cookie = balancer_key_cookie(f.b, &k, &f.arena);
	assert_true(str_starts(cookie, STR("sid=")));
	assert_str(str_slice(cookie, 4, 36), str_of(k.uuid, sizeof(k.uuid)));
	assert_true(str_ends(cookie, STR("; Path=/; SameSite=Lax; HttpOnly")));
	f.c.cookie_path = STR("/app");
	apply(&f);
	assert_true(str_ends(balancer_key_cookie(f.b, &k, &f.arena),
			     STR("; Path=/app; SameSite=Lax; HttpOnly")));
	tear_down(&f);
}

static void test_not_needed(void **state)
{
	struct value ip[] = {{BALANCER_HASH_IP, NULL, {"10.1.2.3"}}, {BALANCER_HASH_NONE}};
	struct balancer *plain = balancer_plain_new(STR("127.0.0.1"), 80);
	struct balancer_key k;
	struct fixture f;

	(void)state;
	set_up_key(&f, (struct balancer_hash){BALANCER_HASH_IP}, none);
	assert_true(make(&f, ip).has);
	f.c.algorithm = BALANCER_ROUND_ROBIN;
	apply(&f);
	assert_false(make(&f, ip).has);
	balancer_key_make(plain, values_of, ip, &k);
	assert_false(k.has);
	balancer_plain_free(&plain);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_primary_and_fallback),
		cmocka_unit_test(test_many_values),
		cmocka_unit_test(test_cookie),
		cmocka_unit_test(test_not_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
