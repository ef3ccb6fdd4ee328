/*
 * test_pmap - see base/pmap.h
 *
 * Random changes of several versions, each compared with a plain array of what it must hold.
 */
#include "base/mem.h"
#include "base/pmap.h"
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 300, VERSIONS = 5, STEPS = 20000 };

struct value {
	struct pmap_leaf leaf;
	char name[16];
	unsigned key;
};

static size_t alive;

static struct value *value_of(struct pmap_leaf *l)
{
	return l ? container_of(l, struct value, leaf) : NULL;
}

static void drop(struct pmap_leaf *l)
{
	alive--;
	mem_free(value_of(l));
}

/* How many bits of the hashes say something: with few, they agree in all others. */
struct world {
	struct pmap versions[VERSIONS];
	struct value *expected[VERSIONS][KEYS];
	uint64_t mask;
	uint64_t seed;
	unsigned settled;
};

static unsigned any(struct world *w, unsigned n)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return (unsigned)(w->seed >> 33) % n;
}

static uint64_t hash_of(const struct world *w, unsigned key)
{
	return (key * UINT64_C(0x9e3779b97f4a7c15)) & w->mask;
}

static struct value *value_new(const struct world *w, unsigned key)
{
	struct value *v = MEM_NEW(struct value);

	(void)snprintf(v->name, sizeof(v->name), "key-%u", key);
	v->key = key;
	pmap_leaf_init(&v->leaf, str_c(v->name));
	v->leaf.hash = hash_of(w, key);
	alive++;
	return v;
}

static void check(const struct world *w, unsigned version)
{
	const struct pmap *m = &w->versions[version];
	char name[16];
	size_t n = 0;

	for (unsigned key = 0; key < KEYS; key++) {
		int len = snprintf(name, sizeof(name), "key-%u", key);
		const struct value *got =
			value_of(pmap_find(m, hash_of(w, key), str_of(name, (size_t)len)));

		assert_ptr_equal(got, w->expected[version][key]);
		n += got != NULL;
	}
	assert_int_equal(m->n, n);
	assert_int_equal(!m->root, n == 0);
}

static void copy(struct world *w, unsigned from, unsigned to)
{
	if (from != to) {
		pmap_free(&w->versions[to]);
		w->versions[to] = pmap_copy(&w->versions[from]);
		memcpy(w->expected[to], w->expected[from], sizeof(w->expected[to]));
	}
}

static void change(struct world *w)
{
	unsigned version = any(w, VERSIONS), key = any(w, KEYS);
	struct value **e = &w->expected[version][key];
	unsigned what = any(w, 100);

	if (what < 55) {
		*e = value_new(w, key);
		pmap_set(&w->versions[version], &(*e)->leaf);
	} else if (what < 97) {
		struct value *other = value_new(w, key);

		assert_false(pmap_remove(&w->versions[version], &other->leaf));
		drop(&other->leaf);
		if (*e) {
			assert_true(pmap_remove(&w->versions[version], &(*e)->leaf));
		}
		*e = NULL;
	} else {
		pmap_settle(&w->versions[version]);
		copy(w, version, any(w, VERSIONS));
		w->settled += w->versions[version].index != NULL;
	}
}

static void run(uint64_t mask)
{
	static struct world w;

	w = (struct world){.mask = mask, .seed = 88172645463325252};
	for (unsigned i = 0; i < VERSIONS; i++) {
		w.versions[i] = PMAP_INIT(drop);
	}
	for (unsigned i = 0; i < STEPS; i++) {
		/* Fewer keys now and then, until nothing is left. */
		if (i % 5000 == 4999) {
			for (unsigned v = 0; v < VERSIONS; v++) {
				for (unsigned k = 0; k < KEYS; k++) {
					if (w.expected[v][k]) {
						assert_true(pmap_remove(&w.versions[v],
									&w.expected[v][k]->leaf));
						w.expected[v][k] = NULL;
					}
				}
				assert_null(w.versions[v].root);
			}
			assert_int_equal(alive, 0);
		}
		change(&w);
		if (i % 20 == 0) {
			for (unsigned v = 0; v < VERSIONS; v++) {
				check(&w, v);
			}
		}
	}
	assert_true(w.settled > 100);
	for (unsigned v = 0; v < VERSIONS; v++) {
		check(&w, v);
		pmap_free(&w.versions[v]);
	}
	assert_int_equal(alive, 0);
}

static void versions_stay_apart(void **state)
{
	(void)state;
	run(UINT64_MAX);
}

/* Deep tries; then lists below them, of up to a few dozen leaves. */
static void hashes_that_agree(void **state)
{
	(void)state;
	run(UINT64_C(0xffff) << 48);
	run(UINT64_C(0xf000000000000fff));
	run(UINT64_C(0x8000000000000038));
}

static void hashes_are_those_of_keys(void **state)
{
	struct pmap m = PMAP_INIT(drop);
	struct value *v = MEM_NEW(struct value);

	(void)state;
	alive = 1;
	assert_null(pmap_get(&m, STR("x")));
	pmap_leaf_init(&v->leaf, STR("x"));
	pmap_set(&m, &v->leaf);
	assert_ptr_equal(pmap_get(&m, STR("x")), &v->leaf);
	assert_null(pmap_get(&m, STR("")));
	pmap_free(&m);
	assert_int_equal(alive, 0);
	pmap_free(&m);
}

/* ---- threads ---- */

struct reader {
	pthread_t thread;
	struct world *world;
	struct pmap version;
	size_t n;
};

static void drop_anywhere(struct pmap_leaf *l)
{
	mem_free(value_of(l));
}

/* Finds all that were there when it was given the version, and gives it back. */
static void *read_version(void *arg)
{
	struct reader *r = arg;

	for (unsigned key = 0; key < KEYS; key++) {
		char name[16];
		int len = snprintf(name, sizeof(name), "key-%u", key);

		r->n += pmap_find(&r->version, hash_of(r->world, key), str_of(name, (size_t)len)) !=
			NULL;
	}
	pmap_free(&r->version);
	return NULL;
}

/* For the thread sanitizer: counts are what is shared, and the last thread frees. */
static void versions_are_read_while_others_change(void **state)
{
	static struct world w;
	struct pmap m = PMAP_INIT(drop_anywhere);

	(void)state;
	w = (struct world){.mask = UINT64_MAX, .seed = 88172645463325252};
	for (int round = 0; round < 50; round++) {
		struct reader readers[2] = {{.world = &w}, {.world = &w}};
		size_t n;

		pmap_settle(&m);
		n = m.n;
		for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
			readers[i].version = pmap_copy(&m);
			assert_int_equal(
				pthread_create(&readers[i].thread, NULL, read_version, &readers[i]),
				0);
		}
		for (int i = 0; i < 100; i++) {
			struct value *v = value_new(&w, any(&w, KEYS));
			struct pmap_leaf *old = pmap_find(&m, v->leaf.hash, v->leaf.key);

			if (old && any(&w, 2)) {
				assert_true(pmap_remove(&m, old));
			}
			pmap_set(&m, &v->leaf);
		}
		for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
			assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
			assert_int_equal(readers[i].n, n);
		}
	}
	pmap_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_stay_apart),
		cmocka_unit_test(hashes_that_agree),
		cmocka_unit_test(hashes_are_those_of_keys),
		cmocka_unit_test(versions_are_read_while_others_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
