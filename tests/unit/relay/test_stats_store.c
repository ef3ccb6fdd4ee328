#include "unit.h"

#include "relay/schema.h"
#include "relay/stats_store.h"
#include "store/engines.h"

#define NOW 1795213863000LL

static const struct stmt add_tenant = {
	.name = "add_tenant",
	.sql = "INSERT INTO \"Tenants\" (\"NormalizedName\", \"Name\") VALUES ($1, $2)",
	.params = "tt"};
static const struct stmt add_origin = {
	.name = "add_origin",
	.sql = "INSERT INTO \"Origins\" (\"Id\", \"StartupTime\", \"LastSeenTime\")"
	       " VALUES ($1, $2, $2)",
	.params = "um"};
static const struct stmt add_connection = {
	.name = "add_connection",
	.sql = "INSERT INTO \"Connections\" (\"Id\", \"TenantName\", \"OriginId\","
	       " \"ConnectTime\", \"DisconnectTime\") VALUES ($1, $2, $3, $4, $5)",
	.params = "ttumM"};
static const struct stmt add_request = {
	.name = "add_request",
	.sql = "INSERT INTO \"Requests\" (\"RequestId\", \"TenantName\", \"RequestDate\","
	       " \"RequestDuration\", \"RequestUrl\", \"Target\", \"HttpMethod\","
	       " \"RequestOriginalBodySize\", \"RequestBodySize\", \"ResponseBodySize\","
	       " \"Aborted\", \"Failed\", \"Expired\", \"Errored\")"
	       " VALUES ($1, $2, $3, $4, 'u', $5, 'GET', 10, 10, 100, $6, $7, $7, $7)",
	.params = "utmitbb"};
static const struct stmt inflate = {
	.name = "inflate",
	.sql = "UPDATE \"Requests\" SET \"ResponseBodySize\" = $1 WHERE \"RequestDate\" >= $2",
	.params = "im"};

static const struct guid first = {.b = {1}}, second = {.b = {2}};

static void put_request(struct test_db *t, const char *tenant, int64_t at, int64_t duration,
			const char *target, bool aborted)
{
	struct guid id = guid_new();

	assert_ok(
		db_exec(t->db, &add_request,
			DB_ARGS(DB_GUID(&id), DB_TEXT(str_c(tenant)), DB_TIME(at), DB_INT(duration),
				DB_TEXT(str_c(target)), DB_BOOL(aborted), DB_BOOL(false))));
}

static void put_connection(struct test_db *t, const char *id, const char *tenant,
			   const struct guid *origin, struct opt_i64 end)
{
	assert_ok(db_exec(t->db, &add_connection,
			  DB_ARGS(DB_TEXT(str_c(id)), DB_TEXT(str_c(tenant)), DB_GUID(origin),
				  DB_TIME(NOW), DB_OPT_TIME(end))));
}

static void fill(struct test_db *t)
{
	if (migrate(t->db, &relay_migrations, 1, NULL, NULL) != ERR_OK) {
		fail_msg("%s", t->fault.text);
	}
	assert_ok(db_exec(t->db, &add_tenant, DB_ARGS(DB_TEXT(STR("A")), DB_TEXT(STR("a")))));
	assert_ok(db_exec(t->db, &add_tenant, DB_ARGS(DB_TEXT(STR("B")), DB_TEXT(STR("b")))));
	assert_ok(db_exec(t->db, &add_origin, DB_ARGS(DB_GUID(&first), DB_TIME(NOW))));
	assert_ok(db_exec(t->db, &add_origin, DB_ARGS(DB_GUID(&second), DB_TIME(NOW + 1))));
	put_connection(t, "a1", "A", &first, (struct opt_i64){0});
	put_connection(t, "a2", "A", &second, (struct opt_i64){true, NOW + 5});
	put_connection(t, "b1", "B", &second, (struct opt_i64){0});
	for (int i = 0; i < 20; i++) {
		put_request(t, "A", NOW + i, 10 * (i + 1), i % 2 ? "Web" : "erp", false);
	}
	put_request(t, "A", NOW + 20, 99999, "erp", true);
	put_request(t, "B", NOW, 1, "web", false);
}

static int64_t count_connections(struct test_db *t, struct stats_connection_filter filter)
{
	struct db_rows rows;
	int64_t total;

	assert_ok(stats_connections(t->db, &filter, (struct stats_page){0, 100}, &rows, &total));
	assert_int_equal(rows.n, total);
	return total;
}

static void connections_are_filtered(void **state)
{
	struct test_db *t = *state;
	struct opt_bool yes = {true, true}, no = {true, false};
	struct opt_guid origin = {true, second};

	fill(t);
	assert_int_equal(count_connections(t, (struct stats_connection_filter){0}), 3);
	assert_int_equal(count_connections(t, (struct stats_connection_filter){.active = yes}), 2);
	assert_int_equal(count_connections(t, (struct stats_connection_filter){.active = no}), 1);
	assert_int_equal(count_connections(t, (struct stats_connection_filter){.origin = origin}),
			 2);
	assert_int_equal(count_connections(t, (struct stats_connection_filter){.tenant = STR("A"),
									       .active = yes}),
			 1);
	assert_int_equal(count_connections(t, (struct stats_connection_filter){.tenant = STR("X")}),
			 0);
}

