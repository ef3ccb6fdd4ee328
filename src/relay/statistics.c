#include "relay/statistics.h"

#include "base/clock.h"
#include "relay/about.h"
#include "relay/listing.h"
#include "relay/stats_store.h"
#include "relay/tenant_store.h"

#define OPENAPI_PATH "/docs/StatisticsApi/openapi.json"

/* ---- shapes ---- */

#define AT(member) offsetof(struct stats_origin, member)
static const struct json_field origin_fields[] = {
	{"id", JSON_F_GUID, AT(id), 0, 0, 0},
	{"startupTime", JSON_F_TIME, AT(startup_ms), 0, 0, 0},
	{"shutdownTime", JSON_F_TIME, AT(shutdown_ms), 0, 0, 0},
	{"lastSeenTime", JSON_F_TIME, AT(last_seen_ms), 0, 0, 0},
	{"activeConnections", JSON_F_I64, AT(connections), 0, 0, 0},
};
#undef AT
const struct json_shape statistics_origin_shape = {"origin", origin_fields,
						   ARRAY_LEN(origin_fields)};

#define AT(member) offsetof(struct stats_connection, member)
static const struct json_field connection_fields[] = {
	{"id", JSON_F_STR, AT(id), 0, 0, 0},
	{"tenantName", JSON_F_STR, AT(tenant), 0, 0, 0},
	{"originId", JSON_F_GUID, AT(origin), 0, 0, 0},
	{"connectTime", JSON_F_TIME, AT(connect_ms), 0, 0, 0},
	{"disconnectTime", JSON_F_TIME, AT(disconnect_ms), 0, 0, 0},
	{"lastSeenTime", JSON_F_TIME, AT(last_seen_ms), 0, 0, 0},
	{"remoteIpAddress", JSON_F_STR, AT(remote_ip), 0, 0, 0},
};
#undef AT
const struct json_shape statistics_connection_shape = {"connection", connection_fields,
						       ARRAY_LEN(connection_fields)};

#define AT(member) offsetof(struct stats_request, member)
static const struct json_field request_fields[] = {
	{"requestId", JSON_F_GUID, AT(id), 0, 0, 0},
	{"tenantName", JSON_F_STR, AT(tenant), 0, 0, 0},
	{"requestDate", JSON_F_TIME, AT(start_ms), 0, 0, 0},
	{"requestDuration", JSON_F_I64, AT(duration_ms), 0, 0, 0},
	{"httpMethod", JSON_F_STR, AT(method), 0, 0, 0},
	{"target", JSON_F_STR, AT(target), 0, 0, 0},
	{"requestUrl", JSON_F_STR, AT(url), 0, 0, 0},
	{"httpStatusCode", JSON_F_OPT_I64, AT(status), 0, 0, 0},
	{"requestBodySize", JSON_F_I64, AT(request_bytes), 0, 0, 0},
	{"responseBodySize", JSON_F_OPT_I64, AT(response_bytes), 0, 0, 0},
	{"outcome", JSON_F_STR, AT(outcome), 0, 0, 0},
};
#undef AT
const struct json_shape statistics_request_shape = {"request", request_fields,
						    ARRAY_LEN(request_fields)};

#define AT(member) offsetof(struct stats_summary, member)
static const struct json_field summary_fields[] = {
	{"requests", JSON_F_I64, AT(requests), 0, 0, 0},
	{"succeeded", JSON_F_I64, AT(succeeded), 0, 0, 0},
	{"aborted", JSON_F_I64, AT(aborted), 0, 0, 0},
	{"failed", JSON_F_I64, AT(failed), 0, 0, 0},
	{"expired", JSON_F_I64, AT(expired), 0, 0, 0},
	{"errored", JSON_F_I64, AT(errored), 0, 0, 0},
	{"requestBytes", JSON_F_I64, AT(request_bytes), 0, 0, 0},
	{"responseBytes", JSON_F_I64, AT(response_bytes), 0, 0, 0},
	{"durationAverage", JSON_F_OPT_I64, AT(duration_avg_ms), 0, 0, 0},
	{"durationP95", JSON_F_OPT_I64, AT(duration_p95_ms), 0, 0, 0},
	{"durationMaximum", JSON_F_OPT_I64, AT(duration_max_ms), 0, 0, 0},
	{"activeConnections", JSON_F_I64, AT(connections), 0, 0, 0},
};
#undef AT
const struct json_shape statistics_summary_shape = {"summary", summary_fields,
						    ARRAY_LEN(summary_fields)};

/* ---- filters ---- */

/* Absent or empty: p NULL. */
static enum err query_text(struct task *t, const char *name, struct str *out)
{
	struct str s;
	enum err e = task_query(t, name, &s);

	*out = STR_NULL;
	if (e == ERR_NOT_FOUND || (e == ERR_OK && s.n == 0)) {
		return ERR_OK;
	}
	TRY(e);
	*out = s;
	return ERR_OK;
}

static enum err query_tenant(struct task *t, struct str *out)
{
	TRY(query_text(t, "tenant", out));
	*out = out->p ? tenant_name_normalize(&t->arena, *out) : *out;
	return ERR_OK;
}

static enum err query_time(struct task *t, const char *name, struct opt_i64 *out)
{
	struct str s;

	TRY(query_text(t, name, &s));
	*out = (struct opt_i64){s.p != NULL, 0};
	if (s.p && clock_iso_parse(s, &out->v) != ERR_OK) {
		return fault_set(&t->fault, ERR_INVALID,
				 "%s must be a time like 2026-11-20T22:31:03Z", name);
	}
	return ERR_OK;
}

