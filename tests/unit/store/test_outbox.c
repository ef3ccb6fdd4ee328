#include "unit.h"

#include "base/clock.h"
#include "store/engines.h"
#include "store/migrate.h"
#include "store/outbox.h"

#include <pthread.h>

static const struct stmt count = {
	.name = "count", .sql = "SELECT count(*) FROM outbox", .cols = "i"};

static void put(struct db *db, const char *topic, const char *key, const char *payload)
{
	assert_ok(outbox_put(db, str_c(topic), str_c(key), str_c(payload)));
}

static struct outbox_event *read_some(struct test_db *t, const char *consumer, size_t max,
				      size_t *n)
{
	struct db_rows rows;

	assert_ok(outbox_read(t->db, str_c(consumer), STR("tenant"), max, &rows));
	*n = rows.n;
	return rows.v;
}

static int setup(void **state)
{
	test_db_setup(state);
	struct test_db *t = *state;
	return migrate(t->db, NULL, 0, NULL, NULL) == ERR_OK ? 0 : -1;
}

static void statements_are_as_declared(void **state)
{
	struct test_db *t = *state;

	assert_ok(db_check(t->db, &outbox_statements));
}

static void consumers_keep_their_own_offsets(void **state)
{
	struct test_db *t = *state;
	size_t n = 0;

	put(t->db, "tenant", "a", "{1}");
	put(t->db, "other", "a", "{x}");
	put(t->db, "tenant", "b", "{2}");
	put(t->db, "tenant", "a", "{3}");
	struct outbox_event *e = read_some(t, "mail", 2, &n);
	assert_int_equal(n, 2);
	assert_str(e[0].payload, STR("{1}"));
	assert_str(e[0].topic, STR("tenant"));
	assert_str(e[1].key, STR("b"));
	assert_true(e[0].id < e[1].id);
	assert_in_range(e[0].created_ms, clock_wall_ms() - 60000, clock_wall_ms());
	/* not acknowledged: seen again */
	e = read_some(t, "mail", 2, &n);
	assert_str(e[0].payload, STR("{1}"));
	assert_ok(outbox_ack(t->db, STR("mail"), STR("tenant"), e[1].id));
	/* never back */
	assert_ok(outbox_ack(t->db, STR("mail"), STR("tenant"), e[0].id));
	e = read_some(t, "mail", 10, &n);
	assert_int_equal(n, 1);
	assert_str(e[0].payload, STR("{3}"));
	(void)read_some(t, "audit", 10, &n);
	assert_int_equal(n, 3);
}

static void events_follow_their_transaction(void **state)
{
	struct test_db *t = *state;
	size_t n = 9;

	assert_ok(tx_begin(t->db));
	put(t->db, "tenant", "a", "{1}");
	tx_abort(t->db);
	(void)read_some(t, "mail", 10, &n);
	assert_int_equal(n, 0);
}

static void trimming_keeps_what_is_needed(void **state)
{
	struct test_db *t = *state;
	int64_t left = 0;
	size_t n = 0;

	for (int i = 0; i < 4; i++) {
		put(t->db, "tenant", "a", "{}");
	}
	struct outbox_event *e = read_some(t, "mail", 4, &n);
	assert_ok(outbox_ack(t->db, STR("mail"), STR("tenant"), e[1].id));
	assert_ok(outbox_trim(t->db, clock_wall_ms() - 60000));
	assert_ok(db_int(t->db, &count, DB_NO_ARGS, &left));
	assert_int_equal(left, 4);
	assert_ok(outbox_trim(t->db, clock_wall_ms() + 1000));
	assert_ok(db_int(t->db, &count, DB_NO_ARGS, &left));
	assert_int_equal(left, 2);
	/* ids do not come again after everything was deleted */
	int64_t last = e[3].id;
	assert_ok(outbox_ack(t->db, STR("mail"), STR("tenant"), last));
	assert_ok(outbox_trim(t->db, clock_wall_ms() + 1000));
	put(t->db, "tenant", "a", "{new}");
	e = read_some(t, "mail", 4, &n);
	assert_int_equal(n, 1);
	assert_true(e[0].id > last);
}

/*
 * Writers that overlap while a consumer reads on: an event whose id is lower than the offset
 * must never become visible later.
 */
struct writer {
	struct test_db *t;
	struct arena arena;
	unsigned rounds;
	const char *failure;
};

static enum err put_two(struct db *db, void *ctx)
{
	(void)ctx;
	TRY(outbox_put(db, STR("tenant"), STR("k"), STR("1")));
	return outbox_put(db, STR("tenant"), STR("k"), STR("2"));
}

static void *write_events(void *arg)
{
	struct writer *w = arg;
	struct db *db = NULL;
	struct fault f = {0};

	arena_init(&w->arena, 0);
	if (db_get(w->t->pool, 10000, &db, NULL) != ERR_OK) {
		w->failure = "no session";
		return NULL;
	}
	db_begin_task(db, &(struct db_task){.arena = &w->arena, .fault = &f});
	for (unsigned i = 0; i < w->rounds && !w->failure; i++) {
		enum err e = db_retry(db, put_two, NULL);

		w->failure = e == ERR_OK ? NULL : err_name(e);
	}
	db_put(&db);
	arena_fini(&w->arena);
	return NULL;
}

static void no_event_is_overtaken(void **state)
{
	enum { WRITERS = 3, ROUNDS = 30, TOTAL = WRITERS * ROUNDS * 2 };
	struct test_db *t = *state;
	struct writer w[WRITERS];
	pthread_t threads[WRITERS];
	uint64_t give_up = clock_mono_ms() + 30000;
	size_t seen = 0, n = 0;
	int64_t last = 0;

	for (int i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){.t = t, .rounds = ROUNDS};
		assert_int_equal(pthread_create(&threads[i], NULL, write_events, &w[i]), 0);
	}
	while (seen < TOTAL && clock_mono_ms() < give_up) {
		struct outbox_event *e = read_some(t, "mail", 7, &n);

		for (size_t i = 0; i < n; i++) {
			assert_true(e[i].id > last);
			last = e[i].id;
		}
		seen += n;
		if (n) {
			assert_ok(outbox_ack(t->db, STR("mail"), STR("tenant"), last));
		}
	}
	for (int i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], NULL);
		assert_null(w[i].failure);
	}
	assert_int_equal(seen, TOTAL);
}

#define ON(engine, test)                                                                           \
	{                                                                                          \
#test " (" #engine ")", test, setup, test_db_teardown, (void *)(uintptr_t)(engine) \
	}
#define BOTH(test) ON(TEST_SQLITE, test), ON(TEST_PGSQL, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(statements_are_as_declared),      BOTH(consumers_keep_their_own_offsets),
		BOTH(events_follow_their_transaction), BOTH(trimming_keeps_what_is_needed),
		BOTH(no_event_is_overtaken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
