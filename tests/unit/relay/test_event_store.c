#include "unit.h"

#include "relay/config.h"
#include "relay/event_store.h"
#include "relay/origin_store.h"
#include "relay/schema.h"
#include "relay/stats_store.h"
#include "relay/tenant_store.h"
#include "store/engines.h"

#include <pthread.h>

#define NOW 1795213863123LL
#define MINUTE 60000LL

static void check_statements(struct test_db *t, const struct stmt_table *table)
{
	if (db_check(t->db, table) != ERR_OK) {
		fail_msg("%s", t->fault.text);
	}
}

static void make_schema(struct test_db *t)
{
	struct tenant_row row = {.normalized = STR("T1"), .name = STR("t1")};

	if (migrate(t->db, &relay_migrations, 1, NULL, NULL) != ERR_OK) {
		fail_msg("%s", t->fault.text);
	}
	assert_ok(tenant_store_insert(t->db, &row));
}

static struct event_writer new_writer(void)
{
	struct event_writer w;
	struct guid origin = guid_new();

	event_writer_init(&w, &origin);
	return w;
}

/* The writer begins a task of its own, as on a worker. */
static void write_events(struct test_db *t, const struct event_writer *w,
			 const struct relay_event *events, size_t n)
{
	db_end_task(t->db);
	w->ops.write(&w->ops, t->db, events, n);
	test_db_new_task(t);
}

static struct relay_event request(const char *url)
{
	return (struct relay_event){
		.kind = RELAY_EVENT_REQUEST,
		.wall_ms = NOW,
		.tenant = STR("T1"),
		.request_id = guid_new(),
		.target = STR("web"),
		.url = str_c(url),
		.method = STR("GET"),
		.duration_ms = 12,
		.request_bytes = 34,
		.outcome = REQUEST_LOG_SUCCEEDED,
		.status = {true, 200},
		.response_bytes = {true, 56},
	};
}

static struct relay_event connection(enum relay_event_kind kind, const char *id, int64_t at)
{
	return (struct relay_event){
		.kind = kind,
		.wall_ms = at,
		.tenant = STR("T1"),
		.connection_id = str_c(id),
		.remote_ip = STR("192.0.2.7"),
	};
}

static struct stats_request *requests(struct test_db *t, size_t want)
{
	static const struct stats_request_filter all;
	struct db_rows rows;
	int64_t total;

	assert_ok(stats_requests(t->db, &all, (struct stats_page){0, 1000}, &rows, &total));
	assert_int_equal(total, want);
	assert_int_equal(rows.n, want);
	return rows.v;
}

static struct stats_connection *connections(struct test_db *t, size_t want)
{
	static const struct stats_connection_filter all;
	struct db_rows rows;
	int64_t total;

	assert_ok(stats_connections(t->db, &all, (struct stats_page){0, 1000}, &rows, &total));
	assert_int_equal(total, want);
	return rows.v;
}

static struct stats_origin *origins(struct test_db *t, size_t want)
{
	struct db_rows rows;
	int64_t total;

	assert_ok(stats_origins(t->db, (struct stats_page){0, 100}, &rows, &total));
	assert_int_equal(total, want);
	return rows.v;
}

static void statements_prepare(void **state)
{
	struct test_db *t = *state;

	make_schema(t);
	check_statements(t, &event_statements);
	check_statements(t, &origin_statements);
	check_statements(t, &stats_statements);
}

/* ---- writing ---- */

static void a_request_is_logged(void **state)
{
	struct test_db *t = *state;
	struct event_writer w = new_writer();
	struct relay_event e = request("a?b=c");

	make_schema(t);
	write_events(t, &w, &e, 1);
	struct stats_request *r = requests(t, 1);
	assert_true(guid_eq(&r->id, &e.request_id));
	assert_str(r->tenant, STR("t1"));
	assert_str(r->target, e.target);
	assert_str(r->url, e.url);
	assert_str(r->method, e.method);
	assert_int_equal(r->start_ms.v, NOW);
	assert_int_equal(r->duration_ms, 12);
	assert_int_equal(r->request_bytes, 34);
	assert_int_equal(r->response_bytes.v, 56);
	assert_int_equal(r->status.v, 200);
	assert_str(r->outcome, STR("succeeded"));
}