static enum err query_bool(struct task *t, const char *name, struct opt_bool *out)
{
	struct str s;

	TRY(query_text(t, name, &s));
	*out = (struct opt_bool){s.p != NULL, str_eq_nocase(s, STR("true"))};
	if (s.p && !out->v && !str_eq_nocase(s, STR("false"))) {
		return fault_set(&t->fault, ERR_INVALID, "%s must be true or false", name);
	}
	return ERR_OK;
}

static enum err query_guid(struct task *t, const char *name, struct opt_guid *out)
{
	struct str s;

	TRY(query_text(t, name, &s));
	*out = (struct opt_guid){.has = s.p != NULL};
	if (s.p && guid_parse(s, &out->v) != ERR_OK) {
		return fault_set(&t->fault, ERR_INVALID, "%s must be a GUID", name);
	}
	return ERR_OK;
}

static enum err query_outcome(struct task *t, struct str *out)
{
	TRY(query_text(t, "outcome", out));
	*out = out->p ? str_lower(&t->arena, *out) : *out;
	if (out->p && !stats_is_outcome(*out)) {
		return fault_set(&t->fault, ERR_INVALID,
				 "outcome must be succeeded, aborted, failed, expired or errored");
	}
	return ERR_OK;
}

/* ---- lists ---- */

static struct stats_page page_of(const struct listing *l)
{
	return (struct stats_page){l->skip, l->take};
}

/* GET /statistics/origins */
static enum err origins(struct task *t)
{
	struct listing page;
	struct db_rows rows;

	TRY(listing_params(t, &page));
	TRY(tx_begin_read(t->db));
	TRY(stats_origins(t->db, page_of(&page), &rows, &page.total));
	TRY(tx_commit(t->db));
	return listing_reply(t, &page, &statistics_origin_shape, rows.v, rows.n,
			     sizeof(struct stats_origin));
}

/* GET /statistics/connections */
static enum err connections(struct task *t)
{
	struct stats_connection_filter filter;
	struct listing page;
	struct db_rows rows;

	TRY(listing_params(t, &page));
	TRY(query_tenant(t, &filter.tenant));
	TRY(query_bool(t, "active", &filter.active));
	TRY(query_guid(t, "originId", &filter.origin));
	TRY(tx_begin_read(t->db));
	TRY(stats_connections(t->db, &filter, page_of(&page), &rows, &page.total));
	TRY(tx_commit(t->db));
	return listing_reply(t, &page, &statistics_connection_shape, rows.v, rows.n,
			     sizeof(struct stats_connection));
}

/* GET /statistics/requests */
static enum err requests(struct task *t)
{
	struct stats_request_filter filter;
	struct listing page;
	struct db_rows rows;

	TRY(listing_params(t, &page));
	TRY(query_tenant(t, &filter.tenant));
	TRY(query_time(t, "from", &filter.from_ms));
	TRY(query_time(t, "to", &filter.to_ms));
	TRY(query_text(t, "target", &filter.target));
	TRY(query_outcome(t, &filter.outcome));
	TRY(tx_begin_read(t->db));
	TRY(stats_requests(t->db, &filter, page_of(&page), &rows, &page.total));
	TRY(tx_commit(t->db));
	return listing_reply(t, &page, &statistics_request_shape, rows.v, rows.n,
			     sizeof(struct stats_request));
}

/* GET /statistics/tenants/{name}/summary */
static enum err summary(struct task *t)
{
	struct str tenant = tenant_name_normalize(&t->arena, task_param(t, "name"));
	struct opt_i64 from, to;
	struct stats_summary s;
	struct tenant_row row;

	TRY(query_time(t, "from", &from));
	TRY(query_time(t, "to", &to));
	TRY(tx_begin_read(t->db));
	TRY(tenant_store_get(t->db, tenant, &row));
	TRY(stats_summarize(t->db, tenant, from, to, &s));
	TRY(tx_commit(t->db));
	return task_reply_json(t, 200, &statistics_summary_shape, &s);
}

/* ---- documents ---- */

static struct about about_of(const struct task *t)
{
	const struct statistics *s = t->role;

	return (struct about){&statistics_table, "Posthouse statistics", OPENAPI_PATH,
			      s->key_header};
}

static enum err index_page(struct task *t)
{
	struct about about = about_of(t);

	return about_page(t, &about);
}

static enum err openapi(struct task *t)
{
	struct about about = about_of(t);

	return about_openapi(t, &about);
}

/* ---- the table ---- */

static const struct rest_route routes[] = {
	{"GET", "/statistics/origins", origins, REST_DB, REST_READ, 0,
	 "Lists servers, newest first (?skip=0&take=10).", NULL, NULL},
	{"GET", "/statistics/connections", connections, REST_DB, REST_READ, 0,
	 "Lists connections (?tenant=&active=true|false&originId=&skip=0&take=10).", NULL, NULL},
	{"GET", "/statistics/requests", requests, REST_DB, REST_READ, 0,
	 "Lists logged requests (?tenant=&from=&to=&target=&outcome=&skip=0&take=10).", NULL, NULL},
	{"GET", "/statistics/tenants/{name}/summary", summary, REST_DB, REST_READ, 0,
	 "Sums up a tenant's logged requests (?from=&to=); durations in milliseconds.", NULL,
	 &statistics_summary_shape},
	{"GET", OPENAPI_PATH, openapi, REST_DB, REST_OPEN, 0, "This interface for programs.", NULL,
	 NULL},
	{"GET", "/", index_page, REST_DB, REST_OPEN, 0, "This interface for people.", NULL, NULL},
};

const struct rest_table statistics_table = {"statistics", routes, ARRAY_LEN(routes)};
