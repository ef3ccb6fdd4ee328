/* Which instance of a plugin runs: the eight scopes, what is disabled, whom a choice is for. */
#include "gateway/plan.h"

#include "unit.h"

enum { SCOPES = 8, PLACES = 4 };

static const struct guid route = {.b = {1}}, service = {.b = {2}}, consumer = {.b = {3}};
static const struct guid stranger = {.b = {9}};
static const struct guid none;

static const struct guid *const r = &route, *const s = &service, *const c = &consumer;

/* Most specific first. */
static const struct {
	const struct guid *route, *service, *consumer;
} scopes[SCOPES] = {
	{r, s, c},	   {r, &none, c},     {&none, s, c},	 {r, s, &none},
	{&none, &none, c}, {r, &none, &none}, {&none, s, &none}, {&none, &none, &none},
};

static struct plugin_instance bound(size_t index, size_t scope)
{
	return (struct plugin_instance){
		.plugin = plugins[index],
		.index = index,
		.enabled = true,
		.route = *scopes[scope].route,
		.service = *scopes[scope].service,
		.consumer = *scopes[scope].consumer,
	};
}

/* As the routing does it, but all in one source. */
static const struct plan *make(struct arena *a, const struct plugin_instance *const *v, size_t n)
{
	struct plan_source source = {v, n};

	return plan_new(a, &source, 1, r, s);
}

static void test_nothing(void **state)
{
	const struct plan *p;
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	p = plan_new(&a, NULL, 0, r, s);
	assert_int_equal(p->n, 0);
	assert_int_equal(p->n_choices, 0);
	assert_int_equal(p->needs, 0);
	assert_ptr_equal(plan_for_consumer(&a, p, c), p->v);
	arena_fini(&a);
}

/* Of two, whichever comes first in the configuration. */
static void test_pairs(void **state)
{
	(void)state;
	for (size_t i = 0; i < SCOPES; i++) {
		for (size_t j = i + 1; j < SCOPES; j++) {
			struct plugin_instance strong = bound(2, i), weak = bound(2, j);
			const struct plugin_instance *orders[2][2] = {{&strong, &weak},
								      {&weak, &strong}};

			for (size_t k = 0; k < 2; k++) {
				struct arena a;
				const struct plan *p;

				arena_init(&a, 0);
				p = make(&a, orders[k], 2);
				assert_int_equal(p->n, 1);
				assert_ptr_equal(plan_for_consumer(&a, p, c)[0], &strong);
				arena_fini(&a);
			}
		}
	}
}

/* Each that is disabled leaves its place to the next one. */
static void test_disabled_falls_back(void **state)
{
	struct plugin_instance v[SCOPES];
	const struct plugin_instance *at[SCOPES];

	(void)state;
	for (size_t i = 0; i < SCOPES; i++) {
		v[i] = bound(0, i);
		at[SCOPES - 1 - i] = &v[i];
	}
	for (size_t i = 0; i < SCOPES; i++) {
		struct arena a;
		const struct plan *p;

		arena_init(&a, 0);
		p = make(&a, at, SCOPES);
		assert_int_equal(p->n, 1);
		assert_ptr_equal(plan_for_consumer(&a, p, c)[0], &v[i]);
		v[i].enabled = false;
		arena_fini(&a);
	}
	{
		struct arena a;

		arena_init(&a, 0);
		assert_int_equal(make(&a, at, SCOPES)->n, 0);
		arena_fini(&a);
	}
}

/* Before somebody is authenticated, and for anybody else, nothing of a consumer runs. */
static void test_nobody(void **state)
{
	struct plugin_instance v[SCOPES];
	const struct plugin_instance *at[SCOPES];
	const struct plan *p;
	struct arena a;

	(void)state;
	for (size_t i = 0; i < SCOPES; i++) {
		v[i] = bound(0, i);
		at[i] = &v[i];
	}
	arena_init(&a, 0);
	p = make(&a, at, SCOPES);
	assert_ptr_equal(p->v[0], &v[3]);
	assert_int_equal(p->n_choices, 4);
	assert_ptr_equal(plan_for_consumer(&a, p, &stranger), p->v);
	assert_ptr_equal(plan_for_consumer(&a, p, c)[0], &v[0]);
	assert_ptr_equal(p->v[0], &v[3]); /* the plan is everybody's: it stays */
	arena_fini(&a);
}

