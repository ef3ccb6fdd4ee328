/*
 * Epochs made from change to change against epochs made from scratch: random changes of a few
 * hundred entities, each with what the database would do beside them, and after each the same
 * questions to both.
 */
#include "builder_fixture.h"

#include "gateway/router_int.h"

#include <stdio.h>

enum { STEPS = 250, PROBES = 60 };

/* ---- questions ---- */

static void same_instance(const struct plugin_instance *a, const struct plugin_instance *b)
{
	assert_int_equal(!a, !b);
	if (a && b) {
		assert_memory_equal(&a->id, &b->id, sizeof(a->id));
		assert_int_equal(a->enabled, b->enabled);
		assert_ptr_equal(a->plugin, b->plugin);
	}
}

static void same_plan(struct arena *a, const struct plan *p, const struct plan *q)
{
	assert_int_equal(p->n, q->n);
	assert_int_equal(p->needs, q->needs);
	assert_int_equal(p->n_choices, q->n_choices);
	for (unsigned consumer = 0; consumer < 4; consumer++) {
		struct guid id = id_of(ENTITY_CONSUMER, consumer);
		const struct plugin_instance *const *v = plan_for_consumer(a, p, &id);
		const struct plugin_instance *const *u = plan_for_consumer(a, q, &id);

		for (size_t i = 0; i < p->n; i++) {
			same_instance(v[i], u[i]);
		}
	}
}

static void same_entry(struct arena *a, const struct entry *x, const struct entry *y)
{
	assert_memory_equal(&x->traits, &y->traits, sizeof(x->traits));
	assert_int_equal(!x->service, !y->service);
	if (x->service && y->service) {
		assert_memory_equal(&x->service->pub.id, &y->service->pub.id, sizeof(struct guid));
		assert_str(x->service->pub.host, y->service->pub.host);
		assert_int_equal(!x->balancer, !y->balancer);
		/* Of an upstream, or the plain one of the service. */
		assert_int_equal(x->balancer == x->service->plain,
				 y->balancer == y->service->plain);
	}
	same_plan(a, x->plan, y->plan);
}

static void same_answers(struct world *w, const struct epoch *x, const struct epoch *y)
{
	static const char *const hosts[] = {"a.b", "c.b", "z"};
	struct arena a;

	arena_init(&a, 0);
	same_plan(&a, x->routing->global, y->routing->global);
	for (int i = 0; i < PROBES; i++) {
		char path[16];
		int n = snprintf(path, sizeof(path), "/%c%u", any(w, 4) ? 'p' : 'q', any(w, 100));
		struct router_input in = {.method = any(w, 2) ? STR("GET") : STR("POST"),
					  .host = str_c(hosts[any(w, 3)]),
					  .path = str_of(path, (size_t)n)};
		struct router_match m, plain;
		bool found = router_match(x->routing->router, &a, &in, &m);

		assert_int_equal(found, router_match(y->routing->router, &a, &in, &plain));
		if (found) {
			assert_int_equal(m.matched, plain.matched);
			assert_int_equal(m.by_regex, plain.by_regex);
			const struct route *r = routing_route(x->routing, m.rule),
					   *q = routing_route(y->routing, plain.rule);

			assert_true(guid_eq(&r->pub.id, &q->pub.id));
			same_entry(&a, routing_entry(x->routing, m.rule),
				   routing_entry(y->routing, plain.rule));
		}
	}
	arena_fini(&a);
}

static void same_people(const struct epoch *x, const struct epoch *y)
{
	struct arena a;

	arena_init(&a, 0);
	assert_str(people_of(&a, x->identity), people_of(&a, y->identity));
	arena_fini(&a);
}

/* Targets in the order of their numbers. */
static struct str targets_of(struct arena *a, struct builder *b)
{
	struct buf out = {0};
	struct str text;

	for (unsigned n = 0; n < UPSTREAMS; n++) {
		struct guid id = id_of(ENTITY_UPSTREAM, n);
		struct balancer_status s;

		if (balancer_set_status(builder_balancers(b), &id, a, &s) != ERR_OK) {
			continue;
		}
		buf_printf(&out, "%.*s:", STR_ARG(s.name));
		for (unsigned k = 0; k < TARGETS; k++) {
			for (size_t i = 0; i < s.n_targets; i++) {
				const struct balancer_target_status *t = &s.targets[i];

				if (t->id.b[15] == k) {
					buf_printf(&out, " %.*s=%u", STR_ARG(t->target), t->weight);
				}
			}
		}
		buf_putc(&out, '\n');
	}
	text = str_dup(a, buf_str(&out));
	buf_free(&out);
	return text;
}

static void same_targets(struct builder *x, struct builder *y)
{
	struct arena a;

	arena_init(&a, 0);
	assert_str(targets_of(&a, x), targets_of(&a, y));
	arena_fini(&a);
}

static void changes_add_up(void **state)
{
	struct world *w = *state;
	unsigned layered = 0, whole = 0;
	bool people = false;

	for (int step = 0; step < STEPS; step++) {
		unsigned n = any(w, 10) ? 1 + any(w, 3) : 30;

		for (unsigned i = 0; i < n; i++) {
			change(w);
		}
		next_epoch(w);
		layered += w->now->routing->base != NULL;
		whole += w->now->routing->base == NULL;
		make_from_scratch(w);
		assert_null(w->scratch->routing->base);
		same_answers(w, w->now, w->scratch);
		same_people(w->now, w->scratch);
		same_targets(w->builder, w->plain);
		people |= w->now->identity->consumers.n > CONSUMERS / 2 &&
			  w->now->identity->credentials[GW_KEY_AUTH].n > NAMES / 3;
		builder_end(&w->plain, &w->scratch, &w->plain_loops);
	}
	assert_true(layered > 50);
	assert_true(whole > 20);
	assert_true(people);
}

/* One by one: each is few changes, together they are many. */
static void deletions_add_up(void **state)
{
	struct world *w = *state;
	unsigned layered = 0;

	next_epoch(w);
	for (unsigned i = 0; i < ROUTES / 10; i++) {
		forget(w, ENTITY_ROUTE, i);
		next_epoch(w);
		if (!w->now->routing->base) {
			break;
		}
		layered++;
	}
	assert_true(layered > 1);
	assert_null(w->now->routing->base);
	make_from_scratch(w);
	assert_int_equal(w->now->routing->n, w->scratch->routing->n);
	same_answers(w, w->now, w->scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(changes_add_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(deletions_add_up, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