static int64_t count_requests(struct test_db *t, struct stats_request_filter filter)
{
	struct db_rows rows;
	int64_t total;

	assert_ok(stats_requests(t->db, &filter, (struct stats_page){0, 100}, &rows, &total));
	assert_int_equal(rows.n, total);
	return total;
}

static void requests_are_filtered(void **state)
{
	struct test_db *t = *state;
	struct opt_i64 from = {true, NOW + 5}, to = {true, NOW + 10};

	fill(t);
	assert_int_equal(count_requests(t, (struct stats_request_filter){0}), 22);
	assert_int_equal(count_requests(t, (struct stats_request_filter){.tenant = STR("A")}), 21);
	assert_int_equal(
		count_requests(t, (struct stats_request_filter){.from_ms = from, .to_ms = to}), 5);
	assert_int_equal(count_requests(t, (struct stats_request_filter){.target = STR("WEB")}),
			 11);
	assert_int_equal(
		count_requests(t, (struct stats_request_filter){.outcome = STR("aborted")}), 1);
	assert_int_equal(
		count_requests(t, (struct stats_request_filter){.outcome = STR("succeeded")}), 21);
	assert_int_equal(count_requests(t, (struct stats_request_filter){.outcome = STR("failed")}),
			 0);
}

static void pages_begin_with_the_newest(void **state)
{
	static const struct stats_request_filter all;
	struct test_db *t = *state;
	struct db_rows rows;
	int64_t total;

	fill(t);
	assert_ok(stats_requests(t->db, &all, (struct stats_page){1, 2}, &rows, &total));
	assert_int_equal(total, 22);
	assert_int_equal(rows.n, 2);
	struct stats_request *r = rows.v;
	assert_int_equal(r[0].start_ms.v, NOW + 19);
	assert_int_equal(r[1].start_ms.v, NOW + 18);

	assert_ok(stats_origins(t->db, (struct stats_page){0, 1}, &rows, &total));
	assert_int_equal(total, 2);
	struct stats_origin *o = rows.v;
	assert_true(guid_eq(&o->id, &second));
	assert_int_equal(o->connections, 1);
}

static void a_summary_counts_and_measures(void **state)
{
	struct test_db *t = *state;
	struct opt_i64 none = {0}, from = {true, NOW + 18};
	struct stats_summary s;

	fill(t);
	assert_ok(stats_summarize(t->db, STR("A"), none, none, &s));
	assert_int_equal(s.requests, 21);
	assert_int_equal(s.succeeded, 20);
	assert_int_equal(s.aborted, 1);
	assert_int_equal(s.failed + s.expired + s.errored, 0);
	assert_int_equal(s.request_bytes, 210);
	assert_int_equal(s.response_bytes, 2100);
	assert_int_equal(s.duration_avg_ms.v, 105);
	assert_int_equal(s.duration_p95_ms.v, 190);
	assert_int_equal(s.duration_max_ms.v, 200);
	assert_int_equal(s.connections, 1);

	assert_ok(stats_summarize(t->db, STR("A"), from, none, &s));
	assert_int_equal(s.requests, 3);
	assert_int_equal(s.duration_p95_ms.v, 200);
}

static void a_summary_bears_absurd_sizes(void **state)
{
	struct test_db *t = *state;
	struct opt_i64 none = {0};
	struct stats_summary s;

	fill(t);
	assert_ok(db_exec(t->db, &inflate, DB_ARGS(DB_INT(INT64_MAX), DB_TIME(NOW + 18))));
	assert_ok(stats_summarize(t->db, STR("A"), none, none, &s));
	assert_int_equal(s.requests, 21);
	assert_int_equal(s.response_bytes, 1800);
}

static void a_summary_of_nothing_has_no_durations(void **state)
{
	struct test_db *t = *state;
	struct opt_i64 none = {0};
	struct stats_summary s;

	fill(t);
	assert_ok(stats_summarize(t->db, STR("X"), none, none, &s));
	assert_int_equal(s.requests, 0);
	assert_int_equal(s.request_bytes, 0);
	assert_false(s.duration_avg_ms.has || s.duration_p95_ms.has || s.duration_max_ms.has);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_ENGINES(connections_are_filtered),
		BOTH_ENGINES(requests_are_filtered),
		BOTH_ENGINES(pages_begin_with_the_newest),
		BOTH_ENGINES(a_summary_counts_and_measures),
		BOTH_ENGINES(a_summary_bears_absurd_sizes),
		BOTH_ENGINES(a_summary_of_nothing_has_no_durations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