static void test_elsewhere(void **state)
{
	struct plugin_instance of_route = bound(0, 5), of_service = bound(1, 6),
			       of_both = bound(2, 3), half = bound(3, 3);
	const struct plugin_instance *v[] = {&of_route, &of_service, &of_both, &half};
	struct arena a;

	(void)state;
	of_route.route = stranger;
	of_service.service = stranger;
	of_both.route = of_both.service = stranger;
	half.service = stranger;
	arena_init(&a, 0);
	assert_int_equal(make(&a, v, ARRAY_LEN(v))->n, 0);
	arena_fini(&a);
}

/* A route without a service, and what is bound to one. */
static void test_no_service(void **state)
{
	struct plugin_instance of_service = bound(0, 6), of_both = bound(1, 3),
			       of_route = bound(2, 5);
	const struct plugin_instance *v[] = {&of_service, &of_both, &of_route};
	struct plan_source source = {v, ARRAY_LEN(v)};
	const struct plan *p;
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	p = plan_new(&a, &source, 1, r, &none);
	assert_int_equal(p->n, 1);
	assert_ptr_equal(p->v[0], &of_route);
	arena_fini(&a);
}

/* Places are in the order of priority; a place that is only somebody's is empty for others. */
static void test_places(void **state)
{
	struct plugin_instance low = bound(3, 7), middle = bound(1, 4), other = bound(1, 4),
			       high = bound(0, 5), limit = bound(2, 6), limit_of = bound(2, 2);
	const struct plugin_instance *global[] = {&low, &middle, &other};
	const struct plugin_instance *of_service[] = {&limit, &limit_of};
	const struct plugin_instance *of_route[] = {&high};
	const struct plan_source sources[] = {{global, 3}, {of_service, 2}, {of_route, 1}};
	const struct plugin_instance *const *v;
	const struct plan *p;
	struct arena a;

	(void)state;
	other.consumer = stranger;
	low.needs = PLUGIN_NEEDS_BODY;
	limit_of.needs = PLUGIN_NEEDS_ANSWER_BODY;
	arena_init(&a, 0);
	p = plan_new(&a, sources, ARRAY_LEN(sources), r, s);
	assert_int_equal(p->n, PLACES);
	assert_int_equal(p->needs, PLUGIN_NEEDS_BODY | PLUGIN_NEEDS_ANSWER_BODY);
	assert_ptr_equal(p->v[0], &high);
	assert_null(p->v[1]);
	assert_ptr_equal(p->v[2], &limit);
	assert_ptr_equal(p->v[3], &low);

	v = plan_for_consumer(&a, p, c);
	assert_ptr_equal(v[0], &high);
	assert_ptr_equal(v[1], &middle);
	assert_ptr_equal(v[2], &limit_of);
	assert_ptr_equal(v[3], &low);

	v = plan_for_consumer(&a, p, &stranger);
	assert_ptr_equal(v[0], &high);
	assert_ptr_equal(v[1], &other);
	assert_ptr_equal(v[2], &limit);
	assert_ptr_equal(v[3], &low);
	arena_fini(&a);
}

/* What one route and service have over a consumer's own stays. */
static void test_weak_choice(void **state)
{
	struct plugin_instance strong = bound(0, 3), weak = bound(0, 4);
	const struct plugin_instance *at[] = {&weak, &strong};
	const struct plan *p;
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	p = make(&a, at, 2);
	assert_int_equal(p->n_choices, 1);
	assert_ptr_equal(plan_for_consumer(&a, p, c)[0], &strong);
	strong.enabled = false;
	p = make(&a, at, 2);
	assert_null(p->v[0]);
	assert_ptr_equal(plan_for_consumer(&a, p, c)[0], &weak);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_disabled_falls_back),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_elsewhere),
		cmocka_unit_test(test_no_service),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_weak_choice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