static void every_outcome_has_its_name(void **state)
{
	static const struct {
		unsigned flag;
		struct str name;
	} cases[] = {
		{REQUEST_LOG_ABORTED, STR_INIT("aborted")},
		{REQUEST_LOG_FAILED, STR_INIT("failed")},
		{REQUEST_LOG_EXPIRED, STR_INIT("expired")},
		{REQUEST_LOG_ERRORED, STR_INIT("errored")},
	};
	struct test_db *t = *state;
	struct event_writer w = new_writer();
	struct relay_event e[ARRAY_LEN(cases)];

	make_schema(t);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		e[i] = request("x");
		e[i].wall_ms = NOW - (int64_t)i;
		e[i].outcome = cases[i].flag;
		e[i].status.has = e[i].response_bytes.has = false;
	}
	write_events(t, &w, e, ARRAY_LEN(e));
	struct stats_request *r = requests(t, ARRAY_LEN(cases));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_str(r[i].outcome, cases[i].name);
		assert_false(r[i].status.has);
		assert_true(stats_is_outcome(r[i].outcome));
	}
}

static void what_columns_cannot_hold_is_cut_and_cleaned(void **state)
{
	struct test_db *t = *state;
	struct event_writer w = new_writer();
	char url[1500];
	struct relay_event e[2] = {request(""), request("")};

	make_schema(t);
	memset(url, 'u', sizeof(url));
	e[0].url = e[0].target = e[0].method = str_of(url, sizeof(url));
	e[1].url = STR("a\0b\xff\xc3");
	e[1].wall_ms--;
	write_events(t, &w, e, 2);
	struct stats_request *r = requests(t, 2);
	assert_int_equal(r[0].url.n, 1000);
	assert_int_equal(r[0].target.n, 100);
	assert_int_equal(r[0].method.n, 10);
	assert_str(r[1].url, STR("a\xef\xbf\xbd"
				 "b\xef\xbf\xbd\xef\xbf\xbd"));
}

static void a_missing_tenant_costs_no_others(void **state)
{
	struct test_db *t = *state;
	struct event_writer w = new_writer();
	struct relay_event e[3] = {request("a"), request("b"), request("c")};

	make_schema(t);
	e[1].tenant = STR("GONE");
	write_events(t, &w, e, 3);
	requests(t, 2);
}

static void a_bad_event_costs_no_others(void **state)
{
	struct test_db *t = *state;
	struct event_writer w = new_writer();
	struct relay_event e[3] = {request("a"), connection(RELAY_EVENT_CONNECTED, "c", NOW),
				   request("b")};

	make_schema(t);
	test_db_script(t, t->engine == TEST_SQLITE
				  ? "CREATE TRIGGER no BEFORE INSERT ON \"Connections\" BEGIN"
				    " SELECT RAISE(ABORT, 'no'); END"
				  : "ALTER TABLE \"Connections\" ADD CHECK (\"Id\" <> 'c')");
	write_events(t, &w, e, 3);
	requests(t, 2);
	connections(t, 0);
}

static void an_outage_loses_the_batch_only(void **state)
{
	struct test_db *t = *state;
	struct event_writer w = new_writer();
	struct relay_event e = request("a");

	make_schema(t);
	assert_int_equal(w.ops.write(&w.ops, NULL, &e, 1), 1);
	db_fail_after(t->pool, 1);
	write_events(t, &w, &e, 1);
	write_events(t, &w, &e, 1);
	requests(t, 1);
}

/* ---- connections ---- */

static void a_connection_comes_and_goes(void **state)
{
	struct test_db *t = *state;
	struct event_writer w = new_writer();
	struct relay_event e[3] = {connection(RELAY_EVENT_CONNECTED, "c1", NOW),
				   connection(RELAY_EVENT_SEEN, "c1", NOW + 5),
				   connection(RELAY_EVENT_DISCONNECTED, "c1", NOW + 9)};

	make_schema(t);
	write_events(t, &w, e, 2);
	struct stats_connection *c = connections(t, 1);
	assert_str(c->id, STR("c1"));
	assert_str(c->remote_ip, STR("192.0.2.7"));
	assert_true(guid_eq(&c->origin, &w.origin));
	assert_int_equal(c->connect_ms.v, NOW);
	assert_int_equal(c->last_seen_ms.v, NOW + 5);
	assert_false(c->disconnect_ms.has);
	assert_int_equal(origins(t, 1)->connections, 1);

	write_events(t, &w, e + 2, 1);
	assert_int_equal(connections(t, 1)->disconnect_ms.v, NOW + 9);
	assert_int_equal(origins(t, 1)->connections, 0);
}

