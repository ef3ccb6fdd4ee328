#include "db_worker.h"

#include "base/clock.h"
#include "relay/event_store.h"
#include "relay/origin_store.h"
#include "relay/schema.h"
#include "relay/stats_store.h"
#include "relay/tenant_store.h"
#include "relay/upkeep.h"
#include "store/engines.h"

static struct stats_origin *origins(struct test_db *t, size_t *n)
{
	struct db_rows rows;
	int64_t total;

	assert_ok(stats_origins(t->db, (struct stats_page){0, 100}, &rows, &total));
	*n = rows.n;
	return rows.v;
}

/* The old one was deleted, and this one has reported. */
static void await_only(struct test_db *t, const struct guid *id)
{
	uint64_t deadline = clock_mono_ms() + 10000;
	struct stats_origin *o;
	size_t n;

	do {
		assert_true(clock_mono_ms() < deadline);
		o = origins(t, &n);
	} while (n != 1 || !guid_eq(&o->id, id));
}

static void add_connection(struct test_db *t, const struct guid *origin, int64_t at)
{
	struct tenant_row tenant = {.normalized = STR("T1"), .name = STR("t1")};
	struct relay_event e = {.kind = RELAY_EVENT_CONNECTED,
				.wall_ms = at,
				.tenant = tenant.normalized,
				.connection_id = STR("c")};
	struct event_writer w;

	assert_ok(tenant_store_insert(t->db, &tenant));
	event_writer_init(&w, origin);
	db_end_task(t->db);
	assert_int_equal(w.ops.write(&w.ops, t->db, &e, 1), 0);
	test_db_new_task(t);
}

static int64_t end_of_connection(struct test_db *t)
{
	static const struct stats_connection_filter all;
	struct db_rows rows;
	int64_t total;

	assert_ok(stats_connections(t->db, &all, (struct stats_page){0, 1}, &rows, &total));
	assert_int_equal(total, 1);
	const struct stats_connection *c = rows.v;

	return c->disconnect_ms.has ? c->disconnect_ms.v : 0;
}

static void a_server_is_seen_from_start_to_stop(void **state)
{
	struct test_db *t = *state;
	struct pool_ops ops = {db_worker_init, db_worker_fini, t->pool};
	struct loops loops = {0};
	struct upkeep_deps deps = {.origin = guid_new(),
				   .origin_last_seen_ms = 60000,
				   .connection_last_seen_ms = 60000,
				   .maintenance_interval_ms = 60000,
				   .entry_max_age_ms = 60000};
	struct guid old = guid_new();
	int64_t hour_ago = clock_wall_ms() - 3600 * 1000;
	size_t n;

	assert_ok(migrate(t->db, &relay_migrations, 1, NULL, NULL));
	assert_ok(origin_seen(t->db, &old, hour_ago));
	add_connection(t, &deps.origin, hour_ago);
	assert_ok(loops_start(&loops, 1, NULL));
	deps.loop = loops.v[0];
	deps.pool = pool_new("test", 1, 10, &ops);
	struct upkeep *u = upkeep_new(&deps);
	await_only(t, &deps.origin);
	assert_int_equal(end_of_connection(t), hour_ago); /* not seen since */
	upkeep_stop(&u);
	assert_null(u);
	struct stats_origin *o = origins(t, &n);
	assert_int_equal(n, 1);
	assert_true(guid_eq(&o->id, &deps.origin));
	assert_true(o->shutdown_ms.has);
	pool_free(&deps.pool);
	loops_join(&loops);
	loops_free(&loops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_ENGINES(a_server_is_seen_from_start_to_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