static void the_order_of_batches_does_not_matter(void **state)
{
	struct test_db *t = *state;
	struct event_writer w = new_writer();
	struct relay_event e[3] = {connection(RELAY_EVENT_DISCONNECTED, "c1", NOW + 9),
				   connection(RELAY_EVENT_SEEN, "c1", NOW + 5),
				   connection(RELAY_EVENT_CONNECTED, "c1", NOW)};

	make_schema(t);
	write_events(t, &w, e, 3);
	struct stats_connection *c = connections(t, 1);
	assert_int_equal(c->connect_ms.v, NOW);
	assert_int_equal(c->last_seen_ms.v, NOW + 9);
	assert_int_equal(c->disconnect_ms.v, NOW + 9);
}

static void a_connection_that_was_wrongly_closed_opens_again(void **state)
{
	struct test_db *t = *state;
	struct event_writer w = new_writer();
	struct relay_event e = connection(RELAY_EVENT_CONNECTED, "c1", NOW);

	make_schema(t);
	write_events(t, &w, &e, 1);
	assert_ok(origin_stop(t->db, &w.origin, NOW + 1));
	assert_true(connections(t, 1)->disconnect_ms.has);
	e = connection(RELAY_EVENT_SEEN, "c1", NOW + 2);
	write_events(t, &w, &e, 1);
	assert_false(connections(t, 1)->disconnect_ms.has);
}

/* ---- origins ---- */

static void an_origin_lives_and_stops(void **state)
{
	struct test_db *t = *state;
	struct guid id = guid_new();

	make_schema(t);
	assert_ok(origin_seen(t->db, &id, NOW));
	assert_ok(origin_seen(t->db, &id, NOW + 5));
	struct stats_origin *o = origins(t, 1);
	assert_int_equal(o->startup_ms.v, NOW);
	assert_int_equal(o->last_seen_ms.v, NOW + 5);
	assert_false(o->shutdown_ms.has);
	assert_ok(origin_stop(t->db, &id, NOW + 9));
	assert_int_equal(origins(t, 1)->shutdown_ms.v, NOW + 9);
}

static void a_deleted_origin_is_made_again(void **state)
{
	struct test_db *t = *state;
	struct event_writer w = new_writer();
	struct relay_event e = connection(RELAY_EVENT_CONNECTED, "c1", NOW);

	make_schema(t);
	assert_ok(origin_seen(t->db, &w.origin, NOW));
	test_db_script(t, "DELETE FROM \"Origins\"");
	write_events(t, &w, &e, 1);
	connections(t, 1);
	origins(t, 1);
}

static void the_dead_are_closed_and_later_deleted(void **state)
{
	struct test_db *t = *state;
	struct event_writer dead = new_writer(), alive = new_writer();
	struct origin_upkeep u = {.self = alive.origin,
				  .lease_ms = 2 * MINUTE,
				  .connection_lease_ms = 100 * MINUTE,
				  .origin_max_age_ms = 15 * MINUTE};
	struct relay_event e = connection(RELAY_EVENT_CONNECTED, "dead", NOW);

	make_schema(t);
	assert_ok(origin_seen(t->db, &dead.origin, NOW));
	write_events(t, &dead, &e, 1);
	assert_ok(origin_seen(t->db, &dead.origin, NOW));
	assert_ok(origin_seen(t->db, &alive.origin, NOW + MINUTE));
	e = connection(RELAY_EVENT_CONNECTED, "alive", NOW + MINUTE);
	write_events(t, &alive, &e, 1);

	assert_ok(origin_bury(t->db, &u, NOW + MINUTE));
	assert_false(connections(t, 2)[1].disconnect_ms.has);
	assert_ok(origin_maintain(t->db, &u, NOW + 3 * MINUTE));
	struct stats_connection *c = connections(t, 2);
	assert_str(c[0].id, STR("alive"));
	assert_false(c[0].disconnect_ms.has);
	assert_int_equal(c[1].disconnect_ms.v, NOW);

	assert_ok(origin_maintain(t->db, &u, NOW + 20 * MINUTE));
	origins(t, 1); /* itself is never deleted */
	assert_str(connections(t, 1)->id, STR("alive"));
}

static void a_connection_whose_end_was_lost_is_closed(void **state)
{
	struct test_db *t = *state;
	struct event_writer own = new_writer(), other = new_writer();
	struct origin_upkeep u = {.self = own.origin,
				  .lease_ms = 100 * MINUTE,
				  .connection_lease_ms = 4 * MINUTE,
				  .origin_max_age_ms = 100 * MINUTE};
	struct relay_event e[2] = {connection(RELAY_EVENT_CONNECTED, "lost", NOW),
				   connection(RELAY_EVENT_CONNECTED, "there", NOW - 1)};
	struct relay_event of_other = connection(RELAY_EVENT_CONNECTED, "other", NOW - 2);
	struct relay_event seen = connection(RELAY_EVENT_SEEN, "there", NOW + 3 * MINUTE);

	make_schema(t);
	write_events(t, &own, e, 2);
	write_events(t, &own, &seen, 1);
	write_events(t, &other, &of_other, 1);
	assert_ok(origin_bury(t->db, &u, NOW + 3 * MINUTE));
	assert_false(connections(t, 3)[0].disconnect_ms.has);
	assert_ok(origin_bury(t->db, &u, NOW + 5 * MINUTE));
	struct stats_connection *c = connections(t, 3);
	assert_str(c[0].id, STR("lost"));
	assert_int_equal(c[0].disconnect_ms.v, NOW);
	assert_false(c[1].disconnect_ms.has);
	assert_false(c[2].disconnect_ms.has);

	/* There after all. */
	e[0] = connection(RELAY_EVENT_SEEN, "lost", NOW + 6 * MINUTE);
	write_events(t, &own, e, 1);
	assert_false(connections(t, 3)[0].disconnect_ms.has);
}

static void old_entries_are_deleted_when_asked(void **state)
{
	struct test_db *t = *state;
	struct event_writer w = new_writer();
	struct origin_upkeep u = {.self = w.origin,
				  .lease_ms = 100 * MINUTE,
				  .connection_lease_ms = 100 * MINUTE,
				  .origin_max_age_ms = 100 * MINUTE};
	struct relay_event e[4] = {connection(RELAY_EVENT_DISCONNECTED, "old", NOW),
				   connection(RELAY_EVENT_CONNECTED, "open", NOW), request("a"),
				   request("b")};

	make_schema(t);
	e[3].wall_ms += 2 * MINUTE;
	write_events(t, &w, e, 4);
	assert_ok(origin_maintain(t->db, &u, NOW + 90 * MINUTE));
	connections(t, 2);
	requests(t, 2);
	u.connection_max_age_ms = MINUTE;
	u.request_max_age_ms = MINUTE;
	assert_ok(origin_maintain(t->db, &u, NOW + 2 * MINUTE));
	assert_str(connections(t, 1)->id, STR("open"));
	assert_str(requests(t, 1)->url, STR("b"));
}

/* ---- at the same time ---- */

struct hand {
	struct db *db;
	struct event_writer *writer;
};

static void *write_many(void *arg)
{
	struct hand *h = arg;
	struct relay_event e[20];

	for (int round = 0; round < 10; round++) {
		for (size_t i = 0; i < ARRAY_LEN(e); i++) {
			e[i] = i % 2 ? request("x") : connection(RELAY_EVENT_SEEN, "c", NOW);
		}
		h->writer->ops.write(&h->writer->ops, h->db, e, ARRAY_LEN(e));
	}
	return NULL;
}

static void two_writers_at_once(void **state)
{
	struct test_db *t = *state;
	struct event_writer w = new_writer();
	struct hand hands[2] = {{.writer = &w}, {.writer = &w}};
	pthread_t threads[2];

	make_schema(t);
	for (size_t i = 0; i < ARRAY_LEN(hands); i++) {
		assert_ok(db_get(t->pool, 5000, &hands[i].db, NULL));
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, &hands[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(hands); i++) {
		pthread_join(threads[i], NULL);
		db_put(&hands[i].db);
	}
	requests(t, 200);
	connections(t, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_ENGINES(statements_prepare),
		BOTH_ENGINES(a_request_is_logged),
		BOTH_ENGINES(every_outcome_has_its_name),
		BOTH_ENGINES(what_columns_cannot_hold_is_cut_and_cleaned),
		BOTH_ENGINES(a_missing_tenant_costs_no_others),
		BOTH_ENGINES(a_bad_event_costs_no_others),
		BOTH_ENGINES(an_outage_loses_the_batch_only),
		BOTH_ENGINES(a_connection_comes_and_goes),
		BOTH_ENGINES(the_order_of_batches_does_not_matter),
		BOTH_ENGINES(a_connection_that_was_wrongly_closed_opens_again),
		BOTH_ENGINES(an_origin_lives_and_stops),
		BOTH_ENGINES(a_deleted_origin_is_made_again),
		BOTH_ENGINES(the_dead_are_closed_and_later_deleted),
		BOTH_ENGINES(a_connection_whose_end_was_lost_is_closed),
		BOTH_ENGINES(old_entries_are_deleted_when_asked),
		BOTH_ENGINES(two_writers_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
